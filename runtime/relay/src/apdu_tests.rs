//! Tables over the command policy: what passes, what is denied, and that a denial changes nothing.

use super::*;
use alloc::{format, vec, vec::Vec};
use proptest::prelude::*;

const OK: &[u8] = &[0x91, 0x00];
const MORE: &[u8] = &[0x91, 0xAF];

fn native(instruction: u8, data: &[u8]) -> Vec<u8> {
    let mut command = vec![0x90, instruction, 0, 0];
    if !data.is_empty() {
        command.push(u8::try_from(data.len()).expect("a short command"));
        command.extend_from_slice(data);
    }
    command.push(0);
    command
}

fn with_status(len: usize, status: &[u8]) -> Vec<u8> {
    let mut answer = vec![0; len];
    answer.extend_from_slice(status);
    answer
}

/// A write of `announced` bytes, of which `sent` bytes of header, data and MAC are in this frame.
fn write(instruction: u8, announced: u32, sent: usize) -> Vec<u8> {
    let mut data = vec![4, 0, 0, 0];
    data.extend_from_slice(&announced.to_le_bytes()[..3]);
    data.resize(sent, 0);
    native(instruction, &data)
}

fn select() -> Vec<u8> {
    native(ins::SELECT, &AID)
}

/// Sends a command that must be allowed and takes note of its answer.
#[track_caller]
fn step(state: &mut State, command: &[u8], answer: &[u8]) {
    let sent = state.permit(command).expect("allowed");
    state.answered(sent, Some(answer));
}

#[track_caller]
fn denied(state: &mut State, command: &[u8]) {
    let before = format!("{state:?}");
    assert_eq!(state.permit(command), None, "{command:02X?}");
    assert_eq!(format!("{state:?}"), before, "a denial changes nothing");
}

fn selected() -> State {
    let mut state = State::new(Kind::Credit);
    step(&mut state, &select(), OK);
    state
}

fn challenged() -> State {
    let mut state = selected();
    step(
        &mut state,
        &native(ins::AUTHENTICATE, &[1, 0]),
        &with_status(16, MORE),
    );
    state
}

fn authenticated() -> State {
    let mut state = challenged();
    step(
        &mut state,
        &native(ins::MORE, &[0; 32]),
        &with_status(32, OK),
    );
    state
}

fn credit() -> Vec<u8> {
    native(ins::CREDIT, &[0; 25])
}

fn commit() -> Vec<u8> {
    native(ins::COMMIT, &[0; 8])
}

#[test]
fn the_commands_of_a_redemption_pass_in_their_order() {
    let mut state = State::new(Kind::Credit);
    step(&mut state, &READ_UID, &with_status(7, &[0x90, 0x00]));
    step(&mut state, &select(), OK);
    step(
        &mut state,
        &native(ins::AUTHENTICATE, &[1, 0]),
        &with_status(16, MORE),
    );
    step(
        &mut state,
        &native(ins::MORE, &[0; 32]),
        &with_status(32, OK),
    );
    step(
        &mut state,
        &native(ins::READ_DATA, &[0; 15]),
        &with_status(48, MORE),
    );
    step(&mut state, &native(ins::MORE, &[]), &with_status(8, OK));
    step(
        &mut state,
        &native(ins::GET_VALUE, &[0; 9]),
        &with_status(24, OK),
    );
    step(&mut state, &credit(), &with_status(8, OK));
    step(
        &mut state,
        &write(ins::WRITE_RECORD, 30, 47),
        &with_status(8, OK),
    );
    step(
        &mut state,
        &write(ins::WRITE_DATA, 24, 47),
        &with_status(8, OK),
    );
    step(&mut state, &commit(), &with_status(8, OK));
    step(
        &mut state,
        &native(ins::GET_VALUE, &[0; 9]),
        &with_status(24, OK),
    );
}

