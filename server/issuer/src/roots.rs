//! A new root key: named by the old one, which then leaves the folder.
//!
//! Three files change one after the other, and a rotation that is cut short anywhere is finished by
//! the same command: `root-next` holds the new key until it counts, `succession` what the old one
//! signed, `root` the key that signs descriptors.

use crate::{clock::Random, clock::random, files, keys};
use anyhow::{Context, ensure};
use ed25519_dalek::SigningKey;
use std::{io, path::Path};
use wire::succession::{LINKS_MAX, Succession, read_list, verify_all, write_list};

const ROOT: &str = "root";
const NEXT: &str = "root-next";
const SUCCESSION: &str = "succession";

/// The succession of this issuer's roots as it is served; an empty list without one.
///
/// # Errors
/// The file is malformed, or leads neither to `root` nor past it.
pub fn succession(dir: &Path, root: &SigningKey) -> anyhow::Result<Vec<u8>> {
    let links = read(dir)?;
    let root = root.verifying_key().to_bytes();
    let mut leads = links.is_empty();
    for link in &links {
        let link = Succession::verify(link)?;
        leads |= link.to == root || link.from == root;
    }
    ensure!(leads, "{}: of other roots", dir.join(SUCCESSION).display());
    Ok(write_list(&links)?)
}

/// Makes a new root and has the old one name it; terminals follow it at their next fetch.
///
/// # Errors
/// A file is malformed or cannot be written; the same call then finishes what was begun.
pub fn rotate(dir: &Path, issuer: &str, now: u64, rng: &dyn Random) -> anyhow::Result<SigningKey> {
    let old = keys::read_signing(dir, ROOT)?;
    if !dir.join(NEXT).try_exists()? {
        keys::write_hex(dir, NEXT, &random::<32>(rng))?;
    }
    let next = keys::read_signing(dir, NEXT)?;
    let (from, to) = (
        old.verifying_key().to_bytes(),
        next.verifying_key().to_bytes(),
    );
    // The same key in both: all was done but the last step.
    if from != to {
        let mut links = read(dir)?;
        let known = verify_all(&links, issuer).context("the succession of roots")?;
        if known.last().is_none_or(|last| last.to != to) {
            let link = Succession {
                issuer: issuer.to_owned(),
                from,
                to,
                signed_at: now,
            };
            links.push(link.sign(&old)?);
            let older = links.len().saturating_sub(LINKS_MAX);
            links.drain(..older);
            verify_all(&links, issuer).context("the succession of roots")?;
            files::replace(&dir.join(SUCCESSION), &write_list(&links)?)?;
        }
        keys::replace_hex(dir, ROOT, next.as_bytes())?;
    }
    std::fs::remove_file(dir.join(NEXT))?;
    files::sync_folder(&dir.join(NEXT))?;
    Ok(next)
}

fn read(dir: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let path = dir.join(SUCCESSION);
    match std::fs::read(&path) {
        Ok(bytes) => read_list(&bytes).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemRandom, keys::Keys};
    use wire::succession::follow;

    const NOW: u64 = 1_790_000_000;
    const NAME: &str = "money.example";

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        Keys::create(dir.path(), NOW, &SystemRandom).unwrap();
        dir
    }

    fn root(dir: &Path) -> [u8; 32] {
        Keys::load(dir).unwrap().root.verifying_key().to_bytes()
    }

    #[track_caller]
    fn leads(dir: &Path, from: &[u8; 32], links: usize) {
        let keys = Keys::load(dir).unwrap();
        let path = follow(&keys.succession, NAME, from, &root(dir)).unwrap();
        assert_eq!(path.len(), links);
    }

    #[test]
    fn each_root_names_the_next_and_leaves_the_folder() {
        let folder = folder();
        let dir = folder.path();
        let first = root(dir);
        assert_eq!(Keys::load(dir).unwrap().succession, [0x80]);
        let new = rotate(dir, NAME, NOW, &SystemRandom).unwrap();
        assert_eq!(root(dir), new.verifying_key().to_bytes());
        leads(dir, &first, 1);
        rotate(dir, NAME, NOW + 1, &SystemRandom).unwrap();
        leads(dir, &first, 2);
        assert!(!dir.join(NEXT).exists());
        for _ in 0..LINKS_MAX {
            rotate(dir, NAME, NOW + 2, &SystemRandom).unwrap();
        }
        let keys = Keys::load(dir).unwrap();
        assert_eq!(read_list(&keys.succession).unwrap().len(), LINKS_MAX);
        assert!(rotate(dir, "other.example", NOW, &SystemRandom).is_err());
    }

    #[test]
    fn a_rotation_cut_short_anywhere_is_finished_by_the_next() {
        // After each of the writes: the new key, the succession, the root.
        for done in 1..=3 {
            let folder = folder();
            let dir = folder.path();
            let first = root(dir);
            let whole = self::folder();
            std::fs::copy(dir.join(ROOT), whole.path().join(ROOT)).unwrap();
            let next = random::<32>(&SystemRandom);
            keys::write_hex(whole.path(), NEXT, &next).unwrap();
            rotate(whole.path(), NAME, NOW, &SystemRandom).unwrap();
            keys::write_hex(dir, NEXT, &next).unwrap();
            for file in [SUCCESSION, ROOT].into_iter().take(done - 1) {
                std::fs::copy(whole.path().join(file), dir.join(file)).unwrap();
            }
            // In between the server starts, and whoever knows the first root goes on.
            let between = Keys::load(dir).unwrap();
            let public = between.root.verifying_key().to_bytes();
            let known = public == first;
            assert!(known || follow(&between.succession, NAME, &first, &public).is_ok());
            let new = rotate(dir, NAME, NOW + 9, &SystemRandom).unwrap();
            assert_eq!(new.to_bytes(), next, "{done}");
            assert!(!dir.join(NEXT).exists());
            leads(dir, &first, 1);
        }
    }

    #[test]
    fn a_succession_of_other_roots_is_not_served() {
        let other = folder();
        let folder = folder();
        rotate(other.path(), NAME, NOW, &SystemRandom).unwrap();
        let copied = other.path().join(SUCCESSION);
        std::fs::copy(copied, folder.path().join(SUCCESSION)).unwrap();
        assert!(Keys::load(folder.path()).is_err());
    }
}
