//! What crosses a wire between issuer, program and terminal, byte for byte.
//!
//! [`exchange`] is the conversation of a running program with its issuer, [`receipt`] the signed
//! proof it ends with, [`descriptor`] the list of keys by which an issuer is known, [`succession`] how one
//! root follows another, [`status`] what is withdrawn, [`signed`] the envelope of these four, and `api` (feature of that name) the JSON bodies of the HTTP API.
//!
//! Everything but the JSON is deterministic CBOR and is read strictly: a value has exactly one
//! encoding, and any other is refused. What is absent: sockets, files, clocks, randomness, logs.
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

pub mod cbor;
pub mod descriptor;
pub mod exchange;
pub mod receipt;
pub mod refusal;
pub mod signed;
pub mod status;
pub mod succession;
pub mod text;

#[cfg(feature = "api")]
pub mod api;

mod issuer_name;

pub use issuer_name::{ISSUER_NAME_LEN_MAX, is_issuer_name};
