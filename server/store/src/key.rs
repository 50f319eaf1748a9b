//! Idempotency keys of calls that name what they change, and so need no answer kept: what is kept is what
//! a key stands for.

use async_trait::async_trait;
use ledger::{ContentHash, IdempotencyScope, RemittanceId, Timestamp};

use crate::error::StoreError;

/// A key and what its caller asks for under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key, its principal and operation.
    pub scope: IdempotencyScope,
    /// Hash of what is asked for.
    pub content: ContentHash,
    /// The remittance that it is asked for.
    pub remittance: RemittanceId,
    /// The caller's clock.
    pub now: Timestamp,
}

/// What a key stood for before this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStands {
    /// For nothing: it is new.
    ForNothing,
    /// For the same.
    ForThis,
    /// For something else.
    ForAnother,
}

/// Keys beside those that [`ledger::Command::PlaceOrder`] carries.
#[async_trait]
pub trait Keys: Send + Sync {
    /// What this key stands for; changes nothing.
    async fn key_stands(&self, key: KeyUse) -> Result<KeyStands, StoreError>;

    /// Lets a new key stand for this, for ever; tells what it stood for before. Durable when the call
    /// returns.
    async fn bind_key(&self, key: KeyUse) -> Result<KeyStands, StoreError>;
}
