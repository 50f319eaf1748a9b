//! Ids: 16 bytes, time-ordered, made by the caller before the first write.

use core::fmt;
use core::str::FromStr;

/// Why 16 bytes or a text are not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is not 36 lower-case hexadecimal digits and hyphens in the form 8-4-4-4-12.
    #[error("an id is 32 lower-case hexadecimal digits in the form 8-4-4-4-12")]
    Malformed,
    /// The version nibble is not 7 or the variant bits are not `10`.
    #[error("an id is a UUID of version 7")]
    NotVersion7,
}

/// Length of the text form of an id, in characters.
const TEXT_LEN: usize = 36;

/// Builds a UUID of version 7: 48 bits of milliseconds, big-endian, then random bits.
///
/// Source: RFC 9562, section 5.7.
const fn version_7(unix_ms: u64, random: [u8; 10]) -> [u8; 16] {
    let [_, _, a, b, c, d, e, f] = unix_ms.to_be_bytes();
    let [g, h, i, j, k, l, m, n, o, p] = random;
    let version = 0x70 | (g & 0x0F);
    let variant = 0x80 | (i & 0x3F);
    [a, b, c, d, e, f, version, h, variant, j, k, l, m, n, o, p]
}

const fn is_version_7(bytes: [u8; 16]) -> bool {
    let [_, _, _, _, _, _, version, _, variant, ..] = bytes;
    version >> 4 == 7 && variant >> 6 == 0b10
}

/// An id with another figure in place of its version nibble.
const fn marked(bytes: [u8; 16], mark: u8) -> [u8; 16] {
    let [a, b, c, d, e, f, version, g, h, i, j, k, l, m, n, o] = bytes;
    let marked = (mark << 4) | (version & 0x0F);
    [a, b, c, d, e, f, marked, g, h, i, j, k, l, m, n, o]
}

/// In place of the version nibble: the id of a holder's payable account.
const PAYABLE_MARK: u8 = 6;

impl HolderId {
    /// Id of the holder's payable account: the holder's, with 6 in place of the version nibble, since
    /// the holder's own id is that of the account to spend from.
    #[must_use]
    pub const fn payable(self) -> [u8; 16] {
        marked(self.0, PAYABLE_MARK)
    }

    /// The holder of a payable account.
    ///
    /// # Errors
    /// [`IdError::NotVersion7`] for any other id.
    pub const fn from_payable(bytes: [u8; 16]) -> Result<Self, IdError> {
        let [_, _, _, _, _, _, mark, ..] = bytes;
        if mark >> 4 == PAYABLE_MARK {
            Self::from_bytes(marked(bytes, 7))
        } else {
            Err(IdError::NotVersion7)
        }
    }
}

fn write_text(bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn read_text(text: &str) -> Result<[u8; 16], IdError> {
    if text.len() != TEXT_LEN {
        return Err(IdError::Malformed);
    }
    let mut nibbles = [0_u8; 32];
    let mut free = nibbles.iter_mut();
    for (at, byte) in text.bytes().enumerate() {
        let hyphen = matches!(at, 8 | 13 | 18 | 23);
        let value = match byte {
            b'-' if hyphen => continue,
            b'0'..=b'9' if !hyphen => byte.wrapping_sub(b'0'),
            b'a'..=b'f' if !hyphen => byte.wrapping_sub(b'a').wrapping_add(10),
            _ => return Err(IdError::Malformed),
        };
        *free.next().ok_or(IdError::Malformed)? = value;
    }
    let mut bytes = [0_u8; 16];
    for (byte, pair) in bytes.iter_mut().zip(nibbles.as_chunks::<2>().0) {
        let [high, low] = *pair;
        *byte = (high << 4) | low;
    }
    Ok(bytes)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 16 bytes, a UUID of version 7 (RFC 9562): it sorts by the time it was made, which keeps
        /// table inserts at the end of their index. Text form: lower-case, hyphens 8-4-4-4-12.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Makes an id from a time and 10 random bytes (74 bits of them are used).
            ///
            /// `unix_ms`: milliseconds since 1970-01-01 UTC; the low 48 bits are used.
            #[must_use]
            pub const fn new(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(version_7(unix_ms, random))
            }

            /// Takes bytes that came from outside.
            ///
            /// # Errors
            /// [`IdError::NotVersion7`] where the version or variant bits say so.
            pub const fn from_bytes(bytes: [u8; 16]) -> Result<Self, IdError> {
                if is_version_7(bytes) { Ok(Self(bytes)) } else { Err(IdError::NotVersion7) }
            }

            /// The 16 bytes, most significant first.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }

            /// The 16 bytes by reference, for queries.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_text(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_text(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                read_text(text).and_then(Self::from_bytes)
            }
        }
    };
}

