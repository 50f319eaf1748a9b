//! Accounts and the transfers between them.

use money::Amount;

use crate::id::{CardId, HolderId, RemittanceId, TransferId};
use crate::time::Timestamp;
use money::Currency;

/// The most an account may be funded up to, in minor units: the largest whole number that every
/// JSON reader keeps exact (2^53 - 1). Returned escrow may exceed it, and has room up to 2^63.
pub const BALANCE_MINOR_MAX: i64 = 9_007_199_254_740_991;

/// A place for value; one currency each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The bank side: minus what is outstanding, so it may be negative. It has no row; its balance
    /// is derived from its transfers, so that funding never queues behind one hot row.
    Float(Currency),
    /// What the bank has debited for orders and not got back: minus that, so never above zero.
    /// Derived like the float.
    Bank(Currency),
    /// `loss:in-doubt`: what senders were paid for remittances that two persons closed in doubt, as a
    /// negative figure, less what cards proved absent since. Derived like the float.
    Loss(Currency),
    /// `written-off`: what adjustments took from card accounts, less what they gave them. Derived
    /// like the float.
    WrittenOff(Currency),
    /// What a holder may spend; never below zero.
    Holder(HolderId),
    /// `payable:<holder>`: what the issuer owes a holder for a lost card; never below zero. It goes
    /// to another card of the holder, by an order.
    Payable(HolderId),
    /// What one card holds, as last proven by that card: an account, or a sub-record of the pool.
    Card(CardId),
    /// What all cards of a currency hold, while they share one account. It has no row, like the
    /// float; its sub-records have.
    Pool(Currency),
    /// The account due for one remittance. It has no row either: the remittance is the row, and
    /// its balance is the amount while the remittance is open or its commit was sent, else zero.
    Escrow(RemittanceId),
}

/// How the books keep what cards hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CardAccounts {
    /// Each card has an account.
    Individual,
    /// The cards of a currency share one account, with a sub-record for each.
    Pooled,
}

impl CardAccounts {
    /// The stable code: also the stored form.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Individual => "individual",
            Self::Pooled => "pooled",
        }
    }

    /// The setting of a code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Individual, Self::Pooled]
            .into_iter()
            .find(|setting| setting.code() == code)
    }
}

/// An account that a caller may move value between by [`crate::Command::Transfer`].
///
/// Cards and escrow are absent: a card account moves only with proof from that card, and escrow
/// only with the fate of its remittance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountRef {
    /// The float of the transfer's currency.
    Float,
    /// A holder's account.
    Holder(HolderId),
}

impl AccountRef {
    /// The account meant, for a transfer of this currency.
    #[must_use]
    pub const fn account(self, currency: Currency) -> Account {
        match self {
            Self::Float => Account::Float(currency),
            Self::Holder(holder) => Account::Holder(holder),
        }
    }
}

/// The movements of a remittance; each happens at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leg {
    /// Source to escrow: with the order, or once bank or card have given it.
    Funding,
    /// Escrow to the card account, back to where it came from, or to `loss:in-doubt` where the sender
    /// was paid from there. All ends share this one leg, so that a remittance which was credited
    /// cannot also be returned: the second transfer would need the id that the first already has.
    End,
    /// `loss:in-doubt` to the sender, when two persons close it in doubt. Escrow keeps the amount.
    Loss,
}

impl Leg {
    /// The transfer's id: the remittance's, with 1, 2 or 3 in place of the version nibble.
    #[must_use]
    pub const fn transfer_of(self, remittance: RemittanceId) -> TransferId {
        let number = match self {
            Self::Funding => 1,
            Self::End => 2,
            Self::Loss => 3,
        };
        TransferId::of_leg(remittance, number)
    }
}

/// Most payouts of one lost card: the first, and one for each late proof after it.
pub const PAYOUTS_MAX: u8 = 8;

/// The id of a lost card's payout: the card's, with 8 and the number of its payouts before this one in
/// place of the version nibble. `None` from [`PAYOUTS_MAX`] on.
#[must_use]
pub const fn payout_of(card: CardId, before: u8) -> Option<TransferId> {
    if before < PAYOUTS_MAX {
        Some(TransferId::of_card(card, 8 | before))
    } else {
        None
    }
}

/// A posted transfer: one debit and one equal credit. It never changes and is never deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Its id; posting the same id again changes nothing.
    pub id: TransferId,
    /// The account that gives.
    pub from: Account,
    /// The account that gets.
    pub to: Account,
    /// How much.
    pub amount: Amount,
    /// When it was posted.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ends_of_a_remittance_share_one_transfer_id() {
        let remittance = RemittanceId::new(9, [1; 10]);
        let other = RemittanceId::new(9, [2; 10]);
        assert_ne!(
            Leg::Funding.transfer_of(remittance),
            Leg::End.transfer_of(remittance)
        );
        assert_ne!(
            Leg::End.transfer_of(remittance),
            Leg::End.transfer_of(other)
        );
    }
}
