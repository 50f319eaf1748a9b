//! A file of an older version keeps what stood in it.

use std::sync::Arc;

use ledger::{CaseKind, Scopes, TokenHash};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::contract::World;
use crate::sql::SqlStore;

/// What stood in a file of the first version stands in it afterwards, and is still guarded.
#[tokio::test]
async fn a_file_of_an_older_version_is_brought_up_with_all_its_rows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../../migrations/sqlite/0001_ledger.sql"))
        .unwrap();
    let id = |last: u8| format!("x'0192f3a1b2c37fffbfffffffffffff{last:02x}'");
    let leg = |number: u8| format!("x'0192f3a1b2c3{number}fffbfffffffffffff04'");
    let (sender, recipient, card, order) = (id(1), id(2), id(3), id(4));
    let rows = format!(
        "INSERT INTO holder VALUES ({sender}, 'A', NULL, 'en', zeroblob(32), 1), ({recipient}, 'B', 'b@c', 'en', NULL, 1);
         INSERT INTO account VALUES ({sender}, 1, 'JPY', 70), ({recipient}, 1, 'JPY', 0), ({card}, 2, 'JPY', 0);
         INSERT INTO card VALUES ({card}, zeroblob(32), 'masked', zeroblob(7), {recipient}, 'active', 'JPY',
             1000, 1, zeroblob(16), 0, 0, 0);
         INSERT INTO transfer VALUES ({other}, 0, NULL, 1, {sender}, 'JPY', 100, 1),
             ({funding}, 1, {sender}, 3, {order}, 'JPY', 30, 2);
         INSERT INTO remittance VALUES ({order}, 0, {sender}, 'A', {card}, 'JPY', 30, '', 'commit-sent', 1, NULL,
             2, 3, zeroblob(200), zeroblob(64), zeroblob(32), zeroblob(32), zeroblob(32), NULL);
         INSERT INTO in_flight VALUES ({card}, {order}, 0, 1, 0, 0, x'00', x'00', 2);
         INSERT INTO outbox VALUES ({order}, {order}, 'm@d', 'b@c', 'en', 'sent', 1, 2, NULL);
         INSERT INTO freeze_case VALUES (1, {card}, NULL, zeroblob(28), 3),
             (2, {card}, NULL, CAST('card-is-proven-value  account 1, proven 0' AS BLOB), 4),
             (3, {card}, NULL, CAST('account-is-its-transfers  balance 1' AS BLOB), 5);
         PRAGMA user_version = 1; PRAGMA application_id = 0x54475441;",
        other = id(9),
        funding = leg(1),
    );
    old.execute_batch(&rows).unwrap();
    drop(old);
    let world = World::new(Arc::new(SqlStore::open(&path).unwrap()));
    world.balanced().await;
    let found = world
        .store
        .remittance("0192f3a1-b2c3-7fff-bfff-ffffffffff04".parse().unwrap());
    let found = found.await.unwrap().unwrap();
    assert_eq!(found.flow, ledger::Flow::Credit(ledger::Source::Account));
    assert_eq!(
        found.status,
        ledger::Status::CommitSent { cancel_asked: true }
    );
    // the one token of before opens everything, as it did
    let first = TokenHash([0; 32]);
    let bearer = world.store.bearer(first, world.at(0)).await.unwrap();
    let bearer = bearer.unwrap();
    assert_eq!(
        (bearer.holder.name.as_str(), bearer.scopes),
        ("A", Scopes::FULL)
    );
    // what an audit found is told from what a card said
    let cases = world.store.cases(0, 10).await.unwrap();
    let kinds: Vec<_> = cases.iter().map(|case| case.kind).collect();
    let found = CaseKind::BooksDisagree;
    assert_eq!(kinds, [CaseKind::Unexplained, found, found]);
    let raw = Connection::open(&path).unwrap();
    for sql in ["UPDATE transfer SET amount = 1", "DELETE FROM transfer"] {
        assert!(raw.execute(sql, []).is_err(), "{sql}");
    }
    raw.pragma_update(None, "foreign_keys", true).unwrap();
    assert!(raw.execute("DELETE FROM remittance", []).is_err());
}

/// Every column that the checks of a remittance look at, with every value and one too many.
const REMITTANCES: &str = "
    WITH flow(flow) AS (VALUES ('account'), ('bank'), ('card'), ('debit'), ('other')),
    status(status) AS (VALUES ('ordered'), ('funding-unknown'), ('funding-failed'), ('cancelled-unfunded'),
        ('expired-unfunded'), ('refunding'), ('open'), ('commit-sent'), ('credited'), ('expired'), ('cancelled'),
        ('other')),
    mark(mark) AS (VALUES (0), (1), (2)),
    set_or_not(at) AS (VALUES (NULL), (1))
    SELECT flow, funds.at, status, asked.mark, ended.at, receipt.at, recovering.mark, held.at, payable.mark
    FROM flow, set_or_not AS funds, status, mark AS asked, set_or_not AS ended, set_or_not AS receipt,
        mark AS recovering, set_or_not AS held, mark AS payable";

