//! What the sandbox costs: admission, the process, each request, and the dearest lawful compile.
//!
//! Prints lines `BENCH name value unit`, which `make bench` collects. The children are this program
//! itself. `run_vs_wasmtime` takes ours and the engine alone in turn: the same component with the
//! same settings, compiled, instantiated and run in this process.
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
#[path = "../tests/support/worst.rs"]
mod worst;

use std::ffi::OsString;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use sandbox::walls::WallRule;
use sandbox::{
    Deadlines, Effects, NetworkError, ReaderError, Runner, RunnerCommand, admit, limits,
};
use support::{Guest, component, remittance, verified};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

const ROUNDS: usize = 40;

/// A card that tells a UID and nothing else, at once.
struct Instant0;

impl Effects for Instant0 {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok(vec![4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x90, 0x00])
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
    let command = RunnerCommand {
        program: std::env::current_exe().unwrap(),
        args: vec!["runner".into()],
        deadlines: Deadlines::default(),
        walls: WallRule::Accept,
    };
    admission();
    process(&command);
    relay(&command);
    whole_run(&command);
    worst_compile();
    ExitCode::SUCCESS
}

/// Milliseconds of one call.
fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn admission() {
    let times = (0..ROUNDS * 5).map(|_| {
        let program = support::signed(remittance());
        timed(|| admit(program.verify()).unwrap())
    });
    println!("BENCH admit_us {:.1} us", median(times.collect()) * 1e3);
}

/// From the start of the child to the report of its walls; the compile begins then.
fn process(command: &RunnerCommand) {
    let times = (0..ROUNDS).map(|_| {
        let program = admit(verified(Guest::done().template())).unwrap();
        let start = Instant::now();
        let runner = Runner::spawn(program, command).unwrap();
        let time = start.elapsed().as_secs_f64() * 1e3;
        drop(runner);
        time
    });
    println!("BENCH child_ready_ms {:.2} ms", median(times.collect()));
}

/// A run with as many commands as one may send, less a run with one, by command.
fn relay(command: &RunnerCommand) {
    let calls = |count: usize| {
        component(
            &Guest::new(&format!(
                "(local $left i32)
                 (i32.store (i32.const 1024) (i32.const 0x0000caff))
                 (local.set $left (i32.const {count}))
                 (loop
                   (call $transmit (i32.const 1024) (i32.const 5) (i32.const 64))
                   (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                   (br_if 0 (local.get $left)))
                 (i32.const 64)"
            ))
            .template_text(),
        )
    };
    let (many, one) = (calls(limits::READER_CALLS_MAX), calls(1));
    let run = |template: &[u8]| {
        let program = admit(verified(template.to_vec())).unwrap();
        let runner = Runner::spawn(program, command).unwrap();
        // Compiled before the clock starts: both runs wait for the same.
        std::thread::sleep(std::time::Duration::from_millis(60));
        timed(|| runner.run(&mut Instant0).unwrap())
    };
    let times = (0..ROUNDS).map(|_| {
        let extra = run(&many) - run(&one);
        extra * 1e3 / f64::from(u32::try_from(limits::READER_CALLS_MAX - 1).unwrap())
    });
    println!("BENCH relay_us {:.1} us", median(times.collect()));
}

fn whole_run(command: &RunnerCommand) {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_ticks, mut their_ticks) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let begun = spent_ticks();
        let file = support::signed(remittance());
        let our_time = timed(|| {
            let program = admit(file.verify()).unwrap();
            Runner::spawn(program, command)
                .unwrap()
                .run(&mut Instant0)
                .unwrap_err()
        });
        let between = spent_ticks();
        let program = verified(remittance());
        let their_time = timed(|| alone(program.bytes()));
        our_ticks += between - begun;
        their_ticks += spent_ticks() - between;
        ours.push(our_time);
        theirs.push(their_time);
        ratios.push(our_time / their_time);
    }
    println!("BENCH run_ms {:.2} ms", median(ours));
    println!("BENCH wasmtime_ms {:.2} ms", median(theirs));
    println!("BENCH run_vs_wasmtime {:.3} ratio", median(ratios));
    println!(
        "BENCH run_vs_wasmtime_cpu {:.3} ratio",
        our_ticks / their_ticks
    );
}

/// Processor time of this process and of its children that have ended, in the kernel's hundredths: over all
/// rounds exact to a percent, whoever else computes meanwhile.
fn spent_ticks() -> f64 {
    let line = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The fields after the name, which stands in brackets; times are the 14th to the 17th of all.
    let (_, fields) = line.rsplit_once(')').unwrap();
    let fields = fields.split_ascii_whitespace().skip(11).take(4);
    fields.map(|field| field.parse::<f64>().unwrap()).sum()
}

/// The engine alone, as its users call it.
fn alone(program: &[u8]) {
    let engine = Engine::new(&sandbox::engine_config()).unwrap();
    let component = Component::from_binary(&engine, program).unwrap();
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&component).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_fuel(limits::FUEL_MAX).unwrap();
    store.set_epoch_deadline(1);
    linker.instantiate(&mut store, &component).unwrap();
}

/// Processor time of this thread so far: what a compile takes, whoever else computes meanwhile.
fn spent_ms() -> f64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: f64 = line
        .split_ascii_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    nanoseconds / 1e6
}

/// The dearest of the programs that are as dear as the limits allow.
fn worst_compile() {
    let mut dearest = 0.0_f64;
    for (name, guest) in worst::worst() {
        let program =
            admit(verified(guest.template())).unwrap_or_else(|error| panic!("{name}: {error}"));
        let engine = Engine::new(&sandbox::engine_config()).unwrap();
        let bytes = program.verified().bytes();
        let compile = || {
            let before = spent_ms();
            black_box(Component::from_binary(&engine, bytes).unwrap());
            spent_ms() - before
        };
        let time = median((0..3).map(|_| compile()).collect());
        println!(
            "BENCH compile_worst_{}_ms {time:.1} ms",
            name.replace('-', "_")
        );
        dearest = dearest.max(time);
    }
    println!("BENCH compile_worst_ms {dearest:.1} ms");
}
