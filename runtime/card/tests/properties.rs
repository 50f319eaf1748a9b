//! What holds for any bytes: nothing panics, what is written is read back, and only the card's own answers are proof.

use card::apdu::{self, Answer, Command};
use card::crypto::{self, Block, ZERO};
use card::handshake::{Challenge, PENDING_LEN, Pending};
use card::key::Key;
use card::purse::{self, CommitProof, LOG_RECORD_LEN, LogRecord, STATE_LEN, State, VALUE_MAX};
use card::secure_messaging::{Mode, SESSION_LEN, Session};
use card::{CardError, commands, legacy};
use proptest::array::uniform;
use proptest::collection::vec;
use proptest::prelude::*;

const ENC: Block = [0x11; 16];
const MAC: Block = [0x22; 16];
const TI: [u8; 4] = [1, 2, 3, 4];
const COUNTER: u16 = 2;

fn session() -> Session {
    Session::new(Key::new(ENC), Key::new(MAC), TI, COUNTER)
}

/// The answer that the card gives to the command with this counter value.
fn genuine(counter: u16, data: &[u8]) -> Vec<u8> {
    let [c0, c1] = (counter + 1).to_le_bytes();
    let mut body = Vec::new();
    if !data.is_empty() {
        let mut iv = ZERO;
        iv[..8].copy_from_slice(&[0x5A, 0xA5, TI[0], TI[1], TI[2], TI[3], c0, c1]);
        let mut blocks = crypto::pad(data);
        crypto::cbc_encrypt(&ENC, &crypto::encrypt_block(&ENC, &iv), &mut blocks);
        body.extend_from_slice(blocks.as_flattened());
    }
    let mac = crypto::cmac(&MAC, &[&[0x00, c0, c1], &TI, &body]);
    body.extend(crypto::truncate(&mac));
    body.extend([0x91, 0x00]);
    body
}

/// The card's answers to a credit batch that ends with a balance of 2500.
fn credit_answers() -> Vec<Vec<u8>> {
    let mut answers: Vec<Vec<u8>> = (0..4).map(|step| genuine(COUNTER + step, &[])).collect();
    answers.push(genuine(COUNTER + 4, &2500_i32.to_le_bytes()));
    answers
}

#[test]
fn genuine_answers_prove_the_commit_and_the_value() {
    let answers = credit_answers();
    let proof = |count: usize| purse::check_credit(&session(), &answers[..count]);
    let value_after = Some(2500);
    assert_eq!(proof(5), CommitProof::Committed { value_after });
    assert_eq!(proof(4), CommitProof::Committed { value_after: None });
    for count in 0..4 {
        assert_eq!(proof(count), CommitProof::Unproven);
    }
}

#[test]
fn the_session_after_the_batch_proves_the_same() {
    let mut after = session();
    purse::credit(&mut after, 2500, 0, State::default(), 0).unwrap();
    let value_after = Some(2500);
    let proof = purse::check_credit(&after, &credit_answers());
    assert_eq!(proof, CommitProof::Committed { value_after });
}

#[test]
fn no_single_changed_bit_is_proof() {
    for index in 0..5 {
        for bit in 0..credit_answers()[index].len() * 8 {
            let mut answers = credit_answers();
            answers[index][bit / 8] ^= 1 << (bit % 8);
            let wanted = if index == 4 {
                CommitProof::Committed { value_after: None }
            } else {
                CommitProof::Unproven
            };
            let proof = purse::check_credit(&session(), &answers);
            assert_eq!(proof, wanted, "answer {index}, bit {bit}");
        }
    }
}

