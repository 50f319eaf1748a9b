//! Codes for addresses and orders that wait for one, killed around their mails and commits.

use crate::{AMOUNT, Desk, Story, Told, points};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::Path;
use store::{SqlStore, Store as _};
use tests::{
    processes::Server,
    world::{World, text},
};

/// Lets the leases of a dead server be over now instead of in two minutes, as a clock would.
fn lease_is_over(world: &World) -> Result<()> {
    let store = SqlStore::open(&Path::new(&world.data).join("tegata.db"))?;
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

/// The text of a mail in a file.
pub(crate) fn text_of(file: &str) -> Result<String> {
    let mail = std::fs::read(file)?;
    let parsed = mail_parser::MessageParser::default().parse(&mail);
    let parsed = parsed.context("a mail")?;
    Ok(parsed.body_text(0).context("a text")?.into_owned())
}

/// The code in a mail's text.
fn code_of(text: &str) -> Result<String> {
    let code = text.lines().map(str::trim).find(|line| {
        line.len() == 19 && line.chars().all(|c| c == '-' || c.is_ascii_alphanumeric())
    });
    Ok(code.context("no code in the mail")?.to_owned())
}

pub(crate) fn verify(world: &World, email: &str, text: &str) -> Result<()> {
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

/// Orders to `email` under the name of the point; killed there or not, the one order is invited and its
/// mail is there. Gives the order's id.
fn invited(
    desk: &mut Desk,
    (point, story): (&str, Story),
    email: &str,
    mails: &mut usize,
) -> Result<String> {
    let ask = |desk: &Desk, server: &Server| order(&desk.world, server, point, email);
    if story == Story::Invite {
        let lost = desk.killed(point, |desk, server| Ok(ask(desk, server).is_err()))?;
        ensure!(lost, "{point}: nobody has heard an answer");
        desk.restart()?;
    }
    let (status, view) = if story == Story::InvitationMail {
        let seen = desk.killed(point, ask)?;
        *mails += 1;
        lease_is_over(&desk.world)?;
        desk.restart()?;
        seen
    } else {
        ask(desk, desk.server()?)?
    };
    assert_eq!(
        (status, &view["status"]),
        (201, &json!("invited")),
        "{point}"
    );
    *mails += 1;
    let (_, message_id) = mail(&desk.world, *mails)?;
    if story == Story::InvitationMail {
        assert_eq!(mail(&desk.world, *mails - 1)?.1, message_id, "{point}");
    }
    text(&view, "id")
}

/// Has `email` verified, and gives the text of the mail with its code.
fn coded(
    desk: &mut Desk,
    (point, story): (&str, Story),
    email: &str,
    mails: &mut usize,
) -> Result<String> {
    let holder = desk.world.hanako.id.clone();
    let asks = ["holder", "email", &holder, "--set", email];
    if story == Story::CodeMail {
        desk.killed(point, |desk, _| desk.world.admin(&asks))?;
        *mails += 1;
        lease_is_over(&desk.world)?;
        desk.restart()?;
    } else {
        desk.world.admin(&asks)?;
    }
    *mails += 1;
    let letter = mail(&desk.world, *mails)?;
    if story == Story::CodeMail {
        let first = mail(&desk.world, *mails - 1)?;
        assert_eq!(first, letter, "{point}: the same code");
    }
    Ok(letter.0)
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
        let id = invited(&mut desk, (point, story), &email, &mut mails)?;
        desk.adds_up(point)?;
        let letter = coded(&mut desk, (point, story), &email, &mut mails)?;
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
        let (_, again) = order(&desk.world, desk.server()?, point, &email)?;
        assert_eq!(again["status"], "invited", "{point}: its first answer");
        let token = &desk.world.alice.token;
        let now = desk
            .world
            .get(desk.server()?, token, &format!("/v1/orders/{id}"))?;
        assert_eq!(now.body["status"], "open", "{point}");
        assert_eq!(
            text(&again, "id")?,
            id,
            "{point}: the same key, the same order"
        );
        desk.credited_by(&program, point)?;
        let holder = desk.world.hanako.id.clone();
        let removed = ["holder", "email", &holder, "--address", &email, "--remove"];
        desk.world.admin(&removed)?;
    }
    Ok(())
}
