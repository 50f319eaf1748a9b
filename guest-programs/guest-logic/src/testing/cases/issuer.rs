//! Issuers that are out of reach, refuse, never end, or say what nobody understands.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::slice;

use super::super::{RECEIPT, Script, bytes, receipt, refusal, step};
use super::{COMMANDS, Case, DONE, REQUESTS, answer, command, replace};
use crate::{ATTEMPTS_MAX, EXCHANGES_MAX, Failure, NetworkError};

/// How many commands go to the card before each request.
const COMMANDS_BEFORE: [usize; REQUESTS] = [3, 4, 6, COMMANDS];

pub(super) fn cases() -> Vec<Case> {
    [lost(), denied(), malformed(), too_long(), longest(), ends()].concat()
}

/// Lets the requests from `at` on fail first.
fn fail(script: &mut Script, at: usize, errors: &[NetworkError]) {
    script
        .network
        .splice(at..at, errors.iter().map(|error| Err(*error)));
}

/// Each lost request is sent again with the same bytes, twice at most.
fn lost() -> Vec<Case> {
    let passing = [
        NetworkError::Offline,
        NetworkError::Timeout,
        NetworkError::Failed,
    ];
    let mut cases = Vec::new();
    for (at, commands) in COMMANDS_BEFORE.into_iter().enumerate() {
        for error in passing {
            for times in 1..ATTEMPTS_MAX {
                let name = format!("{error:?} {times} times at request {at}");
                let errors = vec![error; times];
                let case = Case::new(name, |script| fail(script, at, &errors));
                cases.push(case.after(COMMANDS, REQUESTS + times));
            }
        }
        let name = format!("out of reach at request {at}");
        let case = Case::new(name, |script| fail(script, at, &passing));
        cases.push(
            case.fails(Failure::Network)
                .after(commands, at + ATTEMPTS_MAX),
        );
    }
    cases
}

/// What the terminal's rules stopped is not sent again.
fn denied() -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, commands) in COMMANDS_BEFORE.into_iter().enumerate() {
        for error in [NetworkError::Denied, NetworkError::Limit] {
            let name = format!("{error:?} at request {at}");
            let case = Case::new(name, |script| fail(script, at, &[error]));
            cases.push(case.fails(Failure::Network).after(commands, at + 1));
        }
    }
    cases
}

/// The issuer's first reply is `reply`, which nobody understands.
fn not_understood((name, reply): (&str, Vec<u8>)) -> Case {
    Case::new(format!("a reply {name}"), |script| {
        script.network[0] = Ok(reply)
    })
    .fails(Failure::Protocol)
    .after(3, 1)
}

fn malformed() -> Vec<Case> {
    let one = command(0xaf, 32);
    let cut_command = step(None, &[one.clone(), one.clone()]);
    let other_stop_rule = [&[0x85, 1, 0, 0xf6, 1, 0x81], bytes(&one).as_slice()].concat();
    let replies = [
        ("that is empty", vec![]),
        ("that is no array", vec![0]),
        ("that is an indefinite array", vec![0x9f, 1, 2, 3, 0xff]),
        ("of another version", vec![0x83, 2, 2, 3]),
        ("of an unknown kind", vec![0x83, 1, 3, 3]),
        ("of a kind in too many bytes", vec![0x83, 1, 0x18, 2, 3]),
        (
            "with a receipt and a byte behind",
            [receipt(&RECEIPT), vec![0]].concat(),
        ),
        (
            "with a receipt in a longer array",
            [&[0x84], &receipt(&RECEIPT)[1..], &[0]].concat(),
        ),
        ("with a receipt cut short", receipt(&RECEIPT)[..50].to_vec()),
        ("with a receipt as text", vec![0x83, 1, 1, 0x61, b'a']),
        (
            "with a receipt of indefinite length",
            vec![0x83, 1, 1, 0x5f, 0x41, 1, 0xff],
        ),
        (
            "with a refusal in too many bytes",
            vec![0x83, 1, 2, 0x18, 3],
        ),
        ("with a refusal without a code", vec![0x83, 1, 2]),
        ("with a negative refusal", vec![0x83, 1, 2, 0x20]),
        ("with a step without commands", step(None, &[])),
        (
            "with a step whose second command is cut",
            cut_command[..50].to_vec(),
        ),
        ("with a step of another stop rule", other_stop_rule),
        ("with a step without its list", vec![0x85, 1, 0, 0xf6, 0]),
        ("with a step in a shorter array", vec![0x84, 1, 0, 0xf6, 0]),
    ];
    replies.into_iter().map(not_understood).collect()
}

