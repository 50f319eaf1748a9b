//! Ten thousand runs, one after the other, each in a child of its own: the parent's memory and
//! descriptors stay where they are.
//!
//! `RUNS` in the environment says how many. Prints lines `BENCH name value unit`.
#![cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, unused, reason = "reads /proc")
)]
#![expect(
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reads the clock, divides times and stops at the first error"
)]

#[expect(dead_code, reason = "each test uses its part")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sandbox::walls::WallRule;
use sandbox::{Deadlines, Effects, NetworkError, ReaderError, Runner, RunnerCommand, admit};
use support::{remittance, verified};

const RUNS: u32 = 10_000;

/// Runs before the first look: what is made once is made by then.
const WARM_UP: u32 = 100;

/// Looks at the descriptors, for the least of them.
const LOOKS: u32 = 20;

struct NoCard;

impl Effects for NoCard {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Err(ReaderError::NoCard)
    }

    fn exchange(&mut self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Err(NetworkError::Offline)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "runner") {
        return sandbox::runner_main(&arguments[1..]);
    }
    let runs = std::env::var("RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let command = RunnerCommand {
        program: std::env::current_exe().unwrap(),
        args: vec!["runner".into()],
        deadlines: Deadlines::default(),
        walls: WallRule::Accept,
    };
    let run = || {
        let program = admit(verified(remittance())).unwrap();
        let ended = Runner::spawn(program, &command).unwrap().run(&mut NoCard);
        assert_eq!(ended.unwrap_err().code(), "E_PROGRAM_READER");
    };
    (0..WARM_UP).for_each(|_| run());
    let (memory, open) = (resident_kb(), descriptors());
    let start = Instant::now();
    (0..runs).for_each(|_| run());
    let each = start.elapsed().as_secs_f64() * 1e3 / f64::from(runs);
    println!("BENCH soak_run_ms {each:.2} ms");
    println!("BENCH soak_memory_growth_kb {} KiB", resident_kb() - memory);
    println!(
        "BENCH soak_descriptor_growth {} descriptors",
        descriptors() - open
    );
    ExitCode::SUCCESS
}

/// Resident memory of this process.
fn resident_kb() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Open descriptors: the least of several looks, since a thread of the last run may be about to close its
/// own.
fn descriptors() -> i64 {
    let look = |_| {
        std::thread::sleep(Duration::from_millis(5));
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    };
    i64::try_from((0..LOOKS).map(look).min().unwrap()).unwrap()
}
