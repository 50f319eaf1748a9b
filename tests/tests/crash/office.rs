//! Mails, and the commands of the issuer's office, killed around their commits.

use crate::{AMOUNT, Desk, Story, Told, office_killed, points};
use anyhow::{Context, Result, bail, ensure};
use std::{net::TcpListener, path::Path, time::Duration};
use store::{SqlStore, Store as _};
use tests::{
    processes::{Server, armed, json},
    world::{SENDER_START, World, text},
};

#[test]
fn a_server_killed_around_a_mail_sends_it_and_no_other() -> Result<()> {
    let mut desk = Desk::new()?;
    let mut mails = 0;
    for (point, story) in points(Told::Mail) {
        let count = match story {
            Story::Mail(count) => {
                desk.killed(point, |desk, server| {
                    desk.world.order(server, point, AMOUNT, None)
                })?;
                count
            }
            Story::MailFailed => {
                failing_relay(&mut desk, point)?;
                1
            }
            other => bail!("{point}: {other:?} is told elsewhere"),
        };
        desk.escrow += 1;
        lease_is_over(&desk.world)?;
        desk.restart()?;
        let first = desk.world.mail(mails + 1)?;
        let last = desk.world.mail(mails + count)?;
        // To a mail program a repetition is the same mail, with the same program.
        assert_eq!(message_id(&first)?, message_id(&last)?, "{point}");
        let programs = (
            desk.world.program(mails + 1)?,
            desk.world.program(mails + count)?,
        );
        ensure!(programs.0 == programs.1, "{point}: another program");
        mails += count;
        desk.credited_by(&first, point)?;
    }
    // Nothing more comes: an order of now is the next mail.
    desk.order("last")?;
    let next = desk.world.mail(mails + 1)?;
    desk.credited_by(&next, "the last one")?;
    let none = desk.world.sink.wait_for(mails + 2, Duration::ZERO);
    ensure!(none.is_none(), "a mail too many");
    Ok(())
}

fn message_id(mail: &str) -> Result<String> {
    let mail = std::fs::read(mail)?;
    let parsed = mail_parser::MessageParser::default().parse(&mail);
    let parsed = parsed.context("a mail")?;
    Ok(parsed.message_id().context("a Message-ID")?.to_owned())
}

/// An order whose mail meets a relay that is not there.
fn failing_relay(desk: &mut Desk, point: &str) -> Result<()> {
    drop(desk.server.take());
    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let relay = [
        "--smtp",
        &dead,
        "--smtp-tls",
        "none",
        "--listen",
        &desk.address,
    ];
    let server = armed("tegata-server", &format!("{point}=return"))?;
    let server = Server::start_as(server, Path::new(&desk.world.data), &relay)?;
    desk.world.order(&server, point, AMOUNT, None)?;
    server.wait_for_kill()
}

/// Lets the leases of a dead server be over now instead of in two minutes, as a clock would.
fn lease_is_over(world: &World) -> Result<()> {
    let store = SqlStore::open(&Path::new(&world.data).join("tegata.db"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let now = store.time_floor().await?;
        store.lease_mail(now.plus_s(600), now, 16).await?;
        Ok(())
    })
}

#[test]
fn a_command_of_the_office_killed_around_its_commit_can_be_given_again() -> Result<()> {
    let mut desk = Desk::new()?;
    let mut funded = 0;
    let mut transfers = [desk.world.alice.id.clone(), desk.world.hanako.id.clone()].into_iter();
    for (point, story) in points(Told::Office) {
        match story {
            Story::Fund => {
                let transfer = transfers.next().context("an id for each transfer")?;
                fund(&desk.world, point, &transfer)?;
                funded += AMOUNT;
            }
            Story::Block(status) => block(&desk.world, point, status)?,
            Story::Issue => issue(&desk.world, point)?,
            Story::Holder(new) => holder(&desk.world, point, new)?,
            Story::Token => token(&desk.world, point)?,
            Story::Start => start(&mut desk, point)?,
            Story::Rotate(new) => rotate(&desk.world, point, new)?,
            Story::Revoke => revoke(&desk.world, point)?,
            other => bail!("{point}: {other:?} is told elsewhere"),
        }
        desk.world.audit()?;
    }
    // The server works with what is left, and signs with a key that counts.
    drop(desk.server.take());
    desk.restart()?;
    desk.world.order(desk.server()?, "one", AMOUNT, None)?;
    let opened = desk.world.open(&desk.world.mail(1)?)?;
    assert_eq!(opened.document["outcome"], "credited", "{opened:?}");
    let balances = desk.world.balances()?;
    assert_eq!((balances.on_card, balances.card_account), (AMOUNT, AMOUNT));
    assert_eq!(balances.sender, SENDER_START + funded - AMOUNT);
    Ok(())
}

