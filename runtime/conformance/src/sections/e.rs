//! E: time. What a program may spend, and what the host does when something stalls.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use sandbox::{Deadlines, Effects, NetworkError, ReaderError, RunnerCommand};

use super::UID;
use crate::bench::Bench;
use crate::guest::{Guest, sends, sequence};
use crate::maker::Maker;
use crate::ride::{self, Ride, Script};
use crate::row::{Case, Check, Ran, Row, guest};
use crate::wasm;

/// Where `run` is lifted, in the text of the guest.
/// One component takes a result within a result from another: the engine panics while it writes the
/// adapter between them. Admission refuses such types.
const PANICS: &str = r#"(component
  (component $a (type $r (result (error u8))) (type $t (result $r))
    (core module $m (memory (export "memory") 1 1) (func (export "f") (param i32 i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "f") (param "a" $t) (canon lift (core func $i "f"))))
  (component $b (type $r (result (error u8))) (type $t (result $r))
    (import "f" (func $f (param "a" $t)))
    (core func $g (canon lower (func $f)))
    (core module $m (import "" "f" (func (param i32 i32 i32))))
    (core instance (instantiate $m (with "" (instance (export "f" (func $g)))))))
  (instance $a (instantiate $a))
  (instance (instantiate $b (with "f" (func $a "f")))))"#;

/// How an outcome ends that says so: a fault, and its number.
const E_COMPILE: [u8; 2] = [2, 0];

