//! I: commands to the card. What reaches the reader is decided by a state machine.

use sandbox::{ReaderError, limits};

use super::UID;
use crate::bench::{Bench, Input};
use crate::guest::{Guest, sends, sequence};
use crate::ride::{Answers, Ride};
use crate::row::{Check, Ran, Row, guest};

/// `denied`, returned by the guest as the failure of the same number.
const DENIED: &str = "E_PROGRAM_READER";

const SELECT: [u8; 9] = [0x90, 0x5A, 0, 0, 3, 0x45, 0x4D, 0x31, 0];
const HANDSHAKE: [u8; 8] = [0x90, 0x71, 0, 0, 2, 1, 0, 0];

/// `90 INS 00 00 Lc data 00`.
fn wrapped(instruction: u8, data_len: usize) -> Vec<u8> {
    let mut command = vec![0x90, instruction, 0, 0];
    if data_len > 0 {
        command.push(u8::try_from(data_len).unwrap_or(u8::MAX));
        command.resize(command.len() + data_len, 0);
    }
    command.push(0);
    command
}

/// Done, without data.
fn done() -> Result<Vec<u8>, ReaderError> {
    Ok(vec![0x91, 0x00])
}

/// The card's part of a handshake: selected, challenged, proven; then everything is done.
fn session() -> Answers<ReaderError> {
    let challenge = [vec![7; 16], vec![0x91, 0xAF]].concat();
    vec![done(), Ok(challenge), done()]
}

/// A handshake, then these commands.
fn in_session(commands: &[Vec<u8>]) -> Guest {
    let proof = wrapped(0xAF, 32);
    let begin: [&[u8]; 3] = [&SELECT, &HANDSHAKE, &proof];
    let all = begin.into_iter().chain(commands.iter().map(Vec::as_slice));
    let calls: Vec<_> = all.map(|command| ("transmit", command)).collect();
    sequence(&calls)
}

/// One command that is denied; the same guest with the UID in its place is not.
fn denied(name: &str, command: &[u8]) -> Ride {
    Ride::new(name, sends("transmit", command), DENIED).mended(sends("transmit", &UID))
}

/// A command after our application was selected; reading the version in its place is lawful.
fn denied_selected(name: &str, command: &[u8]) -> Ride {
    let after = |command: &[u8]| sequence(&[("transmit", &SELECT), ("transmit", command)]);
    Ride::new(name, after(command), DENIED)
        .card(vec![done()])
        .reaching(1, 0)
        .mended(after(&wrapped(0x60, 0)))
}

