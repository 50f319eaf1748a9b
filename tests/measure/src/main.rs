//! What `make bench` runs: drives a server as terminals and senders do, and judges the figures.
//!
//! Every measurement prints lines `BENCH name value unit`; `report` reads those of all rounds and of
//! the crates' own benches. Source: docs/PERFORMANCE.md.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock and prints its results"
)]

mod bench;
mod client;
mod figures;
mod office;
mod process;
mod report;
mod seed;
mod service;
mod several;

use clap::Parser;
use std::process::ExitCode;

/// Measures the service, and judges figures.
#[derive(Debug, Parser)]
#[command(name = "measure")]
enum Measure {
    /// One server process: redemptions, orders and pages per second at several sizes of its database
    Service(service::Args),
    /// One server process over PostgreSQL, and two: redemptions per second
    Several(several::Args),
    /// One server process over a large PostgreSQL: how long readings are waited for
    Large(service::Large),
    /// Answers an empty POST and nothing else: what HTTP alone costs; prints its address
    Nothing,
    /// Medians, verdicts and ratios of lines `BENCH name value unit`
    Report(report::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    match Measure::parse() {
        Measure::Service(args) => service::run(&args)?,
        Measure::Several(args) => several::run(&args)?,
        Measure::Large(args) => service::large(&args)?,
        Measure::Nothing => process::answer_nothing()?,
        Measure::Report(args) => return report::run(&args),
    }
    Ok(ExitCode::SUCCESS)
}
