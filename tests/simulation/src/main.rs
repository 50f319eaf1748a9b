//! `make simulate`: seeds of the simulation, as many as you like.

use clap::Parser;
use simulation::{Base, Outcome, many, run};
use std::{process::ExitCode, time::Instant};

/// From so many seeds on, every fault has to have hit every step.
const SEEDS_FOR_ALL: u64 = 5_000;

/// Lines of a failing history that are printed.
const TRACE_LINES: usize = 60;

/// Runs histories of the whole system with everything going wrong, and checks every step of them.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  simulate --seeds 5000                 the first five thousand histories
  simulate --from 5000 --seeds 100000   the next ones: ranges can be resumed
  simulate --seed 4711                  one history, told step by step
  simulate --database postgres --seeds 100  the same histories with the ledger in PostgreSQL

Exit codes: 0 nothing broke; 1 a history broke, or in 5,000 or more a fault never hit a step it should.")]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// One seed, with everything that happened.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Where the ledgers are.
    #[arg(long, value_enum, default_value_t = Place::Memory)]
    database: Place,
}

/// Where the ledgers of a simulation are.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Place {
    /// SQLite in memory
    Memory,
    /// PostgreSQL, on a server of its own
    Postgres,
}

#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a command that measures itself and prints what it found"
)]
fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let base = match args.database {
        Place::Memory => Base::new()?,
        Place::Postgres => Base::on_servers(postgres_server::database)?,
    };
    if let Some(seed) = args.seed {
        let outcome = run(&base, seed, true);
        for line in &outcome.trace {
            println!("{line}");
        }
        println!("seed {seed}: {}", verdict(&outcome));
        return Ok(code(outcome.broken.is_none()));
    }
    let threads = match args.threads {
        0 => std::thread::available_parallelism()?.get(),
        threads => threads,
    };
    let began = Instant::now();
    let end = args.from.saturating_add(args.seeds);
    let sum = many(&base, args.from..end, threads);
    let micros = began.elapsed().as_micros().max(1);
    let per_s = |count: u64| u128::from(count) * 1_000_000 / micros;
    for (seed, broken) in &sum.broken {
        println!("\nseed {seed} broke: {broken}");
        let trace = run(&base, *seed, true).trace;
        for line in trace.iter().skip(trace.len().saturating_sub(TRACE_LINES)) {
            println!("  {line}");
        }
        println!("again, in full: make simulate SEED={seed}");
    }
    println!("{}", sum.cells.text());
    let stats = sum.stats;
    println!(
        "seeds {}..{}: {} seeds/s, {} remittances/s on {threads} threads, {} s",
        args.from,
        end,
        per_s(args.seeds),
        per_s(stats.remittances),
        micros / 1_000_000
    );
    println!(
        "{} remittances, {} debits that pay for some of them, {} events, {} checks of all books, {} exchanges, {} card commands, {} runs, \
         {} receipts, server killed {} times, {} backups put back, {} lost cards paid out",
        stats.remittances,
        stats.debits,
        stats.events,
        stats.checks,
        stats.exchanges,
        stats.apdus,
        stats.runs,
        stats.receipts,
        stats.kills,
        stats.restores,
        stats.paid_out
    );
    let mut holes = sum.cells.wrong();
    if args.seeds < SEEDS_FOR_ALL {
        println!(
            "{} cells not reached: only {SEEDS_FOR_ALL} seeds reach all",
            holes.len()
        );
        holes.clear();
    }
    for hole in &holes {
        println!("{hole}");
    }
    println!("{} seeds broke", sum.broken.len());
    Ok(code(sum.broken.is_empty() && holes.is_empty()))
}

fn verdict(outcome: &Outcome) -> String {
    match &outcome.broken {
        Some(broken) => format!("broke: {broken}"),
        None => format!("held, {:?}", outcome.stats),
    }
}

const fn code(well: bool) -> ExitCode {
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
