//! The chain: each record's hash covers its position and the hash before it; heads sign a hash.

use alloc::string::String;
use alloc::vec::Vec;

use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use wire::cbor::{self, DecodeError, Reader};
use wire::signed::{self, KEY_ID_LEN, Label, SignedError};

/// Stands before what is hashed, so that no hash made for something else is one of this chain.
const CONTEXT: &[u8] = b"tegata-audit-record-v1\0";

const VERSION: u64 = 1;

/// SHA-256.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The end of a chain: how many records it has, and the hash that covers all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Position of the last record, from 1; 0 before the first.
    pub position: u64,
    /// SHA-256 over a context, the hash before, the position (8 bytes, most significant first)
    /// and the record; zeros before the first.
    pub hash: [u8; 32],
}

impl Link {
    /// Before the first record.
    pub const START: Self = Self {
        position: 0,
        hash: [0; 32],
    };

    /// The chain with one more record.
    #[must_use]
    pub fn next(self, record: &[u8]) -> Self {
        let position = self.position.saturating_add(1);
        let hash = Sha256::new()
            .chain_update(CONTEXT)
            .chain_update(self.hash)
            .chain_update(position.to_be_bytes())
            .chain_update(record)
            .finalize()
            .into();
        Self { position, hash }
    }
}

/// The statement that is signed about a chain: everything up to `last` has this hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The issuer whose chain it is.
    pub issuer: String,
    /// Number of this head, from 1, without gaps.
    pub number: u64,
    /// First position after the head before.
    pub first: u64,
    /// The chain's end.
    pub link: Link,
    /// When it was sealed, Unix seconds.
    pub sealed_at: u64,
}

impl Head {
    /// The signed head.
    ///
    /// # Errors
    /// [`DecodeError::Bounds`] for a field outside its bounds.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        Ok(signed::seal(&self.write(), Label::AuditHead, key))
    }

    /// Opens a signed head. `lookup` gives the public key of an accepted key id.
    ///
    /// # Errors
    /// The envelope's, or [`SignedError::Envelope`] with what is wrong inside.
    pub fn open(
        bytes: &[u8],
        lookup: impl FnOnce(&[u8; KEY_ID_LEN]) -> Option<[u8; 32]>,
    ) -> Result<Self, SignedError> {
        let payload = signed::open(bytes, Label::AuditHead, lookup)?;
        cbor::decode(payload, Label::AuditHead.len_max(), Self::read, Self::write)
            .map_err(SignedError::Envelope)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let bounds = |holds: bool, field| holds.then_some(()).ok_or(DecodeError::Bounds { field });
        bounds(wire::is_issuer_name(&self.issuer), "issuer")?;
        bounds(self.number >= 1, "number")?;
        bounds((1..=self.link.position).contains(&self.first), "first")
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("head", 7)?;
        reader.version(VERSION)?;
        let head = Self {
            issuer: reader.text("issuer", 1..=wire::ISSUER_NAME_LEN_MAX)?.into(),
            number: reader.u64("number")?,
            first: reader.u64("first")?,
            link: Link {
                position: reader.u64("last")?,
                hash: reader.fixed("hash")?,
            },
            sealed_at: reader.u64("sealed at")?,
        };
        head.check()?;
        Ok(head)
    }

    fn write(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(7)?
                .u64(VERSION)?
                .str(&self.issuer)?
                .u64(self.number)?
                .u64(self.first)?
                .u64(self.link.position)?
                .bytes(&self.link.hash)?
                .u64(self.sealed_at)?
                .ok()
        })
    }
}
