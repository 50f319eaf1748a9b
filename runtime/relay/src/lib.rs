//! What a terminal decides between program, issuer and its own journal, without any I/O.
//!
//! The terminal brings files, a channel and a clock; the simulation brings its own. Both run these
//! rules: what may be sent to the issuer and to the card, what is written down before it, what ends the need to send it again, and
//! which receipt is proof. Source: docs/terminal.md, docs/exchange.md.
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

pub mod apdu;
pub mod hex;
pub mod journal;
pub mod run;
pub mod settle;
pub mod watch;
