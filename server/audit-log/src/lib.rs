//! The audit log: what is recorded of each change of state, how records are chained and signed,
//! and the verifier of an exported log, which needs nothing but the export and a public key.
//!
//! [`Change`] is what may happen, [`Record`] one of it with its time, [`Link`] the chain,
//! [`Head`] its signed end, [`Verifier`] the check. What is absent: files, a database, a clock, a
//! signing key.
//!
//! Source: `docs/audit-log.md`.
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod chain;
mod change;
mod field;
mod lines;
mod verify;

pub use chain::{Head, Link, digest};
pub use change::{Change, RECORD_LEN_MAX, Record};
pub use field::Side;
pub use lines::{HEADER, Item, LINE_LEN_MAX, head_line, parse, record_line};
pub use verify::{Finding, Known, Standing, Subject, Verdict, Verifier, What};
