//! Children that are no program runners: whatever they do, the run ends with a code.
#![cfg(unix)]

#[expect(dead_code, reason = "each test uses its part")]
mod support;

use std::time::Duration;

use sandbox::walls::{Wall, WallRule};
use sandbox::{
    Deadlines, Effects, NetworkError, ReaderError, RunError, Runner, RunnerCommand, admit,
};
use support::{Guest, verified};

struct Nobody;

impl Effects for Nobody {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Err(ReaderError::NoCard)
    }

    fn exchange(&mut self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Err(NetworkError::Offline)
    }
}

const SHORT: Duration = Duration::from_millis(50);
/// The frame of a child that has all its walls, as a script says it.
const WALLED: &str = r"printf '\200\002\000\000\000\377\037'; ";
const READY: &str = r"printf '\201\000\000\000\000'; ";

fn command(program: &str, args: &[&str], deadlines: Deadlines) -> RunnerCommand {
    RunnerCommand {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        deadlines,
        walls: WallRule::Require,
    }
}

fn started(command: &RunnerCommand) -> Result<Runner, RunError> {
    let admitted = admit(verified(Guest::done().template())).expect("admitted");
    Runner::spawn(admitted, command)
}

/// Runs a shell script in place of a program runner that has said that its walls stand.
fn script(text: &str, deadlines: Deadlines) -> RunError {
    raw_script(&format!("{WALLED} {text}"), deadlines)
}

/// Runs a shell script in place of a program runner.
fn raw_script(text: &str, deadlines: Deadlines) -> RunError {
    started(&command("/bin/sh", &["-c", text], deadlines))
        .and_then(|runner| runner.run(&mut Nobody))
        .expect_err("no program runner")
}

#[track_caller]
fn ends_with(text: &str, code: &str) {
    assert_eq!(script(text, Deadlines::default()).code(), code, "{text}");
}

