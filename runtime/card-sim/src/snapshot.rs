//! The stored form of a card: versioned, checked, bounded. Source: docs/card-file.md.

use alloc::vec::Vec;

use minicbor::{Decode, Decoder, Encode};
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
        let mut decoder = Decoder::new(body);
        let stored: Stored = decoder.decode().map_err(|_| SnapshotError::Content)?;
        if decoder.position() != body.len() || !stored.picc.is_sound() {
            return Err(SnapshotError::Content);
        }
        Ok(Self::from_parts(stored.picc, stored.random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Body, File};
    use proptest::prelude::*;

    /// A card with one file of each kind but the Transaction MAC file.
    fn card() -> Card {
        let mut card = Card::new([4; 7], [0; 32]);
        for command in [
            &[0x90, 0xCA, 0, 0, 5, 1, 0, 0, 0x0F, 0x81, 0][..],
            &[0x90, 0x5A, 0, 0, 3, 1, 0, 0, 0],
            &[0x90, 0xCD, 0, 0, 7, 0, 0, 0xEE, 0xEE, 8, 0, 0, 0],
            &[0x90, 0xCB, 0, 0, 7, 1, 0, 0xEE, 0xEE, 8, 0, 0, 0],
            &[0x90, 0xC0, 0, 0, 10, 2, 0, 0xEE, 0xEE, 4, 0, 0, 3, 0, 0, 0],
            &[
                0x90, 0xCC, 0, 0, 17, 3, 0, 0xEE, 0xEE, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 0, 0,
            ],
            &[0x90, 0x3B, 0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 7, 0],
            &[0x90, 0xC7, 0, 0, 0],
        ] {
            assert_eq!(card.transmit(command).answer, [0x91, 0x00]);
        }
        card
    }

    fn with_checksum(mut content: Vec<u8>) -> Vec<u8> {
        let checksum: [u8; CHECKSUM_LEN] = Sha256::digest(&content).into();
        content.extend(checksum);
        content
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn altered_content_with_a_right_checksum_is_refused_or_makes_a_usable_card(
            index in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            number in 0u8..4,
        ) {
            let mut content = card().snapshot();
            content.truncate(content.len().saturating_sub(CHECKSUM_LEN));
            let index = index.index(content.len());
            content[index] = byte;
            if let Ok(mut card) = Card::restore(&with_checksum(content)) {
                card.transmit(&[0x90, 0x5A, 0, 0, 3, 1, 0, 0, 0]);
                for ins in [0x3D, 0x3B] {
                    card.transmit(&[0x90, ins, 0, 0, 8, number, 0, 0, 0, 1, 0, 0, 7, 0]);
                }
                for ins in [0xBD, 0xBB] {
                    card.transmit(&[0x90, ins, 0, 0, 7, number, 0, 0, 0, 0, 0, 0, 0]);
                }
                card.transmit(&[0x90, 0x0C, 0, 0, 5, number, 1, 0, 0, 0, 0]);
                card.transmit(&[0x90, 0xC7, 0, 0, 0]);
                prop_assert!(Card::restore(&card.snapshot()).is_ok());
            }
        }
    }

    #[test]
    fn content_that_no_card_can_have_is_refused() {
        let mut content = MAGIC.to_vec();
        content.push(VERSION);
        assert_eq!(
            Card::restore(&with_checksum(content)).err(),
            Some(SnapshotError::Content)
        );
        let mut card = card();
        for application in &mut card.picc_mut().applications {
            application.keys.clear();
        }
        assert_eq!(
            Card::restore(&card.snapshot()).err(),
            Some(SnapshotError::Content)
        );
    }

    #[test]
    fn a_record_longer_than_the_card_is_refused() {
        let mut card = card();
        for application in &mut card.picc_mut().applications {
            if let Ok(File {
                body: Body::Records(body),
                ..
            }) = application.file_mut(2)
            {
                body.record_len = usize::MAX;
                body.records.clear();
            }
        }
        assert_eq!(
            Card::restore(&card.snapshot()).err(),
            Some(SnapshotError::Content)
        );
    }

    #[test]
    fn bytes_behind_the_content_are_refused() {
        let mut content = card().snapshot();
        content.truncate(content.len().saturating_sub(CHECKSUM_LEN));
        content.push(0);
        assert_eq!(
            Card::restore(&with_checksum(content)).err(),
            Some(SnapshotError::Content)
        );
    }
}