const LIFT: &str = "(func $run (result $result) (canon lift (core func $run)";

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "E1",
        title: "an endless loop in `run`",
        check: Check::Open(|maker| {
            vec![
                does(maker, "loop", "(loop (br 0))", "E_FUEL", "(block (br 0))"),
                guest(
                    maker,
                    "recursion without depth",
                    &Guest::does("(loop (call $f) (br 0))").parts("(func $f)"),
                    "E_FUEL",
                    &Guest::does("(call $f)").parts("(func $f)"),
                ),
            ]
        }),
    },
    Row {
        id: "E2",
        title: "an endless loop in a start function",
        check: Check::Open(|maker| {
            let hostile = Guest::lawful().parts("(func $s (loop (br 0))) (start $s)");
            let mended = Guest::lawful().parts("(func $s (loop (br 0)))");
            vec![guest(maker, "start", &hostile, "E_POLICY_START", &mended)]
        }),
    },
    Row {
        id: "E3",
        title: "an endless loop in the allocator, while an answer is handed over",
        check: Check::Run(|| {
            let body = "(local.set $at (global.get $next))";
            let hostile = sends("transmit", &UID).edited(body, "(loop (br 0))");
            vec![
                Ride::new("allocator", hostile, "E_FUEL")
                    .reaching(1, 0)
                    .mended(sends("transmit", &UID)),
            ]
        }),
    },
    Row {
        id: "E4",
        title: "an endless loop after the result",
        check: Check::Open(|maker| {
            let late = |body: &str| {
                let done = "(i32.store (i32.const 20) (i32.const 4096))
                    (i32.store (i32.const 24) (i32.const 4)) (i32.const 16)";
                after_the_result(Guest::returns(done), body)
            };
            let mended = after_the_result(Guest::lawful(), "");
            vec![guest(
                maker,
                "loop",
                &late("(loop (br 0))"),
                "E_FUEL",
                &mended,
            )]
        }),
    },
    Row {
        id: "E5",
        title: "bulk memory operations without end",
        check: Check::Open(|maker| {
            let fill = "(memory.fill (i32.const 8192) (i32.const 0) (i32.const 8192))";
            let copy = "(memory.copy (i32.const 8192) (i32.const 16384) (i32.const 8192))";
            let endless = |operation: &str| format!("(loop {operation} (br 0))");
            vec![
                does(maker, "fill", &endless(fill), "E_FUEL", fill),
                does(maker, "copy", &endless(copy), "E_FUEL", copy),
            ]
        }),
    },
    Row {
        id: "E6",
        title: "the fuel ends between two calls to the host",
        check: Check::Run(|| {
            let call = "(call $transmit (i32.const 2048) (i32.const 5) (i32.const 64))";
            let twice = |between: &str| {
                Guest::returns(format!("{call} {between} {call} (i32.const 64)"))
                    .parts("(data (i32.const 2048) \"\\ff\\ca\\00\\00\\00\")")
            };
            vec![
                Ride::new("loop", twice("(loop (br 0))"), "E_FUEL")
                    .reaching(1, 0)
                    .mended(twice("")),
            ]
        }),
    },
    Row {
        id: "E7",
        title: "a runner that stalls",
        check: Check::Script(|bench| stalled(bench).map(Ran::inputs)),
    },
    Row {
        id: "E8",
        title: "a reader that never answers, a slow host",
        check: Check::Script(|bench| slow_host(bench).map(Ran::inputs)),
    },
    Row {
        id: "E9",
        title: "50,000 locals, and many functions with the most locals each",
        check: Check::Open(|maker| {
            let locals = |count: usize| format!("(func (local{}))", " i32".repeat(count));
            vec![
                parts(
                    maker,
                    "50,000",
                    &locals(50_000),
                    "E_POLICY_SHAPE",
                    &locals(64),
                ),
                parts(
                    maker,
                    "40 functions",
                    &locals(64).repeat(40),
                    "E_POLICY_SHAPE",
                    &locals(64).repeat(20),
                ),
            ]
        }),
    },
    Row {
        id: "E10",
        title: "nested loops over many locals",
        check: Check::Open(|maker| {
            vec![parts(
                maker,
                "four functions",
                &loops(60, 60).repeat(4),
                "E_POLICY_COST",
                &loops(60, 30).repeat(2),
            )]
        }),
    },
    Row {
        id: "E11",
        title: "3,300 nested loops, 2,000 functions, tables of 9,940 and 60,000 branches",
        check: Check::Open(|maker| {
            let table =
                |count: usize| format!("(func (br_table{} 0 (i32.const 0)))", " 0".repeat(count));
            let shape = "E_POLICY_SHAPE";
            vec![
                parts(maker, "loops", &loops(0, 3_300), shape, &loops(0, 33)),
                parts(
                    maker,
                    "functions",
                    &"(func)".repeat(2_000),
                    shape,
                    &"(func)".repeat(200),
                ),
                parts(maker, "9,940 branches", &table(9_940), shape, &table(99)),
                parts(maker, "60,000 branches", &table(60_000), shape, &table(200)),
            ]
        }),
    },
    Row {
        id: "E12",
        title: "a signature of 1,000 parameters on many functions",
        check: Check::Open(|maker| {
            let functions = |params: usize| {
                let kind = format!("(type $many (func (param{})))", " i32".repeat(params));
                kind + &"(func (type $many))".repeat(100)
            };
            vec![parts(
                maker,
                "1,000",
                &functions(1_000),
                "E_POLICY_SHAPE",
                &functions(16),
            )]
        }),
    },
    Row {
        id: "E13",
        title: "30,000 data segments",
        check: Check::Open(|maker| {
            let segments = |count: usize| "(data \"\")".repeat(count);
            vec![parts(
                maker,
                "segments",
                &segments(30_000),
                "E_POLICY_SHAPE",
                &segments(8),
            )]
        }),
    },
    Row {
        id: "E14",
        title: "a compiler that fails or panics; a runner that dies or speaks something else",
        check: Check::Script(|bench| broken_runner(bench).map(Ran::inputs)),
    },
    Row {
        id: "E15",
        title: "a compile that takes too long, or too much memory",
        check: Check::Script(long_compile),
    },
    Row {
        id: "E16",
        title: "the most expensive program that is admitted",
        check: Check::Open(|maker| {
            let dear = loops(60, 38).repeat(2);
            let too_dear = loops(60, 38).repeat(3);
            vec![parts(maker, "one more", &too_dear, "E_POLICY_COST", &dear)]
        }),
    },
];

fn does(maker: &Maker<'_>, name: &str, hostile: &str, code: &'static str, mended: &str) -> Case {
    guest(
        maker,
        name,
        &Guest::does(hostile),
        code,
        &Guest::does(mended),
    )
}

