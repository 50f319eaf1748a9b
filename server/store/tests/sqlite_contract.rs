//! The contract of every store, against SQLite, in both settings of the card accounts.

use std::sync::Arc;

use ledger::{CardAccounts, Timestamp};
use store::{SqlStore, Store};
use tempfile::TempDir;

async fn open() -> (Arc<dyn Store>, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let store = SqlStore::open(&folder.path().join("ledger.db")).expect("a new file");
    (Arc::new(store), folder)
}

async fn open_pooled() -> (Arc<dyn Store>, TempDir) {
    let (store, folder) = open().await;
    let pooled = store.set_card_accounts(CardAccounts::Pooled, Timestamp::EPOCH);
    pooled.await.expect("nothing is open in a new file");
    (store, folder)
}

mod individual {
    store::contract_tests!(super::open);
}

mod pooled {
    store::contract_tests!(super::open_pooled);
}
