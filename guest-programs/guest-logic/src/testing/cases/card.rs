//! Cards that are none of ours, answer errors, answer in parts, or leave.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::super::{HANDSHAKE, UID, refusal};
use super::{COMMANDS, Case, DONE, MORE, REQUESTS, answer, replace};
use crate::{Failure, PARTS_MAX, ReaderError};

pub(super) fn cases() -> Vec<Case> {
    [
        identities(),
        no_identities(),
        unsupported(),
        lost(),
        unreadable(),
        stops(),
        continuations(),
    ]
    .concat()
}

/// How many requests went out before the card's answer number `at`.
fn requests_before(at: usize) -> usize {
    match at {
        0..3 => 0,
        3 => 1,
        4..6 => 2,
        _ => 3,
    }
}

/// The three parts of GetVersion.
fn version(uid: &[u8; 7]) -> [Vec<u8>; 3] {
    let production = [&uid[..], &[0; 7]].concat();
    [
        answer(&[4; 7], MORE),
        answer(&[5; 7], MORE),
        answer(&production, DONE),
    ]
}

fn identities() -> Vec<Case> {
    let by_reader = [
        ("the reader knows no UID", answer(&[], [0x6a, 0x81])),
        (
            "the reader's UID has four bytes",
            answer(&[8, 1, 2, 3], [0x90, 0x00]),
        ),
        (
            "the reader's UID has ten bytes",
            answer(&[4; 10], [0x90, 0x00]),
        ),
        (
            "the reader's UID comes with another status",
            answer(&UID, DONE),
        ),
    ];
    let case = |(name, by_reader): (&str, Vec<u8>)| {
        let answers = [by_reader].into_iter().chain(version(&UID));
        Case::new(name, |script| replace(&mut script.card, 0..1, answers))
            .after(COMMANDS + 3, REQUESTS)
    };
    by_reader.into_iter().map(case).collect()
}

fn no_identities() -> Vec<Case> {
    let random = answer(&[8, 1, 2, 3], [0x90, 0x00]);
    let [hardware, software, _] = version(&UID);
    let [.., zeros] = version(&[0; 7]);
    let third = |part| vec![random.clone(), hardware.clone(), software.clone(), part];
    let answers = [
        ("the UID is all zeros", vec![answer(&[0; 7], [0x90, 0x00])]),
        ("GetVersion shows zeros", third(zeros)),
        ("GetVersion is a byte short", third(answer(&[4; 13], DONE))),
        ("GetVersion is a byte long", third(answer(&[4; 15], DONE))),
        (
            "GetVersion ends with an error",
            third(answer(&[4; 14], [0x91, 0x1c])),
        ),
        (
            "GetVersion is refused",
            vec![random.clone(), answer(&[], [0x91, 0xae])],
        ),
    ];
    let case = |(name, answers): (&str, Vec<Vec<u8>>)| {
        let count = answers.len();
        Case::new(name, |script| replace(&mut script.card, 0..1, answers))
            .fails(Failure::CardUnsupported)
            .after(count, 0)
    };
    answers.into_iter().map(case).collect()
}

fn unsupported() -> Vec<Case> {
    let answers = [
        ("no purse on the card", 1, answer(&[], [0x91, 0xa0])),
        ("select is not understood", 1, answer(&[], [0x6d, 0x00])),
        ("the key does not exist", 2, answer(&[], [0x91, 0x40])),
        (
            "a challenge that ends the handshake",
            2,
            answer(&HANDSHAKE, DONE),
        ),
        ("a short challenge", 2, answer(&HANDSHAKE[1..], MORE)),
        ("a long challenge", 2, answer(&[3; 17], MORE)),
    ];
    let case = |(name, at, answer): (&str, usize, Vec<u8>)| {
        Case::new(name, |script| script.card[at] = Ok(answer))
            .fails(Failure::CardUnsupported)
            .after(at + 1, 0)
    };
    answers.into_iter().map(case).collect()
}

