//! Verification of mail addresses.

pub mod verify;
