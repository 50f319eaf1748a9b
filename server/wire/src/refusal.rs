//! Why the issuer refuses to go on with a redemption.

/// The issuer's answer when it will not credit, sent to the terminal as a number.
///
/// Numbers and codes are stable; the terminal puts them into words. Source: `docs/exchange.md`,
/// section "Refusals".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Refusal {
    /// No remittance of this id in this database; the mail should be kept.
    RemittanceUnknown = 1,
    /// The claim token is not the one of the newest program of this remittance.
    ClaimTokenWrong = 2,
    /// No card with this UID was issued here.
    CardUnknown = 3,
    /// The card is one of ours and not the one that the order is bound to.
    WrongCard = 4,
    /// The card is blocked.
    CardBlocked = 5,
    /// The card said something the ledger does not expect; staff look at it.
    CardFrozen = 6,
    /// The amount would lift the card's value over its limit.
    CardFull = 7,
    /// The remittance expired and the amount went back to the sender.
    Expired = 8,
    /// The sender cancelled.
    Cancelled = 9,
    /// Another session of this card came between; start again.
    Restart = 10,
    /// The sealed session state is not ours, or of another remittance or step.
    TicketInvalid = 11,
    /// The sealed session state is too old.
    TicketExpired = 12,
    /// The card could not prove that it holds its key.
    CardNotGenuine = 13,
    /// The card answered an error or lost the session before anything was decided; run again.
    CardStopped = 14,
    /// The commit was sent and is not proven; present the same card again.
    InDoubt = 15,
    /// A newer program of the same remittance was sent.
    Superseded = 16,
    /// The amount was returned to the sender.
    Returned = 17,
    /// The remittance may not be redeemed yet.
    NotYetValid = 18,
    /// The program's template or signing key was revoked.
    ProgramRevoked = 19,
    /// Another remittance is in flight on this card; present it again.
    CardBusy = 20,
    /// The issuer restored its database from a backup, and what became of this remittance is not in
    /// it; its card tells. Keep everything and present the same card.
    Recovering = 21,
    /// The issuer signed this program, and its restored database does not hold it; the mail should
    /// be kept.
    NotInDatabase = 22,
    /// The card holds less than the order would take off it.
    CardShort = 23,
}

impl Refusal {
    /// Every refusal, by number.
    pub const ALL: [Self; 23] = [
        Self::RemittanceUnknown,
        Self::ClaimTokenWrong,
        Self::CardUnknown,
        Self::WrongCard,
        Self::CardBlocked,
        Self::CardFrozen,
        Self::CardFull,
        Self::Expired,
        Self::Cancelled,
        Self::Restart,
        Self::TicketInvalid,
        Self::TicketExpired,
        Self::CardNotGenuine,
        Self::CardStopped,
        Self::InDoubt,
        Self::Superseded,
        Self::Returned,
        Self::NotYetValid,
        Self::ProgramRevoked,
        Self::CardBusy,
        Self::Recovering,
        Self::NotInDatabase,
        Self::CardShort,
    ];

    /// The number on the wire: `1..=23`.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The refusal with this number on the wire, if there is one.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|refusal| refusal.number() == number)
    }

    /// The stable code for messages, logs and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RemittanceUnknown => "E_REMITTANCE_UNKNOWN",
            Self::ClaimTokenWrong => "E_CLAIM_TOKEN_WRONG",
            Self::CardUnknown => "E_CARD_UNKNOWN",
            Self::WrongCard => "E_WRONG_CARD",
            Self::CardBlocked => "E_CARD_BLOCKED",
            Self::CardFrozen => "E_CARD_FROZEN",
            Self::CardFull => "E_CARD_FULL",
            Self::Expired => "E_EXPIRED",
            Self::Cancelled => "E_CANCELLED",
            Self::Restart => "E_RESTART",
            Self::TicketInvalid => "E_TICKET_INVALID",
            Self::TicketExpired => "E_TICKET_EXPIRED",
            Self::CardNotGenuine => "E_CARD_NOT_GENUINE",
            Self::CardStopped => "E_CARD_STOPPED",
            Self::InDoubt => "E_IN_DOUBT",
            Self::Superseded => "E_SUPERSEDED",
            Self::Returned => "E_RETURNED",
            Self::NotYetValid => "E_NOT_YET_VALID",
            Self::ProgramRevoked => "E_PROGRAM_REVOKED",
            Self::CardBusy => "E_CARD_BUSY",
            Self::Recovering => "E_RECOVERING",
            Self::NotInDatabase => "E_NOT_IN_DATABASE",
            Self::CardShort => "E_CARD_SHORT",
        }
    }

    /// Whether the same program may succeed later without anybody at the issuer acting: at once,
    /// with the right card, after spending, or when its time has come.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::WrongCard
            | Self::CardFull
            | Self::CardShort
            | Self::Restart
            | Self::TicketInvalid
            | Self::TicketExpired
            | Self::CardStopped
            | Self::InDoubt
            | Self::NotYetValid
            | Self::CardBusy
            | Self::Recovering => true,
            Self::RemittanceUnknown
            | Self::ClaimTokenWrong
            | Self::CardUnknown
            | Self::CardBlocked
            | Self::CardFrozen
            | Self::Expired
            | Self::Cancelled
            | Self::CardNotGenuine
            | Self::Superseded
            | Self::Returned
            | Self::ProgramRevoked
            | Self::NotInDatabase => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn numbers_run_from_one_without_gaps_and_lead_back() {
        for (refusal, number) in Refusal::ALL.into_iter().zip(1u16..) {
            assert_eq!(refusal.number(), number);
            assert_eq!(Refusal::from_number(number), Some(refusal));
        }
        for number in [0, 24, u16::MAX] {
            assert_eq!(Refusal::from_number(number), None);
        }
    }

    #[test]
    fn codes_are_distinct_and_speak_for_themselves() {
        let codes: BTreeSet<_> = Refusal::ALL.into_iter().map(Refusal::code).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
        assert!(codes.iter().all(|code| {
            code.starts_with("E_") && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        }));
    }
}
