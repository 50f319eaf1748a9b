//! What two persons decide, at the command line: names, tokens, reasons.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

const NOBODY: &str = "0192f0c1-2a3b-7c4d-8e5f-0123456789ab";

fn server(dir: &Path, args: &[&str], typed: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tegata-server"))
        .args(args)
        .args(["--data", "d"])
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // a command that ends without asking does not read it
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    child.wait_with_output().unwrap()
}

fn token(dir: &Path, name: &str) -> String {
    let added = server(dir, &["officer", "add", name, "--json"], "");
    let document: serde_json::Value = serde_json::from_slice(&added.stdout).unwrap();
    document["token"].as_str().unwrap().to_owned()
}

fn said(output: &Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn two_officers_give_their_own_tokens_and_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(
        server(dir, &["init", "--issuer", "money.example"], "")
            .status
            .success()
    );
    let (alice, bob) = (token(dir, "alice"), token(dir, "bob"));
    assert!(said(&server(dir, &["officer", "add", "bob"], "")).contains("in use"));
    let close = |by: &str, and: &str, reason: &str, typed: &str| {
        let two = ["--by", by, "--and", and, "--reason", reason];
        said(&server(
            dir,
            &[&["reconcile", "close", NOBODY], &two[..]].concat(),
            typed,
        ))
    };
    let both = format!("{alice}\n{bob}\n");
    let longest = "x".repeat(200);
    for (by, and, reason, typed, expected) in [
        (
            "alice",
            "alice",
            "lost",
            both.as_str(),
            "two different persons",
        ),
        ("alice", "bob", "", both.as_str(), "1 to 200"),
        ("alice", "bob", &"x".repeat(201), both.as_str(), "1 to 200"),
        ("alice", "bob", "lost", "nothing\n", "no token"),
        ("bob", "alice", "lost", both.as_str(), "officer list"),
        ("alice", "carol", "lost", both.as_str(), "officer list"),
        // the persons are right, the remittance is none
        (
            "alice",
            "bob",
            &longest,
            both.as_str(),
            "no such remittance",
        ),
    ] {
        let told = close(by, and, reason, typed);
        assert!(told.contains(expected), "{by} {and}: {told}");
        assert!(!told.contains(&alice) && !told.contains(&bob), "{told}");
    }
    let resolve = [
        "reconcile",
        "resolve",
        "3",
        "--block",
        "--by",
        "alice",
        "--and",
        "bob",
    ];
    let told = said(&server(
        dir,
        &[&resolve[..], &["--reason", "x"]].concat(),
        &both,
    ));
    assert!(told.contains("is no case"), "{told}");
}

#[test]
fn one_who_runs_the_machine_alone_does_not_become_two_persons() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let init = ["init", "--issuer", "money.example"];
    assert!(server(dir, &init, "").status.success());
    let (alice, bob) = (token(dir, "alice"), token(dir, "bob"));
    let both = format!("{alice}\n{bob}\n");
    let eve = ["officer", "add", "eve", "--token-file", "eve"];
    assert!(said(&server(dir, &eve, "")).contains("two officers have to approve"));
    let remove = ["officer", "remove", "bob"];
    assert!(said(&server(dir, &remove, &both)).contains("fewer than two"));
    let two = ["--by", "alice", "--and", "bob", "--reason", "she joined us"];
    let carol = ["officer", "add", "carol", "--token-file", "carol", "--json"];
    for _ in 0..2 {
        let added = server(dir, &[&carol[..], &two].concat(), &both);
        assert!(added.status.success(), "{added:?}");
        let shown = String::from_utf8(added.stdout).unwrap();
        assert!(
            !shown.contains("tgt_"),
            "the token is in its file only: {shown}"
        );
    }
    let token = std::fs::read_to_string(dir.join("carol")).unwrap();
    assert!(token.starts_with("tgt_"));
    let window = ["officer", "window", "--set", "60"];
    assert!(said(&server(dir, &window, "")).contains("two officers have to approve"));
    let forged = format!("{alice}\n{token}");
    let wrong = server(dir, &[&window[..], &two].concat(), &forged);
    assert!(said(&wrong).contains("officer list"));
    let set = server(dir, &[&window[..], &two].concat(), &both);
    assert!(set.status.success(), "{set:?}");
    let removed = server(dir, &[&remove[..], &two].concat(), &both);
    assert!(removed.status.success(), "{removed:?}");
    // whom two sent away decides nothing more
    let late = ["reconcile", "close", NOBODY];
    let told = said(&server(dir, &[&late[..], &two].concat(), &both));
    assert!(told.contains("officer list"), "{told}");
}
