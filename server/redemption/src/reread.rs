//! The first reading of a card after a backup was restored.
//!
//! | STATE and VALUE | log | conclusion |
//! | --- | --- | --- |
//! | exactly what was last proven, no receipt shown | not asked | all that waited is absent |
//! | anything else, on a card that was used | asked, one exchange more | each new record is a remittance that waits: credited; the others absent |
//! | anything else | names one that is not known as funded yet | wait: its bank, or its sender's card, has to speak first. What stands before it is certain |
//! | anything else | not explained by it | freeze the card with the log |
//!
//! New records are as many as the remittance number has risen. They must be credits and debits of remittances of
//! this card that wait or that a receipt has shown, of the right amounts, chain from the last proven
//! value to the present one, and end in STATE.
//!
//! What is certain is posted as if its receipt had been shown, and the first reading has to confirm it. So two cards
//! that paid each other since the backup do not wait for each other for ever: of all that happened since then and
//! is not posted yet, the first waits for nothing, and stands before all that is not known as funded.

use crate::{
    Context,
    accept::Bound,
    decide::{DecideRows, Heard},
    encode, evidence,
    seal::Nonce,
    ticket::{Binding, LIFETIME_US, Ticket, TicketStep},
};
use alloc::{vec, vec::Vec};
use card::{
    CardError,
    purse::{self, LOG_RECORD_LEN, LOG_RECORDS_MAX, LogKind, LogRecord},
};
use ledger::{CardState, Flow, LoggedCredit, Proven, Remittance, Status, Timestamp};
use planted::Bug;
use wire::exchange::{Reply, Step, StopRule};
use zeroize::Zeroizing;

/// One record of the log as it stands on the card.
pub(crate) type Record = [u8; LOG_RECORD_LEN];

/// What a first reading leads to.
pub(crate) enum Reread<'a> {
    /// STATE and VALUE alone do not tell: read the log too.
    AskLog,
    /// These were credited since the backup, oldest first; whatever else waited is absent.
    Explained(Vec<&'a Remittance>),
    /// The log names a remittance of which a restore has forgotten that it was funded: nothing is absent
    /// before that is known. These stand before it, oldest first.
    Waits(Vec<&'a Remittance>),
    /// Freeze.
    Unexplained,
}

/// Compares what the card says with the record.
pub(crate) fn read<'a>(rows: DecideRows<'a>, heard: &Heard) -> Reread<'a> {
    let now = Proven::from_state(heard.state, i64::from(heard.value));
    let shown = rows.recovering.iter().any(|r| r.receipt.is_some());
    if now == rows.card.proven && !shown {
        return Reread::Explained(Vec::new());
    }
    match &heard.log {
        Some(log) => {
            let way = walk(rows, now, log);
            if waits(rows, log) {
                let certain = way.filter(|way| way.waits);
                return Reread::Waits(certain.map(|way| way.found).unwrap_or_default());
            }
            let whole = way.filter(|way| way.is_whole(rows, now));
            whole.map_or(Reread::Unexplained, |way| Reread::Explained(way.found))
        }
        // a card that was never used has no log to read
        None if heard.state == CardState::default() => Reread::Unexplained,
        None => Reread::AskLog,
    }
}

/// Whether a record is of a remittance that is not known as funded.
fn waits(rows: DecideRows<'_>, log: &[Record]) -> bool {
    let forgotten = |r: &&Remittance| matches!(r.status, Status::FundingUnknown { .. });
    let mut forgotten = rows.recovering.iter().filter(forgotten);
    forgotten.any(|r| {
        let mut records = log.iter().filter_map(LogRecord::from_bytes);
        records.any(|record| record.id == r.id.to_bytes())
    })
}

/// Where the new records of a log lead, from what was last proven.
struct Way<'a> {
    /// The remittances of the records, oldest first.
    found: Vec<&'a Remittance>,
    /// Value and id after the last of them.
    value: i64,
    id: [u8; 16],
    /// The next record is of a remittance that is not known as funded.
    waits: bool,
}

