//! The audit log on SQLite: what every write leaves for it, and that sealing survives anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use audit_log::{Change, Record};
use ledger::{Account, AccountRef, AuditCheck, Command, Transfer, WebhookId};
use money::{Amount, Currency};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::contract::World;
use crate::error::StoreError;
use crate::record::{LogKey, LogSegment, Logged, Seal};
use crate::sql::{SqlStore, rows};
use crate::traits::Store;
use crate::webhook::{NewWebhook, Webhooks as _};

/// Names of the kinds that wait to be sealed, in order.
pub(super) async fn kinds(store: &SqlStore) -> Vec<&'static str> {
    let waiting = store.log_unsealed(0).await.unwrap();
    let decoded = waiting.records.iter().map(|bytes| Record::decode(bytes));
    decoded
        .map(|record| record.unwrap().change.name())
        .collect()
}

/// The segment that a sealer would append now.
async fn sealing(store: &SqlStore, owner: u8) -> Seal {
    let waiting = store.log_unsealed(0).await.unwrap();
    let first = waiting.link.position + 1;
    let mut link = waiting.link;
    let logged = waiting.records.into_iter().map(|record| {
        link = link.next(&record);
        let hash = link.hash;
        Logged { record, hash }
    });
    let records = logged.collect();
    Seal {
        owner: [owner; 16],
        now: store.time_floor().await.unwrap(),
        until: store.time_floor().await.unwrap().plus_s(10),
        segment: LogSegment {
            number: waiting.number + 1,
            first,
            link,
            records,
            head: vec![owner],
        },
        through: waiting.through,
    }
}

/// Seals what waits; whether it was accepted.
pub(super) async fn seal(store: &SqlStore, owner: u8) -> bool {
    store.log_append(sealing(store, owner).await).await.unwrap()
}

fn case() -> (Arc<SqlStore>, World, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SqlStore::open(&folder.path().join("ledger.db")).unwrap());
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    (store, world, folder)
}

#[tokio::test]
async fn what_was_sealed_is_read_back_and_no_longer_waits() {
    let (store, world, _folder) = case();
    let of = world.funded().await;
    let sent = sealing(&store, 1).await;
    assert!(store.log_append(sent.clone()).await.unwrap());
    assert_eq!(store.log_segment(1).await, Ok(Some(sent.segment.clone())));
    assert_eq!(store.log_last().await, Ok(Some(sent.segment.clone())));
    assert_eq!(store.log_segment(2).await, Ok(None));
    let left = store.log_unsealed(0).await.unwrap();
    assert_eq!((left.number, left.link), (1, sent.segment.link));
    assert_eq!(left.records, Vec::<Vec<u8>>::new());
    world.placed(&of, 100).await;
    assert!(seal(&store, 1).await);
    let second = store.log_last().await.unwrap().unwrap();
    assert_eq!(second.first, sent.segment.link.position + 1);
    assert_eq!(second.records.len(), 2);
    world.balanced().await;
}

#[tokio::test]
async fn an_order_that_nobody_can_read_keeps_no_endpoint_waiting() {
    let (store, world, folder) = case();
    let of = world.funded().await;
    let webhook = NewWebhook {
        id: WebhookId::new(1, [0; 10]),
        holder: of.sender,
        url: "https://a.example".to_owned(),
        now: world.at(0),
    };
    store.add_webhook(webhook).await.unwrap();
    let bad = world.placed(&of, 1).await;
    let good = world.placed(&of, 2).await;
    assert!(seal(&store, 1).await);
    let connection = Connection::open(folder.path().join("ledger.db")).unwrap();
    let sql = "UPDATE remittance SET currency = '???' WHERE id = ?1";
    assert_eq!(connection.execute(sql, [bad.as_bytes()]).unwrap(), 1);
    let found = store.order_changes().await.unwrap().unwrap();
    let told: Vec<_> = found.changes.iter().map(|change| change.order).collect();
    assert_eq!(told, [good]);
}

#[tokio::test]
async fn two_sealers_never_fork_the_chain() {
    let (store, world, _folder) = case();
    world.funded().await;
    let (one, mut other) = (sealing(&store, 1).await, sealing(&store, 2).await);
    assert!(store.log_append(one.clone()).await.unwrap());
    assert!(!store.log_append(other.clone()).await.unwrap(), "leased");
    other.now = one.until;
    assert!(
        !store.log_append(other.clone()).await.unwrap(),
        "sealed already"
    );
    world.holder(Currency::Jpy, 5).await;
    let mut late = sealing(&store, 2).await;
    assert!(
        !store.log_append(late.clone()).await.unwrap(),
        "still leased"
    );
    late.now = one.until;
    late.segment.first += 1;
    assert!(!store.log_append(late.clone()).await.unwrap(), "a gap");
    late.segment.first -= 1;
    assert!(store.log_append(late).await.unwrap());
    assert_eq!(store.log_last().await.unwrap().unwrap().number, 2);
    world.balanced().await;
}

