//! Published vectors and our own transcripts against the reader half alone, without an emulated card.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use card::CardError;
use card::apdu;
use card::commands;
use card::crypto::{self, Block, ZERO};
use card::handshake::{self, Challenge, Pending};
use card::key::{self, Key};
use card::purse;
use card::secure_messaging::{Mode, Session};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One case of a vector file.
struct Case {
    file: &'static str,
    line: usize,
    values: BTreeMap<String, String>,
}

impl Case {
    fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn text(&self, name: &str) -> &str {
        let value = self.values.get(name);
        value.unwrap_or_else(|| panic!("{}:{}: no {name}", self.file, self.line))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in self.text(name).split_whitespace() {
            let (hex, count) = word.split_once('*').unwrap_or((word, "1"));
            let part = data_encoding::HEXUPPER.decode(hex.as_bytes()).unwrap();
            bytes.extend(part.repeat(count.parse().unwrap()));
        }
        bytes
    }

    fn fixed<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap()
    }

    fn byte(&self, name: &str) -> u8 {
        self.fixed::<1>(name)[0]
    }

    fn key(&self, name: &str) -> Key {
        Key::new(self.fixed(name))
    }

    fn session(&self) -> Session {
        let counter = if self.has("counter") {
            u16::from_le_bytes(self.fixed("counter"))
        } else {
            0
        };
        Session::new(self.key("enc"), self.key("mac"), self.fixed("ti"), counter)
    }

    fn check(&self, name: &str, actual: &[u8]) {
        let actual = data_encoding::HEXUPPER.encode(actual);
        let wanted = data_encoding::HEXUPPER.encode(&self.bytes(name));
        assert_eq!(actual, wanted, "{}:{}: {name}", self.file, self.line);
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn cases(file: &'static str) -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    let mut cases = Vec::new();
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().chain([""]).enumerate() {
        if let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) {
            let old = values.insert(name.trim_end_matches('~').into(), value.trim().into());
            assert!(old.is_none(), "{file}:{}: {name} twice", index + 1);
        } else if line.is_empty() && !values.is_empty() {
            let values = std::mem::take(&mut values);
            cases.push(Case {
                file,
                line: index,
                values,
            });
        }
    }
    assert!(!cases.is_empty(), "{file} has no case");
    cases
}

#[test]
fn no_vector_file_is_left_out() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".txt"))
        .collect();
    found.sort();
    let source = include_str!("vectors.rs");
    for name in found {
        assert!(source.contains(&format!("cases(\"{name}\")")), "{name}");
    }
}

#[test]
fn cmac_is_that_of_the_standard() {
    for case in cases("cmac.txt") {
        let message = case.bytes("message");
        let (head, tail) = message.split_at(message.len() / 3);
        let mac = crypto::cmac(&case.fixed("key"), &[head, &[], tail]);
        case.check("cmac", &mac);
        if case.has("travels") {
            case.check("travels", &crypto::truncate(&mac));
        }
    }
}

#[test]
fn checksums_travel_least_significant_byte_first() {
    for case in cases("checksum.txt") {
        let checksum = crypto::jamcrc(&[&case.bytes("data")]);
        case.check("checksum", &checksum.to_le_bytes());
    }
}

#[test]
fn keys_are_diversified_as_published() {
    for case in cases("diversification.txt") {
        let master = case.key("master");
        let input = case.bytes("input");
        let key = match input.len() {
            1 => key::diversify::<1>(&master, &case.fixed("input")),
            7 => key::diversify::<7>(&master, &case.fixed("input")),
            15 => key::diversify::<15>(&master, &case.fixed("input")),
            16 => key::diversify::<16>(&master, &case.fixed("input")),
            17 => key::diversify::<17>(&master, &case.fixed("input")),
            31 => key::diversify::<31>(&master, &case.fixed("input")),
            other => panic!("{}:{}: {other} bytes", case.file, case.line),
        };
        case.check("key", key.as_bytes());
        if let Some(key_no) = input.strip_prefix(b"\x04\xA1\xB2\xC3\xD4\xE5\xF6\x45\x4D\x31purse") {
            let uid = [0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6];
            let key = key::purse_key(&master, &uid, key_no[0]);
            case.check("key", key.as_bytes());
        }
    }
}

/// The challenge that a card with this key and random number gives.
fn challenge(case: &Case) -> Challenge {
    let mut rnd_b = [case.fixed("rnd_b")];
    crypto::cbc_encrypt(&case.fixed("key"), &ZERO, &mut rnd_b);
    Challenge::new(rnd_b[0])
}

fn check_keys(case: &Case, pending: &Pending) {
    let bytes = pending.to_bytes();
    case.check("enc", &bytes[16..32]);
    case.check("mac", &bytes[32..48]);
}

