//! What goes into a store beside commands, and what comes out together.

use audit_log::Link;
use ledger::{
    Card, CardId, Escrow, Holder, HolderId, InFlight, Invitation, Language, MailId, NumberRef,
    OfficerName, Remittance, RemittanceId, Timestamp, TokenHash, Uid,
};
use money::{Currency, Money};

/// Longest template, in bytes: the whole program may have 64 KiB.
pub const TEMPLATE_LEN_MAX: usize = 65_536;

/// A holder to be added, with an empty account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHolder {
    /// Id of the holder and of the account.
    pub id: HolderId,
    /// Name shown to recipients: 1 to 64 characters.
    pub name: String,
    /// Where mail goes: 3 to 254 bytes.
    pub email: Option<String>,
    /// Language of mails.
    pub language: Language,
    /// Currency of the account.
    pub currency: Currency,
    /// Hash of the bearer token; a holder who only receives needs none.
    pub token: Option<TokenHash>,
    /// The caller's clock.
    pub now: Timestamp,
}

/// A card about to be personalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCard {
    /// Id of the card and of its account.
    pub id: CardId,
    /// Keyed hash of the number.
    pub number_ref: NumberRef,
    /// The number with all but the last four digits hidden.
    pub masked: String,
    /// The chip.
    pub uid: Uid,
    /// Whose it will be.
    pub holder: HolderId,
    /// Its currency.
    pub currency: Currency,
    /// The most it may hold, minor units: `1..=ledger::CARD_VALUE_MAX`.
    pub value_max: i64,
    /// The caller's clock.
    pub now: Timestamp,
}

/// A remittance, its card and what is in flight on that card, read at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The remittance.
    pub remittance: Remittance,
    /// The card it is bound to.
    pub card: Card,
    /// What is in flight on that card, for this remittance or another.
    pub in_flight: Option<InFlight>,
    /// While that card is to be read again after a restore: its remittances that are recovering, those
    /// of which it is not known whether they were funded,
    /// and those that a receipt has shown as credited since. Else empty.
    pub recovering: Vec<Remittance>,
    /// The highest time the ledger has committed; the caller's clock counts from here.
    pub time_floor: Timestamp,
    /// Whether the template of the remittance's program was withdrawn.
    pub template_withdrawn: bool,
}

/// What waits since a backup was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incarnated {
    /// Remittances that may have been credited after the backup was made.
    pub recovering: u64,
    /// Invitations that may have become remittances after it.
    pub invitations: u64,
    /// Cards that are to be read again.
    pub cards: u64,
}

/// A person who decides with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficerRow {
    /// Who.
    pub name: OfficerName,
    /// Since when.
    pub created: Timestamp,
    /// Until when, if no longer.
    pub withdrawn: Option<Timestamp>,
}

/// What two persons decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its number, from 1 in order of time.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// `closed-in-doubt`, `case-adopted`, `case-blocked`, `officer-added`, `officer-withdrawn` or
    /// `settle-window`.
    pub what: String,
    /// The remittance's id, the case's number, the officer's name or the seconds.
    pub subject: String,
    /// One of them.
    pub first: String,
    /// The other.
    pub second: String,
    /// Why.
    pub reason: String,
}

/// A remittance that waits for its card's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoubtRow {
    /// The remittance: in doubt, recovering or held.
    pub escrow: Escrow,
    /// When its commit was sent, where that is known.
    pub since: Option<Timestamp>,
    /// The bank has not answered yet what is asked of it about this one; until then two persons can not
    /// close it.
    pub bank_asked: bool,
}

/// What a holder is owed for lost cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payable {
    /// Whom.
    pub holder: HolderId,
    /// How much; may be zero.
    pub balance: Money,
}

/// A page of invitations whose address stands for a card now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredPage {
    /// Each with the card and its holder.
    pub items: Vec<(Invitation, Card, Holder)>,
    /// The last row that was looked at; none at the end.
    pub next: Option<RemittanceId>,
}

