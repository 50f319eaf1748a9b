//! `tegata-card`: makes, shows and plugs in the emulated card.

use std::io::{self, Write};
use std::process::ExitCode;

use card_app::Arguments;
use clap::Parser;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match card_app::run(
        &arguments,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when stderr is closed too.
            drop(writeln!(io::stderr(), "tegata-card: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
