//! L: the component model's boundary.

use super::UID;
use super::c::components;
use super::e::after_the_result;
use crate::bench::{Bench, Input};
use crate::guest::{Guest, sends};
use crate::maker::{Maker, body, signed_again};
use crate::ride::{self, Ride, Script};
use crate::row::{Case, Check, Ran, Row, case, guest};

/// Nothing of it is run; the engine would write transcoders for whoever calls it.
const TEXT_INSIDE: &str = r#"(component
  (core module $m (memory (export "memory") 1 1)
    (func (export "r") (param i32 i32 i32 i32) (result i32) i32.const 0)
    (func (export "f") (param i32 i32) (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func (export "f") (param "x" string) (result string)
    (canon lift (core func $i "f") (memory (core memory $i "memory")) (realloc (core func $i "r")))))"#;

/// A result at 16: tag, pointer, length.
fn returned(tag: u32, pointer: u32, len: u32) -> Guest {
    Guest::returns(format!(
        "(i32.store8 (i32.const 16) (i32.const {tag}))
         (i32.store (i32.const 20) (i32.const {pointer}))
         (i32.store (i32.const 24) (i32.const {len}))
         (i32.const 16)"
    ))
}

fn abi(maker: &Maker<'_>, name: &str, hostile: &Guest) -> Case {
    guest(maker, name, hostile, "E_TRAP_ABI", &Guest::lawful())
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "L1",
        title: "text at the boundary: there is none",
        check: Check::Open(|maker| {
            [
                "(type string)",
                "(type (list string))",
                "(type char)",
                "(type (result string))",
            ]
            .map(|part| components(maker, part, part, "E_POLICY_CANON", "(type (list u8))"))
            .into_iter()
            .chain([components(
                maker,
                "a component inside that takes and gives text",
                TEXT_INSIDE,
                "E_POLICY_CANON",
                "(type (list u8))",
            )])
            .collect()
        }),
    },
    Row {
        id: "L2",
        title: "tags that stand for nothing",
        check: Check::Open(|maker| {
            vec![
                abi(maker, "result 2", &returned(2, 4_096, 4)),
                abi(maker, "result 255", &returned(255, 4_096, 4)),
                abi(maker, "failure 6", &returned(1, 6, 0)),
                abi(maker, "failure 255", &returned(1, 255, 0)),
            ]
        }),
    },
    Row {
        id: "L3",
        title: "a result that is misaligned or out of bounds",
        check: Check::Open(|maker| {
            ["17", "65533", "65536", "-4", "0x7ffffffc"]
                .map(|at| abi(maker, at, &Guest::returns(format!("(i32.const {at})"))))
                .to_vec()
        }),
    },
    Row {
        id: "L4",
        title: "result lists of 2^31-1 and 2^31+1 bytes, around the end",
        check: Check::Open(|maker| {
            [
                ("2^31-1", 64, 0x7FFF_FFFF),
                ("2^31+1", 64, 0x8000_0001),
                ("around", u32::MAX, 2),
                ("one past", 65_535, 2),
            ]
            .map(|(name, pointer, len)| abi(maker, name, &returned(0, pointer, len)))
            .to_vec()
        }),
    },
    Row {
        id: "L5",
        title: "after bytes that mean nothing the instance is not entered again",
        check: Check::Script(|bench| once_only(bench).map(Ran::inputs)),
    },
    Row {
        id: "L6",
        title: "after a trap nothing of the program runs again",
        check: Check::Run(|| {
            let call =
                "(call $transmit (i32.const 2048) (i32.const 5) (i32.const 64)) (unreachable)";
            let hostile =
                Guest::returns(call).parts("(data (i32.const 2048) \"\\ff\\ca\\00\\00\\00\")");
            vec![
                Ride::new("trap", hostile, "E_TRAP")
                    .reaching(1, 0)
                    .mended(sends("transmit", &UID)),
            ]
        }),
    },
    Row {
        id: "L7",
        title: "the host entered from where it is itself called",
        check: Check::Open(|maker| {
            let done = "(i32.store (i32.const 20) (i32.const 4096))
                (i32.store (i32.const 24) (i32.const 4)) (i32.const 16)";
            let late = |body: &str| after_the_result(Guest::returns(done), body);
            let call = "(call $transmit (i32.const 4096) (i32.const 5) (i32.const 64))";
            let mended = after_the_result(Guest::lawful(), "");
            vec![guest(
                maker,
                "after the result",
                &late(call),
                "E_TRAP_REENTRY",
                &mended,
            )]
        }),
    },
    Row {
        id: "L8",
        title: "an allocator that gives 0, the same place, a place past the end",
        check: Check::Run(|| {
            let place = "(local.get $at))\n";
            let at = |address: &str| {
                sends("transmit", &UID).edited(place, &format!("(i32.const {address}))\n"))
            };
            let trap = |name: &str, address| {
                Ride::new(name, at(address), "E_TRAP_ABI")
                    .reaching(1, 0)
                    .mended(sends("transmit", &UID))
            };
            vec![
                trap("past the end", "131072"),
                trap("around", "-1"),
                // Over its own data: it hurts nobody else.
                Ride::new("zero", at("0"), "ok").reaching(1, 0),
                Ride::new("over its own code's data", at("2048"), "ok").reaching(1, 0),
            ]
        }),
    },
    Row {
        id: "L9",
        title: "resources made without end",
        check: Check::Open(|maker| {
            let spam = "(type $r (resource (rep i32))) (core func $new (canon resource.new $r))";
            vec![components(
                maker,
                "new",
                spam,
                "E_POLICY_CANON",
                "(type (list u8))",
            )]
        }),
    },
    Row {
        id: "L10",
        title: "an order part whose bytes lie outside its memory",
        check: Check::Open(|maker| {
            order_part(maker, "length", |bytes, at| {
                bytes[at + 4..at + 8].fill(0xFF)
            })
        }),
    },
    Row {
        id: "L11",
        title: "an order part that computes in place of giving the order",
        check: Check::Open(|maker| {
            // The function's body `41 08 0b`: another constant, then nothing but `unreachable`.
            let code = [0x41, 0x08, 0x0B, 0x0B];
            let change = |by: [u8; 2]| {
                let lawful = maker.lawful();
                let mut changed = body(&lawful).to_vec();
                let at = changed
                    .windows(code.len() - 1)
                    .rposition(|window| window == &code[..3])
                    .expect("the order's function");
                changed[at..at + 2].copy_from_slice(&by);
                case(
                    format!("{by:02x?}"),
                    Input::file(signed_again(&changed)),
                    "E_MANIFEST",
                )
                .mended(lawful)
            };
            vec![change([0x41, 0x09]), change([0x00, 0x01])]
        }),
    },
    Row {
        id: "L12",
        title: "flags and characters",
        check: Check::Open(|maker| {
            [
                "(type (flags \"a\" \"b\"))",
                "(type (record (field \"a\" char)))",
                "(type (option char))",
            ]
            .map(|part| components(maker, part, part, "E_POLICY_CANON", "(type (list u8))"))
            .to_vec()
        }),
    },
    Row {
        id: "L13",
        title: "lists of lists, of empty tuples, of wide elements",
        check: Check::Open(|maker| {
            [
                "(type $l (list u8)) (type (list $l))",
                "(type (list u64))",
                "(type (list bool))",
                "(type (tuple u8 u64))",
            ]
            .map(|part| components(maker, part, part, "E_POLICY_CANON", "(type (list u8))"))
            .to_vec()
        }),
    },
    Row {
        id: "L14",
        title: "a function after the result that traps",
        check: Check::Open(|maker| {
            let done = "(i32.store (i32.const 20) (i32.const 4096))
                (i32.store (i32.const 24) (i32.const 4)) (i32.const 16)";
            let late = |body: &str| after_the_result(Guest::returns(done), body);
            let mended = after_the_result(Guest::lawful(), "");
            vec![
                guest(maker, "trap", &late("(unreachable)"), "E_TRAP", &mended),
                guest(
                    maker,
                    "out of bounds",
                    &late("(drop (i32.load (i32.const -4)))"),
                    "E_TRAP_OOB",
                    &mended,
                ),
            ]
        }),
    },
    Row {
        id: "L15",
        title: "one start, one run",
        check: Check::Script(|bench| once_only(bench).map(Ran::inputs)),
    },
];

