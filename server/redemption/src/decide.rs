//! Exchange 3, the decisive step: what became of the operation in flight, and may the next commit
//! leave?
//!
//! | STATE and VALUE | in flight | conclusion |
//! | --- | --- | --- |
//! | id in flight, its numbers, value before + amount (- for a debit) | yes | done |
//! | exactly what was last proven | yes | absent: not done, and no longer possible |
//! | exactly what was last proven | no | go on |
//! | anything else | either | freeze the card, credit nothing |
//!
//! A card that is to be read again after a restore: see `reread`.

use crate::{
    Context,
    accept::{Bound, StateAnswered},
    begin::{ProgramKey, unredeemable, unusable},
    encode, evidence, flight,
    reread::{self, Record, Reread},
    seal::Nonce,
};
use alloc::vec::Vec;
use card::{purse, secure_messaging::Session};
use ledger::{
    Card, CardState, CardStatus, CommitOutcome, CommitSend, Decide, Decided, Event, Flow, InFlight,
    LoggedCredit, Proven, Remittance, RemittanceId, Settlement, Status,
};
use planted::Bug;
use wire::exchange::{Refusal, Reply, Step, StopRule};

/// What the server knows when STATE and VALUE arrive.
#[derive(Clone, Copy, Debug)]
pub struct DecideRows<'a> {
    /// The remittance that is to be credited.
    pub remittance: &'a Remittance,
    /// The card it is bound to.
    pub card: &'a Card,
    /// What is in flight on that card, with its remittance: this one or another.
    pub in_flight: Option<(&'a InFlight, &'a Remittance)>,
    /// While the card is to be read again after a restore: its remittances that are recovering, those
    /// of which it is not known whether they were funded, and those that a receipt has shown as
    /// credited since. Else empty.
    pub recovering: &'a [Remittance],
    /// Whether the key that signed the remittance's program is honoured.
    pub program_key: ProgramKey,
}

/// What to do about exchange 3.
#[derive(Debug)]
pub enum Decision {
    /// Write nothing; send these bytes.
    Answer(Vec<u8>),
    /// Write [`Verdict::command`]; only after its commit send [`Verdict::answer`].
    Write(Verdict),
    /// Take these in, in this order, as shown receipts ([`ledger::Command::ShowReceipt`]) until one is
    /// refused; send the answer whatever becomes of them.
    Show {
        /// What the card's log proves.
        certain: Vec<LoggedCredit>,
        /// The refusal: the rest has to wait.
        answer: Vec<u8>,
    },
}

/// A decision that becomes true when its command is committed.
#[derive(Debug)]
pub struct Verdict {
    /// The one transaction of the decisive step.
    pub command: Decide,
    /// The answer when no commit is sent.
    otherwise: Vec<u8>,
}

/// STATE and VALUE as an authentic card told them, and the session with both answers counted.
pub(crate) struct Heard {
    pub(crate) session: Session,
    pub(crate) state: CardState,
    pub(crate) value: i32,
    /// The log, where it was asked for.
    pub(crate) log: Option<Vec<Record>>,
}

/// What STATE and VALUE say.
enum Reading {
    Credited,
    Unchanged,
    Unexplained,
}

impl StateAnswered {
    /// The remittance these answers are for.
    #[must_use]
    pub const fn remittance(&self) -> RemittanceId {
        self.binding.remittance
    }

    /// Decides; may be called again with newer rows when the command met a card that had moved on.
    #[must_use]
    pub fn decide(&self, context: Context<'_>, rows: DecideRows<'_>, nonce: &Nonce) -> Decision {
        match self.check(context, rows) {
            Ok(heard) => conclude(context, rows, nonce, &self.binding, &heard),
            Err(answer) => Decision::Answer(answer),
        }
    }

