//! Order bytes: what the sender ordered, as the guest, the terminal and the issuer read it.
//!
//! Source: `docs/order-format.md`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use money::Amount;
use sha2::{Digest, Sha256};
use wire::cbor::{self, DecodeError, Reader};
use wire::receipt::{self, CARD_MASKED_LEN_MAX, SENDER_CHARS_MAX, TIME_MAX};

/// Longest order bytes: what a guest reads into one buffer of its own.
pub const ORDER_LEN_MAX: usize = 1024;
/// No order is shorter: its ids, hashes and token alone take 128 bytes. The wrapper relies on it,
/// since from here on every length around the order takes two bytes.
pub const ORDER_LEN_MIN: usize = 128;
/// Longest note in characters: two lines of a consent screen.
pub const NOTE_CHARS_MAX: usize = 140;

const VERSION: u64 = 1;
const FIELDS: u64 = 14;
/// Most bytes of one character in UTF-8. Source: RFC 3629 section 3.
const UTF8_LEN_MAX: usize = 4;

/// Why fields or bytes are no order.
pub type OrderError = DecodeError;

/// What a program does with the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Adds the amount to the card's value.
    Credit,
    /// Takes the amount off the card's value: the sender pays an order from a card.
    Debit,
}

impl Kind {
    /// The number on the wire; 2 is kept for read.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Credit => 0,
            Self::Debit => 1,
        }
    }

    /// The word for it in documents and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
        }
    }
}

/// One order, as it is compiled into a program. `Debug` does not print the claim token.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    /// What the program does.
    pub kind: Kind,
    /// DNS name of the issuer: see [`wire::is_issuer_name`].
    pub issuer: String,
    /// Id of the remittance.
    pub remittance: [u8; 16],
    /// Which program of this remittance; a later one replaces the earlier ones.
    pub revision: u32,
    /// The recipient's card number without its middle: 1 to 32 printable ASCII bytes.
    pub card_masked: String,
    /// HMAC of remittance and card under a key of the issuer: binds the order to the card without
    /// making two orders for one card linkable.
    pub card_binding: [u8; 32],
    /// What is credited or debited.
    pub amount: Amount,
    /// The sender's name: 1 to 64 characters, any; whoever shows it escapes it.
    pub sender: String,
    /// The sender's note: 0 to 140 characters, any; whoever shows it escapes it.
    pub note: String,
    /// When the order was accepted, in Unix seconds.
    pub created: u64,
    /// Until when it can be redeemed, in Unix seconds, `created + 1..=TIME_MAX`.
    pub expires: u64,
    /// SHA-256 of the template that the order is compiled with.
    pub template_hash: [u8; 32],
    /// Bearer reference to the remittance, random.
    pub claim_token: [u8; 32],
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("kind", &self.kind)
            .field("issuer", &self.issuer)
            .field("remittance", &self.remittance)
            .field("revision", &self.revision)
            .field("card_masked", &self.card_masked)
            .field("amount", &self.amount)
            .field("sender", &self.sender)
            .field("note", &self.note)
            .field("created", &self.created)
            .field("expires", &self.expires)
            .field("claim_token", &"[redacted]")
            .finish_non_exhaustive()
    }
}

impl Order {
    /// The order bytes: `ORDER_LEN_MIN..=ORDER_LEN_MAX` bytes of deterministic CBOR.
    ///
    /// # Errors
    /// [`DecodeError::Bounds`] for a field outside its bounds, [`DecodeError::TooLong`] if all of
    /// them together do not fit.
    pub fn encode(&self) -> Result<OrderBytes, OrderError> {
        self.check()?;
        let bytes = self.write();
        if bytes.len() > ORDER_LEN_MAX {
            return Err(DecodeError::TooLong {
                len_max: ORDER_LEN_MAX,
            });
        }
        Ok(OrderBytes::of(bytes, self))
    }

