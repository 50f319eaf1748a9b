//! Programs run in a real child process: what they may do, and how each misbehaviour ends.

#[expect(dead_code, reason = "each test uses its part")]
mod support;
#[path = "support/worst.rs"]
mod worst;

use std::path::{Path, PathBuf};

use sandbox::walls::WallRule;
use sandbox::{
    Deadlines, Effects, NetworkError, ReaderError, RunError, Runner, RunnerCommand, Spent, admit,
    limits,
};
use support::{Guest, remittance, verified};

/// Plays card and issuer, and writes down what reached them.
#[derive(Default)]
struct Scripted {
    commands: Vec<Vec<u8>>,
    requests: Vec<Vec<u8>>,
    card: Option<ReaderError>,
    spent: Vec<Spent>,
}

impl Effects for Scripted {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.commands.push(command.to_vec());
        match self.card {
            Some(error) => Err(error),
            None => Ok(vec![4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x90, 0x00]),
        }
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        self.requests.push(request.to_vec());
        Ok(request.iter().rev().copied().collect())
    }

    fn ended(&mut self, spent: Spent) {
        self.spent.push(spent);
    }
}

/// The example `runner`, which Cargo builds beside the tests.
fn command() -> RunnerCommand {
    let test = std::env::current_exe().expect("a test is a file");
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("target/debug/deps");
    let program: PathBuf = target.join("examples").join("runner");
    RunnerCommand {
        program,
        args: Vec::new(),
        deadlines: Deadlines::default(),
        walls: WallRule::Accept,
    }
}

fn run_template(template: Vec<u8>, effects: &mut Scripted) -> Result<Vec<u8>, RunError> {
    let admitted = admit(verified(template)).expect("admitted");
    Runner::spawn(admitted, &command())
        .expect("started")
        .run(effects)
}

fn run(guest: &Guest, effects: &mut Scripted) -> Result<Vec<u8>, RunError> {
    run_template(guest.template(), effects)
}

/// Runs a guest that must end with this code and reach neither card nor issuer.
#[track_caller]
fn ends_with(guest: &Guest, code: &str) {
    let mut effects = Scripted::default();
    let error = run(guest, &mut effects).expect_err(code);
    assert_eq!(error.code(), code, "{error}");
    assert!(effects.commands.is_empty() && effects.requests.is_empty());
}

/// Calls `function` once with `len` bytes from 1024 on and returns what it returns.
fn one_call(function: &str, len: usize) -> Guest {
    Guest::new(&format!(
        "(i32.store (i32.const 1024) (i32.const 0x0000caff)) ;; FF CA 00 00 00
         (call ${function} (i32.const 1024) (i32.const {len}) (i32.const 64)) (i32.const 64)"
    ))
}

/// Calls `function` so many times with the command that reads the UID, and returns the last result.
fn calls(function: &str, count: usize) -> Guest {
    Guest::new(&format!(
        "(local $left i32)
         (i32.store (i32.const 1024) (i32.const 0x0000caff))
         (local.set $left (i32.const {count}))
         (loop
           (call ${function} (i32.const 1024) (i32.const 5) (i32.const 64))
           (local.set $left (i32.sub (local.get $left) (i32.const 1)))
           (br_if 0 (local.get $left)))
         (i32.const 64)"
    ))
}

#[test]
fn a_program_returns_its_receipt() {
    let receipt = run(&Guest::done(), &mut Scripted::default());
    assert_eq!(receipt.expect("a receipt"), b"done");
}

#[test]
fn a_program_reaches_card_and_issuer() {
    let mut effects = Scripted::default();
    let answer = run(&one_call("transmit", 5), &mut effects).expect("an answer");
    assert_eq!(answer, [4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x90, 0x00]);
    assert_eq!(effects.commands, [[0xFF, 0xCA, 0, 0, 0]]);
    let reply = run(&one_call("exchange", 3), &mut effects).expect("a reply");
    assert_eq!(reply, [0, 0xCA, 0xFF]);
    assert_eq!(effects.requests, [[0xFF, 0xCA, 0]]);
}

#[test]
fn what_a_run_took_is_told_once_however_it_ends() {
    let mut fuels = Vec::new();
    for (guest, failed) in [
        (Guest::done(), false),
        (Guest::done(), false),
        (Guest::new("(unreachable)"), true),
        (Guest::new("(loop (br 0)) (unreachable)"), true),
    ] {
        let mut effects = Scripted::default();
        assert_eq!(run(&guest, &mut effects).is_err(), failed);
        let [spent] = effects.spent[..] else {
            panic!("told {} times", effects.spent.len());
        };
        assert!(!spent.time.is_zero());
        fuels.push(spent.fuel.expect("an outcome"));
    }
    assert_eq!(fuels[0], fuels[1]);
    assert!((1..limits::FUEL_MAX).contains(&fuels[2]) && fuels[3] == limits::FUEL_MAX);
}

