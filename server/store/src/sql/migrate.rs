//! Schema versions: applied in order when the file is opened, each in one transaction.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::StoreError;
use crate::sql::fault::Fault;

/// `TGTA` as the file's application id, so that `file` and we can tell our databases from others.
const APPLICATION_ID: i64 = 0x5447_5441;

/// The scripts; the version is the position, counted from 1. A shipped one is never edited.
const SCRIPTS: [&str; 17] = [
    include_str!("../../migrations/sqlite/0001_ledger.sql"),
    include_str!("../../migrations/sqlite/0002_audit_log.sql"),
    include_str!("../../migrations/sqlite/0003_restore.sql"),
    include_str!("../../migrations/sqlite/0004_funding.sql"),
    include_str!("../../migrations/sqlite/0005_withdrawn.sql"),
    include_str!("../../migrations/sqlite/0006_pool.sql"),
    include_str!("../../migrations/sqlite/0007_doubt.sql"),
    include_str!("../../migrations/sqlite/0008_address.sql"),
    include_str!("../../migrations/sqlite/0009_checks.sql"),
    include_str!("../../migrations/sqlite/0010_invitation.sql"),
    include_str!("../../migrations/sqlite/0011_officers.sql"),
    include_str!("../../migrations/sqlite/0012_books_disagree.sql"),
    include_str!("../../migrations/sqlite/0013_token.sql"),
    include_str!("../../migrations/sqlite/0014_webhook.sql"),
    include_str!("../../migrations/sqlite/0015_pages.sql"),
    include_str!("../../migrations/sqlite/0016_turns.sql"),
    include_str!("../../migrations/sqlite/0017_answers.sql"),
];

/// The newest version that this program knows.
pub(super) const VERSION: i64 = 17;

/// Brings an empty or older file to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    check(connection)?;
    let version = number(connection, "PRAGMA user_version")?;
    // A script that makes a table anew must drop the old one while others refer to it
    // (https://www.sqlite.org/lang_altertable.html, section 7); each step checks all references.
    enforce_references(connection, false)?;
    for (script, to) in SCRIPTS.iter().zip(1..=VERSION) {
        if to > version {
            step(connection, script, to).map_err(StoreError::from)?;
        }
    }
    enforce_references(connection, true)?;
    check(connection)
}

fn enforce_references(connection: &Connection, on: bool) -> Result<(), StoreError> {
    connection
        .pragma_update(None, "foreign_keys", on)
        .map_err(|error| Fault::from(error).into())
}

/// Refuses a file of another program, or of a newer version of this one.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let application = number(connection, "PRAGMA application_id")?;
    let found = number(connection, "PRAGMA user_version")?;
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema")?;
    match (application, tables) {
        (0, 0) => Ok(()),
        (APPLICATION_ID, _) if found <= VERSION => Ok(()),
        (APPLICATION_ID, _) => Err(StoreError::SchemaTooNew {
            found,
            known: VERSION,
        }),
        _ => Err(StoreError::NotOurs),
    }
}

/// Whether the file holds nothing at all.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, StoreError> {
    Ok(number(connection, "SELECT count(*) FROM sqlite_schema")? == 0)
}

fn step(connection: &mut Connection, script: &str, to: i64) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // another process may have been quicker between the check and the lock
    let at: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if at < to {
        transaction.execute_batch(script)?;
        if transaction
            .prepare("PRAGMA foreign_key_check")?
            .exists([])?
        {
            return Err(Fault::Corrupt("reference between tables"));
        }
        transaction.pragma_update(None, "user_version", to)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    Ok(transaction.commit()?)
}

fn number(connection: &Connection, sql: &str) -> Result<i64, StoreError> {
    connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(|error| Fault::from(error).into())
}

#[cfg(test)]
#[path = "migrate_tests.rs"]
mod tests;