#[test]
fn a_program_replaced_around_a_kill_counts_as_one_or_the_other() -> Result<()> {
    let mut desk = Desk::new()?;
    let mut mails = 0;
    for (point, story) in points(Told::Revision) {
        let Story::Revise(after) = story else {
            bail!("{point}: {story:?} is told elsewhere");
        };
        let order = text(&desk.order(point)?, "id")?;
        mails += 1;
        let first = desk.world.mail(mails)?;
        office_killed(&desk.world, point, &["order", "revise", &order])?;
        desk.world.audit()?;
        let revision = || -> Result<serde_json::Value> {
            let shown = desk.world.admin(&["order", "show", &order])?;
            Ok(shown["order"]["revision"].clone())
        };
        assert_eq!(revision()?, after, "{point}");
        if after == 0 {
            desk.world.admin(&["order", "revise", &order])?;
        }
        assert_eq!(revision()?, 1, "{point}");
        mails += 1;
        let second = desk.world.mail(mails)?;
        let replaced = desk.world.open(&first)?;
        assert_eq!(replaced.document["outcome"], "refused", "{replaced:?}");
        desk.credited_by(&second, point)?;
    }
    Ok(())
}

/// Funding under one id, killed and given again, moves the money once.
fn fund(world: &World, point: &str, transfer: &str) -> Result<()> {
    let before = world.balances()?.sender;
    let amount = AMOUNT.to_string();
    let holder = ["account", "fund", "--holder", &world.alice.id];
    let args = [&holder[..], &["--amount", &amount, "--transfer", transfer]].concat();
    office_killed(world, point, &args)?;
    world.audit()?;
    world.admin(&args)?;
    world.admin(&args)?;
    assert_eq!(world.balances()?.sender, before + AMOUNT, "{point}");
    Ok(())
}

/// The status of a card as the office lists it.
fn status_of(world: &World, card: &str) -> Result<String> {
    let list = world.admin(&["card", "list"])?;
    let cards = list["cards"].as_array().context("a list of cards")?;
    let mine = cards.iter().find(|listed| listed["card"] == card);
    text(mine.context("the card is listed")?, "status")
}

fn block(world: &World, point: &str, after: &str) -> Result<()> {
    let bob = world.holder("Bob", &format!("{after}@demo.tegata.example"), "en")?;
    let file = world.dir.join(after).to_string_lossy().into_owned();
    world.new_card(&file)?;
    let card = text(&world.issue(&file, &bob.id)?, "card")?;
    office_killed(world, point, &["card", "block", &card])?;
    assert_eq!(status_of(world, &card)?, after, "{point}");
    world.admin(&["card", "block", &card])?;
    assert_eq!(status_of(world, &card)?, "blocked", "{point}");
    Ok(())
}

/// A holder is there as a whole or not at all, and is added once.
fn holder(world: &World, point: &str, new: usize) -> Result<()> {
    let count = || -> Result<usize> {
        let list = world.admin(&["holder", "list"])?;
        Ok(list["holders"]
            .as_array()
            .context("a list of holders")?
            .len())
    };
    let before = count()?;
    // the token is in its file before the holder is in the database: the same command ends it
    let file = world.dir.join(format!("{new}.token"));
    let file = file.to_string_lossy();
    let add = ["holder", "add", "--name", "Dora", "--token-file", &file];
    office_killed(world, point, &add)?;
    assert_eq!(count()?, before + new, "{point}");
    let added = world.admin(&add)?;
    assert_eq!(world.admin(&add)?, added, "{point}");
    assert_eq!(count()?, before + 1, "{point}");
    Ok(())
}