impl Way<'_> {
    /// Whether the records account for everything.
    fn is_whole(&self, rows: DecideRows<'_>, now: Proven) -> bool {
        let kept = |r: &Remittance| r.receipt.is_none() || self.found.iter().any(|f| f.id == r.id);
        (self.value, self.id) == (now.value, now.id) && rows.recovering.iter().all(kept)
    }
}

/// Follows the new records to their end, or to the first that is not known as funded; `None` where one does
/// not join the one before it.
fn walk<'a>(rows: DecideRows<'a>, now: Proven, log: &[Record]) -> Option<Way<'a>> {
    let before = rows.card.proven;
    if now.payment_seq != before.payment_seq {
        return None;
    }
    let new = now.remittance_seq.checked_sub(before.remittance_seq)?;
    let old = log.len().checked_sub(usize::try_from(new).ok()?)?;
    let (older, newer) = log.split_at_checked(old)?;
    let joins = match older.last() {
        Some(last) => {
            let last = LogRecord::from_bytes(last)?;
            let same = last.kind != LogKind::Credit || last.id == before.id;
            same && i64::from(last.balance_after) == before.value
        }
        // nothing older: overwritten since, or there was nothing
        None => log.len() == LOG_RECORDS_MAX || before.state() == CardState::default(),
    };
    if !joins {
        return None;
    }
    let mut way = Way {
        found: Vec::with_capacity(newer.len()),
        value: before.value,
        id: before.id,
        waits: false,
    };
    for record in newer {
        let record = LogRecord::from_bytes(record)?;
        let credited = rows.recovering.iter().find(|r| {
            let by_number = planted::on(Bug::DecideBySeq) && way.found.iter().all(|f| f.id != r.id);
            (r.id.to_bytes() == record.id || by_number)
                && r.amount.minor() == i64::from(record.amount)
        })?;
        if let Status::FundingUnknown { .. } = credited.status {
            way.waits = true;
            return Some(way);
        }
        let kind = match credited.flow {
            Flow::Credit(_) => LogKind::Credit,
            Flow::Debit { .. } => LogKind::Debit,
        };
        if record.kind != kind || way.found.iter().any(|f| f.id == credited.id) {
            return None;
        }
        let after = credited
            .flow
            .value_after(way.value, credited.amount.minor())?;
        (way.value, way.id) = (after, record.id);
        if after != i64::from(record.balance_after) {
            return None;
        }
        way.found.push(credited);
    }
    Some(way)
}

/// What the ledger is told of them.
pub(crate) fn logged(context: Context<'_>, credited: &[&Remittance]) -> Vec<LoggedCredit> {
    let entry = |r: &&Remittance| LoggedCredit {
        remittance: r.id,
        receipt: r.receipt.clone().unwrap_or_else(|| context.receipt(r)),
    };
    credited.iter().map(entry).collect()
}

/// Asks for the log, in the same card session.
pub(crate) fn ask_log(
    context: Context<'_>,
    nonce: &Nonce,
    binding: &Bound,
    heard: &Heard,
) -> Result<Vec<u8>, CardError> {
    let mut session = heard.session.clone();
    let command = purse::read_log(&mut session)?;
    let told = evidence::encode(heard.state, heard.value, &[]);
    let secret = Zeroizing::new([session.to_bytes().as_slice(), &told].concat());
    let ticket = Ticket {
        epoch: binding.epoch,
        uid: binding.uid,
        expires: Timestamp::from_micros(context.now.micros().saturating_add(LIFETIME_US)),
        secret,
    };
    let binding = Binding {
        step: TicketStep::Log,
        remittance: binding.remittance,
        incarnation: context.incarnation,
    };
    Ok(encode(&Reply::Step(Step {
        ticket: Some(ticket.seal(context.seal_key, nonce, binding)),
        stop: StopRule::FirstFailure,
        apdus: vec![command],
    })))
}
