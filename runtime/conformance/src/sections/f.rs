//! F: memory.

use super::c::components;
use crate::bench::Input;
use crate::guest::{Guest, sends};
use crate::maker::Maker;
use crate::ride::Ride;
use crate::row::{Case, Check, Row, case, guest};

/// Traps unless everything between the two addresses is zero.
const SCAN: &str = "(local $at i32) (local.set $at (i32.const 8192))
    (block (loop
      (br_if 1 (i32.ge_u (local.get $at) (i32.const 32768)))
      (if (i32.load (local.get $at)) (then (unreachable)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br 0)))";

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "F1",
        title: "a memory of four gigabytes, or without maximum",
        check: Check::Open(|maker| {
            ["65536 65536", "1 65536", "1"]
                .map(|limits| {
                    let hostile = Guest::lawful().memory(limits);
                    guest(maker, limits, &hostile, "E_POLICY_MEM", &Guest::lawful())
                })
                .to_vec()
        }),
    },
    Row {
        id: "F2",
        title: "growing past the maximum: refused, and the program goes on",
        check: Check::Open(|maker| {
            let grow = |pages: u32, expected: i32| {
                format!(
                    "(if (i32.ne (memory.grow (i32.const {pages})) (i32.const {expected})) (then (unreachable)))"
                )
            };
            let use_it = "(i32.store8 (i32.const 65536) (i32.const 1))";
            vec![
                does(maker, "refused", &grow(1_000, -1), "ok"),
                does(
                    maker,
                    "used all the same",
                    &format!("{} {use_it}", grow(1_000, -1)),
                    "E_TRAP_OOB",
                )
                .mended(maker.file(&Guest::does(format!("{} {use_it}", grow(1, 1))))),
            ]
        }),
    },
    Row {
        id: "F3",
        title: "growing page by page to the limit, every page touched",
        check: Check::Open(|maker| {
            let climb = "(block (loop
                (br_if 1 (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
                (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const 1))
                (br 0)))";
            let guest_of = |limits: &str| Guest::does(climb).memory(limits);
            // The order's module has one page of the 32.
            vec![
                case(
                    "to the limit",
                    Input::file(maker.file(&guest_of("1 31"))),
                    "ok",
                ),
                guest(
                    maker,
                    "past it",
                    &guest_of("1 32"),
                    "E_POLICY_MEM",
                    &guest_of("1 31"),
                ),
            ]
        }),
    },
    Row {
        id: "F4",
        title: "many memories that are too much together only",
        check: Check::Open(|maker| {
            let instances = |count: usize| {
                format!(
                    "(core module $m (memory 10 10)) {}",
                    "(core instance (instantiate $m))".repeat(count)
                )
            };
            vec![components(
                maker,
                "four of ten pages",
                &instances(4),
                "E_LIMIT_MEM",
                &instances(2),
            )]
        }),
    },
    Row {
        id: "F5",
        title: "loads and stores at the end, past it, with the greatest offset",
        check: Check::Open(|maker| {
            [
                ("load", "(drop (i32.load8_u (i32.const 65536)))"),
                ("load across", "(drop (i32.load (i32.const 65533)))"),
                (
                    "offset",
                    "(drop (i32.load8_u offset=0xffffffff (i32.const -1)))",
                ),
                ("store", "(i64.store (i32.const 65529) (i64.const 0))"),
                (
                    "fill",
                    "(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))",
                ),
            ]
            .map(|(name, statement)| {
                let last = "(drop (i32.load8_u (i32.const 65535)))";
                does(maker, name, statement, "E_TRAP_OOB").mended(maker.file(&Guest::does(last)))
            })
            .to_vec()
        }),
    },
    Row {
        id: "F6",
        title: "fresh memory is zero, whatever the last program wrote",
        check: Check::Open(|maker| {
            let write = "(memory.fill (i32.const 8192) (i32.const 170) (i32.const 24576))";
            vec![
                does(maker, "writes", write, "ok"),
                does(maker, "scans", SCAN, "ok"),
                does(
                    maker,
                    "scans what it wrote",
                    &SCAN.replacen("(local $at i32)", &format!("(local $at i32) {write}"), 1),
                    "E_TRAP",
                )
                .mended(maker.file(&Guest::does(SCAN))),
            ]
        }),
    },
    Row {
        id: "F7",
        title: "a data segment out of bounds",
        check: Check::Open(|maker| {
            let segment =
                |at: usize| Guest::lawful().parts(format!("(data (i32.const {at}) \"x\")"));
            vec![guest(
                maker,
                "segment",
                &segment(65_536),
                "E_TRAP_OOB",
                &segment(65_535),
            )]
        }),
    },
    Row {
        id: "F8",
        title: "no room for an answer that is handed over",
        check: Check::Run(|| {
            let place = "(local.get $at))\n";
            let nowhere = sends("exchange", b"x").edited(place, "(i32.const -16))\n");
            vec![
                Ride::new("8 KiB", nowhere, "E_TRAP_ABI")
                    .issuer(vec![Ok(vec![0; 1024])])
                    .reaching(0, 1)
                    .mended(sends("exchange", b"x")),
            ]
        }),
    },
];

fn does(maker: &Maker<'_>, name: &str, statements: &str, code: &'static str) -> Case {
    case(
        name,
        Input::file(maker.file(&Guest::does(statements))),
        code,
    )
}
