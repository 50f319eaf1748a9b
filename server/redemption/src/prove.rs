//! Exchange 4: the proof, checked against the row of the operation in flight, whenever it comes.

use crate::{Context, accept::ProofAnswered, begin::unredeemable, flight};
use card::purse::{self, CommitProof};
use ledger::{Flow, InFlight, Remittance, RemittanceId, Settle, Status};
use planted::Bug;
use wire::exchange::{Refusal, Reply};

/// What the server knows when a proof arrives.
#[derive(Clone, Copy, Debug)]
pub struct ProofRows<'a> {
    /// The remittance of that id.
    pub remittance: Option<&'a Remittance>,
    /// The operation in flight on its card.
    pub in_flight: Option<&'a InFlight>,
}

/// What to do about exchange 4.
#[derive(Debug)]
pub enum Proved {
    /// Write nothing; send this.
    Answer(Reply),
    /// Write this; only after its commit send the receipt that is kept.
    Write(Settle),
}

impl ProofAnswered {
    /// The remittance this is said to prove.
    #[must_use]
    pub const fn remittance(&self) -> RemittanceId {
        self.remittance
    }

    /// Accepts a genuine proof whose VALUE is the expected one; anything else changes nothing.
    ///
    /// A proven commit without VALUE, or with another one, stays in doubt: the card's next session
    /// reads both again and settles it or freezes the card.
    #[must_use]
    pub fn settle(&self, context: Context<'_>, rows: ProofRows<'_>) -> Proved {
        let refuse = |refusal| Proved::Answer(Reply::Refusal(refusal));
        let Some(remittance) = rows.remittance else {
            return refuse(Refusal::RemittanceUnknown);
        };
        if let Some(receipt) = &remittance.receipt {
            if planted::on(Bug::ReceiptRemade) {
                return Proved::Answer(Reply::Receipt(context.receipt(remittance)));
            }
            return Proved::Answer(Reply::Receipt(receipt.clone()));
        }
        // What a restore forgot can not be checked by a row that the backup has not: the terminal keeps
        // its proof, and the card is asked.
        let (gone, unproven) = match remittance.status {
            Status::FundingUnknown {
                recovering: true, ..
            } => return refuse(Refusal::Recovering),
            Status::Recovering { .. } => (Refusal::Recovering, Refusal::Recovering),
            Status::Ordered
            | Status::FundingUnknown {
                recovering: false, ..
            }
            | Status::Unfunded { .. }
            | Status::Refunding { .. }
            | Status::Open
            | Status::CommitSent { .. }
            | Status::Held { .. }
            | Status::Credited { .. }
            | Status::Returned { .. } => (Refusal::Restart, Refusal::InDoubt),
        };
        let Some(in_flight) = rows.in_flight.filter(|f| f.remittance == remittance.id) else {
            let ended = unredeemable(remittance.status, remittance.expires, context.now);
            return refuse(ended.unwrap_or(gone));
        };
        let age = context
            .now
            .micros()
            .saturating_sub(in_flight.since.micros());
        if planted::on(Bug::TicketAtExchange4) && age > crate::LIFETIME_US {
            return refuse(Refusal::TicketExpired);
        }
        let unproven_too =
            planted::on(Bug::DebitUnproven) && matches!(remittance.flow, Flow::Debit { .. });
        let proven = self.value_after(context, in_flight);
        match proven.or(expected(in_flight, remittance).filter(|_| unproven_too)) {
            Some(value)
                if Some(value) == expected(in_flight, remittance)
                    || planted::on(Bug::PostBeforeReadBack) =>
            {
                let value = expected(in_flight, remittance).unwrap_or(value);
                Proved::Write(Settle {
                    remittance: remittance.id,
                    card: in_flight.card,
                    seq: in_flight.seq,
                    value_after: value,
                    receipt: context.receipt(remittance),
                    now: context.now,
                })
            }
            Some(_) | None => refuse(unproven),
        }
    }

    /// VALUE after a commit that these answers prove.
    fn value_after(&self, context: Context<'_>, in_flight: &InFlight) -> Option<i64> {
        let (card, remittance) = (in_flight.card, in_flight.remittance);
        let session = flight::open(context.seal_key, card, remittance, &in_flight.session)?;
        match purse::check_credit(&session, &self.answers) {
            CommitProof::Committed { value_after: None }
                if planted::on(Bug::PostBeforeReadBack) =>
            {
                in_flight.batch.len().try_into().ok()
            }
            CommitProof::Committed { value_after } => value_after.map(i64::from),
            CommitProof::Unproven => None,
        }
    }
}

fn expected(in_flight: &InFlight, remittance: &Remittance) -> Option<i64> {
    remittance
        .flow
        .value_after(in_flight.balance_before, remittance.amount.minor())
}
