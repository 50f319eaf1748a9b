//! The store as everybody else sees it.

use async_trait::async_trait;
use ledger::{
    Account, Approval, AuditReport, BankTask, Card, CardAccounts, CardId, ClaimRef, Command,
    FreezeCase, Holder, HolderId, InFlight, Invitation, InvitationMail, MailId, MailStatus,
    NumberRef, Officer, OfficerName, OutboxMail, Outcome, Refusal, Remittance, RemittanceId,
    Timestamp, Transfer, TransferId, Uid,
};
use money::Money;

use crate::error::{AdminError, ApplyError, StoreError};
use crate::key::Keys;
use crate::record::{
    AddressEvent, AddressMail, AddressRequest, AnsweredPage, Decision, DoubtRow, Incarnated,
    LogKey, LogSegment, NewCard, NewHolder, OfficerRow, OrderPage, Payable, Seal, Standing,
    Unsealed,
};
use crate::token::Tokens;
use crate::webhook::Webhooks;

/// Most commands in one [`Store::apply`] and in one shared commit: past it a commit takes so long
/// that its first caller waits noticeably for its last.
pub const COMMANDS_MAX: usize = 1_000;

/// Most rows in one page or one sweep.
pub const PAGE_MAX: u32 = 1_000;

/// Most mails, and most questions to the bank, in one lease.
pub const LEASES_MAX: u32 = 1_000;

/// A ledger that survives crashes.
///
/// Every write below is durable when the call returns. A call whose future is dropped may or may
/// not happen; ask by id.
#[async_trait]
pub trait Store: Keys + Tokens + Webhooks + Send + Sync {
    // --- money ---

