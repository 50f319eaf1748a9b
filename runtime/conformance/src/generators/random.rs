//! O1: random code inside a lawful program, well formed as text, and run: the generator knows what is
//! on the stack, and nothing of what the code does.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Range;
use crate::guest::Guest;
use crate::ride::Script;

/// Programs that are made, admitted and run.
const RUN: u32 = 60;

/// Locals and globals of a function that random code uses.
const VARIABLES: u8 = 4;

/// An expression that leaves one `i32`.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(|value| format!("(i32.const {value})")),
        (-8..70_000_i32).prop_map(|value| format!("(i32.const {value})")),
        (0..VARIABLES).prop_map(|local| format!("(local.get {local})")),
        (0..VARIABLES).prop_map(|global| format!("(global.get $g{global})")),
        Just("(memory.size)".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let binary = prop::sample::select(vec![
            "add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u", "and", "or", "xor", "shl",
            "shr_s", "shr_u", "rotl", "rotr", "eq", "ne", "lt_s", "lt_u", "ge_s",
        ]);
        let unary = prop::sample::select(vec!["clz", "ctz", "popcnt", "eqz", "extend8_s"]);
        let load = prop::sample::select(vec!["load", "load8_u", "load8_s", "load16_u"]);
        let offset = prop::sample::select(vec![0_u32, 1, 65_535, u32::MAX]);
        prop_oneof![
            (binary, inner.clone(), inner.clone())
                .prop_map(|(op, a, b)| format!("(i32.{op} {a} {b})")),
            (unary, inner.clone()).prop_map(|(op, a)| format!("(i32.{op} {a})")),
            (load, offset, inner.clone())
                .prop_map(|(op, offset, a)| format!("(i32.{op} offset={offset} {a})")),
            inner.clone().prop_map(|a| format!("(memory.grow {a})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(select {a} {b} {c})")),
            inner
                .clone()
                .prop_map(|a| format!("(i32.wrap_i64 (i64.extend_i32_s {a}))")),
            (0..3_u8, inner.clone()).prop_map(|(f, a)| format!("(call $f{f} {a})")),
            (inner.clone(), inner)
                .prop_map(|(a, index)| format!("(call_indirect (type $t) {a} {index})")),
        ]
    })
}

/// A statement that leaves nothing.
fn statement() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0..VARIABLES, expression()).prop_map(|(local, a)| format!("(local.set {local} {a})")),
        (0..VARIABLES, expression()).prop_map(|(global, a)| format!("(global.set $g{global} {a})")),
        (expression(), expression()).prop_map(|(a, b)| format!("(i32.store {a} {b})")),
        expression().prop_map(|a| format!("(i64.store8 {a} (i64.const -1))")),
        (expression(), expression(), expression())
            .prop_map(|(a, b, c)| format!("(memory.fill {a} {b} {c})")),
        (expression(), expression(), expression())
            .prop_map(|(a, b, c)| format!("(memory.copy {a} {b} {c})")),
        (expression(), expression())
            .prop_map(|(a, len)| format!("(call $transmit {a} {len} (i32.const 128))")),
        (expression(), expression())
            .prop_map(|(a, len)| format!("(call $exchange {a} {len} (i32.const 128))")),
        expression().prop_map(|a| format!("(drop {a})")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..4).prop_map(|list| list.concat());
        prop_oneof![
            (expression(), list()).prop_map(|(a, body)| format!("(block (br_if 0 {a}) {body})")),
            (expression(), list()).prop_map(|(a, body)| format!("(loop {body} (br_if 0 {a}))")),
            (expression(), list(), list())
                .prop_map(|(a, yes, no)| format!("(if {a} (then {yes}) (else {no}))")),
            (expression(), list())
                .prop_map(|(a, body)| format!("(block (block {body} (br_table 0 1 0 {a})))")),
        ]
    })
}

fn statements() -> impl Strategy<Value = String> {
    prop::collection::vec(statement(), 0..6).prop_map(|list| list.concat())
}

/// A guest that runs this code first, then what is lawful.
fn guest(functions: &[String; 3], results: &[String; 3], run: &str) -> Guest {
    let globals: String = (0..VARIABLES)
        .map(|global| format!("(global $g{global} (mut i32) (i32.const {global}))"))
        .collect();
    let functions: String = functions
        .iter()
        .zip(results)
        .enumerate()
        .map(|(number, (body, result))| {
            format!("(func $f{number} (type $t) (local i32 i32 i32) {body} {result})")
        })
        .collect();
    Guest::does(format!("(local i32 i32 i32 i32) {run}")).parts(format!(
        "(type $t (func (param i32) (result i32))) {globals}
         (table 5 5 funcref) (elem (i32.const 0) func $f0 $f1 $f2) {functions}"
    ))
}

#[test]
fn random_code_gives_a_result_or_ends_with_a_code() {
    let range = Range::new();
    let codes = RefCell::new(BTreeSet::new());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: RUN,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let functions = [statements(), statements(), statements()];
    let results = [expression(), expression(), expression()];
    let tried = runner.run(
        &(functions, results, statements()),
        |(functions, results, run)| {
            let file = range.maker().file(&guest(&functions, &results, &run));
            let ridden = range.ride(file, Script::plain());
            prop_assert!(ridden.script.commands.len() <= sandbox::limits::READER_CALLS_MAX);
            prop_assert!(ridden.script.requests.len() <= sandbox::limits::NETWORK_CALLS_MAX);
            codes.borrow_mut().insert(ridden.code);
            Ok(())
        },
    );
    tried.expect("every program ends in a known way");
    let codes = codes.into_inner();
    assert!(codes.contains("ok"), "none gave a result: {codes:?}");
    assert!(
        codes.iter().any(|code| code.starts_with("E_TRAP")),
        "none trapped: {codes:?}"
    );
}