/// What the card gave before it left is sent once more; the issuer's word then ends the run.
fn lost() -> Vec<Case> {
    let errors = [
        ReaderError::NoCard,
        ReaderError::Removed,
        ReaderError::Denied,
        ReaderError::Limit,
        ReaderError::Timeout,
        ReaderError::Failed,
    ];
    let mut cases = Vec::new();
    for (at, error) in (0..COMMANDS).zip(errors.into_iter().cycle()) {
        let requests = requests_before(at);
        let told = requests + usize::from(requests > 0);
        let name = format!("{error:?} instead of answer {at}");
        let case = Case::new(name.clone(), |script| script.card[at] = Err(error));
        cases.push(if told == REQUESTS {
            case.after(at + 1, told)
        } else {
            case.fails(Failure::Reader).after(at + 1, told)
        });
        if told > 0 {
            let refused = Case::new(format!("{name}, and a refusal"), |script| {
                script.card[at] = Err(error);
                script.network[requests] = Ok(refusal(15));
            });
            cases.push(refused.fails(Failure::Refused).after(at + 1, told));
        }
    }
    cases
}

fn unreadable() -> Vec<Case> {
    vec![
        Case::new("an answer without a whole status", |script| {
            script.card[0] = Ok(vec![0x90])
        })
        .fails(Failure::Reader)
        .after(1, 0),
        Case::new("an empty answer to GetVersion", |script| {
            replace(&mut script.card, 0..2, [answer(&[], [0x6a, 0x81]), vec![]]);
        })
        .fails(Failure::Reader)
        .after(2, 0),
        Case::new("an empty answer within a step", |script| {
            script.card[3] = Ok(vec![])
        })
        .fails(Failure::Reader)
        .after(4, 2),
    ]
}

/// After an answer that is not `91 00` no further command runs, and that answer is sent.
fn stops() -> Vec<Case> {
    let mut cases = Vec::new();
    for at in 3..COMMANDS {
        let requests = requests_before(at);
        for status in [[0x91, 0xae], [0x91, 0x01], [0x90, 0x00], [0x6f, 0x00]] {
            let stopped = Case::new(format!("answer {at} ends {status:02x?}"), |script| {
                script.card[at] = Ok(answer(&[], status));
                script.network[requests] = Ok(refusal(14));
            });
            cases.push(stopped.fails(Failure::Refused).after(at + 1, requests + 1));
        }
    }
    cases
}

fn continuations() -> Vec<Case> {
    let joined = |name: &str, parts: Vec<Vec<u8>>| {
        let count = parts.len();
        Case::new(name, |script| replace(&mut script.card, 4..5, parts))
            .after(COMMANDS - 1 + count, REQUESTS)
    };
    let in_parts = |count: usize| {
        let mut parts = vec![answer(&[0xbd], MORE); count - 1];
        parts.push(answer(&[0xbd], DONE));
        parts
    };
    let of_len = |len: usize| {
        vec![
            answer(&[0xbd; 256], MORE),
            answer(&vec![0xbd; len - 258], DONE),
        ]
    };
    let lost = |case: Case, transmits: usize| case.fails(Failure::Reader).after(transmits, 3);
    vec![
        joined("an answer in two parts", in_parts(2)),
        joined(
            "an answer in as many parts as there may be",
            in_parts(PARTS_MAX),
        ),
        lost(
            joined("an answer in a part too many", in_parts(PARTS_MAX + 1)),
            4 + PARTS_MAX,
        ),
        joined("an answer of 512 bytes", of_len(512)),
        lost(joined("an answer of 513 bytes", of_len(513)), 6),
        Case::new("a second part that is an error", |script| {
            replace(
                &mut script.card,
                4..5,
                [answer(&[1; 20], MORE), answer(&[], [0x91, 0x1e])],
            );
            script.network[2] = Ok(refusal(14));
        })
        .fails(Failure::Refused)
        .after(6, 3),
        lost(
            Case::new("a second part that does not come", |script| {
                replace(&mut script.card, 4.., [answer(&[1; 20], MORE)]);
            }),
            6,
        ),
    ]
}
