//! Where events of a holder's orders are sent, as everybody else sees it.
//!
//! Events are read from the sealed audit log, segment after segment, so that no order pays for them and
//! none is lost or told twice to one endpoint.

use async_trait::async_trait;
use core::fmt;
use core::str::FromStr;
use ledger::{HolderId, IdempotencyKey, RemittanceId, Timestamp, WebhookId};
use money::Amount;

use crate::error::{AdminError, StoreError};

/// Endpoints of one holder: one for each program that listens.
pub const WEBHOOKS_MAX: u32 = 8;

/// Longest address of an endpoint, in bytes.
pub const WEBHOOK_URL_LEN_MAX: usize = 500;

/// How long the secret before still signs after a new one was given out, in seconds: a day, in which
/// every process that verifies can be told.
pub const SECRET_OVERLAP_S: i64 = 86_400;

/// Dead letters of one endpoint: with so many nobody listens there, and nothing more is queued for it.
pub const DEAD_LETTERS_MAX: u32 = 1_000;

/// Events of one endpoint that wait or were given up: with so many it is disabled at the next one. An
/// endpoint that answers slowly gets fewer dead letters than events.
pub const WEBHOOK_EVENTS_MAX: u32 = 10_000;

/// Characters that are kept of what was heard last: a status or a few words, and no page of somebody's.
pub const WEBHOOK_ERROR_CHARS_MAX: usize = 200;

/// Names an event, the same at each attempt and at every endpoint: the first 16 bytes of the audit
/// chain's hash that ends in the event's record. So it is of this record alone, after a restore too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventId(pub [u8; 16]);

/// Begins the text form of an event's id.
const EVENT_PREFIX: &str = "evt_";

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EVENT_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let digits = text.strip_prefix(EVENT_PREFIX).ok_or(EventIdError)?;
        let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 32 || !digits.as_bytes().iter().all(lower) {
            return Err(EventIdError);
        }
        let number = u128::from_str_radix(digits, 16).map_err(|_| EventIdError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// A text is no id of an event: `evt_` and 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event's id is evt_ and 32 lower-case hexadecimal digits")]
pub struct EventIdError;

/// What happened to an order. Names are stable; receivers have to pass over those they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderEvent {
    /// Accepted; its amount is still with a bank or on a card of the sender.
    Placed,
    /// Held until its address stands for a card; its amount is in escrow.
    Invited,
    /// Its amount is in escrow, and it is bound to a card.
    Opened,
    /// On the recipient's card: the end.
    Credited,
    /// Not picked up in time, back with the sender: the end.
    Expired,
    /// Taken back by the sender: the end.
    Cancelled,
    /// Its amount never came into escrow, since bank or card refused: the end.
    Failed,
    /// Two persons closed it in doubt, and the sender was paid; the card may still prove otherwise.
    Held,
    /// Closed by two persons for good, back with the sender: the end.
    Closed,
}

impl OrderEvent {
    /// Every event.
    pub const ALL: [Self; 9] = [
        Self::Placed,
        Self::Invited,
        Self::Opened,
        Self::Credited,
        Self::Expired,
        Self::Cancelled,
        Self::Failed,
        Self::Held,
        Self::Closed,
    ];

    /// Its name in bodies.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Placed => "order.placed",
            Self::Invited => "order.invited",
            Self::Opened => "order.opened",
            Self::Credited => "order.credited",
            Self::Expired => "order.expired",
            Self::Cancelled => "order.cancelled",
            Self::Failed => "order.failed",
            Self::Held => "order.held",
            Self::Closed => "order.closed",
        }
    }
}

/// An endpoint to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Names it.
    pub id: WebhookId,
    /// Whose orders.
    pub holder: HolderId,
    /// Where to: 1 to [`WEBHOOK_URL_LEN_MAX`] visible ASCII characters.
    pub url: String,
    /// The caller's clock.
    pub now: Timestamp,
}

/// Why nothing is queued for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disabled {
    /// It answered 410.
    Gone,
    /// It has [`DEAD_LETTERS_MAX`] dead letters, or [`WEBHOOK_EVENTS_MAX`] events.
    DeadLetters,
}

