//! The issuer descriptor: under which name and by which keys an issuer is known.
//!
//! Served at `/.well-known/tegata-issuer`, signed by the issuer's root key, which signs nothing
//! else. Source: `docs/exchange.md`, section "Issuer descriptor".

use alloc::string::String;
use alloc::vec::Vec;

use data_encoding::BASE32_NOPAD;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use crate::cbor::{self, DecodeError, Reader};
use crate::is_issuer_name;
use crate::signed::{self, Label, SignedError};

/// Longest signed descriptor in bytes: 32 keys, with room.
pub const DESCRIPTOR_LEN_MAX: usize = 4096;
/// Most keys in a descriptor: eight keys of each of the four purposes, rotated every year.
pub const KEYS_MAX: usize = 32;

const VERSION: u64 = 1;
/// Bytes of the root's hash that people compare: 80 bits, 16 letters.
const FINGERPRINT_LEN: usize = 10;

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// Remittance programs.
    Program = 1,
    /// Receipts.
    Receipt = 2,
    /// Status lists.
    Status = 3,
    /// Heads of the audit log.
    Audit = 4,
}

impl Purpose {
    /// The number on the wire: `1..=4`.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    fn from_number(number: u16) -> Option<Self> {
        [Self::Program, Self::Receipt, Self::Status, Self::Audit]
            .into_iter()
            .find(|purpose| u16::from(purpose.number()) == number)
    }
}

/// One key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// What it may sign.
    pub purpose: Purpose,
    /// The Ed25519 public key.
    pub public: [u8; 32],
    /// First second of its validity, Unix time.
    pub not_before: u64,
    /// Last second of its validity, Unix time; not before `not_before`.
    pub not_after: u64,
    /// Since when it is revoked, Unix time. Nothing signed by a revoked key is accepted, however
    /// early it claims to be: a stolen key can write any date.
    pub revoked_at: Option<u64>,
}

/// What a descriptor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// DNS name of the issuer.
    pub issuer: String,
    /// The root key that signs descriptors, distinct from every key below.
    pub root: [u8; 32],
    /// When this list was made, in Unix seconds; a later one replaces an earlier one.
    pub issued_at: u64,
    /// `0..=KEYS_MAX` keys, no public key twice, in the issuer's order.
    pub keys: Vec<KeyEntry>,
}

/// Why a descriptor is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The envelope or its signature.
    #[error(transparent)]
    Signed(SignedError),
    /// The content.
    #[error("issuer descriptor: {0}")]
    Content(DecodeError),
    /// Signed by the expected root and naming another one.
    #[error("issuer descriptor names another root key")]
    Root,
}

