//! Backup and restore of an issuer's database (docs/restore.md), and who may have the folder meanwhile.

use crate::{config::Config, files};
use anyhow::{Context, bail, ensure};
use crashpoint::reach;
use ledger::{AuditReport, Timestamp};
use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use store::{Database, Incarnated, SqlStore, Store, sql};

/// Files of a database besides the one that names it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Folders for replaced databases: more than anybody restores.
const REPLACED_MAX: u32 = 1_000;

/// The folder is in use while this lives: by many at once, or by a restore alone.
#[derive(Debug)]
pub struct InUse(#[expect(dead_code, reason = "closing it gives the folder back")] File);

impl InUse {
    /// Takes part in the folder.
    ///
    /// # Errors
    /// A restore works on it, or broke off.
    pub fn together(data: &Path) -> anyhow::Result<Self> {
        let file = lock_file(data)?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{}: being restored now", data.display()),
            Err(TryLockError::Error(error)) => return Err(error).context("lock"),
        }
        ensure!(
            !Config::restoring(data).exists(),
            "{}: a restore broke off; give `tegata-server restore` again",
            data.display()
        );
        Ok(Self(file))
    }

    /// Takes the whole folder.
    ///
    /// # Errors
    /// A server or another command uses it.
    pub fn alone(data: &Path) -> anyhow::Result<Self> {
        let file = lock_file(data)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => bail!(
                "{}: in use; stop the server and whatever command still runs",
                data.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).context("lock"),
        }
    }
}

/// Takes the writing of backups of this folder, so that what one of them has left can be told from
/// what another one is about to finish. The lock is on `issuer.json`, which nobody else locks or replaces:
/// a backup of a full or read-only disk makes no file there.
fn the_only_backup(data: &Path) -> anyhow::Result<File> {
    let file = File::open(Config::file(data))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "{}: another backup of it is being written; wait for its end",
            data.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).context("lock"),
    }
}

/// Opened to write where that is possible; a full or read-only disk must not keep readers out.
fn lock_file(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let mut options = OpenOptions::new();
    let made = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    made.or_else(|_| File::open(&path))
        .with_context(|| path.display().to_string())
}

/// Writes a copy of the database as it is now, server running or not, and audits the copy. What an
/// earlier backup left when it broke off is removed first.
///
/// # Errors
/// The file exists; another backup of the folder is being written; the copy can not be made or read.
pub async fn backup(data: &Path, file: &Path) -> anyhow::Result<AuditReport> {
    let _in_use = InUse::together(data)?;
    let database = match Config::load(data)?.ledger(data) {
        Database::Sqlite(database) => database,
        Database::Postgres(_) => bail!(
            "this ledger is in PostgreSQL, which makes its own backups while the server runs: archive its log, or \
             use pg_dump (docs/restore.md)"
        ),
    };
    let _only = the_only_backup(data)?;
    ensure!(
        !file.exists(),
        "{}: exists already; name a new file, a backup is never overwritten",
        file.display()
    );
    let unfinished = with_suffix(file, ".unfinished");
    remove_database(&unfinished)?;
    sql::copy(&database, &unfinished).with_context(|| unfinished.display().to_string())?;
    let report = SqlStore::open(&unfinished)?.audit().await?;
    sql::close(&unfinished)?;
    std::fs::rename(&unfinished, file)?;
    files::sync_folder(file)?;
    Ok(report)
}

/// What a restore has done.
#[derive(Debug)]
pub struct Restored {
    /// What waits for cards, receipts or two persons.
    pub waiting: Incarnated,
    /// The audit of the restored books.
    pub report: AuditReport,
    /// Where the database lies that was there before.
    pub replaced: Option<PathBuf>,
}

