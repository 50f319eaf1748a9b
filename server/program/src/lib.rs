//! The mailed program: order bytes, compile, sign, rebuild, verify.
//!
//! A program is one WebAssembly component: a reviewed *template* and the bytes of one *order*,
//! joined by a fixed wrapper and signed by the issuer. It imports exactly [`READER`] and
//! [`NETWORK`] and exports exactly [`PROGRAM`]. The same template and order give the same bytes,
//! so the verifier takes both out of a file, builds it again and compares: nothing else can hide
//! in it.
//!
//! The life of received bytes is [`RawProgram`], [`verify`], [`VerifiedProgram`]; the last has
//! private fields and no other origin. Formats: `docs/order-format.md`, `docs/program-format.md`.
//!
//! What is absent: a WebAssembly parser or engine, sockets, files, the clock and randomness.
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod order;
mod signature;
mod verify;
mod wrap;

pub use order::{
    Kind, NOTE_CHARS_MAX, ORDER_LEN_MAX, ORDER_LEN_MIN, Order, OrderBytes, OrderError,
};
pub use signature::{BODY_OFFSET, CompileError, HEADER, assemble, compile, seal, sign};
pub use verify::{
    CLOCK_TOLERANCE_S, FILE_LEN_MAX, RawProgram, TrustedKey, UnverifiedProgram, VerifiedProgram,
    VerifyError, inspect_unverified, verify,
};
pub use wire::receipt::{CARD_MASKED_LEN_MAX, SENDER_CHARS_MAX, TIME_MAX};
pub use wrap::{NETWORK, ORDER, PROGRAM, READER, TEMPLATE_LEN_MAX, Template, TemplateError, body};

/// Media type of a program, as in the mail.
pub const MEDIA_TYPE: &str = "application/vnd.tegata.program+wasm";
