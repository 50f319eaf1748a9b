//! The command line as an office uses it: real processes on a temporary folder.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

fn server(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tegata-server"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .output()
        .unwrap()
}

/// Runs a command that must succeed; gives its document.
fn done(dir: &Path, args: &[&str]) -> Value {
    let output = server(dir, &[args, &["--data", "d", "--json"]].concat());
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {talk}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["version"], 1);
    document
}

/// Runs a command that must fail with exit code 1; gives what it said.
fn failed(dir: &Path, args: &[&str]) -> String {
    let output = server(dir, &[args, &["--data", "d"]].concat());
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    assert!(output.stdout.is_empty(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn office() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &["init", "--issuer", "money.example"]);
    dir
}

fn text(document: &Value, field: &str) -> String {
    document[field].as_str().unwrap().to_owned()
}

/// A backup that was killed leaves a file which the next one of that name takes away; while another one
/// is being written, nothing is taken away from it.
#[test]
fn a_backup_that_broke_off_does_not_stop_the_next() {
    let dir = office();
    let left = ["copy.db.unfinished", "copy.db.unfinished-wal"].map(|name| dir.path().join(name));
    for path in &left {
        std::fs::write(path, "what a killed backup left").unwrap();
    }
    let lock = std::fs::File::open(dir.path().join("d/issuer.json")).unwrap();
    lock.lock().unwrap();
    let said = failed(dir.path(), &["backup", "copy.db"]);
    assert!(said.contains("wait for its end"), "{said}");
    assert!(left.iter().all(|path| path.exists()));
    drop(lock);
    assert_eq!(done(dir.path(), &["backup", "copy.db"])["balanced"], true);
    assert!(!left.iter().any(|path| path.exists()));
    let said = failed(dir.path(), &["backup", "copy.db"]);
    assert!(said.contains("name a new file"), "{said}");
    done(dir.path(), &["restore", "copy.db"]);
}

/// A name may stand for something without an end.
#[test]
fn a_file_that_is_named_is_read_up_to_its_limit() {
    let dir = office();
    let endless = "/dev/zero";
    for args in [
        &["order", "receipt", endless, "--data", "d"][..],
        &["audit", "verify", endless, "--descriptor", endless],
    ] {
        let output = server(dir.path(), args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("longer than"), "{said}");
    }
}

#[test]
fn an_issuer_is_made_once_and_only_under_a_dns_name() {
    let dir = office();
    let said = failed(dir.path(), &["init", "--issuer", "money.example"]);
    assert!(said.contains("issuer already"), "{said}");
    let other = tempfile::tempdir().unwrap();
    let said = failed(other.path(), &["init", "--issuer", "Money Example"]);
    assert!(said.contains("DNS name"), "{said}");
    let said = failed(other.path(), &["audit"]);
    assert!(said.contains("init"), "{said}");
}

#[test]
fn funding_needs_the_currencys_decimals_and_counts_once() {
    let dir = office();
    let dir = dir.path();
    let holder = text(
        &done(dir, &["holder", "add", "--name", "Aiko Sato"]),
        "holder",
    );
    let fund = |amount: &'static str| {
        ["account", "fund", "--holder", &holder, "--amount", amount].map(str::to_owned)
    };
    for amount in ["0", "-1", "1.5", "x"] {
        let args = fund(amount);
        failed(dir, &args.each_ref().map(String::as_str));
    }
    let args = fund("10000");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let first = done(dir, &args);
    assert_eq!(first["balance_minor"], 10_000);
    let transfer = text(&first, "transfer");
    let again = done(dir, &[&args[..], &["--transfer", &transfer]].concat());
    assert_eq!(again["balance_minor"], 10_000);
    let audit = done(dir, &["audit"]);
    assert_eq!(audit["balanced"], true);
    assert_eq!(audit["totals"][0]["float"], "-10000");
}

