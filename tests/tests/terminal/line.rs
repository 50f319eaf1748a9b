//! A server that is gone or slow, answers that are lost, a terminal that dies: the order is
//! credited once, whatever happens in between.

use crate::{AMOUNT, Desk, assert_refused, receipt_of};
use anyhow::{Context, Result, ensure};
use std::{fs, process::Command, time::Duration};
use tests::{
    processes::{Running, binary, children_of, runs, wait_until},
    proxy::Fault,
    world::{Balances, SENDER_START, World, text},
};

/// `tegata open` as a process that can be killed.
fn opening(world: &World, mail: &str) -> Result<Running> {
    let reader = format!("emulated:{}", world.card);
    let args = ["open", mail, "--yes", "--reader", &reader];
    Running::start(
        Command::new(binary("tegata")?)
            .args(args)
            .args(["--state", &world.state]),
    )
}

/// Where the money is when the card has committed and nobody has told the server.
fn in_doubt() -> Balances {
    Balances {
        on_card: AMOUNT,
        card_account: 0,
        sender: SENDER_START - AMOUNT,
    }
}

#[test]
fn a_server_that_is_down_loses_nothing() -> Result<()> {
    let mut desk = Desk::new()?;
    let mail = desk.ordered()?;
    let address = desk.server.base.trim_start_matches("http://").to_owned();
    desk.server.restart(|| {
        assert_refused(&desk.world.open(&mail)?, 7, "E_STATUS_STALE");
        desk.world.serve_on(&address)
    })?;
    desk.still_open()?;
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    desk.credited_once()
}

#[test]
fn a_slow_server_is_waited_for() -> Result<()> {
    let (desk, proxy) = Desk::behind_proxy()?;
    proxy.rule(|_| Fault::Delay(Duration::from_millis(700)));
    let mail = desk.ordered()?;
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    assert_eq!(proxy.requests().len(), 4, "nothing was sent twice");
    desk.credited_once()
}

#[test]
fn an_answer_that_does_not_come_in_time_is_asked_for_again() -> Result<()> {
    let (desk, proxy) = Desk::behind_proxy()?;
    proxy.rule(|n| {
        if n == 3 {
            Fault::HoldReply
        } else {
            Fault::Deliver
        }
    });
    let mail = desk.ordered()?;
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    let requests = proxy.requests();
    assert_eq!(requests.len(), 5);
    assert_eq!(requests[2], requests[3], "the same bytes again");
    desk.credited_once()
}

#[test]
fn each_exchange_lost_for_good_ends_cleanly_and_the_next_run_credits() -> Result<()> {
    let (desk, proxy) = Desk::behind_proxy()?;
    let mut expected = 0;
    for (order, (lost, fault)) in [
        (1, Fault::LoseRequest),
        (2, Fault::LoseReply),
        (3, Fault::LoseRequest),
    ]
    .into_iter()
    .enumerate()
    {
        desk.world
            .order(&desk.server, &order.to_string(), 100, None)?;
        let mail = desk.world.mail(order + 1)?;
        proxy.rule(move |n| if n >= lost { fault } else { Fault::Deliver });
        assert_refused(&desk.world.open(&mail)?, 7, "E_OFFLINE");
        assert_eq!(proxy.requests().len(), lost + 2, "sent three times");
        desk.money_is(expected, SENDER_START - expected - 100)?;
        proxy.rule(|_| Fault::Deliver);
        receipt_of(&desk.world.open(&mail)?, "credited")?;
        expected += 100;
        desk.money_is(expected, SENDER_START - expected)?;
    }
    Ok(())
}

/// The last exchange stays unanswered; at the next start its bytes are sent again and the receipt
/// is stored, whatever that start was for.
fn unanswered(fault: Fault, between: Balances) -> Result<()> {
    let (desk, proxy) = Desk::behind_proxy()?;
    let mail = desk.ordered()?;
    proxy.rule(move |n| if n >= 4 { fault } else { Fault::Deliver });
    let opened = desk.world.open(&mail)?;
    assert_refused(&opened, 9, "E_IN_DOUBT");
    let sent = proxy.requests();
    let proof = sent.get(3).context("a last exchange")?;
    ensure!(sent[3..].iter().all(|request| request == proof));
    assert_eq!(sent.len(), 6, "three times the same bytes");
    assert_eq!(desk.world.balances()?, between);
    desk.world.audit()?;

    let id = text(&opened.document, "remittance")?;
    proxy.rule(|_| Fault::Deliver);
    let other = desk.world.open(&desk.path("absent.eml"))?;
    assert_refused(&other, 1, "E_INPUT");
    assert_eq!(other.document["settled"][0]["remittance"], id.as_str());
    assert_eq!(other.document["settled"][0]["outcome"], "credited");
    assert_eq!(&proxy.requests(), std::slice::from_ref(proof));
    desk.credited_once()?;

    let shown = desk.world.terminal(&["receipt", &id, "--json"])?;
    let stored = text(&shown.document, "receipt")?;
    let again = desk.world.open(&mail)?;
    assert_eq!(receipt_of(&again, "already-credited")?, stored);
    assert_eq!(proxy.requests().len(), 1, "nothing more was sent");
    desk.credited_once()
}