impl Disabled {
    /// The stored and shown form.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::DeadLetters => "dead-letters",
        }
    }

    pub(crate) fn from_code(code: &str) -> Option<Self> {
        [Self::Gone, Self::DeadLetters]
            .into_iter()
            .find(|why| why.code() == code)
    }
}

/// A registered endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Names it.
    pub id: WebhookId,
    /// Whose orders.
    pub holder: HolderId,
    /// Where to.
    pub url: String,
    /// Which of its secrets counts, from 0. They follow from a key of the issuer; none is stored.
    pub secret: u32,
    /// Until when the secret before signs too.
    pub before_until: Option<Timestamp>,
    /// Since when.
    pub created: Timestamp,
    /// Why nothing is queued for it, if nothing is.
    pub disabled: Option<Disabled>,
    /// Events that wait for an attempt.
    pub queued: u64,
    /// Events that were given up.
    pub dead: u64,
}

/// Another secret for an endpoint, asked for under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretAsked {
    /// The endpoint.
    pub webhook: WebhookId,
    /// Who asks: whose key it is.
    pub holder: HolderId,
    /// With which key.
    pub key: IdempotencyKey,
    /// The caller's clock.
    pub now: Timestamp,
}

/// What became of the secret that a key made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretOfKey {
    /// It is the one that counts, and may be shown again.
    Counts {
        /// As in [`WebhookRow::secret`].
        secret: u32,
        /// Until when the secret before signs too.
        before_until: Timestamp,
    },
    /// It is shown no more: the overlap is over, another was made since, or the endpoint is gone.
    NotShown,
    /// It is one of another endpoint.
    ForAnother,
}

/// A change of an order, and who is to hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderChange {
    /// Names it.
    pub event: EventId,
    /// When, by the ledger's time.
    pub at: Timestamp,
    /// What.
    pub what: OrderEvent,
    /// The order.
    pub order: RemittanceId,
    /// How much.
    pub amount: Amount,
    /// The endpoints of its sender, those that listened by then.
    pub webhooks: Vec<WebhookId>,
}

/// The changes of one segment of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Number of the segment.
    pub segment: u64,
    /// Endpoints that begin in it, each with the position of its record.
    pub begun: Vec<(WebhookId, u64)>,
    /// The changes that somebody listens to, in order.
    pub changes: Vec<OrderChange>,
}

/// An event for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Where to.
    pub webhook: WebhookId,
    /// Which event.
    pub event: EventId,
    /// What happened.
    pub what: OrderEvent,
    /// The bytes that are sent, the same at each attempt.
    pub body: Vec<u8>,
    /// When it happened.
    pub at: Timestamp,
}

/// One leased event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The endpoint.
    pub webhook: WebhookId,
    /// The event.
    pub event: EventId,
    /// The bytes to send.
    pub body: Vec<u8>,
    /// Attempts, this one included: 1 at the first lease.
    pub attempts: u32,
    /// Where to.
    pub url: String,
    /// As in [`WebhookRow::secret`].
    pub secret: u32,
    /// As in [`WebhookRow::before_until`].
    pub before_until: Option<Timestamp>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The endpoint has it.
    Delivered,
    /// It has not; try again.
    Retry {
        /// When.
        at: Timestamp,
        /// What was heard instead.
        error: String,
    },
    /// It has not, and was asked often enough: a dead letter.
    Dead {
        /// What was heard instead.
        error: String,
    },
    /// It wants nothing any more.
    Gone,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which event.
    pub event: EventId,
    /// Its name.
    pub what: String,
    /// When it happened.
    pub at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What was heard last; at most [`WEBHOOK_ERROR_CHARS_MAX`] characters.
    pub error: String,
}

