//! The decision about an order: who may pay it from where, to which card.

use money::{Currency, Money};

use crate::card::CardStatus;
use crate::command::{Payment, PlaceOrder};
use crate::flow::{Flow, Source};
use crate::id::HolderId;
use crate::refusal::Refusal;
use crate::remittance::Status;
use crate::rules::take;
use crate::time::Timestamp;

/// What placing an order needs to know of the recipient's card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// Whose card it is.
    pub holder: HolderId,
    /// What may be done with it.
    pub status: CardStatus,
    /// Its currency.
    pub currency: Currency,
    /// The most it may hold, minor units.
    pub value_max: i64,
    /// Whether its holder has a mail address.
    pub has_address: bool,
}

/// What placing an order needs to know of the card that pays for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payer {
    /// Whose card it is.
    pub holder: HolderId,
    /// What may be done with it.
    pub status: CardStatus,
    /// Its account.
    pub balance: Money,
}

/// What placing an order needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderFacts {
    /// Whether the remittance id, or that of its debit, is in use.
    pub remittance_taken: bool,
    /// The sender's account that pays.
    pub sender: Option<Money>,
    /// Whether the sender has an account at the bank.
    pub bank_account: bool,
    /// The card that is to pay.
    pub payer: Option<Payer>,
    /// The card of the number.
    pub recipient: Option<Recipient>,
}

/// What an order leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderPlan {
    /// Where the amount comes from.
    pub flow: Flow,
    /// The first status.
    pub status: Status,
    /// The sender's balance after it, where the account here pays.
    pub sender_after: Option<i64>,
}

/// Decides an order whose idempotency key is new.
///
/// # Errors
/// `RemittanceTaken`, `HolderUnknown`, `CardUnknown`, `CardIssuing`, `CardBlocked`, `CardFrozen`,
/// `WrongCard` or `SelfRemittance` (what is payable goes to an own card, all else to another's),
/// `RecipientWithoutAddress`, `FundingUnavailable`, `CurrencyMismatch`, `Expired`,
/// `AmountOverLimit`, `InsufficientFunds`, in this order.
pub fn place_order(
    order: &PlaceOrder,
    facts: &OrderFacts,
    now: Timestamp,
) -> Result<OrderPlan, Refusal> {
    if facts.remittance_taken {
        return Err(Refusal::RemittanceTaken);
    }
    let sender = facts.sender.ok_or(Refusal::HolderUnknown)?;
    let card = facts.recipient.ok_or(Refusal::CardUnknown)?;
    match card.status {
        CardStatus::Issuing => return Err(Refusal::CardIssuing),
        CardStatus::Blocked => return Err(Refusal::CardBlocked),
        CardStatus::Frozen => return Err(Refusal::CardFrozen),
        CardStatus::Active => {}
    }
    let currency = order.amount.currency();
    match (&order.payment, card.holder == order.sender) {
        (Payment::Account | Payment::Bank | Payment::Card(_), false) | (Payment::Payable, true) => {
        }
        (Payment::Account | Payment::Bank | Payment::Card(_), true) => {
            return Err(Refusal::SelfRemittance);
        }
        (Payment::Payable, false) => return Err(Refusal::WrongCard),
    }
    if !card.has_address {
        return Err(Refusal::RecipientWithoutAddress);
    }
    let own = facts
        .payer
        .filter(|payer| payer.holder == order.sender && payer.status == CardStatus::Active);
    let payer = match order.payment {
        Payment::Bank if !facts.bank_account => return Err(Refusal::FundingUnavailable),
        Payment::Bank | Payment::Account | Payment::Payable => sender,
        Payment::Card(_) => own.ok_or(Refusal::FundingUnavailable)?.balance,
    };
    let currencies = [sender.currency(), payer.currency(), card.currency];
    if currencies.into_iter().any(|other| other != currency) {
        return Err(Refusal::CurrencyMismatch);
    }
    if order.expires <= now {
        return Err(Refusal::Expired);
    }
    if order.amount.minor() > order.amount_max.min(card.value_max) {
        return Err(Refusal::AmountOverLimit);
    }
    let (source, status, sender_after) = match order.payment {
        Payment::Account => {
            let after = take(sender, order.amount.minor())?;
            (Source::Account, Status::Open, Some(after))
        }
        Payment::Payable => {
            let after = take(sender, order.amount.minor())?;
            (Source::Payable, Status::Open, Some(after))
        }
        Payment::Bank => (Source::Bank, Status::Ordered, None),
        // the card's word decides; this spares the sender a program that can not succeed
        Payment::Card(_) => {
            take(payer, order.amount.minor())?;
            (Source::Card, Status::Ordered, None)
        }
    };
    Ok(OrderPlan {
        flow: Flow::Credit(source),
        status,
        sender_after,
    })
}
