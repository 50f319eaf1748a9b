//! Cancels under idempotency keys: key, condition, cancel and first answer are one transaction.

use async_trait::async_trait;
use core::fmt;
use ledger::{
    ContentHash, IdempotencyScope, Invitation, Refusal, Remittance, RemittanceId, Timestamp,
};
use std::sync::Arc;

use crate::error::StoreError;

/// Longest answer that is kept with a key, in bytes: an order with the longest note and address, each
/// character escaped, has less.
pub const ANSWER_LEN_MAX: usize = 4_096;

/// An order as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderRow {
    /// Bound to a card.
    Remittance(Box<Remittance>),
    /// Held until its address stands for a card.
    Invitation(Box<Invitation>),
}

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

/// Whether an order, as it is, is what the caller has seen; asked in the transaction that cancels.
pub type Expected = Arc<dyn Fn(&OrderRow) -> bool + Send + Sync>;

/// Writes the answer, 1 to [`ANSWER_LEN_MAX`] bytes, of an order as it is then; nothing where it cannot.
pub type AnswerOf = fn(OrderRow) -> Option<Vec<u8>>;

/// An order to be taken back by its sender, who is the key's principal.
#[derive(Clone)]
pub struct CancelAsked {
    /// The key, which is new or stands for this.
    pub key: KeyUse,
    /// Under which condition; none is none.
    pub expected: Option<Expected>,
    /// How it is answered.
    pub answer: AnswerOf,
}

impl fmt::Debug for CancelAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelAsked")
            .field("key", &self.key)
            .field("expected", &self.expected.is_some())
            .finish_non_exhaustive()
    }
}

/// The answer to a cancel under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelAnswer {
    /// What [`CancelAsked::answer`] wrote the first time.
    Told(Vec<u8>),
    /// The ledger refused it the first time; only [`Refusal::AlreadyCredited`], [`Refusal::Expired`] and
    /// [`Refusal::Closed`] are kept, since no order ever leaves what they tell.
    Refused(Refusal),
    /// The key stands for something else; nothing has happened.
    ForAnother,
    /// The order is not what is expected; nothing has happened, and the key is as free as before.
    Changed,
}

/// Keys beside those that [`ledger::Command::PlaceOrder`] carries.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The first answer under this key, or that it stands for something else; nothing where none is kept.
    async fn cancel_answer(&self, key: KeyUse) -> Result<Option<CancelAnswer>, StoreError>;

    /// [`ledger::Command::Cancel`] under a key that is new, if the order is what is expected; the first
    /// answer where it is not new, whatever is expected. Durable when the call returns.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for an answer beyond its bounds; nothing has happened then.
    async fn cancel_under_key(&self, asked: CancelAsked) -> Result<CancelAnswer, StoreError>;
}
