//! The recipient's terminal: opens a mailed program, shows it, asks, runs it in the sandbox and
//! keeps the receipt.
//!
//! The decisions are in modules without I/O: `escape`, `sniff`, `mail`, `origin`, `consent`, `codes`,
//! the rules of `trust`, `roots` and `told`, and in the crate `relay` what a run may send and must write down. `input`,
//! `state`, `channel` and `effects` are the edges, `log`, `begun` and `record` what is remembered of every
//! command; `open`, `settle`, `trust_command`, `receipts`, `inspect`, `log_command` and `cards` are
//! the commands. Nothing here prints and nothing reads the clock or the environment: the
//! binary does. See docs/terminal.md.

pub mod begun;
pub mod cards;
pub mod channel;
pub mod codes;
pub mod consent;
pub mod doctor;
pub mod effects;
pub mod escape;
pub mod exit;
pub mod failure;
pub mod hex;
pub mod input;
pub mod inspect;
pub mod journal;
pub mod lang;
pub mod log;
pub mod log_command;
pub mod mail;
pub mod open;
pub mod origin;
pub mod receipts;
pub mod record;
pub mod report;
pub mod roots;
pub mod settle;
pub mod sniff;
pub mod state;
pub mod terminal;
pub mod told;
pub mod trust;
pub mod trust_command;
pub mod ui;
