//! The other commands: trust, inspect, receipt, and wrong command lines.

use crate::world::{Answer, ISSUER, World, signing};
use wire::descriptor::fingerprint;

fn root_fingerprint(seed: u8) -> String {
    fingerprint(&signing(seed).verifying_key().to_bytes())
}

#[test]
fn an_issuer_is_trusted_by_its_fingerprint() {
    let world = World::new();
    let add = ["trust", "add", "--dev", &world.base, "--fingerprint"];
    let wrong = world.run(&[&add[..], &[&root_fingerprint(2)]].concat());
    wrong.expect(5, "E_FINGERPRINT");
    assert_eq!(
        world.run(&["trust", "list"]).document["issuers"],
        serde_json::json!([])
    );
    let typed = root_fingerprint(1).to_lowercase().replace('-', " ");
    let right = world.run(&[&add[..], &[&typed]].concat());
    right.expect_outcome("trusted");
    assert_eq!(right.document["basis"], "fingerprint");
    let listed = &world.run(&["trust", "list"]).document["issuers"][0];
    assert_eq!(listed["issuer"], ISSUER);
    assert_eq!(listed["fingerprint"], root_fingerprint(1));
    assert_eq!(listed["keys"][0]["purpose"], "program");
}

#[test]
fn trust_on_first_use_is_asked_for_and_said_as_such() {
    let world = World::new();
    world
        .run(&["trust", "add", "--dev", &world.base])
        .expect(3, "E_NO_CONSENT");
    let added = world.run(&["trust", "add", "--dev", &world.base, "--yes"]);
    added.expect_outcome("trusted");
    assert_eq!(added.document["basis"], "first use");
    assert!(added.talk.contains("trust on first use"), "{}", added.talk);
}

#[test]
fn another_root_under_a_trusted_name_is_refused() {
    let world = World::trusting();
    world.publish(&world.descriptor(2));
    world
        .run(&["trust", "add", "--dev", &world.base, "--yes"])
        .expect(5, "E_ROOT_CHANGED");
    let listed = &world.run(&["trust", "list"]).document["issuers"][0];
    assert_eq!(listed["fingerprint"], root_fingerprint(1));
}

#[test]
fn addresses_that_are_no_issuers_are_refused_before_anything_is_sent() {
    let world = World::new();
    for address in [
        world.base.as_str(),
        "http://pay.example.org",
        "https://127.0.0.1",
        "../x",
    ] {
        world
            .run(&["trust", "add", address, "--yes"])
            .expect(2, "E_ORIGIN");
    }
    world.publish(b"not a descriptor");
    world
        .run(&["trust", "add", "--dev", &world.base, "--yes"])
        .expect(5, "E_DESCRIPTOR");
}

#[test]
fn inspect_shows_what_is_claimed_and_who_stands_behind_it() {
    let world = World::new();
    let file = world.program("p", &world.order(), 10);
    let file = file.to_str().unwrap();
    let unknown = world.run(&["inspect", file]);
    unknown.expect_outcome("unverified");
    assert_eq!(unknown.document["verdict"], "E_ISSUER_UNTRUSTED");
    assert_eq!(unknown.document["amount"], "JPY 2,500");
    let world = World::trusting();
    let known = world.run(&["inspect", file]);
    known.expect_outcome("verified");
    assert_eq!(known.document["verdict"], serde_json::Value::Null);
    // Inspecting is not opening: nothing is remembered and nothing fetched.
    assert!(!world.state().join("journal").exists());
}

#[test]
fn what_is_no_program_is_refused_by_its_content() {
    let world = World::trusting();
    for (bytes, code) in [
        (&b""[..], "E_FORMAT"),
        (b"\0asm\x01\0\0\0", "E_FORMAT"),
        (b"(component)", "E_FORMAT"),
        (b"\x7fELF", "E_FORMAT"),
        (b"PK\x03\x04", "E_FORMAT"),
        (b"\0asm\x0d\0\x01\0", "E_SIG_FORM"),
        (b"Subject: hello\r\n\r\nhello", "E_NO_PROGRAM"),
    ] {
        let path = world.dir.path().join("x.tegata");
        std::fs::write(&path, bytes).unwrap();
        world
            .run(&["inspect", path.to_str().unwrap()])
            .expect(4, code);
        world.open(&path).expect(4, code);
    }
}

