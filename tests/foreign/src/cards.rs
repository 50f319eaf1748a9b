//! Card and reader: each side reads what the other may have made up.

use card::handshake::Challenge;
use card::key::Key;
use card::personalise::{Blank, CardKeys, Personalisation, Step};
use card::purse::{self, LogRecord, State};
use card::secure_messaging::Session;
use card::{apdu, commands, handshake, legacy};
use card_sim::Card;

const UID: [u8; 7] = [4, 1, 2, 3, 4, 5, 6];

fn session() -> Session {
    Session::new(Key::new([1; 16]), Key::new([2; 16]), [3; 4], 0)
}

/// The reader's side against a card that answers anything.
pub fn answers(bytes: &[u8]) {
    let messages: Vec<&[u8]> = crate::chunks(bytes).collect();
    for answer in &messages {
        let _parsed = apdu::Answer::parse(answer).map(|answer| answer.status());
        let _opened = commands::open_done(answer);
        let _uid = commands::open_card_uid(&mut session(), answer);
        let _value = commands::open_value(&mut session(), answer);
        let _log = purse::open_log(&mut session(), answer);
        if let Some(record) = answer.first_chunk()
            && let Some(read) = LogRecord::from_bytes(record)
        {
            assert_eq!(read.to_bytes(), *record);
        }
        if let Some(state) = answer.first_chunk() {
            assert_eq!(State::from_bytes(state).to_bytes(), *state);
        }
        if let Ok(challenge) = Challenge::parse(answer) {
            let key = Key::new([4; 16]);
            let (_, pending) = challenge.answer(&key, [5; 16]);
            let last = messages.last().copied().unwrap_or_default();
            assert!(
                pending.finish(&key, last).is_err(),
                "a card without the key was believed"
            );
        }
        if let Ok(challenge) = legacy::Challenge::parse(answer) {
            let (_, pending) = challenge.answer([6; 8]);
            // The factory key is known to everybody: it may succeed.
            let _session = pending.finish(messages.last().copied().unwrap_or_default());
        }
    }
    let _state = purse::open_state_and_value(&mut session(), &messages);
    let _proof = purse::check_credit(&session(), &messages);
    if let Ok(joined) = apdu::join(&messages) {
        assert!(apdu::Answer::parse(&joined).is_ok());
    }
    personalise(&messages);
}

fn personalise(messages: &[&[u8]]) {
    let key = Key::new([7; 16]);
    let blank = Blank {
        uid: UID,
        card_number: *b"4000000000000002",
        keys: CardKeys::derive(&key, [&key, &key, &key], &UID),
    };
    let (_, mut machine) = Personalisation::start(blank);
    for answer in messages {
        match machine.next(answer, [8; 16]) {
            Ok(Step::Transmit(_, next)) => machine = next,
            Ok(Step::Done) => panic!("a card without the keys was personalised"),
            Err(_) => break,
        }
    }
}

/// Answers that get some way.
#[must_use]
pub fn answer_seeds() -> Vec<Vec<u8>> {
    let challenge = [&[9; 16][..], &[0x91, 0xAF]].concat();
    let proof = [&[9; 32][..], &[0x91, 0x00]].concat();
    let value = [&[10; 12][..], &[0x91, 0x00]].concat();
    let done = vec![0x91, 0x00];
    vec![
        crate::joined(&[challenge.clone(), proof]),
        crate::joined(&[done.clone(), value, done.clone(), challenge]),
        crate::joined(&[done.clone(), done]),
    ]
}

/// The card's side against a reader that sends anything: the card answers with data and a status,
/// and its file restores to the same card.
pub fn commands(bytes: &[u8]) {
    let mut card = Card::new(UID, [11; 32]);
    for command in crate::chunks(bytes) {
        let answer = card.transmit(command).answer;
        assert!(answer.is_empty() || apdu::Answer::parse(&answer).is_ok());
    }
    let stored = card.snapshot();
    let again = Card::restore(&stored).expect("a card's own file");
    assert_eq!(again.snapshot(), stored);
}

/// Commands that a card takes.
#[must_use]
pub fn command_seeds() -> Vec<Vec<u8>> {
    let uid = vec![0xFF, 0xCA, 0, 0, 0];
    let version = vec![0x90, 0x60, 0, 0, 0];
    let more = vec![0x90, 0xAF, 0, 0, 0];
    let select = commands::select(purse::AID);
    let authenticate = handshake::first(1);
    vec![
        crate::joined(&[uid, version, more.clone(), more]),
        crate::joined(&[select, authenticate, legacy::first()]),
    ]
}

/// A card's file: as it came, and as changes to a lawful one.
pub fn snapshot(bytes: &[u8]) {
    let _as_it_came = Card::restore(bytes).map(|card| card.snapshot());
    // Another card's content under the head and the checksum of the format.
    let lawful = Card::new(UID, [11; 32]).snapshot();
    let mixed: Vec<u8> = lawful
        .iter()
        .zip(bytes.iter().chain(std::iter::repeat(&0)))
        .map(|(lawful, change)| lawful ^ change)
        .collect();
    let _altered = Card::restore(&mixed).map(|card| card.snapshot());
}

/// A factory card's file.
#[must_use]
pub fn snapshot_seeds() -> Vec<Vec<u8>> {
    vec![Card::new(UID, [11; 32]).snapshot(), vec![0]]
}
