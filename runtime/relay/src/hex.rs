//! Serde forms of byte strings: lower-case hexadecimal text.

/// Of a byte string of any length.
pub mod bytes {
    use alloc::{string::String, vec::Vec};
    use data_encoding::HEXLOWER;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes the text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(bytes))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// Those of the deserializer; another alphabet or an odd number of digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// Of 32 bytes.
pub mod array {
    use serde::{Deserializer, Serializer, de::Error as _};

    /// Writes the text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        super::bytes::serialize(bytes, to)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// As [`super::bytes::deserialize`]; another length.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let bytes = super::bytes::deserialize(from)?;
        bytes
            .try_into()
            .map_err(|_| D::Error::custom("not 32 bytes"))
    }
}
