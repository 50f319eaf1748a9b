//! Money: currencies, amounts in minor units, exact parsing and printing.
//!
//! What is absent, on purpose: floating point, decimal types, rounding, conversion between
//! currencies and any wildcard over [`Currency`]. A sum is a whole number of minor units of one
//! currency, or it does not exist.
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod amount;
mod currency;

pub use amount::{Amount, AmountError, Money, MoneyError};
pub use currency::{Currency, CurrencyError};