#[test]
fn a_last_exchange_that_never_arrived_is_sent_again_at_the_next_start() -> Result<()> {
    unanswered(Fault::LoseRequest, in_doubt())
}

#[test]
fn a_last_exchange_whose_reply_was_lost_is_sent_again_at_the_next_start() -> Result<()> {
    let credited = Balances {
        card_account: AMOUNT,
        ..in_doubt()
    };
    unanswered(Fault::LoseReply, credited)
}

#[test]
fn while_the_server_stays_away_the_doubt_is_kept() -> Result<()> {
    let (desk, proxy) = Desk::behind_proxy()?;
    let mail = desk.ordered()?;
    proxy.rule(|n| {
        if n >= 4 {
            Fault::LoseRequest
        } else {
            Fault::Deliver
        }
    });
    assert_refused(&desk.world.open(&mail)?, 9, "E_IN_DOUBT");
    let proof = proxy.requests().pop().context("a last exchange")?;
    proxy.rule(|_| Fault::LoseRequest);
    let away = desk.world.open(&mail)?;
    assert_eq!(away.exit, 7, "{away:?}");
    assert_eq!(away.document["settled"][0]["outcome"], "E_OFFLINE");
    assert_eq!(proxy.requests().first(), Some(&proof));
    assert_eq!(desk.world.balances()?, in_doubt());
    // Sent again, the proof settles it, and this very command reports the credit.
    proxy.rule(|_| Fault::Deliver);
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    assert_eq!(proxy.requests(), [proof]);
    desk.credited_once()
}

/// Kills the terminal while exchange `at` hangs, then runs it again.
fn killed_at(at: usize, fault: Fault, between: Balances, exchanges: usize) -> Result<()> {
    let (desk, proxy) = Desk::behind_proxy()?;
    let mail = desk.ordered()?;
    proxy.rule(move |n| if n == at { fault } else { Fault::Deliver });
    let mut terminal = opening(&desk.world, &mail)?;
    ensure!(proxy.wait_for_held(), "exchange {at} was not reached");
    let runners = children_of(terminal.pid())?;
    assert_eq!(runners.len(), 1, "one sandboxed child");
    terminal.end()?;
    wait_until("the end of the sandboxed child", || {
        Ok((!runs(runners[0])).then_some(()))
    })?;
    assert_eq!(desk.world.balances()?, between);
    desk.world.audit()?;
    proxy.rule(|_| Fault::Deliver);
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    assert_eq!(proxy.requests().len(), exchanges);
    desk.credited_once()?;
    receipt_of(&desk.world.open(&mail)?, "already-credited")?;
    desk.credited_once()
}

#[test]
fn a_terminal_killed_before_the_batch_arrives_credits_once_afterwards() -> Result<()> {
    let nothing = Balances {
        on_card: 0,
        ..in_doubt()
    };
    killed_at(3, Fault::HoldReply, nothing, 4)
}

#[test]
fn a_terminal_killed_with_its_proof_unsent_credits_once_afterwards() -> Result<()> {
    killed_at(4, Fault::HoldRequest, in_doubt(), 1)
}

#[test]
fn a_terminal_killed_before_the_receipt_arrives_credits_once_afterwards() -> Result<()> {
    let credited = Balances {
        card_account: AMOUNT,
        ..in_doubt()
    };
    killed_at(4, Fault::HoldReply, credited, 1)
}

#[test]
fn a_terminal_that_lost_its_memory_after_the_kill_credits_once_by_the_card() -> Result<()> {
    let (mut desk, proxy) = Desk::behind_proxy()?;
    let mail = desk.ordered()?;
    proxy.rule(|n| {
        if n == 4 {
            Fault::HoldRequest
        } else {
            Fault::Deliver
        }
    });
    let mut terminal = opening(&desk.world, &mail)?;
    ensure!(proxy.wait_for_held(), "exchange 4 was not reached");
    terminal.end()?;
    fs::remove_dir_all(&desk.world.state)?;
    assert_eq!(desk.world.balances()?, in_doubt());
    proxy.rule(|_| Fault::Deliver);
    desk.world.state = desk.path("new-terminal");
    desk.world.trust_at(&proxy.base)?;
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    assert_eq!(
        proxy.requests().len(),
        3,
        "the card's own record settles it"
    );
    desk.credited_once()
}
