//! `tegata-card` as a user runs it: arguments in; output, messages and exit code out.

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use tempfile::TempDir;

fn tegata_card(folder: &Path, arguments: &[&str]) -> Assert {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata-card"));
    command.current_dir(folder).args(arguments).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("text")
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).expect("text")
}

fn folder_with_card() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["new", "a.card", "--uid", "04A1B2C3D4E5F6", "--seed", "2a"];
    tegata_card(folder.path(), &arguments).success();
    folder
}

#[test]
fn a_new_card_is_blank_and_shows_its_uid() {
    let folder = folder_with_card();
    let shown = tegata_card(folder.path(), &["show", "a.card"]).success();
    let expected =
        "UID              04A1B2C3D4E5F6\nPurse            none, the card was not personalised\n";
    assert_eq!(stdout(&shown), expected);
    let shown = tegata_card(folder.path(), &["show", "a.card", "--json"]).success();
    let json: serde_json::Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"version": 1, "uid": "04A1B2C3D4E5F6", "purse": null})
    );
}

#[test]
fn the_same_uid_and_seed_make_the_same_file() {
    let read = || std::fs::read(folder_with_card().path().join("a.card")).unwrap();
    assert_eq!(read(), read());
}

#[test]
fn a_random_card_has_the_usual_first_uid_byte() {
    let folder = tempfile::tempdir().unwrap();
    let made = tegata_card(folder.path(), &["new", "b.card"]).success();
    assert!(
        stderr(&made).starts_with("b.card: blank card with UID 04"),
        "{}",
        stderr(&made)
    );
}

#[test]
fn failures_name_their_code_and_the_next_step() {
    let folder = folder_with_card();
    let again = tegata_card(folder.path(), &["new", "a.card"]).code(1);
    assert_eq!(
        stderr(&again),
        "tegata-card: E_CARD_FILE_EXISTS: a.card exists already; choose another name, or delete it \
         yourself\n"
    );
    let missing = tegata_card(folder.path(), &["show", "b.card"]).code(1);
    assert_eq!(
        stderr(&missing),
        "tegata-card: E_CARD_FILE_MISSING: there is no card file b.card; make one with: \
         tegata-card new b.card\n"
    );
    std::fs::write(folder.path().join("c.card"), "hello").unwrap();
    let other = tegata_card(folder.path(), &["vpcd", "c.card"]).code(1);
    assert!(
        stderr(&other).starts_with("tegata-card: E_CARD_FILE_KIND: "),
        "{}",
        stderr(&other)
    );
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["new"],
        &["new", "a.card", "--uid", "04A1"],
        &["new", "a.card", "--uid", "00000000000000"],
        &["new", "a.card", "--seed", "xy"],
        &["vpcd", "a.card", "--port", "65536"],
    ] {
        tegata_card(folder.path(), arguments).code(2);
    }
    assert!(!folder.path().join("a.card").exists());
}

#[test]
fn help_gives_examples_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let help = stdout(&tegata_card(folder.path(), &["--help"]).success());
    assert!(
        help.contains("Examples:") && help.contains("Exit codes: 0 done, 1 failed, 2 wrong usage")
    );
}

#[test]
fn a_new_card_in_a_folder_that_is_not_there_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let ended = tegata_card(folder.path(), &["new", "none/a.card"]).code(1);
    let said = String::from_utf8(ended.get_output().stderr.clone()).unwrap();
    assert!(said.contains("there is no folder none"), "{said}");
}
