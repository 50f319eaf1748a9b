//! H: abuse of the calls to the host.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sandbox::{Effects, NetworkError, ReaderError};

use super::UID;
use super::e::after_the_result;
use crate::bench::Bench;
use crate::guest::{Guest, floods, sends, sequence};
use crate::ride::{self, Ride, Script};
use crate::row::{Check, Ran, Row, guest};

/// A command that the policy denies.
const DENIED: [u8; 5] = [0xFF, 0, 0, 0, 0];

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "H1",
        title: "a million calls",
        check: Check::Open(|maker| {
            let many = 1_000_000;
            vec![
                guest(
                    maker,
                    "denied commands",
                    &floods("transmit", &DENIED, many),
                    "E_LIMIT_CALLS",
                    &floods("transmit", &DENIED, 3),
                ),
                // The first refusal is the terminal's own: a request that names nothing.
                guest(
                    maker,
                    "requests that are none",
                    &floods("exchange", b"x", many),
                    "E_POLICY",
                    &floods("exchange", b"x", 3),
                ),
            ]
        }),
    },
    Row {
        id: "H2",
        title: "lists longer than memory, past its end, around it",
        check: Check::Open(|maker| {
            [
                ("length 2^32-1", "(i32.const 8) (i32.const -1)"),
                ("past the end", "(i32.const 65535) (i32.const 2)"),
                ("around", "(i32.const -8) (i32.const 16)"),
                ("far out", "(i32.const 0x7fffffff) (i32.const 4)"),
            ]
            .map(|(name, list)| {
                let call =
                    |list: &str| Guest::does(format!("(call $transmit {list} (i32.const 128))"));
                guest(
                    maker,
                    name,
                    &call(list),
                    "E_TRAP_ABI",
                    &call("(i32.const 65535) (i32.const 1)"),
                )
            })
            .to_vec()
        }),
    },
    Row {
        id: "H3",
        title: "one call with more bytes than a call may carry",
        check: Check::Open(|maker| {
            let call = |function: &str, len: usize| {
                Guest::does(format!(
                    "(call ${function} (i32.const 0) (i32.const {len}) (i32.const 128))"
                ))
            };
            let max = sandbox::limits::CALL_LEN_MAX;
            ["transmit", "exchange"]
                .map(|function| {
                    let (hostile, mended) = (call(function, max + 1), call(function, max));
                    guest(maker, function, &hostile, "E_LIMIT_BYTES", &mended)
                })
                .to_vec()
        }),
    },
    Row {
        id: "H4",
        title: "many calls that carry too many bytes together",
        check: Check::Run(|| {
            let calls = |count: usize| {
                Guest::returns(format!(
                    "(local $left i32) (local.set $left (i32.const {count}))
                     (block (loop
                       (br_if 1 (i32.eqz (local.get $left)))
                       (call $exchange (i32.const 0) (i32.const 16384) (i32.const 128))
                       (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br 0)))
                     (call $transmit (i32.const 2048) (i32.const 5) (i32.const 64)) (i32.const 64)"
                ))
                .parts("(data (i32.const 2048) \"\\ff\\ca\\00\\00\\00\")")
            };
            // After sixteen times 16 KiB even the shortest command is one byte too many.
            vec![Ride::new("256 KiB", calls(16), "E_LIMIT_CALLS").mended(calls(15))]
        }),
    },
    Row {
        id: "H5",
        title: "an empty list at the end of memory, and one far out",
        check: Check::Open(|maker| {
            let call = |at: &str| {
                Guest::does(format!(
                    "(call $transmit (i32.const {at}) (i32.const 0) (i32.const 128))"
                ))
            };
            vec![guest(
                maker,
                "far out",
                &call("-1"),
                "E_TRAP_ABI",
                &call("65536"),
            )]
        }),
    },
    Row {
        id: "H6",
        title: "a result address out of bounds or misaligned",
        check: Check::Run(|| {
            let call = |at: u32| {
                Guest::returns(format!(
                    "(call $transmit (i32.const 2048) (i32.const 5) (i32.const {at})) (i32.const {at})"
                ))
                .parts("(data (i32.const 2048) \"\\ff\\ca\\00\\00\\00\")")
            };
            // The host may have acted before the engine looks at the address.
            vec![
                Ride::new("out of bounds", call(65_532), "E_TRAP_ABI")
                    .reaching_at_most(1)
                    .mended(call(64)),
                Ride::new("misaligned", call(65), "E_TRAP_ABI")
                    .reaching_at_most(1)
                    .mended(call(64)),
            ]
        }),
    },
    Row {
        id: "H7",
        title: "a call to the host from a start function",
        check: Check::Open(|maker| {
            let call = "(func $s (call $transmit (i32.const 0) (i32.const 5) (i32.const 64)))";
            let hostile = Guest::lawful().parts(format!("{call} (start $s)"));
            vec![guest(
                maker,
                "start",
                &hostile,
                "E_POLICY_START",
                &Guest::lawful().parts(call),
            )]
        }),
    },
    Row {
        id: "H8",
        title: "a call to the host after the result",
        check: Check::Open(|maker| {
            let late = |body: &str| {
                let done = "(i32.store (i32.const 20) (i32.const 4096))
                    (i32.store (i32.const 24) (i32.const 4)) (i32.const 16)";
                after_the_result(Guest::returns(done), body)
            };
            let call = "(call $exchange (i32.const 4096) (i32.const 80) (i32.const 64))";
            let mended = after_the_result(Guest::lawful(), "");
            vec![guest(maker, "late", &late(call), "E_TRAP_REENTRY", &mended)]
        }),
    },
    Row {
        id: "H9",
        title: "what a program learns of an error: one of six words",
        check: Check::Run(|| {
            [
                (ReaderError::NoCard, "E_PROGRAM_ORDER"),
                (ReaderError::Removed, "E_PROGRAM_CARD_UNSUPPORTED"),
                (ReaderError::Denied, "E_PROGRAM_READER"),
                (ReaderError::Limit, "E_PROGRAM_NETWORK"),
                (ReaderError::Timeout, "E_PROGRAM_PROTOCOL"),
                (ReaderError::Failed, "E_PROGRAM_REFUSED"),
            ]
            .map(|(error, code)| {
                // The program returns the number it got, as the failure of the same number.
                Ride::new(format!("{error:?}"), sends("transmit", &UID), code)
                    .card(vec![Err(error)])
                    .reaching(1, 0)
                    .mended_around()
            })
            .to_vec()
        }),
    },
    Row {
        id: "H10",
        title: "the host's own function panics",
        check: Check::Script(|bench| panicking(bench).map(Ran::inputs)),
    },
    Row {
        id: "H11",
        title: "calls after the card was taken away",
        check: Check::Run(|| {
            let twice = sequence(&[("transmit", &UID), ("transmit", &UID)]);
            vec![
                Ride::new("removed", twice, "E_PROGRAM_CARD_UNSUPPORTED")
                    .card(vec![Ok(vec![0x90, 0x00]), Err(ReaderError::Removed)])
                    .reaching(2, 0)
                    .mended_around(),
            ]
        }),
    },
    Row {
        id: "H12",
        title: "a program that ignores errors and asks for ever",
        check: Check::Run(|| {
            let max = sandbox::limits::READER_CALLS_MAX;
            vec![
                Ride::new(
                    "no card",
                    floods("transmit", &UID, 1_000_000),
                    "E_LIMIT_CALLS",
                )
                .card(vec![Err(ReaderError::NoCard)])
                .reaching(max, 0)
                .mended(floods("transmit", &UID, max)),
            ]
        }),
    },
];

/// Panics at the first call.
struct Panicking;

impl Effects for Panicking {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        std::panic::resume_unwind(Box::new("a fault of the host"))
    }

    fn exchange(&mut self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        std::panic::resume_unwind(Box::new("a fault of the host"))
    }
}

fn panicking(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    for function in ["transmit", "exchange"] {
        let program = ride::verified(bench.options.now, maker.file(&sends(function, &UID)))?;
        let admitted = sandbox::admit(program).map_err(|error| error.to_string())?;
        let runner = sandbox::Runner::spawn(admitted, &ride::command(bench))
            .map_err(|error| error.to_string())?;
        let ended = catch_unwind(AssertUnwindSafe(|| runner.run(&mut Panicking)));
        if ended.is_ok() {
            return Err(format!("{function}: no panic"));
        }
        let file = maker.lawful();
        let next = ride::ride(bench, file, Script::plain(), &ride::command(bench));
        if next.code != "ok" {
            return Err(format!("the next program: {}", next.code));
        }
    }
    Ok(2)
}
