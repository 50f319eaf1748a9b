//! Disks of a test's own: one that fills up, and one that turns read-only while it is in use.
//!
//! They are mounted in a namespace of mounts of the test's own, which ends with it; that needs root.

use crate::processes::is_root;
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

/// Set in the copy of a test that runs with mounts of its own.
const INSIDE: &str = "TEGATA_TEST_OWN_MOUNTS";
/// Bytes of the image behind a disk that fails: room for one small issuer and the file system's own.
const IMAGE_LEN: u64 = 32 << 20;

/// Runs the named test again in a namespace whose mounts end with it; there, runs `inside`.
///
/// # Errors
/// What `inside` says, or that the namespace cannot be made.
pub fn with_mounts_of_its_own(name: &str, inside: fn() -> Result<()>) -> Result<()> {
    if !is_root("a disk of its own")? {
        return Ok(());
    }
    if std::env::vars_os().any(|(name, _)| name == INSIDE) {
        return inside();
    }
    let output = Command::new("unshare")
        .arg("-m")
        .arg(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success() && told.contains("1 passed"),
        "{told}\n{errors}"
    );
    Ok(())
}

/// How a disk goes wrong.
#[derive(Debug)]
enum Kind {
    /// A small disk in memory, filled up by this file.
    Small { filler: PathBuf },
    /// A file system in this image, which finds an error in itself and turns read-only.
    Failing { image: PathBuf },
}

/// A disk that can be broken and mended; unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    kind: Kind,
}

impl Disk {
    /// Mounts a disk in memory with this room (the `size=` of tmpfs) over `folder`.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn small(folder: &Path, size: &str) -> Result<Self> {
        let options = format!("size={size}");
        done(
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tegata-test"]),
            folder,
        )?;
        let filler = folder.join("filler");
        Ok(Self {
            folder: folder.to_owned(),
            kind: Kind::Small { filler },
        })
    }

    /// Makes an ext4 file system in a new file `image` and mounts it over `folder`.
    ///
    /// # Errors
    /// If it cannot be made or mounted.
    pub fn failing(image: &Path, folder: &Path) -> Result<Self> {
        File::create_new(image)?.set_len(IMAGE_LEN)?;
        done(Command::new("mkfs.ext4").args(["-q", "-F"]), image)?;
        let disk = Self {
            folder: folder.to_owned(),
            kind: Kind::Failing {
                image: image.to_owned(),
            },
        };
        disk.mount_image(image)?;
        Ok(disk)
    }

    fn mount_image(&self, image: &Path) -> Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop,errors=remount-ro"]).arg(image);
        done(&mut mount, &self.folder)
    }

    /// From now on nothing can be written: there is no room, or the file system says so.
    ///
    /// # Errors
    /// If it can not be broken.
    pub fn break_down(&self) -> Result<()> {
        match &self.kind {
            Kind::Small { filler } => fill(filler),
            Kind::Failing { .. } => {
                let mounts = fs::read_to_string("/proc/self/mounts")?;
                let folder = self.folder.to_string_lossy().into_owned();
                let mounted = mounts.lines().filter_map(|line| line.split_once(' '));
                let mut here = mounted.filter(|(_, rest)| rest.starts_with(&format!("{folder} ")));
                let (device, _) = here.next_back().context("the disk is mounted")?;
                let device = device.rsplit('/').next().context("a device")?;
                fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "test")?;
                let refused = File::create(self.folder.join("probe"));
                let kind = refused.err().map(|error| error.kind());
                ensure!(kind == Some(ErrorKind::ReadOnlyFilesystem), "{kind:?}");
                Ok(())
            }
        }
    }

    /// Makes room again, or checks the file system and mounts it anew; nobody may use it then.
    ///
    /// # Errors
    /// If it cannot be mended.
    pub fn mend(&self) -> Result<()> {
        match &self.kind {
            Kind::Small { filler } => Ok(fs::remove_file(filler)?),
            Kind::Failing { image } => {
                done(&mut Command::new("umount"), &self.folder)?;
                let checked = Command::new("e2fsck").arg("-fy").arg(image).output()?;
                // 1: errors were found and corrected (e2fsck(8)).
                ensure!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
                self.mount_image(image)
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = done(Command::new("umount").arg("--lazy"), &self.folder);
    }
}

fn done(command: &mut Command, path: &Path) -> Result<()> {
    let output = command.arg(path).output()?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(())
}

/// Writes until nothing fits any more.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    for size in [1 << 16, 1 << 12, 1] {
        let chunk = vec![0; size];
        loop {
            match file.write(&chunk) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
