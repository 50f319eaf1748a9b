//! What is known of a remittance apart from the books, and what the books may say of it.

use crate::cells::{DEBIT_PHASES, PHASES};
use ledger::{Flow, Remittance, ReturnReason, Source, Status, Timestamp};

/// A debit that was proven after two persons had closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// Its amount is owed to the card's holder.
    Owed,
    /// The card was paid out before, and this amount with it.
    PaidOut,
}

/// What the books said of it at the last look. A restored backup takes these back, and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: Status,
    pub(crate) revision: u32,
    pub(crate) order: Vec<u8>,
    pub(crate) receipt: Option<Vec<u8>>,
    /// Its sender asked for it while that could not be done.
    pub(crate) cancel_asked: bool,
    /// Two persons closed it: its sender was paid from the issuer's loss, but for a debit.
    pub(crate) held: bool,
    /// What became of a debit that was closed before.
    pub(crate) late: Option<Late>,
}

/// What is known of a remittance apart from the books.
#[derive(Debug)]
pub(crate) struct Ghost {
    pub(crate) amount: i64,
    pub(crate) card: usize,
    pub(crate) flow: Flow,
    pub(crate) expires: Timestamp,
    /// How often a chip committed it: got the amount, or gave it.
    pub(crate) credits: u32,
    pub(crate) phase: &'static str,
    /// Every batch that was ever in flight for it.
    pub(crate) batches: Vec<Vec<u8>>,
    pub(crate) expiry_seen: bool,
    /// It came after the backup that was restored.
    pub(crate) forgotten: bool,
    pub(crate) said: Said,
}

impl Ghost {
    pub(crate) fn new(row: &Remittance, card: usize) -> Self {
        let mut ghost = Self {
            amount: row.amount.minor(),
            card,
            flow: row.flow,
            expires: row.expires,
            credits: 0,
            phase: "open",
            batches: Vec::new(),
            expiry_seen: false,
            forgotten: false,
            said: Said {
                status: row.status,
                revision: row.revision,
                order: row.order_bytes.clone(),
                receipt: None,
                cancel_asked: false,
                held: false,
                late: None,
            },
        };
        ghost.enter("open");
        ghost
    }

    /// It takes value off its card.
    pub(crate) const fn is_debit(&self) -> bool {
        matches!(self.flow, Flow::Debit { .. })
    }

    /// A card of its sender pays for it.
    pub(crate) fn is_paid_by_card(&self) -> bool {
        self.flow == Flow::Credit(Source::Card)
    }

    /// What its card holds more of once it was carried out.
    pub(crate) const fn change(&self) -> i64 {
        match self.flow {
            Flow::Credit(_) => self.amount,
            Flow::Debit { .. } => -self.amount,
        }
    }

    /// Its card carried it out, and the books do not know that it should have: they have forgotten it,
    /// or two persons have closed the debit that paid for it.
    pub(crate) const fn is_unknown(&self) -> bool {
        let unpaid = matches!(self.said.status, Status::Unfunded { .. });
        self.credits > 0 && (self.forgotten || unpaid)
    }

    /// How far it has come, in the words of the tables; of a debit in words of their own.
    pub(crate) fn enter(&mut self, phase: &'static str) {
        let own = PHASES.iter().position(|of| *of == phase);
        let own = own.filter(|_| self.is_debit());
        self.phase = own.map_or(phase, |at| DEBIT_PHASES[at]);
    }

    /// A bank pays for it.
    pub(crate) fn is_banks(&self) -> bool {
        self.flow == Flow::Credit(Source::Bank)
    }

    /// What its sender's account is short of because of it; less than nothing where a bank's customer
    /// was paid from the issuer's loss.
    pub(crate) fn taken(&self) -> i64 {
        if self.is_debit() || self.is_paid_by_card() {
            return 0;
        }
        let returned = matches!(self.said.status, Status::Returned { .. });
        match (self.is_banks(), self.said.held) {
            (true, true) => -self.amount,
            (true, false) | (false, true) => 0,
            (false, false) if returned => 0,
            (false, false) => self.amount,
        }
    }

    /// What its sender is owed because of it: what a card paid and nobody got, and what two persons paid
    /// for such an order.
    pub(crate) fn owed(&self) -> i64 {
        let returned = matches!(self.said.status, Status::Returned { .. });
        let owed = match self.flow {
            Flow::Credit(Source::Card) => self.said.held || returned,
            Flow::Debit { .. } => self.said.late == Some(Late::Owed),
            Flow::Credit(Source::Account | Source::Bank | Source::Payable) => false,
        };
        if owed { self.amount } else { 0 }
    }

