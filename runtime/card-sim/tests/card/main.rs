//! The emulated card from outside: bytes in, bytes out.

mod anything;
mod chaining;
mod common;
mod halves;
mod power;
mod purse;
mod records;
mod refusals;
mod transcript;
