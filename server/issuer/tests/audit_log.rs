//! The audit log through real processes: sealed by a running server, exported, verified without it.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Looks of a wait, and the time between two: 30 s in all.
const POLLS: u32 = 1_500;
const POLL: Duration = Duration::from_millis(20);

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata-server"));
    command.args(args).current_dir(dir).env_clear();
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

/// Runs a command that must succeed; gives its document.
fn done(dir: &Path, args: &[&str]) -> Value {
    let output = run(dir, &[args, &["--json"]].concat());
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {talk}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A running server, ended with SIGKILL.
struct Server(Child);

impl Server {
    fn start(dir: &Path) -> Self {
        let args = ["serve", "--data", "d", "--mail-dir", "mails"];
        let quiet = command(dir, &args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(quiet.unwrap())
    }

    fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn office() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    done(path, &["init", "--data", "d", "--issuer", "money.example"]);
    dir
}

/// Adds a holder with money: three records.
fn holder(dir: &Path) {
    let added = done(dir, &["holder", "add", "--data", "d", "--name", "Aiko"]);
    let id = added["holder"].as_str().unwrap();
    let fund = [
        "account", "fund", "--data", "d", "--holder", id, "--amount", "100",
    ];
    done(dir, &fund);
}

/// Waits until everything is sealed; gives the summary of an export to `out`.
fn sealed(dir: &Path, out: &str) -> Value {
    for _ in 0..POLLS {
        let _ = fs::remove_file(dir.join(out));
        let summary = done(dir, &["audit", "export", "--data", "d", "--out", out]);
        if summary["unsealed"] == 0 && summary["heads"] != 0 {
            return summary;
        }
        std::thread::sleep(POLL);
    }
    panic!("not sealed in time");
}

fn audit_key(dir: &Path) -> String {
    let list = done(dir, &["keys", "list", "--data", "d"]);
    let keys = list["keys"].as_array().unwrap();
    let audit = keys.iter().find(|key| key["purpose"] == "audit").unwrap();
    audit["public"].as_str().unwrap().to_owned()
}

/// Verifies a file; gives the exit code and the document.
fn verify(dir: &Path, file: &str, key: &str, more: &[&str]) -> (Option<i32>, Value) {
    let args = ["audit", "verify", file, "--key", key, "--json"];
    let output = run(dir, &[&args[..], more].concat());
    let document = serde_json::from_slice(&output.stdout);
    (output.status.code(), document.unwrap_or_default())
}

fn finding(dir: &Path, lines: &[&str], key: &str, more: &[&str]) -> (String, String, u64) {
    fs::write(dir.join("bad.log"), lines.join("\n") + "\n").unwrap();
    let (code, document) = verify(dir, "bad.log", key, more);
    assert_eq!(code, Some(1), "{document}");
    let finding = &document["finding"];
    let text = |field: &str| finding[field].as_str().unwrap().to_owned();
    (
        text("code"),
        text("subject"),
        finding["number"].as_u64().unwrap(),
    )
}

#[test]
fn a_log_is_sealed_while_serving_and_verified_with_a_key_alone() {
    let dir = office();
    let dir = dir.path();
    holder(dir);
    let server = Server::start(dir);
    let first = sealed(dir, "first.log");
    let head = run(dir, &["audit", "head", "--data", "d"]);
    fs::write(dir.join("first.head"), head.stdout).unwrap();
    holder(dir);
    let second = sealed(dir, "second.log");
    assert!(second["records"].as_u64() > first["records"].as_u64());
    assert!(done(dir, &["audit", "--data", "d"])["balanced"] == true);
    server.kill();

    let key = audit_key(dir);
    // the file and the key are all that is needed
    fs::rename(dir.join("d"), dir.join("away")).unwrap();
    let known = ["--head", "first.head"];
    let (code, document) = verify(dir, "second.log", &key, &known);
    assert_eq!(
        (code, &document["whole"]),
        (Some(0), &Value::Bool(true)),
        "{document}"
    );
    assert_eq!(document["records"], second["records"]);
    let listed = run(
        dir,
        &["audit", "verify", "second.log", "--key", &key, "--list"],
    );
    let listed = String::from_utf8(listed.stdout).unwrap();
    for kind in ["key-added", "template-kept", "holder-added", "posted"] {
        assert!(listed.contains(kind), "{kind}: {listed}");
    }
    assert!(listed.contains("log whole"), "{listed}");

    let text = fs::read_to_string(dir.join("second.log")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut removed = lines.clone();
    removed.remove(2);
    assert_eq!(
        finding(dir, &removed, &key, &[]),
        ("removed".into(), "record".into(), 2)
    );
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    assert_eq!(
        finding(dir, &swapped, &key, &[]),
        ("reordered".into(), "record".into(), 3)
    );
    let altered = lines[4].replacen("record 4 8", "record 4 9", 1);
    let mut changed = lines.clone();
    changed[4] = &altered;
    assert_eq!(
        finding(dir, &changed, &key, &[]),
        ("altered".into(), "record".into(), 4)
    );
    let mut inserted = lines.clone();
    inserted.insert(2, lines[1]);
    assert_eq!(
        finding(dir, &inserted, &key, &[]),
        ("inserted".into(), "record".into(), 2)
    );
    // a log cut at a head is a log, unless a later head is known
    let cut = &lines[..3];
    let known = ["--head", "second.log"];
    assert_eq!(
        finding(dir, cut, &key, &known),
        ("removed".into(), "record".into(), 3)
    );
    let stranger = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let (code, document) = verify(dir, "second.log", stranger, &[]);
    assert_eq!(
        (code, &document["finding"]["subject"]),
        (Some(1), &Value::from("head"))
    );
}

#[test]
fn a_server_killed_while_it_seals_leaves_a_chain_that_verifies() {
    let dir = office();
    let dir = dir.path();
    let key = audit_key(dir);
    for round in 0..4 {
        let server = Server::start(dir);
        holder(dir);
        // whatever the sealer does at this moment
        server.kill();
        let out = format!("{round}.log");
        done(dir, &["audit", "export", "--data", "d", "--out", &out]);
        let (code, document) = verify(dir, &out, &key, &[]);
        assert_eq!(code, Some(0), "{document}");
        assert!(done(dir, &["audit", "--data", "d"])["balanced"] == true);
    }
    let server = Server::start(dir);
    let whole = sealed(dir, "whole.log");
    server.kill();
    let (code, document) = verify(dir, "whole.log", &key, &["--head", "whole.log"]);
    assert_eq!((code, &document["records"]), (Some(0), &whole["records"]));
}

#[test]
fn keys_and_their_revocations_stand_in_the_log() {
    let dir = office();
    let dir = dir.path();
    holder(dir);
    let key = audit_key(dir);
    let server = Server::start(dir);
    sealed(dir, "whole.log");
    let rotated = done(dir, &["keys", "rotate", "audit", "--data", "d"]);
    assert_eq!(rotated["key"]["purpose"], "audit");
    let revoked = done(dir, &["keys", "list", "--data", "d"]);
    let mut program = revoked["keys"].as_array().unwrap().iter();
    let program = program.find(|key| key["purpose"] == "program").unwrap();
    let id = program["key_id"].as_str().unwrap();
    done(dir, &["keys", "revoke", id, "--data", "d"]);
    sealed(dir, "later.log");
    server.kill();
    let listed = run(
        dir,
        &["audit", "verify", "later.log", "--key", &key, "--list"],
    );
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("key-revoked"), "{listed}");
    assert_eq!(listed.matches("key-added").count(), 5, "{listed}");
}

#[test]
fn a_log_is_not_verified_without_a_key_and_never_overwritten() {
    let dir = office();
    let dir = dir.path();
    done(dir, &["audit", "export", "--data", "d", "--out", "one.log"]);
    let again = run(dir, &["audit", "export", "--data", "d", "--out", "one.log"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(
        run(dir, &["audit", "verify", "one.log"]).status.code(),
        Some(2)
    );
    let key = audit_key(dir);
    let (code, document) = verify(dir, "one.log", &key, &[]);
    assert_eq!((code, &document["heads"]), (Some(0), &Value::from(0)));
    assert_eq!(document["unsealed"], document["records"]);
    assert_eq!(verify(dir, "missing.log", &key, &[]).0, Some(1));
    assert_eq!(verify(dir, "one.log", "no key", &[]).0, Some(1));
    // the folder in the environment does not get into the way of a command without one
    let verified = command(dir, &["audit", "verify", "one.log", "--key", &key])
        .env("TEGATA_DATA", "d")
        .output()
        .unwrap();
    assert!(verified.status.success());
    let balanced = command(dir, &["audit"])
        .env("TEGATA_DATA", "d")
        .output()
        .unwrap();
    assert!(balanced.status.success());
}
