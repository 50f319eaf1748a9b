//! The card's end of an EV2 session: opens commands, seals answers.

use alloc::vec::Vec;
use core::fmt;

use card::crypto::{self, Block};
use zeroize::Zeroizing;

use crate::fault::Fault;

const MAC_LEN: usize = 8;
const BLOCK_LEN: usize = 16;
/// First bytes of what is enciphered to the initial vector of a command, and of an answer.
const COMMAND_LABEL: [u8; 2] = [0xA5, 0x5A];
const RESPONSE_LABEL: [u8; 2] = [0x5A, 0xA5];

/// How a message travels. Source: docs/card-protocol.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Mac,
    Full,
}

impl Mode {
    /// A file's mode byte: 0 and 2 plain, 1 MAC, 3 Full.
    pub(crate) const fn from_file_setting(byte: u8) -> Option<Self> {
        match byte {
            0 | 2 => Some(Self::Plain),
            1 => Some(Self::Mac),
            3 => Some(Self::Full),
            _ => None,
        }
    }

    /// Length on the wire of `data_len` bytes of data, MAC included.
    pub(crate) const fn wire_len(self, data_len: usize) -> usize {
        match self {
            Self::Plain => data_len,
            Self::Mac => data_len.saturating_add(MAC_LEN),
            Self::Full if data_len == 0 => MAC_LEN,
            Self::Full => data_len
                .saturating_add(1)
                .next_multiple_of(BLOCK_LEN)
                .saturating_add(MAC_LEN),
        }
    }
}

/// Keys and counter between an authentication and whatever ends it.
pub(crate) struct Session {
    key_no: u8,
    enc: Zeroizing<Block>,
    mac: Zeroizing<Block>,
    transaction_id: [u8; 4],
    counter: u16,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A challenge from each side.
pub(crate) struct Challenges<'a> {
    pub(crate) reader: &'a Block,
    pub(crate) card: &'a Block,
}

impl Session {
    /// Derives the session keys. Source: docs/card-protocol.md.
    pub(crate) fn derive(key_no: u8, key: &Block, challenges: &Challenges<'_>) -> Self {
        let mut vector = [0; 32];
        session_vector(&mut vector, [0xA5, 0x5A], challenges);
        let enc = Zeroizing::new(crypto::cmac(key, &[&vector]));
        session_vector(&mut vector, [0x5A, 0xA5], challenges);
        let mac = Zeroizing::new(crypto::cmac(key, &[&vector]));
        Self {
            key_no,
            enc,
            mac,
            transaction_id: [0; 4],
            counter: 0,
        }
    }