    /// Lets through only answers of the card that the ticket was made for, in the epoch that the
    /// ticket was made in.
    fn check(&self, context: Context<'_>, rows: DecideRows<'_>) -> Result<Heard, Vec<u8>> {
        if rows.card.uid.0 != self.binding.uid && !planted::on(Bug::WrongCard) {
            return Err(refuse(Refusal::Restart));
        }
        if let Some(refusal) = unusable(rows.card, rows.in_flight.map(|(f, _)| f)) {
            return Err(refuse(refusal));
        }
        let old = rows.card.epoch != self.binding.epoch;
        if old && !planted::on(Bug::NoEpoch) && !planted::on(Bug::OldAbsent) {
            return Err(self
                .repeated(context, rows)
                .unwrap_or_else(|| refuse(Refusal::Restart)));
        }
        let mut session = self.session.clone();
        let stopped = || refuse(Refusal::CardStopped);
        if let Some((state, value)) = self.told {
            let [answer] = self.answers.as_slice() else {
                return Err(stopped());
            };
            let log = purse::open_log(&mut session, answer).map_err(|_| stopped())?;
            return Ok(Heard {
                session,
                state,
                value,
                log: Some(log),
            });
        }
        let (state, value) =
            purse::open_state_and_value(&mut session, &self.answers).map_err(|_| stopped())?;
        let state = CardState {
            id: state.id,
            remittance_seq: state.remittance_seq,
            payment_seq: state.payment_seq,
        };
        let unchanged = Proven::from_state(state, i64::from(value)) == rows.card.proven;
        if old && !unchanged && planted::on(Bug::OldAbsent) {
            return Err(refuse(Refusal::Restart));
        }
        Ok(Heard {
            session,
            state,
            value,
            log: None,
        })
    }

    /// The stored batch, byte for byte, when it was this very session that was given it.
    fn repeated(&self, context: Context<'_>, rows: DecideRows<'_>) -> Option<Vec<u8>> {
        let (in_flight, _) = rows.in_flight?;
        let (card, remittance) = (in_flight.card, in_flight.remittance);
        if remittance != self.binding.remittance {
            return None;
        }
        let session = flight::open(context.seal_key, card, remittance, &in_flight.session)?;
        flight::same_session(&session, &self.session).then(|| {
            let mut batch = in_flight.batch.clone();
            if planted::on(Bug::BatchRemade)
                && let Some(byte) = batch.last_mut()
            {
                *byte ^= 1;
            }
            batch
        })
    }
}

fn conclude(
    context: Context<'_>,
    rows: DecideRows<'_>,
    nonce: &Nonce,
    binding: &Bound,
    heard: &Heard,
) -> Decision {
    let (state, value) = (heard.state, heard.value);
    let mut command = Decide {
        card: rows.card.id,
        expect_epoch: rows.card.epoch,
        expect_in_flight: rows.in_flight.map(|(f, _)| f.remittance),
        settle: None,
        commit: None,
        now: context.now,
    };
    let proven = Proven::from_state(state, i64::from(value));
    let mut status = rows.remittance.status;
    if rows.card.reread {
        let credited = match reread::read(rows, heard) {
            Reread::AskLog => {
                let asked = reread::ask_log(context, nonce, binding, heard);
                return Decision::Answer(asked.unwrap_or_else(|_| refuse(Refusal::CardStopped)));
            }
            Reread::Waits(certain) => return wait(context, certain),
            Reread::Unexplained => return freeze(command, rows.card, heard),
            Reread::Explained(credited) => reread::logged(context, &credited),
        };
        let own = credited.iter().find(|l| l.remittance == rows.remittance.id);
        let receipt = own.map(|logged| logged.receipt.clone());
        command.settle = Some(Settlement::Reread {
            credited,
            value: i64::from(value),
            state,
        });
        if let Some(receipt) = receipt {
            let otherwise = encode(&Reply::Receipt(receipt));
            return Decision::Write(Verdict { command, otherwise });
        }
        if let Status::Recovering { .. } = status {
            status = match rows.remittance.escrow().on(Event::ProveAbsent, context.now) {
                Ok(transition) => transition.to,
                Err(_) => return Decision::Answer(refuse(Refusal::Restart)),
            };
        }
        return go_on(context, rows, nonce, heard, command, status);
    }
    match (read(rows, proven), rows.in_flight) {
        (Reading::Unexplained, _) | (Reading::Credited, None) => {
            return freeze(command, rows.card, heard);
        }
        (Reading::Credited, Some((_, settled))) => {
            let receipt = context.receipt(settled);
            let value_after = i64::from(value);
            command.settle = Some(Settlement::Credited {
                receipt: receipt.clone(),
                value_after,
                state,
            });
            if settled.id == rows.remittance.id {
                let otherwise = encode(&Reply::Receipt(receipt));
                return Decision::Write(Verdict { command, otherwise });
            }
        }
        (Reading::Unchanged, Some(_)) if planted::on(Bug::NoInFlightIndex) => {}
        (Reading::Unchanged, Some((_, absent))) => {
            command.settle = Some(Settlement::Absent);
            if absent.id == rows.remittance.id {
                status = match absent.escrow().on(Event::ProveAbsent, context.now) {
                    Ok(transition) => transition.to,
                    Err(_) => return Decision::Answer(refuse(Refusal::Restart)),
                };
            }
        }
        (Reading::Unchanged, None) => {}
    }
    go_on(context, rows, nonce, heard, command, status)
}

