//! From received bytes to a verified program.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use wire::cbor::DecodeError;
use wire::descriptor::{KeyEntry, Purpose};
use wire::signed::{KEY_ID_LEN, key_id};

use crate::order::{Order, OrderBytes, OrderError};
use crate::signature::{self, BODY_OFFSET, HEADER, Section};
use crate::wrap;

/// Longest program in bytes: five times the ones in use, and small for every mailbox.
pub const FILE_LEN_MAX: usize = 64 * 1024;
/// How far a terminal's clock may be off, in seconds: a wrong time zone, taken for UTC, is less.
pub const CLOCK_TOLERANCE_S: u64 = 86_400;

/// Received bytes of acceptable length, of which nothing else is known.
#[derive(Clone, PartialEq, Eq)]
pub struct RawProgram(Vec<u8>);

impl RawProgram {
    /// Takes received bytes.
    ///
    /// # Errors
    /// [`VerifyError::Size`] beyond [`FILE_LEN_MAX`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, VerifyError> {
        if bytes.len() > FILE_LEN_MAX {
            return Err(VerifyError::Size);
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RawProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawProgram({} bytes)", self.0.len())
    }
}

/// A key from the terminal's trust store; no public key twice for one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The Ed25519 public key.
    pub public: [u8; 32],
    /// DNS name of the issuer in whose entry it stands.
    pub issuer: String,
    /// What it may sign.
    pub purpose: Purpose,
    /// First second of its validity, Unix time.
    pub not_before: u64,
    /// Last second of its validity, Unix time.
    pub not_after: u64,
    /// Since when it is revoked; then it signs nothing any more, whatever the time.
    pub revoked_at: Option<u64>,
}

impl TrustedKey {
    /// A key of `issuer` as its descriptor lists it.
    #[must_use]
    pub fn new(issuer: &str, entry: &KeyEntry) -> Self {
        Self {
            public: entry.public,
            issuer: issuer.into(),
            purpose: entry.purpose,
            not_before: entry.not_before,
            not_after: entry.not_after,
            revoked_at: entry.revoked_at,
        }
    }

    /// Whether this key may sign programs now.
    fn check(&self, now: u64) -> Result<(), VerifyError> {
        if self.purpose != Purpose::Program {
            return Err(VerifyError::KeyPurpose);
        }
        if self.revoked_at.is_some() {
            return Err(VerifyError::KeyRevoked);
        }
        let too_early = now.saturating_add(CLOCK_TOLERANCE_S) < self.not_before;
        let too_late = now > self.not_after.saturating_add(CLOCK_TOLERANCE_S);
        if too_early || too_late {
            return Err(VerifyError::KeyTime);
        }
        Ok(())
    }

    fn signed(&self, section: &Section) -> bool {
        VerifyingKey::from_bytes(&self.public)
            .and_then(|key| {
                key.verify_strict(
                    &signature::message(&section.hash),
                    &Signature::from_bytes(&section.signature),
                )
            })
            .is_ok()
    }
}

/// Why bytes are not a program to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Longer than [`FILE_LEN_MAX`].
    #[error("program is longer than {FILE_LEN_MAX} bytes")]
    Size,
    /// Not headed as a WebAssembly component.
    #[error("not a WebAssembly component")]
    Format,
    /// The signature section is missing or has any form but the one.
    #[error("signature section is missing or malformed")]
    SignatureForm,
    /// No trusted key has the key id.
    #[error("signed by an unknown key")]
    KeyUnknown,
    /// The signature does not fit body and key: something was changed on the way.
    #[error("signature is wrong")]
    Signature,
    /// The key may sign something else, but no programs.
    #[error("key has another purpose")]
    KeyPurpose,
    /// The key was revoked.
    #[error("key is revoked")]
    KeyRevoked,
    /// The key is not valid yet or not any more, by more than [`CLOCK_TOLERANCE_S`].
    #[error("key is not valid at this time")]
    KeyTime,
    /// The body is not the wrapper around a template and its order.
    #[error("program is not built from a template and its order")]
    Manifest,
    /// The order has a version that this terminal does not know.
    #[error("order has an unknown version")]
    Version,
    /// The order bytes are malformed.
    #[error("order is malformed: {0}")]
    OrderForm(OrderError),
    /// The order names another issuer than the one whose key signed.
    #[error("order names another issuer than its signer")]
    Issuer,
}

impl VerifyError {
    /// The stable code for messages, logs and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Size => "E_SIZE",
            Self::Format => "E_FORMAT",
            Self::SignatureForm => "E_SIG_FORM",
            Self::KeyUnknown => "E_KEY_UNKNOWN",
            Self::Signature => "E_SIG",
            Self::KeyPurpose => "E_KEY_PURPOSE",
            Self::KeyRevoked => "E_KEY_REVOKED",
            Self::KeyTime => "E_KEY_TIME",
            Self::Manifest => "E_MANIFEST",
            Self::Version => "E_VERSION",
            Self::OrderForm(_) => "E_ORDER_FORM",
            Self::Issuer => "E_ISSUER",
        }
    }
}

/// A body taken apart; `template` is where it lies in the file.
#[derive(Clone)]
struct Opened {
    template: Range<usize>,
    order: Order,
    order_bytes: OrderBytes,
}

fn split_file(bytes: &[u8]) -> Result<(Section, &[u8]), VerifyError> {
    let after_header = bytes.strip_prefix(&HEADER).ok_or(VerifyError::Format)?;
    signature::split(after_header).ok_or(VerifyError::SignatureForm)
}

