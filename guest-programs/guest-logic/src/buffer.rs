//! A byte buffer of fixed size on the stack: the guest needs no growing memory of its own.

/// At most `N` bytes; once something did not fit, the buffer stays unusable until it is cleared.
pub(crate) struct Buffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
    overflowed: bool,
}

impl<const N: usize> Buffer<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
            overflowed: false,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.overflowed = false;
    }

    pub(crate) fn push(&mut self, part: &[u8]) {
        let end = self.len.saturating_add(part.len());
        let Some(room) = self.bytes.get_mut(self.len..end) else {
            self.overflowed = true;
            return;
        };
        room.copy_from_slice(part);
        self.len = end;
    }

    /// How many bytes were pushed: the place of the next one.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Overwrites one byte that was pushed before.
    pub(crate) fn set(&mut self, at: usize, value: u8) {
        if let Some(byte) = self.bytes.get_mut(at) {
            *byte = value;
        }
    }

    /// What was pushed, or `None` if something did not fit.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        if self.overflowed {
            None
        } else {
            self.bytes.get(..self.len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;

    #[test]
    fn holds_exactly_its_size_and_not_one_byte_more() {
        let mut buffer = Buffer::<4>::new();
        buffer.push(&[1, 2, 3]);
        buffer.push(&[4]);
        assert_eq!(buffer.bytes(), Some(&[1, 2, 3, 4][..]));
        buffer.push(&[5]);
        assert_eq!(buffer.bytes(), None);
        buffer.clear();
        buffer.push(&[6]);
        assert_eq!(buffer.bytes(), Some(&[6][..]));
    }
}
