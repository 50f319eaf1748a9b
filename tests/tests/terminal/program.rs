//! What the terminal refuses to run, and in which form it takes what it runs.

use crate::{AMOUNT, Desk, assert_refused, receipt_of};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::process::Command;
use tests::{
    processes::{binary, run, run_with_input},
    world::{ISSUER, Opened, SENDER_START, World, text},
};

/// Largest program file, in bytes (docs/terminal.md).
const PROGRAM_LEN_MAX: usize = 64 * 1024;

fn open_bytes(desk: &Desk, bytes: &[u8]) -> Result<Opened> {
    let file = desk.file("bytes.tegata", bytes)?;
    desk.world.open(&file)
}

#[test]
fn changed_cut_and_foreign_bytes_never_run() -> Result<()> {
    let desk = Desk::new()?;
    desk.ordered()?;
    let program = desk.world.program(1)?;
    let flipped = |at: usize| {
        let mut forged = program.clone();
        forged[at] ^= 1;
        forged
    };
    let last = program.len() - 1;
    let mut long = program.clone();
    long.resize(PROGRAM_LEN_MAX, 0);
    let mut too_long = long.clone();
    too_long.push(0);
    for (name, bytes, code) in [
        ("a bit of the signature", flipped(100), "E_SIG"),
        ("a bit of the template", flipped(1_000), "E_SIG"),
        ("a bit of the order, at the end", flipped(last), "E_SIG"),
        ("the last byte cut off", program[..last].to_vec(), "E_SIG"),
        ("half of it", program[..last / 2].to_vec(), "E_SIG"),
        ("the header alone", program[..8].to_vec(), "E_SIG_FORM"),
        ("less than the header", program[..7].to_vec(), "E_FORMAT"),
        ("nothing", Vec::new(), "E_FORMAT"),
        ("another kind of file", b"%PDF-1.7\n".to_vec(), "E_FORMAT"),
        ("a core module", b"\0asm\x01\0\0\0".to_vec(), "E_FORMAT"),
        ("64 KiB", long, "E_SIG"),
        ("64 KiB and a byte", too_long, "E_SIZE"),
    ] {
        let opened = open_bytes(&desk, &bytes).context(name)?;
        assert_refused(&opened, 4, code);
    }
    assert_refused(&desk.world.open(&desk.path("absent.eml"))?, 1, "E_INPUT");
    desk.still_open()?;
    receipt_of(&open_bytes(&desk, &program)?, "credited")?;
    desk.credited_once()
}