#[test]
fn a_child_that_cannot_be_started_is_an_error_with_its_source() {
    let nowhere = command("/nonexistent/runner", &[], Deadlines::default());
    let error = started(&nowhere).expect_err("nothing there");
    assert_eq!(error.code(), "E_RUNNER_START");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_child_that_is_gone_is_lost() {
    ends_with("exit 0", "E_RUNNER_LOST");
    ends_with("kill -9 $$", "E_RUNNER_LOST");
    ends_with(&format!("{READY} exit 0"), "E_RUNNER_LOST");
    ends_with(&format!("{READY} kill -9 $$"), "E_RUNNER_LOST");
    // In the middle of a frame.
    ends_with(
        &format!("{READY} printf '\\202\\005\\000'"),
        "E_RUNNER_LOST",
    );
}

#[test]
fn a_child_that_speaks_something_else_is_ended() {
    for text in [
        r"printf 'hello, terminal'",
        // A known kind with four gigabytes to come.
        r"printf '\202\377\377\377\377'",
        // Requests and frames of the terminal before it is ready.
        r"printf '\202\000\000\000\000'",
        r"printf '\003\001\000\000\000\000'",
    ] {
        ends_with(
            &format!("{text}; exec /bin/sleep 1000"),
            "E_RUNNER_PROTOCOL",
        );
    }
    for text in [
        r"printf '\201\000\000\000\000'",
        r"printf '\001\000\000\000\000'",
        r"printf '\204\000\000\000\000'",
        r"printf '\204\012\000\000\000\000\000\000\000\000\000\000\000\001\077'",
        r"printf '\377'; printf '0000'",
    ] {
        ends_with(
            &format!("{READY} {text}; exec /bin/sleep 1000"),
            "E_RUNNER_PROTOCOL",
        );
    }
}

#[test]
fn a_receipt_before_the_start_is_no_outcome() {
    // Nobody has agreed yet: a child may say that it could not compile, and nothing else.
    let fault = r"printf '\204\012\000\000\000\000\000\000\000\000\000\000\000\002\000'";
    ends_with(fault, "E_COMPILE");
    let receipt = r"printf '\204\012\000\000\000\000\000\000\000\000\000\000\000\000\101'";
    ends_with(
        &format!("{receipt}; exec /bin/sleep 1000"),
        "E_RUNNER_PROTOCOL",
    );
}

#[test]
fn a_child_that_asks_without_end_is_ended() {
    let asks = format!("{READY} while :; do printf '\\202\\001\\000\\000\\000\\000'; done");
    // It reads no answers, so the queue of these may be full before its patience is used up.
    let code = script(&asks, Deadlines::default()).code();
    assert!(
        ["E_LIMIT_CALLS", "E_RUNNER_PROTOCOL"].contains(&code),
        "{code}"
    );
}

#[test]
fn a_child_that_takes_too_long_is_killed() {
    let sleep = "exec /bin/sleep 1000";
    let compile = Deadlines {
        compile: SHORT,
        ..Deadlines::default()
    };
    assert_eq!(script(sleep, compile).code(), "E_COMPILE_LIMIT");
    let wall = Deadlines {
        wall: SHORT,
        ..Deadlines::default()
    };
    assert_eq!(script(&format!("{READY} {sleep}"), wall).code(), "E_WALL");
}

#[test]
fn a_child_gets_no_program_before_it_has_reported_its_walls() {
    // Each of these would answer a program with something else.
    for (text, code) in [
        ("exit 0", "E_RUNNER_LOST"),
        (r"printf '\201\000\000\000\000'", "E_RUNNER_PROTOCOL"),
        (r"printf '\200\001\000\000\000\377'", "E_RUNNER_PROTOCOL"),
        // A wall that nobody knows.
        (
            r"printf '\200\002\000\000\000\377\040'",
            "E_RUNNER_PROTOCOL",
        ),
        (
            r"printf '\200\003\000\000\000\377\037\000'",
            "E_RUNNER_PROTOCOL",
        ),
    ] {
        let text = format!("{text}; read -r program && {READY}");
        assert_eq!(
            raw_script(&text, Deadlines::default()).code(),
            code,
            "{text}"
        );
    }
    let soon = Deadlines {
        compile: SHORT,
        ..Deadlines::default()
    };
    assert_eq!(
        raw_script("exec /bin/sleep 1000", soon).code(),
        "E_RUNNER_START"
    );
}

#[test]
fn a_missing_wall_is_an_error_where_walls_are_required() {
    // All but the one of bit 8.
    let text = r"printf '\200\002\000\000\000\377\036'; exec /bin/sleep 1000";
    let required = command("/bin/sh", &["-c", text], Deadlines::default());
    let error = started(&required).expect_err("a wall is missing");
    assert_eq!(error.code(), "E_WALLS");
    assert_eq!(
        error.to_string(),
        "the program runner lacks walls: landlock"
    );

    let accepted = RunnerCommand {
        walls: WallRule::Accept,
        ..required
    };
    let runner = started(&accepted).expect("accepted");
    let missing: Vec<_> = runner.walls().missing().collect();
    assert_eq!(missing, [Wall::Landlock]);
}

#[test]
fn a_runner_that_is_dropped_ends_its_child() {
    // The drop waits for the child: it returns only if the child was killed.
    let text = format!("{WALLED} exec /bin/sleep 1000");
    let sleeper = command("/bin/sh", &["-c", &text], Deadlines::default());
    drop(started(&sleeper).expect("started"));
}

#[test]
fn the_child_has_no_environment_and_the_root_as_its_directory() {
    assert!(std::env::vars_os().next().is_some());
    // `env` prints each variable; with none it says nothing, which is a lost runner.
    let env = started(&command("/usr/bin/env", &[], Deadlines::default()));
    assert_eq!(env.expect_err("no runner").code(), "E_RUNNER_LOST");
    ends_with(
        "[ \"$(pwd)\" = / ] && exit 0; printf 'elsewhere'",
        "E_RUNNER_LOST",
    );
}