/// A credit as bytes, each command with the answer of the card, from the purse's golden transcript.
const TRANSCRIPT: [(&str, &str); 11] = [
    ("905A000003454D3100", "9100"),
    ("9071000002010000", "F5C5B48B6BDBDDA5858483A053F527F691AF"),
    (
        "90AF0000201EFC3C7A64591277C07E10EED70E6D10B1EA408A7E72B1EBE8D28FC658E1F7F100",
        "EF4B5E0C571A841376BC89799C9A8DF664B515CEC2BF5FBD49D45566E52439B89100",
    ),
    (
        "906C0000090153AD9F6C08C2030900",
        "C9B1B4E4AA8C441A258E3D00CE205F6099B41866EEE88CD19100",
    ),
    (
        "900C000019014465342500D38E3B4A451D37F23E2CC9F92F22DC630BFEAE00",
        "72D5A9FD1EEC0C309100",
    ),
    (
        "903B00002F040000001E0000E12203BE82DE9AF19ABCE6269E8EBE634E9B5F292F5FAA8BC89C8C319481D4FFEA22CC0236AE75AC00",
        "938EC1305D6086439100",
    ),
    (
        "903D00002F03000000180000B77BE472BAE6B2394002DE1300AC941AE44B0F26BED138E6F61B2BF1F2C6368AA99E7AC2B366FA3100",
        "B8C2112409F503549100",
    ),
    (
        "90C7000009019E0C3BE3D4ABBA3300",
        "01000000B64BE2473281100A45656FFB51A7CCD59100",
    ),
    (
        "906C000009011A13110DFC1DDB2B00",
        "9DEBB47B6F0D5541D0B4AF29AB7B6FFDCFD715D9F93BA6EF9100",
    ),
    (
        "90BB00000F040000000100001F72220C3043930500",
        "C472A5663C545EA82EB3296079B8365D4818F4CAFA5589D6D5EFBCCADF02FF589E1FF07423A63BE39100",
    ),
    (
        "90BD00000F030000001800007E2B4BEF49EC1DD200",
        "9CDC7185646F55102B6A2DEDC2B2ADDD523C9B5284258057F6B6F7AF8DE9882C82937FCAAFEF3A6D9100",
    ),
];

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = core::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        })
        .collect()
}

#[test]
fn the_bytes_of_a_real_credit_pass() {
    let mut state = State::new(Kind::Credit);
    for (command, answer) in TRANSCRIPT {
        step(&mut state, &hex(command), &hex(answer));
    }
}

#[test]
fn a_debit_passes_in_the_run_of_a_debit_only() {
    for (kind, own, other) in [
        (Kind::Credit, ins::CREDIT, ins::DEBIT),
        (Kind::Debit, ins::DEBIT, ins::CREDIT),
    ] {
        let mut state = State::new(kind);
        for (command, answer) in TRANSCRIPT {
            let mut command = hex(command);
            if command.get(1) == Some(&ins::CREDIT) {
                command[1] = other;
                denied(&mut state, &command);
                command[1] = own;
            }
            step(&mut state, &command, &hex(answer));
        }
        assert!(state.commit_sent, "{kind:?}");
    }
}

#[test]
fn a_reader_without_uid_command_is_followed_by_get_version() {
    let mut state = State::new(Kind::Credit);
    step(&mut state, &READ_UID, &[0x6A, 0x81]);
    step(
        &mut state,
        &native(ins::GET_VERSION, &[]),
        &with_status(7, MORE),
    );
    step(&mut state, &native(ins::MORE, &[]), &with_status(7, MORE));
    step(&mut state, &native(ins::MORE, &[]), &with_status(14, OK));
    denied(&mut state, &native(ins::MORE, &[]));
}

