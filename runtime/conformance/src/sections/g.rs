//! G: the call stack and tables.

use crate::bench::Bench;
use crate::guest::Guest;
use crate::ride::{self, Script};
use crate::row::{Check, Ran, Row, guest};

/// Stack of a thread on which the terminal's side of a run must still work.
const SMALL_STACK: usize = 256 << 10;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "G1",
        title: "recursion without end",
        check: Check::Open(|maker| {
            let recursion = |limit: &str| {
                Guest::does("(drop (call $deep (i64.const 0)))").parts(format!(
                    "(func $deep (param i64) (result i64)
                       (if (i64.gt_u (local.get 0) (i64.const {limit})) (then (return (i64.const 0))))
                       (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))"
                ))
            };
            vec![guest(
                maker,
                "deep",
                &recursion("-1"),
                "E_TRAP_STACK",
                &recursion("100"),
            )]
        }),
    },
    Row {
        id: "G2",
        title: "two functions that call each other through a table, with large frames",
        check: Check::Open(|maker| {
            let pair = |limit: &str| {
                let function = |name: &str, other: u32| {
                    format!(
                        "(func ${name} (type $t) (local{}) (if (i64.lt_u (local.get 0) (i64.const {limit}))
                           (then (call_indirect (type $t) (i64.add (local.get 0) (i64.const 1)) (i32.const {other})))))",
                        " i64".repeat(60)
                    )
                };
                Guest::does("(call $a (i64.const 0))").parts(format!(
                    "(type $t (func (param i64))) (table 2 2 funcref) {} {} (elem (i32.const 0) func $a $b)",
                    function("a", 1),
                    function("b", 0)
                ))
            };
            vec![guest(
                maker,
                "pair",
                &pair("-1"),
                "E_TRAP_STACK",
                &pair("100"),
            )]
        }),
    },
    Row {
        id: "G3",
        title: "a call to the host from ever deeper in the stack, to the edge",
        check: Check::Script(|bench| from_the_edge(bench).map(Ran::inputs)),
    },
    Row {
        id: "G4",
        title: "the terminal's side on a thread with a stack of 256 KiB",
        check: Check::Script(|bench| small_stack(bench).map(Ran::inputs)),
    },
    Row {
        id: "G5",
        title: "a table of ten million elements",
        check: Check::Open(|maker| {
            let table = |limits: &str| Guest::lawful().parts(format!("(table {limits} funcref)"));
            ["10000000 10000000", "1 10000000", "1"]
                .map(|limits| {
                    guest(
                        maker,
                        limits,
                        &table(limits),
                        "E_POLICY_TABLE",
                        &table("10 10"),
                    )
                })
                .to_vec()
        }),
    },
    Row {
        id: "G6",
        title: "indirect calls to nothing, of another type, out of the table",
        check: Check::Open(|maker| {
            let calls = |index: u32| {
                Guest::does(format!("(call_indirect (i32.const {index}))")).parts(
                    "(table 3 3 funcref) (func $f) (func $g (param i32))
                     (elem (i32.const 0) func $f $g)",
                )
            };
            [
                ("another type", 1),
                ("nothing", 2),
                ("out of it", 3),
                ("far out", u32::MAX),
            ]
            .map(|(name, index)| guest(maker, name, &calls(index), "E_TRAP_INDIRECT", &calls(0)))
            .to_vec()
        }),
    },
    Row {
        id: "G7",
        title: "growing a table",
        check: Check::Open(|maker| {
            let table =
                |function: &str| Guest::lawful().parts(format!("(table 1 2 funcref) {function}"));
            let grow = "(func (drop (table.grow 0 (ref.null func) (i32.const 1))))";
            vec![guest(
                maker,
                "grow",
                &table(grow),
                "E_FEATURE",
                &table("(func)"),
            )]
        }),
    },
];

fn from_the_edge(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let deep = |depth: u32| {
        Guest::returns(format!("(call $deep (i64.const {depth})) (i32.const 64)")).parts(
            "(data (i32.const 2048) \"\\ff\\ca\\00\\00\\00\")
             (func $deep (param i64)
               (if (i64.eqz (local.get 0))
                 (then (call $transmit (i32.const 2048) (i32.const 5) (i32.const 64)))
                 (else (call $deep (i64.sub (local.get 0) (i64.const 1))))))",
        )
    };
    let mut codes = Vec::new();
    for depth in (0..=16).map(|step| 500 * step) {
        let file = maker.file(&deep(depth));
        let ridden = ride::ride(bench, file, Script::plain(), &ride::command(bench));
        let reached = ridden.script.commands.len();
        match (ridden.code, reached) {
            // At the edge the allocator that takes the answer may be the call that is one too many.
            ("ok", 1) | ("E_TRAP_STACK", 0 | 1) => codes.push(ridden.code),
            (code, reached) => return Err(format!("depth {depth}: {code}, {reached} commands")),
        }
    }
    // Both ends were seen: the edge lies between.
    if codes.first() == Some(&"ok") && codes.last() == Some(&"E_TRAP_STACK") {
        Ok(codes.len())
    } else {
        Err(format!("no edge: {codes:?}"))
    }
}

fn small_stack(bench: &Bench) -> Result<usize, String> {
    let file = bench.maker().lawful();
    let ridden = std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(SMALL_STACK);
        let command = ride::command(bench);
        small
            .spawn_scoped(scope, move || {
                ride::ride(bench, file, Script::plain(), &command)
            })
            .map_err(|error| error.to_string())?
            .join()
            .map_err(|_| "the thread panicked".to_owned())
    })?;
    match ridden.code {
        "ok" => Ok(1),
        code => Err(code.to_owned()),
    }
}
