//! Sealing of session secrets that leave this process: in a ticket to the terminal, or in the
//! row of the operation in flight.

use alloc::vec::Vec;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

/// Bytes of a random nonce.
pub const NONCE_LEN: usize = 24;

/// A nonce for one sealing; random, made by the caller, never used for a second one.
pub type Nonce = [u8; NONCE_LEN];

/// The ticket key: XChaCha20-Poly1305, 32 bytes. Guarded like a card key, since a session is worth
/// as much as a card key while it lives.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl core::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SealKey([redacted])")
    }
}

impl SealKey {
    /// Takes the key bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Encrypts and authenticates `plain` under `aad`.
    ///
    /// Result: nonce (24) || ciphertext || tag (16).
    pub(crate) fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let cipher = XChaCha20Poly1305::new((&*self.0).into());
        let payload = Payload { msg: plain, aad };
        let sealed = cipher
            .encrypt(&XNonce::from(*nonce), payload)
            .expect("encryption fails only beyond 256 GiB; a session is some hundred bytes");
        let mut out = Vec::with_capacity(nonce.len().saturating_add(sealed.len()));
        out.extend_from_slice(nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Opens what [`SealKey::seal`] made; nothing when any bit, the key or `aad` differs.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let cipher = XChaCha20Poly1305::new((&*self.0).into());
        let payload = Payload {
            msg: ciphertext,
            aad,
        };
        let plain = cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        Some(Zeroizing::new(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let key = SealKey::new([7; 32]);
        let sealed = key.seal(&[9; NONCE_LEN], b"aad", b"secret");
        assert_eq!(key.open(b"aad", &sealed).unwrap().as_slice(), b"secret");
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(b"aad", &bad).is_none(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(key.open(b"aad", &sealed[..len]).is_none(), "len {len}");
        }
        assert!(key.open(b"aae", &sealed).is_none());
        assert!(SealKey::new([8; 32]).open(b"aad", &sealed).is_none());
        assert!(key.open(b"aad", &vec![0; 4096]).is_none());
    }

    #[test]
    fn the_key_does_not_print() {
        let text = alloc::format!("{:?}", SealKey::new([0xab; 32]));
        assert_eq!(text, "SealKey([redacted])");
    }
}
