//! The card's side of the purse: a DESFire EV2/EV3 emulation that a test can seed, stop and store.
//!
//! A core without I/O: APDUs come as bytes, randomness from a seed, and whoever holds the card
//! decides when it has power. It shares only APDU framing and AES primitives with the reader side
//! (crate `card`), so that the two halves check each other against the published vectors.
//!
//! ```
//! let mut card = card_sim::Card::new([4, 1, 2, 3, 4, 5, 6], [7; 32]);
//! let uid = card.transmit(&[0xFF, 0xCA, 0x00, 0x00, 0x00]).answer;
//! assert_eq!(uid, [4, 1, 2, 3, 4, 5, 6, 0x90, 0x00]);
//! ```
//!
//! Absent on purpose: EV1 messaging (but for leaving the factory's DES key behind), ISO file commands, DF names, limited credit,
//! reader ids, random UIDs. Source: docs/card-protocol.md.
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod device;
mod exchange;
mod factory;
mod fault;
mod file;
mod handshake;
mod manage;
mod params;
mod picc;
mod plan;
mod random;
mod session;
mod snapshot;
mod transaction;
mod view;

#[cfg(test)]
mod vectors;

pub use crate::device::{Card, Transmitted};
pub use crate::snapshot::{SNAPSHOT_LEN_MAX, SnapshotError};
pub use crate::view::{ApplicationView, FileView};