/// Every ride makes its one call once, whatever comes of it.
fn once_only(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let call = "(call $transmit (i32.const 2048) (i32.const 5) (i32.const 64))";
    let ends = [
        ("(i32.const 17)", "E_TRAP_ABI"),
        ("(i32.const 64)", "ok"),
        ("(unreachable)", "E_TRAP"),
    ];
    for (end, code) in ends {
        let guest = Guest::returns(format!("{call} {end}"))
            .parts("(data (i32.const 2048) \"\\ff\\ca\\00\\00\\00\")");
        let file = maker.file(&guest);
        let ridden = ride::ride(bench, file, Script::plain(), &ride::command(bench));
        if ridden.code != code || ridden.script.commands.len() != 1 {
            return Err(format!(
                "{}: {} calls",
                ridden.code,
                ridden.script.commands.len()
            ));
        }
    }
    Ok(ends.len())
}

/// The order part's segment with its record of pointer and length changed, signed again.
fn order_part(maker: &Maker<'_>, name: &str, change: impl Fn(&mut [u8], usize)) -> Vec<Case> {
    let lawful = maker.lawful();
    let mut changed = body(&lawful).to_vec();
    // Pointer 16, then a length of two bytes.
    let at = changed
        .windows(4)
        .rposition(|window| window == [0x10, 0, 0, 0])
        .expect("the order's record");
    change(&mut changed, at);
    vec![case(name, Input::file(signed_again(&changed)), "E_MANIFEST").mended(lawful)]
}
