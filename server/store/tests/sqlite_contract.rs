//! The contract of every store, against SQLite.

use std::sync::Arc;

use store::{SqliteStore, Store};
use tempfile::TempDir;

async fn open() -> (Arc<dyn Store>, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("ledger.db")).expect("a new file");
    (Arc::new(store), folder)
}

store::contract_tests!(open);
