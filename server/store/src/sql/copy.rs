//! Copies of the database file: made at one instant while others write, and checked.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;
use crate::sql::fault::Fault;
use crate::sql::{BUSY_TIMEOUT, migrate};

/// Copies a database as it is at one instant, running server or not, into one file that only its
/// owner reads; it is on the disk when this returns.
///
/// `to`: must not exist, and its folder must. Source: SQLite, "VACUUM INTO".
///
/// # Errors
/// [`StoreError::NotOurs`] and [`StoreError::SchemaTooNew`] for a file that is no ledger of this
/// program, [`StoreError::Corrupt`] where SQLite finds a page or an index damaged,
/// [`StoreError::Unavailable`]; then `to` is gone again.
pub fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = reader(from)?;
    migrate::check(&source)?;
    if migrate::is_empty(&source)? {
        return Err(StoreError::NotOurs);
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| unavailable(to, &error))?;
    let written = write(&source, to);
    if written.is_err() {
        // what is left of it is no copy of anything
        let _ = std::fs::remove_file(to);
    }
    written
}

fn write(source: &Connection, to: &Path) -> Result<(), StoreError> {
    let name = to.to_str().ok_or_else(|| StoreError::Unavailable {
        reason: "the name of the copy is no UTF-8".to_owned(),
    })?;
    source
        .execute("VACUUM INTO ?1", [name])
        .map_err(Fault::from)?;
    let copy = reader(to)?;
    let found: String = copy
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(Fault::from)?;
    if found != "ok" {
        return Err(StoreError::Corrupt {
            what: "page or index",
        });
    }
    sync(to)
}

/// Brings a file that nobody has open into one piece, without a write-ahead log beside it, and onto
/// the disk, so that it can be moved.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub fn close(path: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(path).map_err(Fault::from)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))
        .map_err(Fault::from)?;
    if mode != "delete" {
        return Err(StoreError::Unavailable {
            reason: "the copy is in use".to_owned(),
        });
    }
    drop(connection);
    sync(path)
}

fn reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    };
    open().map_err(StoreError::from)
}

fn sync(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    for path in [path, folder.unwrap_or(Path::new("."))] {
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| unavailable(path, &error))?;
    }
    Ok(())
}

fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable {
        reason: format!("{}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::SqlStore;
    use tempfile::TempDir;

    #[test]
    fn a_copy_is_made_of_a_ledger_that_is_in_use_and_of_nothing_else() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let store = SqlStore::open(&path("ledger.db")).unwrap();
        copy(&path("ledger.db"), &path("copy.db")).unwrap();
        let again = copy(&path("ledger.db"), &path("copy.db"));
        assert!(matches!(again, Err(StoreError::Unavailable { .. })));
        drop(store);
        drop(SqlStore::open(&path("copy.db")).unwrap());
        close(&path("copy.db")).unwrap();
        assert!(!path("copy.db-wal").exists());

        std::fs::write(
            path("text"),
            "no database, but long enough to be read as one",
        )
        .unwrap();
        std::fs::write(path("empty"), "").unwrap();
        for bad in ["text", "empty", "absent"] {
            assert!(copy(&path(bad), &path("other.db")).is_err(), "{bad}");
            assert!(!path("other.db").exists(), "{bad}");
        }
        let mut bytes = std::fs::read(path("copy.db")).unwrap();
        let middle = bytes.len() / 2;
        bytes.truncate(middle);
        std::fs::write(path("short"), bytes).unwrap();
        assert!(copy(&path("short"), &path("other.db")).is_err());
        assert!(!path("other.db").exists());
    }
}
