//! The contract of every store, against PostgreSQL, in both settings of the card accounts.

use std::sync::Arc;

use ledger::{CardAccounts, Timestamp};
use store::{SqlStore, Store};

async fn open() -> (Arc<dyn Store>, ()) {
    let store = SqlStore::connect(&postgres_server::database()).expect("a new database");
    (Arc::new(store), ())
}

async fn open_pooled() -> (Arc<dyn Store>, ()) {
    let (store, ()) = open().await;
    let pooled = store.set_card_accounts(CardAccounts::Pooled, Timestamp::EPOCH);
    pooled.await.expect("nothing is open in a new database");
    (store, ())
}

mod individual {
    store::contract_tests!(super::open);
}

mod pooled {
    store::contract_tests!(super::open_pooled);
}
