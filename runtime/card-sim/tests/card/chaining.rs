//! Messages in several frames, both ways, at every cut.

use card::apdu::frames;
use card_sim::Card;

use crate::common::{Step, UID, exchange, parse, run};
use crate::purse::{Tap, new_purse};

const PURSE: &str = include_str!("../vectors/purse.txt");
const MORE: [u8; 5] = [0x90, 0xAF, 0, 0, 0];

/// Cuts the writes of the golden transcript; every other command stays whole.
fn cut_steps(first_len: usize, frame_len: usize) -> Vec<Step> {
    let cut = |step: Step| match step {
        Step::Command(command) if matches!(command[1], 0x3B | 0x3D) => {
            let parts = frames(&command, first_len, frame_len).expect("a native command");
            let last = parts.len() - 1;
            let between = |index| (index < last).then(|| Step::Answer(vec![0x91, 0xAF]));
            parts
                .into_iter()
                .enumerate()
                .flat_map(|(index, part)| [Some(Step::Command(part)), between(index)])
                .flatten()
                .collect()
        }
        other => vec![other],
    };
    parse(PURSE).into_iter().flat_map(cut).collect()
}

/// Plays the steps without fetching more frames where the vectors say `91 AF`.
fn play(steps: &[Step]) {
    let mut card = Card::new(UID, [1; 32]);
    let mut answer = Vec::new();
    for step in steps {
        match step {
            Step::Random(bytes) => card.script_random(bytes),
            Step::Reset => card.reset(),
            Step::Command(command) => answer = card.transmit(command).answer,
            Step::Answer(expected) => assert_eq!(&answer, expected),
        }
    }
    assert_eq!(card.balances()[0].2, 2500);
}

#[test]
fn a_write_cut_in_two_at_any_byte_gives_the_same_answers() {
    for cut in 1..=48 {
        play(&cut_steps(cut, 64));
    }
}

#[test]
fn a_write_in_frames_of_any_length_gives_the_same_answers() {
    for len in 1..=48 {
        play(&cut_steps(len, len));
    }
}

#[test]
fn an_answer_in_frames_of_any_length_joins_to_the_same_bytes() {
    for len in 1..=60 {
        let mut card = Card::new(UID, [1; 32]);
        card.set_answer_frame_len(len);
        run(&mut card, &parse(PURSE));
    }
}

#[test]
fn a_long_read_comes_in_frames_of_48_bytes() {
    let mut tap = Tap::new(new_purse(), 1);
    for day in 0..2 {
        tap.send(0x3B, &[4, 0, 0, 0, 30, 0, 0], &[day; 30]).unwrap();
        tap.commit().unwrap();
    }
    let read = tap
        .session
        .command(0xBB, &[4, 0, 0, 0, 0, 0, 0], &[], crate::purse::Mode::Full);
    let first = tap.card.transmit(&read.expect("counter left")).answer;
    assert_eq!((first.len(), &first[48..]), (50, &[0x91, 0xAF][..]));
    // 60 bytes are padded to 64, and 8 more are the MAC.
    assert_eq!(tap.card.transmit(&MORE).answer.len(), 64 + 8 - 48 + 2);
}

#[test]
fn more_without_an_open_chain_is_an_illegal_command() {
    assert_eq!(new_purse().transmit(&MORE).answer, [0x91, 0x1C]);
}

#[test]
fn another_command_abandons_an_open_chain() {
    let mut tap = Tap::new(new_purse(), 1);
    assert_eq!(
        tap.card.transmit(&[0x90, 0x3D, 0, 0, 1, 3, 0]).answer,
        [0x91, 0xAF]
    );
    assert!(tap.is_open(), "the half-sent write was not counted");
    assert_eq!(tap.card.transmit(&MORE).answer, [0x91, 0x1C]);
    assert!(!tap.is_open());
}

#[test]
fn too_much_data_for_a_write_is_a_length_error() {
    let mut tap = Tap::new(new_purse(), 1);
    let write = tap.session.command(
        0x3D,
        &[3, 0, 0, 0, 24, 0, 0],
        &[1; 24],
        crate::purse::Mode::Full,
    );
    let mut data = write.expect("counter left")[5..].to_vec();
    data.pop();
    data.push(0);
    let first = [&[0x90, 0x3D, 0, 0, 20], &data[..20], &[0]].concat();
    assert_eq!(tap.card.transmit(&first).answer, [0x91, 0xAF]);
    let rest = &data[20..];
    let last = [
        &[0x90, 0xAF, 0, 0, u8::try_from(rest.len()).unwrap()],
        rest,
        &[0],
    ]
    .concat();
    assert_eq!(tap.card.transmit(&last).answer, [0x91, 0x7E]);
}

#[test]
fn version_comes_in_three_frames_with_one_mac_in_a_session() {
    let mut card = new_purse();
    let lens = |card: &mut Card, command: &[u8]| {
        let first = card.transmit(command).answer.len();
        [
            first,
            card.transmit(&MORE).answer.len(),
            card.transmit(&MORE).answer.len(),
        ]
    };
    assert_eq!(lens(&mut card, &[0x90, 0x60, 0, 0, 0]), [9, 9, 16]);
    let joined = exchange(&mut card, &[0x90, 0x60, 0, 0, 0]);
    assert_eq!(joined[14..21], UID);
    let mut tap = Tap::new(card, 1);
    let version = tap
        .send_as(0x60, &[], &[], crate::purse::Mode::Mac)
        .unwrap();
    assert_eq!(version[14..21], UID);
}
