//! Bearer tokens of holders, as everybody else sees them.

use async_trait::async_trait;
use ledger::{Holder, HolderId, Scopes, Timestamp, TokenHash, TokenId};

use crate::error::{AdminError, StoreError};

/// Tokens of one holder that open something: a few programs, each with its own, and their successors.
pub const TOKENS_MAX: u32 = 32;

/// Longest label of a token, in characters.
pub const TOKEN_LABEL_CHARS_MAX: usize = 64;

/// A token to be given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Names it.
    pub id: TokenId,
    /// Whose.
    pub holder: HolderId,
    /// What it is for: 1 to [`TOKEN_LABEL_CHARS_MAX`] characters, none of them a control character.
    pub label: String,
    /// SHA-256 of its 256 random bits; the text is stored nowhere.
    pub hash: TokenHash,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it opens nothing; never without.
    pub expires: Option<Timestamp>,
    /// The caller's clock.
    pub now: Timestamp,
}

/// A token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Names it: the holder's own id for the one that the holder began with.
    pub id: TokenId,
    /// What it is for.
    pub label: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Since when.
    pub created: Timestamp,
    /// The day on which it was used last, in days since 1970-01-01 UTC; it may lag by a request.
    pub used_day: Option<i64>,
    /// From when on it opens nothing.
    pub expires: Option<Timestamp>,
    /// Since when it opens nothing.
    pub revoked: Option<Timestamp>,
}

/// Who came with a token that opens something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Whose it is.
    pub holder: Holder,
    /// Names it.
    pub token: TokenId,
    /// What it may do.
    pub scopes: Scopes,
    /// As in [`TokenRow::used_day`].
    pub used_day: Option<i64>,
}

/// Who may speak for a holder. Every write is durable when the call returns.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// The holder of a token, and what it may do; nothing for one that is unknown, revoked, or over at
    /// `now` or at the ledger's time. The hash is looked up as a key: of 256 random bits the time that
    /// takes tells nothing.
    async fn bearer(&self, token: TokenHash, now: Timestamp) -> Result<Option<Bearer>, StoreError>;

    /// Notes the day on which a token was used; an earlier one changes nothing.
    async fn token_used(&self, token: TokenId, day: i64) -> Result<(), StoreError>;

    /// Gives out a token. The same again changes nothing.
    ///
    /// # Errors
    /// [`AdminError::OutOfBounds`] beyond [`TOKENS_MAX`] or for a label beyond its bounds;
    /// [`AdminError::Unknown`] for no holder; [`AdminError::Taken`] for a hash or id in use.
    async fn add_token(&self, token: NewToken) -> Result<(), AdminError>;

    /// Takes a token back, for good and at once: a running server asks the database at each request.
    /// Repeating it changes nothing.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] where this holder has no such token.
    async fn revoke_token(
        &self,
        holder: HolderId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<(), AdminError>;

    /// Every token of a holder, those that open nothing too, in order of id.
    async fn tokens(&self, holder: HolderId) -> Result<Vec<TokenRow>, StoreError>;
}