#[test]
fn everything_outside_the_list_is_denied_in_every_state() {
    let foreign: [&[u8]; 14] = [
        &[],
        &[0x90],
        &[0x90, 0x60, 0, 0],
        &[0x00, 0xA4, 0x04, 0x00, 0x00],
        &[0x91, 0x60, 0, 0, 0],
        &[0x90, 0x60, 1, 0, 0],
        &[0x90, 0x60, 0, 1, 0],
        &[0x90, 0x60, 0, 0, 1],
        &[0x90, 0x60, 0, 0, 0, 0],
        &[0xFF, 0xCA, 0x01, 0, 0],
        &[0xFF, 0xCA, 0, 0, 0x07],
        &[0xFF, 0x00, 0x00, 0x00, 0x00],
        &[0x90, 0x5A, 0, 0, 2, 0x45, 0x4D, 0x31, 0],
        &[0x90, 0x5A, 0, 0, 4, 0x45, 0x4D, 0x31, 0],
    ];
    let known = [
        ins::SELECT,
        ins::GET_VERSION,
        ins::AUTHENTICATE,
        ins::MORE,
        ins::READ_DATA,
        ins::READ_RECORDS,
        ins::GET_VALUE,
        ins::CREDIT,
        ins::WRITE_RECORD,
        ins::WRITE_DATA,
        ins::COMMIT,
        ins::ABORT,
    ];
    let states: [fn() -> State; 4] = [
        || State::new(Kind::Credit),
        selected,
        challenged,
        authenticated,
    ];
    for state in states {
        for command in foreign {
            denied(&mut state(), command);
        }
        for instruction in (0..=u8::MAX).filter(|instruction| !known.contains(instruction)) {
            for len in [0, 1, 2, 3, 8, 9, 15, 16, 25, 32, 47, 255] {
                denied(&mut state(), &native(instruction, &vec![0; len]));
            }
        }
        denied(&mut state(), &native(ins::SELECT, &[0, 0, 0]));
        denied(&mut state(), &native(ins::SELECT, &[0x45, 0x4D, 0x32]));
    }
}

#[test]
fn commands_of_a_session_are_denied_without_one() {
    for state in [
        || State::new(Kind::Credit),
        selected as fn() -> State,
        challenged,
    ] {
        for command in [
            native(ins::READ_DATA, &[0; 15]),
            native(ins::READ_RECORDS, &[0; 15]),
            native(ins::GET_VALUE, &[0; 9]),
            native(ins::GET_VALUE, &[1]),
            credit(),
            write(ins::WRITE_RECORD, 30, 47),
            write(ins::WRITE_DATA, 24, 47),
            commit(),
            native(ins::ABORT, &[0; 8]),
        ] {
            denied(&mut state(), &command);
        }
    }
    denied(
        &mut State::new(Kind::Credit),
        &native(ins::AUTHENTICATE, &[1, 0]),
    );
}

#[test]
fn only_key_1_without_capabilities_begins_a_handshake() {
    for data in [
        &[0, 0][..],
        &[2, 0],
        &[1],
        &[1, 1],
        &[1, 0, 0],
        &[1, 2, 0, 0],
        &[],
    ] {
        denied(&mut selected(), &native(ins::AUTHENTICATE, data));
    }
    assert!(
        selected()
            .permit(&native(ins::AUTHENTICATE, &[1, 0]))
            .is_some()
    );
}

#[test]
fn the_challenge_is_answered_with_exactly_32_bytes_or_given_up_by_a_select() {
    for len in [0, 1, 16, 31, 33, 255] {
        denied(&mut challenged(), &native(ins::MORE, &vec![0; len]));
    }
    denied(&mut challenged(), &READ_UID);
    denied(&mut challenged(), &native(ins::GET_VERSION, &[]));
    denied(&mut challenged(), &native(ins::AUTHENTICATE, &[1, 0]));
    step(&mut challenged(), &select(), OK);
}

#[test]
fn a_challenge_of_another_length_or_status_is_none() {
    for answer in [
        with_status(15, MORE),
        with_status(17, MORE),
        with_status(16, OK),
    ] {
        let mut state = selected();
        step(&mut state, &native(ins::AUTHENTICATE, &[1, 0]), &answer);
        denied(&mut state, &native(ins::MORE, &[0; 32]));
    }
}

#[test]
fn more_is_denied_where_no_answer_asked_for_it() {
    for state in [
        || State::new(Kind::Credit),
        selected as fn() -> State,
        authenticated,
    ] {
        for len in [0, 1, 32] {
            denied(&mut state(), &native(ins::MORE, &vec![0; len]));
        }
    }
}

