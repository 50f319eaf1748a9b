//! What it takes to leave a factory card's DES key behind: one old authentication, and one change of key to AES.
//!
//! The master key of a new card's PICC level is a DES key of zeros, and EV2 messaging knows AES only. Nothing done under a
//! key of zeros is secret: these commands belong on a reader that nobody else can listen to.
//!
//! Source: `docs/card-protocol.md`, section "Factory key".

use crate::apdu::{self, INS_MORE, Status};
use crate::commands::{INS_CHANGE_KEY, KEY_TYPE_AES, fixed};
use crate::crypto::{self, DesBlock};
use crate::error::{CardError, data_of};
use crate::key::Key;
use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

/// INS of the authentication with a DES key in CBC mode.
pub const INS_AUTHENTICATE: u8 = 0x1A;

/// The factory key, and the vector that every chain of blocks starts with.
const ZERO: DesBlock = [0; 8];

/// First command of the authentication with key 0: `90 1A 00 00 01 00 00`.
#[must_use]
pub fn first() -> Vec<u8> {
    apdu::native(INS_AUTHENTICATE, &[0])
}

/// The card's enciphered random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge(DesBlock);

impl Challenge {
    /// Reads the answer to the first command: 8 bytes and `91 AF`.
    ///
    /// # Errors
    /// [`CardError::Status`], [`CardError::Form`] for another length, [`CardError::NotNative`].
    pub fn parse(answer: &[u8]) -> Result<Self, CardError> {
        fixed(data_of(answer, Status::AdditionalFrame)?).map(Self)
    }

    /// Answers the challenge under the factory key, eight zero bytes.
    ///
    /// `rnd_a`: 8 fresh random bytes. Gives `90 AF 00 00 10 .. 00`. The chain of blocks runs through the whole handshake:
    /// each message starts with the last block of the one before it.
    #[must_use]
    pub fn answer(self, rnd_a: DesBlock) -> (Vec<u8>, Pending) {
        let mut rnd_b = [self.0];
        crypto::des_cbc_decrypt(&ZERO, &ZERO, &mut rnd_b);
        let [rnd_b] = rnd_b;
        let mut both = [rnd_a, crypto::rotate(rnd_b)];
        crypto::des_cbc_encrypt(&ZERO, &self.0, &mut both);
        let [_, last] = both;
        let mut data = [0; 16];
        data.copy_from_slice(both.as_flattened());
        let pending = Pending { rnd_a, rnd_b, last };
        (apdu::native(INS_MORE, &data), pending)
    }
}

/// An authentication that lacks the card's proof.
#[derive(Clone)]
pub struct Pending {
    rnd_a: DesBlock,
    rnd_b: DesBlock,
    last: DesBlock,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending [redacted]")
    }
}

impl Pending {
    /// Checks the card's proof, 8 bytes and `91 00`.
    ///
    /// # Errors
    /// [`CardError::Status`], where `AE` means another key than the factory's; [`CardError::Form`] for another length;
    /// [`CardError::NotGenuine`] when our random number does not come back; [`CardError::NotNative`].
    pub fn finish(self, answer: &[u8]) -> Result<LegacySession, CardError> {
        let mut proof = [fixed(data_of(answer, Status::Ok)?)?];
        crypto::des_cbc_decrypt(&ZERO, &self.last, &mut proof);
        if !crypto::equal(proof.as_flattened(), &crypto::rotate(self.rnd_a)) {
            return Err(CardError::NotGenuine);
        }
        let mut key = self.rnd_a.iter().take(4).chain(self.rnd_b.iter().take(4));
        Ok(LegacySession::new(core::array::from_fn(|_| {
            key.next().copied().unwrap_or_default()
        })))
    }
}

/// A session of the old kind, good for one command.
#[derive(Clone)]
pub struct LegacySession(Zeroizing<DesBlock>);

impl fmt::Debug for LegacySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacySession [redacted]")
    }
}