fn too_long() -> Vec<Case> {
    let one = command(0xaf, 32);
    let replies = [
        ("with an empty receipt", receipt(&[])),
        ("with a receipt of 2,049 bytes", receipt(&[1; 2049])),
        (
            "with a refusal of 17 bits",
            vec![0x83, 1, 2, 0x1a, 0, 1, 0, 0],
        ),
        (
            "with a step of 17 commands",
            step(None, &vec![one.clone(); 17]),
        ),
        (
            "with a command of 3 bytes",
            step(None, &[vec![0x90, 0xaf, 0]]),
        ),
        (
            "with a command of 262 bytes",
            step(None, &[vec![0x90; 262]]),
        ),
        (
            "with an empty ticket",
            step(Some(&[]), slice::from_ref(&one)),
        ),
        (
            "with a ticket of 1,025 bytes",
            step(Some(&[1; 1025]), &[one]),
        ),
        ("of 8,193 bytes", vec![0x83; 8193]),
    ];
    replies.into_iter().map(not_understood).collect()
}

/// The longest ticket, step, command, request and receipt there may be, and one byte more.
fn longest() -> Vec<Case> {
    let exchange = |last_len: usize| {
        // 1,048 bytes before the answers, 15 answers of 190 and one that fills the rest.
        let mut answers = vec![answer(&[8; 186], DONE); 15];
        answers.push(answer(&vec![8; last_len - 2], DONE));
        move |script: &mut Script| {
            let full = step(Some(&[9; 1024]), &vec![vec![0x90; 261]; 16]);
            replace(&mut script.card, 3.., answers);
            replace(&mut script.network, .., [full, receipt(&[7; 2048])]);
        }
    };
    let fits = Case::new("a request of 4,096 bytes", exchange(196)).after(3 + 16, 2);
    vec![
        Case {
            outcome: Ok(vec![7; 2048]),
            ..fits
        },
        Case::new("a request of 4,097 bytes", exchange(197))
            .fails(Failure::Protocol)
            .after(3 + 16, 1),
    ]
}

fn ends() -> Vec<Case> {
    let one = command(0xaf, 32);
    let last = Case::new("as many requests as a run may send", |script| {
        script.card.push(Ok(answer(&[], DONE)));
        replace(
            &mut script.network,
            3..3,
            [step(None, slice::from_ref(&one))],
        );
    });
    let endless = Case::new("steps without end", |script| {
        replace(&mut script.card, 3.., vec![answer(&[], DONE); 64]);
        replace(
            &mut script.network,
            ..,
            vec![step(None, &[one.clone(), one.clone()]); 64],
        );
    });
    let unknown_code = vec![0x83, 1, 2, 0x19, 0xff, 0xff];
    vec![
        last.after(COMMANDS + 1, EXCHANGES_MAX),
        endless
            .fails(Failure::Protocol)
            .after(3 + 2 * EXCHANGES_MAX, EXCHANGES_MAX),
        Case::new("a refusal at once", |script| {
            script.network[0] = Ok(refusal(3))
        })
        .fails(Failure::Refused)
        .after(3, 1),
        Case::new("a refusal with an unknown code", |script| {
            script.network[0] = Ok(unknown_code)
        })
        .fails(Failure::Refused)
        .after(3, 1),
    ]
}