/// The last of these commands is denied in a session, all before it are sent.
fn denied_in_session(name: &str, commands: &[Vec<u8>]) -> Ride {
    let lawful = &commands[..commands.len() - 1];
    Ride::new(name, in_session(commands), DENIED)
        .card(session())
        .reaching(3 + lawful.len(), 0)
        .mended(in_session(lawful))
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "I1",
        title: "commands too short, too long, with a wrong length inside",
        check: Check::Run(|| {
            let long = [&[0x90, 0x60, 0, 0, 255][..], &[0; 257]].concat();
            [
                ("empty", &[][..]),
                ("3 bytes", &[0x90, 0x60, 0]),
                ("4 bytes", &[0x90, 0x60, 0, 0]),
                ("262 bytes", &long),
                ("Lc too large", &[0x90, 0x5A, 0, 0, 4, 0x45, 0x4D, 0x31, 0]),
                ("Lc too small", &[0x90, 0x5A, 0, 0, 2, 0x45, 0x4D, 0x31, 0]),
                (
                    "Lc zero with data",
                    &[0x90, 0x5A, 0, 0, 0, 0x45, 0x4D, 0x31, 0],
                ),
                (
                    "a byte behind",
                    &[0x90, 0x5A, 0, 0, 3, 0x45, 0x4D, 0x31, 0, 0],
                ),
                (
                    "extended length",
                    &[0x90, 0x5A, 0, 0, 0, 0, 3, 0x45, 0x4D, 0x31, 0, 0],
                ),
            ]
            .map(|(name, command)| denied(name, command))
            .to_vec()
        }),
    },
    Row {
        id: "I2",
        title: "other applications, formatting, keys, files, PINs",
        check: Check::Run(|| {
            let mut rides = vec![
                denied(
                    "select another application",
                    &[0x90, 0x5A, 0, 0, 3, 1, 2, 3, 0],
                ),
                denied("select the card's root", &[0x90, 0x5A, 0, 0, 3, 0, 0, 0, 0]),
                denied("ISO select", &[0x00, 0xA4, 0x04, 0x00, 0x02, 0x3F, 0x00]),
                denied("ISO get data", &[0x00, 0xCA, 0x00, 0x00, 0x00]),
                denied("ISO verify PIN", &[0x00, 0x20, 0x00, 0x00, 0x01, 0x31]),
            ];
            for (name, instruction) in [
                ("format", 0xFC),
                ("create application", 0xCA),
                ("delete application", 0xDA),
                ("applications", 0x6A),
                ("change key", 0xC4),
                ("create file", 0xCD),
                ("delete file", 0xDF),
                ("file settings", 0xF5),
                ("debit", 0xDC),
            ] {
                rides.push(denied_selected(name, &wrapped(instruction, 3)));
            }
            rides
        }),
    },
    Row {
        id: "I3",
        title: "logical channels and other classes",
        check: Check::Run(|| {
            [0x00, 0x01, 0x03, 0x80, 0x91, 0x94, 0xA0]
                .map(|class| {
                    let mut command = wrapped(0x60, 0);
                    command[0] = class;
                    denied_selected(&format!("class {class:02x}"), &command)
                })
                .into_iter()
                .chain([denied_selected(
                    "manage channel",
                    &[0x00, 0x70, 0x00, 0x00, 0x01],
                )])
                .collect()
        }),
    },
    Row {
        id: "I4",
        title: "native commands out of turn: AF with nothing open, a session's commands before it",
        check: Check::Run(|| {
            let mut rides = vec![
                denied("AF at the start", &wrapped(0xAF, 0)),
                denied("handshake before select", &HANDSHAKE),
                denied_selected("AF", &wrapped(0xAF, 32)),
                denied_selected("credit", &wrapped(0x0C, 25)),
                denied_selected("commit", &wrapped(0xC7, 8)),
                denied_selected("read", &wrapped(0xBD, 15)),
                denied_selected("handshake of another key", &[0x90, 0x71, 0, 0, 2, 0, 0, 0]),
                denied_selected("older handshake", &[0x90, 0xAA, 0, 0, 1, 0, 0]),
            ];
            let twice = sequence(&[
                ("transmit", &SELECT),
                ("transmit", &HANDSHAKE),
                ("transmit", &SELECT),
                ("transmit", &HANDSHAKE),
            ]);
            let third = sequence(&[
                ("transmit", &SELECT),
                ("transmit", &HANDSHAKE),
                ("transmit", &SELECT),
                ("transmit", &HANDSHAKE),
                ("transmit", &SELECT),
                ("transmit", &HANDSHAKE),
            ]);
            rides.push(
                Ride::new("a third handshake", third, DENIED)
                    .card(vec![done()])
                    .reaching(5, 0)
                    .mended(twice),
            );
            rides
        }),
    },
    Row {
        id: "I5",
        title: "commands to the reader itself",
        check: Check::Run(|| {
            [
                (
                    "get data of another kind",
                    &[0xFF, 0xCA, 0x01, 0x00, 0x00][..],
                ),
                ("UID, longer", &[0xFF, 0xCA, 0x00, 0x00, 0x07]),
                (
                    "load keys",
                    &[0xFF, 0x82, 0x00, 0x00, 0x06, 1, 2, 3, 4, 5, 6],
                ),
                (
                    "authenticate",
                    &[0xFF, 0x86, 0x00, 0x00, 0x05, 1, 0, 0, 0x60, 0],
                ),
                ("read binary", &[0xFF, 0xB0, 0x00, 0x00, 0x10]),
                (
                    "transparent session",
                    &[0xFF, 0xC2, 0x00, 0x01, 0x02, 0x81, 0x00],
                ),
                (
                    "direct transmit",
                    &[0xFF, 0x00, 0x00, 0x00, 0x02, 0xD4, 0x02],
                ),
            ]
            .map(|(name, command)| denied(name, command))
            .to_vec()
        }),
    },
    Row {
        id: "I6",
        title: "an answer that never ends",
        check: Check::Run(|| {
            let more = wrapped(0xAF, 0);
            let asks = |count: usize| {
                Guest::returns(format!(
                    "(local $left i32) (local.set $left (i32.const {count}))
                     (call $transmit (i32.const 2048) (i32.const 5) (i32.const 64))
                     (block (loop
                       (br_if 1 (i32.eqz (local.get $left)))
                       (call $transmit (i32.const 2053) (i32.const 5) (i32.const 64))
                       (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br 0)))
                     (i32.const 64)"
                ))
                .parts(format!(
                    "(data (i32.const 2048) \"{}{}\")",
                    crate::wasm::escaped(&wrapped(0x60, 0)),
                    crate::wasm::escaped(&more)
                ))
            };
            let max = limits::READER_CALLS_MAX;
            vec![
                Ride::new("parts", asks(100_000), "E_LIMIT_CALLS")
                    .card(vec![Ok(vec![0, 0x91, 0xAF])])
                    .reaching(max, 0)
                    .mended(asks(10)),
            ]
        }),
    },
    Row {
        id: "I7",
        title: "value moved twice, committed twice, or without a credit",
        check: Check::Run(|| {
            let (credit, commit) = (wrapped(0x0C, 25), wrapped(0xC7, 8));
            vec![
                denied_in_session("second credit", &[credit.clone(), credit.clone()]),
                denied_in_session(
                    "second commit",
                    &[credit.clone(), commit.clone(), commit.clone()],
                ),
                denied_in_session(
                    "credit after commit",
                    &[credit.clone(), commit.clone(), credit],
                ),
                denied_in_session("commit alone", &[commit]),
                denied_in_session("debit", &[wrapped(0xDC, 25)]),
                denied_in_session("limited credit", &[wrapped(0x1C, 25)]),
            ]
        }),
    },
    Row {
        id: "I8",
        title: "identity and content of the card out of turn; long writes",
        check: Check::Run(|| {
            // Header: file, offset, length; 65 bytes announced are one too many.
            let write = |announced: u8| {
                let mut command = wrapped(0x3D, 7 + 16 + 8);
                command[9] = announced;
                command
            };
            vec![
                denied_in_session("UID in a session", &[UID.to_vec()]),
                denied_in_session("a second handshake in a session", &[HANDSHAKE.to_vec()]),
                denied_in_session("card UID by its own command", &[wrapped(0x51, 8)]),
                denied_in_session("plain read", &[wrapped(0xBD, 7)]),
                denied_in_session("65 bytes written", &[write(65)]),
                Ride::new("8 bytes written", in_session(&[write(8)]), "ok")
                    .card(session())
                    .reaching(4, 0),
            ]
        }),
    },
    Row {
        id: "I9",
        title: "the card removed or exchanged in a session: the session is over",
        check: Check::Run(|| {
            let credit = wrapped(0x0C, 25);
            let removed: Answers<ReaderError> = session()
                .into_iter()
                .chain([Err(ReaderError::Removed), done()])
                .collect();
            let stranger: Answers<ReaderError> = session()
                .into_iter()
                .chain([Ok(vec![0x91, 0xAE]), done()])
                .collect();
            let value = wrapped(0x6C, 9);
            [("removed", removed), ("another card answers", stranger)]
                .map(|(name, answers)| {
                    Ride::new(name, in_session(&[value.clone(), credit.clone()]), DENIED)
                        .card(answers)
                        .reaching(4, 0)
                        .mended(sequence(&[("transmit", &SELECT)]))
                })
                .to_vec()
        }),
    },
    Row {
        id: "I10",
        title: "answers of 64 KiB, of one byte, of none",
        check: Check::Run(|| {
            [0, 1, 259, 65_536]
                .map(|len| {
                    // `failed`, the sixth word.
                    Ride::new(
                        format!("{len} bytes"),
                        sends("transmit", &UID),
                        "E_PROGRAM_REFUSED",
                    )
                    .card(vec![Ok(vec![0x90; len]), Ok(vec![0x90, 0])])
                    .reaching(1, 0)
                    .mended(Guest::lawful())
                })
                .into_iter()
                .chain([Ride::new("258 bytes", sends("transmit", &UID), "ok")
                    .card(vec![Ok(vec![0x90; 258])])
                    .reaching(1, 0)])
                .collect()
        }),
    },
    Row {
        id: "I11",
        title: "two programs at one reader",
        check: Check::Script(|bench| one_reader(bench).map(Ran::inputs)),
    },
    Row {
        id: "I12",
        title: "the reader is free again after a trap, a limit, a refusal",
        check: Check::Open(|maker| {
            [
                ("trap", "(unreachable)", "E_TRAP"),
                ("limit", "(loop (br 0))", "E_FUEL"),
            ]
            .map(|(name, hostile, code)| {
                guest(maker, name, &Guest::does(hostile), code, &Guest::lawful())
            })
            .to_vec()
        }),
    },
];

fn one_reader(bench: &Bench) -> Result<usize, String> {
    // A card in a file: its lock is what two programs contend for.
    let path = bench.path("shared.card");
    let card = card_sim::Card::new([4, 1, 2, 3, 4, 5, 6], [7; 32]);
    card_reader::create(&path, &card).map_err(|error| error.to_string())?;
    let spec = card_reader::ReaderSpec::Emulated(path);
    let held = card_reader::open(&spec).map_err(|error| error.to_string())?;
    let file = bench.path("shared.tegata");
    std::fs::write(&file, bench.maker().lawful()).map_err(|error| error.to_string())?;
    let busy = bench.open_with(&file, &spec.to_string(), &["--yes"], None)?;
    drop(held);
    if busy.code != "E_READER_BUSY" || busy.exchanges != 0 {
        return Err(format!("held by another: {}", busy.code));
    }
    let free = bench.open(&Input::Path(file))?;
    match free.code.as_str() {
        "ok" => Ok(1),
        code => Err(format!("free again: {code}")),
    }
}
