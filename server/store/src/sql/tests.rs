//! What is particular to SQLite: crashes, full and read-only disks, shared commits, the schema.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use ledger::{Account, AccountRef, AuditCheck, Command, Outcome, PlaceOrder};
use money::Currency;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::contract::{Funded, World};
use crate::db::{self, FromColumn as _};
use crate::error::StoreError;
use crate::sql::fault::Fault;
use crate::sql::{READERS, SqlStore, migrate, rows};
use crate::traits::Store;

struct Case {
    sqlite: Arc<SqlStore>,
    world: World,
    path: PathBuf,
    _folder: TempDir,
}

fn case() -> Case {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let sqlite = Arc::new(SqlStore::open(&path).unwrap());
    let world = World::new(Arc::clone(&sqlite) as Arc<dyn Store>);
    Case {
        sqlite,
        world,
        path,
        _folder: folder,
    }
}

impl Case {
    /// Runs a statement on the writer's own connection, outside of any transaction it needs.
    async fn pragma(&self, name: &'static str, value: i64) {
        let set = move |connection: &db::Connection| -> Result<(), StoreError> {
            let sql = format!("PRAGMA {name} = {value}");
            connection.each(&sql, [], |_| Ok(true)).unwrap();
            Ok(())
        };
        // `query_only` also forbids the commit that carries it; the setting stays
        let _ = self.sqlite.writer.write(set).await;
    }

    /// Holds the writer inside a transaction, until told to go on.
    async fn hold(&self) -> (Sender<()>, JoinHandle<()>) {
        let (go, wait) = channel();
        let (entered, inside) = tokio::sync::oneshot::channel();
        let wait: std::sync::Mutex<(Receiver<()>, Option<_>)> =
            std::sync::Mutex::new((wait, Some(entered)));
        let sqlite = Arc::clone(&self.sqlite);
        let task = tokio::spawn(async move {
            let held = move |_: &db::Connection| -> Result<(), StoreError> {
                let mut wait = wait.lock().unwrap();
                if let Some(entered) = wait.1.take() {
                    entered.send(()).unwrap();
                }
                wait.0.recv().unwrap();
                Ok(())
            };
            sqlite.writer.write(held).await.unwrap();
        });
        inside.await.unwrap();
        (go, task)
    }

    async fn waiting(&self, calls: usize) {
        while self.sqlite.writer.waiting() < calls {
            tokio::task::yield_now().await;
        }
    }

    fn place(
        &self,
        order: &PlaceOrder,
    ) -> JoinHandle<Result<Vec<super::store::Answer>, StoreError>> {
        let store = Arc::clone(&self.sqlite);
        let command = Command::PlaceOrder(Box::new(order.clone()));
        tokio::spawn(async move { store.apply(vec![command]).await })
    }
}

/// Copies the files as a crash would leave them; the log cut after `log_len` bytes.
fn after_crash(path: &Path, to: &Path, log_len: usize) -> PathBuf {
    let copy = to.join("copy.db");
    std::fs::copy(path, &copy).unwrap();
    let mut log = std::fs::read(path.with_extension("db-wal")).unwrap();
    log.truncate(log_len);
    std::fs::write(copy.with_extension("db-wal"), log).unwrap();
    copy
}

#[tokio::test]
async fn a_thousand_callers_share_one_commit() {
    let case = case();
    let to = AccountRef::Holder(case.world.holder(Currency::Jpy, 0).await);
    let (go, held) = case.hold().await;
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let command = case.world.transfer(AccountRef::Float, to, 1, Currency::Jpy);
            let store = Arc::clone(&case.sqlite);
            tokio::spawn(async move { store.apply(vec![command]).await })
        })
        .collect();
    case.waiting(1_000).await;
    let before = case.sqlite.commits();
    go.send(()).unwrap();
    held.await.unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(vec![Ok(Outcome::Transferred)]));
    }
    assert_eq!(
        case.sqlite.commits() - before,
        2,
        "the held one and one for all the others"
    );
    assert_eq!(
        case.world.minor(Account::Float(Currency::Jpy)).await,
        -1_000
    );
}

#[tokio::test]
async fn the_writer_flushes_each_commit_and_checks_foreign_keys() {
    let case = case();
    let settings = |connection: &db::Connection| -> Result<[String; 3], StoreError> {
        Ok(["journal_mode", "synchronous", "foreign_keys"].map(|name| {
            let value = rows::one(connection, &format!("PRAGMA {name}"), [], |row| {
                Ok(match row.value(0)? {
                    db::Value::Text(text) => text.to_owned(),
                    other => i64::from_column(other)?.to_string(),
                })
            });
            value.unwrap().unwrap()
        }))
    };
    let found = case.sqlite.writer.write(settings).await.unwrap();
    assert_eq!(found, ["wal", "2", "1"], "2 is FULL");
}

