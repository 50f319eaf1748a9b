//! What a remittance does with its card, and where its amount comes from.

use crate::escrow::Event;
use crate::id::RemittanceId;
use crate::remittance::{ReturnReason, Status};

/// Where the amount of an order comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The sender's account here; in escrow from the order on.
    Account,
    /// The sender's account at the bank; in escrow once the bank has confirmed the debit.
    Bank,
    /// A card of the sender; in escrow once that card has proven its debit.
    Card,
    /// What the issuer owes the sender for a lost card; in escrow from the order on.
    Payable,
}

/// Which way the value of one remittance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// From its source into escrow, and from there to the recipient's card.
    Credit(Source),
    /// Off a card of the sender, straight into the escrow of the order that it pays for. It has no
    /// escrow of its own; its transfer is the funding leg of that order.
    Debit {
        /// The order that it pays for.
        funds: RemittanceId,
    },
}

impl Flow {
    /// The stable code: also the stored form.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Credit(Source::Account) => "account",
            Self::Credit(Source::Bank) => "bank",
            Self::Credit(Source::Card) => "card",
            Self::Credit(Source::Payable) => "payable",
            Self::Debit { .. } => "debit",
        }
    }

    /// The flow of a stored code; `funds` is there exactly for a debit.
    #[must_use]
    pub fn from_code(code: &str, funds: Option<RemittanceId>) -> Option<Self> {
        match (code, funds) {
            ("account", None) => Some(Self::Credit(Source::Account)),
            ("bank", None) => Some(Self::Credit(Source::Bank)),
            ("card", None) => Some(Self::Credit(Source::Card)),
            ("payable", None) => Some(Self::Credit(Source::Payable)),
            ("debit", Some(funds)) => Some(Self::Debit { funds }),
            _ => None,
        }
    }

    /// The card's value once `amount` was committed on top of `before`, or taken off it; `None`
    /// where that is no value, all in minor units.
    #[must_use]
    pub const fn value_after(self, before: i64, amount: i64) -> Option<i64> {
        let after = match self {
            Self::Credit(_) => before.checked_add(amount),
            Self::Debit { .. } => before.checked_sub(amount),
        };
        match after {
            Some(after) if after >= 0 => Some(after),
            Some(_) | None => None,
        }
    }
}

/// What a step of the debit that pays for an order is to that order; both are written in one
/// transaction. Nothing for one that two persons closed, whose order has ended with it.
///
/// `before` and `after`: the debit's status, which has changed.
#[must_use]
pub const fn order_event(before: Status, after: Status) -> Option<Event> {
    match (before, after) {
        (Status::Held { .. }, _) => None,
        (
            _,
            Status::CommitSent {
                cancel_asked: false,
            },
        ) => Some(Event::Ask),
        (_, Status::CommitSent { cancel_asked: true })
        | (Status::Recovering { .. }, Status::Recovering { .. }) => Some(Event::Cancel),
        (_, Status::Recovering { .. }) => Some(Event::Restore),
        (_, Status::Open) => Some(Event::ProveAbsent),
        (_, Status::Credited { .. }) => Some(Event::Fund),
        (
            Status::Open,
            Status::Returned {
                reason: ReturnReason::Expired,
                ..
            },
        ) => Some(Event::Expire),
        (Status::Open, Status::Returned { .. }) => Some(Event::Cancel),
        (_, Status::Held { .. } | Status::Returned { .. }) => Some(Event::RefuseFunding),
        // a debit is never in these
        (
            _,
            Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Unfunded { .. }
            | Status::Refunding { .. },
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_read_back_from_its_code_and_only_a_debit_pays_for_an_order() {
        let funds = RemittanceId::new(1, [1; 10]);
        for flow in [
            Flow::Credit(Source::Account),
            Flow::Credit(Source::Bank),
            Flow::Credit(Source::Card),
            Flow::Credit(Source::Payable),
        ] {
            assert_eq!(Flow::from_code(flow.code(), None), Some(flow));
            assert_eq!(Flow::from_code(flow.code(), Some(funds)), None);
        }
        let debit = Flow::Debit { funds };
        assert_eq!(Flow::from_code(debit.code(), Some(funds)), Some(debit));
        assert_eq!(Flow::from_code(debit.code(), None), None);
    }

    #[test]
    fn a_debit_takes_down_to_zero_and_no_further() {
        let debit = Flow::Debit {
            funds: RemittanceId::new(1, [1; 10]),
        };
        let credit = Flow::Credit(Source::Account);
        assert_eq!(debit.value_after(100, 100), Some(0));
        assert_eq!(debit.value_after(100, 101), None);
        assert_eq!(credit.value_after(100, 101), Some(201));
        assert_eq!(credit.value_after(i64::MAX, 1), None);
    }
}
