//! The little of RFC 8949 that order and exchange bytes use, read strictly.
//!
//! Definite lengths and shortest heads only (section 4.2.1), no nesting but what the caller asks
//! for, no allocation. A refusal is `None`: a guest has nobody to explain it to.

use core::ops::RangeInclusive;

use crate::buffer::Buffer;

/// Major types of RFC 8949 section 3.1, in the high three bits of the initial byte.
pub(crate) const UINT: u8 = 0;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;

/// The simple value null, RFC 8949 section 3.3.
pub(crate) const NULL: u8 = 0xf6;

/// Reads items from the front of a byte string; nothing is copied.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Reads a head of the given major type and returns its argument.
    pub(crate) fn head(&mut self, major: u8) -> Option<u64> {
        let initial = self.take(1)?.first()?;
        if initial >> 5 != major {
            return None;
        }
        let (width, at_least) = match initial & 0x1f {
            short @ 0..24 => return Some(u64::from(short)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return None,
        };
        let value = self
            .take(width)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        (value >= at_least).then_some(value)
    }

    /// Reads an unsigned integer or a length that lies within `bounds`.
    pub(crate) fn head_within(
        &mut self,
        major: u8,
        bounds: &RangeInclusive<usize>,
    ) -> Option<usize> {
        let value = usize::try_from(self.head(major)?).ok()?;
        bounds.contains(&value).then_some(value)
    }

    /// Reads a byte string whose length lies within `bounds`.
    pub(crate) fn bytes(&mut self, bounds: &RangeInclusive<usize>) -> Option<&'a [u8]> {
        let len = self.head_within(BYTES, bounds)?;
        self.take(len)
    }

    /// Reads a byte string of exactly `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.bytes(&(N..=N))?.try_into().ok()
    }

    /// Takes a null if one comes next.
    pub(crate) fn null(&mut self) -> bool {
        match self.0.split_first() {
            Some((&NULL, rest)) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Skips a text string.
    pub(crate) fn skip_text(&mut self) -> Option<()> {
        let len = usize::try_from(self.head(TEXT)?).ok()?;
        self.take(len).map(|_| ())
    }

    /// Succeeds only when nothing is left.
    pub(crate) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<const N: usize> Buffer<N> {
    /// Appends the shortest head of `major` with `value`, a length below 65,536.
    pub(crate) fn push_head(&mut self, major: u8, value: usize) {
        // Nothing longer fits a buffer of this crate, so a wrong head is never sent.
        let [high, low] = u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes();
        match (high, low) {
            (0, 0..24) => self.push(&[major << 5 | low]),
            (0, _) => self.push(&[major << 5 | 24, low]),
            _ => self.push(&[major << 5 | 25, high, low]),
        }
    }

    /// Appends a byte string.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        self.push_head(BYTES, bytes.len());
        self.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Reader, UINT};
    use crate::buffer::Buffer;

    #[test]
    fn heads_are_read_in_their_shortest_form_only() {
        let head = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let value = reader.head(UINT)?;
            reader.end().map(|()| value)
        };
        assert_eq!(head(&[0x17]), Some(23));
        assert_eq!(head(&[0x18, 24]), Some(24));
        assert_eq!(head(&[0x18, 23]), None);
        assert_eq!(head(&[0x19, 1, 0]), Some(256));
        assert_eq!(head(&[0x19, 0, 255]), None);
        assert_eq!(head(&[0x1a, 0, 1, 0, 0]), Some(65_536));
        assert_eq!(head(&[0x1a, 0, 0, 255, 255]), None);
        assert_eq!(head(&[0x1b, 0, 0, 0, 1, 0, 0, 0, 0]), Some(1 << 32));
        assert_eq!(head(&[0x1b, 0, 0, 0, 0, 255, 255, 255, 255]), None);
        assert_eq!(
            head(&[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]),
            Some(u64::MAX)
        );
        for reserved in 0x1c..=0x1f {
            assert_eq!(
                head(&[reserved, 0, 0, 0, 0, 0, 0, 0, 0]),
                None,
                "{reserved:#x}"
            );
        }
        assert_eq!(head(&[]), None);
        assert_eq!(head(&[0x19, 1]), None, "cut");
        assert_eq!(head(&[0x40]), None, "another major type");
    }

    #[test]
    fn written_heads_are_read_back() {
        for value in [0, 23, 24, 255, 256, 65_535] {
            let mut buffer = Buffer::<3>::new();
            buffer.push_head(BYTES, value);
            let mut reader = Reader::new(buffer.bytes().expect("fits"));
            assert_eq!(reader.head(BYTES), u64::try_from(value).ok());
            assert_eq!(reader.end(), Some(()));
        }
    }

    #[test]
    fn a_byte_string_longer_than_what_is_left_is_refused() {
        let bytes = |bytes, len| Reader::new(bytes).bytes(&(len..=len)).map(<[u8]>::len);
        assert_eq!(bytes(&[0x42, 1, 2], 2), Some(2));
        assert_eq!(bytes(&[0x42, 1], 2), None);
        assert_eq!(bytes(&[0x42, 1, 2], 1), None);
        assert_eq!(bytes(&[0x42, 1, 2], 3), None);
        let endless = [0x5b, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(Reader::new(&endless).bytes(&(0..=usize::MAX)), None);
    }
}