#[test]
fn missing_short_swapped_repeated_and_surplus_answers_are_no_proof() {
    let genuine_answers = credit_answers();
    let mut changed = Vec::new();
    for index in 0..4 {
        let mut without = genuine_answers.clone();
        without.remove(index);
        changed.push(without);
        for len in 0..genuine_answers[index].len() {
            let mut short = genuine_answers.clone();
            short[index].truncate(len);
            changed.push(short);
        }
        let mut long = genuine_answers.clone();
        long[index].insert(0, 0);
        changed.push(long);
        let mut swapped = genuine_answers.clone();
        swapped.swap(index, (index + 1) % 4);
        changed.push(swapped);
        let mut repeated = genuine_answers.clone();
        repeated[index] = genuine_answers[(index + 1) % 4].clone();
        changed.push(repeated);
    }
    changed.push([&genuine_answers[..], &genuine_answers[4..]].concat());
    for answers in changed {
        let proof = purse::check_credit(&session(), &answers);
        assert_eq!(proof, CommitProof::Unproven, "{answers:02X?}");
    }
}

#[test]
fn answers_of_another_session_or_another_batch_are_no_proof() {
    let answers = credit_answers();
    let unproven = |enc: Block, mac: Block, ti: [u8; 4], counter: u16| {
        let other = Session::new(Key::new(enc), Key::new(mac), ti, counter);
        assert_eq!(purse::check_credit(&other, &answers), CommitProof::Unproven);
    };
    unproven(ENC, [0x23; 16], TI, COUNTER);
    unproven(ENC, MAC, [1, 2, 3, 5], COUNTER);
    unproven(ENC, MAC, TI, COUNTER + 1);
    unproven(ENC, MAC, TI, COUNTER - 1);
}

#[test]
fn a_credit_fills_the_purse_exactly_and_not_beyond() {
    let credit = |amount, before| {
        purse::credit(&mut session(), amount, before, State::default(), 0).map(|_| ())
    };
    assert_eq!(credit(1, VALUE_MAX - 1), Ok(()));
    assert_eq!(credit(VALUE_MAX, 0), Ok(()));
    for (amount, before) in [
        (1, VALUE_MAX),
        (VALUE_MAX + 1, 0),
        (0, 0),
        (-1, 5),
        (2, -1),
        (i32::MAX, i32::MAX),
        (i32::MIN, i32::MIN),
    ] {
        assert_eq!(credit(amount, before), Err(CardError::OutOfRange));
    }
}

#[test]
fn state_and_value_are_read_together() {
    let mut session = session();
    let commands = purse::read_state_and_value(&mut session).unwrap();
    assert_eq!(commands.map(|command| command[1]), [0xBD, 0x6C]);
    let state = State {
        id: [7; 16],
        remittance_seq: 3,
        payment_seq: 5,
    };
    let answers = [
        genuine(COUNTER, &state.to_bytes()),
        genuine(COUNTER + 1, &(-1_i32).to_le_bytes()),
    ];
    for count in [0, 1] {
        let refused = purse::open_state_and_value(&mut session.clone(), &answers[..count]);
        assert_eq!(refused, Err(CardError::Form));
    }
    let opened = purse::open_state_and_value(&mut session, &answers);
    assert_eq!(opened, Ok((state, -1)));
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Plain), Just(Mode::Mac), Just(Mode::Full)]
}

