//! Strict reading and deterministic writing of CBOR.
//!
//! The subset: unsigned and negative integers, definite byte and text strings, definite arrays,
//! null. Integers and lengths take their shortest form. Every record is one array at the top.
//!
//! A decoder built on [`decode`] reads fields by a [`Reader`] and is then held against its own
//! encoder: bytes that are not what the encoder writes for the value are refused, so non-minimal
//! lengths, trailing bytes and second spellings need no check of their own.
//!
//! Source: RFC 8949 section 4.2.1.

use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::RangeInclusive;

use minicbor::data::Type;
use minicbor::decode::Decoder;
use minicbor::encode::Error as EncodeError;

/// The writer of one record.
pub type Encoder = minicbor::Encoder<Vec<u8>>;

/// What a writer's steps give back.
pub type EncodeStep = Result<(), EncodeError<Infallible>>;

/// Why bytes are not the record they should be. Names the field, never the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than a record of this kind may have.
    #[error("longer than {len_max} bytes")]
    TooLong {
        /// The limit that was passed.
        len_max: usize,
    },
    /// A field is missing, has another type or no room to end.
    #[error("{field} is malformed at byte {offset}")]
    Malformed {
        /// Which field.
        field: &'static str,
        /// Where reading stopped, counted from the first byte of the record.
        offset: usize,
    },
    /// A field is well formed and outside its bounds.
    #[error("{field} is out of bounds")]
    Bounds {
        /// Which field.
        field: &'static str,
    },
    /// The first field names a version other than the one that is read here.
    #[error("version is not supported")]
    Version,
    /// The bytes say the same as another, shorter or ordered encoding; or bytes follow.
    #[error("not the deterministic encoding")]
    NotDeterministic,
}

/// Writes one record.
///
/// # Panics
/// Never: `write` can only pass on errors of a writer, and writing to a vector has none.
#[must_use]
pub fn encode(write: impl FnOnce(&mut Encoder) -> EncodeStep) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).expect("writing to a vector cannot fail");
    encoder.into_writer()
}

/// Reads one record of at most `len_max` bytes and holds it against its own encoding.
///
/// `read` takes the fields, `write` gives the bytes of the value that was read.
///
/// # Errors
/// [`DecodeError::TooLong`] before anything is read, what `read` reports, then
/// [`DecodeError::NotDeterministic`] if `write` gives other bytes than `bytes`.
pub fn decode<'b, T>(
    bytes: &'b [u8],
    len_max: usize,
    read: impl FnOnce(&mut Reader<'b>) -> Result<T, DecodeError>,
    write: impl FnOnce(&T) -> Vec<u8>,
) -> Result<T, DecodeError> {
    if bytes.len() > len_max {
        return Err(DecodeError::TooLong { len_max });
    }
    let value = read(&mut Reader(Decoder::new(bytes)))?;
    if write(&value) == bytes {
        Ok(value)
    } else {
        Err(DecodeError::NotDeterministic)
    }
}

