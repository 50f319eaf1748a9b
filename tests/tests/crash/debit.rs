//! The same points while a card of the sender pays: the terminal and the server killed, and the amount
//! off the card and in escrow afterwards, or neither.

use crate::{AMOUNT, Desk};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    processes::{Server, json as run_json, wait_until},
    world::{Opened, World, text},
};

/// What the paying card holds before: enough for all that is killed here.
const CHARGED: i64 = 9_000;

/// The passes at which the terminal dies: each command to the card, each exchange, each write.
const TERMINAL: &[(&str, &[u32])] = &[
    ("terminal::apdu::after", &[1, 4, 6, 7, 8, 9, 10, 11]),
    ("terminal::exchange::before-send", &[1, 2, 3, 4]),
    ("terminal::exchange::after-answer", &[1, 2, 3, 4]),
    ("card-reader::commit::before-write", &[1]),
    ("card-reader::commit::after-write", &[1]),
    ("terminal::request::after-write", &[1]),
    ("terminal::receipt::before-write", &[1]),
    ("terminal::settle::after-write", &[1]),
];

/// A desk whose recipient has money on the card and sends it on from there.
struct Paying {
    desk: Desk,
    /// The number of the card that is to get it.
    number: String,
    mails: usize,
    /// Debits that are proven.
    paid: i64,
}

impl Paying {
    fn new() -> Result<Self> {
        let desk = Desk::new()?;
        let world = &desk.world;
        let bob = world.holder("Bob", "bob@demo.tegata.example", "en")?;
        let card = world.dir.join("bob.tegata-card");
        let card = card.to_string_lossy().into_owned();
        world.new_card(&card)?;
        let number = text(&world.issue(&card, &bob.id)?, "number")?;
        world.order(desk.server()?, "charge", CHARGED, None)?;
        let charged = world.open(&world.mail(1)?)?;
        ensure!(charged.exit == 0, "{charged:?}");
        Ok(Self {
            desk,
            number,
            mails: 1,
            paid: 0,
        })
    }

    /// Orders; gives the order's id and the mail with the debit.
    fn order(&mut self, key: &str) -> Result<(String, String)> {
        let id = text(
            &place(
                &self.desk.world,
                self.desk.server()?,
                &self.number,
                key,
                None,
            )?,
            "id",
        )?;
        self.mails += 1;
        Ok((id, self.desk.world.mail(self.mails)?))
    }

    fn status(&self, id: &str) -> Result<String> {
        let path = format!("/v1/orders/{id}");
        let token = &self.desk.world.hanako.token;
        let answer = self.desk.world.get(self.desk.server()?, token, &path)?;
        text(&answer.body, "status")
    }

    /// Opened at the shipped terminal the debit is proven, by this run or before, with one receipt; and
    /// the order is open and mailed.
    fn paid_by(&mut self, (id, mail): &(String, String), what: &str) -> Result<()> {
        let first = receipt(&self.desk.world.open(mail)?).with_context(|| what.to_owned())?;
        let again = receipt(&self.desk.world.open(mail)?)?;
        assert_eq!(again, first, "{what}");
        self.paid += 1;
        self.adds_up(what)?;
        assert_eq!(self.status(id)?, "open", "{what}");
        self.mails += 1;
        self.desk.world.mail(self.mails)?;
        Ok(())
    }

    /// Card, account and books agree with what was paid here.
    fn adds_up(&self, what: &str) -> Result<()> {
        let world = &self.desk.world;
        let shown = run_json("tegata-card", &["show", &world.card, "--json"])?;
        let left = CHARGED - self.paid * AMOUNT;
        assert_eq!(shown["purse"]["value_minor"], left, "{what}");
        assert_eq!(world.balances()?.card_account, left, "{what}");
        world.audit().with_context(|| what.to_owned())?;
        Ok(())
    }
}

/// Orders from the recipient's card to this one.
fn place(
    world: &World,
    server: &Server,
    number: &str,
    key: &str,
    seconds: Option<u64>,
) -> Result<Value> {
    let body = json!({ "recipient_card": number, "amount_minor": AMOUNT, "currency": "JPY",
        "fund_from": "card", "from_card": world.number, "expires_in_s": seconds });
    let token = &world.hanako.token;
    let answer = world.post(server, token, "/v1/orders", key, &body.to_string())?;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(answer.body)
}

