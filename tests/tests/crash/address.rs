//! Codes for addresses and orders that wait for one, killed around their mails and commits.

use crate::{AMOUNT, Desk, Story, Told, points};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::Path;
use store::{SqliteStore, Store as _};
use tests::{
    processes::{Server, wait_until},
    world::{World, text},
};

/// Lets the leases of a dead server be over now instead of in two minutes, as a clock would.
fn lease_is_over(world: &World) -> Result<()> {
    let store = SqliteStore::open(&Path::new(&world.data).join("tegata.db"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let now = store.time_floor().await?;
        let later = now.plus_s(600);
        store.lease_address_mail(later, now, 16).await?;
        store.lease_invitation_mail(later, now, 16).await?;
        Ok(())
    })
}

/// Text and Message-ID of the mail number `count`.
fn mail(world: &World, count: usize) -> Result<(String, String)> {
    let mail = std::fs::read(world.mail(count)?)?;
    let parsed = mail_parser::MessageParser::default().parse(&mail);
    let parsed = parsed.context("a mail")?;
    let text = parsed.body_text(0).context("a text")?.into_owned();
    let id = parsed.message_id().context("a Message-ID")?.to_owned();
    Ok((text, id))
}

/// The code in a mail's text.
fn code_of(text: &str) -> Result<String> {
    let code = text.lines().map(str::trim).find(|line| {
        line.len() == 19 && line.chars().all(|c| c == '-' || c.is_ascii_alphanumeric())
    });
    Ok(code.context("no code in the mail")?.to_owned())
}

fn verify(world: &World, email: &str, text: &str) -> Result<()> {
    let code = code_of(text)?;
    let holder = world.hanako.id.as_str();
    let typed = ["--address", email, "--verify", &code];
    world.admin(&[&["holder", "email", holder], &typed[..]].concat())?;
    Ok(())
}

fn order(world: &World, server: &Server, key: &str, email: &str) -> Result<(u16, Value)> {
    let body = json!({ "recipient_email": email, "amount_minor": AMOUNT, "currency": "JPY" });
    let body = body.to_string();
    let answer = world.post(server, &world.alice.token, "/v1/orders", key, &body)?;
    Ok((answer.status, answer.body))
}

#[test]
fn a_held_order_killed_anywhere_is_one_order_and_one_credit() -> Result<()> {
    let mut desk = Desk::new()?;
    let file = Path::new(&desk.world.data).join("issuer.json");
    let mut issuer: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    issuer["invite"] = "hold".into();
    std::fs::write(&file, issuer.to_string())?;
    drop(desk.server.take());
    desk.restart()?;
    let mut mails = 0;
    for (number, (point, story)) in points(Told::Address).enumerate() {
        let email = format!("new{number}@cards.example");
        desk.escrow += 1;
        // the order, the mail that invites, the mail with the code, and what binds it
        let order_at = |desk: &Desk, server: &Server| order(&desk.world, server, point, &email);
        if story == Story::Invite {
            let lost = desk.killed(point, |desk, server| Ok(order_at(desk, server).is_err()))?;
            ensure!(lost, "{point}: nobody has heard an answer");
            desk.restart()?;
        }
        let invited = if story == Story::InvitationMail {
            let seen = desk.killed(point, order_at)?;
            mails += 1;
            lease_is_over(&desk.world)?;
            desk.restart()?;
            seen
        } else {
            order_at(&desk, desk.server()?)?
        };
        assert_eq!((invited.0, &invited.1["status"]), (201, &json!("invited")));
        let id = text(&invited.1, "id")?;
        mails += 1;
        let (_, message_id) = mail(&desk.world, mails)?;
        if story == Story::InvitationMail {
            assert_eq!(mail(&desk.world, mails - 1)?.1, message_id, "{point}");
        }
        desk.adds_up(point)?;

        let holder = desk.world.hanako.id.clone();
        let asks = ["holder", "email", &holder, "--set", &email];
        if story == Story::CodeMail {
            desk.killed(point, |desk, _| desk.world.admin(&asks))?;
            mails += 1;
            lease_is_over(&desk.world)?;
            desk.restart()?;
        } else {
            desk.world.admin(&asks)?;
        }
        mails += 1;
        let (letter, message_id) = mail(&desk.world, mails)?;
        if story == Story::CodeMail {
            let first = mail(&desk.world, mails - 1)?;
            assert_eq!(
                first,
                (letter.clone(), message_id),
                "{point}: the same code"
            );
        }
        match story {
            Story::Bind => {
                desk.killed(point, |desk, _| verify(&desk.world, &email, &letter))?;
                desk.world.audit()?;
                desk.restart()?;
            }
            Story::Invite | Story::InvitationMail | Story::CodeMail => {
                verify(&desk.world, &email, &letter)?;
            }
            other => bail!("{point}: {other:?} is told elsewhere"),
        }
        mails += 1;
        let program = desk.world.mail(mails)?;
        let again = wait_until("the order is open", || {
            let (status, view) = order_at(&desk, desk.server()?)?;
            Ok((status == 201 && view["status"] == "open").then_some(view))
        })?;
        assert_eq!(
            text(&again, "id")?,
            id,
            "{point}: the same key, the same order"
        );
        desk.credited_by(&program, point)?;
        let removed = ["holder", "email", &holder, "--address", &email, "--remove"];
        desk.world.admin(&removed)?;
    }
    Ok(())
}