/// Posts what is certain while the rest waits for another card, or a bank.
fn wait(context: Context<'_>, certain: Vec<&Remittance>) -> Decision {
    let answer = refuse(Refusal::Recovering);
    let new = certain.into_iter().filter(|r| r.receipt.is_none());
    let new: Vec<_> = new.collect();
    if new.is_empty() {
        return Decision::Answer(answer);
    }
    let certain = reread::logged(context, &new);
    Decision::Show { certain, answer }
}

/// Concludes nothing, keeps what the card said.
fn freeze(mut command: Decide, card: &Card, heard: &Heard) -> Decision {
    let log = heard.log.as_deref().unwrap_or_default();
    command.settle = Some(Settlement::Freeze {
        evidence: evidence::encode(heard.state, heard.value, log),
    });
    let otherwise = refuse(match card.status {
        CardStatus::Blocked => Refusal::CardBlocked,
        CardStatus::Issuing | CardStatus::Active | CardStatus::Frozen => Refusal::CardFrozen,
    });
    Decision::Write(Verdict { command, otherwise })
}

/// Adds the commit of this remittance, which has `status` by now, or says why not.
fn go_on(
    context: Context<'_>,
    rows: DecideRows<'_>,
    nonce: &Nonce,
    heard: &Heard,
    mut command: Decide,
    status: Status,
) -> Decision {
    match batch(context, rows, nonce, status, heard) {
        Ok(send) => {
            command.commit = Some(send);
            Decision::Write(Verdict {
                command,
                otherwise: refuse(Refusal::Restart),
            })
        }
        Err(refusal) if command.settle.is_none() => Decision::Answer(refuse(refusal)),
        Err(refusal) => Decision::Write(Verdict {
            command,
            otherwise: refuse(refusal),
        }),
    }
}

/// The commit of this remittance, when nothing speaks against it.
fn batch(
    context: Context<'_>,
    rows: DecideRows<'_>,
    nonce: &Nonce,
    status: Status,
    heard: &Heard,
) -> Result<CommitSend, Refusal> {
    let remittance = rows.remittance;
    match status {
        Status::CommitSent { .. } => return Err(Refusal::Restart),
        Status::Recovering { .. } => return Err(Refusal::Recovering),
        Status::Ordered
        | Status::FundingUnknown { .. }
        | Status::Unfunded { .. }
        | Status::Refunding { .. }
        | Status::Open
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. } => {}
    }
    let ended = unredeemable(status, remittance.expires, context.now);
    if let Some(refusal) = ended.or(rows.program_key.refusal()) {
        return Err(refusal);
    }
    if rows.card.status == CardStatus::Blocked && !planted::on(Bug::BlockedCard) {
        return Err(Refusal::CardBlocked);
    }
    let before = i64::from(heard.value);
    let amount = remittance.amount.minor();
    let misfit = match remittance.flow {
        Flow::Credit(_) => Refusal::CardFull,
        Flow::Debit { .. } => Refusal::CardShort,
    };
    let after = remittance.flow.value_after(before, amount).ok_or(misfit)?;
    let limited = after > rows.card.value_max && !planted::on(Bug::CardLimit);
    match remittance.flow {
        Flow::Credit(_) if limited || after > i64::from(purse::VALUE_MAX) => return Err(misfit),
        Flow::Credit(_) | Flow::Debit { .. } => {}
    }
    let amount = i32::try_from(amount).map_err(|_| misfit)?;
    // four thousand million remittances wear out any card first
    let seq = heard
        .state
        .remittance_seq
        .checked_add(1)
        .ok_or(Refusal::CardBlocked)?;
    let state = purse::State {
        id: remittance.id.to_bytes(),
        remittance_seq: seq,
        payment_seq: heard.state.payment_seq,
    };
    let day = u32::try_from(context.now.unix_s().div_euclid(86_400)).unwrap_or(0);
    let change = match remittance.flow {
        Flow::Credit(_) => purse::credit,
        Flow::Debit { .. } => purse::debit,
    };
    let apdus =
        change(&mut heard.session.clone(), amount, heard.value, state, day).map_err(|_| misfit)?;
    let step = Step {
        ticket: None,
        stop: StopRule::FirstFailure,
        apdus: apdus.into_iter().collect(),
    };
    Ok(CommitSend {
        remittance: remittance.id,
        seq,
        balance_before: before,
        session: flight::seal(
            context.seal_key,
            nonce,
            rows.card.id,
            remittance.id,
            &heard.session,
        ),
        batch: encode(&Reply::Step(step)),
    })
}