#[tokio::test]
async fn a_hot_batch_is_one_journal_row_and_sealed_in_parts() {
    let (store, world, folder) = case();
    let to = AccountRef::Holder(world.holder(Currency::Jpy, 0).await);
    assert!(seal(&store, 1).await);
    for _ in 0..2 {
        let transfer = || world.transfer(AccountRef::Float, to, 1, Currency::Jpy);
        let commands = (0..1_000).map(|_| transfer()).collect();
        store.apply(commands).await.unwrap();
    }
    let connection = Connection::open(folder.path().join("ledger.db")).unwrap();
    let rows = || -> i64 {
        let sql = "SELECT count(*) FROM journal";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(rows(), 2);
    assert!(seal(&store, 1).await);
    assert_eq!(rows(), 1);
    assert_eq!(
        store.log_last().await.unwrap().unwrap().records.len(),
        1_000
    );
    assert!(seal(&store, 1).await);
    assert_eq!(rows(), 0);
    world.balanced().await;
}

#[tokio::test]
async fn what_was_rolled_back_leaves_no_note() {
    let (store, world, _folder) = case();
    let of = world.funded().await;
    let before = kinds(&store).await.len();
    let transfer = Transfer {
        id: world.transfer_id(),
        from: Account::Float(Currency::Jpy),
        to: Account::Float(Currency::Jpy),
        amount: Amount::new(1, Currency::Jpy).unwrap(),
        at: world.at(0),
    };
    let refused = move |connection: &crate::db::Connection| -> Result<(), StoreError> {
        rows::post(connection, &transfer).map_err(StoreError::from)?;
        Err(StoreError::TooManyCommands)
    };
    assert!(store.writer.write(refused).await.is_err());
    // a claim reference is drawn at random, so a second one of the same value is a defect
    let first = world.order(of.sender, of.number, 1);
    let mut broken = world.order(of.sender, of.number, 1);
    broken.claim = first.claim;
    let commands = [first, broken].map(|order| Command::PlaceOrder(Box::new(order)));
    assert!(store.apply(commands.to_vec()).await.is_err());
    assert_eq!(kinds(&store).await.len(), before);
    world.balanced().await;
}

#[tokio::test]
async fn a_torn_seal_leaves_the_journal_or_a_longer_chain() {
    let (store, world, folder) = case();
    let of = world.funded().await;
    for minor in [100, 200] {
        world.placed(&of, minor).await;
        assert!(seal(&store, 1).await);
    }
    let path = folder.path().join("ledger.db");
    let whole = std::fs::read(path.with_extension("db-wal")).unwrap();
    let mut lengths = BTreeSet::new();
    for len in (0..=whole.len()).step_by(1_361).chain([whole.len()]) {
        let copy = TempDir::new().unwrap();
        let torn = copy.path().join("copy.db");
        std::fs::copy(&path, &torn).unwrap();
        std::fs::write(torn.with_extension("db-wal"), &whole[..len]).unwrap();
        let store = SqlStore::open(&torn).unwrap();
        let report = store.audit().await.unwrap();
        let of_log =
            |check| [AuditCheck::LogIsChained, AuditCheck::LogMatchesLedger].contains(&check);
        assert!(
            !report.failures.iter().any(|failure| of_log(failure.check)),
            "{report:#?}"
        );
        lengths.insert(
            store
                .log_last()
                .await
                .unwrap()
                .map_or(0, |last| last.number),
        );
    }
    assert_eq!(lengths, BTreeSet::from([0, 1, 2]));
}

#[tokio::test]
async fn a_key_and_its_revocation_are_noted_once() {
    let (store, world, _folder) = case();
    let key = |revoked_at| LogKey {
        public: [7; 32],
        purpose: 1,
        not_before: 5,
        not_after: 9,
        revoked_at,
    };
    for revoked_at in [None, None, Some(6), Some(6), None] {
        store
            .note_keys(vec![key(revoked_at)], world.at(3))
            .await
            .unwrap();
    }
    assert_eq!(kinds(&store).await, ["key-added", "key-revoked"]);
    store
        .note_keys(
            vec![LogKey {
                public: [8; 32],
                ..key(Some(6))
            }],
            world.at(3),
        )
        .await
        .unwrap();
    assert_eq!(kinds(&store).await.len(), 4);
}

#[tokio::test]
async fn transfers_of_before_the_log_enter_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let connection = Connection::open(&path).unwrap();
    let first = include_str!("../../migrations/sqlite/0001_ledger.sql");
    connection.execute_batch(first).unwrap();
    connection
        .execute_batch(
            "PRAGMA application_id = 1413960769; PRAGMA user_version = 1;
             INSERT INTO account VALUES (x'01900000000070008000000000000001', 1, 'JPY', 300);
             INSERT INTO holder VALUES (x'01900000000070008000000000000001', 'n', NULL, 'en', NULL, 0);
             INSERT INTO transfer VALUES (x'01900000000070008000000000000002', 0, NULL, 1,
                 x'01900000000070008000000000000001', 'JPY', 100, 1);
             INSERT INTO transfer VALUES (x'01900000000070008000000000000003', 0, NULL, 1,
                 x'01900000000070008000000000000001', 'JPY', 200, 2);",
        )
        .unwrap();
    drop(connection);
    let store = SqlStore::open(&path).unwrap();
    assert_eq!(kinds(&store).await, ["posted", "posted"]);
    assert!(store.audit().await.unwrap().is_balanced());
}

