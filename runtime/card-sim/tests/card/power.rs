//! Power that goes away: before and after every command of a credit, and around the commit.

use card_sim::Card;

use crate::common::{Step, UID, exchange, parse, run};
use crate::purse::{Tap, content, new_purse};

const PURSE: &str = include_str!("../vectors/purse.txt");

/// The golden transcript: the card after personalisation, and the commands of the credit.
fn before_credit() -> (Card, Vec<Step>) {
    let mut steps = parse(PURSE);
    let reset = steps
        .iter()
        .position(|step| *step == Step::Reset)
        .expect("two halves");
    let credit = steps.split_off(reset);
    let mut card = Card::new(UID, [1; 32]);
    run(&mut card, &steps);
    (card, credit)
}

#[test]
fn power_lost_before_any_command_of_a_credit_leaves_all_old_or_all_new() {
    let (card, _) = before_credit();
    let old = content(&card);
    let (mut card, credit) = before_credit();
    run(&mut card, &credit);
    let new = content(&card);
    let commands = credit
        .iter()
        .filter(|step| matches!(step, Step::Command(_)))
        .count();
    let is_commit = |step: &&Step| matches!(step, Step::Command(bytes) if bytes[1] == 0xC7);
    let mut seen = (0, 0);
    for cut in 0..=commands {
        let (mut card, credit) = before_credit();
        let mut sent = 0;
        let mut committed = false;
        for step in &credit {
            match step {
                Step::Command(_) if sent == cut => break,
                Step::Command(command) => {
                    sent += 1;
                    committed |= is_commit(&step);
                    exchange(&mut card, command);
                }
                Step::Random(bytes) => card.script_random(bytes),
                Step::Answer(_) | Step::Reset => {}
            }
        }
        card.reset();
        assert_eq!(
            content(&card),
            if committed { new.clone() } else { old.clone() },
            "cut {cut}"
        );
        let stored = Card::restore(&card.snapshot()).expect("a stored card");
        assert_eq!(content(&stored), content(&card));
        if committed { seen.1 += 1 } else { seen.0 += 1 }
    }
    assert!(seen.0 > 5 && seen.1 > 2, "both outcomes were met: {seen:?}");
}

/// A tap in which value, log and state wait for their commit.
fn pending() -> Tap {
    let mut tap = Tap::new(new_purse(), 1);
    tap.send(0x0C, &[1], &100i32.to_le_bytes())
        .expect("allowed");
    tap.send(0x3B, &[4, 0, 0, 0, 30, 0, 0], &[7; 30])
        .expect("allowed");
    tap.send(0x3D, &[3, 0, 0, 0, 24, 0, 0], &[8; 24])
        .expect("allowed");
    tap
}

fn commit_apdu(tap: &mut Tap) -> Vec<u8> {
    tap.session
        .command(0xC7, &[], &[], crate::purse::Mode::Mac)
        .expect("counter left")
}

#[test]
fn power_lost_before_the_commit_point_keeps_the_old_content_and_gives_no_answer() {
    let old = content(&new_purse());
    let mut tap = pending();
    let commit = commit_apdu(&mut tap);
    tap.card.stop_before_commit();
    let sent = tap.card.transmit(&commit);
    assert!(sent.answer.is_empty() && !sent.committed);
    assert_eq!(content(&tap.card), old);
    assert!(!tap.is_open());
}

#[test]
fn power_lost_after_the_commit_point_keeps_the_new_content_and_gives_no_answer() {
    let mut whole = pending();
    whole.commit().unwrap();
    let mut tap = pending();
    let commit = commit_apdu(&mut tap);
    tap.card.lose_answer_after_commit();
    let sent = tap.card.transmit(&commit);
    assert!(sent.answer.is_empty() && sent.committed);
    assert_eq!(content(&tap.card), content(&whole.card));
    assert!(!tap.is_open());
    // The switch works once.
    let mut again = Tap::new(tap.card, 1);
    again.send(0x0C, &[1], &1i32.to_le_bytes()).unwrap();
    again.commit().unwrap();
}

#[test]
fn only_a_commit_is_reported_as_one() {
    let mut tap = Tap::new(new_purse(), 1);
    let credit = tap
        .session
        .command(0x0C, &[1], &[1, 0, 0, 0], crate::purse::Mode::Full);
    assert!(!tap.card.transmit(&credit.expect("counter left")).committed);
    let commit = commit_apdu(&mut tap);
    assert!(tap.card.transmit(&commit).committed);
    assert!(!tap.card.transmit(&commit).committed);
}

#[test]
fn pending_changes_are_invisible_until_the_commit() {
    let mut tap = pending();
    assert_eq!(tap.send(0x6C, &[1], &[]), Ok(vec![0; 4]));
    assert_eq!(tap.send(0xBD, &[3, 0, 0, 0, 0, 0, 0], &[]), Ok(vec![0; 24]));
    tap.commit().unwrap();
    assert_eq!(tap.send(0x6C, &[1], &[]), Ok(vec![100, 0, 0, 0]));
    assert_eq!(tap.send(0xBD, &[3, 0, 0, 0, 0, 0, 0], &[]), Ok(vec![8; 24]));
    assert_eq!(tap.send(0xBB, &[4, 0, 0, 0, 1, 0, 0], &[]), Ok(vec![7; 30]));
}

#[test]
fn an_aborted_transaction_leaves_no_trace() {
    let mut tap = pending();
    tap.send_as(0xA7, &[], &[], crate::purse::Mode::Mac)
        .unwrap();
    assert_eq!(tap.commit(), Err(0x0C));
    assert_eq!(content(&tap.card), content(&new_purse()));
}

#[test]
fn a_new_handshake_aborts_what_an_older_session_left_pending() {
    let mut tap = pending();
    let held_back = commit_apdu(&mut tap);
    tap.session = crate::purse::login(&mut tap.card, 1);
    assert_eq!(tap.card.transmit(&held_back).answer, [0x91, 0x1E]);
    let mut tap = pending();
    tap.session = crate::purse::login(&mut tap.card, 1);
    assert_eq!(tap.commit(), Err(0x0C));
    assert_eq!(content(&tap.card), content(&new_purse()));
}

#[test]
fn a_stored_card_goes_on_as_it_was() {
    let mut tap = pending();
    tap.commit().unwrap();
    let snapshot = tap.card.snapshot();
    let restored = Card::restore(&snapshot).expect("a stored card");
    assert_eq!(restored.snapshot(), snapshot);
    assert_eq!(content(&restored), content(&tap.card));
    let mut again = Tap::new(restored, 1);
    assert_eq!(again.send(0x6C, &[1], &[]), Ok(vec![100, 0, 0, 0]));
}