impl LegacySession {
    /// A session from its single-length DES key.
    #[must_use]
    pub fn new(key: DesBlock) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Changes the PICC master key, which the session was opened with, to an AES key; the session ends.
    ///
    /// `90 C4 00 00 19 80 .. 00` with 24 enciphered bytes: new key 16, version 1, checksum over INS, key number and these
    /// 4, zeros 3. The answer is that of [`crate::commands::open_done`].
    #[must_use]
    pub fn change_to_aes(self, new: &Key, version: u8) -> Vec<u8> {
        let head = [INS_CHANGE_KEY, KEY_TYPE_AES];
        let checksum = crypto::jamcrc(&[&head, new.as_bytes(), &[version]]).to_le_bytes();
        let plain = new.as_bytes().iter().copied().chain([version]);
        self.change_key(KEY_TYPE_AES, plain.chain(checksum))
    }

    fn change_key(self, key_no: u8, plain: impl Iterator<Item = u8>) -> Vec<u8> {
        let mut blocks = Zeroizing::new([ZERO; 3]);
        for (to, from) in blocks.as_flattened_mut().iter_mut().zip(plain) {
            *to = from;
        }
        crypto::des_cbc_encrypt(&self.0, &ZERO, &mut *blocks);
        let mut data = [key_no; 25];
        for (to, from) in data.iter_mut().skip(1).zip(blocks.as_flattened()) {
            *to = *from;
        }
        apdu::native(INS_CHANGE_KEY, &data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        data_encoding::HEXUPPER.decode(hex.as_bytes()).expect("hex")
    }

    fn block(hex: &str) -> DesBlock {
        bytes(hex).try_into().expect("eight bytes")
    }

    /// A published debug trace of an EV1 card in ISO mode with the DES key of zeros.
    #[test]
    fn the_handshake_is_that_of_a_published_trace() {
        assert_eq!(first(), bytes("901A0000010000"));
        let challenge = Challenge::parse(&bytes("5D994CE085F2408991AF")).expect("a challenge");
        let (command, pending) = challenge.answer(block("849B36C5F8BF4A09"));
        assert_eq!(
            command,
            bytes("90AF00001021D0AD5F2FD97454A746CC80567F1B1C00")
        );
        let session = pending
            .finish(&bytes("913C6DED84221C419100"))
            .expect("a genuine card");
        // The trace clears the parity bits, which DES does not use.
        assert_eq!(session.0.map(|byte| byte & 0xFE), block("849A36C44ED0B658"));
    }

    /// The same trace: change of the session's own key, there to a two-key triple-DES key without version byte.
    #[test]
    fn a_changed_key_is_enciphered_as_in_a_published_trace() {
        let new = bytes("00102031405060708090A0B0B0A09080");
        let checksum = crypto::jamcrc(&[&[INS_CHANGE_KEY, 0], &new]);
        assert_eq!(checksum, 0x5001_FFC5);
        let session = LegacySession::new(block("C86CE25E4C647E56"));
        let plain = new.into_iter().chain(checksum.to_le_bytes());
        assert_eq!(
            session.change_key(0, plain),
            bytes("90C400001900BEDE0FC6ED347DCF0D51C717DF75D97D2C5A2BA6CAC7479D00")
        );
    }

    #[test]
    fn the_change_to_aes_deciphers_to_key_version_and_checksum() {
        let session = LegacySession::new([0x5A; 8]);
        let new = Key::new([7; 16]);
        let command = session.change_to_aes(&new, 1);
        assert_eq!(command[..6], [0x90, 0xC4, 0, 0, 25, 0x80]);
        let (cipher, rest) = command[6..30].as_chunks();
        let mut blocks = cipher.to_vec();
        crypto::des_cbc_decrypt(&[0x5A; 8], &ZERO, &mut blocks);
        let plain = blocks.as_flattened();
        let checksum = crypto::jamcrc(&[&[0xC4, 0x80], &[7; 16], &[1]]).to_le_bytes();
        assert_eq!((plain[..16].to_vec(), plain[16]), ([7; 16].to_vec(), 1));
        assert_eq!((&plain[17..21], &plain[21..]), (&checksum[..], &[0; 3][..]));
        assert!(rest.is_empty());
    }

    #[test]
    fn a_card_that_does_not_know_the_key_is_not_genuine() {
        let challenge = Challenge::parse(&bytes("5D994CE085F2408991AF")).expect("a challenge");
        let (_, pending) = challenge.answer(block("849B36C5F8BF4A09"));
        let refused = pending.finish(&bytes("913C6DED84221C409100"));
        assert_eq!(refused.err(), Some(CardError::NotGenuine));
    }
}