#[test]
fn the_rest_of_an_answer_is_asked_for_without_data() {
    let openers = [
        (ins::GET_VERSION, 8),
        (ins::READ_DATA, 15),
        (ins::READ_RECORDS, 15),
        (ins::GET_VALUE, 9),
    ];
    for (instruction, len) in openers {
        let mut state = authenticated();
        step(
            &mut state,
            &native(instruction, &vec![0; len]),
            &with_status(48, MORE),
        );
        denied(&mut state, &native(ins::MORE, &[0]));
        denied(&mut state, &native(ins::MORE, &[0; 32]));
        denied(&mut state, &credit());
        step(&mut state, &native(ins::MORE, &[]), &with_status(8, OK));
        denied(&mut state, &native(ins::MORE, &[]));
        step(&mut state, &credit(), OK);
    }
}

#[test]
fn a_write_goes_on_up_to_its_announced_length_and_not_one_byte_further() {
    // 30 bytes announced: 7 of header, 32 with padding, 8 of MAC.
    for instruction in [ins::WRITE_RECORD, ins::WRITE_DATA] {
        let mut state = authenticated();
        step(&mut state, &write(instruction, 30, 7), MORE);
        denied(&mut state, &native(ins::MORE, &[]));
        denied(&mut state, &native(ins::MORE, &[0; 41]));
        step(&mut state, &native(ins::MORE, &[0; 20]), MORE);
        denied(&mut state, &native(ins::MORE, &[0; 21]));
        step(
            &mut state,
            &native(ins::MORE, &[0; 20]),
            &with_status(8, OK),
        );
        denied(&mut state, &native(ins::MORE, &[0; 1]));

        assert!(
            authenticated()
                .permit(&write(instruction, 30, 47))
                .is_some()
        );
        denied(&mut authenticated(), &write(instruction, 30, 48));
        denied(&mut authenticated(), &native(instruction, &[0; 6]));
    }
}

#[test]
fn a_card_that_asks_for_more_than_the_announced_length_loses_the_session() {
    let mut state = authenticated();
    step(&mut state, &write(ins::WRITE_DATA, 24, 47), MORE);
    denied(&mut state, &native(ins::MORE, &[0]));
    denied(&mut state, &credit());
}

#[test]
fn a_write_announces_at_most_its_limit() {
    let limit = u32::try_from(WRITE_LEN_MAX).expect("small");
    assert!(
        authenticated()
            .permit(&write(ins::WRITE_DATA, limit, 7))
            .is_some()
    );
    denied(&mut authenticated(), &write(ins::WRITE_DATA, limit + 1, 7));
    denied(&mut authenticated(), &write(ins::WRITE_DATA, 0xFF_FFFF, 7));
}

#[test]
fn one_value_command_and_one_commit_after_it() {
    let mut state = authenticated();
    denied(&mut state, &commit());
    step(&mut state, &credit(), OK);
    denied(&mut state, &credit());
    step(&mut state, &commit(), OK);
    denied(&mut state, &commit());
    denied(&mut state, &credit());
    denied(&mut state, &native(ins::COMMIT, &[0; 9]));
}

#[test]
fn a_commit_may_carry_the_option_byte() {
    for (len, permitted) in [(0, false), (7, false), (8, true), (9, true), (10, false)] {
        let mut state = authenticated();
        step(&mut state, &credit(), OK);
        let sent = state.permit(&native(ins::COMMIT, &vec![0; len]));
        assert_eq!(sent.is_some(), permitted, "{len}");
    }
}

#[test]
fn session_commands_have_exactly_their_length() {
    let commands = [
        (ins::READ_DATA, 15),
        (ins::READ_RECORDS, 15),
        (ins::GET_VALUE, 9),
        (ins::GET_VERSION, 8),
        (ins::CREDIT, 25),
        (ins::ABORT, 8),
    ];
    for (instruction, len) in commands {
        assert!(
            authenticated()
                .permit(&native(instruction, &vec![0; len]))
                .is_some()
        );
        denied(
            &mut authenticated(),
            &native(instruction, &vec![0; len - 1]),
        );
        denied(
            &mut authenticated(),
            &native(instruction, &vec![0; len + 1]),
        );
    }
}

#[test]
fn an_unanswered_value_command_counts_as_sent() {
    let mut state = authenticated();
    let sent = state.permit(&credit()).expect("allowed");
    state.answered(sent, None);
    denied(&mut state, &commit());
    assert!(state.value_sent);
}