/// Reads the fields of one record, in order.
///
/// Every method takes the field's name for the error, and reports
/// [`DecodeError::Malformed`] for another type or a missing end and [`DecodeError::Bounds`] for a
/// value outside what the method was given.
#[derive(Debug)]
pub struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    fn take<T, E>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, E>,
    ) -> Result<T, DecodeError> {
        let offset = self.0.position();
        read(&mut self.0).map_err(|_| DecodeError::Malformed { field, offset })
    }

    /// The head of a definite array with exactly `len` elements.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn array(&mut self, field: &'static str, len: u64) -> Result<(), DecodeError> {
        self.array_within(field, len..=len).map(drop)
    }

    /// The head of a definite array; gives the number of its elements.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn array_within(
        &mut self,
        field: &'static str,
        len: RangeInclusive<u64>,
    ) -> Result<u64, DecodeError> {
        let found = self.take(field, |decoder| decoder.array().ok().flatten().ok_or(()))?;
        within(field, &len, found)
    }

    /// The first field of a record that says which version of it follows.
    ///
    /// # Errors
    /// [`DecodeError::Version`] for any number but `version`.
    pub fn version(&mut self, version: u64) -> Result<(), DecodeError> {
        let found = self.take("version", Decoder::u64)?;
        (found == version).then_some(()).ok_or(DecodeError::Version)
    }

    /// An unsigned integer of at most 16 bits.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.take(field, Decoder::u16)
    }

    /// An unsigned integer of at most 32 bits.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.take(field, Decoder::u32)
    }

    /// An unsigned integer of at most 64 bits.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.take(field, Decoder::u64)
    }

    /// An integer that fits 64 bits with sign.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        self.take(field, Decoder::i64)
    }

    /// A definite byte string of `len` bytes.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn bytes(
        &mut self,
        field: &'static str,
        len: RangeInclusive<usize>,
    ) -> Result<&'b [u8], DecodeError> {
        let found = self.take(field, Decoder::bytes)?;
        within(field, &len, found.len()).map(|_| found)
    }

    /// A definite byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let found = self.take(field, Decoder::bytes)?;
        found.try_into().map_err(|_| DecodeError::Bounds { field })
    }

    /// A definite text string of `len` bytes of UTF-8.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn text(
        &mut self,
        field: &'static str,
        len: RangeInclusive<usize>,
    ) -> Result<&'b str, DecodeError> {
        let found = self.take(field, Decoder::str)?;
        within(field, &len, found.len()).map(|_| found)
    }

    /// Null, read as nothing, or whatever `read` takes.
    ///
    /// # Errors
    /// What `read` reports.
    pub fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let is_null = self.take(field, |decoder| decoder.datatype())? == Type::Null;
        if is_null {
            self.take(field, Decoder::null)?;
            return Ok(None);
        }
        read(self).map(Some)
    }
}

fn within<T: PartialOrd>(
    field: &'static str,
    bounds: &RangeInclusive<T>,
    value: T,
) -> Result<T, DecodeError> {
    if bounds.contains(&value) {
        Ok(value)
    } else {
        Err(DecodeError::Bounds { field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn pair(bytes: &[u8]) -> Result<(u64, Option<u32>), DecodeError> {
        decode(
            bytes,
            12,
            |reader| {
                reader.array("pair", 2)?;
                Ok((
                    reader.u64("left")?,
                    reader.optional("right", |r| r.u32("right"))?,
                ))
            },
            |(left, right)| {
                encode(|e| {
                    e.array(2)?.u64(*left)?;
                    match right {
                        Some(right) => e.u32(*right)?.ok(),
                        None => e.null()?.ok(),
                    }
                })
            },
        )
    }

    #[test]
    fn a_value_is_read_from_its_one_encoding() {
        assert_eq!(pair(&[0x82, 0x17, 0x01]), Ok((23, Some(1))));
        assert_eq!(pair(&[0x82, 0x18, 0x18, 0xf6]), Ok((24, None)));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        use DecodeError::{Bounds, Malformed, NotDeterministic, TooLong};
        let at = |field, offset| Malformed { field, offset };
        for (bytes, error) in [
            (vec![], at("pair", 0)),
            (vec![0x82], at("left", 1)),
            (vec![0x82, 0x01], at("right", 2)),
            (vec![0x82, 0x18, 0x17, 0x01], NotDeterministic),
            (vec![0x98, 0x02, 0x01, 0x01], NotDeterministic),
            (vec![0x82, 0x01, 0x01, 0x00], NotDeterministic),
            (vec![0x82, 0x01, 0xf7], at("right", 2)),
            (vec![0x9f, 0x01, 0x01, 0xff], at("pair", 0)),
            (vec![0x83, 0x01, 0x01, 0x01], Bounds { field: "pair" }),
            (vec![0x82, 0x20, 0x01], at("left", 1)),
            (vec![0xa1, 0x01, 0x01], at("pair", 0)),
            (vec![0xc0, 0x82, 0x01, 0x01], at("pair", 0)),
            (
                vec![0x82, 0x01, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0],
                at("right", 2),
            ),
            (vec![0; 13], TooLong { len_max: 12 }),
        ] {
            assert_eq!(pair(&bytes), Err(error), "{bytes:02x?}");
        }
    }
}
