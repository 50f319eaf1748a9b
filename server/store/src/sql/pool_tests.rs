//! The pool on SQLite: what an audit finds when a sub-record and the rest of the books part.

use std::sync::Arc;

use ledger::{
    AuditCheck, CardAccounts, Command, Leg, PAYOUTS_MAX, RemittanceId, TransferId, payout_of,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::contract::{Funded, World};
use crate::sql::SqlStore;

struct Case {
    world: World,
    /// One with 700, one with 40.
    cards: [Funded; 2],
    path: std::path::PathBuf,
    _folder: TempDir,
}

async fn case(setting: CardAccounts) -> Case {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let world = World::new(Arc::new(SqlStore::open(&path).unwrap()));
    let begun = world.store.set_card_accounts(setting, world.at(0));
    begun.await.unwrap();
    let cards = [world.funded().await, world.funded().await];
    for (of, minor) in cards.iter().zip([700, 40]) {
        let id = world.placed(of, minor).await;
        world.sent(of.card, id).await;
        let proof = world.proof(of.card).await;
        assert!(world.apply(Command::Settle(proof)).await.is_ok());
    }
    world.balanced().await;
    Case {
        world,
        cards,
        path,
        _folder: folder,
    }
}

impl Case {
    /// Changes the file behind the store's back.
    fn tamper(&self, sql: &str) {
        let connection = Connection::open(&self.path).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    async fn found(&self) -> Vec<(AuditCheck, String)> {
        let report = self.world.store.audit().await.unwrap();
        let lines = report.failures.into_iter();
        lines.map(|line| (line.check, line.subject)).collect()
    }
}

#[tokio::test]
async fn a_sub_record_that_parts_from_the_pool_names_its_card_and_no_other() {
    let case = case(CardAccounts::Pooled).await;
    let card = case.cards[0].card.to_string();
    let hex: String = case.cards[0]
        .card
        .to_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    case.tamper(&format!(
        "UPDATE account SET balance = 701 WHERE id = X'{hex}'"
    ));
    let found = case.found().await;
    let of_card = |check| (check, card.clone());
    let of_pool = (AuditCheck::PoolIsItsCards, "JPY".to_owned());
    assert!(found.contains(&of_pool), "{found:?}");
    assert!(found.contains(&of_card(AuditCheck::CardIsProvenValue)));
    assert!(found.contains(&of_card(AuditCheck::AccountIsItsTransfers)));
    let other = case.cards[1].card.to_string();
    assert!(found.iter().all(|line| line.1 != other), "{found:?}");
}

#[tokio::test]
async fn a_pool_entry_can_not_be_changed_and_a_lost_one_is_found() {
    let case = case(CardAccounts::Pooled).await;
    let connection = Connection::open(&case.path).unwrap();
    for sql in [
        "DELETE FROM pool_entry",
        "UPDATE pool_entry SET card = card",
    ] {
        let refused = connection.execute(sql, []).unwrap_err();
        assert!(refused.to_string().contains("pool entry"), "{refused}");
    }
    drop(connection);
    case.tamper("DROP TRIGGER pool_entry_never_goes; DELETE FROM pool_entry;");
    let found = case.found().await;
    for of in &case.cards {
        let line = (AuditCheck::AccountIsItsTransfers, of.card.to_string());
        assert!(found.contains(&line), "{found:?}");
    }
}

#[tokio::test]
async fn transfers_name_the_pool_or_the_card_as_the_setting_says() {
    for (setting, entries) in [(CardAccounts::Individual, 0), (CardAccounts::Pooled, 2)] {
        let case = case(setting).await;
        let connection = Connection::open(&case.path).unwrap();
        let count = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(count("SELECT count(*) FROM pool_entry"), entries);
        let pooled = "SELECT count(*) FROM transfer WHERE to_kind = 2 AND to_id NOT IN \
                      (SELECT id FROM account)";
        assert_eq!(count(pooled), entries);
    }
}

#[tokio::test]
async fn no_caller_can_name_the_transfer_of_a_switch() {
    let case = case(CardAccounts::Individual).await;
    let switched = case
        .world
        .store
        .set_card_accounts(CardAccounts::Pooled, case.world.at(9));
    switched.await.unwrap();
    let connection = Connection::open(&case.path).unwrap();
    let sql = "SELECT transfer FROM pool_entry";
    let mut statement = connection.prepare(sql).unwrap();
    let ids = statement.query_map([], |row| row.get::<_, [u8; 16]>(0));
    let ids: Vec<[u8; 16]> = ids.unwrap().map(Result::unwrap).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|id| TransferId::from_bytes(*id).is_err()));
    // nor is it the id of a leg or of a payout, whatever the rest of it is
    let nibble = |id: TransferId| id.to_bytes()[6] >> 4;
    let (card, order) = (case.world.card_id(), RemittanceId::new(9, [1; 10]));
    let mut others: Vec<u8> = (0..PAYOUTS_MAX)
        .filter_map(|before| payout_of(card, before).map(nibble))
        .collect();
    others.extend([Leg::Funding, Leg::End, Leg::Loss].map(|leg| nibble(leg.transfer_of(order))));
    assert_eq!(others, [8, 9, 10, 11, 12, 13, 14, 15, 1, 2, 3]);
    assert!(ids.iter().all(|id| !others.contains(&(id[6] >> 4))));
    case.world.balanced().await;
}