fn parts(maker: &Maker<'_>, name: &str, hostile: &str, code: &'static str, mended: &str) -> Case {
    let (hostile, mended) = (
        Guest::lawful().parts(hostile),
        Guest::lawful().parts(mended),
    );
    guest(maker, name, &hostile, code, &mended)
}

/// A function with so many locals and nested loops.
fn loops(locals: usize, depth: usize) -> String {
    let locals = if locals == 0 {
        String::new()
    } else {
        format!("(local{})", " i64".repeat(locals))
    };
    format!(
        "(func {locals} {}{})",
        "(loop ".repeat(depth),
        ")".repeat(depth)
    )
}

/// A guest with a function that the engine calls when the result has been read.
pub(super) fn after_the_result(guest: Guest, body: &str) -> Guest {
    guest
        .parts(format!("(func (export \"late\") (param i32) {body})"))
        .edited(
            LIFT,
            &format!(
                "(alias core export $main \"late\" (core func $late)) {LIFT} (post-return (core func $late))"
            ),
        )
}

fn must_be(name: &str, code: &str, expected: &str) -> Result<(), String> {
    if code == expected {
        Ok(())
    } else {
        Err(format!("{name}: {code} in place of {expected}"))
    }
}

/// The installed terminal as the runner, with other arguments than the runner's.
fn other(bench: &Bench, args: &[&str], compile: Duration) -> RunnerCommand {
    RunnerCommand {
        args: args.iter().map(Into::into).collect(),
        deadlines: Deadlines {
            compile,
            ..Deadlines::default()
        },
        ..ride::command(bench)
    }
}

fn lawful_runs(bench: &Bench) -> Result<(), String> {
    let file = bench.maker().lawful();
    let ridden = ride::ride(bench, file, Script::plain(), &ride::command(bench));
    must_be("the next program", ridden.code, "ok")
}

/// `tegata open -` waits for the end of its input, which never comes: a child that does nothing.
fn stalled(bench: &Bench) -> Result<usize, String> {
    let state = bench.state("stalled");
    let state = state.to_string_lossy();
    let command = other(
        bench,
        &["open", "-", "--state", &state],
        Duration::from_millis(300),
    );
    let file = bench.maker().lawful();
    let ridden = ride::ride(bench, file, Script::plain(), &command);
    must_be("stalled", ridden.code, "E_RUNNER_START")?;
    lawful_runs(bench)?;
    Ok(1)
}

/// A host that takes longer for one call than the whole run may.
struct Slow(Duration);

impl Effects for Slow {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        std::thread::sleep(self.0);
        Ok(vec![0x90, 0x00])
    }

    fn exchange(&mut self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Ok(vec![1])
    }
}

fn slow_host(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let mut script = Script::plain();
    script.card = vec![Err(ReaderError::Timeout)];
    let file = maker.file(&sends("transmit", &UID));
    let ridden = ride::ride(bench, file, script, &ride::command(bench));
    // The program returns the error that it got, as the failure of the same number.
    must_be("silent reader", ridden.code, "E_PROGRAM_PROTOCOL")?;

    let wall = Duration::from_millis(200);
    let command = RunnerCommand {
        deadlines: Deadlines {
            wall,
            ..Deadlines::default()
        },
        ..ride::command(bench)
    };
    let twice = sequence(&[("transmit", &UID), ("transmit", &UID)]);
    let program = ride::verified(bench.options.now, maker.file(&twice))?;
    let admitted = sandbox::admit(program).map_err(|error| error.to_string())?;
    let ended =
        sandbox::Runner::spawn(admitted, &command).and_then(|runner| runner.run(&mut Slow(wall)));
    let code = ended
        .as_ref()
        .map_or_else(sandbox::RunError::code, |_| "ok");
    must_be("slow host", code, "E_WALL")?;
    lawful_runs(bench)?;
    Ok(2)
}