    /// What the bank must have given us for it, if the status tells.
    pub(crate) fn paid(&self) -> Option<i64> {
        match self.said.status {
            Status::Open | Status::CommitSent { .. } | Status::Credited { .. } => Some(self.amount),
            Status::Held { .. } => Some(self.amount),
            Status::Returned {
                reason: ReturnReason::Closed,
                ..
            } => Some(self.amount),
            Status::Returned { .. } | Status::Unfunded { .. } | Status::Ordered => Some(0),
            // asked, or asked for it back; a restored database may have forgotten the answer
            Status::FundingUnknown { .. }
            | Status::Refunding { .. }
            | Status::Recovering { .. } => None,
        }
    }

    /// An end is for ever; a credit is on the card; what expired had its time; nothing comes back that
    /// was taken back; no program comes back that was replaced.
    ///
    /// `blind`: two persons closed the debit that pays for it, in books that may have forgotten what came
    /// after it.
    pub(crate) fn moves(&mut self, row: &Remittance, blind: bool) -> Result<(), String> {
        let id = row.id;
        let (from, to) = (self.said.status, row.status);
        let ended = matches!(
            from,
            Status::Credited { .. } | Status::Returned { .. } | Status::Unfunded { .. }
        );
        if ended && from != to {
            return Err(format!("I8: {id} went from {from:?} to {to:?}"));
        }
        if row.revision < self.said.revision {
            return Err(format!("I8: {id} has an older program again"));
        }
        if row.revision == self.said.revision && row.order_bytes != self.said.order {
            return Err(format!("{id} is no longer what was ordered"));
        }
        self.said.revision = row.revision;
        self.said.order.clone_from(&row.order_bytes);
        self.follow(row, blind)?;
        let phase = match to {
            Status::Ordered if self.is_paid_by_card() => "unpaid",
            Status::FundingUnknown { .. } if self.is_paid_by_card() => "debit sent",
            Status::Ordered => "ordered",
            Status::FundingUnknown { .. } => "bank asked",
            Status::Refunding { .. } => "refunding",
            Status::Recovering { .. } => "recovering",
            Status::Credited { .. } => "credited",
            Status::Held { .. } => "held",
            Status::Returned { .. } | Status::Unfunded { .. } => "returned",
            Status::CommitSent { .. } if self.credits == 0 => "commit sent",
            Status::CommitSent { .. } => "on the card",
            Status::Open => match self.phase {
                phase @ ("challenged" | "state asked" | "debit challenged"
                | "debit state asked") => phase,
                _ => "open",
            },
        };
        self.enter(phase);
        self.said.status = to;
        Ok(())
    }

    fn follow(&mut self, row: &Remittance, blind: bool) -> Result<(), String> {
        let id = row.id;
        match row.status {
            Status::Credited { .. } if self.credits != 1 => {
                return Err(format!("I2: {id} is credited, the card has it not"));
            }
            Status::Credited { .. } if row.receipt.is_none() => {
                return Err(format!("I8: {id} is credited without a receipt"));
            }
            Status::Returned { .. } | Status::Refunding { .. } if self.credits != 0 => {
                return Err(format!("I1: {id} is given back, and on the card"));
            }
            Status::Unfunded { .. } if blind => {}
            Status::Unfunded { .. } | Status::Ordered if self.credits != 0 => {
                return Err(format!("I1: {id} was never paid, and is on the card"));
            }
            Status::Returned {
                at,
                reason: ReturnReason::Expired,
            } if at < row.expires => {
                return Err(format!("I11: {id} expired before its time"));
            }
            Status::Open | Status::Ordered if self.said.cancel_asked => {
                return Err(format!("{id} was cancelled, and is open again"));
            }
            Status::Open if self.credits != 0 => {
                return Err(format!("I1: {id} is open, and on the card"));
            }
            Status::CommitSent { cancel_asked }
            | Status::Recovering { cancel_asked }
            | Status::FundingUnknown { cancel_asked, .. } => {
                self.said.cancel_asked |= cancel_asked;
            }
            Status::Held { .. } => self.said.held = true,
            Status::Credited { .. }
            | Status::Returned { .. }
            | Status::Ordered
            | Status::Unfunded { .. }
            | Status::Refunding { .. }
            | Status::Open => {}
        }
        Ok(())
    }
}
