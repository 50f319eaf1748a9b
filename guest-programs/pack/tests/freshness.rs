//! The committed templates against their manifest and their sources.

use std::fs;
use std::path::{Path, PathBuf};

use pack::{Manifest, sha256_hex, source_digest};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifest() -> Manifest {
    let json = fs::read(repository().join("guest-programs/prebuilt/manifest.json"));
    serde_json::from_slice(&json.expect("a manifest")).expect("a manifest of our form")
}

#[test]
fn every_template_is_the_one_that_its_manifest_describes() {
    for (guest, entry) in manifest() {
        let file = repository().join(format!("guest-programs/prebuilt/{guest}.wasm"));
        let template = fs::read(file).expect("a template");
        assert_eq!(template.len(), entry.size_bytes, "{guest}");
        assert_eq!(sha256_hex(&template), entry.sha256, "{guest}");
    }
}

#[test]
fn every_prebuilt_file_is_in_the_manifest() {
    let manifest = manifest();
    for entry in fs::read_dir(repository().join("guest-programs/prebuilt")).expect("a folder") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        let guest = name.strip_suffix(".wasm");
        assert!(
            name == "manifest.json" || guest.is_some_and(|guest| manifest.contains_key(guest)),
            "{name}"
        );
    }
    assert!(manifest.contains_key("remittance"));
}

#[test]
fn no_source_has_changed_since_its_template_was_built() {
    for (guest, entry) in manifest() {
        let digest = source_digest(&repository(), &guest).expect("readable sources");
        assert_eq!(
            digest, entry.source_sha256,
            "the sources of {guest} changed: run `make guests`"
        );
    }
}

/// Files that decide about the bytes of a template, one of each kind, and whether they do.
const SOURCES: [(&str, bool); 10] = [
    ("wit/terminal/terminal.wit", true),
    ("guest-programs/build.sh", true),
    ("guest-programs/guest-logic/Cargo.toml", true),
    ("guest-programs/guest-logic/src/lib.rs", true),
    ("guest-programs/pack/src/template.rs", true),
    ("guest-programs/remittance/Cargo.lock", true),
    ("guest-programs/remittance/Cargo.toml", true),
    ("guest-programs/remittance/src/memory.rs", true),
    ("guest-programs/guest-logic/src/testing/cases.rs", false),
    ("guest-programs/guest-logic/tests/cases.rs", false),
];

#[test]
fn a_changed_added_or_renamed_source_changes_the_digest() {
    let copy = tempfile::tempdir().expect("a folder");
    for folder in ["wit", "guest-programs"] {
        copy_sources(&repository().join(folder), &copy.path().join(folder));
    }
    let digest = || source_digest(copy.path(), "remittance").expect("readable sources");
    let unchanged = digest();
    assert_eq!(
        unchanged,
        source_digest(&repository(), "remittance").expect("sources")
    );

    for (name, counts) in SOURCES {
        let file = copy.path().join(name);
        let content = fs::read(&file).expect(name);
        fs::write(&file, [content.as_slice(), b"\n"].concat()).expect("writable");
        assert_eq!(digest() != unchanged, counts, "{name}");
        fs::write(&file, content).expect("writable");
    }
    assert_eq!(digest(), unchanged);

    let logic = copy.path().join("guest-programs/guest-logic/src");
    fs::rename(logic.join("card.rs"), logic.join("cards.rs")).expect("renamed");
    assert_ne!(digest(), unchanged);
    fs::rename(logic.join("cards.rs"), logic.join("card.rs")).expect("renamed");
    fs::write(logic.join("empty.rs"), []).expect("writable");
    assert_ne!(digest(), unchanged);
}

fn copy_sources(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() && entry.file_name() != "target" => {
                copy_sources(&entry.path(), &to);
            }
            kind if kind.is_file() => {
                fs::copy(entry.path(), to).expect("copied");
            }
            _ => {}
        }
    }
}
