//! The contract of every store, against SQLite.

use std::sync::Arc;

use store::{SqliteStore, Store};
use tempfile::TempDir;

async fn open() -> (Arc<dyn Store>, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("ledger.db")).unwrap();
    (Arc::new(store), folder)
}

store::contract_tests!(open);
