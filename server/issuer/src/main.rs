//! `tegata-server`: see `tegata-server --help` and `docs/server.md`.

use clap::Parser;
use issuer::cli::{self, Cli};
use std::{io::IsTerminal, process::ExitCode};

fn main() -> ExitCode {
    // two crypto providers could be built in: choose before anything uses one
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("TEGATA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A line that cannot be written is lost, and no more: by default it is complained about on stderr,
    // which panics where stderr is what is full, and takes the server down.
    let log = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.compact().init();
    } else {
        log.json().init();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    runtime
        .block_on(cli::run(cli))
        .unwrap_or_else(|error| failed(&error))
}

#[expect(clippy::print_stderr, reason = "the last words of a command line")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("tegata-server: {error:#}");
    if let Some(next) = cli::next_step(error) {
        eprintln!("{next}");
    }
    ExitCode::FAILURE
}