fn receipt(opened: &Opened) -> Result<String> {
    ensure!(opened.exit == 0, "{opened:?}");
    let outcome = text(&opened.document, "outcome")?;
    ensure!(outcome.ends_with("debited"), "{opened:?}");
    text(&opened.document, "receipt")
}

#[test]
fn a_terminal_killed_while_its_card_pays_takes_the_amount_once_afterwards() -> Result<()> {
    let mut story = Paying::new()?;
    for (point, pass) in TERMINAL
        .iter()
        .flat_map(|(point, passes)| passes.iter().map(move |pass| (*point, *pass)))
    {
        let what = format!("{point}, pass {pass}");
        let order = story.order(&what.replace([' ', ','], "-"))?;
        story.desk.open_killed(&order.1, point, pass)?;
        story.paid_by(&order, &what)?;
    }
    Ok(())
}

#[test]
fn a_server_killed_while_a_card_pays_comes_to_the_same_end() -> Result<()> {
    let mut story = Paying::new()?;
    for (point, code) in [
        ("store::decide::before-commit", "E_OFFLINE"),
        ("store::decide::after-commit", "E_OFFLINE"),
        ("store::settle::before-commit", "E_IN_DOUBT"),
        ("store::settle::after-commit", "E_IN_DOUBT"),
    ] {
        let order = story.order(point)?;
        let lost = story
            .desk
            .killed(point, |desk, _| desk.world.open(&order.1))?;
        assert_eq!(lost.document["code"], code, "{point}: {lost:?}");
        story.desk.restart()?;
        story.paid_by(&order, point)?;
    }
    for point in [
        "store::place-order::before-commit",
        "store::place-order::after-commit",
    ] {
        ordered(&mut story, point)?;
    }
    for point in [
        "store::cancel::before-commit",
        "store::cancel::after-commit",
    ] {
        cancelled(&mut story, point)?;
    }
    for point in [
        "store::expire::before-commit",
        "store::expire::after-commit",
    ] {
        expired(&mut story, point)?;
    }
    Ok(())
}

/// Asked again under the same key, order and debit are there once.
fn ordered(story: &mut Paying, point: &str) -> Result<()> {
    let number = story.number.clone();
    story.desk.killed(point, |desk, server| {
        let lost = place(&desk.world, server, &number, point, None);
        ensure!(lost.is_err(), "{point}: answered {lost:?}");
        Ok(())
    })?;
    story.desk.restart()?;
    story.adds_up(point)?;
    let order = story.order(point)?;
    let again = place(
        &story.desk.world,
        story.desk.server()?,
        &number,
        point,
        None,
    )?;
    assert_eq!(text(&again, "id")?, order.0, "{point}");
    story.paid_by(&order, point)
}

/// Order and debit end together, and nothing has moved.
fn cancelled(story: &mut Paying, point: &str) -> Result<()> {
    let (id, mail) = story.order(point)?;
    let path = format!("/v1/orders/{id}/cancel");
    story.desk.killed(point, |desk, server| {
        let token = &desk.world.hanako.token;
        let lost = desk.world.post(server, token, &path, point, "{}");
        ensure!(lost.is_err(), "{point}: answered {lost:?}");
        Ok(())
    })?;
    story.desk.restart()?;
    let token = &story.desk.world.hanako.token;
    let answer = story
        .desk
        .world
        .post(story.desk.server()?, token, &path, point, "{}")?;
    assert_eq!(answer.status, 200, "{point}: {answer:?}");
    assert_eq!(story.status(&id)?, "cancelled-unfunded", "{point}");
    ended(story, &mail, "E_CANCELLED", point)
}

/// The same by the clock.
fn expired(story: &mut Paying, point: &str) -> Result<()> {
    let number = story.number.clone();
    let mails = story.mails + 1;
    let (id, mail) = story.desk.killed(point, |desk, server| {
        let view = place(&desk.world, server, &number, point, Some(2))?;
        Ok((text(&view, "id")?, desk.world.mail(mails)?))
    })?;
    story.mails = mails;
    story.desk.restart()?;
    wait_until("expired-unfunded", || {
        Ok((story.status(&id)? == "expired-unfunded").then_some(()))
    })?;
    ended(story, &mail, "E_EXPIRED", point)
}

/// Its program runs no more.
fn ended(story: &Paying, mail: &str, code: &str, point: &str) -> Result<()> {
    let refused = story.desk.world.open(mail)?;
    assert_eq!(refused.document["code"], code, "{point}: {refused:?}");
    story.adds_up(point)
}
