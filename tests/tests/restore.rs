//! A restored backup, drilled with real processes: cards that know more than the database, proofs
//! and receipts of the lost life, orders that the backup does not hold.

use anyhow::{Context, Result, ensure};
use guest_logic::Failure;
use serde_json::Value;
use std::{fs, path::Path, process::Output};
use tests::{
    processes::{Server, run},
    proxy::{Fault, Proxy},
    recipient::{Fate, Recipient},
    world::{Balances, SENDER_START, World, text},
};

const AMOUNT: i64 = 2_500;

/// A world with a server that keeps its address, and a backup.
struct Drill {
    world: World,
    server: Option<Server>,
    address: String,
    copy: String,
    // Last: the others are dropped before their folder.
    dir: tempfile::TempDir,
}

impl Drill {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let world = World::new(dir.path())?;
        let server = world.serve()?;
        let address = server.base.trim_start_matches("http://").to_owned();
        let copy = dir.path().join("copy.db").to_string_lossy().into_owned();
        Ok(Self {
            world,
            server: Some(server),
            address,
            copy,
            dir,
        })
    }

    fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("a server runs")
    }

    /// Orders, and gives the order's id and its program.
    fn order(&self, number: usize, amount: i64) -> Result<(String, Vec<u8>)> {
        let key = number.to_string();
        let view = self.world.order(self.server()?, &key, amount, None)?;
        Ok((text(&view, "id")?, self.world.program(number)?))
    }

    /// Runs a program on the card; gives the receipt, or the refusal's code.
    fn redeem(&self, program: &[u8]) -> Result<Result<Vec<u8>, &'static str>> {
        let base = &self.server()?.base;
        let mut recipient = Recipient::new(program, base, &self.world.card)?;
        match recipient.run() {
            Ok(receipt) => Ok(Ok(receipt)),
            Err(Failure::Refused) => Ok(Err(recipient.refusal()?)),
            Err(other) => anyhow::bail!("{other:?}"),
        }
    }

    fn redeemed(&self, program: &[u8]) -> Result<Vec<u8>> {
        self.redeem(program)?.map_err(|code| anyhow::anyhow!(code))
    }

    /// A run that stops before its last exchange: the card has the credit, and nobody its proof.
    fn unproven(&self, program: &[u8]) -> Result<Recipient<'static>> {
        let hook = |n| {
            if n >= 4 {
                Fate::LoseRequest
            } else {
                Fate::Deliver
            }
        };
        let base = &self.server()?.base;
        let mut recipient = Recipient::new(program, base, &self.world.card)?.with_hook(hook);
        ensure!(recipient.run().is_err(), "it ended with a receipt");
        Ok(recipient)
    }

    fn backup(&self) -> Result<()> {
        let made = self.world.admin(&["backup", &self.copy])?;
        assert_eq!(made["balanced"], true, "{made}");
        Ok(())
    }

    /// Stops the server, restores and starts it again; gives what `restore` said.
    fn restore(&mut self) -> Result<Value> {
        drop(self.server.take());
        let done = self.world.admin(&["restore", &self.copy])?;
        self.server = Some(self.world.serve_on(&self.address)?);
        self.world.audit()?;
        Ok(done)
    }

    fn status(&self, id: &str) -> Result<String> {
        let path = format!("/v1/orders/{id}");
        let order = self
            .world
            .get(self.server()?, &self.world.alice.token, &path)?;
        text(&order.body, "status")
    }

    /// Requires the value on the card, the same on its account, and in all these in escrow.
    fn adds_up(&self, credited: i64, escrow: i64) -> Result<()> {
        let expected = Balances {
            on_card: credited,
            card_account: credited,
            sender: SENDER_START - credited - escrow,
        };
        assert_eq!(self.world.balances()?, expected);
        self.world.audit()?;
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Result<Output> {
        run(
            "tegata-server",
            &[args, &["--data", &self.world.data]].concat(),
        )
    }

    /// Runs a command that must fail; gives what it said.
    fn refused(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args)?;
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn a_card_that_knows_more_than_the_backup_brings_the_books_up_to_date() -> Result<()> {
    let mut drill = Drill::new()?;
    let (first, first_program) = drill.order(1, AMOUNT)?;
    let (second, second_program) = drill.order(2, 700)?;
    let (third, _) = drill.order(3, 40)?;
    let (fourth, fourth_program) = drill.order(4, 5)?;
    drill.backup()?;
    drill.redeemed(&first_program)?;
    drill.redeemed(&second_program)?;

    let done = drill.restore()?;
    assert_eq!(
        (&done["recovering"], &done["cards_to_read"]),
        (&4.into(), &1.into())
    );
    for id in [&first, &second, &third, &fourth] {
        assert_eq!(drill.status(id)?, "recovering");
    }
    // the sender wants one back: noted, and done once the card was read
    let cancel = format!("/v1/orders/{third}/cancel");
    let token = &drill.world.alice.token;
    let noted = drill.world.post(drill.server()?, token, &cancel, "c", "")?;
    assert_eq!(
        (noted.status, &noted.body["status"]),
        (202, &"recovering".into())
    );

    // the very terminal program that was redeemed before: five exchanges at most, here four
    let base = drill.server()?.base.clone();
    let mut recipient = Recipient::new(&second_program, &base, &drill.world.card)?;
    recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    assert_eq!(recipient.requests.len(), 4);
    drop(recipient);
    assert_eq!(drill.status(&first)?, "credited");
    assert_eq!(drill.status(&second)?, "credited");
    assert_eq!(drill.status(&third)?, "cancelled");
    assert_eq!(drill.status(&fourth)?, "open");
    drill.adds_up(AMOUNT + 700, 5)?;

    // from here on as ever
    let mut recipient = Recipient::new(&fourth_program, &base, &drill.world.card)?;
    recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    assert_eq!(recipient.requests.len(), 4);
    assert!(recipient.apdus <= 12, "{}", recipient.apdus);
    drop(recipient);
    drill.redeemed(&first_program)?;
    drill.adds_up(AMOUNT + 705, 0)
}

#[test]
fn nothing_expires_while_it_waits_and_what_is_due_goes_back_after_the_reading() -> Result<()> {
    let mut drill = Drill::new()?;
    let view = drill
        .world
        .order(drill.server()?, "short", AMOUNT, Some(1))?;
    let short = text(&view, "id")?;
    let program = drill.world.program(1)?;
    drill.backup()?;
    drill
        .world
        .wait_for_status(drill.server()?, &short, "expired")?;
    drill.restore()?;
    // an order that is due after it: once that is back, the sweep has been over this one as well
    let view = drill.world.order(drill.server()?, "next", 10, Some(1))?;
    let next = text(&view, "id")?;
    drill
        .world
        .wait_for_status(drill.server()?, &next, "expired")?;
    assert_eq!(drill.status(&short)?, "recovering");
    assert_eq!(drill.redeem(&program)?, Err("E_EXPIRED"));
    assert_eq!(drill.status(&short)?, "expired");
    drill.adds_up(0, 0)
}

#[test]
fn a_credit_that_was_ordered_after_the_backup_freezes_its_card_with_the_log() -> Result<()> {
    let mut drill = Drill::new()?;
    let (known, known_program) = drill.order(1, AMOUNT)?;
    drill.backup()?;
    let (_, lost_program) = drill.order(2, 700)?;
    drill.redeemed(&known_program)?;
    drill.redeemed(&lost_program)?;
    drill.restore()?;
    assert_eq!(drill.redeem(&lost_program)?, Err("E_NOT_IN_DATABASE"));
    assert_eq!(drill.redeem(&known_program)?, Err("E_CARD_FROZEN"));
    assert_eq!(drill.status(&known)?, "recovering");
    let audit = drill.world.admin(&["audit"])?;
    let case = &audit["frozen_cards"][0];
    let log = case["card_log"].as_array().context("the log")?;
    let amounts: Vec<_> = log.iter().map(|r| r["amount_minor"].as_i64()).collect();
    assert_eq!(amounts, [Some(AMOUNT), Some(700)]);
    assert_eq!(log[0]["id"], known.replace('-', ""));
    assert_eq!(case["card_says"]["value_minor"], AMOUNT + 700);
    Ok(())
}

#[test]
fn a_proof_of_the_lost_life_counts_by_its_row_or_is_kept_until_the_card_comes() -> Result<()> {
    // its row is in the backup
    let mut drill = Drill::new()?;
    let (id, program) = drill.order(1, AMOUNT)?;
    let recipient = drill.unproven(&program)?;
    let proof = recipient.requests.last().context("a proof")?.clone();
    drop(recipient);
    drill.backup()?;
    drill.restore()?;
    let sender = Recipient::new(&program, &drill.server()?.base, &drill.world.card)?;
    let reply = wire::exchange::Reply::decode(&sender.send(&proof)?)?;
    assert!(
        matches!(reply, wire::exchange::Reply::Receipt(_)),
        "{reply:?}"
    );
    drop(sender);
    assert_eq!(drill.status(&id)?, "credited");
    drill.adds_up(AMOUNT, 0)?;

    // its row came after the backup
    let mut drill = Drill::new()?;
    let (id, program) = drill.order(1, AMOUNT)?;
    drill.backup()?;
    let recipient = drill.unproven(&program)?;
    let proof = recipient.requests.last().context("a proof")?.clone();
    let ticketed = recipient.requests[2].clone();
    drop(recipient);
    drill.restore()?;
    let mut sender = Recipient::new(&program, &drill.server()?.base, &drill.world.card)?;
    for (request, code) in [(&proof, "E_RECOVERING"), (&ticketed, "E_TICKET_INVALID")] {
        sender.replies.push(sender.send(request)?);
        assert_eq!(sender.refusal()?, code);
    }
    drop(sender);
    assert_eq!(drill.status(&id)?, "recovering");
    drill.redeemed(&program)?;
    drill.adds_up(AMOUNT, 0)
}

#[test]
fn a_terminal_keeps_its_journalled_proof_over_a_restore_until_the_card_has_spoken() -> Result<()> {
    let mut drill = Drill::new()?;
    let proxy = Proxy::start(&drill.server()?.base)?;
    drill.world.trust_at(&proxy.base)?;
    let (id, _) = drill.order(1, AMOUNT)?;
    let mail = drill.world.mail(1)?;
    drill.backup()?;
    proxy.rule(|n| {
        if n >= 4 {
            Fault::LoseRequest
        } else {
            Fault::Deliver
        }
    });
    let opened = drill.world.open(&mail)?;
    assert_eq!(
        (opened.exit, &opened.document["code"]),
        (9, &"E_IN_DOUBT".into())
    );
    let proof = proxy.requests().pop().context("a proof")?;
    drill.restore()?;
    // no card at hand: the proof is sent, and kept
    let absent = format!("{}.absent", drill.world.card);
    for _ in 0..2 {
        proxy.rule(|_| Fault::Deliver);
        let opened = drill.world.open_with(&mail, &absent)?;
        assert_ne!(opened.exit, 0, "{opened:?}");
        assert_eq!(opened.document["settled"][0]["outcome"], "E_RECOVERING");
        assert_eq!(proxy.requests().first(), Some(&proof));
        assert_eq!(drill.status(&id)?, "recovering");
    }
    proxy.rule(|_| Fault::Deliver);
    let opened = drill.world.open(&mail)?;
    assert_eq!(opened.exit, 0, "{opened:?}");
    drill.adds_up(AMOUNT, 0)?;
    proxy.rule(|_| Fault::Deliver);
    let again = drill.world.open(&mail)?;
    assert_eq!(again.document["receipt"], opened.document["receipt"]);
    Ok(())
}

#[test]
fn a_receipt_of_ours_ends_the_waiting_and_the_card_confirms_it() -> Result<()> {
    let mut drill = Drill::new()?;
    let (id, program) = drill.order(1, AMOUNT)?;
    let (_, other) = drill.order(2, 60)?;
    drill.backup()?;
    let (_, lost) = drill.order(3, 9)?;
    let receipt = drill.redeemed(&program)?;
    let file = |name: &str, bytes: &[u8]| -> Result<String> {
        let path = drill.dir.path().join(name).to_string_lossy().into_owned();
        fs::write(&path, bytes)?;
        Ok(path)
    };
    let good = file("good.receipt", &receipt)?;
    let mut bytes = receipt.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let altered = file("altered.receipt", &bytes)?;
    drill.world.admin(&["keys", "rotate", "receipt"])?;
    drill.restore()?;

    let said = drill.refused(&["order", "receipt", &altered])?;
    assert!(
        said.contains("no receipt that this issuer signed"),
        "{said}"
    );
    assert_eq!(drill.status(&id)?, "recovering");
    for _ in 0..2 {
        let shown = drill.world.admin(&["order", "receipt", &good])?;
        assert_eq!(shown["order"]["status"], "credited", "{shown}");
        drill.adds_up(AMOUNT, 60)?;
    }
    // opened again, the very receipt that was shown
    assert_eq!(drill.redeemed(&program)?, receipt);
    // the next visit has the card confirm it
    drill.redeemed(&other)?;
    drill.adds_up(AMOUNT + 60, 0)?;

    let genuine = drill.redeem(&lost)?;
    assert_eq!(genuine, Err("E_NOT_IN_DATABASE"));
    Ok(())
}

#[test]
fn a_receipt_of_an_order_that_came_after_the_backup_is_told_so() -> Result<()> {
    let mut drill = Drill::new()?;
    drill.backup()?;
    let (_, program) = drill.order(1, AMOUNT)?;
    let receipt = drill.redeemed(&program)?;
    drill.restore()?;
    let file = drill.dir.path().join("lost.receipt");
    fs::write(&file, receipt)?;
    let file = file.to_string_lossy();
    let said = drill.refused(&["order", "receipt", &file])?;
    assert!(said.contains("came after the backup"), "{said}");
    Ok(())
}

#[test]
fn a_restore_wants_the_folder_for_itself_and_a_whole_copy() -> Result<()> {
    let mut drill = Drill::new()?;
    let (id, program) = drill.order(1, AMOUNT)?;
    drill.backup()?;
    let said = drill.refused(&["backup", &drill.copy])?;
    assert!(said.contains("exists already"), "{said}");
    let said = drill.refused(&["restore", &drill.copy])?;
    assert!(said.contains("stop the server"), "{said}");
    drill.redeemed(&program)?;
    drop(drill.server.take());

    let database = Path::new(&drill.world.data).join("tegata.db");
    let said = drill.refused(&["restore", &database.to_string_lossy()])?;
    assert!(said.contains("the database itself"), "{said}");
    let damaged = drill.dir.path().join("damaged.db");
    let mut bytes = fs::read(&drill.copy)?;
    bytes.truncate(bytes.len() / 2);
    fs::write(&damaged, bytes)?;
    drill.refused(&["restore", &damaged.to_string_lossy()])?;
    let key = Path::new(&drill.world.data).join("issuer.json");
    drill.refused(&["restore", &key.to_string_lossy()])?;
    // none of them touched anything
    drill.server = Some(drill.world.serve_on(&drill.address)?);
    assert_eq!(drill.status(&id)?, "credited");
    drill.adds_up(AMOUNT, 0)?;

    let done = drill.restore()?;
    let kept = text(&done, "replaced")?;
    assert!(Path::new(&kept).join("tegata.db").exists(), "{kept}");
    // the same copy once more, as after a cut
    drill.restore()?;
    drill.redeemed(&program)?;
    drill.adds_up(AMOUNT, 0)
}

#[test]
fn a_program_that_the_backup_has_forgotten_to_have_replaced_is_honoured() -> Result<()> {
    let mut drill = Drill::new()?;
    let (_, other_program) = drill.order(1, 40)?;
    let (id, first) = drill.order(2, AMOUNT)?;
    drill.backup()?;
    for mail in [3, 4] {
        drill.world.admin(&["order", "revise", &id])?;
        drill.world.mail(mail)?;
    }
    let newest = drill.world.program(4)?;
    let (_, unknown) = drill.order(5, 5)?;
    drill.restore()?;
    assert_eq!(drill.status(&id)?, "recovering");

    // it is the one that the recipient has: its card is read, and credited once
    let receipt = drill.redeemed(&newest)?;
    assert_eq!(drill.redeemed(&newest)?, receipt);
    assert_eq!(drill.redeemed(&first)?, receipt);
    drill.redeemed(&other_program)?;
    drill.adds_up(AMOUNT + 40, 0)?;
    assert_eq!(drill.redeem(&unknown)?, Err("E_NOT_IN_DATABASE"));
    drill.adds_up(AMOUNT + 40, 0)
}
