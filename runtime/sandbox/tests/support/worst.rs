//! Lawful programs that are as dear to compile as the limits allow, each in another way.

use sandbox::limits;

use crate::support::Guest;

/// Name and guest of each.
pub(crate) fn worst() -> Vec<(&'static str, Guest)> {
    let control = [
        ("loops-of-locals", loops_of_locals()),
        ("branches", branches()),
        ("branch-table", branch_tables()),
        ("many-values", many_values()),
    ];
    let repeated = OPERATIONS
        .iter()
        .map(|(name, before, operation, len, points)| {
            (
                *name,
                format!("{before} {}", straight(operation, *len, *points)),
            )
        });
    let guest = |(name, library)| {
        let guest = Guest {
            library,
            ..Guest::done()
        };
        (name, guest)
    };
    control.into_iter().chain(repeated).map(guest).collect()
}

/// One operation: name, what stands before it, its text, its bytes, its points.
type Operation = (&'static str, &'static str, &'static str, usize, usize);

const OPERATIONS: &[Operation] = &[
    ("loads", "", "(drop (i64.load (local.get 0)))", 6, 2),
    (
        "stores",
        "",
        "(i64.store (local.get 0) (local.get 1))",
        7,
        2,
    ),
    (
        "divisions",
        "",
        "(local.set 1 (i64.div_s (local.get 1) (local.get 1)))",
        7,
        2,
    ),
    (
        "indirect-calls",
        "(table 8 8 funcref) (type $t (func))",
        "(call_indirect (type $t) (local.get 0))",
        5,
        16,
    ),
    ("direct-calls", "(func $f)", "(call $f)", 2, 16),
    (
        "bulk",
        "",
        "(memory.fill (local.get 0) (local.get 0) (local.get 0))",
        9,
        16,
    ),
    ("growing", "", "(drop (memory.grow (local.get 0)))", 5, 16),
    (
        "arithmetic",
        "",
        "(local.set 1 (i64.mul (local.get 1) (local.get 1)))",
        7,
        0,
    ),
    (
        "selections",
        "",
        "(local.set 1 (select (local.get 1) (local.get 1) (local.get 0)))",
        9,
        0,
    ),
    (
        "globals",
        "(global $g (mut i64) (i64.const 0))",
        "(global.set $g (global.get $g))",
        4,
        0,
    ),
    ("constants", "", "(drop (i32.ctz (i32.const 1)))", 4, 0),
    ("traps", "", "(if (local.get 0) (then (unreachable)))", 6, 9),
    ("returns", "", "(if (local.get 0) (then (return)))", 6, 9),
];

/// Points that are left for these functions: the guest itself needs some.
const POINTS: usize = limits::COST_MAX - 200;

/// Bytes of code that are left for these functions.
const CODE_LEN: usize = limits::FILE_LEN_MAX - 6_000;

/// Nested loops, each changing every local: each loop needs a value of each local at its head.
fn loops_of_locals() -> String {
    let locals = limits::LOCALS_MAX;
    // A loop costs four points, its conditional branch one.
    let loops = POINTS / (locals + 4) / 5;
    let depth = loops.min(limits::NESTING_MAX - 2);
    let change: String = (0..locals)
        .map(|local| {
            format!(
                "(local.set {local} (i64.add (local.get {local}) (local.get {})))",
                (local + 1) % locals
            )
        })
        .collect();
    let head = format!("(loop {change}");
    let tail = format!("{change} (br_if 0 (i64.eqz (local.get 1))))");
    // Both halves stay below the longest body.
    let nest = depth.min(limits::BODY_LEN_MAX / (locals * 14 + 12));
    let body = format!("{}{}", head.repeat(nest), tail.repeat(nest));
    let functions = (depth / nest).max(1);
    format!("(func (local{}) {body})", " i64".repeat(locals)).repeat(functions)
}

/// As many small blocks and branches as a file may have.
fn branches() -> String {
    let block = "(block (br_if 0 (local.get 0)))";
    // Seven bytes and two points; five points for a function's parameter and constant part.
    let blocks = POINTS / 5 / 2;
    let per_function = (limits::BODY_LEN_MAX - 16) / 7;
    let mut text = String::new();
    let mut left = blocks.min(CODE_LEN / 7);
    while left > 0 {
        let here = left.min(per_function);
        text += &format!("(func (param i32) {})", block.repeat(here));
        left -= here;
    }
    text
}

/// Branch tables with as many targets as one may have.
fn branch_tables() -> String {
    let targets = limits::BR_TABLE_MAX - 1;
    let table = format!("(block (br_table {} (local.get 0)))", "0 ".repeat(targets));
    let tables = POINTS / 5 / (targets + 3);
    format!("(func (param i32) {})", table.repeat(tables))
}

/// Nothing but one operation, `len` bytes long and `points` dear, as often as a file holds it.
fn straight(operation: &str, len: usize, points: usize) -> String {
    let per_function = (limits::BODY_LEN_MAX - 32) / len;
    let mut text = String::new();
    // Five points of each function are its parameter and constant part.
    let affordable = (POINTS - 30) / points.max(1);
    let mut left = if points == 0 {
        CODE_LEN / len
    } else {
        affordable.min(CODE_LEN / len)
    };
    while left > 0 {
        let here = left.min(per_function);
        text += &format!("(func (param i32) (local i64) {})", operation.repeat(here));
        left -= here;
    }
    text
}

/// Many values that live across many blocks.
fn many_values() -> String {
    let values = 900;
    let push = "(i64.load (local.get 0))".repeat(values);
    let blocks = "(block (br_if 0 (local.get 0)))".repeat(900);
    let sum = "i64.add ".repeat(values - 1);
    let function = format!("(func (param i32) {push} {blocks} {sum} drop)");
    function.repeat(2)
}
