//! The few fields of the order bytes that a program needs; `docs/order-format.md` has them all.

use crate::cbor::{ARRAY, Reader, UINT};

/// The only version of the order bytes so far.
const VERSION: u64 = 1;
/// Fields of an order, the version included.
const FIELDS: u64 = 14;
/// Minor units and currency.
const AMOUNT_FIELDS: u64 = 2;

const KIND_CREDIT: u64 = 0;
const KIND_DEBIT: u64 = 1;
/// Key of the purse that may credit, and debit too; `docs/card-protocol.md`, "Purse layout".
const KEY_NUMBER: u8 = 1;

/// What the order says about the conversation with card and issuer.
pub(crate) struct Order<'a> {
    pub(crate) remittance: &'a [u8; 16],
    pub(crate) claim_token: &'a [u8; 32],
    /// With which of the purse's keys this kind of order authenticates.
    pub(crate) key_number: u8,
}

impl<'a> Order<'a> {
    /// Reads the order bytes; `None` when they are malformed or of a kind not carried out here.
    ///
    /// The fields that the program does not need are checked for their type and skipped. What
    /// the person consents to is shown by the terminal, from the same bytes.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.head(ARRAY)? != FIELDS || reader.head(UINT)? != VERSION {
            return None;
        }
        let key_number = match reader.head(UINT)? {
            KIND_CREDIT | KIND_DEBIT => KEY_NUMBER,
            _ => return None,
        };
        reader.skip_text()?; // issuer
        let remittance = reader.array()?;
        reader.head(UINT)?; // revision
        reader.skip_text()?; // masked card number
        reader.array::<32>()?; // card binding
        if reader.head(ARRAY)? != AMOUNT_FIELDS {
            return None;
        }
        reader.head(UINT)?; // minor units
        reader.skip_text()?; // currency
        reader.skip_text()?; // sender's name
        reader.skip_text()?; // note
        reader.head(UINT)?; // created
        reader.head(UINT)?; // expires
        reader.array::<32>()?; // template hash
        let claim_token = reader.array()?;
        reader.end()?;
        Some(Self {
            remittance,
            claim_token,
            key_number,
        })
    }
}