#[test]
fn any_other_status_ends_the_session_for_good() {
    for status in [
        &[0x91, 0x1E][..],
        &[0x91, 0xAE],
        &[0x90, 0x00],
        &[0x6A, 0x82],
        &[0x91],
    ] {
        let mut state = authenticated();
        step(&mut state, &native(ins::GET_VALUE, &[0; 9]), status);
        denied(&mut state, &credit());
        step(&mut state, &select(), OK);
        denied(&mut state, &native(ins::AUTHENTICATE, &[1, 0]));
    }
}

#[test]
fn two_handshakes_may_begin_and_a_third_may_not() {
    let mut state = State::new(Kind::Credit);
    for _ in 0..HANDSHAKES_MAX {
        step(&mut state, &select(), OK);
        step(
            &mut state,
            &native(ins::AUTHENTICATE, &[1, 0]),
            &with_status(16, MORE),
        );
        step(&mut state, &native(ins::MORE, &[0; 32]), &[0x91, 0xAE]);
    }
    step(&mut state, &select(), OK);
    denied(&mut state, &native(ins::AUTHENTICATE, &[1, 0]));
}

#[test]
fn a_second_attempt_may_succeed() {
    let mut state = challenged();
    step(&mut state, &native(ins::MORE, &[0; 32]), &[0x91, 0xAE]);
    step(&mut state, &select(), OK);
    step(
        &mut state,
        &native(ins::AUTHENTICATE, &[1, 0]),
        &with_status(16, MORE),
    );
    step(
        &mut state,
        &native(ins::MORE, &[0; 32]),
        &with_status(32, OK),
    );
    step(&mut state, &credit(), OK);
}

#[test]
fn the_uid_is_not_asked_for_inside_a_session() {
    denied(&mut authenticated(), &READ_UID);
    let mut state = selected();
    step(&mut state, &READ_UID, &with_status(7, &[0x90, 0x00]));
    assert!(
        state.permit(&native(ins::AUTHENTICATE, &[1, 0])).is_some(),
        "still selected"
    );
}

proptest! {
    /// Whatever is sent and answered, in a session or before: at most two handshakes, one value
    /// command, and one commit behind it.
    #[test]
    fn no_conversation_sends_more_than_one_value_command_and_one_commit(
        in_session in any::<bool>(),
        choices in proptest::collection::vec((0_usize..12, 0_usize..8), 0..60),
    ) {
        let commands = [
            READ_UID.to_vec(), select(), native(ins::GET_VERSION, &[]),
            native(ins::AUTHENTICATE, &[1, 0]), native(ins::MORE, &[]),
            native(ins::MORE, &[0; 32]), native(ins::READ_DATA, &[0; 15]), credit(),
            write(ins::WRITE_DATA, 24, 47), commit(), native(ins::ABORT, &[0; 8]),
            native(ins::GET_VALUE, &[0; 9]),
        ];
        // Five times out of eight the answer that goes on.
        let answers = [
            with_status(16, MORE), with_status(0, &[0x91, 0xAE]), with_status(7, &[0x90, 0x00]),
        ];
        let mut state = if in_session { authenticated() } else { State::new(Kind::Credit) };
        let mut counts = [usize::from(in_session), 0, 0];
        for (command, answer) in choices {
            let command = &commands[command];
            if let Some(sent) = state.permit(command) {
                for (count, instruction) in
                    counts.iter_mut().zip([ins::AUTHENTICATE, ins::CREDIT, ins::COMMIT])
                {
                    *count = count.saturating_add(usize::from(command[1] == instruction));
                }
                let goes_on =
                    if sent.0 == Meaning::Handshake { with_status(16, MORE) } else { with_status(0, OK) };
                state.answered(sent, Some(answers.get(answer).unwrap_or(&goes_on)));
            }
        }
        let [handshakes, values, commits] = counts;
        prop_assert!(handshakes <= HANDSHAKES_MAX && values <= 1 && commits <= values);
    }

    #[test]
    fn any_bytes_are_allowed_or_denied_without_panic(
        command in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        for mut state in [State::new(Kind::Credit), challenged(), authenticated()] {
            if let Some(sent) = state.permit(&command) {
                state.answered(sent, None);
            }
        }
    }
}
