//! Redemptions over real HTTP against the real server process and a card file, with the guest's
//! logic compiled natively: what is lost, repeated, restarted or done twice changes no sum.

use anyhow::{Context, Result};
use guest_logic::Failure;
use std::cell::RefCell;
use tests::{
    processes::Server,
    recipient::{Fate, Recipient},
    world::{Balances, SENDER_START, World, text},
};

const AMOUNT: i64 = 2_500;

/// A world with one open order, its program, and the running server.
fn with_order() -> Result<(tempfile::TempDir, World, Server, Vec<u8>)> {
    let dir = tempfile::tempdir()?;
    let world = World::new(dir.path())?;
    let server = world.serve()?;
    world.order(&server, "one", AMOUNT, None)?;
    let program = world.program(1)?;
    Ok((dir, world, server, program))
}

fn credited() -> Balances {
    Balances {
        on_card: AMOUNT,
        card_account: AMOUNT,
        sender: SENDER_START - AMOUNT,
    }
}

fn failed(outcome: Result<Vec<u8>, Failure>) -> Result<Failure> {
    outcome
        .err()
        .context("this run should not have ended with a receipt")
}

/// A run whose requests stop getting through at the `exchange`-th.
fn stopped_before(
    exchange: usize,
    program: &[u8],
    world: &World,
    server: &Server,
) -> Result<Recipient<'static>> {
    let hook = move |n| {
        if n >= exchange {
            Fate::LoseRequest
        } else {
            Fate::Deliver
        }
    };
    let mut recipient = Recipient::new(program, &server.base, &world.card)?.with_hook(hook);
    assert_eq!(failed(recipient.run())?, Failure::Network);
    Ok(recipient)
}

#[test]
fn a_plain_redemption_takes_four_exchanges_and_at_most_twelve_apdus() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
    recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    println!("BENCH exchanges {} count", recipient.requests.len());
    println!("BENCH apdus {} count", recipient.apdus);
    assert_eq!(recipient.requests.len(), 4);
    assert!(recipient.apdus <= 12, "{} APDUs", recipient.apdus);
    drop(recipient);
    assert_eq!(world.balances()?, credited());
    world.audit()?;
    Ok(())
}

#[test]
fn a_request_or_a_reply_lost_once_at_any_exchange_changes_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::new(dir.path())?;
    let server = world.serve()?;
    let mut orders = 0;
    for lost in 1..=4 {
        for fate in [Fate::LoseRequest, Fate::LoseReply] {
            orders += 1;
            world.order(&server, &format!("{lost}{fate:?}"), 100, None)?;
            let program = world.program(orders)?;
            let hook = |n| if n == lost { fate } else { Fate::Deliver };
            let mut recipient =
                Recipient::new(&program, &server.base, &world.card)?.with_hook(hook);
            recipient
                .run()
                .map_err(|f| anyhow::anyhow!("{fate:?} at {lost}: {f:?}"))?;
            assert_eq!(recipient.requests.len(), 5, "one repetition");
            assert_eq!(
                recipient.requests[lost - 1],
                recipient.requests[lost],
                "same bytes again"
            );
        }
    }
    let sum = i64::try_from(orders)? * 100;
    let expected = Balances {
        on_card: sum,
        card_account: sum,
        sender: SENDER_START - sum,
    };
    assert_eq!(world.balances()?, expected);
    world.audit()?;
    Ok(())
}

#[test]
fn the_server_restarted_between_any_two_exchanges_credits_once() -> Result<()> {
    let (_dir, world, server, _) = with_order()?;
    let address = server.base.trim_start_matches("http://").to_owned();
    let base = server.base.clone();
    let server = RefCell::new(Some(server));
    for before in 2..=4 {
        let key = format!("restart-{before}");
        let running = server.borrow();
        world.order(running.as_ref().context("running")?, &key, 100, None)?;
        drop(running);
        let program = world.program(before)?;
        let restart = |n| {
            if n == before {
                drop(server.take());
                *server.borrow_mut() = world.serve_on(&address).ok();
            }
            Fate::Deliver
        };
        let mut recipient = Recipient::new(&program, &base, &world.card)?.with_hook(restart);
        recipient
            .run()
            .map_err(|f| anyhow::anyhow!("restart before {before}: {f:?}"))?;
    }
    let balances = world.balances()?;
    assert_eq!((balances.on_card, balances.card_account), (300, 300));
    world.audit()?;
    Ok(())
}

#[test]
fn the_same_exchange_three_sent_twice_gets_the_same_bytes() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
    recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    // After the credit its epoch is over: start again, and nothing is concluded.
    let late = wire::exchange::Reply::decode(&recipient.send(&recipient.requests[2])?)?;
    let restart = wire::exchange::Reply::Refusal(wire::exchange::Refusal::Restart);
    assert_eq!(late, restart);
    drop(recipient);

    world.order(&server, "two", 100, None)?;
    let program = world.program(2)?;
    let recipient = stopped_before(4, &program, &world, &server)?;
    let again = recipient.send(&recipient.requests[2])?;
    assert_eq!(
        Some(&again),
        recipient.replies.get(2),
        "the stored batch, byte for byte"
    );
    Ok(())
}