    /// Reads order bytes; takes only what [`Order::encode`] gives.
    ///
    /// # Errors
    /// Each variant of [`DecodeError`]; [`DecodeError::Version`] for orders of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, OrderError> {
        cbor::decode(bytes, ORDER_LEN_MAX, Self::read, Self::write)
    }

    fn check(&self) -> Result<(), OrderError> {
        let bounds = |holds: bool, field| holds.then_some(()).ok_or(DecodeError::Bounds { field });
        let chars = |text: &str| text.chars().count();
        bounds(wire::is_issuer_name(&self.issuer), "issuer")?;
        bounds(receipt::is_card_masked(&self.card_masked), "card")?;
        bounds(
            (1..=SENDER_CHARS_MAX).contains(&chars(&self.sender)),
            "sender",
        )?;
        bounds(chars(&self.note) <= NOTE_CHARS_MAX, "note")?;
        bounds(
            self.created < self.expires && self.expires <= TIME_MAX,
            "expires",
        )
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, OrderError> {
        let fields = reader.array_within("order", 1..=FIELDS.saturating_mul(2))?;
        reader.version(VERSION)?;
        if fields != FIELDS {
            return Err(DecodeError::Bounds { field: "order" });
        }
        let order = Self {
            kind: match reader.u16("kind")? {
                0 => Kind::Credit,
                1 => Kind::Debit,
                _ => return Err(DecodeError::Bounds { field: "kind" }),
            },
            issuer: reader.text("issuer", 1..=wire::ISSUER_NAME_LEN_MAX)?.into(),
            remittance: reader.fixed("remittance")?,
            revision: reader.u32("revision")?,
            card_masked: reader.text("card", 1..=CARD_MASKED_LEN_MAX)?.into(),
            card_binding: reader.fixed("card binding")?,
            amount: receipt::read_amount(reader)?,
            sender: reader
                .text("sender", 1..=UTF8_LEN_MAX * SENDER_CHARS_MAX)?
                .into(),
            note: reader
                .text("note", 0..=UTF8_LEN_MAX * NOTE_CHARS_MAX)?
                .into(),
            created: reader.u64("created")?,
            expires: reader.u64("expires")?,
            template_hash: reader.fixed("template hash")?,
            claim_token: reader.fixed("claim token")?,
        };
        order.check()?;
        Ok(order)
    }

    fn write(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(FIELDS)?
                .u64(VERSION)?
                .u16(self.kind.number())?
                .str(&self.issuer)?
                .bytes(&self.remittance)?
                .u32(self.revision)?
                .str(&self.card_masked)?
                .bytes(&self.card_binding)?;
            receipt::write_amount(e, self.amount)?;
            e.str(&self.sender)?
                .str(&self.note)?
                .u64(self.created)?
                .u64(self.expires)?
                .bytes(&self.template_hash)?
                .bytes(&self.claim_token)?
                .ok()
        })
    }
}

/// The bytes of a well-formed order. `Debug` prints their length only.
#[derive(Clone, PartialEq, Eq)]
pub struct OrderBytes {
    bytes: Vec<u8>,
    template_hash: [u8; 32],
}

impl OrderBytes {
    /// Takes bytes that were kept, after reading them as an order.
    ///
    /// # Errors
    /// See [`Order::decode`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, OrderError> {
        let order = Order::decode(&bytes)?;
        Ok(Self::of(bytes, &order))
    }

    /// The bytes that `order` was read from.
    pub(crate) const fn of(bytes: Vec<u8>, order: &Order) -> Self {
        Self {
            bytes,
            template_hash: order.template_hash,
        }
    }

    /// The bytes: `ORDER_LEN_MIN..=ORDER_LEN_MAX`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes: what a receipt names.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// SHA-256 of the template that the order is compiled with.
    #[must_use]
    pub const fn template_hash(&self) -> [u8; 32] {
        self.template_hash
    }
}

impl fmt::Debug for OrderBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderBytes({} bytes)", self.bytes.len())
    }
}