    /// Carries out commands, each wholly or not at all, in the given order.
    ///
    /// The commands of concurrent callers share commits; answers, refusals too, come only after
    /// the commit. One answer per command, in the same order.
    ///
    /// # Errors
    /// [`StoreError::TooManyCommands`] beyond [`COMMANDS_MAX`]; [`StoreError::Unavailable`] where
    /// nothing is known to be written.
    async fn apply(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Outcome, Refusal>>, StoreError>;

    /// Carries out one command, see [`Store::apply`].
    ///
    /// # Errors
    /// The refusal, or the storage's error.
    async fn apply_one(&self, command: Command) -> Result<Outcome, ApplyError> {
        let answers = self.apply(vec![command]).await?;
        match answers.into_iter().next() {
            Some(answer) => Ok(answer?),
            None => Err(StoreError::Corrupt { what: "answer" }.into()),
        }
    }

    /// The highest time the ledger has committed.
    async fn time_floor(&self) -> Result<Timestamp, StoreError>;

    /// Balance of an account; `None` where it does not exist. The float exists in any currency.
    async fn balance(&self, account: Account) -> Result<Option<Money>, StoreError>;

    /// How many other database servers have what this one commits before callers hear of it; a file has
    /// none. PostgreSQL tells only those who may read statistics (role `pg_read_all_stats`).
    async fn synchronous_standbys(&self) -> Result<u64, StoreError>;

    /// A posted transfer.
    async fn transfer(&self, id: TransferId) -> Result<Option<Transfer>, StoreError>;

    /// Checks every promise of `docs/ledger.md` against one consistent reading of all rows.
    async fn audit(&self) -> Result<AuditReport, StoreError>;

    // --- how card accounts are kept ---

    /// The setting.
    async fn card_accounts(&self) -> Result<CardAccounts, StoreError>;

    /// Changes it, and moves what each card holds to or from the pool. The same again changes nothing.
    ///
    /// # Errors
    /// [`AdminError::OpenRemittances`] while money is in escrow, with the list.
    async fn set_card_accounts(&self, to: CardAccounts, now: Timestamp) -> Result<(), AdminError>;

    /// Freezes one card whose books do not agree, and keeps what was found as a case. A card that is
    /// frozen or blocked stays so.
    ///
    /// `found`: 1 to [`ledger::EVIDENCE_LEN_MAX`] bytes.
    async fn freeze_card(
        &self,
        card: CardId,
        found: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), AdminError>;

    // --- a restored backup ---

    /// The incarnation that a restore gave to this database; none before the first.
    async fn incarnation(&self) -> Result<Option<[u8; 16]>, StoreError>;

    /// Begins a new life of a database that was restored from a backup: every remittance whose money
    /// is in escrow is recovering, every card is to be read again. The same incarnation again
    /// changes nothing and counts what still waits.
    ///
    /// `incarnation`: 16 random bytes, other ones than ever before.
    async fn begin_incarnation(
        &self,
        incarnation: [u8; 16],
        now: Timestamp,
    ) -> Result<Incarnated, StoreError>;

    // --- remittances ---

    /// One remittance.
    async fn remittance(&self, id: RemittanceId) -> Result<Option<Remittance>, StoreError>;

    /// The debit that pays for an order; nothing where no card does.
    async fn debit_of(&self, order: RemittanceId) -> Result<Option<Remittance>, StoreError>;

    /// One remittance by the keyed hash of its claim code, whatever its status.
    async fn remittance_by_claim(&self, claim: ClaimRef) -> Result<Option<Remittance>, StoreError>;

    /// All that an exchange needs, read at one instant.
    async fn standing(&self, id: RemittanceId) -> Result<Option<Standing>, StoreError>;

    /// A sender's orders, newest first. `before`: only older ones; `limit`: cut to [`PAGE_MAX`].
    async fn orders(
        &self,
        sender: HolderId,
        before: Option<RemittanceId>,
        limit: u32,
    ) -> Result<OrderPage, StoreError>;

    /// Remittances with `expires <= now` that are open, or that no bank was asked for yet, oldest
    /// first, for [`Command::Expire`].
    async fn expirable(&self, now: Timestamp, limit: u32) -> Result<Vec<RemittanceId>, StoreError>;

    // --- holders and cards ---

    /// Adds a holder with an empty account.
    async fn add_holder(&self, holder: NewHolder) -> Result<(), AdminError>;

    /// Changes where a holder's mail goes; orders that are placed already keep their address.
    async fn set_email(&self, holder: HolderId, email: Option<String>) -> Result<(), AdminError>;

    /// One holder.
    async fn holder(&self, id: HolderId) -> Result<Option<Holder>, StoreError>;

    /// All holders in order of id, after `after`. `limit`: cut to [`PAGE_MAX`].
    async fn holders(&self, after: Option<HolderId>, limit: u32)
    -> Result<Vec<Holder>, StoreError>;

    /// Writes the row of a card before the first command goes to its chip. The same call again
    /// is accepted while the card is still `Issuing`, so that an interrupted issue can be resumed.
    async fn begin_issue(&self, card: NewCard) -> Result<(), AdminError>;

    /// `Issuing` to `Active`, once the new keys have authenticated. Repeating it changes nothing.
    async fn finish_issue(&self, card: CardId, now: Timestamp) -> Result<(), AdminError>;

    /// One card.
    async fn card(&self, id: CardId) -> Result<Option<Card>, StoreError>;

    /// The card of a number.
    async fn card_by_number(&self, number: NumberRef) -> Result<Option<Card>, StoreError>;

    /// The card of a chip.
    async fn card_by_uid(&self, uid: Uid) -> Result<Option<Card>, StoreError>;

    /// All cards in order of id, after `after`. `limit`: cut to [`PAGE_MAX`].
    async fn cards(&self, after: Option<CardId>, limit: u32) -> Result<Vec<Card>, StoreError>;

    /// What is in flight on a card.
    async fn in_flight(&self, card: CardId) -> Result<Option<InFlight>, StoreError>;

    /// Cases of cards, open and closed, in order of their numbers, after `after`. `limit`: cut to
    /// [`PAGE_MAX`].
    async fn cases(&self, after: u64, limit: u32) -> Result<Vec<FreezeCase>, StoreError>;

    /// One case.
    async fn case(&self, number: u64) -> Result<Option<FreezeCase>, StoreError>;

    // --- in doubt ---

    /// Remittances in doubt, recovering or held, in order of id, after `after`. `limit`: cut to
    /// [`PAGE_MAX`].
    async fn in_doubt(
        &self,
        after: Option<RemittanceId>,
        limit: u32,
    ) -> Result<Vec<DoubtRow>, StoreError>;

    /// The same of one card, and what receipts have shown of it while it is to be read again.
    async fn undecided(&self, card: CardId) -> Result<Vec<Remittance>, StoreError>;

    /// What [`Command::PayOut`] would answer at `now`, and writes nothing: the minor units it would move,
    /// or why it would be refused.
    async fn payout(
        &self,
        card: CardId,
        now: Timestamp,
    ) -> Result<Result<i64, Refusal>, StoreError>;

    /// What holders are owed, after `after`, in order of holder. `limit`: cut to [`PAGE_MAX`].
    async fn payables(
        &self,
        after: Option<HolderId>,
        limit: u32,
    ) -> Result<Vec<Payable>, StoreError>;

    /// Adds a person who decides with another. A name is never given out again; the same name and
    /// token once more changes nothing. `approval`: of two others, once two were ever added.
    ///
    /// # Errors
    /// [`AdminError::TwoPersonsNeeded`], [`AdminError::Refused`] for an approval that is none.
    async fn add_officer(
        &self,
        officer: Officer,
        approval: Option<Approval>,
        now: Timestamp,
    ) -> Result<(), AdminError>;

    /// Ends a person's part in decisions; what was decided stays. Repeating it changes nothing. The
    /// person may be one of the two who approve it.
    ///
    /// # Errors
    /// As [`Store::add_officer`]; [`AdminError::TooFewOfficers`] where fewer than two would be left.
    async fn withdraw_officer(
        &self,
        name: OfficerName,
        approval: Option<Approval>,
        now: Timestamp,
    ) -> Result<(), AdminError>;

    /// How long after its report a lost card is paid out, in seconds.
    async fn settle_window(&self) -> Result<u32, StoreError>;

    /// Changes it, up to [`ledger::SETTLE_WINDOW_MAX_S`]; approved as [`Store::add_officer`].
    async fn set_settle_window(
        &self,
        seconds: u32,
        approval: Option<Approval>,
        now: Timestamp,
    ) -> Result<(), AdminError>;

    /// All officers, those withdrawn too, by name.
    async fn officers(&self) -> Result<Vec<OfficerRow>, StoreError>;

    /// What two persons decided, in order, after `after`. `limit`: cut to [`PAGE_MAX`].
    async fn decisions(&self, after: u64, limit: u32) -> Result<Vec<Decision>, StoreError>;

    // --- mail addresses that stand for a card ---

    /// Begins the verification of an address, and queues the mail with its code. Again before it is
    /// verified: a new code, the earlier one no longer counts.
    ///
    /// # Errors
    /// [`AdminError::Taken`] where the address is verified, for whomever;
    /// [`AdminError::OutOfBounds`] beyond [`crate::ADDRESSES_MAX`] or for no canonical address.
    async fn request_address(&self, request: AddressRequest) -> Result<(), AdminError>;

    /// Ends a verification by its code, once; gives the holder, whose mail goes there from now on. A
    /// code that is wrong, used, or older than [`crate::CODE_LIFETIME_S`] gives nothing, and a wrong
    /// one takes one of [`crate::ADDRESS_TRIES`] from every verification that waits for this address.
    ///
    /// `code_hash`: keyed hash of what was typed.
    ///
    /// # Errors
    /// [`AdminError::Taken`] where another holder was quicker; nothing moves then.
    async fn verify_address(
        &self,
        email: String,
        code_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<HolderId>, AdminError>;

    /// Chooses the card that a verified address stands for, one of the holder's active ones, or none.
    async fn set_default_card(
        &self,
        holder: HolderId,
        email: String,
        card: Option<CardId>,
        now: Timestamp,
    ) -> Result<(), AdminError>;

    /// Forgets an address, verified or not; what was ordered to it stays as it is.
    async fn remove_address(
        &self,
        holder: HolderId,
        email: String,
        now: Timestamp,
    ) -> Result<(), AdminError>;

    /// The card that a verified address stands for: the chosen one while it is active, else the
    /// holder's only active one.
    async fn card_of_address(&self, email: String) -> Result<Option<Card>, StoreError>;

    /// What happened to a holder's addresses, newest first. `limit`: cut to [`PAGE_MAX`].
    async fn address_history(
        &self,
        holder: HolderId,
        limit: u32,
    ) -> Result<Vec<AddressEvent>, StoreError>;

    /// Takes codes that are to be mailed, oldest first, as [`Store::lease_mail`] does.
    async fn lease_address_mail(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<AddressMail>, StoreError>;

    /// Notes that a code was mailed or given up, or when to try again.
    async fn address_mail_done(
        &self,
        request: MailId,
        retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    // --- orders to addresses that nobody has verified ---

    /// One invitation, whatever became of it.
    async fn invitation(&self, id: RemittanceId) -> Result<Option<Invitation>, StoreError>;

    /// A sender's invitations that have not become remittances, newest first. `before`: only older
    /// ones; `limit`: cut to [`PAGE_MAX`].
    async fn invitations(
        &self,
        sender: HolderId,
        before: Option<RemittanceId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError>;

    /// Those that wait since a restore, of all senders, in order of id, after `after`; at most
    /// [`PAGE_MAX`].
    async fn recovering_invitations(
        &self,
        after: Option<RemittanceId>,
    ) -> Result<Vec<Invitation>, StoreError>;

    /// Invitations that [`Command::BindInvitation`] would accept at `now`, in order of id, after
    /// `after`. `limit`: of the rows looked at, cut to [`PAGE_MAX`].
    async fn answered_invitations(
        &self,
        after: Option<RemittanceId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<AnsweredPage, StoreError>;

    /// Takes mails that invite, oldest first, as [`Store::lease_mail`] does.
    async fn lease_invitation_mail(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<InvitationMail>, StoreError>;

    /// Notes what became of a mail that invites; with [`MailStatus::Queued`], when to try again.
    async fn invitation_mail_done(
        &self,
        id: RemittanceId,
        done: MailStatus,
        retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    // --- the bank ---

    /// Sets or removes a holder's account at the bank: 1 to [`ledger::BANK_ACCOUNT_LEN_MAX`] visible
    /// ASCII characters. Orders that are placed already keep theirs.
    async fn set_bank_account(
        &self,
        holder: HolderId,
        account: Option<String>,
    ) -> Result<(), AdminError>;

    /// A holder's account at the bank.
    async fn bank_account(&self, holder: HolderId) -> Result<Option<String>, StoreError>;

    /// Takes questions to the bank that are due, oldest first, and counts an attempt for each. Nobody
    /// else gets them before `until`. `limit`: cut to [`LEASES_MAX`].
    async fn lease_bank(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<BankTask>, StoreError>;

    /// Questions that the bank has not answered though it was asked at least `attempts` times, in order
    /// of remittance, after `after`; at most [`PAGE_MAX`].
    async fn bank_unanswered(
        &self,
        attempts: u32,
        after: Option<RemittanceId>,
    ) -> Result<Vec<BankTask>, StoreError>;

    // --- templates ---

    /// Keeps a template for ever. `hash`: SHA-256 of `bytes`, computed by the caller.
    async fn put_template(&self, hash: [u8; 32], bytes: Vec<u8>) -> Result<(), AdminError>;

    /// A template.
    async fn template(&self, hash: [u8; 32]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Withdraws a template for good: no program made of it is honoured. Again, nothing changes.
    async fn withdraw_template(&self, hash: [u8; 32], now: Timestamp) -> Result<(), AdminError>;

    /// The hashes of all withdrawn templates, ascending.
    async fn withdrawn_templates(&self) -> Result<Vec<[u8; 32]>, StoreError>;

    /// Open remittances whose first program was replaced, with the revision that counts, newest first.
    /// `limit`: cut to [`PAGE_MAX`].
    async fn replaced(&self, limit: u32) -> Result<Vec<(RemittanceId, u32)>, StoreError>;

    // --- outbox ---

    /// Takes mails that are due, oldest first, and counts an attempt for each. Nobody else gets
    /// them before `until`. `limit`: cut to [`LEASES_MAX`].
    async fn lease_mail(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxMail>, StoreError>;

    /// Whether a mail still waits to go out: false once another one took its place.
    async fn mail_waits(&self, id: MailId) -> Result<bool, StoreError>;

    /// Notes that a mail went out.
    async fn mail_sent(&self, id: MailId) -> Result<(), StoreError>;

    /// Notes that an attempt failed. `retry_at`: when to try again; `None`: never.
    /// `error`: cut to 500 characters; a mail that went out stays so.
    async fn mail_failed(
        &self,
        id: MailId,
        retry_at: Option<Timestamp>,
        error: String,
    ) -> Result<(), StoreError>;

    // --- audit log ---

    /// What waits to be sealed after a journal row; `after`: 0 for the first.
    async fn log_unsealed(&self, after: i64) -> Result<Unsealed, StoreError>;

    /// Appends a segment to the audit log, and takes its records out of what waits. False where
    /// another sealer holds the lease or was quicker; nothing is written then.
    async fn log_append(&self, seal: Seal) -> Result<bool, StoreError>;

    /// One segment of the audit log.
    async fn log_segment(&self, number: u64) -> Result<Option<LogSegment>, StoreError>;

    /// The segment sealed last.
    async fn log_last(&self) -> Result<Option<LogSegment>, StoreError>;

    /// Notes signing keys and revocations in the audit log, those that it does not know yet.
    async fn note_keys(&self, keys: Vec<LogKey>, now: Timestamp) -> Result<(), AdminError>;
}
