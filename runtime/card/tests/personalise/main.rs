//! Personalisation against a card that knows just its commands: from new, from every place where it can stop, and against
//! cards that somebody else prepared.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::expect_used, reason = "a test may stop at the first surprise")]

mod bench_card;

use bench_card::{Application, BenchCard, Memory, PiccKey};
use card::CardError;
use card::apdu::Status;
use card::key::Key;
use card::personalise::{Blank, CardKeys, Level, Personalisation, PersonaliseError, Step};
use proptest::collection::vec;
use proptest::prelude::*;

const UID: [u8; 7] = [0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6];
const NUMBER: [u8; 16] = *b"1234567812345670";
/// More commands than any run needs.
const COMMANDS_MAX: usize = 80;

fn blank() -> Blank {
    let masters = [1, 2, 3].map(|byte| Key::new([byte; 16]));
    Blank {
        uid: UID,
        card_number: NUMBER,
        keys: CardKeys::derive(&Key::new([9; 16]), masters.each_ref(), &UID),
    }
}

fn factory(picc: PiccKey) -> Memory {
    Memory {
        uid: UID,
        picc,
        purse: None,
    }
}

fn personalised() -> Memory {
    let mut card = BenchCard::new(factory(PiccKey::Des));
    run(&mut card, None).expect("a factory card becomes a purse");
    card.memory
}

/// Where the card leaves the field: at which command, and whether it still carries that one out.
#[derive(Clone, Copy, Debug)]
struct Pull {
    at: usize,
    executed: bool,
}

/// Runs to the end, an error, or until the card is pulled (`Ok(false)`).
fn run(card: &mut BenchCard, pull: Option<Pull>) -> Result<bool, PersonaliseError> {
    let (mut apdu, mut machine) = Personalisation::start(blank());
    for index in 0..COMMANDS_MAX {
        let here = pull.filter(|pull| pull.at == index);
        if here.is_some_and(|pull| !pull.executed) {
            return Ok(false);
        }
        let answer = card.transmit(&apdu);
        if here.is_some() {
            return Ok(false);
        }
        match machine.next(&answer, [u8::try_from(index).unwrap(); 16])? {
            Step::Transmit(next_apdu, next) => (apdu, machine) = (next_apdu, next),
            Step::Done => return Ok(true),
        }
    }
    panic!("the run does not end");
}

#[test]
fn a_factory_card_becomes_a_purse() {
    for picc in [PiccKey::Des, PiccKey::Aes([0; 16], 0)] {
        let mut card = BenchCard::new(factory(picc));
        assert_eq!(run(&mut card, None), Ok(true));
        let keys = blank().keys;
        assert_eq!(card.memory.picc, PiccKey::Aes(*keys.picc.as_bytes(), 1));
        let purse = card.memory.purse.unwrap();
        let wanted = keys.purse.map(|key| (*key.as_bytes(), 1));
        assert_eq!(purse.keys, wanted);
        assert_eq!(purse.number, NUMBER);
        assert_eq!(
            purse.files.keys().copied().collect::<Vec<_>>(),
            [1, 3, 4, 5]
        );
    }
}

#[test]
fn the_commands_are_those_of_the_module_s_page() {
    let mut card = BenchCard::new(factory(PiccKey::Des));
    run(&mut card, None).unwrap();
    let commands = [
        0x5A, 0x5A, 0xCA, 0x5A, // the application
        0x64, 0x71, 0xAF, 0x51, 0x45, 0x6F, // key 0, identity, settings
        0xCC, 0xCB, 0xC0, 0xCD, 0xF5, 0xF5, 0xF5, 0xF5, // files
        0x64, 0xC4, 0x64, 0xC4, 0xC4, // keys 1, 2 and 0
        0x71, 0xAF, 0x6C, 0xBD, 0xBD, // proof of key 1, an unused purse
        0x71, 0xAF, 0x3D, 0x71, 0xAF, // card number, proof of key 2
        0x5A, 0x64, 0x71, 0x1A, 0xAF, 0xC4, 0x71, 0xAF, // the PICC master key
    ];
    assert_eq!(card.seen, commands);
}

#[test]
fn a_card_pulled_at_any_command_is_finished_by_the_next_run() {
    for picc in [PiccKey::Des, PiccKey::Aes([0; 16], 0)] {
        let mut commands = 0;
        for at in 0..COMMANDS_MAX {
            for executed in [false, true] {
                let mut card = BenchCard::new(factory(picc.clone()));
                let pull = Pull { at, executed };
                if run(&mut card, Some(pull)) == Ok(true) {
                    continue;
                }
                commands = at;
                let mut card = BenchCard::new(card.memory);
                assert_eq!(run(&mut card, None), Ok(true), "{pull:?}");
                assert_eq!(card.memory, personalised(), "{pull:?}");
            }
        }
        assert!(commands > 30, "only {commands} commands");
    }
}

#[test]
fn a_finished_card_is_left_as_it_is() {
    let mut card = BenchCard::new(personalised());
    assert_eq!(run(&mut card, None), Ok(true));
    assert_eq!(card.memory, personalised());
    assert!(!card.seen.contains(&0xC4) && !card.seen.contains(&0x3D));
}

