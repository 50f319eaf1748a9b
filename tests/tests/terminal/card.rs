//! Cards and readers that cannot take the money, and the card that can afterwards.

use crate::{AMOUNT, Desk, assert_refused, receipt_of};
use anyhow::Result;
use tests::world::{SENDER_START, text};

#[test]
fn without_a_reader_or_a_card_the_program_stays_usable() -> Result<()> {
    let desk = Desk::new()?;
    let mail = desk.ordered()?;
    let missing = desk.world.open_with(&mail, &desk.path("no.card"))?;
    assert_refused(&missing, 6, "E_CARD_FILE_MISSING");
    // With or without a card service on this computer: not this reader.
    let no_reader = desk.world.terminal(&[
        "open",
        &mail,
        "--reader",
        "pcsc:No such reader",
        "--yes",
        "--json",
    ])?;
    assert_eq!(no_reader.exit, 6, "{no_reader:?}");
    let no_card = desk.file("note.txt", b"not a card")?;
    let damaged = desk.world.open_with(&mail, &no_card)?;
    assert_eq!(damaged.exit, 6, "{damaged:?}");
    desk.still_open()?;
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    desk.credited_once()
}

#[test]
fn factory_and_foreign_cards_are_refused_and_the_right_one_still_credits() -> Result<()> {
    let desk = Desk::new()?;
    let mail = desk.ordered()?;
    let factory = desk.path("factory.card");
    desk.world.new_card(&factory)?;
    let opened = desk.world.open_with(&mail, &factory)?;
    assert_refused(&opened, 6, "E_CARD_UNSUPPORTED");
    let foreign = desk.path("foreign.card");
    desk.world.new_card(&foreign)?;
    let bob = desk.world.holder("Bob", "bob@demo.tegata.example", "en")?;
    desk.world.issue(&foreign, &bob.id)?;
    let opened = desk.world.open_with(&mail, &foreign)?;
    assert_refused(&opened, 8, "E_WRONG_CARD");
    desk.still_open()?;
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    desk.credited_once()
}

#[test]
fn a_blocked_card_takes_nothing() -> Result<()> {
    let desk = Desk::new()?;
    let mail = desk.ordered()?;
    let cards = desk.world.admin(&["card", "list"])?;
    let card = text(&cards["cards"][0], "card")?;
    desk.world.admin(&["card", "block", &card])?;
    assert_refused(&desk.world.open(&mail)?, 8, "E_CARD_BLOCKED");
    desk.still_open()
}

#[test]
fn a_full_card_takes_no_more_and_the_sender_can_take_it_back() -> Result<()> {
    let mut desk = Desk::new()?;
    // Two orders of which the card can hold one.
    let small = desk.path("small.card");
    desk.world.new_card(&small)?;
    let reader = format!("emulated:{small}");
    let holder = desk.world.hanako.id.clone();
    let args = ["card", "issue", "--reader", &reader, "--holder", &holder];
    let limit = ["--value-max", "4000", "--accept-emulated-cards"];
    let issued = desk.world.admin(&[&args[..], &limit].concat())?;
    (desk.world.card, desk.world.number) = (small, text(&issued, "number")?);
    let first = desk.ordered()?;
    let id = text(&desk.world.order(&desk.server, "two", AMOUNT, None)?, "id")?;
    let second = desk.world.mail(2)?;
    receipt_of(&desk.world.open(&first)?, "credited")?;
    assert_refused(&desk.world.open(&second)?, 8, "E_CARD_FULL");
    desk.money_is(AMOUNT, SENDER_START - 2 * AMOUNT)?;
    let token = desk.world.alice.token.as_str();
    let path = format!("/v1/orders/{id}/cancel");
    let cancelled = desk.world.post(&desk.server, token, &path, "c", "{}")?;
    assert_eq!(cancelled.status, 200);
    desk.credited_once()
}

#[test]
fn opened_elsewhere_after_success_the_same_receipt_is_shown() -> Result<()> {
    let mut desk = Desk::new()?;
    let mail = desk.ordered()?;
    let first = receipt_of(&desk.world.open(&mail)?, "credited")?;
    // Here from the terminal's own folder, without the card.
    let here = desk.world.open_with(&mail, &desk.path("no.card"))?;
    assert_eq!(receipt_of(&here, "already-credited")?, first);
    // Elsewhere from the server, with the card or with another one.
    desk.world.state = desk.path("elsewhere");
    desk.world.trust(&desk.server)?;
    let elsewhere = desk.world.open(&mail)?;
    assert_eq!(receipt_of(&elsewhere, "already-credited")?, first);
    let id = text(&elsewhere.document, "remittance")?;
    let shown = desk.world.terminal(&["receipt", &id, "--json"])?;
    assert_eq!(shown.exit, 0, "{shown:?}");
    assert_eq!(text(&shown.document, "receipt")?, first);
    desk.credited_once()
}
