//! Why a valid command is not carried out.

/// A refusal: the command was understood, and the rules forbid it. Nothing was written, except
/// the refusal itself where the command carries an idempotency key.
///
/// The variants stand in order of precedence: where several apply, the first one is the answer,
/// whatever the command. `docs/ledger.md` lists which command can meet which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// A text or byte string is longer than its limit, or a limit is not positive.
    #[error("a part of the command exceeds its limit")]
    OutOfBounds,
    /// Both persons of a decision are one.
    #[error("a decision needs two different persons")]
    SamePerson,
    /// No such officer, withdrawn, or another token.
    #[error("an officer's name and token do not belong together")]
    OfficerUnknown,
    /// The idempotency key was used for another content.
    #[error("the idempotency key was used with other content")]
    IdempotencyConflict,
    /// The transfer id was used for another transfer.
    #[error("the transfer id was used for another transfer")]
    TransferConflict,
    /// A remittance of this id exists.
    #[error("the remittance id is taken")]
    RemittanceTaken,
    /// No such remittance, or not this sender's.
    #[error("no such remittance")]
    RemittanceUnknown,
    /// No such holder.
    #[error("no such holder")]
    HolderUnknown,
    /// No such card.
    #[error("no such card")]
    CardUnknown,
    /// No such case.
    #[error("no such case")]
    CaseUnknown,
    /// Two persons have decided the case already.
    #[error("the case is closed")]
    CaseClosed,
    /// The card is still being personalised.
    #[error("the card is not issued yet")]
    CardIssuing,
    /// The card was blocked.
    #[error("the card is blocked")]
    CardBlocked,
    /// The card's record and its proof disagree; the case is queued for a person.
    #[error("the card is frozen until its case is settled")]
    CardFrozen,
    /// What the card showed waits for two persons; decide that first.
    #[error("the card has an open case")]
    CaseOpen,
    /// Nobody reported the card lost.
    #[error("the card was not reported lost")]
    CardNotLost,
    /// What the card held was paid out: it is worth nothing any more.
    #[error("the card was paid out")]
    CardPaidOut,
    /// The card that is present is not the one the order is bound to.
    #[error("the order is bound to another card")]
    WrongCard,
    /// The card's holder is the sender, or both accounts of a transfer are one.
    #[error("sender and recipient are the same")]
    SelfRemittance,
    /// Nobody knows where the recipient's mail should go.
    #[error("the recipient has no mail address")]
    RecipientWithoutAddress,
    /// The sender has no bank account here, or no such active card to pay from.
    #[error("the order can not be paid from there")]
    FundingUnavailable,
    /// The accounts, the card and the amount are not all of one currency.
    #[error("the currencies differ")]
    CurrencyMismatch,
    /// The card changed since the facts were read: read them again. Nothing was concluded.
    #[error("the card's record has moved on")]
    Stale,
    /// No commit of this remittance is waiting for a proof.
    #[error("the remittance is not in flight")]
    NotInFlight,
    /// The command contradicts the record; only a defect of the caller can cause it.
    #[error("the command contradicts the record")]
    Contradictory,
    /// Its amount has not come into escrow.
    #[error("the remittance is not funded")]
    NotFunded,
    /// The remittance was credited to its card.
    #[error("the remittance was credited")]
    AlreadyCredited,
    /// The sender took the remittance back, or asked for it while it was in flight.
    #[error("the remittance was cancelled")]
    Cancelled,
    /// The remittance's time is over.
    #[error("the remittance has expired")]
    Expired,
    /// Two persons closed the remittance in doubt; its sender was paid.
    #[error("the remittance was closed in doubt")]
    Closed,
    /// The remittance may still be picked up.
    #[error("the remittance has not expired yet")]
    NotExpired,
    /// A commit was sent to the card and not yet proven either way.
    #[error("the remittance is in doubt until the card is read")]
    InDoubt,
    /// A backup was restored since the remittance was placed; its card has to be read first, or its bank
    /// has to answer what it is asked.
    #[error("since a backup was restored, its card or its bank is to be asked first")]
    Recovering,
    /// The time in which the card might still settle what it took is not over.
    #[error("the settle window is not over")]
    TooEarly,
    /// More than one order may carry, or more than the card can ever hold.
    #[error("the amount is over the limit")]
    AmountOverLimit,
    /// The card can not hold the amount on top of its present value.
    #[error("the amount does not fit on the card now")]
    CardFull,
    /// The card's sequence counter is used up.
    #[error("the card's counter is used up")]
    CounterExhausted,
    /// The account has less than the amount.
    #[error("the account has too little")]
    InsufficientFunds,
    /// The receiving account would exceed its limit.
    #[error("the receiving account would exceed its limit")]
    BalanceOverLimit,
}