proptest! {
    #[test]
    fn parsing_any_bytes_never_panics(bytes in vec(any::<u8>(), 0..300), first in 0..70_usize, next in 0..70_usize) {
        let _ = Answer::parse(&bytes).map(|answer| answer.status());
        let _ = apdu::join(&[&bytes]);
        let _ = apdu::frames(&bytes, first, next);
        if let Ok(command) = Command::parse(&bytes) {
            prop_assert!(command.data.len() <= 255);
            let _ = command.native();
        }
        let _ = Challenge::parse(&bytes);
        let _ = legacy::Challenge::parse(&bytes);
        let _ = commands::open_done(&bytes);
        let (blocks, _) = bytes.as_chunks();
        let _ = crypto::unpad(blocks);
    }

    #[test]
    fn a_wrapped_command_is_read_back(ins: u8, data in vec(any::<u8>(), 0..=apdu::DATA_LEN_MAX)) {
        let bytes = apdu::native_from_slice(ins, &data).unwrap();
        let command = Command::parse(&bytes).unwrap();
        prop_assert_eq!(command.native(), Some((ins, &data[..])));
        prop_assert_eq!(command.le, Some(0));
    }

    #[test]
    fn any_answer_to_a_handshake_is_refused_without_panic(answer in vec(any::<u8>(), 0..64), ok: bool) {
        let answer = if ok { [&answer[..], &[0x91, 0x00]].concat() } else { answer };
        let key = Key::new([5; 16]);
        let (_, pending) = Challenge::new([6; 16]).answer(&key, [7; 16]);
        prop_assert!(pending.clone().finish(&key, &answer).is_err());
        prop_assert!(pending.finish_within(&key, session(), &answer).is_err());
    }

    #[test]
    fn any_answer_in_a_session_without_its_mac_is_refused(
        answer in vec(any::<u8>(), 0..300),
        ok: bool,
        mode in mode(),
    ) {
        let answer = if ok { [&answer[..], &[0x91, 0x00]].concat() } else { answer };
        let mut session = session();
        session.command(0x6C, &[1], &[], mode).unwrap();
        let opened = session.response(&answer, mode);
        prop_assert_eq!(opened.is_ok(), mode == Mode::Plain && answer.ends_with(&[0x91, 0x00]));
    }

    #[test]
    fn any_answers_are_no_proof(answers in vec(vec(any::<u8>(), 0..40), 0..7)) {
        prop_assert_eq!(purse::check_credit(&session(), &answers), CommitProof::Unproven);
        prop_assert!(purse::open_state_and_value(&mut session(), &answers).is_err());
    }

    #[test]
    fn any_bytes_are_a_session_and_come_back(bytes in uniform::<_, SESSION_LEN>(any::<u8>())) {
        let mut session = Session::from_bytes(&bytes);
        prop_assert_eq!(*session.to_bytes(), bytes);
        let _ = session.command(0x6C, &[1], &[], Mode::Full);
        let _ = session.response(&[0x91, 0x00], Mode::Plain);
    }

    #[test]
    fn a_sealed_session_goes_on_where_it_was(sent in 0_u16..5, opened in 0_u16..5, header: [u8; 2]) {
        let mut session = session();
        for _ in 0..sent {
            session.command(0x3D, &header, &[1], Mode::Full).unwrap();
        }
        for index in 0..opened.min(sent) {
            session.response(&genuine(COUNTER + index, &[]), Mode::Full).unwrap();
        }
        let mut again = Session::from_bytes(&session.to_bytes());
        prop_assert_eq!(
            again.command(0x3D, &header, &[1], Mode::Full),
            session.command(0x3D, &header, &[1], Mode::Full)
        );
    }

    #[test]
    fn any_bytes_are_a_pending_handshake_and_come_back(bytes in uniform::<_, PENDING_LEN>(any::<u8>())) {
        prop_assert_eq!(*Pending::from_bytes(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn any_bytes_are_a_state_and_come_back(bytes in uniform::<_, STATE_LEN>(any::<u8>())) {
        prop_assert_eq!(State::from_bytes(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn a_log_record_comes_back_or_is_refused(bytes in uniform::<_, LOG_RECORD_LEN>(any::<u8>()), kind in 0_u8..5) {
        prop_assert_eq!(LogRecord::from_bytes(&bytes).map(|record| record.to_bytes()).unwrap_or(bytes), bytes);
        let mut known = bytes;
        known[..2].copy_from_slice(&[1, kind]);
        let record = LogRecord::from_bytes(&known);
        prop_assert_eq!(record.is_some(), (1..=3).contains(&kind));
        prop_assert_eq!(record.map(|record| record.to_bytes()).unwrap_or(known), known);
    }

    #[test]
    fn a_card_s_answer_is_opened_in_every_length(data in vec(any::<u8>(), 0..120)) {
        let mut session = session();
        session.command(0xBD, &[], &[], Mode::Full).unwrap();
        prop_assert_eq!(session.response(&genuine(COUNTER, &data), Mode::Full), Ok(data));
    }
}
