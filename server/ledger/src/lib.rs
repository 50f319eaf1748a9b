//! The ledger's rules, without any storage: who holds what, which step of a remittance may
//! follow which, and what is refused in which order.
//!
//! A store (`server/store`) reads the facts a command needs, asks this crate for the decision
//! and writes it in one transaction. Nothing here reads a clock, draws a random number or logs.
//!
//! Source: `docs/ledger.md`.
#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod account;
mod approval;
mod audit;
mod bank;
mod card;
mod card_number;
mod command;
mod escrow;
mod flow;
mod holder;
mod id;
mod invitation;
mod ordering;
mod outbox;
mod refusal;
mod remittance;
mod reread;
mod resolve;
mod time;
mod token;

pub mod rules;

pub use account::{
    Account, AccountRef, BALANCE_MINOR_MAX, CardAccounts, Leg, PAYOUTS_MAX, Transfer, payout_of,
};
pub use approval::{
    Approval, CaseResolved, CloseInDoubt, OFFICER_NAME_LEN_MAX, Officer, OfficerName,
    OfficerNameError, REASON_CHARS_MAX, Resolution, ResolveCase,
};
pub use audit::{AuditCheck, AuditLine, AuditReport, AuditTotals};
pub use bank::{BANK_ACCOUNT_LEN_MAX, BANK_REASON_CHARS_MAX, BankAnswer, BankTask};
pub use card::{
    BATCH_LEN_MAX, CARD_VALUE_MAX, Card, CardState, CardStatus, CaseKind, EVIDENCE_LEN_MAX,
    FreezeCase, InFlight, NumberRef, Proven, SESSION_LEN_MAX, Uid,
};
pub use card_number::{CardNumber, CardNumberError};
pub use command::{
    Command, CommitOutcome, CommitSend, ContentHash, Decide, Decided, IDEMPOTENCY_KEY_LEN_MAX,
    IdempotencyKey, IdempotencyKeyError, IdempotencyScope, LoggedCredit, NewDebit, NewMail,
    Operation, Outcome, Payment, PlaceOrder, Revise, Settle, Settlement,
};
pub use escrow::{Escrow, Event, Posting, Transition};
pub use flow::{Flow, Source, order_event};
pub use holder::{Holder, Language, TokenHash};
pub use id::{CardId, HolderId, IdError, MailId, RemittanceId, TokenId, TransferId, WebhookId};
pub use invitation::{
    BindFacts, BindInvitation, INVITED_LEN_MAX, Invitation, InvitationEvent, InvitationMail,
    InvitationStatus, Invite, InviteFacts, bind, fits, invite,
};
pub use outbox::{MailStatus, OutboxMail};
pub use refusal::Refusal;
pub use remittance::{
    ClaimRef, RECEIPT_LEN_MAX, REVISION_MAX, Remittance, ReturnReason, Status, UnfundedReason,
};
pub use reread::{RereadPlan, RereadStep};
pub use resolve::{
    Adopted, PayOutFacts, PayOutPlan, ResolveFacts, ResolvePlan, SETTLE_WINDOW_DEFAULT_S,
    SETTLE_WINDOW_MAX_S, approved, close_in_doubt, close_invitation, pay_out, resolve_case,
};
pub use time::Timestamp;
pub use token::{Scope, Scopes};