impl Refusal {
    /// Every refusal, in order of precedence.
    pub const ALL: [Self; 39] = [
        Self::OutOfBounds,
        Self::SamePerson,
        Self::OfficerUnknown,
        Self::IdempotencyConflict,
        Self::TransferConflict,
        Self::RemittanceTaken,
        Self::RemittanceUnknown,
        Self::HolderUnknown,
        Self::CardUnknown,
        Self::CaseUnknown,
        Self::CaseClosed,
        Self::CardIssuing,
        Self::CardBlocked,
        Self::CardFrozen,
        Self::CaseOpen,
        Self::CardNotLost,
        Self::CardPaidOut,
        Self::WrongCard,
        Self::SelfRemittance,
        Self::RecipientWithoutAddress,
        Self::FundingUnavailable,
        Self::CurrencyMismatch,
        Self::Stale,
        Self::NotInFlight,
        Self::Contradictory,
        Self::NotFunded,
        Self::AlreadyCredited,
        Self::Cancelled,
        Self::Expired,
        Self::Closed,
        Self::NotExpired,
        Self::InDoubt,
        Self::Recovering,
        Self::TooEarly,
        Self::AmountOverLimit,
        Self::CardFull,
        Self::CounterExhausted,
        Self::InsufficientFunds,
        Self::BalanceOverLimit,
    ];

    /// The stable code: also the stored form, so it never changes.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::OutOfBounds => "out-of-bounds",
            Self::SamePerson => "same-person",
            Self::OfficerUnknown => "officer-unknown",
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::TransferConflict => "transfer-conflict",
            Self::RemittanceTaken => "remittance-taken",
            Self::RemittanceUnknown => "remittance-unknown",
            Self::HolderUnknown => "holder-unknown",
            Self::CardUnknown => "card-unknown",
            Self::CaseUnknown => "case-unknown",
            Self::CaseClosed => "case-closed",
            Self::CardIssuing => "card-issuing",
            Self::CardBlocked => "card-blocked",
            Self::CardFrozen => "card-frozen",
            Self::CaseOpen => "case-open",
            Self::CardNotLost => "card-not-lost",
            Self::CardPaidOut => "card-paid-out",
            Self::WrongCard => "wrong-card",
            Self::SelfRemittance => "self-remittance",
            Self::RecipientWithoutAddress => "recipient-without-address",
            Self::FundingUnavailable => "funding-unavailable",
            Self::CurrencyMismatch => "currency-mismatch",
            Self::Stale => "stale",
            Self::NotInFlight => "not-in-flight",
            Self::Contradictory => "contradictory",
            Self::NotFunded => "not-funded",
            Self::AlreadyCredited => "already-credited",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Closed => "closed",
            Self::NotExpired => "not-expired",
            Self::InDoubt => "in-doubt",
            Self::Recovering => "recovering",
            Self::TooEarly => "too-early",
            Self::AmountOverLimit => "amount-over-limit",
            Self::CardFull => "card-full",
            Self::CounterExhausted => "counter-exhausted",
            Self::InsufficientFunds => "insufficient-funds",
            Self::BalanceOverLimit => "balance-over-limit",
        }
    }

    /// The refusal of a stored code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_and_the_list_is_in_order_of_precedence() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
        }
        assert!(Refusal::ALL.is_sorted());
        assert_eq!(Refusal::from_code("unheard-of"), None);
    }
}
