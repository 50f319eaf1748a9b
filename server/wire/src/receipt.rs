//! The signed proof that a remittance was credited.
//!
//! Holds no balance, since the mail with the program may be in other hands than the card.
//! Source: `docs/exchange.md`, section "Receipt".

use alloc::string::String;
use alloc::vec::Vec;

use ed25519_dalek::SigningKey;
use money::{Amount, Currency};

use crate::cbor::{self, DecodeError, Reader};
use crate::descriptor::{KeyEntry, Purpose};
use crate::is_issuer_name;
use crate::signed::{self, Label, SignerError};

const VERSION: u64 = 1;
/// Longest masked card number in bytes: four groups of four and room for longer numbers.
pub const CARD_MASKED_LEN_MAX: usize = 32;
/// Longest name of a sender in characters: what a consent screen shows on one line.
pub const SENDER_CHARS_MAX: usize = 64;
/// Latest time in records, in Unix seconds: the end of the year 9999, the last that prints as a
/// date of RFC 3339.
pub const TIME_MAX: u64 = 253_402_300_799;

/// What a receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// DNS name of the issuer.
    pub issuer: String,
    /// Id of the remittance.
    pub remittance: [u8; 16],
    /// Revision of the order that was credited.
    pub revision: u32,
    /// SHA-256 of the order bytes that were credited.
    pub order_hash: [u8; 32],
    /// What the card's value grew by.
    pub amount: Amount,
    /// The card's number without its middle: `1..=CARD_MASKED_LEN_MAX` printable ASCII bytes.
    pub card_masked: String,
    /// The sender's name from the order: `1..=SENDER_CHARS_MAX` characters.
    pub sender: String,
    /// When the ledger took it up, in Unix seconds, `0..=TIME_MAX`.
    pub credited_at: u64,
}

impl Receipt {
    /// The bytes that are signed.
    ///
    /// # Errors
    /// [`DecodeError::Bounds`] for a field outside its bounds.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        Ok(self.write())
    }

    /// Reads the bytes that were signed.
    ///
    /// # Errors
    /// Each variant of [`DecodeError`].
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(payload, Label::Receipt.len_max(), Self::read, Self::write)
    }

    /// The signed receipt, at most [`crate::exchange::RECEIPT_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// See [`Receipt::encode`].
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, DecodeError> {
        Ok(signed::seal(&self.encode()?, Label::Receipt, key))
    }

    /// Opens a signed receipt with the keys of the issuer whose program it answers.
    ///
    /// The caller still holds issuer, remittance and order hash against what it asked for.
    ///
    /// # Errors
    /// Each variant of [`SignerError`], in the order of [`signed`]'s check; its time is `credited_at`.
    pub fn verify(bytes: &[u8], keys: &[KeyEntry]) -> Result<Self, SignerError> {
        let signer = (keys, Purpose::Receipt);
        signed::open_by(bytes, Label::Receipt, signer, Self::decode, |receipt| {
            receipt.credited_at
        })
    }

    fn check(&self) -> Result<(), DecodeError> {
        let bounds = |holds: bool, field| holds.then_some(()).ok_or(DecodeError::Bounds { field });
        bounds(is_issuer_name(&self.issuer), "issuer")?;
        bounds(is_card_masked(&self.card_masked), "card")?;
        let sender_chars = self.sender.chars().count();
        bounds((1..=SENDER_CHARS_MAX).contains(&sender_chars), "sender")?;
        bounds(self.credited_at <= TIME_MAX, "credited at")
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("receipt", 9)?;
        reader.version(VERSION)?;
        let receipt = Self {
            issuer: reader
                .text("issuer", 1..=crate::ISSUER_NAME_LEN_MAX)?
                .into(),
            remittance: reader.fixed("remittance")?,
            revision: reader.u32("revision")?,
            order_hash: reader.fixed("order hash")?,
            amount: read_amount(reader)?,
            card_masked: reader.text("card", 1..=CARD_MASKED_LEN_MAX)?.into(),
            sender: reader.text("sender", 1..=4 * SENDER_CHARS_MAX)?.into(),
            credited_at: reader.u64("credited at")?,
        };
        receipt.check()?;
        Ok(receipt)
    }

    fn write(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(9)?
                .u64(VERSION)?
                .str(&self.issuer)?
                .bytes(&self.remittance)?
                .u32(self.revision)?
                .bytes(&self.order_hash)?;
            write_amount(e, self.amount)?;
            e.str(&self.card_masked)?
                .str(&self.sender)?
                .u64(self.credited_at)?
                .ok()
        })
    }
}

/// Whether a text can stand for a card number: 1 to 32 printable ASCII bytes.
#[must_use]
pub fn is_card_masked(text: &str) -> bool {
    (1..=CARD_MASKED_LEN_MAX).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Reads an amount: array of minor units and the currency's code.
///
/// # Errors
/// [`DecodeError::Bounds`] for unknown currencies and for amounts below 1.
pub fn read_amount(reader: &mut Reader<'_>) -> Result<Amount, DecodeError> {
    reader.array("amount", 2)?;
    let minor = reader.i64("amount")?;
    let currency = Currency::from_code(reader.text("currency", 3..=3)?)
        .map_err(|_| DecodeError::Bounds { field: "currency" })?;
    Amount::new(minor, currency).map_err(|_| DecodeError::Bounds { field: "amount" })
}

/// Writes an amount as [`read_amount`] reads it.
///
/// # Errors
/// None of its own; passes on the writer's.
pub fn write_amount(e: &mut cbor::Encoder, amount: Amount) -> cbor::EncodeStep {
    e.array(2)?
        .i64(amount.minor())?
        .str(amount.currency().code())?
        .ok()
}