/// A token is given out once, and taken back or not; either command is given again.
fn token(world: &World, point: &str) -> Result<()> {
    let holder = &world.alice.id;
    let file = world.dir.join(point).to_string_lossy().into_owned();
    let add = ["holder", "token", "add", holder, "--label", point];
    let add = [&add[..], &["--scope", "orders:read", "--token-file", &file]].concat();
    let state = || -> Result<Vec<String>> {
        let list = world.admin(&["holder", "token", "list", holder])?;
        let tokens = list["tokens"].as_array().context("a list of tokens")?;
        let mine = tokens.iter().filter(|row| row["label"] == point);
        mine.map(|row| text(row, "state")).collect()
    };
    if point.contains("add-token") {
        office_killed(world, point, &add)?;
        let there = usize::from(point.ends_with("after-commit"));
        assert_eq!(state()?, vec!["valid"; there], "{point}");
    }
    let added = world.admin(&add)?;
    assert_eq!(world.admin(&add)?, added, "{point}");
    assert_eq!(state()?, ["valid"], "{point}");
    let id = text(&added, "id")?;
    let revoke = ["holder", "token", "revoke", holder, &id];
    if point.contains("revoke-token") {
        office_killed(world, point, &revoke)?;
        let after = ["valid", "revoked"][usize::from(point.ends_with("after-commit"))];
        assert_eq!(state()?, [after], "{point}");
    }
    world.admin(&revoke)?;
    assert_eq!(state()?, ["revoked"], "{point}");
    Ok(())
}

/// A server killed at its start is started again.
fn start(desk: &mut Desk, point: &str) -> Result<()> {
    drop(desk.server.take());
    let armed = desk
        .world
        .serve_armed(&desk.address, &format!("{point}=return"));
    let early = armed.err().context(point.to_owned())?.to_string();
    ensure!(early.contains("signal: 9"), "{point}: {early}");
    desk.restart()
}

/// A card whose issue was killed is finished by the same command, which then answers the same again.
fn issue(world: &World, point: &str) -> Result<()> {
    let carol = world.holder("Carol", "carol@demo.tegata.example", "en")?.id;
    let file = world.dir.join(point).to_string_lossy().into_owned();
    world.new_card(&file)?;
    let reader = format!("emulated:{file}");
    let args = ["card", "issue", "--holder", &carol, "--reader", &reader];
    let args = [&args[..], &["--accept-emulated-cards"]].concat();
    office_killed(world, point, &args)?;
    world.audit()?;
    let issued = world.issue(&file, &carol)?;
    assert_eq!(world.issue(&file, &carol)?, issued, "{point}");
    let shown = json("tegata-card", &["show", &file, "--json"])?;
    let number = text(&issued, "number")?.replace(' ', "");
    assert_eq!(shown["purse"]["card_number"], number.as_str(), "{point}");
    let status = status_of(world, &text(&issued, "card")?)?;
    assert_eq!(status, "active", "{point}");
    Ok(())
}

/// Ids of the program keys in a state.
fn program_keys(world: &World, state: &str) -> Result<Vec<String>> {
    let list = world.admin(&["keys", "list"])?;
    let keys = list["keys"].as_array().context("a list of keys")?;
    keys.iter()
        .filter(|key| key["purpose"] == "program" && key["state"] == state)
        .map(|key| text(key, "key_id"))
        .collect()
}

/// A key is there as a whole or not at all, and the next rotation adds one.
fn rotate(world: &World, point: &str, new: usize) -> Result<()> {
    let before = program_keys(world, "valid")?.len();
    office_killed(world, point, &["keys", "rotate", "program"])?;
    assert_eq!(program_keys(world, "valid")?.len(), before + new, "{point}");
    world.admin(&["keys", "rotate", "program"])?;
    assert_eq!(
        program_keys(world, "valid")?.len(),
        before + new + 1,
        "{point}"
    );
    Ok(())
}

/// A key is revoked or it is not, and can be revoked again.
fn revoke(world: &World, point: &str) -> Result<()> {
    let key = program_keys(world, "valid")?.pop().context("a key")?;
    office_killed(world, point, &["keys", "revoke", &key])?;
    let revoked = program_keys(world, "revoked")?.contains(&key);
    assert_eq!(revoked, point.ends_with("after-rename"), "{point}");
    world.admin(&["keys", "revoke", &key])?;
    assert!(program_keys(world, "revoked")?.contains(&key), "{point}");
    Ok(())
}
