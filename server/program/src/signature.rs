//! The signature section, and whole files.
//!
//! Source: `docs/program-format.md`, section "Signature"; the WebAssembly module signatures of
//! the tool `wasmsign2`, narrowed to one form.

use alloc::vec::Vec;

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use wire::signed::{KEY_ID_LEN, key_id};

use crate::order::OrderBytes;
use crate::wrap::{Template, body};

/// The first bytes of every program: WebAssembly, component.
pub const HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// Where the signed body starts.
pub const BODY_OFFSET: usize = HEADER.len() + SECTION_LEN;

/// Length of the signature section.
const SECTION_LEN: usize = 132;
/// Custom section of 129 bytes; name; specification 1, content 1, SHA-256; one set of 114 bytes
/// with one hash.
const SECTION_HEAD: &[u8; 19] = b"\x00\x81\x01\x09signature\x01\x01\x01\x01\x72\x01";
/// One signature of 79 bytes; key id of 12.
const BEFORE_KEY_ID: &[u8; 3] = b"\x01\x4f\x0c";
/// Ed25519; 64 bytes.
const BEFORE_SIGNATURE: &[u8; 2] = b"\x01\x40";
/// What stands before the hash in the signed message.
const MESSAGE_HEAD: &[u8; 10] = b"wasmsig\x01\x01\x01";

/// Why an order cannot be compiled with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The order names another template.
    #[error("order was made for another template")]
    OtherTemplate,
}

/// The file of one program: header, signature section, body.
///
/// # Errors
/// [`CompileError::OtherTemplate`].
pub fn compile(
    template: &Template,
    order: &OrderBytes,
    key: &SigningKey,
) -> Result<Vec<u8>, CompileError> {
    same_template(template, order)?;
    Ok(seal(&body(template, order), key))
}

/// The same file again from what was kept of it, without the signing key.
///
/// # Errors
/// [`CompileError::OtherTemplate`]. Whether the signature fits is not checked.
pub fn assemble(
    template: &Template,
    order: &OrderBytes,
    public: &[u8; 32],
    signature: &[u8; 64],
) -> Result<Vec<u8>, CompileError> {
    same_template(template, order)?;
    let body = body(template, order);
    Ok(file(&body, &hash(&body), &key_id(public), signature))
}

/// Puts header and signature section before a body, whatever it is.
#[must_use]
pub fn seal(body: &[u8], key: &SigningKey) -> Vec<u8> {
    let hash = hash(body);
    let public = key.verifying_key().to_bytes();
    let signature = key.sign(&message(&hash)).to_bytes();
    file(body, &hash, &key_id(&public), &signature)
}

/// The Ed25519 signature of a body: over `"wasmsig" 01 01 01` and its SHA-256, 42 bytes.
#[must_use]
pub fn sign(body: &[u8], key: &SigningKey) -> [u8; 64] {
    key.sign(&message(&hash(body))).to_bytes()
}

fn same_template(template: &Template, order: &OrderBytes) -> Result<(), CompileError> {
    (template.hash() == order.template_hash())
        .then_some(())
        .ok_or(CompileError::OtherTemplate)
}

pub(crate) fn hash(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

pub(crate) fn message(hash: &[u8; 32]) -> Vec<u8> {
    [MESSAGE_HEAD.as_slice(), hash].concat()
}

fn file(body: &[u8], hash: &[u8; 32], key_id: &[u8; KEY_ID_LEN], signature: &[u8; 64]) -> Vec<u8> {
    [&HEADER, section(hash, key_id, signature).as_slice(), body].concat()
}

fn section(hash: &[u8; 32], key_id: &[u8; KEY_ID_LEN], signature: &[u8; 64]) -> Vec<u8> {
    [
        SECTION_HEAD.as_slice(),
        hash,
        BEFORE_KEY_ID,
        key_id,
        BEFORE_SIGNATURE,
        signature,
    ]
    .concat()
}

/// What a signature section says.
pub(crate) struct Section {
    pub(crate) hash: [u8; 32],
    pub(crate) key_id: [u8; KEY_ID_LEN],
    pub(crate) signature: [u8; 64],
}

/// Takes the signature section and the body out of what follows the header.
///
/// The three values lie at fixed offsets; the section must be the one that is built from them.
pub(crate) fn split(after_header: &[u8]) -> Option<(Section, &[u8])> {
    let (bytes, body) = after_header.split_at_checked(SECTION_LEN)?;
    let (_, rest) = bytes.split_first_chunk::<{ SECTION_HEAD.len() }>()?;
    let (hash, rest) = rest.split_first_chunk::<32>()?;
    let (_, rest) = rest.split_first_chunk::<{ BEFORE_KEY_ID.len() }>()?;
    let (key_id, rest) = rest.split_first_chunk::<KEY_ID_LEN>()?;
    let (_, rest) = rest.split_first_chunk::<{ BEFORE_SIGNATURE.len() }>()?;
    let (signature, _) = rest.split_first_chunk::<64>()?;
    let section = Section {
        hash: *hash,
        key_id: *key_id,
        signature: *signature,
    };
    (self::section(hash, key_id, signature) == bytes).then_some((section, body))
}
