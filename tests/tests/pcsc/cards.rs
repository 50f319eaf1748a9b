//! Cards that are not the one, and two cards in turn.

use crate::{AMOUNT, Desk, assert_credited, assert_refused, opened_with_held};
use anyhow::{Context, Result};
use std::fs;
use tests::{
    processes::{is_root, json},
    world::{SENDER_START, World, text},
};

impl Desk {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// Makes another holder's card and gives its file and number.
    fn card_of(&self, name: &str) -> Result<(String, String)> {
        let file = self.path(name);
        self.world.new_card(&file)?;
        let holder = self
            .world
            .holder(name, &format!("{name}@demo.tegata.example"), "en")?;
        let issued = self.world.issue(&file, &holder.id)?;
        Ok((file, text(&issued, "number")?))
    }

    /// Puts a card on, opens the mail, takes the card off.
    fn open_on(&self, card: &str, mail: &str) -> Result<tests::world::Opened> {
        let plugged = self.service.plug(self, card, 0)?;
        let opened = self.open(mail, "pcsc")?;
        self.service.unplug(self, plugged, 0)?;
        Ok(opened)
    }
}

fn value_of(card: &str) -> Result<i64> {
    let shown = json("tegata-card", &["show", card, "--json"])?;
    shown["purse"]["value_minor"].as_i64().context("a value")
}

#[test]
fn each_card_that_is_not_the_one_is_told_so_and_the_right_one_credits() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let mut desk = Desk::new()?;
    let mail = desk.ordered("one", 1)?;
    let right = desk.world.card.clone();
    // Without the application; with one that another issuer made; another holder's.
    let factory = desk.path("factory");
    desk.world.new_card(&factory)?;
    assert_refused(&desk.open_on(&factory, &mail)?, "E_CARD_UNSUPPORTED");
    let elsewhere = tempfile::tempdir()?;
    let other = World::of(elsewhere.path(), "other.tegata.example")?;
    assert_refused(&desk.open_on(&other.card, &mail)?, "E_CARD_UNKNOWN");
    let (bobs, number) = desk.card_of("bob")?;
    assert_refused(&desk.open_on(&bobs, &mail)?, "E_WRONG_CARD");
    // Changed for another in the middle: the run does not go on with that one.
    let plugged = desk.service.plug(&desk, &right, 0)?;
    let mut swapped = None;
    let ended = opened_with_held(&mut desk, &mail, 2, |desk| {
        desk.service.unplug(desk, plugged, 0)?;
        swapped = Some(desk.service.plug(desk, &bobs, 0)?);
        Ok(())
    })?;
    assert_refused(&ended, "E_READER_REMOVED");
    desk.service.unplug(&desk, swapped.context("a card")?, 0)?;
    assert_eq!((value_of(&right)?, value_of(&bobs)?), (0, 0));
    assert_credited(&desk.open_on(&right, &mail)?);
    desk.credited(1)?;

    // Two cards in turn, each with its own program.
    desk.world.number = number;
    let for_bob = desk.ordered("two", 2)?;
    assert_refused(&desk.open_on(&right, &for_bob)?, "E_WRONG_CARD");
    assert_credited(&desk.open_on(&bobs, &for_bob)?);
    assert_eq!((value_of(&right)?, value_of(&bobs)?), (AMOUNT, AMOUNT));
    let balances = desk.world.balances()?;
    assert_eq!(balances.card_account, 2 * AMOUNT, "on both cards");
    assert_eq!(balances.sender, SENDER_START - 2 * AMOUNT);
    desk.world.audit()?;
    Ok(())
}

#[test]
fn a_blocked_card_and_a_card_that_forgot_a_credit_take_nothing() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let mut desk = Desk::new()?;
    let card = desk.world.card.clone();
    // A copy from before its credit claims to know nothing of it: no genuine card can.
    let before = desk.path("before");
    fs::copy(&card, &before)?;
    let mail = desk.ordered("one", 1)?;
    assert_credited(&desk.open_on(&card, &mail)?);
    let second = desk.ordered("two", 2)?;
    assert_refused(&desk.open_on(&before, &second)?, "E_CARD_FROZEN");
    assert_eq!(value_of(&before)?, 0);
    assert_refused(&desk.open_on(&card, &second)?, "E_CARD_FROZEN");

    let (bobs, number) = desk.card_of("bob")?;
    desk.world.number = number;
    let third = desk.ordered("three", 3)?;
    let cards = desk.world.admin(&["card", "list"])?;
    let cards = cards["cards"].as_array().context("a list of cards")?;
    let bob = cards.iter().find(|card| card["status"] == "active");
    let bob = text(bob.context("one card is active")?, "card")?;
    desk.world.admin(&["card", "block", &bob])?;
    assert_refused(&desk.open_on(&bobs, &third)?, "E_CARD_BLOCKED");
    assert_eq!((value_of(&card)?, value_of(&bobs)?), (AMOUNT, 0));
    let balances = desk.world.balances()?;
    assert_eq!(balances.card_account, AMOUNT);
    assert_eq!(balances.sender, SENDER_START - 3 * AMOUNT);
    Ok(())
}
