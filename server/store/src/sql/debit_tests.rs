//! Debits on SQLite: what an audit finds when one and the order that it pays for part.

use std::sync::Arc;

use ledger::AuditCheck;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::contract::World;
use crate::sql::SqlStore;

/// A break of the books where one debit is open and one is proven.
const BREAKS: [&str; 6] = [
    "UPDATE remittance SET status = 'expired-unfunded', ended = 1 WHERE status = 'ordered'",
    "UPDATE remittance SET status = 'commit-sent' WHERE flow = 'debit' AND status = 'open'",
    "UPDATE remittance SET status = 'ordered' WHERE flow = 'card' AND status = 'open'",
    "UPDATE remittance SET expires = expires + 1 WHERE flow = 'debit' AND status = 'open'",
    "UPDATE remittance SET flow = 'bank' WHERE flow = 'card'",
    "DELETE FROM remittance WHERE flow = 'debit' AND status = 'open'",
];

#[tokio::test]
async fn the_audit_names_a_debit_that_parts_from_its_order() {
    for sql in BREAKS {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ledger.db");
        let world = World::new(Arc::new(SqlStore::open(&path).unwrap()));
        let of = world.carded().await;
        let paid = world.card_placed(&of, 300).await;
        world.sent(of.own, paid.debit).await;
        world.pays(&of, 3).await;
        world.card_placed(&of, 200).await;
        world.balanced().await;
        let connection = Connection::open(&path).unwrap();
        let lenient = "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF;";
        connection.execute_batch(lenient).unwrap();
        assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
        let report = world.store.audit().await.unwrap();
        let found = report.failures.iter();
        let named = found
            .filter(|line| line.check == AuditCheck::DebitPaysForItsOrder)
            .count();
        assert!(named > 0, "{sql}: {report:#?}");
    }
}
