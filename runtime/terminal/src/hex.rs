//! Hexadecimal text of ids, hashes and stored bytes.

use data_encoding::HEXLOWER;

/// A remittance id in the hyphenated form of RFC 9562 section 4.
#[must_use]
pub fn id(bytes: &[u8; 16]) -> String {
    let plain = encode(bytes);
    let mut text = String::with_capacity(36);
    for (index, digit) in plain.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// The id that [`id`] prints as `text`; `None` for any other spelling.
#[must_use]
pub fn parse_id(text: &str) -> Option<[u8; 16]> {
    let bytes = HEXLOWER.decode(text.replace('-', "").as_bytes()).ok()?;
    let bytes = bytes.try_into().ok()?;
    (id(&bytes) == text).then_some(bytes)
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Serde form of a byte string.
pub(crate) mod bytes {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// Serde form of a byte array.
pub(crate) mod array {
    use serde::{Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        super::bytes::serialize(bytes, to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let bytes = super::bytes::deserialize(from)?;
        bytes
            .try_into()
            .map_err(|_| D::Error::custom("not 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::{id, parse_id};

    #[test]
    fn an_id_has_one_spelling() {
        let bytes = [0xab; 16];
        let text = "abababab-abab-abab-abab-abababababab";
        assert_eq!(id(&bytes), text);
        assert_eq!(parse_id(text), Some(bytes));
        for other in [
            "",
            &text.to_uppercase(),
            &text.replace('-', ""),
            "../../etc/passwd",
        ] {
            assert_eq!(parse_id(other), None);
        }
    }
}