/// One page of a sender's orders, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPage {
    /// The orders.
    pub items: Vec<Remittance>,
    /// Where the next page begins, if there is one.
    pub next: Option<RemittanceId>,
}

/// A record of the audit log with the chain's hash that ends in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The canonical bytes.
    pub record: Vec<u8>,
    /// The chain's hash.
    pub hash: [u8; 32],
}

/// A sealed part of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSegment {
    /// Its number, from 1, and that of its head.
    pub number: u64,
    /// Position of its first record.
    pub first: u64,
    /// The chain's end with its last record.
    pub link: Link,
    /// Its records, in order.
    pub records: Vec<Logged>,
    /// The signed head.
    pub head: Vec<u8>,
}

/// What waits to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// Number of the last segment; 0 before the first.
    pub number: u64,
    /// Where the chain ends.
    pub link: Link,
    /// Records in commit order: the first of those that wait, a bounded number.
    pub records: Vec<Vec<u8>>,
    /// The last journal row that they stand in.
    pub through: i64,
    /// Whether more may wait behind them.
    pub more: bool,
}

/// A segment to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Who seals.
    pub owner: [u8; 16],
    /// The sealer's clock.
    pub now: Timestamp,
    /// Until when nobody else seals.
    pub until: Timestamp,
    /// The segment.
    pub segment: LogSegment,
    /// The last journal row that it takes the place of.
    pub through: i64,
}

/// A signing key, as the audit log notes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogKey {
    /// The public key.
    pub public: [u8; 32],
    /// What it signs, as in the issuer descriptor.
    pub purpose: u16,
    /// First second of its validity, Unix time.
    pub not_before: u64,
    /// Last second of its validity, Unix time.
    pub not_after: u64,
    /// When it was revoked, Unix time.
    pub revoked_at: Option<u64>,
}

/// Addresses that one holder may have, verified or not: a person has a few.
pub const ADDRESSES_MAX: u32 = 8;

/// Codes that may be tried for one verification: a person mistypes, a guesser of 80 bits gets nowhere.
pub const ADDRESS_TRIES: u32 = 5;

/// Mails that invite one address in a day, whoever orders: a person needs one, and nobody shall be flooded.
pub const INVITATION_MAILS_MAX: u32 = 3;

/// How long a code can be entered, in seconds: a day, so that a mail may wait for its reader.
pub const CODE_LIFETIME_S: i64 = 86_400;

/// Longest mail address, in bytes (RFC 5321, 4.5.3.1.3, less the angle brackets).
pub const EMAIL_LEN_MAX: usize = 254;

/// The one form in which an address is stored and looked up: without blanks around it, in lower
/// case; nothing for a text that is no address of visible ASCII.
#[must_use]
pub fn canonical_email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.split_once('@')?;
    let whole = text.len() <= EMAIL_LEN_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@');
    whole.then(|| text.to_ascii_lowercase())
}

/// An address to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRequest {
    /// Whose.
    pub holder: HolderId,
    /// The address, as [`canonical_email`] writes it.
    pub email: String,
    /// Names this verification; its code follows from it.
    pub request: MailId,
    /// Keyed hash of the code.
    pub code_hash: [u8; 32],
    /// The caller's clock.
    pub now: Timestamp,
}

/// One leased mail with a code.
#[derive(Clone, PartialEq, Eq)]
pub struct AddressMail {
    /// The verification.
    pub request: MailId,
    /// The address.
    pub to: String,
    /// Name of the holder.
    pub name: String,
    /// The holder's language.
    pub language: Language,
    /// Until when the code can be entered.
    pub expires: Timestamp,
    /// Attempts, this one included: 1 at the first lease.
    pub attempts: u32,
}

impl core::fmt::Debug for AddressMail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AddressMail")
            .field("request", &self.request)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// Something that happened to an address of a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressEvent {
    /// The address.
    pub email: String,
    /// `asked`, `wrong-code`, `verified`, `default-card` or `removed`.
    pub what: String,
    /// The default card since; for `default-card`.
    pub card: Option<CardId>,
    /// When.
    pub at: Timestamp,
}