#[tokio::test]
async fn an_acknowledged_commit_survives_a_crash_and_a_torn_log_is_a_whole_number_of_commits() {
    let case = case();
    let of = case.world.funded().await;
    let mut placed = Vec::new();
    for minor in [100, 200, 300] {
        placed.push(case.world.placed(&of, minor).await);
    }
    case.world.sent(of.card, placed[0]).await;
    let proof = case.world.proof(of.card).await;
    assert!(case.world.apply(Command::Settle(proof)).await.is_ok());
    let whole = std::fs::read(case.path.with_extension("db-wal"))
        .unwrap()
        .len();
    let mut found = Vec::new();
    for log_len in (0..=whole).rev().step_by(1_361) {
        let folder = TempDir::new().unwrap();
        let copy = after_crash(&case.path, folder.path(), log_len);
        let Ok(store) = SqlStore::open(&copy) else {
            panic!("a log of {log_len} bytes can not be opened");
        };
        let report = store.audit().await.unwrap();
        assert!(report.is_balanced(), "log of {log_len} bytes: {report:#?}");
        found.push(report.transfers);
    }
    // funding, three orders and one end leg: all there, then ever fewer, one by one
    assert_eq!(found.first(), Some(&5));
    assert!(found.is_sorted_by(|a, b| a >= b));
    found.dedup();
    assert_eq!(found, [5, 4, 3, 2, 1, 0]);
}

#[tokio::test]
async fn a_store_that_was_never_closed_is_opened_again() {
    let case = case();
    let of = case.world.funded().await;
    let id = case.world.placed(&of, 2_500).await;
    let now = case.world.at(777);
    let expire = Command::Expire {
        remittance: id,
        now,
    };
    assert!(case.world.apply(expire).await.is_err());
    std::mem::forget(Arc::clone(&case.sqlite));
    let world = World::new(Arc::new(SqlStore::open(&case.path).unwrap()));
    world.holds(&of, id, [7_500, 2_500, 0]).await;
    assert_eq!(world.store.time_floor().await, Ok(now));
}

/// Fails an order by the storage, twice, and then places it.
async fn fails_then_works(case: &Case, of: &Funded, pragma: &'static str, bad: i64, good: i64) {
    let kept = case.world.placed(of, 100).await;
    case.pragma(pragma, bad).await;
    let mut order = case.world.order(of.sender, of.number, 200);
    order.order_bytes = vec![1; 1_024];
    let others: Vec<_> = (0..60)
        .map(|_| PlaceOrder {
            order_bytes: vec![1; 1_024],
            ..case.world.order(of.sender, of.number, 1)
        })
        .collect();
    let (go, held) = case.hold().await;
    let calls: Vec<_> = others
        .iter()
        .chain([&order])
        .map(|order| case.place(order))
        .collect();
    case.waiting(calls.len()).await;
    go.send(()).unwrap();
    let _ = held.await;
    for call in calls {
        let answer = call.await.unwrap();
        assert!(
            matches!(answer, Err(StoreError::Unavailable { .. })),
            "{answer:?}"
        );
    }
    case.world.holds(of, kept, [9_900, 100, 0]).await;
    assert_eq!(
        case.world.store.remittance(order.remittance).await,
        Ok(None)
    );
    assert_eq!(
        case.world
            .store
            .orders(of.sender, None, 99)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    case.pragma(pragma, good).await;
    let placed = Ok(Outcome::Placed {
        remittance: order.remittance,
    });
    assert_eq!(case.world.place(&order).await, placed);
    case.world
        .holds(of, order.remittance, [9_700, 200, 0])
        .await;
}

#[tokio::test]
async fn a_full_disk_refuses_every_caller_and_leaves_nothing_half_written() {
    let case = case();
    let of = case.world.funded().await;
    let pages: i64 = Connection::open(&case.path)
        .unwrap()
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    fails_then_works(&case, &of, "max_page_count", pages + 1, 1_000_000).await;
}

#[tokio::test]
async fn a_read_only_database_refuses_every_caller_and_serves_reads() {
    let case = case();
    let of = case.world.funded().await;
    let kept = case.world.placed(&of, 100).await;
    case.pragma("query_only", 1).await;
    let order = case.world.order(of.sender, of.number, 200);
    for _ in 0..2 {
        let answer = case.place(&order).await.unwrap();
        assert!(
            matches!(answer, Err(StoreError::Unavailable { .. })),
            "{answer:?}"
        );
    }
    let lease = case
        .world
        .store
        .lease_mail(case.world.at(0), case.world.at(1), 1)
        .await;
    assert!(
        matches!(lease, Err(StoreError::Unavailable { .. })),
        "{lease:?}"
    );
    case.world.holds(&of, kept, [9_900, 100, 0]).await;
}

#[tokio::test]
async fn a_command_that_breaks_its_batch_fails_alone() {
    let case = case();
    let of = case.world.funded().await;
    let first = case.world.order(of.sender, of.number, 1);
    // a claim reference is drawn at random, so a second one of the same value is a defect
    let broken = PlaceOrder {
        claim: first.claim,
        ..case.world.order(of.sender, of.number, 1)
    };
    let last = case.world.order(of.sender, of.number, 1);
    let (go, held) = case.hold().await;
    let calls: Vec<_> = [&first, &broken, &last]
        .map(|order| case.place(order))
        .into();
    case.waiting(3).await;
    go.send(()).unwrap();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().is_ok());
    }
    held.await.unwrap();
    assert_eq!(answers, [true, false, true]);
    assert_eq!(
        case.world.store.remittance(broken.remittance).await,
        Ok(None)
    );
    case.world.holds(&of, last.remittance, [9_998, 1, 0]).await;
}

