//! What is shipped has no failpoint, neither a name nor anything that looks for one, and no planted bug.

use crate::{APDUS, Desk, POINTS};
use anyhow::{Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};
use tests::processes::{armed, binary};

/// What stands in every binary that could switch a planted bug on (`server/planted`).
const PLANTED: &str = "tegata:planted-bugs-can-be-switched-on";

/// The failpoints whose names are in a binary.
fn names_in(file: &Path) -> Result<BTreeSet<String>> {
    let names: Vec<_> = POINTS.iter().map(|(name, _)| *name).collect();
    found_in(file, &names)
}

/// Which of these texts stand in a binary.
fn found_in(file: &Path, texts: &[&str]) -> Result<BTreeSet<String>> {
    let found = Command::new("grep")
        .args(["-a", "-o", "-F"])
        .args(texts.iter().flat_map(|text| ["-e", text]))
        .arg(file)
        .output()?;
    ensure!(matches!(found.status.code(), Some(0 | 1)), "{found:?}");
    let found = String::from_utf8(found.stdout)?;
    Ok(found.lines().map(str::to_owned).collect())
}

#[test]
fn no_shipped_binary_holds_the_name_of_a_failpoint() -> Result<()> {
    let mut found = BTreeSet::new();
    for name in ["tegata", "tegata-server", "tegata-card"] {
        assert_eq!(names_in(&binary(name)?)?, BTreeSet::new(), "{name}");
        let with = armed(name, "")?;
        found.extend(names_in(Path::new(with.get_program()))?);
    }
    // The same search finds all of them in the other build.
    let all: BTreeSet<_> = POINTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, all);
    Ok(())
}

#[test]
fn no_shipped_binary_can_switch_a_planted_bug_on() -> Result<()> {
    // The card's side has nothing to plant.
    for (name, plants) in [
        ("tegata", true),
        ("tegata-server", true),
        ("tegata-card", false),
    ] {
        let shipped = found_in(&binary(name)?, &[PLANTED])?;
        assert_eq!(shipped, BTreeSet::new(), "{name}");
        // The same search finds it in the other build, which is one with the simulation's.
        let with = armed(name, "")?;
        let with = found_in(Path::new(with.get_program()), &[PLANTED])?;
        assert_eq!(!with.is_empty(), plants, "{name}");
    }
    Ok(())
}

/// Compiles one crate alone, as a release does; gives whether that went and what the compiler said.
fn released(family: &str, feature: Option<&str>) -> Result<(bool, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server");
    let out = tempfile::tempdir()?;
    let feature = feature.map(|feature| format!("feature=\"{feature}\""));
    let output = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .args(["-C", "opt-level=3", "-C", "debug-assertions=off"])
        .args(feature.iter().flat_map(|feature| ["--cfg", feature]))
        .arg("--out-dir")
        .arg(out.path())
        .arg(root.join(family).join("src/lib.rs"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.success(), said))
}

#[test]
fn a_release_with_failpoints_or_planted_bugs_does_not_compile() -> Result<()> {
    for (family, feature) in [("crashpoint", "failpoints"), ("planted", "planted-bugs")] {
        let (compiled, said) = released(family, Some(feature))?;
        ensure!(!compiled, "{family} with {feature}");
        ensure!(said.contains("a release must not have them"), "{said}");
        let (compiled, said) = released(family, None)?;
        ensure!(compiled, "{family} as it is shipped: {said}");
    }
    Ok(())
}

#[test]
fn what_is_shipped_ignores_armed_failpoints_and_takes_four_exchanges_and_at_most_twelve_apdus()
-> Result<()> {
    let mut desk = Desk::new()?;
    desk.order("one")?;
    let mail = desk.world.mail(1)?;
    let armed = POINTS.iter().map(|(name, _)| format!("{name}=return;"));
    let reader = format!("emulated:{}", desk.world.card);
    let output = Command::new(binary("tegata")?)
        .args(["open", &mail, "--reader", &reader, "--yes", "--json"])
        .args(["--state", &desk.world.state])
        .env("FAILPOINTS", armed.collect::<String>())
        .stdin(Stdio::null())
        .output()?;
    let document: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(document["outcome"], "credited", "{document}");
    assert_eq!(document["exchanges"], 4);
    // What is killed around each command is killed around all of them, and twelve is the limit.
    assert_eq!(document["apdus"], APDUS.len());
    assert!(APDUS.len() <= 12);
    desk.credited_by(&mail, "with every failpoint armed")
}
