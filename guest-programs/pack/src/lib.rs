//! Turns a guest's core module into the template that is committed, and says what it was built
//! from, so that a template that no longer fits its sources fails a test.
//!
//! A tool for those who change a guest, run by `make guests`. Nothing that ships depends on it:
//! the issuer includes `guest-programs/prebuilt/*.wasm` as a file.

mod manifest;
mod sources;
mod template;

pub use manifest::{Entry, Manifest, sha256_hex};
pub use sources::source_digest;
pub use template::template;
