//! The file of an emulated card: read whole, replaced whole. Source: docs/card-file.md.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use card_sim::{Card, SNAPSHOT_LEN_MAX, SnapshotError};

/// What is wrong with the file of an emulated card.
#[derive(Debug, thiserror::Error)]
pub enum CardFileError {
    /// There is no such file.
    #[error("there is no card file {0}")]
    Missing(PathBuf),
    /// A new card would overwrite a file.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// The bytes are not a stored card.
    #[error("card file {path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What the bytes lack.
        source: SnapshotError,
    },
    /// The operating system refused to read or write.
    #[error("card file {path}: {source}")]
    Io {
        /// The file, or the folder it lies in.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl CardFileError {
    /// Stable code for messages, logs and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "E_CARD_FILE_MISSING",
            Self::Exists(_) => "E_CARD_FILE_EXISTS",
            Self::Content { source, .. } => source.code(),
            Self::Io { .. } => "E_CARD_FILE_IO",
        }
    }

    fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.to_owned()),
            _ => Self::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// Writes a new card; never over an existing file.
///
/// # Errors
///
/// [`CardFileError::Exists`] when there is something at `path`; [`CardFileError::Missing`] when
/// its folder does not exist; [`CardFileError::Io`].
pub fn create(path: &Path, card: &Card) -> Result<(), CardFileError> {
    let new = write_beside(path, &card.snapshot())?;
    new.persist_noclobber(path)
        .map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => CardFileError::Exists(path.to_owned()),
            _ => CardFileError::io(path, failed.error),
        })?;
    sync_folder(path)
}

/// Reads a card to look at it; takes no lock and changes nothing.
///
/// # Errors
///
/// [`CardFileError::Missing`], [`CardFileError::Content`], [`CardFileError::Io`].
pub fn load(path: &Path) -> Result<Card, CardFileError> {
    let file = File::open(path).map_err(|source| CardFileError::io(path, source))?;
    let mut bytes = Vec::new();
    let len_max = u64::try_from(SNAPSHOT_LEN_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    file.take(len_max)
        .read_to_end(&mut bytes)
        .map_err(|source| CardFileError::io(path, source))?;
    Card::restore(&bytes).map_err(|source| CardFileError::Content {
        path: path.to_owned(),
        source,
    })
}

/// Replaces the card's file in one step that survives a power cut: old content or new.
pub(crate) fn replace(path: &Path, card: &Card) -> Result<(), CardFileError> {
    let new = write_beside(path, &card.snapshot())?;
    new.persist(path)
        .map_err(|failed| CardFileError::io(path, failed.error))?;
    sync_folder(path)
}

/// Locks the card for one user: a lock on `PATH.lock`, since the card's file itself is replaced.
///
/// `None` when somebody else holds it. The lock ends with the returned file.
pub(crate) fn lock(path: &Path) -> Result<Option<File>, CardFileError> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let place = PathBuf::from(name);
    let io = |source| CardFileError::io(&place, source);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&place);
    let file = file.map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// A temporary file with `bytes` in the folder of `path`, on disk.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, CardFileError> {
    let folder = folder(path);
    let io = |source| CardFileError::io(folder, source);
    let mut file = tempfile::NamedTempFile::with_prefix_in(".tegata-card-", folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    Ok(file)
}

/// Puts the new directory entry on disk.
fn sync_folder(path: &Path) -> Result<(), CardFileError> {
    let folder = folder(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| CardFileError::io(folder, source))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}