/// The checks that cost nothing let in what the old ones let in, and nothing else.
#[test]
fn the_checks_that_were_said_anew_let_in_the_same_rows() {
    let [before, after] = [8, 9].map(|version| {
        let db = Connection::open_in_memory().unwrap();
        for script in super::SCRIPTS.iter().take(version) {
            db.execute_batch(script).unwrap();
        }
        db.pragma_update(None, "foreign_keys", false).unwrap();
        db
    });
    let db = Connection::open_in_memory().unwrap();
    let mut rows = db.prepare(REMITTANCES).unwrap();
    let mut rows = rows.query([]).unwrap();
    let (mut tried, mut allowed) = (0_i64, 0);
    while let Some(row) = rows.next().unwrap() {
        tried += 1;
        let text = |column| row.get::<_, String>(column).unwrap();
        let number = |column| row.get::<_, Option<i64>>(column).unwrap();
        let blob = |column| number(column).map(|_| tried.to_be_bytes().repeat(2));
        let sql = "INSERT INTO remittance (id, flow, funds, status, cancel_asked, ended, receipt, recovering, \
                   held, payable, claim_ref, revision, sender, sender_name, card, currency, amount, note, created, \
                   expires, order_bytes, signature, program_key, template_hash) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, x'', '', x'', 'JPY', 1, '', 1, 1, x'', \
                   zeroblob(64), zeroblob(32), zeroblob(32))";
        let [was, is] = [&before, &after].map(|db| {
            let params = rusqlite::params![
                tried.to_be_bytes().repeat(2),
                text(0),
                blob(1),
                text(2),
                number(3),
                number(4),
                blob(5),
                number(6),
                number(7),
                number(8),
                tried.to_be_bytes().repeat(4),
            ];
            db.prepare_cached(sql).unwrap().execute(params).is_ok()
        });
        assert_eq!(was, is, "{row:?}");
        allowed += i64::from(is);
    }
    assert!(0 < allowed && allowed < tried, "{allowed} of {tried}");
    for (kind, id) in (-1..9).flat_map(|kind| [(kind, None), (kind, Some([7_u8; 16]))]) {
        for (side, other) in [("from", "to"), ("to", "from")] {
            let sql = format!(
                "INSERT OR ROLLBACK INTO transfer (id, {side}_kind, {side}_id, {other}_kind, currency, amount, at) \
                 VALUES (randomblob(16), ?1, ?2, 0, 'JPY', 1, 1)"
            );
            let [was, is] = [&before, &after].map(|db| db.execute(&sql, (kind, id)).is_ok());
            assert_eq!(was, is, "{side} {kind} {id:?}");
        }
    }
}

/// A statement that money passes through opens no temporary table: it would cost more than all the
/// rest of the statement.
#[test]
fn writing_a_transfer_or_a_remittance_builds_no_temporary_table() {
    let db = Connection::open_in_memory().unwrap();
    for script in super::SCRIPTS {
        db.execute_batch(script).unwrap();
    }
    let values = |table: &str| {
        let sql = format!("SELECT count(*) FROM pragma_table_info('{table}')");
        let count: u8 = db.query_row(&sql, [], |row| row.get(0)).unwrap();
        format!(
            "INSERT INTO {table} VALUES ({})",
            vec!["?"; count.into()].join(", ")
        )
    };
    for sql in [
        values("transfer"),
        values("remittance"),
        values("in_flight"),
        "UPDATE remittance SET flow = ?, status = ?, cancel_asked = ?, ended = ?, receipt = ?, \
         recovering = ?, held = ?, payable = ? WHERE id = ?"
            .to_owned(),
        "UPDATE account SET balance = ? WHERE id = ?".to_owned(),
        "UPDATE card SET epoch = ?, proven_id = ?, proven_remittance_seq = ?, proven_value = ? \
         WHERE id = ?"
            .to_owned(),
    ] {
        let mut explained = db.prepare(&format!("EXPLAIN {sql}")).unwrap();
        let mut rows = explained.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(1).unwrap());
        }
        assert!(steps.len() > 5, "{sql}");
        assert!(!steps.contains(&"OpenEphemeral".to_owned()), "{sql}");
    }
}

#[test]
fn sqlite_is_built_without_the_lock_that_connections_share() {
    let connection = Connection::open_in_memory().unwrap();
    let mut options = connection.prepare("PRAGMA compile_options").unwrap();
    let options = options.query_map([], |row| row.get(0)).unwrap();
    let options: Vec<String> = options.map(Result::unwrap).collect();
    let has = |option: &str| options.iter().any(|found| found == option);
    let how = "build inside the repository: .cargo/config.toml";
    assert!(!has("ENABLE_MEMORY_MANAGEMENT"), "{how}: {options:?}");
    assert!(has("DEFAULT_MEMSTATUS=0"), "{how}: {options:?}");
}
