//! The primitives under the card's messaging, over whole blocks: AES-128 and, for a factory card,
//! DES in CBC mode; CMAC, padding and the checksum.
//!
//! Shared with the emulated card. Everything that decides *what* is enciphered or authenticated (session keys, initial
//! vectors, counters) is written once per half, so that the halves check each other.

use aes::Aes128;
use aes::cipher::{
    Array, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit,
};
use alloc::vec::Vec;
use cmac::{Cmac, Mac};
use des::Des;
use subtle::ConstantTimeEq;

/// One AES block, or the 16 bytes of an AES-128 key.
pub type Block = [u8; 16];

/// The all-zero block: initial vector of the handshake, key of a factory application.
pub const ZERO: Block = [0; 16];

/// First byte of the padding.
const PADDING_MARK: u8 = 0x80;

/// Enciphers one block (AES-128, FIPS 197).
#[must_use]
pub fn encrypt_block(key: &Block, block: &Block) -> Block {
    let mut block = Array(*block);
    Aes128::new(&Array(*key)).encrypt_block(&mut block);
    block.0
}

/// Enciphers whole blocks in place, AES-128 in CBC mode (NIST SP 800-38A), without padding.
pub fn cbc_encrypt(key: &Block, iv: &Block, blocks: &mut [Block]) {
    cbc::Encryptor::<Aes128>::new(&Array(*key), &Array(*iv))
        .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
}

/// Deciphers whole blocks in place, AES-128 in CBC mode (NIST SP 800-38A), without padding.
pub fn cbc_decrypt(key: &Block, iv: &Block, blocks: &mut [Block]) {
    cbc::Decryptor::<Aes128>::new(&Array(*key), &Array(*iv))
        .decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
}

/// One DES block, or the 8 bytes of a single-length DES key.
pub type DesBlock = [u8; 8];

/// Enciphers whole blocks in place, DES in CBC mode, without padding: for the key of a factory card, and nothing else.
pub fn des_cbc_encrypt(key: &DesBlock, iv: &DesBlock, blocks: &mut [DesBlock]) {
    cbc::Encryptor::<Des>::new(&Array(*key), &Array(*iv))
        .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
}

/// Deciphers whole blocks in place, DES in CBC mode, without padding: for the key of a factory card, and nothing else.
pub fn des_cbc_decrypt(key: &DesBlock, iv: &DesBlock, blocks: &mut [DesBlock]) {
    cbc::Decryptor::<Des>::new(&Array(*key), &Array(*iv))
        .decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
}

/// AES-CMAC over the parts as if they were one string (RFC 4493), 16 bytes.
#[must_use]
pub fn cmac(key: &Block, parts: &[&[u8]]) -> Block {
    let mut mac = Cmac::<Aes128>::new(&Array(*key));
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().0
}

/// The 8 bytes of a CMAC that travel: those at the odd positions 1, 3, .. 15.
#[must_use]
pub const fn truncate(mac: &Block) -> [u8; 8] {
    [
        mac[1], mac[3], mac[5], mac[7], mac[9], mac[11], mac[13], mac[15],
    ]
}

/// Compares in time that does not depend on the content; strings of different length are unequal.
#[must_use]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Appends `80` and then zeros up to whole blocks (ISO/IEC 9797-1, padding method 2).
///
/// Always adds at least one byte: 16 bytes become two blocks.
#[must_use]
pub fn pad(data: &[u8]) -> Vec<Block> {
    let (whole, rest) = data.as_chunks();
    let mut blocks = Vec::with_capacity(whole.len().saturating_add(1));
    blocks.extend_from_slice(whole);
    let mut last = ZERO;
    for (to, from) in last
        .iter_mut()
        .zip(rest.iter().chain(core::iter::once(&PADDING_MARK)))
    {
        *to = *from;
    }
    blocks.push(last);
    blocks
}

/// The data in front of the padding, or `None` when the last block does not end in `80` and zeros.
///
/// Call it only on authenticated data: its time depends on the content.
#[must_use]
pub fn unpad(blocks: &[Block]) -> Option<&[u8]> {
    let last = blocks.last()?;
    let mark = last.iter().rposition(|byte| *byte != 0)?;
    if last.get(mark) != Some(&PADDING_MARK) {
        return None;
    }
    let padding_len = last.len().checked_sub(mark)?;
    let bytes = blocks.as_flattened();
    bytes.get(..bytes.len().checked_sub(padding_len)?)
}

/// CRC-32 with reflected polynomial EDB88320, start FFFFFFFF and no final inversion (CRC-32/JAMCRC).
///
/// On the wire least significant byte first.
#[must_use]
pub fn jamcrc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    !hasher.finalize()
}

/// Rotates left by one byte: the first byte becomes the last.
#[must_use]
pub fn rotate<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    if N > 0 {
        bytes.rotate_left(1);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_taken_off_again_for_every_length() {
        let data: Vec<u8> = (0..=64).map(|byte| byte | 0x80).collect();
        for len in 0..data.len() {
            let blocks = pad(&data[..len]);
            assert_eq!(blocks.len(), len / 16 + 1);
            assert_eq!(unpad(&blocks), Some(&data[..len]));
        }
    }

    #[test]
    fn a_block_without_the_mark_is_not_padding() {
        assert_eq!(unpad(&[]), None);
        assert_eq!(unpad(&[ZERO]), None);
        assert_eq!(unpad(&[[0x80; 16], ZERO]), None);
        assert_eq!(unpad(&[[0x81; 16]]), None);
    }

    #[test]
    fn the_checksum_has_no_final_inversion() {
        // Check value of CRC-32/JAMCRC over "123456789" in the catalogue of parametrised CRC algorithms.
        assert_eq!(jamcrc(&[b"12345", b"6789"]), 0x340B_C6D9);
    }

    #[test]
    fn rotation_moves_the_first_byte_to_the_end() {
        assert_eq!(rotate([1, 2, 3]), [2, 3, 1]);
        assert_eq!(rotate([]), []);
    }

    #[test]
    fn comparison_sees_every_bit_and_the_length() {
        assert!(equal(&[1, 2], &[1, 2]));
        assert!(!equal(&[1, 2], &[1, 3]));
        assert!(!equal(&[1, 2], &[1, 2, 0]));
    }
}