#[test]
fn the_mailed_program_runs() {
    let mut effects = Scripted {
        card: Some(ReaderError::NoCard),
        ..Scripted::default()
    };
    let error = run_template(remittance(), &mut effects).expect_err("no card");
    assert_eq!(error.code(), "E_PROGRAM_READER");
    assert_eq!(effects.commands, [[0xFF, 0xCA, 0, 0, 0]]);

    // A card that answers everything as it answers the UID has no purse of ours.
    let mut effects = Scripted::default();
    let error = run_template(remittance(), &mut effects).expect_err("no purse");
    assert_eq!(error.code(), "E_PROGRAM_CARD_UNSUPPORTED");
    assert_eq!(effects.commands.len(), 2);
    assert!(effects.requests.is_empty());
}

#[test]
fn what_a_program_spends_is_limited() {
    ends_with(&Guest::new("(loop (br 0)) (unreachable)"), "E_FUEL");
    // Bulk operations are paid by the byte.
    let fill = "(loop (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)) (br 0))";
    ends_with(&Guest::new(&format!("{fill} (unreachable)")), "E_FUEL");
    let deep = Guest {
        parts: "(func $deep (param i64) (result i64)
            (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))"
            .to_owned(),
        ..Guest::new("(drop (call $deep (i64.const 0))) (unreachable)")
    };
    ends_with(&deep, "E_TRAP_STACK");
}

#[test]
fn a_memory_grows_to_its_maximum_and_the_program_goes_on() {
    let grow = "(if (i32.ne (memory.grow (i32.const 1)) (i32.const 1)) (then (unreachable)))
        (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))";
    let receipt = run(
        &Guest::new(&format!("{grow} {}", support::DONE)),
        &mut Scripted::default(),
    );
    assert_eq!(receipt.expect("goes on"), b"done");
}

#[test]
fn a_trap_has_the_code_of_its_cause() {
    ends_with(&Guest::new("(unreachable)"), "E_TRAP");
    ends_with(
        &Guest::new("(i32.load offset=0xffffffff (i32.const -1))"),
        "E_TRAP_OOB",
    );
    ends_with(
        &Guest::new("(i32.div_u (i32.const 1) (i32.const 0))"),
        "E_TRAP_ARITHMETIC",
    );
    let indirect = Guest {
        parts: "(table 1 1 funcref)".to_owned(),
        ..Guest::new("(call_indirect (i32.const 0)) (unreachable)")
    };
    ends_with(&indirect, "E_TRAP_INDIRECT");
}

#[test]
fn bytes_that_mean_nothing_at_the_boundary_stop_the_program() {
    let returned = |tag: u32, pointer: u32, len: u32| {
        Guest::new(&format!(
            "(i32.store8 (i32.const 16) (i32.const {tag}))
             (i32.store (i32.const 20) (i32.const {pointer}))
             (i32.store (i32.const 24) (i32.const {len}))
             (i32.const 16)"
        ))
    };
    for guest in [
        returned(2, 0, 0),
        returned(1, 6, 0),
        returned(0, 65_535, 2),
        returned(0, 1, 0xFFFF_FFFF),
        Guest::new("(i32.const 65533)"),
        Guest::new("(i32.const 17)"),
        Guest::new(
            "(call $transmit (i32.const 65535) (i32.const 2) (i32.const 64)) (i32.const 64)",
        ),
        Guest::new("(call $exchange (i32.const 8) (i32.const -1) (i32.const 64)) (i32.const 64)"),
    ] {
        ends_with(&guest, "E_TRAP_ABI");
    }
}