id! {
    /// A remittance: the whole life of one order.
    RemittanceId
}
id! {
    /// A holder: a person or body with an account, who may send, own cards, or both.
    HolderId
}
id! {
    /// A card, or rather the card account behind one card number.
    CardId
}
id! {
    /// One mail in the outbox.
    MailId
}
id! {
    /// One bearer token of a holder, by which it is listed and revoked; it opens nothing.
    TokenId
}
id! {
    /// One endpoint of a holder to which events are sent.
    WebhookId
}

/// A posted transfer: 16 bytes.
///
/// One that the caller names is a UUID of version 7. One that belongs to a remittance is the
/// remittance's id with the leg's number in place of the version nibble (see [`crate::Leg`]), so the
/// two kinds never meet, and one remittance can never have two transfers of one leg.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId([u8; 16]);

impl TransferId {
    /// Makes the id of a transfer that stands for itself.
    #[must_use]
    pub const fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(version_7(unix_ms, random))
    }

    /// Takes the bytes of a transfer that stands for itself.
    ///
    /// # Errors
    /// [`IdError::NotVersion7`], which also keeps callers from naming a remittance's transfer.
    pub const fn from_bytes(bytes: [u8; 16]) -> Result<Self, IdError> {
        if is_version_7(bytes) {
            Ok(Self(bytes))
        } else {
            Err(IdError::NotVersion7)
        }
    }

    /// The id of one leg of a remittance. `leg`: the number that replaces the version nibble.
    pub(crate) const fn of_leg(remittance: RemittanceId, leg: u8) -> Self {
        Self(marked(remittance.0, leg))
    }

    /// The id of a transfer of one card. `mark`: as in [`Self::of_leg`].
    pub(crate) const fn of_card(card: CardId, mark: u8) -> Self {
        Self(marked(card.0, mark))
    }

    /// Takes the bytes of a stored transfer, of any kind.
    #[must_use]
    pub const fn from_stored(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, most significant first.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The 16 bytes by reference, for queries.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(self.0, f)
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_id_is_written_and_read_in_the_hyphenated_form() {
        let id = RemittanceId::new(0x0192_F3A1_B2C3, [0xFF; 10]);
        assert_eq!(id.to_string(), "0192f3a1-b2c3-7fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(RemittanceId::from_bytes(id.to_bytes()), Ok(id));
    }

    #[test]
    fn ids_sort_by_time() {
        let early = HolderId::new(1, [0xFF; 10]);
        let late = HolderId::new(2, [0; 10]);
        assert!(early < late);
    }

    #[test]
    fn other_texts_and_versions_are_refused() {
        let good = "0192f3a1-b2c3-7fff-bfff-ffffffffffff";
        for bad in [
            "",
            "0192f3a1b2c37fffbfffffffffffffff",
            "0192F3A1-b2c3-7fff-bfff-ffffffffffff",
            "0192f3a1-b2c3-7fff-bfff-fffffffffffg",
            "0192f3a1-b2c3-7fff-bfff-ffffffffffff0",
            "0192f3a-1b2c3-7fff-bfff-ffffffffffff",
            "0192f3a1-b2c3-7fff-bfff-ffffffffff\u{e9}",
        ] {
            assert_eq!(bad.parse::<CardId>(), Err(IdError::Malformed), "{bad}");
        }
        assert!(good.parse::<CardId>().is_ok());
        for bad in [good.replace("-7", "-4"), good.replace("-b", "-c")] {
            assert_eq!(bad.parse::<CardId>(), Err(IdError::NotVersion7), "{bad}");
        }
    }

    #[test]
    fn a_legs_transfer_can_not_be_named_by_a_caller() {
        let remittance = RemittanceId::new(5, [3; 10]);
        let first = TransferId::of_leg(remittance, 1);
        let second = TransferId::of_leg(remittance, 2);
        assert_ne!(first, second);
        assert_eq!(
            TransferId::from_bytes(first.to_bytes()),
            Err(IdError::NotVersion7)
        );
        assert_eq!(
            TransferId::from_bytes(second.to_bytes()),
            Err(IdError::NotVersion7)
        );
    }
}