/// Tables, and the kinds of records by which their writes reach the log.
const COVERED: &[(&str, &[&str])] = &[
    (
        "account",
        &["posted", "holder-added", "card-issuing", "paid-out"],
    ),
    (
        "card",
        &[
            "card-issuing",
            "card-active",
            "card-blocked",
            "card-frozen",
            "commit-sent",
            "credited",
            "restored",
            "card-reread",
            "case-adopted",
            "case-blocked",
            "card-lost",
            "paid-out",
        ],
    ),
    (
        "address",
        &[
            "address-asked",
            "address-tried",
            "address-verified",
            "address-card",
            "address-removed",
        ],
    ),
    (
        "address_history",
        &[
            "address-asked",
            "address-tried",
            "address-verified",
            "address-card",
            "address-removed",
        ],
    ),
    ("bank_account", &["bank-account"]),
    (
        "bank_debit",
        &[
            "ordered",
            "bank-asked",
            "funded",
            "unfunded",
            "refunding",
            "returned",
        ],
    ),
    (
        "decision",
        &[
            "closed-in-doubt",
            "invitation-closed",
            "case-adopted",
            "case-blocked",
            "approved",
        ],
    ),
    (
        "freeze_case",
        &["card-frozen", "case-adopted", "case-blocked"],
    ),
    ("officer", &["officer-added", "officer-withdrawn"]),
    ("holder", &["holder-added", "holder-address"]),
    (
        "api_token",
        &["holder-added", "token-added", "token-revoked"],
    ),
    // the key of a cancel beside what the cancel does
    (
        "idempotency",
        &[
            "ordered",
            "invited",
            "order-refused",
            "cancel-asked",
            "returned",
        ],
    ),
    ("in_flight", &["commit-sent", "proven-absent", "credited"]),
    ("receipt_shown", &["receipt-shown", "card-reread"]),
    ("pool_entry", &["posted", "accounts-switched"]),
    ("outbox", &["ordered", "mail-sent", "mail-failed"]),
    (
        "remittance",
        &[
            "ordered",
            "commit-sent",
            "cancel-asked",
            "proven-absent",
            "credited",
            "returned",
            "bank-asked",
            "funded",
            "unfunded",
            "refunding",
            "recovering",
            "receipt-shown",
            "credited-by-log",
            "revised",
            "closed-in-doubt",
        ],
    ),
    (
        "invitation",
        &[
            "invited",
            "ordered",
            "cancel-asked",
            "recovering",
            "returned",
            "invitation-closed",
            "mail-sent",
            "mail-failed",
        ],
    ),
    ("meta", &["restored", "accounts-switched", "settle-window"]),
    ("signing_key", &["key-added", "key-revoked"]),
    ("template", &["template-kept", "template-withdrawn"]),
    ("transfer", &["posted"]),
    (
        "webhook",
        &[
            "webhook-added",
            "webhook-removed",
            "webhook-secret",
            "webhook-switched",
        ],
    ),
    ("webhook_secret_key", &["webhook-secret"]),
];

/// Tables that hold no state of the issuer: the log itself, its way there, and what is told of it.
const BESIDE: &[&str] = &[
    "event_before_log",
    "journal",
    "log_lease",
    "log_segment",
    "webhook_cursor",
    "webhook_delivery",
];

#[test]
fn every_table_reaches_the_log_by_some_kind() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    drop(SqlStore::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let found: BTreeSet<String> = found.map(Result::unwrap).collect();
    let known = COVERED
        .iter()
        .map(|line| line.0)
        .chain(BESIDE.iter().copied());
    assert_eq!(
        found,
        known.map(str::to_owned).collect(),
        "a new table needs a line here"
    );
    let named: BTreeSet<_> = COVERED.iter().flat_map(|line| line.1).copied().collect();
    assert_eq!(named, Change::KINDS.iter().map(|kind| kind.1).collect());
}

