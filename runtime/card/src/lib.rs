//! The reader side of the purse card: commands, keys, secure messaging, the purse and its personalisation.
//!
//! A core without I/O, clock or randomness: every function takes bytes and gives bytes, and whoever owns the reader moves
//! them. The server uses it to run a card session through a terminal that it does not trust. The emulated card shares only
//! [`apdu`] and [`crypto`] with it, so that one wrong reading of the protocol cannot hide in both halves.
//!
//! Source: `docs/card-protocol.md`.
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

pub mod apdu;
pub mod commands;
pub mod crypto;
mod error;
pub mod handshake;
pub mod key;
pub mod legacy;
pub mod personalise;
pub mod purse;
pub mod secure_messaging;

pub use error::CardError;
