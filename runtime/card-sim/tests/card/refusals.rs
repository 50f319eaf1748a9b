//! What the card refuses, with which status, and that every refusal ends the session.

use crate::common::exchange;
use crate::purse::{Mode, SELECT, Tap, content, new_purse};
use card_sim::Card;

const LIMIT: i32 = 1_000_000;

fn amount(minor: i32) -> [u8; 4] {
    minor.to_le_bytes()
}

/// Key, command, header, data, outcome.
type Case = (u8, u8, &'static [u8], &'static [u8], Result<(), u8>);

/// The status of a plain command to a purse without a session.
fn status(command: &[u8]) -> Vec<u8> {
    let mut card = new_purse();
    card.transmit(&SELECT);
    exchange(&mut card, command)
}

#[test]
fn a_value_reaches_its_upper_limit_exactly_and_not_one_further() {
    let mut tap = Tap::new(new_purse(), 1);
    tap.send(0x0C, &[1], &amount(LIMIT)).unwrap();
    tap.commit().unwrap();
    assert_eq!(tap.send(0x0C, &[1], &amount(1)), Err(0xBE));
    assert!(!tap.is_open());
}

#[test]
fn the_limits_hold_for_the_running_result_of_a_transaction() {
    let mut tap = Tap::new(new_purse(), 1);
    tap.send(0x0C, &[1], &amount(LIMIT - 1)).unwrap();
    tap.send(0x0C, &[1], &amount(1)).unwrap();
    assert_eq!(tap.send(0x0C, &[1], &amount(1)), Err(0xBE));
    let mut tap = Tap::new(new_purse(), 1);
    tap.send(0x0C, &[1], &amount(5)).unwrap();
    tap.send(0xDC, &[1], &amount(5)).unwrap();
    assert_eq!(tap.send(0xDC, &[1], &amount(1)), Err(0xBE));
}

#[test]
fn a_negative_amount_is_a_parameter_error() {
    assert_eq!(
        Tap::new(new_purse(), 1).send(0x0C, &[1], &amount(-1)),
        Err(0x9E)
    );
    assert_eq!(
        Tap::new(new_purse(), 1).send(0xDC, &[1], &amount(-1)),
        Err(0x9E)
    );
}

#[test]
fn a_refused_command_ends_the_session_and_aborts_the_transaction() {
    let mut tap = Tap::new(new_purse(), 1);
    tap.send(0x0C, &[1], &amount(100)).unwrap();
    assert_eq!(tap.send(0x0C, &[9], &amount(1)), Err(0xF0));
    assert!(!tap.is_open());
    let mut again = Tap::new(tap.card, 1);
    assert_eq!(again.commit(), Err(0x0C));
    assert_eq!(content(&again.card), content(&new_purse()));
}

#[test]
fn every_altered_byte_of_a_command_is_an_integrity_error_or_another_refusal() {
    let mut whole = Tap::new(new_purse(), 1);
    let credit = whole
        .session
        .command(0x0C, &[1], &amount(7), Mode::Full)
        .expect("counter left");
    for index in 5..credit.len() - 1 {
        let mut tap = Tap::new(new_purse(), 1);
        let mut altered = credit.clone();
        altered[index] ^= 1;
        let answer = tap.card.transmit(&altered).answer;
        // The first byte of the data is the file number: another file is missing.
        assert_eq!(
            answer,
            [0x91, if index == 5 { 0xF0 } else { 0x1E }],
            "byte {index}"
        );
        assert!(!tap.is_open());
    }
}

#[test]
fn a_repeated_command_is_an_integrity_error() {
    let mut tap = Tap::new(new_purse(), 1);
    let credit = tap
        .session
        .command(0x0C, &[1], &amount(7), Mode::Full)
        .expect("counter left");
    assert!(tap.card.transmit(&credit).answer.ends_with(&[0x91, 0x00]));
    assert_eq!(tap.card.transmit(&credit).answer, [0x91, 0x1E]);
}

#[test]
fn a_skipped_command_is_an_integrity_error() {
    let mut tap = Tap::new(new_purse(), 1);
    let held_back = tap.session.command(0x0C, &[1], &amount(7), Mode::Full);
    assert!(held_back.is_ok());
    assert_eq!(tap.send(0x6C, &[1], &[]), Err(0x1E));
}