fn broken_runner(bench: &Bench) -> Result<usize, String> {
    let patience = Deadlines::default().compile;
    for (name, args, code) in [
        (
            "prints a text",
            ["--version"].as_slice(),
            "E_RUNNER_PROTOCOL",
        ),
        ("ends at once", &["cards", "--unknown"], "E_RUNNER_LOST"),
    ] {
        let command = other(bench, args, patience);
        let file = bench.maker().lawful();
        let ridden = ride::ride(bench, file, Script::plain(), &command);
        must_be(name, ridden.code, code)?;
        lawful_runs(bench)?;
    }
    // Past admission, to the compiler itself: what it refuses, and what it panics on.
    let mut cut = wasm::component(PANICS);
    cut.pop();
    for (name, program, panics) in [
        ("a byte too few", cut, false),
        (
            "an adapter that it cannot write",
            wasm::component(PANICS),
            true,
        ),
    ] {
        let (outcome, said) = compile(bench, &program)?;
        let panicked = said.contains("panicked");
        if !outcome.ends_with(&E_COMPILE) || panicked != panics {
            return Err(format!("{name}: {outcome:?}, {said}"));
        }
        lawful_runs(bench)?;
    }
    Ok(4)
}

/// Gives the installed runner a program that no admission has seen, and returns how its outcome begins
/// and what it wrote to its error output (docs/sandbox.md, "Frames").
fn compile(bench: &Bench, program: &[u8]) -> Result<(Vec<u8>, String), String> {
    let mut child = std::process::Command::new(&bench.options.executable)
        .arg("runner")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let len = u32::try_from(program.len()).map_err(|error| error.to_string())?;
    let frames = [
        &[1],
        len.to_le_bytes().as_slice(),
        program,
        &[2, 0, 0, 0, 0],
    ]
    .concat();
    let sent = child.stdin.take().map(|mut stdin| stdin.write_all(&frames));
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if !matches!(sent, Some(Ok(()))) {
        return Err("the runner does not listen".to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.stdout, said))
}

/// Ever more time: the child is ended before it speaks, while it compiles, or not any more. Then ever
/// less memory: at some point it is the compiler, or all of the child, that has none.
fn long_compile(bench: &Bench) -> Result<Ran, String> {
    let dear = Guest::lawful().parts(loops(60, 38).repeat(2));
    let mut codes = Vec::new();
    for milliseconds in (0..16).map(|power| (1 << power) >> 1) {
        let command = other(bench, &["runner"], Duration::from_millis(milliseconds));
        let file = bench.maker().file(&dear);
        let ridden = ride::ride(bench, file, Script::plain(), &command);
        codes.push(ridden.code);
        match ridden.code {
            "E_RUNNER_START" | "E_COMPILE_LIMIT" => {}
            "ok" => break,
            code => return Err(format!("{milliseconds} ms: {code}")),
        }
    }
    if codes.first() == Some(&"ok") || codes.last() != Some(&"ok") {
        return Err(format!("{codes:?}"));
    }
    lawful_runs(bench)?;
    let shell = std::path::Path::new("/bin/sh");
    if !shell.exists() {
        return Ok(Ran::inputs(codes.len()).leaving_out("less memory: no /bin/sh here"));
    }
    let mut short = Vec::new();
    for megabytes in [1_024, 512, 256, 128, 96, 64, 48, 32, 24, 16] {
        let limited = format!("ulimit -v {} && exec \"$0\" runner", megabytes << 10);
        let command = RunnerCommand {
            program: shell.to_owned(),
            args: [
                "-c".into(),
                limited.into(),
                bench.options.executable.clone().into(),
            ]
            .into(),
            ..ride::command(bench)
        };
        let file = bench.maker().file(&dear);
        let ridden = ride::ride(bench, file, Script::plain(), &command);
        match ridden.code {
            "ok" | "E_COMPILE" | "E_RUNNER_LOST" | "E_RUNNER_START" | "E_INTERNAL" => {}
            code => return Err(format!("{megabytes} MiB: {code}")),
        }
        if ridden.code != "ok" && !ridden.script.requests.is_empty() {
            return Err(format!("{megabytes} MiB: a request all the same"));
        }
        short.push(ridden.code);
    }
    if short.first() != Some(&"ok") || short.last() == Some(&"ok") {
        return Err(format!("ever less memory: {short:?}"));
    }
    lawful_runs(bench)?;
    Ok(Ran::inputs(codes.len() + short.len()))
}