#[test]
fn a_handshake_gives_the_published_bytes_and_session() {
    for case in cases("handshake.txt") {
        case.check("command_1", &handshake::first(case.byte("key_no")));
        let card = Challenge::parse(&case.bytes("answer_1")).unwrap();
        assert_eq!(card, challenge(&case));
        let key = case.key("key");
        let (command, pending) = card.answer(&key, case.fixed("rnd_a"));
        case.check("command_2", &command);
        check_keys(&case, &pending);

        let session = Pending::from_bytes(&pending.to_bytes())
            .finish(&key, &case.bytes("answer_2"))
            .unwrap();
        let bytes = session.to_bytes();
        case.check("enc", &bytes[..16]);
        case.check("mac", &bytes[16..32]);
        case.check("ti", &bytes[32..36]);
        assert_eq!(bytes[36..], [0; 4]);

        if case.has("answer_2_inside") {
            let running = Session::new(key.clone(), key.clone(), [1, 2, 3, 4], 9);
            let session = pending
                .finish_within(&key, running, &case.bytes("answer_2_inside"))
                .unwrap();
            let bytes = session.to_bytes();
            case.check("enc", &bytes[..16]);
            assert_eq!(bytes[32..], [1, 2, 3, 4, 9, 0, 9, 0]);
        }
    }
}

#[test]
fn no_single_changed_bit_of_the_proof_opens_a_session() {
    for case in cases("handshake.txt") {
        let key = case.key("key");
        let (_, pending) = challenge(&case).answer(&key, case.fixed("rnd_a"));
        for bit in 0..32 * 8 {
            let mut answer = case.bytes("answer_2");
            answer[bit / 8] ^= 1 << (bit % 8);
            let refused = pending.clone().finish(&key, &answer).err();
            assert_eq!(refused, Some(CardError::NotGenuine), "bit {bit}");
        }
        if case.has("answer_2_inside") {
            let mut answer = case.bytes("answer_2_inside");
            answer[0] ^= 1;
            let running = Session::new(key.clone(), key.clone(), [0; 4], 0);
            let refused = pending.finish_within(&key, running, &answer).err();
            assert_eq!(refused, Some(CardError::NotGenuine));
        }
    }
}

#[test]
fn session_keys_are_the_published_ones() {
    for case in cases("session_keys.txt") {
        let (_, pending) = challenge(&case).answer(&case.key("key"), case.fixed("rnd_a"));
        check_keys(&case, &pending);
    }
}

#[test]
fn initial_vectors_are_the_published_ones() {
    for case in cases("initial_vector.txt") {
        let counter = u16::from_le_bytes(case.fixed("counter"));
        let mut session = Session::new(case.key("enc"), Key::factory(), case.fixed("ti"), counter);
        // A first block of zeros is enciphered to the enciphered vector.
        let command = session.command(0x3D, &[], &[0; 16], Mode::Full).unwrap();
        let mut block: [Block; 1] = [command[5..21].try_into().unwrap()];
        crypto::cbc_decrypt(&case.fixed("enc"), &ZERO, &mut block);
        case.check("iv", &block[0]);
    }
}

/// Opens one answer, also cut in two at every place and joined again.
fn check_answer(case: &Case, session: &Session, mode: Mode) -> Session {
    let answer = case.bytes("answer");
    let (data, sw) = answer.split_at(answer.len() - 2);
    for cut in 0..=data.len() {
        let first = [&data[..cut], &[0x91, 0xAF]].concat();
        let second = [&data[cut..], sw].concat();
        let joined = apdu::join(&[first, second]).unwrap();
        let opened = session.clone().response(&joined, mode).unwrap();
        case.check("opened", &opened);
    }
    let mut session = session.clone();
    case.check("opened", &session.response(&answer, mode).unwrap());
    session
}

/// A command cut after every byte carries the same bytes in the same order.
fn check_frames(case: &Case) {
    let command = case.bytes("command");
    let (ins, data) = apdu::Command::parse(&command).unwrap().native().unwrap();
    for cut in 1..=data.len().max(1) {
        let mut seen = Vec::new();
        for (index, frame) in apdu::frames(&command, cut, 16).unwrap().iter().enumerate() {
            let (frame_ins, part) = apdu::Command::parse(frame).unwrap().native().unwrap();
            assert_eq!(frame_ins, if index == 0 { ins } else { apdu::INS_MORE });
            seen.extend_from_slice(part);
        }
        assert_eq!(seen, data, "{}:{}: cut at {cut}", case.file, case.line);
    }
}

#[test]
fn commands_and_answers_in_a_session_are_the_published_ones() {
    for case in cases("messaging.txt") {
        let mode = match case.text("mode") {
            "mac" => Mode::Mac,
            "full" => Mode::Full,
            other => panic!("{}:{}: mode {other}", case.file, case.line),
        };
        let mut session = case.session();
        let command = session
            .command(
                case.byte("ins"),
                &case.bytes("header"),
                &case.bytes("data"),
                mode,
            )
            .unwrap();
        case.check("command", &command);
        check_frames(&case);
        check_answer(&case, &session, mode);
    }
}