impl Descriptor {
    /// The bytes that are signed.
    ///
    /// # Errors
    /// [`DecodeError::Bounds`] for a field outside its bounds.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        Ok(self.write())
    }

    /// Reads the bytes that were signed.
    ///
    /// # Errors
    /// Each variant of [`DecodeError`].
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(payload, DESCRIPTOR_LEN_MAX, Self::read, Self::write)
    }

    /// The signed descriptor, at most [`DESCRIPTOR_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// See [`Descriptor::encode`]; [`DecodeError::Bounds`] for `root` if it is not the public
    /// half of `root_key`.
    pub fn sign(&self, root_key: &SigningKey) -> Result<Vec<u8>, DecodeError> {
        if root_key.verifying_key().to_bytes() != self.root {
            return Err(DecodeError::Bounds { field: "root" });
        }
        Ok(signed::seal(&self.encode()?, Label::Issuer, root_key))
    }

    /// Opens a descriptor of an issuer whose root is known.
    ///
    /// The caller still holds issuer and `issued_at` against what it knew.
    ///
    /// # Errors
    /// In this order: [`DescriptorError::Signed`], [`DescriptorError::Content`],
    /// [`DescriptorError::Root`].
    pub fn verify(bytes: &[u8], root: &[u8; 32]) -> Result<Self, DescriptorError> {
        let payload =
            signed::open(bytes, Label::Issuer, |_| Some(*root)).map_err(DescriptorError::Signed)?;
        let descriptor = Self::decode(payload).map_err(DescriptorError::Content)?;
        if descriptor.root != *root {
            return Err(DescriptorError::Root);
        }
        Ok(descriptor)
    }

    /// Opens a descriptor of an issuer met for the first time, with the root it names itself.
    ///
    /// Shows only that whoever made it holds that root; whose root it is, a person decides by
    /// [`fingerprint`].
    ///
    /// # Errors
    /// [`DescriptorError::Signed`], [`DescriptorError::Content`].
    pub fn verify_first_contact(bytes: &[u8]) -> Result<Self, DescriptorError> {
        let payload =
            signed::payload_unverified(bytes, Label::Issuer).map_err(DescriptorError::Signed)?;
        let root = Self::decode(payload)
            .map_err(DescriptorError::Content)?
            .root;
        Self::verify(bytes, &root)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let bounds = |holds: bool, field| holds.then_some(()).ok_or(DecodeError::Bounds { field });
        bounds(is_issuer_name(&self.issuer), "issuer")?;
        bounds(self.keys.len() <= KEYS_MAX, "keys")?;
        for (index, key) in self.keys.iter().enumerate() {
            bounds(key.not_before <= key.not_after, "key validity")?;
            bounds(key.public != self.root, "key")?;
            let twice = self.keys.iter().skip(index).skip(1);
            bounds(
                !twice.map(|other| other.public).any(|p| p == key.public),
                "key",
            )?;
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("descriptor", 5)?;
        reader.version(VERSION)?;
        let issuer = reader
            .text("issuer", 1..=crate::ISSUER_NAME_LEN_MAX)?
            .into();
        let root = reader.fixed("root")?;
        let issued_at = reader.u64("issued at")?;
        let count = reader.array_within("keys", 0..=KEYS_MAX as u64)?;
        let keys = (0..count)
            .map(|_| KeyEntry::read(reader))
            .collect::<Result<_, _>>()?;
        let descriptor = Self {
            issuer,
            root,
            issued_at,
            keys,
        };
        descriptor.check()?;
        Ok(descriptor)
    }

    fn write(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(5)?
                .u64(VERSION)?
                .str(&self.issuer)?
                .bytes(&self.root)?
                .u64(self.issued_at)?
                .array(self.keys.len() as u64)?;
            self.keys.iter().try_for_each(|key| key.write(e))
        })
    }
}

impl KeyEntry {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("key", 5)?;
        Ok(Self {
            purpose: Purpose::from_number(reader.u16("key purpose")?).ok_or(
                DecodeError::Bounds {
                    field: "key purpose",
                },
            )?,
            public: reader.fixed("key")?,
            not_before: reader.u64("key validity")?,
            not_after: reader.u64("key validity")?,
            revoked_at: reader.optional("key revocation", |r| r.u64("key revocation"))?,
        })
    }

    fn write(&self, e: &mut cbor::Encoder) -> cbor::EncodeStep {
        e.array(5)?
            .u8(self.purpose.number())?
            .bytes(&self.public)?
            .u64(self.not_before)?
            .u64(self.not_after)?;
        match self.revoked_at {
            Some(at) => e.u64(at)?.ok(),
            None => e.null()?.ok(),
        }
    }
}

/// The short form of a root key that people compare: base32 of the first 10 bytes of its
/// SHA-256, in four groups of four letters, as in `ABCD-EFGH-IJKL-MNOP`.
///
/// Source: RFC 4648 section 6, without padding.
#[must_use]
pub fn fingerprint(root: &[u8; 32]) -> String {
    let hash = Sha256::digest(root);
    let letters = BASE32_NOPAD.encode(hash.get(..FINGERPRINT_LEN).unwrap_or_default());
    let mut grouped = String::new();
    for (index, letter) in letters.chars().enumerate() {
        if index > 0 && index.is_multiple_of(4) {
            grouped.push('-');
        }
        grouped.push(letter);
    }
    grouped
}