/// Endpoints and what is on its way to them. Every write is durable when the call returns.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Registers an endpoint. It hears of what happens from then on.
    ///
    /// # Errors
    /// [`AdminError::Taken`] where the holder has registered the same address;
    /// [`AdminError::OutOfBounds`] beyond [`WEBHOOKS_MAX`] or for an address beyond its bounds;
    /// [`AdminError::Unknown`] for no holder.
    async fn add_webhook(&self, webhook: NewWebhook) -> Result<(), AdminError>;

    /// Forgets an endpoint, with all that is on its way to it.
    ///
    /// # Errors
    /// [`AdminError::Unknown`].
    async fn remove_webhook(&self, webhook: WebhookId, now: Timestamp) -> Result<(), AdminError>;

    /// Makes the next secret count; the one before signs too for [`SECRET_OVERLAP_S`].
    ///
    /// # Errors
    /// [`AdminError::Unknown`]; [`AdminError::OutOfBounds`] after 2^32 - 1 secrets.
    async fn next_secret(&self, webhook: WebhookId, now: Timestamp) -> Result<(), AdminError>;

    /// What became of the secret that this key made; nothing for a new key.
    async fn secret_of_key(&self, asked: SecretAsked) -> Result<Option<SecretOfKey>, StoreError>;

    /// As [`Webhooks::next_secret`] under a key, which stands for this secret for ever: asked again it
    /// makes no other. Gives what became of it.
    ///
    /// # Errors
    /// As [`Webhooks::next_secret`]; nothing is stored under the key then.
    async fn secret_under_key(&self, asked: SecretAsked) -> Result<SecretOfKey, AdminError>;

    /// Lets a disabled endpoint listen again; to one that listens it changes nothing.
    ///
    /// # Errors
    /// [`AdminError::Unknown`].
    async fn enable_webhook(&self, webhook: WebhookId, now: Timestamp) -> Result<(), AdminError>;

    /// One endpoint.
    async fn webhook(&self, webhook: WebhookId) -> Result<Option<WebhookRow>, StoreError>;

    /// A holder's endpoints in order of id.
    async fn webhooks(&self, holder: HolderId) -> Result<Vec<WebhookRow>, StoreError>;

    /// What happened in the next segment of the audit log; nothing where none waits, or nobody listens.
    async fn order_changes(&self) -> Result<Option<Changes>, StoreError>;

    /// Queues what is told of a segment, all or nothing, and goes on to the next. False where another
    /// process was quicker; nothing is written then.
    async fn queue_deliveries(
        &self,
        of: Changes,
        deliveries: Vec<NewDelivery>,
    ) -> Result<bool, StoreError>;

    /// Takes what is due, of each endpoint the event that has waited longest, and counts an attempt for
    /// it. Nobody else gets them before `until`, nor another event of the same endpoint until the attempt
    /// is noted. Endpoints take turns. `limit`: cut to [`crate::LEASES_MAX`].
    async fn lease_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Notes what became of an attempt. `error`: cut to 200 characters.
    async fn attempted(
        &self,
        webhook: WebhookId,
        event: EventId,
        attempt: Attempt,
    ) -> Result<(), StoreError>;

    /// Dead letters of an endpoint in order of their ids, after `after`. `limit`: cut to
    /// [`crate::PAGE_MAX`].
    async fn dead_letters(
        &self,
        webhook: WebhookId,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// Queues a dead letter once more, with all its attempts before it.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] where it is none; [`AdminError::Disabled`] where the endpoint is
    /// disabled.
    async fn send_again(
        &self,
        webhook: WebhookId,
        event: EventId,
        now: Timestamp,
    ) -> Result<(), AdminError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_id_has_one_text() {
        let id = EventId([0xAB; 16]);
        let text = id.to_string();
        assert_eq!(text, format!("evt_{}", "ab".repeat(16)));
        assert_eq!(text.parse(), Ok(id));
        for bad in ["", &text[4..], &text.to_uppercase(), &text[..35], "evt_+b"] {
            assert_eq!(bad.parse::<EventId>(), Err(EventIdError), "{bad}");
        }
        let plus = format!("evt_+{}", "a".repeat(31));
        assert_eq!(plus.parse::<EventId>(), Err(EventIdError));
    }
}