#[test]
fn emulated_cards_need_their_flag_to_be_issued_and_to_be_served() {
    let dir = office();
    let dir = dir.path();
    let chip = card_sim::Card::new([4, 1, 2, 3, 4, 5, 6], [1; 32]);
    card_reader::create(&dir.join("card"), &chip).unwrap();
    let holder = text(&done(dir, &["holder", "add", "--name", "Ben"]), "holder");
    let issue = [
        "card",
        "issue",
        "--reader",
        "emulated:card",
        "--holder",
        &holder,
    ];
    assert!(failed(dir, &issue).contains("--accept-emulated-cards"));
    let issued = done(dir, &[&issue[..], &["--accept-emulated-cards"]].concat());
    assert!(text(&issued, "masked").ends_with(&text(&issued, "number")[15..]));
    assert!(failed(dir, &["serve"]).contains("--accept-emulated-cards"));

    let cards = done(dir, &["card", "list"]);
    assert_eq!(cards["cards"][0]["status"], "active");
    done(dir, &["card", "block", &text(&issued, "card")]);
    let cards = done(dir, &["card", "list"]);
    assert_eq!(cards["cards"][0]["status"], "blocked");
}

#[test]
fn a_server_outside_of_loopback_needs_a_proxy() {
    let dir = office();
    let said = failed(dir.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert!(said.contains("--behind-proxy"), "{said}");
}

#[test]
fn signing_keys_are_listed_rotated_and_revoked() {
    let dir = office();
    let dir = dir.path();
    let listed = done(dir, &["keys", "list"]);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 4);
    assert_eq!(text(&listed, "fingerprint").len(), 19);
    let added = done(dir, &["keys", "rotate", "program"]);
    let id = text(&added["key"], "key_id");
    assert_eq!(
        done(dir, &["keys", "revoke", &id])["key"]["state"],
        "revoked"
    );
    assert_eq!(
        done(dir, &["keys", "list"])["keys"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    assert!(failed(dir, &["keys", "rotate", "roof"]).contains("roof"));
    let rotated = done(dir, &["keys", "rotate", "root"]);
    assert_eq!(text(&rotated, "was"), text(&listed, "fingerprint"));
    let now = text(&done(dir, &["keys", "list"]), "fingerprint");
    assert_eq!(now, text(&rotated, "fingerprint"));
    assert_ne!(now, text(&rotated, "was"));
    assert!(failed(dir, &["keys", "revoke", "00"]).contains("00"));
}

#[test]
fn names_and_addresses_with_line_breaks_are_refused() {
    let dir = office();
    let dir = dir.path();
    failed(dir, &["holder", "add", "--name", "Ben\r\nBcc: x@y"]);
    failed(
        dir,
        &[
            "holder",
            "add",
            "--name",
            "Ben",
            "--email",
            "a@b\r\nBcc: x@y",
        ],
    );
    failed(dir, &["holder", "add", "--name", ""]);
    failed(dir, &["holder", "add", "--name", &"n".repeat(65)]);
    done(dir, &["holder", "add", "--name", &"n".repeat(64)]);
    assert_eq!(
        done(dir, &["holder", "list"])["holders"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_failure_says_what_to_do_next() {
    let dir = office();
    let dir = dir.path();
    let nobody = "0192f0c1-2a3b-7c4d-8e5f-0123456789ab";
    let issue = |reader| {
        [
            "card",
            "issue",
            "--reader",
            reader,
            "--holder",
            nobody,
            "--value-max",
            "5",
        ]
    };
    let missing = issue("emulated:none");
    let mut beyond = missing;
    beyond[7] = "1000001";
    for (args, next) in [
        (
            &["init", "--issuer", "a.example", "--currency", "XXX"][..],
            "JPY",
        ),
        (&["init", "--issuer", "a.example"], "choose another folder"),
        (&["holder", "add", "--name", ""], "1 to 64"),
        (
            &["account", "fund", "--holder", nobody, "--amount", "1"],
            "holder list",
        ),
        (&missing, "tegata-card new"),
        (&beyond, "1 to 1000000"),
        (&["card", "block", nobody], "card list"),
        (&["keys", "revoke", "00"], "keys list"),
        (&["card", "lost", nobody], "card list"),
        (&["card", "payout", nobody], "card list"),
        (&["card", "lost", "12"], "card number"),
        (&["officer", "add", "Alice"], "a to z"),
        (&["payable", "send", nobody, "--to", "1"], "no such holder"),
        (&["order", "show", nobody], "order list"),
    ] {
        let said = failed(dir, args);
        assert!(said.contains(next), "{args:?}: {said}");
    }
}

#[test]
fn help_gives_examples_and_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["serve", "--help"], &["audit", "--help"]] {
        let output = server(dir.path(), args);
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && help.contains("Example"),
            "{help}"
        );
    }
    let help = server(dir.path(), &["--help"]).stdout;
    assert!(String::from_utf8(help).unwrap().contains("Exit codes"));
}