#[test]
fn a_program_from_standard_input_is_opened_too() {
    let world = World::trusting();
    let file = world.program("p", &world.order(), 10);
    let output = assert_cmd::Command::cargo_bin("tegata")
        .unwrap()
        .args(["inspect", "-", "--state", world.state().to_str().unwrap()])
        .pipe_stdin(file)
        .unwrap()
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.starts_with("Signed by an issuer you trust.\n"),
        "{shown}"
    );
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    let world = World::new();
    for args in [
        &[][..],
        &["open"],
        &["opens", "x"],
        &["trust"],
        &["open", "x", "--lang", "fr"],
    ] {
        assert_eq!(world.run(args).exit, 2, "{args:?}");
    }
}

#[test]
fn an_unknown_receipt_has_a_code() {
    let world = World::trusting();
    let id = "00000000-0000-0000-0000-000000000000";
    world.run(&["receipt", id]).expect(1, "E_RECEIPT_UNKNOWN");
    world.run(&["receipt", "no-such-file"]).expect(1, "E_INPUT");
    assert_eq!(
        world.run(&["receipt"]).document["receipts"],
        serde_json::json!([])
    );
}

#[test]
fn a_number_that_several_issuers_use_names_no_receipt() {
    let world = World::trusting();
    let order = world.order();
    world.script([Answer::receipt(&world.receipt(&order))]);
    let opened = world.open(&world.program("p", &order, 10));
    let id = opened.document["remittance"].as_str().unwrap();
    world.run(&["receipt", id]).expect_outcome("done");
    let receipts = world.state().join("receipts");
    let own = receipts.join(format!("{ISSUER}/{id}.receipt"));
    let other = receipts.join("a.example.org");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(&own, other.join(format!("{id}.receipt"))).unwrap();
    let ambiguous = world.run(&["receipt", id]);
    ambiguous.expect(1, "E_RECEIPT_AMBIGUOUS");
    assert_eq!(
        ambiguous.document["detail"],
        format!("a.example.org, {ISSUER}")
    );
    world
        .run(&["receipt", own.to_str().unwrap()])
        .expect_outcome("done");
}

#[test]
fn a_receipt_is_read_from_a_regular_file_only() {
    let world = World::trusting();
    let pipe = world.dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [pipe.to_str().unwrap(), "/dev/zero", "/"] {
        world.run(&["receipt", path]).expect(1, "E_INPUT");
    }
}

#[test]
fn a_receipt_that_no_longer_verifies_is_listed_as_such() {
    let world = World::trusting();
    let order = world.order();
    world.script([Answer::receipt(&world.receipt(&order))]);
    world
        .open(&world.program("p", &order, 10))
        .expect_outcome("already-credited");
    let list = world.run(&["receipt"]).document;
    assert_eq!(list["receipts"][0]["amount_minor"], 2500);
    world.publish(&world.signed_descriptor(1, Vec::new(), world.now + 1));
    world
        .run(&["trust", "add", "--dev", &world.base])
        .expect_outcome("trusted");
    let list = world.run(&["receipt"]).document;
    assert_eq!(list["receipts"][0]["code"], "E_RECEIPT");
    let id = list["receipts"][0]["remittance"].as_str().unwrap();
    world.run(&["receipt", id]).expect(1, "E_RECEIPT");
}

#[test]
fn a_state_folder_that_cannot_be_used_is_an_error() {
    let world = World::new();
    std::fs::write(world.state(), b"a file").unwrap();
    world.run(&["trust", "list"]).expect(1, "E_STATE");
}

#[test]
fn every_command_has_examples_in_its_help() {
    for command in [
        &[][..],
        &["open"],
        &["inspect"],
        &["cards"],
        &["receipt"],
        &["log"],
        &["log", "verify"],
        &["trust", "add"],
        &["trust", "list"],
        &["trust", "show"],
        &["trust", "remove"],
        &["trust", "reset-time"],
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tegata"))
            .args(command)
            .arg("--help")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let example = format!("  tegata {}", command.join(" "));
        assert!(
            output.status.success() && help.contains("Example") && help.contains(&example),
            "{command:?}: {help}"
        );
    }
}