#[test]
fn a_mail_holds_exactly_one_program() -> Result<()> {
    let desk = Desk::new()?;
    let mail = fs::read_to_string(desk.ordered()?)?;
    let boundary = mail
        .split("boundary=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .context("a boundary")?;
    let line = format!("--{boundary}");
    let parts: Vec<&str> = mail.split(&line).collect();
    let [head, letter, attachment, end] = parts.as_slice() else {
        anyhow::bail!("a letter and an attachment, not {} parts", parts.len())
    };
    let none = [*head, letter, end].join(&line);
    let two = [*head, letter, attachment, attachment, end].join(&line);
    let forward = |mails: &[&str]| {
        let part = "--fw\r\nContent-Type: message/rfc822\r\n\r\n";
        let inner: String = mails.iter().map(|m| format!("{part}{m}\r\n")).collect();
        let head = "Subject: Fw\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=fw";
        format!("{head}\r\n\r\n{inner}--fw--\r\n")
    };
    for (content, code) in [
        (none, "E_NO_PROGRAM"),
        (two, "E_SEVERAL_PROGRAMS"),
        (forward(&[&mail, &mail]), "E_SEVERAL_PROGRAMS"),
    ] {
        let file = desk.file("altered.eml", content.as_bytes())?;
        assert_refused(&desk.world.open(&file)?, 4, code);
    }
    desk.still_open()?;
    let file = desk.file("forwarded.eml", forward(&[&mail]).as_bytes())?;
    receipt_of(&desk.world.open(&file)?, "credited")?;
    desk.credited_once()
}

#[test]
fn a_mail_on_standard_input_is_opened_like_a_file() -> Result<()> {
    let desk = Desk::new()?;
    let mail = fs::read(desk.ordered()?)?;
    let reader = format!("emulated:{}", desk.world.card);
    let state = desk.world.state.as_str();
    let args = [
        "open", "-", "--reader", &reader, "--yes", "--json", "--state", state,
    ];
    let output = run_with_input("tegata", &args, &mail)?;
    let document: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(document["outcome"], "credited");
    assert_eq!(document["amount_minor"], AMOUNT);
    desk.credited_once()
}

#[test]
fn without_yes_and_without_a_window_nothing_runs() -> Result<()> {
    let desk = Desk::new()?;
    let mail = desk.ordered()?;
    let reader = format!("emulated:{}", desk.world.card);
    let json = desk
        .world
        .terminal(&["open", &mail, "--reader", &reader, "--json"])?;
    assert_refused(&json, 3, "E_NO_CONSENT");
    let text = desk
        .world
        .terminal(&["open", &mail, "--reader", &reader, "--lang", "en"])?;
    assert_eq!(text.exit, 3);
    assert_eq!(text.document, Value::Null, "no document was asked for");
    let told: Vec<&str> = text.talk.lines().collect();
    assert!(told.iter().any(|l| l.contains("JPY 2,500")), "{told:?}");
    let at = told
        .iter()
        .position(|l| *l == "code E_NO_CONSENT")
        .context("the code stands alone on its line")?;
    assert_eq!(
        at + 2,
        told.len(),
        "before it what happened, after it what to do"
    );
    desk.still_open()
}

#[test]
fn a_program_of_an_issuer_that_is_not_trusted_does_not_run() -> Result<()> {
    let desk = Desk::new()?;
    let folder = tempfile::tempdir()?;
    let other = World::of(folder.path(), "other.tegata.example")?;
    let server = other.serve()?;
    other.order(&server, "one", AMOUNT, None)?;
    let opened = desk.world.open(&other.mail(1)?)?;
    assert_refused(&opened, 5, "E_ISSUER_UNTRUSTED");
    assert_eq!(other.balances()?.on_card, 0);
    other.audit()?;
    desk.money_is(0, SENDER_START)
}

#[test]
fn another_key_under_the_issuers_name_does_not_sign_for_it() -> Result<()> {
    let desk = Desk::new()?;
    // Somebody else's server that calls itself by the same name, with keys of its own.
    let folder = tempfile::tempdir()?;
    let double = World::of(folder.path(), ISSUER)?;
    let server = double.serve()?;
    double.order(&server, "one", AMOUNT, None)?;
    let opened = desk.world.open(&double.mail(1)?)?;
    assert_refused(&opened, 4, "E_KEY_UNKNOWN");
    // Nor does it become trusted by being asked for under the known name.
    let base = server.base.as_str();
    let args = ["trust", "add", "--dev", base, "--yes", "--json"];
    let added = desk.world.terminal(&args)?;
    assert_eq!(
        (added.exit, &added.document["code"]),
        (5, &"E_ROOT_CHANGED".into())
    );
    double.audit()?;
    desk.money_is(0, SENDER_START)
}

#[test]
fn a_trusted_issuers_key_does_not_sign_for_another_issuer() -> Result<()> {
    let desk = Desk::new()?;
    let folder = tempfile::tempdir()?;
    let other = World::of(folder.path(), "other.tegata.example")?;
    let server = other.serve()?;
    desk.world.trust(&server)?;
    drop(server);
    // Trusted as what it is, it now issues under the first one's name.
    let config = folder.path().join("server/issuer.json");
    let renamed = fs::read_to_string(&config)?.replace("other.tegata.example", ISSUER);
    fs::write(&config, renamed)?;
    let server = other.serve()?;
    other.order(&server, "one", AMOUNT, None)?;
    let opened = desk.world.open(&other.mail(1)?)?;
    assert_refused(&opened, 4, "E_ISSUER");
    desk.money_is(0, SENDER_START)
}

#[test]
fn a_revoked_key_is_learned_when_the_list_is_a_day_old_and_the_sender_gets_his_money_back()
-> Result<()> {
    let mut desk = Desk::new()?;
    let id = text(&desk.world.order(&desk.server, "one", AMOUNT, None)?, "id")?;
    let mail = desk.world.mail(1)?;
    let keys = desk.world.admin(&["keys", "list"])?;
    let key = keys["keys"]
        .as_array()
        .and_then(|keys| keys.iter().find(|k| k["purpose"] == "program"))
        .context("a program key")?;
    desk.world
        .admin(&["keys", "revoke", &text(key, "key_id")?])?;
    desk.world.admin(&["keys", "rotate", "program"])?;
    let address = desk.server.base.trim_start_matches("http://").to_owned();
    desk.server.restart(|| desk.world.serve_on(&address))?;
    // The terminal's copy of the list as it is a day later (docs/terminal.md, "Trust store").
    let store = format!("{}/trust/{ISSUER}.json", desk.world.state);
    let mut entry: Value = serde_json::from_slice(&fs::read(&store)?)?;
    entry["fetched_at"] = 0.into();
    fs::write(&store, entry.to_string())?;
    assert_refused(&desk.world.open(&mail)?, 4, "E_KEY_REVOKED");
    desk.still_open()?;
    let token = desk.world.alice.token.as_str();
    let path = format!("/v1/orders/{id}/cancel");
    let cancelled = desk.world.post(&desk.server, token, &path, "c", "{}")?;
    assert_eq!(cancelled.status, 200);
    // The new key signs from now on, and the terminal knows it.
    desk.world.order(&desk.server, "two", AMOUNT, None)?;
    receipt_of(&desk.world.open(&desk.world.mail(2)?)?, "credited")?;
    desk.credited_once()
}

#[test]
fn a_root_replaced_twice_is_followed_from_the_one_that_was_trusted_and_told() -> Result<()> {
    let mut desk = Desk::new()?;
    let old = text(&desk.world.admin(&["keys", "list"])?, "fingerprint")?;
    desk.world.admin(&["keys", "rotate", "root"])?;
    let rotated = desk.world.admin(&["keys", "rotate", "root"])?;
    desk.world.admin(&["keys", "rotate", "program"])?;
    let address = desk.server.base.trim_start_matches("http://").to_owned();
    desk.server.restart(|| desk.world.serve_on(&address))?;
    // A program key that the terminal has not seen: it fetches the list of keys.
    desk.world.order(&desk.server, "one", AMOUNT, None)?;
    let opened = desk.world.open(&desk.world.mail(1)?)?;
    receipt_of(&opened, "credited")?;
    let new = text(&rotated, "fingerprint")?;
    let told = serde_json::json!([[ISSUER, old, new]]);
    assert_eq!(opened.document["new_roots"], told);
    let log = fs::read_to_string(format!("{}/log/runs.log", desk.world.state))?;
    assert_eq!(log.matches(&format!("\"new_roots\":{told}")).count(), 1);
    let shown = desk
        .world
        .terminal(&["trust", "show", ISSUER, "--json"])?
        .document;
    assert_eq!(shown["fingerprint"], new);
    assert_eq!(shown["former_roots"][0]["fingerprint"], old);
    desk.credited_once()?;
    // Lost, and made anew: nobody has named it, and only the person can trust it.
    let keys = desk.path("server/keys");
    fs::remove_file(format!("{keys}/succession"))?;
    fs::write(format!("{keys}/root"), "11".repeat(32))?;
    desk.world.admin(&["keys", "rotate", "program"])?;
    desk.server.restart(|| desk.world.serve_on(&address))?;
    desk.world.order(&desk.server, "two", AMOUNT, None)?;
    let mail = desk.world.mail(2)?;
    assert_refused(&desk.world.open(&mail)?, 5, "E_ROOT_CHANGED");
    desk.world.terminal(&["trust", "remove", ISSUER])?;
    desk.world.trust(&desk.server)?;
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    Ok(())
}

#[test]
fn an_expired_or_cancelled_remittance_is_refused_and_the_sender_has_his_money() -> Result<()> {
    let desk = Desk::new()?;
    // Long enough for the mail to be on its way before the end.
    let expiring = desk.world.order(&desk.server, "short", AMOUNT, Some(4))?;
    let expired = desk.world.mail(1)?;
    let second = desk.world.order(&desk.server, "second", 100, None)?;
    let cancelled = desk.world.mail(2)?;
    let token = desk.world.alice.token.as_str();
    let path = format!("/v1/orders/{}/cancel", text(&second, "id")?);
    let answer = desk.world.post(&desk.server, token, &path, "c", "{}")?;
    assert_eq!(answer.status, 200);
    assert_refused(&desk.world.open(&cancelled)?, 8, "E_CANCELLED");
    let id = text(&expiring, "id")?;
    desk.world.wait_for_status(&desk.server, &id, "expired")?;
    assert_refused(&desk.world.open(&expired)?, 8, "E_EXPIRED");
    desk.money_is(0, SENDER_START)
}

#[test]
fn a_reader_that_leaves_ends_no_command_with_a_panic() -> Result<()> {
    let desk = Desk::new()?;
    let (card, data) = (desk.world.card.as_str(), desk.path("server"));
    for (name, args, exit) in [
        (
            "tegata",
            ["trust", "list", "--json", "--state", &desk.world.state].as_slice(),
            0,
        ),
        (
            "tegata",
            &["inspect", "absent", "--json", "--state", &desk.world.state],
            1,
        ),
        ("tegata", &["--help"], 0),
        ("tegata-card", &["show", card, "--json"], 0),
        (
            "tegata-server",
            &["keys", "list", "--json", "--data", &data],
            0,
        ),
        ("tegata-server", &["audit", "export", "--data", &data], 0),
    ] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = Command::new(binary(name)?);
        let output = command.args(args).stdout(writer).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{name} {args:?}: {said}");
        assert_eq!(output.status.code(), Some(exit), "{name} {args:?}: {said}");
    }
    Ok(())
}

#[test]
fn usage_errors_and_help_need_no_issuer() -> Result<()> {
    for (args, exit) in [
        (&["open"][..], 2),
        (&["open", "x", "--reader", "telepathy:1"], 2),
        (&["--help"], 0),
    ] {
        let state = tempfile::tempdir()?;
        let state = state.path().to_string_lossy().into_owned();
        let output = run("tegata", &[args, &["--state", &state]].concat())?;
        assert_eq!(output.status.code(), Some(exit), "{args:?}");
    }
    Ok(())
}
