//! The stored form of a card: versioned, checked, bounded. Source: docs/card-file.md.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use crate::device::Card;
use crate::picc::Picc;
use crate::random::Generator;

/// First bytes of every stored card.
const MAGIC: [u8; 7] = *b"TEGCARD";
/// The form written and read by this version.
const VERSION: u8 = 1;
/// SHA-256 over everything before it.
const CHECKSUM_LEN: usize = 32;
/// Longest stored card, in bytes: four times what a full card needs, so that reading one is bounded.
pub const SNAPSHOT_LEN_MAX: usize = 64 * 1024;

/// Why bytes are not a stored card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// More than [`SNAPSHOT_LEN_MAX`] bytes.
    #[error("longer than any stored card")]
    TooLong,
    /// The first bytes are not those of a stored card.
    #[error("not a stored card")]
    NotACard,
    /// Another version of the stored form; carries its number.
    #[error("stored card of version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// The checksum does not fit: cut off or altered.
    #[error("stored card is damaged")]
    Checksum,
    /// The checksum fits and the content does not: not written by this program.
    #[error("stored card has content that no card can have")]
    Content,
}

impl SnapshotError {
    /// Stable code for messages and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "E_CARD_FILE_SIZE",
            Self::NotACard => "E_CARD_FILE_KIND",
            Self::Version(_) => "E_CARD_FILE_VERSION",
            Self::Checksum => "E_CARD_FILE_DAMAGED",
            Self::Content => "E_CARD_FILE_CONTENT",
        }
    }
}

#[derive(Encode, Decode)]
struct Stored {
    #[n(0)]
    picc: Picc,
    #[n(1)]
    random: Generator,
}

impl Card {
    /// The committed state, and where the generator stands; nothing of an open session.
    ///
    /// Contains the card's keys in clear: this is a test card.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        match minicbor::encode((self.picc(), self.random()), &mut out) {
            Ok(()) => {}
            Err(_) => unreachable!("a vector takes any bytes, and no part refuses to be encoded"),
        }
        let checksum: [u8; CHECKSUM_LEN] = Sha256::digest(&out).into();
        out.extend(checksum);
        out
    }

    /// The card that [`Card::snapshot`] stored, freshly powered up.
    ///
    /// # Errors
    ///
    /// One [`SnapshotError`] per way in which bytes are not a stored card.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        if bytes.len() > SNAPSHOT_LEN_MAX {
            return Err(SnapshotError::TooLong);
        }
        let (content, checksum) = bytes
            .split_last_chunk::<CHECKSUM_LEN>()
            .ok_or(SnapshotError::NotACard)?;
        let rest = content
            .strip_prefix(&MAGIC)
            .ok_or(SnapshotError::NotACard)?;
        let (version, body) = rest.split_first().ok_or(SnapshotError::NotACard)?;
        if *version != VERSION {
            return Err(SnapshotError::Version(*version));
        }
        if <[u8; CHECKSUM_LEN]>::from(Sha256::digest(content)) != *checksum {
            return Err(SnapshotError::Checksum);
        }
        let stored: Stored = minicbor::decode(body).map_err(|_| SnapshotError::Content)?;
        if !stored.picc.is_sound() {
            return Err(SnapshotError::Content);
        }
        Ok(Self::from_parts(stored.picc, stored.random))
    }
}