#[test]
fn a_lost_last_exchange_is_settled_by_the_next_presentation() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    let first = stopped_before(4, &program, &world, &server)?;
    drop(first);
    let between = world.balances()?;
    assert_eq!(
        (between.on_card, between.card_account),
        (AMOUNT, 0),
        "in doubt: card yes, books no"
    );
    let mut again = Recipient::new(&program, &server.base, &world.card)?;
    again.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    assert_eq!(again.requests.len(), 3, "STATE alone settles it");
    drop(again);
    assert_eq!(world.balances()?, credited());
    world.audit()?;
    Ok(())
}

#[test]
fn a_late_proof_is_accepted_without_card_or_program() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    let recipient = stopped_before(4, &program, &world, &server)?;
    let proof = recipient.requests[3].clone();
    let reply = recipient.send(&proof)?;
    assert!(matches!(
        wire::exchange::Reply::decode(&reply)?,
        wire::exchange::Reply::Receipt(_)
    ));
    assert_eq!(recipient.send(&proof)?, reply, "and again, the same bytes");
    drop(recipient);
    assert_eq!(world.balances()?, credited());
    world.audit()?;
    Ok(())
}

#[test]
fn altered_answers_prove_nothing_and_harm_nothing() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    let recipient = stopped_before(4, &program, &world, &server)?;
    let genuine = recipient.requests[3].clone();
    let mut altered = genuine.clone();
    let last = altered.len() - 3;
    altered[last - 20] ^= 1;
    let refused = recipient.send(&altered)?;
    assert!(
        matches!(
            wire::exchange::Reply::decode(&refused)?,
            wire::exchange::Reply::Refusal(_)
        ),
        "{refused:?}"
    );
    assert_eq!(world.balances()?.card_account, 0);
    let reply = recipient.send(&genuine)?;
    assert!(matches!(
        wire::exchange::Reply::decode(&reply)?,
        wire::exchange::Reply::Receipt(_)
    ));
    Ok(())
}

#[test]
fn a_ticket_altered_or_used_for_another_step_concludes_nothing() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    let recipient = stopped_before(3, &program, &world, &server)?;
    let second = wire::exchange::Request::decode(&recipient.requests[1])?;
    let third = wire::exchange::Request::decode(&recipient.requests[2])?;
    let (wire::exchange::Request::Answers(second), wire::exchange::Request::Answers(third)) =
        (second, third)
    else {
        anyhow::bail!("the second and third requests carry answers")
    };
    let mut altered = third.clone();
    altered.ticket.as_mut().context("a ticket")?[40] ^= 1;
    let mut swapped = third;
    swapped.ticket = second.ticket;
    for forged in [altered, swapped] {
        let bytes = wire::exchange::Request::Answers(forged).encode()?;
        let reply = wire::exchange::Reply::decode(&recipient.send(&bytes)?)?;
        assert!(
            matches!(reply, wire::exchange::Reply::Refusal(_)),
            "{reply:?}"
        );
    }
    drop(recipient);
    let untouched = Balances {
        on_card: 0,
        card_account: 0,
        sender: SENDER_START - AMOUNT,
    };
    assert_eq!(world.balances()?, untouched);
    Ok(())
}

#[test]
fn a_state_kept_back_past_another_sessions_commit_concludes_nothing() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    // The first session stops with its STATE answer in hand.
    let kept = stopped_before(3, &program, &world, &server)?;
    let old_state = kept.requests[2].clone();
    drop(kept);
    // The second session commits on the card, and its proof is withheld.
    let second = stopped_before(4, &program, &world, &server)?;
    // The old STATE says "absent", and must not be believed.
    let reply = wire::exchange::Reply::decode(&second.send(&old_state)?)?;
    assert!(
        matches!(
            reply,
            wire::exchange::Reply::Refusal(wire::exchange::Refusal::Restart)
        ),
        "{reply:?}"
    );
    drop(second);
    let mut again = Recipient::new(&program, &server.base, &world.card)?;
    again.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    drop(again);
    assert_eq!(world.balances()?, credited());
    world.audit()?;
    Ok(())
}

#[test]
fn two_programs_on_one_card_are_credited_one_after_the_other() -> Result<()> {
    let (_dir, world, server, first) = with_order()?;
    world.order(&server, "two", 700, None)?;
    let second = world.program(2)?;
    // The first stops after its commit reached the card; the second then meets it in flight.
    let one = stopped_before(4, &first, &world, &server)?;
    drop(one);
    let mut two = Recipient::new(&second, &server.base, &world.card)?;
    two.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    drop(two);
    let sum = AMOUNT + 700;
    let expected = Balances {
        on_card: sum,
        card_account: sum,
        sender: SENDER_START - sum,
    };
    assert_eq!(
        world.balances()?,
        expected,
        "both are settled by the second session"
    );
    world.audit()?;
    Ok(())
}