/// Puts a copy in the place of the database, as a new incarnation.
///
/// `incarnation`: 16 random bytes. Everything is made ready beside the database first; from the
/// first change on, a mark keeps every other command out until all is done. A restore that was cut
/// at any point is given again. What was there is kept in a folder of its own.
///
/// # Errors
/// The folder is in use; the copy is damaged, is no ledger, or its books do not balance.
pub async fn restore(
    data: &Path,
    file: &Path,
    incarnation: [u8; 16],
    now: Timestamp,
) -> anyhow::Result<Restored> {
    let _alone = InUse::alone(data)?;
    let database = match Config::load(data)?.ledger(data) {
        Database::Sqlite(database) => database,
        Database::Postgres(_) => bail!(
            "this ledger is in PostgreSQL: put the database back with PostgreSQL's own means, then give \
             `tegata-server restore --in-place` (docs/restore.md)"
        ),
    };
    let from = std::fs::canonicalize(file).with_context(|| file.display().to_string())?;
    ensure!(
        !database.exists() || from != std::fs::canonicalize(&database)?,
        "{}: is the database itself; copy it elsewhere, and restore the copy",
        file.display()
    );
    let next = with_suffix(&database, ".restoring");
    remove_database(&next)?;
    sql::copy(&from, &next).with_context(|| file.display().to_string())?;
    let (waiting, report) = {
        let store = SqlStore::open(&next)?;
        let waiting = store.begin_incarnation(incarnation, now).await?;
        (waiting, store.audit().await?)
    };
    sql::close(&next)?;
    ensure!(
        report.is_balanced(),
        "{}: its books do not balance; take another copy",
        file.display()
    );
    reach!("issuer::restore::copied");
    let mark = Config::restoring(data);
    files::replace(&mark, b"A restore is replacing tegata.db.\n")?;
    reach!("issuer::restore::marked");
    let replaced = set_aside(database.parent().unwrap_or(data), &database)?;
    reach!("issuer::restore::set-aside");
    std::fs::rename(&next, &database)?;
    files::sync_folder(&database)?;
    reach!("issuer::restore::replaced");
    remove(&mark)?;
    files::sync_folder(&database)?;
    Ok(Restored {
        waiting,
        report,
        replaced,
    })
}

/// Begins a new life of a database that PostgreSQL's own means put back.
///
/// `incarnation`: 16 random bytes.
///
/// # Errors
/// The ledger is in a file, a server still uses the database, or its books do not balance.
pub async fn begin_in_place(
    data: &Path,
    incarnation: [u8; 16],
    now: Timestamp,
) -> anyhow::Result<Restored> {
    let _alone = InUse::alone(data)?;
    let ledger = Config::load(data)?.ledger(data);
    let Database::Postgres(url) = &ledger else {
        bail!("this ledger is in a file: give the backup, `tegata-server restore FILE`");
    };
    let others = SqlStore::sessions(url).with_context(|| ledger.to_string())?;
    ensure!(
        others == 0,
        "{ledger}: {others} connections of a tegata-server; stop every server that uses it, on all machines"
    );
    let store = ledger.open().with_context(|| ledger.to_string())?;
    let report = store.audit().await?;
    ensure!(
        report.is_balanced(),
        "{ledger}: its books do not balance; put another backup back"
    );
    let waiting = store.begin_incarnation(incarnation, now).await?;
    Ok(Restored {
        waiting,
        report,
        replaced: None,
    })
}

/// Moves the present database, log and all, into a folder of its own. The log would otherwise be
/// read as that of the file that takes its place.
fn set_aside(data: &Path, database: &Path) -> anyhow::Result<Option<PathBuf>> {
    let files = files_of(database);
    if !files.iter().any(|file| file.exists()) {
        return Ok(None);
    }
    let mut names = (1..=REPLACED_MAX).map(|number| data.join(format!("replaced-{number}")));
    let folder = names
        .find(|folder| !folder.exists())
        .context("too many folders replaced-*; remove the oldest")?;
    files::create_private_dir(&folder)?;
    for file in files.iter().filter(|file| file.exists()) {
        let name = file.file_name().context("a file name")?;
        std::fs::rename(file, folder.join(name))?;
    }
    files::sync_folder(&folder.join("any"))?;
    files::sync_folder(database)?;
    Ok(Some(folder))
}

/// A database's file, and those that may stand beside it.
fn files_of(database: &Path) -> Vec<PathBuf> {
    let suffixes = [""].into_iter().chain(COMPANIONS);
    suffixes
        .map(|suffix| with_suffix(database, suffix))
        .collect()
}

/// Removes what is left of a database that nobody has open.
fn remove_database(database: &Path) -> std::io::Result<()> {
    files_of(database).iter().try_for_each(|file| remove(file))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_use_the_folder_or_one_restores_it() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (InUse::together(dir.path()), InUse::together(dir.path()));
        assert!(one.is_ok() && two.is_ok());
        assert!(InUse::alone(dir.path()).is_err());
        drop((one, two));
        let alone = InUse::alone(dir.path()).unwrap();
        assert!(InUse::together(dir.path()).is_err());
        drop(alone);
        files::write_new(&Config::restoring(dir.path()), b"").unwrap();
        let said = InUse::together(dir.path()).unwrap_err().to_string();
        assert!(said.contains("restore"), "{said}");
        assert!(InUse::alone(dir.path()).is_ok());
    }
}
