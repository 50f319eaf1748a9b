//! `pack GUEST CORE COMPILER`: packs the core module in file CORE, written by the compiler named
//! COMPILER, as the template of GUEST, and notes it in the manifest. Run by
//! `guest-programs/build.sh`.

use std::path::Path;
use std::{env, fs, io};

use anyhow::{Context as _, Result, bail};
use pack::{Entry, Manifest, source_digest, template};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [guest, core, compiler] = arguments.as_slice() else {
        bail!("usage: pack GUEST CORE COMPILER");
    };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let prebuilt = repository.join("guest-programs/prebuilt");
    fs::create_dir_all(&prebuilt)?;

    let template = template(&fs::read(core).with_context(|| format!("reading {core}"))?)?;
    let entry = Entry::new(
        &template,
        source_digest(&repository, guest)?,
        compiler.clone(),
    );
    report(guest, &entry)?;
    fs::write(prebuilt.join(format!("{guest}.wasm")), template)?;

    let file = prebuilt.join("manifest.json");
    let mut manifest: Manifest = match fs::read(&file) {
        Ok(json) => serde_json::from_slice(&json).context("reading the manifest")?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Manifest::new(),
        Err(error) => return Err(error).context("reading the manifest"),
    };
    manifest.insert(guest.clone(), entry);
    fs::write(file, serde_json::to_string_pretty(&manifest)? + "\n")?;
    Ok(())
}

fn report(guest: &str, entry: &Entry) -> io::Result<()> {
    use io::Write as _;
    writeln!(
        io::stdout(),
        "{guest}: {} bytes, sha256 {}",
        entry.size_bytes,
        entry.sha256
    )
}
