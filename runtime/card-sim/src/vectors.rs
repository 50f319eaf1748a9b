//! Plays `tests/vectors/messaging.txt`, whose head says what each line means.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use card::apdu;
use data_encoding::HEXUPPER;

use crate::device::Card;
use crate::file::{AccessRights, Body, File};
use crate::picc::Application;
use crate::session::{Challenges, Mode, Session};

const VECTORS: &str = include_str!("../tests/vectors/messaging.txt");
const AID: [u8; 3] = [1, 0, 0];

fn hex(text: &str) -> Vec<u8> {
    if text == "-" {
        Vec::new()
    } else {
        HEXUPPER.decode(text.as_bytes()).expect("hex")
    }
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text)
        .try_into()
        .expect("as many bytes as the line needs")
}

fn new_card(uid: &str) -> Card {
    let mut card = Card::new(array(uid), [0; 32]);
    card.picc_mut()
        .applications
        .push(Application::new(AID, 0x0F, 5));
    assert_eq!(
        card.transmit(&[0x90, 0x5A, 0, 0, 3, 1, 0, 0, 0]).answer,
        [0x91, 0x00]
    );
    card
}

fn add_file(card: &mut Card, number: &str, mode: &str, len: &str) {
    let access = AccessRights::parse([0, 0], 5).expect("key 0");
    let content = vec![0; len.parse().expect("length")];
    let file = File::new(array::<1>(mode)[0], access, Body::Standard(content.into()));
    let application = card
        .picc_mut()
        .application_mut(AID)
        .expect("made by `card`");
    application
        .files
        .insert(array::<1>(number)[0], file.expect("mode"));
}

/// Sends a command, a write in frames of at most `frame_len` bytes, and joins the answer's frames.
fn joined(card: &mut Card, command: &[u8], frame_len: usize) -> String {
    let frames = match command[1] {
        0x8D => apdu::frames(command, frame_len, frame_len).expect("a native command"),
        _ => vec![command.to_vec()],
    };
    let mut answer = Vec::new();
    for frame in &frames {
        assert!(
            answer.is_empty() || answer == [0x91, 0xAF],
            "asked for more"
        );
        answer = card.transmit(frame).answer;
    }
    while command[1] != 0x71 && command[1] != 0x77 && answer.ends_with(&[0x91, 0xAF]) {
        answer.truncate(answer.len().saturating_sub(2));
        answer.extend(card.transmit(&[0x90, 0xAF, 0, 0, 0]).answer);
    }
    HEXUPPER.encode(&answer)
}

fn mode(text: &str) -> Mode {
    match text {
        "mac" => Mode::Mac,
        "full" => Mode::Full,
        _ => panic!("unknown mode {text}"),
    }
}

/// Plays one line; `answer` is what the last command gave.
fn play(line: &str, card: &mut Card, answer: &mut String, frame_len: usize) {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["card", uid] => *card = new_card(uid),
        ["file", number, mode, len] => add_file(card, number, mode, len),
        ["session", enc, mac, id, counter] => {
            let counter = counter.parse().expect("counter");
            let keys = [array(enc), array(mac)];
            card.start_session(Session::with_keys(keys, array(id), counter));
        }
        ["random", bytes] => card.script_random(&hex(bytes)),
        ["C", command] => *answer = joined(card, &hex(command), frame_len),
        ["R", expected] => assert_eq!(answer, expected, "{line}"),
        ["keys", enc, mac] => {
            let session = card.take_session().expect("a session");
            assert_eq!(session.keys(), [array(enc), array(mac)]);
            card.start_session(session);
        }
        ["is", number, key] => {
            let slot = card
                .application()
                .and_then(|application| application.key(number.parse().expect("number")));
            assert_eq!(slot.expect("a key").key, array(key));
        }
        ["derive", key, reader, own, enc, mac] => {
            let challenges = Challenges {
                reader: &array(reader),
                card: &array(own),
            };
            let session = Session::derive(0, &array(key), &challenges);
            assert_eq!(session.keys(), [array(enc), array(mac)]);
        }
        ["iv", enc, id, counter, expected] => {
            let counter = counter.parse().expect("counter");
            let session = Session::with_keys([array(enc), [0; 16]], array(id), counter);
            assert_eq!(session.command_iv(), array(expected));
        }
        ["open", ins, header_len, how, body, expected] => {
            let mut session = card.take_session().expect("a session");
            let header_len = header_len.parse().expect("length");
            let opened = session.open(array::<1>(ins)[0], &hex(body), header_len, mode(how));
            assert_eq!(opened, Ok(hex(expected)));
            card.start_session(session);
        }
        ["seal", how, data, expected] => {
            let session = card.take_session().expect("a session");
            assert_eq!(session.seal(&hex(data), mode(how)), hex(expected));
        }
        _ => panic!("unknown line"),
    }
}

fn check(frame_len: usize) {
    let mut card = new_card("04000000000000");
    let mut answer = String::new();
    let lines = VECTORS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let played = lines.map(|line| play(line, &mut card, &mut answer, frame_len));
    assert_eq!(played.count(), 71);
}

#[test]
fn the_published_vectors_of_secure_messaging_hold() {
    check(255);
}

#[test]
fn the_published_writes_hold_in_frames_of_any_length() {
    for frame_len in 1..=47 {
        check(frame_len);
    }
}