/// Reads STATE and VALUE: by id, never by number alone.
fn read(rows: DecideRows<'_>, now: Proven) -> Reading {
    let Some((in_flight, remittance)) = rows.in_flight else {
        // a lost card that was paid out should not be here at all: keep what it says
        return match now == rows.card.proven && rows.card.payouts == 0 {
            true => Reading::Unchanged,
            false => Reading::Unexplained,
        };
    };
    if now == rows.card.proven {
        return Reading::Unchanged;
    }
    let value = remittance
        .flow
        .value_after(in_flight.balance_before, remittance.amount.minor());
    let expected = value.map(|value| Proven {
        id: in_flight.remittance.to_bytes(),
        remittance_seq: in_flight.seq,
        payment_seq: in_flight.payment_seq,
        value,
    });
    let by_number = planted::on(Bug::DecideBySeq) && in_flight.seq == now.remittance_seq;
    if Some(now) == expected || by_number {
        Reading::Credited
    } else {
        Reading::Unexplained
    }
}

impl Verdict {
    /// What to send once the command is committed, with the outcome of its commit part.
    #[must_use]
    pub fn answer(self, decided: Decided) -> Vec<u8> {
        match (decided.commit, self.command.commit) {
            (CommitOutcome::Sent { .. }, Some(sent)) => sent.batch,
            (CommitOutcome::Refused(refusal), _) => refuse(wire_refusal(refusal)),
            (CommitOutcome::Sent { .. } | CommitOutcome::NotAsked, _) => self.otherwise,
        }
    }
}

fn refuse(refusal: Refusal) -> Vec<u8> {
    encode(&Reply::Refusal(refusal))
}

/// What a terminal is told about a refusal of the ledger.
#[must_use]
pub const fn wire_refusal(refusal: ledger::Refusal) -> Refusal {
    use ledger::Refusal as R;
    match refusal {
        R::RemittanceUnknown => Refusal::RemittanceUnknown,
        R::CardUnknown | R::CardIssuing => Refusal::CardUnknown,
        R::CardBlocked | R::CardPaidOut | R::CounterExhausted => Refusal::CardBlocked,
        R::CardFrozen => Refusal::CardFrozen,
        R::WrongCard => Refusal::WrongCard,
        R::Cancelled => Refusal::Cancelled,
        R::Expired => Refusal::Expired,
        R::Closed => Refusal::Returned,
        R::InDoubt => Refusal::InDoubt,
        R::Recovering => Refusal::Recovering,
        R::NotFunded => Refusal::NotYetValid,
        R::AmountOverLimit | R::CardFull => Refusal::CardFull,
        R::InsufficientFunds => Refusal::CardShort,
        R::OutOfBounds
        | R::SamePerson
        | R::OfficerUnknown
        | R::CaseUnknown
        | R::CaseClosed
        | R::CaseOpen
        | R::CardNotLost
        | R::TooEarly
        | R::IdempotencyConflict
        | R::TransferConflict
        | R::RemittanceTaken
        | R::HolderUnknown
        | R::SelfRemittance
        | R::RecipientWithoutAddress
        | R::FundingUnavailable
        | R::CurrencyMismatch
        | R::Stale
        | R::Contradictory
        | R::NotInFlight
        | R::AlreadyCredited
        | R::NotExpired
        | R::BalanceOverLimit => Refusal::Restart,
    }
}