#[test]
fn rights_are_those_of_the_key() {
    const LOG: &[u8] = &[4, 0, 0, 0, 1, 0, 0];
    let cases: [Case; 8] = [
        (1, 0x0C, &[1], &[1, 0, 0, 0], Ok(())),    // key 1 credits
        (2, 0x0C, &[1], &[1, 0, 0, 0], Err(0x9D)), // key 2 does not
        (0, 0x0C, &[1], &[1, 0, 0, 0], Err(0x9D)), // nor does the master key
        (2, 0xDC, &[1], &[0, 0, 0, 0], Ok(())),    // key 2 debits
        (2, 0x3D, &[3, 0, 0, 0, 1, 0, 0], &[1], Ok(())), // and writes STATE
        (1, 0x3D, &[5, 0, 0, 0, 1, 0, 0], b"1", Err(0x9D)), // the card number is the office's
        (0, 0xBB, LOG, &[], Err(0x9D)),
        (1, 0xBB, LOG, &[], Err(0xBE)), // allowed, and empty
    ];
    for (key_no, ins, header, data, expected) in cases {
        let sent = Tap::new(new_purse(), key_no).send(ins, header, data);
        assert_eq!(
            sent.map(|_| ()),
            expected,
            "key {key_no}, command {ins:02X}"
        );
    }
}

#[test]
fn files_need_a_session() {
    assert_eq!(status(&[0x90, 0x6C, 0, 0, 1, 1, 0]), [0x91, 0xAE]);
    assert_eq!(
        status(&[0x90, 0xBD, 0, 0, 7, 3, 0, 0, 0, 0, 0, 0, 0]),
        [0x91, 0xAE]
    );
    assert_eq!(status(&[0x90, 0x51, 0, 0, 0]), [0x91, 0xAE]);
    // Free listing is in the key settings.
    assert_eq!(status(&[0x90, 0x6F, 0, 0, 0]), [1, 3, 4, 5, 0x91, 0x00]);
}

#[test]
fn unknown_things_have_their_status() {
    assert_eq!(status(&[0x90, 0x01, 0, 0, 0]), [0x91, 0x1C]);
    assert_eq!(status(&[0x90, 0x5A, 0, 0, 3, 9, 9, 9, 0]), [0x91, 0xA0]);
    assert_eq!(status(&[0x90, 0xF5, 0, 0, 1, 9, 0]), [0x91, 0xF0]);
    assert_eq!(status(&[0x90, 0x64, 0, 0, 1, 3, 0]), [0x91, 0x40]);
    assert_eq!(status(&[0x90, 0x71, 0, 0, 2, 3, 0, 0]), [0x91, 0x40]);
    assert_eq!(status(&[0x90, 0x71, 0, 0, 2, 1, 7, 0]), [0x91, 0x7E]);
    assert_eq!(status(&[0x90, 0x77, 0, 0, 1, 1, 0]), [0x91, 0xAE]);
    assert_eq!(status(&[0x90, 0xF5, 0, 0, 2, 1, 0, 0]), [0x91, 0x7E]);
    assert_eq!(status(&[0x90, 0xF5, 0, 0, 0]), [0x91, 0x7E]);
    assert_eq!(status(&[0x90, 0xC7, 0, 0, 0]), [0x91, 0x0C]);
    assert_eq!(status(&[0x90, 0xC7, 0, 0, 1, 1, 0]), [0x91, 0x9D]);
    assert_eq!(
        status(&[0x90, 0xCA, 0, 0, 5, 1, 2, 3, 0x0F, 0x81, 0]),
        [0x91, 0x9D]
    );
    assert_eq!(status(&[0x90, 0x6C, 0x01, 0x00, 0]), [0x6A, 0x86]);
    assert_eq!(status(&[0x80, 0x6C, 0, 0, 0]), [0x6E, 0x00]);
    assert_eq!(status(&[0x00, 0xB0, 0, 0, 0]), [0x6D, 0x00]);
    assert_eq!(status(&[0xFF, 0xB0, 0, 0, 0]), [0x6A, 0x81]);
}

#[test]
fn a_wrong_answer_to_the_challenge_is_an_authentication_error() {
    let mut card = new_purse();
    card.transmit(&SELECT);
    assert_eq!(
        card.transmit(&[0x90, 0x71, 0, 0, 2, 1, 0, 0]).answer.len(),
        18
    );
    let wrong = [&[0x90, 0xAF, 0, 0, 32][..], &[0; 32], &[0]].concat();
    assert_eq!(card.transmit(&wrong).answer, [0x91, 0xAE]);
    assert_eq!(
        card.transmit(&wrong).answer,
        [0x91, 0x1C],
        "a challenge is answered once"
    );
}

