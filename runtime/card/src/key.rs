//! Keys that erase themselves, and the diversification that gives every card its own.
//!
//! Source: `docs/card-protocol.md`, section "Keys"; the method is that of application note AN10922.

use crate::crypto::{self, Block, ZERO};
use core::fmt;
use zeroize::Zeroizing;

/// Length of a card's unique identifier in bytes.
pub const UID_LEN: usize = 7;
/// Longest diversification input in bytes: with its constant it fills two blocks.
pub const DIVERSIFICATION_LEN_MAX: usize = 31;

/// What the purse's diversification input says after UID and AID.
const SYSTEM: [u8; 5] = *b"purse";
/// Constant in front of the input for an AES-128 key.
const DIVERSIFY_AES_128: u8 = 0x01;

/// An AES-128 key; erased when dropped, never printed.
#[derive(Clone)]
pub struct Key(Zeroizing<Block>);

impl Key {
    /// Takes over the 16 bytes of a key.
    #[must_use]
    pub fn new(bytes: Block) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key of a new application and of no secrecy at all: sixteen zero bytes.
    #[must_use]
    pub fn factory() -> Self {
        Self::new(ZERO)
    }

    /// The 16 bytes; copies of them do not erase themselves.
    #[must_use]
    pub fn as_bytes(&self) -> &Block {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Derives a key from a master key and an input that names its use.
///
/// `input`: `1..=31` bytes, checked when compiled. Two blocks are always enciphered, so for less than 16 bytes this is not
/// the CMAC of the same string.
/// Source: AN10922, section on AES-128; `docs/card-protocol.md`, section "Keys".
#[must_use]
pub fn diversify<const N: usize>(master: &Key, input: &[u8; N]) -> Key {
    const {
        assert!(
            N >= 1 && N <= DIVERSIFICATION_LEN_MAX,
            "the input has 1 to 31 bytes"
        );
    };
    let mut blocks = Zeroizing::new([ZERO; 2]);
    let bytes = blocks.as_flattened_mut();
    let content = core::iter::once(&DIVERSIFY_AES_128)
        .chain(input)
        .chain(core::iter::once(&0x80));
    for (to, from) in bytes.iter_mut().zip(content) {
        *to = *from;
    }
    let (full, partial) = subkeys(master);
    let subkey = if N == DIVERSIFICATION_LEN_MAX {
        full
    } else {
        partial
    };
    let [_, last] = &mut *blocks;
    for (byte, mask) in last.iter_mut().zip(subkey.iter()) {
        *byte ^= mask;
    }
    crypto::cbc_encrypt(master.as_bytes(), &ZERO, &mut *blocks);
    let [_, key] = *blocks;
    Key::new(key)
}

/// The two CMAC subkeys of a key (RFC 4493, section 2.3): for a full last block, and for a padded one.
fn subkeys(key: &Key) -> (Zeroizing<Block>, Zeroizing<Block>) {
    let double = |block: Block| {
        let value = u128::from_be_bytes(block);
        let carry = 0x87 & 0_u128.wrapping_sub(value >> 127);
        ((value << 1) ^ carry).to_be_bytes()
    };
    let full = double(crypto::encrypt_block(key.as_bytes(), &ZERO));
    (Zeroizing::new(full), Zeroizing::new(double(full)))
}

/// The key with number `key_no` of one card's purse application.
///
/// Input: UID 7 bytes, AID `45 4D 31`, "purse", key number; 16 bytes. Each key number has a master key of its own.
#[must_use]
pub fn purse_key(master: &Key, uid: &[u8; UID_LEN], key_no: u8) -> Key {
    diversify(master, &input(uid, [0x45, 0x4D, 0x31], key_no))
}

/// The master key of one card's PICC level.
///
/// Input: UID 7 bytes, AID `00 00 00`, "purse", `00`; 16 bytes.
#[must_use]
pub fn picc_key(master: &Key, uid: &[u8; UID_LEN]) -> Key {
    diversify(master, &input(uid, [0; 3], 0))
}

const fn input(uid: &[u8; UID_LEN], aid: [u8; 3], key_no: u8) -> [u8; 16] {
    let [u0, u1, u2, u3, u4, u5, u6] = *uid;
    let [a0, a1, a2] = aid;
    let [s0, s1, s2, s3, s4] = SYSTEM;
    [
        u0, u1, u2, u3, u4, u5, u6, a0, a1, a2, s0, s1, s2, s3, s4, key_no,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(format!("{:?}", Key::new([7; 16])), "[redacted]");
    }

    #[test]
    fn subkeys_are_those_of_the_application_note() {
        let key = Key::new(0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF_u128.to_be_bytes());
        let (full, partial) = subkeys(&key);
        assert_eq!(
            u128::from_be_bytes(*full),
            0xFBC9_F75C_9413_C041_DFEE_452D_3F07_06D1
        );
        assert_eq!(
            u128::from_be_bytes(*partial),
            0xF793_EEB9_2827_8083_BFDC_8A5A_7E0E_0D25
        );
    }

    #[test]
    fn levels_and_numbers_have_different_keys() {
        let (master, uid) = (Key::new([3; 16]), [4, 1, 2, 3, 4, 5, 6]);
        let keys = [
            picc_key(&master, &uid),
            purse_key(&master, &uid, 0),
            purse_key(&master, &uid, 1),
        ];
        assert_ne!(keys[0].as_bytes(), keys[1].as_bytes());
        assert_ne!(keys[1].as_bytes(), keys[2].as_bytes());
    }
}
