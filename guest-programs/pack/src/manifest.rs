//! `guest-programs/prebuilt/manifest.json`: what each committed template is and comes from.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Every committed template by the name of its guest, in the order of the names.
pub type Manifest = BTreeMap<String, Entry>;

/// One committed template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Digest of everything that the bytes depend on except the compiler; see
    /// [`source_digest`](crate::source_digest). Lower-case hexadecimal.
    pub source_sha256: String,
    /// What `rustc --version` said.
    pub compiler: String,
    /// Length of the template.
    pub size_bytes: usize,
    /// SHA-256 of the template, which orders name too. Lower-case hexadecimal.
    pub sha256: String,
}

impl Entry {
    /// Describes `template` as built from sources of the given digest by the given compiler.
    #[must_use]
    pub fn new(template: &[u8], source_sha256: String, compiler: String) -> Self {
        Self {
            source_sha256,
            compiler,
            size_bytes: template.len(),
            sha256: sha256_hex(template),
        }
    }
}

/// SHA-256 of `bytes` in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