/// Rows that the log knows otherwise: sealed or not, each is named.
#[tokio::test]
async fn the_audit_names_an_order_a_program_a_receipt_and_a_decision_that_the_log_has_otherwise() {
    const ALTERED: [&str; 8] = [
        "UPDATE remittance SET expires = expires + 1 WHERE status = 'open'",
        "UPDATE remittance SET order_bytes = x'01' WHERE status = 'open'",
        "UPDATE remittance SET program_key = zeroblob(32) WHERE status = 'open'",
        "UPDATE remittance SET revision = 0 WHERE revision = 1",
        "UPDATE remittance SET template_hash = zeroblob(32) WHERE revision = 1",
        "UPDATE remittance SET receipt = x'01' WHERE status = 'credited'",
        "UPDATE decision SET reason = 'another one'",
        "DELETE FROM decision",
    ];
    for (sealed, sql) in [true, false]
        .into_iter()
        .flat_map(|s| ALTERED.map(|sql| (s, sql)))
    {
        let (store, world, folder) = case();
        let of = world.funded().await;
        let credited = world.placed(&of, 100).await;
        world.sent(of.card, credited).await;
        let proof = world.proof(of.card).await;
        world.apply(Command::Settle(proof)).await.unwrap();
        world.placed(&of, 200).await;
        let revised = world.placed(&of, 250).await;
        world.revised(revised).await;
        let doubt = world.placed(&of, 300).await;
        world.sent(of.card, doubt).await;
        let approval = world.approval().await;
        world.close(doubt, approval).await.unwrap();
        assert!(!sealed || seal(&store, 1).await);
        world.balanced().await;
        let connection = Connection::open(folder.path().join("ledger.db")).unwrap();
        let triggers = "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; \
                        DROP TRIGGER decision_never_changes; DROP TRIGGER decision_never_goes;";
        connection.execute_batch(triggers).unwrap();
        assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
        let report = store.audit().await.unwrap();
        let mut found = report.failures.iter();
        let named = found.any(|failure| failure.check == AuditCheck::LogMatchesLedger);
        assert!(named, "{sql}: {report:#?}");
    }
}

/// Posts so many transfers in one commit.
async fn post(store: &SqlStore, world: &World, to: AccountRef, count: usize) {
    let one = || world.transfer(AccountRef::Float, to, 1, Currency::Jpy);
    let commands = core::iter::repeat_with(one).take(count).collect();
    for answer in store.apply(commands).await.unwrap() {
        answer.unwrap();
    }
}

#[tokio::test]
async fn a_full_segment_says_that_more_may_wait() {
    let (store, world, _folder) = case();
    let to = AccountRef::Holder(world.holder(Currency::Jpy, 0).await);
    assert!(seal(&store, 1).await);
    for (count, more) in [(999, false), (1_000, true)] {
        post(&store, &world, to, count).await;
        let waiting = store.log_unsealed(0).await.unwrap();
        assert_eq!((waiting.records.len(), waiting.more), (count, more));
        assert!(seal(&store, 1).await);
    }
    assert!(!store.log_unsealed(0).await.unwrap().more);
}

#[tokio::test]
async fn a_server_is_asked_for_all_transfers_of_some_rows_at_once() {
    let url = postgres_server::database();
    let store = Arc::new(SqlStore::connect(&url).unwrap());
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let to = AccountRef::Holder(world.holder(Currency::Jpy, 0).await);
    assert!(seal(&store, 1).await);
    let server = crate::db::server::Server::new(&url).unwrap();
    let look = || {
        let session = server.connect().unwrap();
        let connection = crate::db::Connection::Postgres(Box::new(session));
        let read = |connection: &_| crate::sql::log::unsealed(connection, 0);
        let waiting = crate::sql::snapshot(&connection, read).unwrap();
        (waiting.records.len(), connection.round_trips())
    };
    // a session blocks, which this thread may not
    let waited = || std::thread::scope(|scope| scope.spawn(look).join().unwrap());
    post(&store, &world, to, 1).await;
    let (one, trips) = waited();
    // in one row, in several, and in more rows than are read at once
    post(&store, &world, to, 200).await;
    post(&store, &world, to, 99).await;
    assert_eq!((one, waited()), (1, (300, trips)));
    for _ in 0..100 {
        post(&store, &world, to, 1).await;
    }
    let (all, more) = waited();
    assert_eq!(all, 400);
    assert!(more <= trips + 3, "{more} after {trips}");
    assert!(seal(&store, 1).await);
    let report = store.audit().await.unwrap();
    assert!(report.is_balanced(), "{report:#?}");
}
