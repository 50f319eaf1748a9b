//! The terminal, the card's file and the server killed while a card is being credited.

use crate::{AMOUNT, Desk, Story, Told, points};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use tests::world::text;

/// Orders one remittance for every kill and gives the paths of their mails.
fn mails(desk: &mut Desk, count: usize) -> Result<Vec<String>> {
    for number in 0..count {
        desk.order(&format!("order-{number}"))?;
    }
    (1..=count).map(|number| desk.world.mail(number)).collect()
}

/// Kills terminals at each of these points, and lets the next run come to the end.
fn terminals_killed(by: Told) -> Result<()> {
    let mut kills = Vec::new();
    for (point, story) in points(by) {
        match story {
            Story::Open(passes) => kills.extend(passes.iter().map(|pass| (point, Some(*pass)))),
            Story::Resend => kills.push((point, None)),
            other => bail!("{point}: {other:?} is told elsewhere"),
        }
    }
    let mut desk = Desk::new()?;
    let mails = mails(&mut desk, kills.len())?;
    let mut openings = 0;
    for ((point, pass), mail) in kills.into_iter().zip(mails) {
        // One that is killed, or two, and then two that are not.
        openings += 3 + usize::from(pass.is_none());
        if let Some(pass) = pass {
            desk.open_killed(&mail, point, pass)?;
        } else {
            // In doubt first: the proof is in the journal, and was not sent.
            desk.open_killed(&mail, "terminal::request::after-write", 1)?;
            desk.open_killed(&mail, point, 1)?;
        }
        desk.credited_by(&mail, &format!("{point}, pass {pass:?}"))?;
        let log = desk.world.terminal(&["log", "verify", "--json"])?;
        assert_eq!(log.exit, 0, "{point}, pass {pass:?}: {log:?}");
        let recorded = recorded(&desk)?;
        assert_eq!(recorded, openings, "{point}, pass {pass:?}");
    }
    Ok(())
}

/// Openings with a record in the terminal's log, each by its name; none has two.
fn recorded(desk: &Desk) -> Result<usize> {
    let log = desk
        .world
        .terminal(&["log", "--last", "1000", "--json"])?
        .document;
    let records = log["records"].as_array().context("records")?;
    let openings = records.iter().filter(|record| record["command"] == "open");
    let names: Vec<_> = openings.map(|record| text(record, "opening")).collect();
    let distinct: BTreeSet<_> = names.iter().flatten().collect();
    ensure!(distinct.len() == names.len(), "{names:?}");
    Ok(distinct.len())
}

#[test]
fn a_terminal_killed_around_any_card_command_credits_once_afterwards() -> Result<()> {
    terminals_killed(Told::Card)
}

#[test]
fn a_terminal_killed_at_any_write_or_exchange_credits_once_afterwards() -> Result<()> {
    terminals_killed(Told::Terminal)
}

#[test]
fn a_server_killed_around_any_commit_of_an_order_comes_to_the_same_end() -> Result<()> {
    let mut desk = Desk::new()?;
    let mut mails = 0;
    for (point, story) in points(Told::Server) {
        match story {
            Story::Redeem => {
                desk.order(point)?;
                mails += 1;
                redeemed(&mut desk, point, mails)?;
            }
            Story::Order => {
                mails += 1;
                ordered(&mut desk, point, mails)?;
            }
            Story::Cancel => {
                let order = desk.order(point)?;
                mails += 1;
                cancelled(&mut desk, point, &order, mails)?;
            }
            Story::Expire => {
                mails += 1;
                expired(&mut desk, point, mails)?;
            }
            other => bail!("{point}: {other:?} is told elsewhere"),
        }
    }
    Ok(())
}

/// The terminal loses its server in mid-exchange, says so, and the next run credits.
fn redeemed(desk: &mut Desk, point: &str, mails: usize) -> Result<()> {
    let mail = desk.world.mail(mails)?;
    let lost = desk.killed(point, |desk, _| desk.world.open(&mail))?;
    // In doubt as soon as the batch may have reached the card.
    let expected = if point.contains("::decide::") {
        (7, "E_OFFLINE")
    } else {
        (9, "E_IN_DOUBT")
    };
    let code = lost.document["code"].as_str().context("a code")?;
    assert_eq!((lost.exit, code), expected, "{point}: {lost:?}");
    desk.restart()?;
    desk.credited_by(&mail, point)
}

/// The order's answer never comes; asked again under the same key it is there once.
fn ordered(desk: &mut Desk, point: &str, mails: usize) -> Result<()> {
    let before = desk.killed(point, |desk, server| {
        let lost = desk.world.order(server, point, AMOUNT, None);
        ensure!(lost.is_err(), "{point}: answered {lost:?}");
        desk.world.audit()
    })?;
    ensure!(!before.is_empty());
    desk.restart()?;
    let order = desk.order(point)?;
    let again = desk.world.order(desk.server()?, point, AMOUNT, None)?;
    assert_eq!(again["id"], order["id"], "{point}");
    desk.adds_up(point)?;
    let mail = desk.world.mail(mails)?;
    desk.credited_by(&mail, point)
}

/// The cancellation's answer never comes; asked again it is done, and the program is refused.
fn cancelled(desk: &mut Desk, point: &str, order: &Value, mails: usize) -> Result<()> {
    let mail = desk.world.mail(mails)?;
    let path = format!("/v1/orders/{}/cancel", text(order, "id")?);
    desk.killed(point, |desk, server| {
        let token = &desk.world.alice.token;
        let lost = desk.world.post(server, token, &path, point, "{}");
        ensure!(lost.is_err(), "{point}: answered {lost:?}");
        Ok(())
    })?;
    desk.restart()?;
    let token = &desk.world.alice.token;
    let answer = desk.world.post(desk.server()?, token, &path, point, "{}")?;
    assert_eq!(answer.status, 200, "{point}: {answer:?}");
    desk.escrow -= 1;
    desk.adds_up(point)?;
    let refused = desk.world.open(&mail)?;
    assert_eq!(
        (refused.exit, &refused.document["code"]),
        (8, &"E_CANCELLED".into())
    );
    desk.adds_up(point)
}

/// The money of an expired order is returned once, whoever returns it.
fn expired(desk: &mut Desk, point: &str, mails: usize) -> Result<()> {
    let id = desk.killed(point, |desk, server| {
        let order = desk.world.order(server, point, AMOUNT, Some(2))?;
        desk.world.mail(mails)?;
        text(&order, "id")
    })?;
    desk.restart()?;
    desk.world.wait_for_status(desk.server()?, &id, "expired")?;
    desk.adds_up(point)
}
