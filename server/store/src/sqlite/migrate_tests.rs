//! A file of an older version keeps what stood in it.

use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::contract::World;
use crate::sqlite::SqliteStore;

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
        "INSERT INTO holder VALUES ({sender}, 'A', NULL, 'en', NULL, 1), ({recipient}, 'B', 'b@c', 'en', NULL, 1);
         INSERT INTO account VALUES ({sender}, 1, 'JPY', 70), ({recipient}, 1, 'JPY', 0), ({card}, 2, 'JPY', 0);
         INSERT INTO card VALUES ({card}, zeroblob(32), 'masked', zeroblob(7), {recipient}, 'active', 'JPY',
             1000, 1, zeroblob(16), 0, 0, 0);
         INSERT INTO transfer VALUES ({other}, 0, NULL, 1, {sender}, 'JPY', 100, 1),
             ({funding}, 1, {sender}, 3, {order}, 'JPY', 30, 2);
         INSERT INTO remittance VALUES ({order}, 0, {sender}, 'A', {card}, 'JPY', 30, '', 'commit-sent', 1, NULL,
             2, 3, zeroblob(200), zeroblob(64), zeroblob(32), zeroblob(32), zeroblob(32), NULL);
         INSERT INTO in_flight VALUES ({card}, {order}, 0, 1, 0, 0, x'00', x'00', 2);
         INSERT INTO outbox VALUES ({order}, {order}, 'm@d', 'b@c', 'en', 'sent', 1, 2, NULL);
         PRAGMA user_version = 1; PRAGMA application_id = 0x54475441;",
        other = id(9),
        funding = leg(1),
    );
    old.execute_batch(&rows).unwrap();
    drop(old);
    let world = World::new(Arc::new(SqliteStore::open(&path).unwrap()));
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
    let raw = Connection::open(&path).unwrap();
    for sql in ["UPDATE transfer SET amount = 1", "DELETE FROM transfer"] {
        assert!(raw.execute(sql, []).is_err(), "{sql}");
    }
    raw.pragma_update(None, "foreign_keys", true).unwrap();
    assert!(raw.execute("DELETE FROM remittance", []).is_err());
}
