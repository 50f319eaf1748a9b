//! What an audit of the books looks at, and what it found.

use alloc::string::String;
use alloc::vec::Vec;

use money::Currency;

/// One promise of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditCheck {
    /// Every row holds what this program writes; the other checks leave an unreadable one out.
    RowsAreReadable,
    /// Per currency: holder, payable and card accounts + escrow + bank + loss + written-off + float = 0.
    SumIsZero,
    /// Each holder's and card's account = sum of its transfers.
    AccountIsItsTransfers,
    /// Escrow by transfers = the amount of the remittance while open or sent, else zero.
    EscrowIsOpenRemittances,
    /// Each funded remittance has its funding transfer, and an end transfer to the right account exactly
    /// when it ended.
    RemittanceHasItsTransfers,
    /// Each card account = the value the card last proved, less what was paid out of it; after a restore, until the card is read
    /// again, plus what receipts have shown.
    CardIsProvenValue,
    /// No holder or card account is below zero.
    NoAccountBelowZero,
    /// Each remittance that two persons closed, and no other, has a transfer from `loss:in-doubt` to
    /// its sender, which a debit does not need, and its card is blocked.
    Held,
    /// Each order that a card pays for has one debit of the same amount and time, each debit such an
    /// order, and the two stand together: funded exactly if the debit was proven.
    DebitPaysForItsOrder,
    /// What was paid out of a lost card = the transfers of its payouts, and nothing else left its account.
    PayoutHasItsTransfers,
    /// Each in-flight row has a remittance whose commit was sent, bound to that card, and back.
    InFlightIsCommitSent,
    /// The pool of a currency = the sum of its cards' sub-records; zero while the accounts are
    /// individual.
    PoolIsItsCards,
    /// Each recovering remittance is bound to a card that is to be read again.
    RecoveringAwaitsItsCard,
    /// Only the newest sequence number after the proven one is in flight.
    InFlightIsNextInSequence,
    /// Each sealed record of the audit log has the hash that follows from it and those before it.
    LogIsChained,
    /// The transfers of the audit log are those of the books, and replayed they give the accounts.
    LogMatchesLedger,
}

impl AuditCheck {
    /// All checks, in the order of the report.
    pub const ALL: [Self; 16] = [
        Self::RowsAreReadable,
        Self::SumIsZero,
        Self::AccountIsItsTransfers,
        Self::EscrowIsOpenRemittances,
        Self::RemittanceHasItsTransfers,
        Self::CardIsProvenValue,
        Self::NoAccountBelowZero,
        Self::Held,
        Self::DebitPaysForItsOrder,
        Self::PayoutHasItsTransfers,
        Self::InFlightIsCommitSent,
        Self::PoolIsItsCards,
        Self::RecoveringAwaitsItsCard,
        Self::InFlightIsNextInSequence,
        Self::LogIsChained,
        Self::LogMatchesLedger,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RowsAreReadable => "rows-are-readable",
            Self::SumIsZero => "sum-is-zero",
            Self::AccountIsItsTransfers => "account-is-its-transfers",
            Self::EscrowIsOpenRemittances => "escrow-is-open-remittances",
            Self::RemittanceHasItsTransfers => "remittance-has-its-transfers",
            Self::CardIsProvenValue => "card-is-proven-value",
            Self::NoAccountBelowZero => "no-account-below-zero",
            Self::Held => "held",
            Self::DebitPaysForItsOrder => "debit-pays-for-its-order",
            Self::PayoutHasItsTransfers => "payout-has-its-transfers",
            Self::InFlightIsCommitSent => "in-flight-is-commit-sent",
            Self::PoolIsItsCards => "pool-is-its-cards",
            Self::RecoveringAwaitsItsCard => "recovering-awaits-its-card",
            Self::InFlightIsNextInSequence => "in-flight-is-next-in-sequence",
            Self::LogIsChained => "log-is-chained",
            Self::LogMatchesLedger => "log-matches-ledger",
        }
    }
}

/// One finding against a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Which promise does not hold.
    pub check: AuditCheck,
    /// What it is about: an id or a currency code.
    pub subject: String,
    /// Expected and found figures, in minor units where they are money.
    pub detail: String,
}

/// Totals of one currency, in minor units. `i128`: a sum of many accounts must not overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditTotals {
    /// The currency.
    pub currency: Currency,
    /// Sum of the holder accounts.
    pub holders: i128,
    /// Sum of the card accounts.
    pub cards: i128,
    /// Sum of what holders are owed for lost cards.
    pub payable: i128,
    /// Sum of the remittances that hold escrow, those below among them.
    pub escrow: i128,
    /// The bank account, from its transfers: minus what it debited for orders.
    pub bank: i128,
    /// Sum of the remittances whose commit was sent and not proven either way.
    pub in_doubt: i128,
    /// Sum of the remittances that two persons closed in doubt.
    pub held: i128,
    /// `loss:in-doubt`, from its transfers: minus what senders were paid and no card made good.
    pub loss: i128,
    /// `written-off`, from its transfers: minus what adjustments gave to cards.
    pub written_off: i128,
    /// The float, from its transfers: minus all others when the books agree.
    pub float: i128,
}

/// The whole audit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditReport {
    /// Totals per currency, in order of the currency's code.
    pub totals: Vec<AuditTotals>,
    /// Transfers looked at.
    pub transfers: u64,
    /// Every promise that does not hold; empty when the books balance.
    pub failures: Vec<AuditLine>,
}

impl AuditReport {
    /// Whether every promise holds.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.failures.is_empty()
    }
}
