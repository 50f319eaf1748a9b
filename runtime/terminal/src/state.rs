//! The state folder: small files, each replaced as a whole and durably, readable by the owner only.
//!
//! Layout: docs/terminal.md, section "State folder".

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crashpoint::reach;

use crate::failure::Failure;

/// Largest file of the state folder that is read, in bytes.
///
/// A trust entry with a whole descriptor is the largest kind, a few KiB; the rest is room for
/// issuers with many keys.
pub const STATE_FILE_LEN_MAX: usize = 64 * 1024;

/// Characters of a name that is made up, of letters and digits: as good as never the same twice.
const UNIQUE_LEN: usize = 12;

/// The mode bits by which group and others may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The terminal's own memory between runs: trust entries, journal and receipts.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
}

/// Held while two processes must not touch the same thing; released when dropped or at exit.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl StateDir {
    /// Opens the folder at `root` and makes it (mode 0700) if it is not there.
    ///
    /// # Errors
    /// `E_STATE`; `E_STATE_OWNER` for a folder that another user than the one of this process owns,
    /// or that group or others may write to: they could give the person issuers to trust.
    pub fn open(root: &Path) -> Result<Self, Failure> {
        make_dir(root).map_err(|error| failed(root, &error))?;
        let metadata = fs::metadata(root).map_err(|error| failed(root, &error))?;
        let me = rustix::process::geteuid().as_raw();
        if !is_private(metadata.uid(), metadata.mode(), me) {
            return Err(Failure::with("E_STATE_OWNER", root.display()));
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Reads the file `name`, a path below the folder; `None` if there is none.
    ///
    /// # Errors
    /// `E_STATE`, also for a file beyond [`STATE_FILE_LEN_MAX`].
    pub fn read(&self, name: &Path) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.root.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            // A name longer than the file system takes has no file either.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(&path, &error)),
        };
        let mut bytes = Vec::new();
        let limit = u64::try_from(STATE_FILE_LEN_MAX)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(&path, &error))?;
        if bytes.len() > STATE_FILE_LEN_MAX {
            return Err(Failure::with(
                "E_STATE",
                format!("{}: too large", path.display()),
            ));
        }
        Ok(Some(bytes))
    }

    /// Replaces the file `name` by `bytes` (mode 0600), durably: when this returns, the new
    /// content survives a power cut, and at no moment is there half of it.
    ///
    /// # Errors
    /// `E_STATE`; the old file then stands.
    pub fn write(&self, name: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.root.join(name);
        let write = || {
            let folder = path.parent().unwrap_or(&self.root);
            make_dir(folder)?;
            // A temporary file has mode 0600 from its creation.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            reach!("terminal::state-file::before-rename");
            file.persist(&path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error: io::Error| failed(&path, &error))
    }

    /// The names of the files below the folder `name` that end in `.suffix`, sorted.
    ///
    /// # Errors
    /// `E_STATE`; a missing folder has no files, nor has what is no folder.
    pub fn list(&self, name: &Path, suffix: &str) -> Result<Vec<PathBuf>, Failure> {
        let folder = self.root.join(name);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(failed(&folder, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file_name = entry.map_err(|error| failed(&folder, &error))?.file_name();
            if suffix.is_empty()
                || Path::new(&file_name)
                    .extension()
                    .is_some_and(|e| e == suffix)
            {
                names.push(name.join(file_name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens the file `name` for reading and for writing at its end, and makes it (mode 0600) if it is
    /// not there.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn append(&self, name: &Path) -> Result<File, Failure> {
        let path = self.root.join(name);
        let open = || {
            make_dir(path.parent().unwrap_or(&self.root))?;
            OpenOptions::new()
                .create(true)
                .read(true)
                .append(true)
                .mode(0o600)
                .open(&path)
        };
        open().map_err(|error: io::Error| failed(&path, &error))
    }

    /// Makes a new, empty file (mode 0600) below the folder `name`, durably, under a name of its own that
    /// ends in `.suffix`; the file and that name.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn create_new(&self, name: &Path, suffix: &str) -> Result<(File, PathBuf), Failure> {
        let folder = self.root.join(name);
        let create = || {
            make_dir(&folder)?;
            let file = tempfile::Builder::new()
                .prefix("")
                .rand_bytes(UNIQUE_LEN)
                .suffix(&format!(".{suffix}"))
                .tempfile_in(&folder)?;
            let (file, path) = file.keep().map_err(|error| error.error)?;
            File::open(&folder)?.sync_all()?;
            Ok((file, name.join(path.file_name().unwrap_or_default())))
        };
        create().map_err(|error: io::Error| failed(&folder, &error))
    }

    /// Opens the file `name` for reading, whatever its length; `None` if there is none.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn open_file(&self, name: &Path) -> Result<Option<File>, Failure> {
        let path = self.root.join(name);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Removes the file `name`, durably; whether it was there.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn remove(&self, name: &Path) -> Result<bool, Failure> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Ok(()) => {
                let folder = path.parent().unwrap_or(&self.root);
                let synced = File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(|error| failed(folder, &error))?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Takes the lock `name` and waits for it: only for locks that are held for one short write.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn lock(&self, name: &Path) -> Result<Lock, Failure> {
        let file = self.append(name)?;
        let locked = file.lock();
        locked.map_err(|error| failed(&self.root.join(name), &error))?;
        Ok(Lock { _file: file })
    }

    /// Takes the lock `name`; `None` while another process holds it.
    ///
    /// The lock is on an empty file that stays: removing it would let two processes lock two files.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn try_lock(&self, name: &Path) -> Result<Option<Lock>, Failure> {
        let file = self.append(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(&self.root.join(name), &error)),
        }
    }
}

/// Whether a folder with this owner and mode is written by user `me` alone.
const fn is_private(owner: u32, mode: u32, me: u32) -> bool {
    owner == me && mode & WRITABLE_BY_OTHERS == 0
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::with("E_STATE", format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{STATE_FILE_LEN_MAX, StateDir, is_private};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn state() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        (dir, state)
    }

    #[test]
    fn what_was_written_is_read_back_and_only_the_owner_may() {
        let (dir, state) = state();
        let name = Path::new("journal/x/1.json");
        assert_eq!(state.read(name).unwrap(), None);
        state.write(name, b"one").unwrap();
        state.write(name, b"two").unwrap();
        assert_eq!(state.read(name).unwrap().as_deref(), Some(&b"two"[..]));
        let mode = |path: &str| {
            dir.path()
                .join("state")
                .join(path)
                .metadata()
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode(""), 0o700);
        assert_eq!(mode("journal/x"), 0o700);
        assert_eq!(mode("journal/x/1.json"), 0o600);
        assert_eq!(state.list(Path::new("journal/x"), "json").unwrap(), [name]);
        assert!(
            state
                .list(Path::new("receipts"), "json")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_folder_in_which_others_may_write_is_refused() {
        let (dir, _state) = state();
        let root = dir.path().join("state");
        for (mode, expected) in [
            (0o700, None),
            (0o755, None),
            (0o720, Some("E_STATE_OWNER")),
            (0o702, Some("E_STATE_OWNER")),
            (0o1777, Some("E_STATE_OWNER")),
        ] {
            std::fs::set_permissions(&root, std::fs::Permissions::from_mode(mode)).unwrap();
            let code = StateDir::open(&root).err().map(|failure| failure.code);
            assert_eq!(code, expected, "{mode:o}");
        }
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        assert!(is_private(1000, 0o40700, 1000));
        assert!(!is_private(1001, 0o40700, 1000));
        // Not even the superuser's is this person's.
        assert!(!is_private(0, 0o40700, 1000));
    }

    #[test]
    fn an_oversized_file_is_refused() {
        let (_dir, state) = state();
        let name = Path::new("f");
        state.write(name, &vec![0; STATE_FILE_LEN_MAX]).unwrap();
        assert!(state.read(name).unwrap().is_some());
        state.write(name, &vec![0; STATE_FILE_LEN_MAX + 1]).unwrap();
        assert_eq!(state.read(name).unwrap_err().code, "E_STATE");
    }

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let (_dir, state) = state();
        let name = Path::new("locks/a");
        let held = state.try_lock(name).unwrap();
        assert!(held.is_some());
        assert!(state.try_lock(name).unwrap().is_none());
        drop(held);
        assert!(state.try_lock(name).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_with_its_code() {
        let (dir, _state) = state();
        let file = dir.path().join("file");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(
            StateDir::open(&file.join("state")).unwrap_err().code,
            "E_STATE"
        );
    }
}
