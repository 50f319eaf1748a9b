//! Where the ledger is kept: one trait, and SQLite or PostgreSQL behind it.
//!
//! [`Store::apply`] is the only way money moves. Everything else here reads, or keeps what stands
//! beside the money: holders, cards being issued, templates, the outbox. No network, mail or
//! compile step runs inside a transaction.
//!
//! Source: `docs/ledger.md`.

mod database;
mod db;
mod error;
mod key;
mod record;
mod token;
mod traits;
mod webhook;

#[cfg(any(test, feature = "testing"))]
pub mod contract;
pub mod sql;

pub use database::{Database, DatabaseError};
pub use error::{AdminError, ApplyError, StoreError};
pub use key::{
    ANSWER_LEN_MAX, AnswerOf, CancelAnswer, CancelAsked, Expected, KeyUse, Keys, OrderRow,
};
pub use record::{
    ADDRESS_TRIES, ADDRESSES_MAX, AddressEvent, AddressMail, AddressRequest, AnsweredPage,
    CODE_LIFETIME_S, Decision, DoubtRow, EMAIL_LEN_MAX, INVITATION_MAILS_MAX, Incarnated, LogKey,
    LogSegment, Logged, NewCard, NewHolder, OfficerRow, OrderPage, Payable, Seal, Standing,
    TEMPLATE_LEN_MAX, Unsealed, canonical_email,
};
pub use sql::{Access, Gate, Saved, Side, SqlStore};
pub use token::{Bearer, NewToken, TOKEN_LABEL_CHARS_MAX, TOKENS_MAX, TokenRow, Tokens};
pub use traits::{COMMANDS_MAX, LEASES_MAX, PAGE_MAX, Store};
pub use webhook::{
    Attempt, Changes, DEAD_LETTERS_MAX, DeadLetter, Delivery, Disabled, EventId, EventIdError,
    NewDelivery, NewWebhook, OrderChange, OrderEvent, SECRET_OVERLAP_S, SecretAsked, SecretOfKey,
    WEBHOOK_ERROR_CHARS_MAX, WEBHOOK_EVENTS_MAX, WEBHOOK_URL_LEN_MAX, WEBHOOKS_MAX, WebhookRow,
    Webhooks,
};
