//! Reads command parameters: bounded, least significant byte first, no leftovers.

use crate::fault::Fault;

/// The parameter bytes not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Params<'a>(&'a [u8]);

impl<'a> Params<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes; [`Fault::Length`] when fewer are left.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Fault::Length)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// A 3-byte offset, length or count.
    pub(crate) fn u24(&mut self) -> Result<usize, Fault> {
        let [low, middle, high] = self.take()?;
        usize::try_from(u32::from_le_bytes([low, middle, high, 0])).map_err(|_| Fault::Parameter)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Fault> {
        self.take().map(i32::from_le_bytes)
    }

    /// Everything left.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// [`Fault::Length`] when something is left.
    pub(crate) const fn end(self) -> Result<(), Fault> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Fault::Length)
        }
    }
}

/// The low three bytes of `number`, as sizes and counts are sent.
pub(crate) fn u24_bytes(number: usize) -> [u8; 3] {
    let [low, middle, high, ..] = number.to_le_bytes();
    [low, middle, high]
}