#[test]
fn another_holders_card_is_refused_and_the_program_stays_usable() -> Result<()> {
    let (dir, world, server, program) = with_order()?;
    let other = dir.path().join("other.card").to_string_lossy().into_owned();
    world.new_card(&other)?;
    let mut unknown = Recipient::new(&program, &server.base, &other)?;
    assert!(unknown.run().is_err(), "a factory card has no purse");
    drop(unknown);
    let bob = world.holder("Bob", "bob@demo.tegata.example", "en")?;
    world.issue(&other, &bob.id)?;
    let mut wrong = Recipient::new(&program, &server.base, &other)?;
    assert_eq!(failed(wrong.run())?, Failure::Refused);
    assert_eq!(wrong.refusal()?, "E_WRONG_CARD");
    drop(wrong);
    let mut right = Recipient::new(&program, &server.base, &world.card)?;
    right.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    drop(right);
    assert_eq!(world.balances()?, credited());
    Ok(())
}

#[test]
fn a_cancelled_expired_or_blocked_remittance_is_refused_with_its_own_code() -> Result<()> {
    let (_dir, world, server, cancelled) = with_order()?;
    let orders = world.get(&server, &world.alice.token, "/v1/orders")?.body;
    let id = text(&orders["items"][0], "id")?;
    let path = format!("/v1/orders/{id}/cancel");
    assert_eq!(
        world
            .post(&server, &world.alice.token, &path, "c", "{}")?
            .status,
        200
    );
    let expired = text(&world.order(&server, "short", 100, Some(3))?, "id")?;
    let short = world.program(2)?;
    world.wait_for_status(&server, &expired, "expired")?;
    world.order(&server, "blocked", 100, None)?;
    let blocked = world.program(3)?;
    let cards = world.admin(&["card", "list"])?;
    let card = text(&cards["cards"][0], "card")?;
    world.admin(&["card", "block", &card])?;
    for (program, code) in [
        (cancelled, "E_CANCELLED"),
        (short, "E_EXPIRED"),
        (blocked, "E_CARD_BLOCKED"),
    ] {
        let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
        assert_eq!(failed(recipient.run())?, Failure::Refused);
        assert_eq!(recipient.refusal()?, code);
    }
    world.audit()?;
    Ok(())
}

#[test]
fn a_program_of_a_revoked_key_is_refused_by_the_server_too() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    let keys = world.admin(&["keys", "list"])?;
    let list = keys["keys"].as_array().context("a list of keys")?;
    let key = list
        .iter()
        .find(|k| k["purpose"] == "program")
        .context("a program key")?;
    world.admin(&["keys", "revoke", &text(key, "key_id")?])?;
    drop(server);
    let server = world.serve()?;
    let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
    assert_eq!(failed(recipient.run())?, Failure::Refused);
    assert_eq!(recipient.refusal()?, "E_PROGRAM_REVOKED");
    drop(recipient);
    let untouched = Balances {
        on_card: 0,
        card_account: 0,
        sender: SENDER_START - AMOUNT,
    };
    assert_eq!(world.balances()?, untouched);
    Ok(())
}

#[test]
fn a_replaced_program_is_superseded_and_its_successor_credits() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    let orders = world.get(&server, &world.alice.token, "/v1/orders")?.body;
    let order = text(&orders["items"][0], "id")?;
    // The first program is in the middle of its session when it is replaced.
    let hook = |n| {
        if n == 3 {
            world.admin(&["order", "revise", &order]).expect("replaced");
        }
        Fate::Deliver
    };
    let mut begun = Recipient::new(&program, &server.base, &world.card)?.with_hook(hook);
    assert_eq!(failed(begun.run())?, Failure::Refused);
    drop(begun);
    let mut begun = Recipient::new(&program, &server.base, &world.card)?;
    assert_eq!(failed(begun.run())?, Failure::Refused);
    assert_eq!(begun.refusal()?, "E_SUPERSEDED");
    drop(begun);
    assert_eq!(world.balances()?.on_card, 0);
    let successor = world.program(2)?;
    let mut recipient = Recipient::new(&successor, &server.base, &world.card)?;
    recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    drop(recipient);
    assert_eq!(world.balances()?, credited());
    world.audit()?;
    Ok(())
}

#[test]
fn a_withdrawn_template_credits_nothing_at_server_or_terminal() -> Result<()> {
    let (_dir, world, server, program) = with_order()?;
    world.trust(&server)?;
    let templates = world.admin(&["template", "list"])?;
    let current = text(&templates, "current")?;
    world.admin(&["template", "withdraw", &current])?;
    // The program on its own, and then as a terminal that has fetched the status list sees it.
    let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
    assert_eq!(failed(recipient.run())?, Failure::Refused);
    drop(recipient);
    let opened = world.open(&world.mail(1)?)?;
    assert_eq!(opened.document["code"], "E_PROGRAM_REVOKED", "{opened:?}");
    assert_eq!(opened.document["exchanges"], serde_json::Value::Null);
    assert_eq!(world.balances()?.on_card, 0);
    world.audit()?;
    Ok(())
}
