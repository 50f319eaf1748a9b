//! Files of the data folder: secrets readable by their owner only, replaced in one atomic step.

use crashpoint::reach;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};
use tempfile::NamedTempFile;

/// Creates a folder (and its parents) that only its owner enters.
///
/// # Errors
/// What the file system says.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Writes a file that must not exist yet: after a crash all of it is there, or nothing.
///
/// # Errors
/// `AlreadyExists`, or what the file system says.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = beside(path, bytes)?;
    reach!("issuer::new-file::before-rename");
    file.persist_noclobber(path).map_err(|error| error.error)?;
    reach!("issuer::new-file::after-rename");
    sync_folder(path)
}

/// Replaces a file: whoever reads sees the old or the new bytes, also after a power cut.
///
/// # Errors
/// What the file system says; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = beside(path, bytes)?;
    reach!("issuer::file::before-rename");
    file.persist(path).map_err(|error| error.error)?;
    reach!("issuer::file::after-rename");
    sync_folder(path)
}

/// A temporary file with `bytes`, on disk, in the folder of `path`; its owner reads and writes it. One
/// that a crash leaves there has a name that nothing looks for.
fn beside(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Brings the names in the folder of `path` onto the disk.
///
/// # Errors
/// What the file system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Reads a file that somebody names, of at most `len_max` bytes: a name may stand for anything.
///
/// # Errors
/// `FileTooLarge` for a longer one, of which no more than one byte more is read; what the file system
/// says.
pub fn read_at_most(path: &Path, len_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(len_max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > len_max {
        let said = format!("longer than {len_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, said));
    }
    Ok(bytes)
}

/// Refuses a secret that others than its owner may read.
///
/// # Errors
/// `PermissionDenied` when group or world have any right; what the file system says.
pub fn read_secret(path: &Path) -> io::Result<zeroize::Zeroizing<String>> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "readable by others; it must have mode 0600",
        ));
    }
    std::fs::read_to_string(path).map(zeroize::Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        write_new(&path, b"s").unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read_secret(&path).unwrap().as_str(), "s");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(
            read_secret(&path).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
    }

    #[test]
    fn a_named_file_is_read_up_to_its_limit_and_not_past_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, [1; 9]).unwrap();
        assert_eq!(read_at_most(&path, 9).unwrap(), [1; 9]);
        let longer = read_at_most(&path, 8).unwrap_err();
        assert_eq!(longer.kind(), io::ErrorKind::FileTooLarge);
        // it has no end
        let endless = read_at_most(Path::new("/dev/zero"), 8).unwrap_err();
        assert_eq!(endless.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_new_one_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        write_new(&path, b"one").unwrap();
        assert_eq!(
            write_new(&path, b"two").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        replace(&path, b"three").unwrap();
        assert_eq!(read_secret(&path).unwrap().as_str(), "three");
    }
}
