//! How the fields of a change are written, read and shown: one spelling each.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};

use data_encoding::HEXLOWER;
use ledger::{
    CardId, CardStatus, HolderId, MailId, Refusal, RemittanceId, ReturnReason, Timestamp, TokenId,
    TransferId, UnfundedReason, WebhookId,
};
use money::{Amount, Currency};
use wire::cbor::{DecodeError, EncodeStep, Encoder, Reader};

/// Longest code of a currency, a refusal, a status or a reason, in bytes.
const CODE_LEN_MAX: usize = 40;

/// A field of a [`crate::Change`].
pub(crate) trait Field: Sized {
    fn write(&self, e: &mut Encoder) -> EncodeStep;
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError>;
    fn show(&self) -> String;
}

/// One side of a transfer as the ledger stores it: the kind of the account and whose it is.
///
/// The kinds are those of `docs/ledger.md`, section "Accounts"; the float has no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Side {
    /// Number of the kind: 0 float, 1 holder, 2 card, 3 escrow, and whatever came later.
    pub kind: u8,
    /// The holder's, card's or remittance's id.
    pub id: Option<[u8; 16]>,
}

macro_rules! ids {
    ($($id:ty),*) => {
        $(impl Field for $id {
            fn write(&self, e: &mut Encoder) -> EncodeStep {
                e.bytes(self.as_bytes())?.ok()
            }

            fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                Self::from_bytes(reader.fixed(field)?).map_err(|_| DecodeError::Bounds { field })
            }

            fn show(&self) -> String {
                self.to_string()
            }
        })*
    };
}

ids!(CardId, HolderId, MailId, RemittanceId, TokenId, WebhookId);

impl Field for TransferId {
    fn write(&self, e: &mut Encoder) -> EncodeStep {
        e.bytes(self.as_bytes())?.ok()
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Ok(Self::from_stored(reader.fixed(field)?))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Fields that are written as their stable code.
macro_rules! coded {
    ($($type:ty: $code:expr, $from:expr;)*) => {
        $(impl Field for $type {
            fn write(&self, e: &mut Encoder) -> EncodeStep {
                let code: fn(&Self) -> &'static str = $code;
                e.str(code(self))?.ok()
            }

            fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                let from: fn(&str) -> Option<Self> = $from;
                from(reader.text(field, 1..=CODE_LEN_MAX)?).ok_or(DecodeError::Bounds { field })
            }

            fn show(&self) -> String {
                let code: fn(&Self) -> &'static str = $code;
                code(self).to_owned()
            }
        })*
    };
}

coded! {
    Currency: |currency| currency.code(), |code| Self::from_code(code).ok();
    CardStatus: |status| status.code(), Self::from_code;
    Refusal: |refusal| refusal.code(), Self::from_code;
    ReturnReason: reason_code, |code| {
        [Self::Expired, Self::Cancelled, Self::Closed].into_iter().find(|reason| reason_code(reason) == code)
    };
    UnfundedReason: unfunded_code, |code| {
        [Self::Refused, Self::Cancelled, Self::Expired]
            .into_iter()
            .find(|reason| unfunded_code(reason) == code)
    };
}

const fn unfunded_code(reason: &UnfundedReason) -> &'static str {
    match reason {
        UnfundedReason::Refused => "refused",
        UnfundedReason::Cancelled => "cancelled",
        UnfundedReason::Expired => "expired",
    }
}

const fn reason_code(reason: &ReturnReason) -> &'static str {
    match reason {
        ReturnReason::Expired => "expired",
        ReturnReason::Cancelled => "cancelled",
        ReturnReason::Closed => "closed",
    }
}

macro_rules! integers {
    ($($type:ident),*) => {
        $(impl Field for $type {
            fn write(&self, e: &mut Encoder) -> EncodeStep {
                e.$type(*self)?.ok()
            }

            fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                reader.$type(field)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        })*
    };
}

integers!(u16, u32, u64, i64);

impl Field for bool {
    fn write(&self, e: &mut Encoder) -> EncodeStep {
        e.u8(u8::from(*self))?.ok()
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match reader.u16(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Bounds { field }),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Field for Timestamp {
    fn write(&self, e: &mut Encoder) -> EncodeStep {
        self.micros().write(e)
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.i64(field).map(Self::from_micros)
    }

    fn show(&self) -> String {
        self.micros().to_string()
    }
}

impl<const N: usize> Field for [u8; N] {
    fn write(&self, e: &mut Encoder) -> EncodeStep {
        e.bytes(self)?.ok()
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.fixed(field)
    }

    fn show(&self) -> String {
        HEXLOWER.encode(self)
    }
}

impl<T: Field> Field for Option<T> {
    fn write(&self, e: &mut Encoder) -> EncodeStep {
        match self {
            Some(value) => value.write(e),
            None => e.null()?.ok(),
        }
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.optional(field, |reader| T::read(reader, field))
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), T::show)
    }
}

impl Field for Amount {
    fn write(&self, e: &mut Encoder) -> EncodeStep {
        e.array(2)?
            .i64(self.minor())?
            .str(self.currency().code())?
            .ok()
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.array(field, 2)?;
        let minor = reader.i64(field)?;
        let currency = Currency::read(reader, field)?;
        Self::new(minor, currency).map_err(|_| DecodeError::Bounds { field })
    }

    fn show(&self) -> String {
        format!("{} {}", self.minor(), self.currency().code())
    }
}

impl Field for Side {
    fn write(&self, e: &mut Encoder) -> EncodeStep {
        e.array(2)?.u8(self.kind)?;
        self.id.write(e)
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.array(field, 2)?;
        let kind = u8::try_from(reader.u16(field)?).map_err(|_| DecodeError::Bounds { field })?;
        let id = Option::read(reader, field)?;
        Ok(Self { kind, id })
    }

    fn show(&self) -> String {
        let id = self.id.map_or_else(String::new, |id| HEXLOWER.encode(&id));
        format!("{}:{id}", self.kind)
    }
}
