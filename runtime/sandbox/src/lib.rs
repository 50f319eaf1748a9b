//! The sandbox: admission of a verified program, and its run in a child process.
//!
//! The only home of Wasmtime. [`admit`] decides statically, [`Runner`] runs what was admitted in a
//! process of its own ([`runner_main`]) and carries each thing the program asks for through the
//! policy to the terminal's [`Effects`]. Limits, engine settings, the frames between the two
//! processes and the policy's states: docs/sandbox.md.

#[cfg(not(unix))]
compile_error!("programs run in processes of a Unix system");

mod admission;
mod child;
mod effects;
mod engine;
pub mod foreign;
mod frame;
pub mod limits;
mod outcome;
mod policy;
mod runner;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "each test uses its part")]
mod support;
pub mod walls;

pub use admission::{AdmitError, AdmittedProgram, Rule, admit};
pub use child::runner_main;
pub use effects::{Call, Effects, NetworkError, ReaderError, Spent};
pub use engine::config as engine_config;
pub use outcome::{Failure, Fault};
pub use runner::{Deadlines, RunError, Runner, RunnerCommand};