#[test]
fn a_file_of_a_newer_version_or_of_another_program_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    for _ in 0..2 {
        drop(SqlStore::open(&path).unwrap());
    }
    let newer = migrate::VERSION + 1;
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", newer)
        .unwrap();
    let refused = SqlStore::open(&path).err();
    let known = migrate::VERSION;
    assert_eq!(
        refused,
        Some(StoreError::SchemaTooNew {
            found: newer,
            known
        })
    );
    let other = folder.path().join("other.db");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE diary (day TEXT)")
        .unwrap();
    assert_eq!(SqlStore::open(&other).err(), Some(StoreError::NotOurs));
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "no database at all, but long enough to look like a page header",
    )
    .unwrap();
    for bad in [text, folder.path().join("missing").join("ledger.db")] {
        let refused = SqlStore::open(&bad).err();
        assert!(
            matches!(refused, Some(StoreError::Unavailable { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_call_that_panics_is_rolled_back_and_the_next_one_is_carried_out() {
    let case = case();
    let of = case.world.funded().await;
    let broken = |connection: &db::Connection| -> Result<(), StoreError> {
        connection.execute("DELETE FROM outbox", []).unwrap();
        connection
            .execute("UPDATE account SET balance = 0", [])
            .unwrap();
        panic!("a defect");
    };
    let refused = case.sqlite.writer.write(broken).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
    case.world.placed(&of, 100).await;
    case.world.balanced().await;
}

#[tokio::test]
async fn only_the_owner_reads_the_file_and_its_log() {
    let case = case();
    case.world.funded().await;
    for suffix in ["", "-wal", "-shm"] {
        let mut path = case.path.clone().into_os_string();
        path.push(suffix);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn callers_who_hang_up_start_no_more_reads_than_callers_who_wait() {
    let case = case();
    let (entered, inside) = channel();
    let mut going = Vec::new();
    for _ in 0..READERS {
        let (go, wait) = channel::<()>();
        going.push(go);
        let (sqlite, entered) = (Arc::clone(&case.sqlite), entered.clone());
        let caller = tokio::spawn(async move {
            let read = move |_: &db::Connection| -> Result<(), Fault> {
                entered.send(()).unwrap();
                // ends when the test lets go of the other side
                let _ = wait.recv();
                Ok(())
            };
            sqlite.read(read).await
        });
        while inside.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    let super::Reading::Threads(readers) = &case.sqlite.readers else {
        panic!("a file is read by threads")
    };
    assert_eq!(readers.permits.available_permits(), 0);
    drop(going);
    case.sqlite.time_floor().await.unwrap();
}

#[tokio::test]
async fn posted_transfers_events_and_answers_never_change() {
    let case = case();
    let of = case.world.funded().await;
    case.world.placed(&of, 100).await;
    let connection = Connection::open(&case.path).unwrap();
    assert!(super::log_tests::seal(&case.sqlite, 1).await);
    for (table, column) in [
        ("transfer", "at"),
        ("idempotency", "at"),
        ("log_segment", "first"),
    ] {
        for sql in [
            format!("UPDATE {table} SET {column} = 0"),
            format!("DELETE FROM {table}"),
        ] {
            let refused = connection.execute(&sql, []).unwrap_err().to_string();
            assert!(refused.contains("never"), "{sql}: {refused}");
        }
    }
    case.world.placed(&of, 100).await;
    let sql = "UPDATE journal SET transfers = x''";
    let refused = connection.execute(sql, []).unwrap_err().to_string();
    assert!(refused.contains("never"), "{refused}");
}

#[tokio::test]
async fn every_state_change_leaves_its_event() {
    let case = case();
    let of = case.world.funded().await;
    let id = case.world.placed(&of, 100).await;
    case.world.sent(of.card, id).await;
    let now = case.world.at(5);
    let cancel = Command::Cancel {
        remittance: id,
        sender: of.sender,
        now,
    };
    case.world.apply(cancel).await.unwrap();
    let proof = case.world.proof(of.card).await;
    case.world
        .apply(Command::Settle(proof.clone()))
        .await
        .unwrap();
    case.world.apply(Command::Settle(proof)).await.unwrap();
    let kinds = super::log_tests::kinds(&case.sqlite).await;
    assert_eq!(
        kinds,
        [
            "holder-added",
            "posted",
            "holder-added",
            "card-issuing",
            "card-active",
            "ordered",
            "posted",
            "commit-sent",
            "cancel-asked",
            "credited",
            "posted"
        ]
    );
}

/// A break of the books, and the check that has to name it.
const BREAKS: [(&str, AuditCheck); 20] = [
    (
        "UPDATE account SET balance = balance + 1 WHERE kind = 1",
        AuditCheck::SumIsZero,
    ),
    (
        "UPDATE account SET balance = balance + CASE kind WHEN 1 THEN 1 ELSE -2 END",
        AuditCheck::AccountIsItsTransfers,
    ),
    (
        "DELETE FROM account WHERE kind = 2",
        AuditCheck::AccountIsItsTransfers,
    ),
    (
        "UPDATE remittance SET amount = amount + 1 WHERE status = 'open'",
        AuditCheck::EscrowIsOpenRemittances,
    ),
    (
        "UPDATE remittance SET status = 'open', ended = NULL WHERE status = 'credited'",
        AuditCheck::RemittanceHasItsTransfers,
    ),
    (
        "UPDATE transfer SET to_kind = 1, to_id = (SELECT id FROM holder) WHERE to_kind = 2",
        AuditCheck::RemittanceHasItsTransfers,
    ),
    (
        "DELETE FROM transfer WHERE to_kind = 3",
        AuditCheck::RemittanceHasItsTransfers,
    ),
    (
        "UPDATE card SET proven_value = proven_value + 1",
        AuditCheck::CardIsProvenValue,
    ),
    (
        "UPDATE account SET balance = -1 WHERE kind = 1",
        AuditCheck::NoAccountBelowZero,
    ),
    ("DELETE FROM in_flight", AuditCheck::InFlightIsCommitSent),
    (
        "UPDATE remittance SET status = 'open' WHERE status = 'commit-sent'",
        AuditCheck::InFlightIsCommitSent,
    ),
    (
        "UPDATE remittance SET held = 1 WHERE status = 'commit-sent'",
        AuditCheck::Held,
    ),
    (
        "UPDATE card SET payouts = 1, paid_out = 1",
        AuditCheck::PayoutHasItsTransfers,
    ),
    (
        "UPDATE remittance SET status = 'nowhere' WHERE status = 'open'",
        AuditCheck::RowsAreReadable,
    ),
    (
        "UPDATE outbox SET language = 'xx'",
        AuditCheck::RowsAreReadable,
    ),
    (
        "UPDATE in_flight SET seq = seq + 1",
        AuditCheck::InFlightIsNextInSequence,
    ),
    (
        "UPDATE in_flight SET balance_before = 0",
        AuditCheck::InFlightIsNextInSequence,
    ),
    (
        "UPDATE log_segment SET records = CAST(substr(records, 1, length(records) - 1) || x'00' AS BLOB)",
        AuditCheck::LogIsChained,
    ),
    (
        "UPDATE transfer SET at = at + 1",
        AuditCheck::LogMatchesLedger,
    ),
    ("DELETE FROM journal", AuditCheck::LogMatchesLedger),
];

#[tokio::test]
async fn the_audit_names_each_promise_that_is_broken() {
    for (sql, expected) in BREAKS {
        let case = case();
        let of = case.world.funded().await;
        let credited = case.world.placed(&of, 100).await;
        case.world.sent(of.card, credited).await;
        assert!(super::log_tests::seal(&case.sqlite, 1).await);
        let proof = case.world.proof(of.card).await;
        case.world.apply(Command::Settle(proof)).await.unwrap();
        let (sent, _) = (
            case.world.placed(&of, 200).await,
            case.world.placed(&of, 300).await,
        );
        case.world.sent(of.card, sent).await;
        case.world.balanced().await;
        let connection = Connection::open(&case.path).unwrap();
        connection
            .execute_batch(
                "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF;
                 DROP TRIGGER transfer_never_changes; DROP TRIGGER transfer_never_goes;
                 DROP TRIGGER log_segment_never_changes;",
            )
            .unwrap();
        assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
        let report = case.sqlite.audit().await.unwrap();
        let named = report
            .failures
            .iter()
            .any(|failure| failure.check == expected);
        assert!(named, "{sql}: {report:#?}");
    }
}
