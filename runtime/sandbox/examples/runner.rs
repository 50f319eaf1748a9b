//! A program runner and nothing else: what the terminal's hidden subcommand does, for the tests.

use std::io::{stdin, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::runner_main(stdin(), stdout())
}