    /// A session with key 0 in the middle of its life, as vectors give them.
    #[cfg(test)]
    pub(crate) fn with_keys([enc, mac]: [Block; 2], transaction_id: [u8; 4], counter: u16) -> Self {
        Self {
            key_no: 0,
            enc: enc.into(),
            mac: mac.into(),
            transaction_id,
            counter,
        }
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> [Block; 2] {
        [*self.enc, *self.mac]
    }

    #[cfg(test)]
    pub(crate) fn command_iv(&self) -> Block {
        self.iv(COMMAND_LABEL)
    }

    /// Starts a new transaction id with the counter at zero.
    pub(crate) const fn start(mut self, transaction_id: [u8; 4]) -> Self {
        self.transaction_id = transaction_id;
        self.counter = 0;
        self
    }

    /// Takes transaction id and counter over from the session it replaces.
    pub(crate) const fn resume(mut self, old: &Self) -> Self {
        self.transaction_id = old.transaction_id;
        self.counter = old.counter;
        self
    }

    pub(crate) const fn key_no(&self) -> u8 {
        self.key_no
    }

    /// Checks and decrypts the `body` of command `ins`: `header_len` clear bytes, data, MAC.
    ///
    /// Counts the command. Returns header and data joined, data decrypted.
    /// [`Fault::Integrity`] for a wrong MAC or padding, [`Fault::Length`] for a missing MAC,
    /// [`Fault::Authentication`] when the counter is used up.
    pub(crate) fn open(
        &mut self,
        ins: u8,
        body: &[u8],
        header_len: usize,
        mode: Mode,
    ) -> Result<Vec<u8>, Fault> {
        let next = self.counter.checked_add(1).ok_or(Fault::Authentication)?;
        let opened = match mode {
            Mode::Plain => body.to_vec(),
            Mode::Mac => self.strip_mac(ins, body)?.to_vec(),
            Mode::Full => {
                let clear = self.strip_mac(ins, body)?;
                let (header, data) = clear.split_at_checked(header_len).ok_or(Fault::Length)?;
                let mut opened = header.to_vec();
                if !data.is_empty() {
                    opened.extend(self.decrypt(data)?);
                }
                opened
            }
        };
        self.counter = next;
        Ok(opened)
    }

    /// The answer with status 00 to the command opened last.
    pub(crate) fn seal(&self, data: &[u8], mode: Mode) -> Vec<u8> {
        let mut out = match mode {
            Mode::Plain => return data.to_vec(),
            Mode::Full if !data.is_empty() => {
                let mut blocks = crypto::pad(data);
                crypto::cbc_encrypt(&self.enc, &self.iv(RESPONSE_LABEL), &mut blocks);
                blocks.as_flattened().to_vec()
            }
            Mode::Mac | Mode::Full => data.to_vec(),
        };
        out.extend(self.message_mac(0, &out));
        out
    }

    fn decrypt(&self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        let (blocks, []) = data.as_chunks() else {
            return Err(Fault::Length);
        };
        let mut blocks = blocks.to_vec();
        crypto::cbc_decrypt(&self.enc, &self.iv(COMMAND_LABEL), &mut blocks);
        crypto::unpad(&blocks)
            .map(<[u8]>::to_vec)
            .ok_or(Fault::Integrity)
    }

    fn strip_mac<'a>(&self, ins: u8, body: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (message, mac) = body.split_last_chunk::<MAC_LEN>().ok_or(Fault::Length)?;
        if crypto::equal(&self.message_mac(ins, message), mac) {
            Ok(message)
        } else {
            Err(Fault::Integrity)
        }
    }

    /// MAC over `first` (command or status byte), counter, transaction id and `message`.
    fn message_mac(&self, first: u8, message: &[u8]) -> [u8; MAC_LEN] {
        let counter = self.counter.to_le_bytes();
        let parts: [&[u8]; 4] = [&[first], &counter, &self.transaction_id, message];
        crypto::truncate(&crypto::cmac(&self.mac, &parts))
    }

    fn iv(&self, label: [u8; 2]) -> Block {
        let mut block = crypto::ZERO;
        let counter = self.counter.to_le_bytes();
        let parts = label.into_iter().chain(self.transaction_id).chain(counter);
        for (slot, byte) in block.iter_mut().zip(parts) {
            *slot = byte;
        }
        crypto::encrypt_block(&self.enc, &block)
    }
}

/// `label || 00 01 00 80 || A[0..2] || (A[2..8] xor B[0..6]) || B[6..16] || A[8..16]`.
fn session_vector(out: &mut [u8; 32], label: [u8; 2], challenges: &Challenges<'_>) {
    let Challenges { reader, card } = challenges;
    let mixed = reader
        .iter()
        .skip(2)
        .take(6)
        .zip(card.iter())
        .map(|(a, b)| a ^ b);
    let parts = label
        .into_iter()
        .chain([0x00, 0x01, 0x00, 0x80])
        .chain(reader.iter().take(2).copied())
        .chain(mixed)
        .chain(card.iter().skip(6).copied())
        .chain(reader.iter().skip(8).copied());
    for (slot, byte) in out.iter_mut().zip(parts) {
        *slot = byte;
    }
}