fn open_body(body: &[u8]) -> Result<Opened, VerifyError> {
    let parts = wrap::split(body).ok_or(VerifyError::Manifest)?;
    let slice = |range: Range<usize>| body.get(range).ok_or(VerifyError::Manifest);
    let template = slice(parts.template.clone())?;
    let bytes = slice(parts.order)?.to_vec();
    let order = Order::decode(&bytes).map_err(|error| {
        if error == DecodeError::Version {
            VerifyError::Version
        } else {
            VerifyError::OrderForm(error)
        }
    })?;
    let template_hash: [u8; 32] = Sha256::digest(template).into();
    if !template.starts_with(&HEADER) || template_hash != order.template_hash {
        return Err(VerifyError::Manifest);
    }
    let order_bytes = OrderBytes::of(bytes, &order);
    Ok(Opened {
        template: in_file(parts.template),
        order,
        order_bytes,
    })
}

fn in_file(range: Range<usize>) -> Range<usize> {
    range.start.saturating_add(BODY_OFFSET)..range.end.saturating_add(BODY_OFFSET)
}

/// Verifies a received program against the trusted keys at `now` (Unix seconds).
///
/// # Errors
/// In this order: [`VerifyError::Format`]; [`VerifyError::SignatureForm`];
/// [`VerifyError::KeyUnknown`]; [`VerifyError::Signature`]; for the key that signed
/// [`VerifyError::KeyPurpose`], [`VerifyError::KeyRevoked`], [`VerifyError::KeyTime`]; then
/// [`VerifyError::Manifest`] unless the body is byte for byte the one built from its template and
/// order; [`VerifyError::Version`]; [`VerifyError::OrderForm`]; [`VerifyError::Manifest`] again if
/// the order was made for another template; [`VerifyError::Issuer`].
///
/// Whether the order is already or still valid is not asked here.
pub fn verify(
    raw: RawProgram,
    keys: &[TrustedKey],
    now: u64,
) -> Result<VerifiedProgram, VerifyError> {
    let (section, body) = split_file(raw.as_bytes())?;
    let named = keys
        .iter()
        .filter(|key| key_id(&key.public) == section.key_id);
    if named.clone().next().is_none() {
        return Err(VerifyError::KeyUnknown);
    }
    if signature::hash(body) != section.hash {
        return Err(VerifyError::Signature);
    }
    // Two issuers may list one key; each of its entries is judged for itself.
    let mut signers = named.filter(|key| key.signed(&section)).peekable();
    let first = signers.peek().ok_or(VerifyError::Signature)?.check(now);
    let valid: Vec<&TrustedKey> = signers.filter(|key| key.check(now).is_ok()).collect();
    if valid.is_empty() {
        first?;
    }
    let opened = open_body(body)?;
    if !valid.iter().any(|key| key.issuer == opened.order.issuer) {
        return Err(VerifyError::Issuer);
    }
    Ok(VerifiedProgram {
        hash: Sha256::digest(raw.as_bytes()).into(),
        key_id: section.key_id,
        opened,
        bytes: raw.0,
    })
}

/// A program that its issuer signed, that is exactly template and order, and that may be admitted.
///
/// Comes from [`verify`] alone. `Debug` prints neither order nor bytes.
#[derive(Clone)]
pub struct VerifiedProgram {
    bytes: Vec<u8>,
    hash: [u8; 32],
    key_id: [u8; KEY_ID_LEN],
    opened: Opened,
}

impl VerifiedProgram {
    /// The whole file as received: a component that an engine takes as it is.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The template, as it lies in the file.
    #[must_use]
    pub fn template_bytes(&self) -> &[u8] {
        self.bytes
            .get(self.opened.template.clone())
            .unwrap_or_default()
    }

    /// The order; its issuer is that of the signing key.
    #[must_use]
    pub const fn order(&self) -> &Order {
        &self.opened.order
    }

    /// The order bytes, as the guest reads them.
    #[must_use]
    pub const fn order_bytes(&self) -> &OrderBytes {
        &self.opened.order_bytes
    }

    /// SHA-256 of the template.
    #[must_use]
    pub const fn template_hash(&self) -> [u8; 32] {
        self.opened.order.template_hash
    }

    /// Id of the key that signed.
    #[must_use]
    pub const fn key_id(&self) -> [u8; KEY_ID_LEN] {
        self.key_id
    }

    /// SHA-256 of the file.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl fmt::Debug for VerifiedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedProgram({} bytes)", self.bytes.len())
    }
}

/// A program of which only the form is known: anybody may have made it. To look at, never to run.
#[derive(Clone)]
pub struct UnverifiedProgram {
    key_id: [u8; KEY_ID_LEN],
    opened: Opened,
}

impl UnverifiedProgram {
    /// The order as the file claims it.
    #[must_use]
    pub const fn order(&self) -> &Order {
        &self.opened.order
    }

    /// The order bytes.
    #[must_use]
    pub const fn order_bytes(&self) -> &OrderBytes {
        &self.opened.order_bytes
    }

    /// SHA-256 of the template that is in the file.
    #[must_use]
    pub const fn template_hash(&self) -> [u8; 32] {
        self.opened.order.template_hash
    }

    /// Id of the key that the file claims to be signed by.
    #[must_use]
    pub const fn key_id(&self) -> [u8; KEY_ID_LEN] {
        self.key_id
    }
}

impl fmt::Debug for UnverifiedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedProgram")
    }
}

/// Takes a program apart without asking who made it.
///
/// # Errors
/// As [`verify`], without those about keys and without [`VerifyError::Signature`].
pub fn inspect_unverified(raw: &RawProgram) -> Result<UnverifiedProgram, VerifyError> {
    let (section, body) = split_file(raw.as_bytes())?;
    Ok(UnverifiedProgram {
        key_id: section.key_id,
        opened: open_body(body)?,
    })
}
