//! Card, reader and service pulled away in the middle of a remittance, at each of its exchanges.

use crate::{AMOUNT, Desk, assert_credited, assert_refused, opened_with_held};
use anyhow::{Result, ensure};
use tests::{
    processes::{armed, is_root, wait_until, was_killed},
    world::{Balances, SENDER_START},
};

/// What the person is told when the card is out of reach after each exchange, `lost` as long as nothing
/// was credited; none if it is credited all the same, because the card was not needed any more.
const fn outcomes(lost: &'static str) -> [Option<&'static str>; 4] {
    // After the third the batch that moves value has left the server, and only the card knows.
    [Some(lost), Some(lost), Some("E_IN_DOUBT"), None]
}

/// Requires that so many orders were credited, of so many placed.
fn money(desk: &Desk, credited: i64, placed: i64) -> Result<()> {
    let expected = Balances {
        on_card: credited * AMOUNT,
        card_account: credited * AMOUNT,
        sender: SENDER_START - placed * AMOUNT,
    };
    assert_eq!(desk.world.balances()?, expected);
    desk.world.audit()?;
    Ok(())
}

#[test]
fn a_card_taken_away_at_any_exchange_is_credited_once_when_it_is_back() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let mut desk = Desk::new()?;
    let mut credited = 0;
    for (index, outcome) in outcomes("E_READER_REMOVED").into_iter().enumerate() {
        let at = index + 1;
        let mail = desk.ordered(&at.to_string(), at)?;
        let plugged = desk.service.plug(&desk, &desk.world.card, 0)?;
        let ended = opened_with_held(&mut desk, &mail, at, |desk| {
            // Meanwhile the same program is not run twice.
            assert_refused(&desk.open(&mail, "pcsc")?, "E_ALREADY_RUNNING");
            desk.service.unplug(desk, plugged, 0)
        })?;
        if let Some(code) = outcome {
            assert_refused(&ended, code);
            money(&desk, credited, credited + 1)?;
            assert_refused(&desk.open(&mail, "pcsc")?, "E_READER_NO_CARD");
            let plugged = desk.service.plug(&desk, &desk.world.card, 0)?;
            assert_credited(&desk.open(&mail, "pcsc")?);
            desk.service.unplug(&desk, plugged, 0)?;
        } else {
            assert_credited(&ended);
        }
        credited += 1;
        money(&desk, credited, credited)?;
    }
    Ok(())
}

#[test]
fn a_reader_unplugged_and_a_service_restarted_at_any_exchange_lose_nothing() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let mut desk = Desk::new()?;
    let mut credited = 0;
    for (index, outcome) in outcomes("E_READER_SERVICE").into_iter().enumerate() {
        let at = index + 1;
        let mail = desk.ordered(&at.to_string(), at)?;
        let plugged = desk.service.plug(&desk, &desk.world.card, 0)?;
        let ended = opened_with_held(&mut desk, &mail, at, |desk| {
            desk.service.stop()?;
            // The driver hung up, so the card is off the reader, too.
            drop(plugged);
            desk.service.start_without_reader()
        })?;
        match outcome {
            Some(code) => assert_refused(&ended, code),
            None => assert_credited(&ended),
        }
        let opened = wait_until("the service", || {
            let opened = desk.open(&mail, "pcsc")?;
            Ok((opened.document["code"] != "E_READER_SERVICE").then_some(opened))
        })?;
        if outcome.is_some() {
            assert_refused(&opened, "E_READER_NONE");
            money(&desk, credited, credited + 1)?;
        }
        desk.service.stop()?;
        desk.service.start_again()?;
        desk.wait_for_service()?;
        if outcome.is_some() {
            let plugged = desk.service.plug(&desk, &desk.world.card, 0)?;
            assert_credited(&desk.open(&mail, "pcsc")?);
            desk.service.unplug(&desk, plugged, 0)?;
        }
        credited += 1;
        money(&desk, credited, credited)?;
    }
    Ok(())
}

#[test]
fn a_card_pulled_inside_its_commit_is_credited_once_when_it_is_back() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let mut desk = Desk::new()?;
    let mut credited = 0;
    for (number, (point, on_card)) in [
        ("card-reader::commit::before-write", 0),
        ("card-reader::commit::after-write", AMOUNT),
    ]
    .into_iter()
    .enumerate()
    {
        let mail = desk.ordered(point, number + 1)?;
        let card = armed("tegata-card", &format!("{point}=return"))?;
        let mut plugged = desk.service.plug_as(card, &desk, &desk.world.card, 0)?;
        assert_refused(&desk.open(&mail, "pcsc")?, "E_IN_DOUBT");
        let ended = plugged.ended()?;
        ensure!(ended.is_some_and(was_killed), "{point}: {ended:?}");
        let doubt = Balances {
            on_card: credited * AMOUNT + on_card,
            card_account: credited * AMOUNT,
            sender: SENDER_START - (credited + 1) * AMOUNT,
        };
        assert_eq!(desk.world.balances()?, doubt, "{point}");
        desk.world.audit()?;
        // The service, too: it looks for cards too seldom to notice one that is put back at once.
        desk.service.stop()?;
        desk.service.start_again()?;
        desk.wait_for_service()?;
        let plugged = desk.service.plug(&desk, &desk.world.card, 0)?;
        assert_credited(&desk.open(&mail, "pcsc")?);
        desk.service.unplug(&desk, plugged, 0)?;
        credited += 1;
        money(&desk, credited, credited)?;
    }
    Ok(())
}
