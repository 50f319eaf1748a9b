//! The signed envelope of receipts, issuer descriptors, successions, status lists and audit heads.
//!
//! CBOR array of three byte strings: payload, key id (12 bytes), signature (64 bytes). Ed25519
//! over label, one zero byte, payload. The label binds the signature to one kind of content, so
//! that no signature made for one can be shown as another.

use alloc::vec::Vec;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::cbor::{self, DecodeError};
use crate::descriptor::{KeyEntry, Purpose};

/// Length of a key id in bytes.
pub const KEY_ID_LEN: usize = 12;

/// What kind of content is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A receipt: [`crate::receipt`].
    Receipt,
    /// An issuer descriptor: [`crate::descriptor`].
    Issuer,
    /// The head of an audit log (docs/audit-log.md).
    AuditHead,
    /// A status list: [`crate::status`].
    Status,
    /// A root names the one that follows it: [`crate::succession`].
    Succession,
}

/// Longest signed audit head, in bytes: it takes below 430 with the longest issuer name.
const AUDIT_HEAD_LEN_MAX: usize = 512;

impl Label {
    /// The text that stands before the payload in the signed message.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Receipt => "tegata-receipt-v1",
            Self::Issuer => "tegata-issuer-v1",
            Self::AuditHead => "tegata-audit-head-v1",
            Self::Status => "tegata-status-v1",
            Self::Succession => "tegata-succession-v1",
        }
    }

    /// Longest envelope with such content, in bytes.
    #[must_use]
    pub const fn len_max(self) -> usize {
        match self {
            Self::Receipt => crate::exchange::RECEIPT_LEN_MAX,
            Self::Issuer => crate::descriptor::DESCRIPTOR_LEN_MAX,
            Self::AuditHead => AUDIT_HEAD_LEN_MAX,
            Self::Status => crate::status::STATUS_LEN_MAX,
            Self::Succession => crate::succession::LINK_LEN_MAX,
        }
    }

    fn message(self, payload: &[u8]) -> Vec<u8> {
        [self.text().as_bytes(), &[0], payload].concat()
    }
}

/// Why an envelope is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// Not an envelope, or not in its one encoding.
    #[error("envelope: {0}")]
    Envelope(DecodeError),
    /// Signed by a key that is not among those accepted here.
    #[error("signed by an unknown key")]
    KeyUnknown,
    /// The signature does not fit payload, label and key.
    #[error("signature is wrong")]
    Signature,
}

/// Why content is not accepted that a key of an issuer's descriptor must have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The envelope or its signature.
    #[error(transparent)]
    Signed(SignedError),
    /// The content.
    #[error("content: {0}")]
    Content(DecodeError),
    /// The key may not sign such content.
    #[error("key has another purpose")]
    KeyPurpose,
    /// The key was revoked.
    #[error("key is revoked")]
    KeyRevoked,
    /// The content's time lies outside the key's validity.
    #[error("key was not valid at that time")]
    KeyTime,
}

/// Opens content of kind `label` that one of `keys` with this purpose has signed, and reads it.
///
/// `at` gives the content's own time, which the key's validity must hold.
///
/// # Errors
/// In this order: [`SignerError::Signed`], [`SignerError::KeyPurpose`], [`SignerError::KeyRevoked`],
/// [`SignerError::Content`], [`SignerError::KeyTime`].
pub(crate) fn open_by<T>(
    bytes: &[u8],
    label: Label,
    (keys, purpose): (&[KeyEntry], Purpose),
    read: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    at: impl FnOnce(&T) -> u64,
) -> Result<T, SignerError> {
    let mut signer = None;
    let payload = open(bytes, label, |id| {
        signer = keys.iter().find(|key| key_id(&key.public) == *id);
        signer.map(|key| key.public)
    })
    .map_err(SignerError::Signed)?;
    let signer = signer.ok_or(SignerError::Signed(SignedError::KeyUnknown))?;
    if signer.purpose != purpose {
        return Err(SignerError::KeyPurpose);
    }
    if signer.revoked_at.is_some() {
        return Err(SignerError::KeyRevoked);
    }
    let content = read(payload).map_err(SignerError::Content)?;
    if !(signer.not_before..=signer.not_after).contains(&at(&content)) {
        return Err(SignerError::KeyTime);
    }
    Ok(content)
}

/// The id of a public key: the first 12 bytes of HMAC-SHA-256 with the public key as key over
/// the ASCII text `key_id`.
///
/// The derivation of the WebAssembly signature tools, so that a program's key has one id
/// everywhere.
#[must_use]
pub fn key_id(public: &[u8; 32]) -> [u8; KEY_ID_LEN] {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(public)
        .map(|hmac| hmac.chain_update(b"key_id").finalize().into_bytes())
        .unwrap_or_default();
    core::array::from_fn(|index| mac.get(index).copied().unwrap_or_default())
}

/// Signs `payload` as content of kind `label`; gives the envelope.
#[must_use]
pub fn seal(payload: &[u8], label: Label, key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&label.message(payload)).to_bytes();
    write(&Envelope {
        payload,
        key_id: key_id(&key.verifying_key().to_bytes()),
        signature,
    })
}

/// Opens an envelope with content of kind `label`; gives the payload as it was signed.
///
/// `lookup` gives the public key for a key id, if that key is accepted.
///
/// # Errors
/// In this order: [`SignedError::Envelope`], [`SignedError::KeyUnknown`] (also if the key found
/// has another id), [`SignedError::Signature`] (also for weak keys and non-canonical forms).
///
/// Source: RFC 8032 section 5.1.7, with the strict rules of `verify_strict`.
pub fn open(
    bytes: &[u8],
    label: Label,
    lookup: impl FnOnce(&[u8; KEY_ID_LEN]) -> Option<[u8; 32]>,
) -> Result<&[u8], SignedError> {
    let envelope = read(bytes, label).map_err(SignedError::Envelope)?;
    let public = lookup(&envelope.key_id)
        .filter(|public| key_id(public) == envelope.key_id)
        .ok_or(SignedError::KeyUnknown)?;
    VerifyingKey::from_bytes(&public)
        .and_then(|key| {
            key.verify_strict(
                &label.message(envelope.payload),
                &Signature::from_bytes(&envelope.signature),
            )
        })
        .map_err(|_| SignedError::Signature)?;
    Ok(envelope.payload)
}

/// The payload of an envelope whose signature nobody has checked.
///
/// For content that names its own key, to be opened again with that key, and for inspection.
///
/// # Errors
/// [`SignedError::Envelope`].
pub fn payload_unverified(bytes: &[u8], label: Label) -> Result<&[u8], SignedError> {
    read(bytes, label)
        .map(|envelope| envelope.payload)
        .map_err(SignedError::Envelope)
}

struct Envelope<'b> {
    payload: &'b [u8],
    key_id: [u8; KEY_ID_LEN],
    signature: [u8; 64],
}

fn read(bytes: &[u8], label: Label) -> Result<Envelope<'_>, DecodeError> {
    cbor::decode(
        bytes,
        label.len_max(),
        |reader| {
            reader.array("envelope", 3)?;
            Ok(Envelope {
                payload: reader.bytes("payload", 1..=label.len_max())?,
                key_id: reader.fixed("key id")?,
                signature: reader.fixed("signature")?,
            })
        },
        write,
    )
}

fn write(envelope: &Envelope<'_>) -> Vec<u8> {
    cbor::encode(|e| {
        e.array(3)?
            .bytes(envelope.payload)?
            .bytes(&envelope.key_id)?
            .bytes(&envelope.signature)?
            .ok()
    })
}
