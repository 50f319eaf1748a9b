//! The emulated card from outside: bytes in, bytes out.

mod common;
mod halves;
mod transcript;
