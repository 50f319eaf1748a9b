//! The compile cost score, to the point.

use super::*;

#[test]
fn the_cost_score_is_counted_to_the_last_point() {
    // The guest's own functions: the allocator (1 + 4) x (1 + 1 if), `run` 4 x 1 and four stores.
    let rest = limits::COST_MAX - 22;
    limit(rest, "E_POLICY_COST", |cost| {
        // One function of 4 + locals for each full 4,000 points, then what is missing to `cost`.
        let full = format!("(func{})", " (block)".repeat(999));
        let left = cost % 4_000;
        let quarters = format!("(func{})", " (block)".repeat(left / 4 - 2));
        let odd = format!("(func (local{}))", " i32".repeat(left % 4));
        with_parts(full.repeat(cost / 4_000) + &quarters + &odd)
    });
}

#[test]
fn each_kind_of_branch_has_its_weight() {
    for (body, weight) in [
        ("(block)", 1),
        ("(loop)", 4),
        ("(if (i32.const 0) (then))", 1),
        ("(if (i32.const 0) (then) (else))", 2),
        ("(br_if 0 (i32.const 0))", 1),
        ("(br_table 0 0 0 0 (i32.const 0))", 3),
        ("(br 0)", 0),
    ] {
        let text = format!("(module (func (local i32) {body}))");
        assert_eq!(score(&text), (1 + 4) * (1 + weight), "{body}");
    }
}

#[test]
fn operators_that_make_much_code_have_points_wherever_they_stand() {
    for (body, points) in [
        ("(call $f (i32.const 0))", 16),
        ("(call_indirect (i32.const 0))", 16),
        ("(drop (memory.grow (i32.const 0)))", 16),
        (
            "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))",
            16,
        ),
        (
            "(memory.copy (i32.const 0) (i32.const 0) (i32.const 0))",
            16,
        ),
        ("(drop (i64.load32_u (i32.const 0)))", 2),
        ("(i32.store8 (i32.const 0) (i32.const 0))", 2),
        ("(drop (i64.rem_s (i64.const 0) (i64.const 0)))", 2),
        ("(unreachable)", 4),
        ("(return)", 4),
        ("(drop (i64.mul (i64.const 0) (i64.const 0)))", 0),
        // Not multiplied by the locals.
        ("(block (return))", 5 + 4),
    ] {
        let text = format!(
            "(module (memory 1 1) (table 1 1 funcref) (func $f (param i32) (local i32) {body}))"
        );
        assert_eq!(score(&text), (1 + 4) + points, "{body}");
    }
}

#[test]
fn the_mailed_program_is_far_below_the_limit() {
    let mut tally = module::Tally::default();
    for payload in Parser::new(0).parse_all(&remittance()) {
        if let Ok(payload @ Payload::CodeSectionEntry(_)) = payload {
            tally.payload(&payload).expect("far below the limits");
        }
    }
    assert!(tally.cost() < limits::COST_MAX / 2, "{}", tally.cost());
}

/// The cost score of a core module.
fn score(text: &str) -> usize {
    let mut tally = module::Tally::default();
    let bytes = wat::parse_str(text).expect("well formed");
    for payload in Parser::new(0).parse_all(&bytes) {
        if let Ok(payload @ Payload::CodeSectionEntry(_)) = payload {
            tally.payload(&payload).expect("far below the limits");
        }
    }
    tally.cost()
}
