//! A program runner and nothing else, for the generators among the tests.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    sandbox::runner_main(&arguments)
}
