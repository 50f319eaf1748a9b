//! One digest over everything that a template's bytes depend on, except the compiler.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// What every guest is built from; `{guest}` stands for its own folder.
const ROOTS: [&str; 7] = [
    "guest-programs/build.sh",
    "guest-programs/guest-logic/Cargo.toml",
    "guest-programs/guest-logic/src",
    "guest-programs/pack/src/template.rs",
    "guest-programs/{guest}/Cargo.lock",
    "guest-programs/{guest}/Cargo.toml",
    "guest-programs/{guest}/src",
];

/// The crate of the mailed guest's logic.
const LOGIC: &str = "guest-logic";

/// The interface, which the bindings are generated from.
const WIT_ROOT: &str = "wit/terminal";

/// Test support behind a feature that no template is built with.
const LEFT_OUT: &str = "guest-programs/guest-logic/src/testing";

/// SHA-256 over the sources of `guest` below `repository`, in lower-case hexadecimal.
///
/// The input is, for each file in the order of its path: the path from the repository's root with
/// `/` between its parts, a zero byte, the length of the file in 8 bytes big-endian, the file.
///
/// # Errors
///
/// When a file cannot be read or has a name that is no UTF-8.
pub fn source_digest(repository: &Path, guest: &str) -> Result<String> {
    let mut files = Vec::new();
    let manifest = repository.join(format!("guest-programs/{guest}/Cargo.toml"));
    let manifest =
        fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    // A guest without the common logic is not built from it.
    let is_used = |root: &&&str| !root.contains(LOGIC) || manifest.contains(LOGIC);
    for root in ROOTS.iter().chain([&WIT_ROOT]).filter(is_used) {
        collect(
            repository,
            PathBuf::from(root.replace("{guest}", guest)),
            &mut files,
        )?;
    }
    let mut named = files
        .iter()
        .map(|file| file.to_str().context("a source file's name is no UTF-8"))
        .collect::<Result<Vec<_>>>()?;
    named.retain(|name| !name.starts_with(LEFT_OUT));
    named.sort_unstable();
    let mut digest = Sha256::new();
    for name in named {
        let content = fs::read(repository.join(name)).with_context(|| format!("reading {name}"))?;
        digest.update(name);
        digest.update([0]);
        digest.update(u64::try_from(content.len())?.to_be_bytes());
        digest.update(content);
    }
    Ok(HEXLOWER.encode(&digest.finalize()))
}

fn collect(repository: &Path, path: PathBuf, files: &mut Vec<PathBuf>) -> Result<()> {
    let on_disk = repository.join(&path);
    if on_disk.is_file() {
        files.push(path);
        return Ok(());
    }
    let entries = fs::read_dir(&on_disk).with_context(|| format!("listing {}", path.display()))?;
    for entry in entries {
        collect(repository, path.join(entry?.file_name()), files)?;
    }
    Ok(())
}