#[test]
fn keys_are_changed_as_published() {
    for case in cases("change_key.txt") {
        let mut session = case.session();
        let (key_no, new, version) = (case.byte("key_no"), case.key("new"), case.byte("version"));
        let answer = case.bytes("answer");
        if case.has("old") {
            let old = case.key("old");
            let command = commands::change_key(&mut session, key_no, &old, &new, version).unwrap();
            case.check("command", &command);
            assert_eq!(session.response(&answer, Mode::Full), Ok(vec![]));
        } else {
            let command = commands::change_own_key(&mut session, key_no, &new, version).unwrap();
            case.check("command", &command);
            assert_eq!(commands::open_done(&answer), Ok(()));
        }
    }
}

#[test]
fn the_personalisation_transcript_comes_out_of_the_primitives() {
    let cases = cases("transcript_personalisation.txt");
    let mut session = cases[0].session();
    let mut pending = None;
    for case in &cases[1..] {
        let key = Key::factory();
        let (ins, header) = if case.has("ins") {
            (case.byte("ins"), case.bytes("header"))
        } else {
            (0, vec![])
        };
        let command = match case.text("step") {
            "select PICC" => commands::select(purse::AID_PICC),
            "select purse" => commands::select(purse::AID),
            "create application" => apdu::native(0xCA, &[0x45, 0x4D, 0x31, 0x0B, 0x83]),
            "challenge" => handshake::first(0),
            "proof" => {
                let card = challenge_of(&cases, "challenge");
                let (command, awaited) = card.answer(&key, [0xA0; 16]);
                pending = Some(awaited);
                command
            }
            "create" => session.command(ins, &header, &[], Mode::Mac).unwrap(),
            "create enciphered" => session
                .command(ins, &header, &case.bytes("data"), Mode::Full)
                .unwrap(),
            "change key" => {
                let new = case.key("new");
                commands::change_key(&mut session, case.byte("key_no"), &key, &new, 1).unwrap()
            }
            "change own key" => {
                commands::change_own_key(&mut session, 0, &case.key("new"), 1).unwrap()
            }
            other => panic!("step {other}"),
        };
        case.check("command", &command);
        check_frames(case);
        let answer = case.bytes("answer");
        match case.text("step") {
            "challenge" => {}
            "proof" => {
                let opened = pending.take().unwrap().finish(&key, &answer).unwrap();
                assert_eq!(*opened.to_bytes(), *session.to_bytes());
            }
            "create" | "create enciphered" | "change key" => {
                assert_eq!(session.response(&answer, Mode::Full), Ok(vec![]));
            }
            _ => assert_eq!(commands::open_done(&answer), Ok(())),
        }
    }
}

fn challenge_of(cases: &[Case], step: &str) -> Challenge {
    let case = cases
        .iter()
        .find(|case| case.has("step") && case.text("step") == step);
    Challenge::parse(&case.unwrap().bytes("answer")).unwrap()
}

#[test]
fn the_credit_transcript_comes_out_of_the_primitives() {
    let opening = cases("handshake.txt").pop().unwrap();
    let mut session = opening.session();
    for case in cases("transcript_credit.txt") {
        let mut mode = Mode::Full;
        let command = match case.text("step") {
            "card uid" => commands::card_uid(&mut session),
            "value" => commands::value(&mut session, purse::FILE_VALUE),
            "credit" => commands::credit(&mut session, purse::FILE_VALUE, 2500),
            "record" => commands::write_record(&mut session, purse::FILE_LOG, &case.bytes("data")),
            "state" => commands::write_data(&mut session, purse::FILE_STATE, &case.bytes("data")),
            "commit with transaction MAC" => {
                mode = Mode::Mac;
                session.command(commands::INS_COMMIT, &[0x01], &[], mode)
            }
            "newest record" => commands::read_newest_record(&mut session, purse::FILE_LOG),
            "read state" => commands::read_data(&mut session, purse::FILE_STATE, 24),
            other => panic!("step {other}"),
        };
        case.check("command", &command.unwrap());
        check_frames(&case);
        session = check_answer(&case, &session, mode);
    }
}

#[test]
fn the_purse_s_credit_batch_starts_with_the_transcript_s_bytes() {
    let opening = cases("handshake.txt").pop().unwrap();
    let mut session = Session::new(
        opening.key("enc"),
        opening.key("mac"),
        opening.fixed("ti"),
        2,
    );
    let state = purse::State {
        id: core::array::from_fn(|index| u8::try_from(index).unwrap()),
        remittance_seq: 1,
        payment_seq: 0,
    };
    let batch = purse::credit(&mut session, 2500, 0, state, 0x5129).unwrap();
    let transcript = cases("transcript_credit.txt");
    for (command, case) in batch[..3].iter().zip(&transcript[2..5]) {
        case.check("command", command);
    }
    // Without the transaction MAC file, Commit has no option byte: it is a MAC alone.
    assert_eq!(batch[3][..5], [0x90, 0xC7, 0x00, 0x00, 0x08]);
    // The counter does not depend on it, so the value is read with the same bytes.
    transcript[6].check("command", &batch[4]);
}