#[test]
fn a_torn_card_number_is_written_again_while_the_purse_is_unused() {
    let mut memory = personalised();
    memory.purse.as_mut().unwrap().number = vec![0x5A; 16];
    let mut card = BenchCard::new(memory);
    assert_eq!(run(&mut card, None), Ok(true));
    assert_eq!(card.memory, personalised());
}

#[test]
fn a_purse_in_use_keeps_its_card_number() {
    let mut memory = personalised();
    let purse = memory.purse.as_mut().unwrap();
    purse.number = b"9999999999999995".to_vec();
    purse.value = 1;
    let mut card = BenchCard::new(memory.clone());
    assert_eq!(run(&mut card, None), Err(PersonaliseError::InUse));
    assert_eq!(card.memory, memory);
}

#[test]
fn a_wrong_version_byte_does_not_keep_the_right_key_from_being_tried() {
    let mut memory = personalised();
    memory.picc = match memory.picc {
        PiccKey::Aes(key, _) => PiccKey::Aes(key, 0),
        PiccKey::Des => panic!("not personalised"),
    };
    let mut card = BenchCard::new(memory);
    assert_eq!(run(&mut card, None), Ok(true));
}

#[test]
fn a_card_with_another_uid_gets_no_key() {
    let mut memory = factory(PiccKey::Des);
    memory.uid[6] ^= 1;
    let mut card = BenchCard::new(memory);
    assert_eq!(run(&mut card, None), Err(PersonaliseError::OtherUid));
    assert_eq!(card.memory.purse.unwrap().keys, [([0; 16], 0); 3]);
}

/// A change to a card's memory, and what a run then ends with.
type Tampering = (fn(&mut Application), PersonaliseError);

#[test]
fn an_application_that_somebody_else_prepared_is_refused() {
    let foreign_key = |key_no| PersonaliseError::ForeignKey {
        level: Level::Purse,
        key_no,
    };
    let cases: [Tampering; 9] = [
        (
            |purse| purse.settings[0] = 0x0F,
            PersonaliseError::ForeignApplication,
        ),
        (
            |purse| purse.settings[1] = 0x84,
            PersonaliseError::ForeignApplication,
        ),
        (
            // free credit for everybody
            |purse| purse.files.get_mut(&1).unwrap().1[1] = 0xE0,
            PersonaliseError::ForeignApplication,
        ),
        (
            |purse| {
                purse.files.insert(2, (0xCD, vec![0, 0xEE, 0xEE, 1, 0, 0]));
            },
            PersonaliseError::ForeignApplication,
        ),
        (|purse| purse.keys[0] = ([7; 16], 0), foreign_key(0)),
        (|purse| purse.keys[1] = ([7; 16], 1), foreign_key(1)),
        (|purse| purse.keys[2] = ([7; 16], 9), foreign_key(2)),
        (|purse| purse.value = 1, PersonaliseError::InUse),
        (|purse| purse.state[16] = 1, PersonaliseError::InUse),
    ];
    for (tamper, wanted) in cases {
        let mut memory = personalised();
        tamper(memory.purse.as_mut().unwrap());
        assert_eq!(run(&mut BenchCard::new(memory), None), Err(wanted));
    }
}

#[test]
fn a_picc_key_of_somebody_else_is_refused() {
    for version in [0, 1, 2] {
        let mut card = BenchCard::new(factory(PiccKey::Aes([7; 16], version)));
        let wanted = PersonaliseError::ForeignKey {
            level: Level::Picc,
            key_no: 0,
        };
        assert_eq!(run(&mut card, None), Err(wanted));
    }
}

#[test]
fn a_card_without_memory_is_named_and_may_be_tried_again() {
    let (_, machine) = Personalisation::start(blank());
    let error = machine.next(&[0x91, 0x0E], [0; 16]).err();
    let wanted = CardError::Status(Status::OutOfMemory);
    assert_eq!(error, Some(PersonaliseError::Card(wanted)));
}

proptest! {
    /// Whatever a card or a reader answers, at any step.
    #[test]
    fn no_answer_makes_a_run_panic(
        at in 0..COMMANDS_MAX,
        answer in vec(any::<u8>(), 0..64),
        status in prop_oneof![Just([0x91, 0x00]), Just([0x91, 0xAF]), Just([0x91, 0xAE]), any::<[u8; 2]>()],
    ) {
        let mut card = BenchCard::new(factory(PiccKey::Des));
        let (mut apdu, mut machine) = Personalisation::start(blank());
        for index in 0..COMMANDS_MAX {
            let genuine = card.transmit(&apdu);
            let given = if index == at { [&answer[..], &status].concat() } else { genuine };
            match machine.next(&given, [3; 16]) {
                Ok(Step::Transmit(next_apdu, next)) => (apdu, machine) = (next_apdu, next),
                Ok(Step::Done) | Err(_) => break,
            }
        }
    }
}

#[test]
fn a_run_does_not_print_uid_number_or_keys() {
    let (_, machine) = Personalisation::start(blank());
    assert_eq!(
        format!("{machine:?}"),
        "Personalisation awaiting selecting or creating the application"
    );
    assert_eq!(format!("{:?}", blank()), "Blank [redacted]");
}