#[test]
fn a_session_asks_for_macs() {
    let mut tap = Tap::new(new_purse(), 1);
    assert_eq!(
        tap.card.transmit(&[0x90, 0x51, 0, 0, 0]).answer,
        [0x91, 0x7E]
    );
    assert!(!tap.is_open());
}

#[test]
fn a_probe_by_name_is_answered_and_ends_the_session_only() {
    let mut tap = Tap::new(new_purse(), 1);
    let other = [0x00, 0xA4, 0x04, 0x00, 5, 0xA0, 0, 0, 0, 3, 0];
    assert_eq!(tap.card.transmit(&other).answer, [0x6A, 0x82]);
    assert!(!tap.is_open());
    // The application is still selected.
    assert_eq!(tap.card.transmit(&[0x90, 0x6F, 0, 0, 0]).answer.len(), 6);
    let picc = [0x00, 0xA4, 0x04, 0x00, 7, 0xD2, 0x76, 0, 0, 0x85, 1, 0, 0];
    assert_eq!(tap.card.transmit(&picc).answer, [0x90, 0x00]);
    assert_eq!(
        tap.card.transmit(&[0x90, 0x6F, 0, 0, 0]).answer,
        [0x91, 0x9D]
    );
}

#[test]
fn reading_the_uid_through_the_reader_leaves_the_session_alone() {
    let mut tap = Tap::new(new_purse(), 1);
    assert_eq!(tap.card.transmit(&[0xFF, 0xCA, 0, 0, 0]).answer.len(), 9);
    assert_eq!(
        tap.card.transmit(&[0xFF, 0xCA, 1, 0, 0]).answer,
        [0x80, 0x90, 0x00]
    );
    assert!(tap.is_open());
}

#[test]
fn a_full_card_takes_no_more() {
    let mut card = Card::new([4; 7], [0; 32]);
    for number in 1..=28 {
        let create = [0x90, 0xCA, 0, 0, 5, number, 0, 0, 0x0F, 0x81, 0];
        assert_eq!(card.transmit(&create).answer, [0x91, 0x00]);
    }
    let create = [0x90, 0xCA, 0, 0, 5, 99, 0, 0, 0x0F, 0x81, 0];
    assert_eq!(card.transmit(&create).answer, [0x91, 0xCE]);
    assert_eq!(
        card.transmit(&[0x90, 0x5A, 0, 0, 3, 1, 0, 0, 0]).answer,
        [0x91, 0x00]
    );
    // 28 applications took 64 bytes each of 4096: 2304 are left.
    let file = |number, len: u16| {
        let [low, high] = len.to_le_bytes();
        [0x90, 0xCD, 0, 0, 7, number, 0, 0xEE, 0xEE, low, high, 0, 0]
    };
    assert_eq!(card.transmit(&file(1, 2305)).answer, [0x91, 0x0E]);
    assert_eq!(card.transmit(&file(1, 2304)).answer, [0x91, 0x00]);
    assert_eq!(card.transmit(&file(2, 1)).answer, [0x91, 0x0E]);
    assert_eq!(card.transmit(&file(1, 1)).answer, [0x91, 0xDE]);
    assert_eq!(card.transmit(&file(0x20, 1)).answer, [0x91, 0x9E]);
    assert_eq!(card.transmit(&file(3, 0)).answer, [0x91, 0x9E]);
}

#[test]
fn a_free_file_is_read_and_written_plain_and_at_once() {
    let mut card = Card::new([4; 7], [0; 32]);
    card.transmit(&[0x90, 0xCA, 0, 0, 5, 1, 0, 0, 0x0F, 0x81, 0]);
    card.transmit(&[0x90, 0x5A, 0, 0, 3, 1, 0, 0, 0]);
    card.transmit(&[0x90, 0xCD, 0, 0, 7, 1, 3, 0xEE, 0xEE, 4, 0, 0, 0]);
    let write = card.transmit(&[0x90, 0x3D, 0, 0, 9, 1, 1, 0, 0, 2, 0, 0, 8, 9, 0]);
    assert_eq!(
        (&write.answer[..], write.committed),
        (&[0x91, 0x00][..], true)
    );
    let read = card
        .transmit(&[0x90, 0xBD, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0, 0])
        .answer;
    assert_eq!(read, [0, 8, 9, 0, 0x91, 0x00]);
    let beyond = card
        .transmit(&[0x90, 0xBD, 0, 0, 7, 1, 3, 0, 0, 2, 0, 0, 0])
        .answer;
    assert_eq!(beyond, [0x91, 0xBE]);
}