#[test]
fn the_host_is_out_of_reach_after_the_run() {
    let late = Guest {
        parts: "(func (export \"late\") (param i32)
            (call $exchange (i32.const 0) (i32.const 1) (i32.const 64)))"
            .to_owned(),
        ..Guest::done()
    };
    let text = late.template_text().replace(
        "(func $run (result $result) (canon lift (core func $run)",
        "(alias core export $main \"late\" (core func $late))
         (func $run (result $result) (canon lift (core func $run) (post-return (core func $late))",
    );
    assert!(text.contains("$late)"));
    let mut effects = Scripted::default();
    let error = run_template(support::component(&text), &mut effects).expect_err("too late");
    assert_eq!(error.code(), "E_TRAP_REENTRY");
    assert!(effects.requests.is_empty());
}

#[test]
fn one_call_carries_its_longest_request_and_not_one_byte_more() {
    // The longest is read and then denied, since no message of the protocol is that long.
    let mut effects = Scripted::default();
    let denied = run(&one_call("exchange", limits::CALL_LEN_MAX), &mut effects);
    assert_eq!(
        denied.expect_err("denied").code(),
        "E_PROGRAM_CARD_UNSUPPORTED"
    );
    assert!(effects.requests.is_empty());
    ends_with(
        &one_call("exchange", limits::CALL_LEN_MAX + 1),
        "E_LIMIT_BYTES",
    );
    ends_with(
        &one_call("transmit", limits::CALL_LEN_MAX + 1),
        "E_LIMIT_BYTES",
    );
}

#[test]
fn a_receipt_has_at_most_its_length() {
    let of_len = |len: usize| {
        Guest::new(&format!(
            "(i32.store (i32.const 20) (i32.const 1024)) (i32.store (i32.const 24) (i32.const {len}))
             (i32.const 16)"
        ))
    };
    let max = wire::exchange::RECEIPT_LEN_MAX;
    let longest = run(&of_len(max), &mut Scripted::default());
    assert_eq!(longest.expect("the limit itself").len(), max);
    ends_with(&of_len(max + 1), "E_LIMIT_BYTES");
    ends_with(&of_len(limits::CALL_LEN_MAX + 1), "E_LIMIT_BYTES");
}

#[test]
fn the_calls_of_a_run_are_counted_to_the_last() {
    // A program returns an error it got as the failure of the same number: `limit` of the reader is
    // `network`, `limit` of the network is `reader`.
    let cases = [
        ("transmit", limits::READER_CALLS_MAX, "E_PROGRAM_NETWORK"),
        ("exchange", limits::NETWORK_CALLS_MAX, "E_PROGRAM_READER"),
    ];
    for (function, max, code) in cases {
        let mut effects = Scripted::default();
        run(&calls(function, max), &mut effects).expect("the limit itself");
        assert_eq!(effects.commands.len() + effects.requests.len(), max);

        let mut effects = Scripted::default();
        let error = run(&calls(function, max + 1), &mut effects).expect_err("one past the limit");
        assert_eq!(error.code(), code);
        assert_eq!(effects.commands.len() + effects.requests.len(), max);
    }
}

#[test]
fn a_program_that_goes_on_asking_is_ended() {
    let mut effects = Scripted::default();
    let patience = limits::READER_CALLS_MAX + limits::REFUSALS_MAX;
    let error = run(&calls("transmit", patience), &mut effects).expect_err("limit");
    assert_eq!(
        error.code(),
        "E_PROGRAM_NETWORK",
        "the last refusal is still an answer"
    );
    let error = run(&calls("transmit", patience + 1), &mut effects).expect_err("ended");
    assert_eq!(error.code(), "E_LIMIT_CALLS");
}

#[test]
fn a_denied_command_never_reaches_the_card() {
    for bytes in [
        "\\90\\5a\\00\\00\\03\\00\\00\\00\\00",
        "\\00\\a4\\04\\00\\00",
        "\\ff\\00\\00\\00\\00",
        "",
    ] {
        let len = bytes.len() / 3;
        let guest = Guest {
            parts: format!("(data (i32.const 2048) \"{bytes}\")"),
            ..Guest::new(&format!(
                "(call $transmit (i32.const 2048) (i32.const {len}) (i32.const 64)) (i32.const 64)"
            ))
        };
        // `denied` of the reader comes back as the failure `reader`.
        ends_with(&guest, "E_PROGRAM_READER");
    }
}

/// Runs of one test; `benches/soak.rs` makes ten thousand.
#[cfg(target_os = "linux")]
const RUNS: usize = 40;

#[cfg(target_os = "linux")]
#[test]
fn a_run_leaves_no_child_behind_it() {
    // Other tests of this process have children meanwhile; each run looks for its own.
    let template = Guest::done().template();
    for _ in 0..RUNS {
        let admitted = admit(verified(template.clone())).expect("admitted");
        let runner = Runner::spawn(admitted, &command()).expect("started");
        assert!(runner.walls().stands(sandbox::walls::Wall::SystemCalls));
        let own = format!("/proc/{}", runner.id());
        assert!(Path::new(&own).exists());
        runner.run(&mut Scripted::default()).expect("a receipt");
        assert!(!Path::new(&own).exists(), "killed and waited for");
    }
}

#[test]
fn the_dearest_lawful_programs_are_admitted_and_compile() {
    for (name, guest) in worst::worst() {
        let receipt = run(&guest, &mut Scripted::default());
        assert_eq!(receipt.expect(name), b"done", "{name}");
    }
}
