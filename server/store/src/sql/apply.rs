//! One command inside the shared transaction: read the facts, ask the rules, write the plan.

use crate::db::Connection;
use audit_log::{Change, digest};
use ledger::{
    Account, AccountRef, CardId, Command, CommitOutcome, CommitSend, Decide, Decided, Escrow,
    Event, Flow, InvitationEvent, Leg, Outcome, Posting, Proven, Refusal, RemittanceId, Settle,
    Source, Status, Timestamp, Transfer, Transition, rules,
};
use money::Amount;
use planted::Bug;

use crate::sql::doubt;
use crate::sql::fault::Fault;
use crate::sql::order::place_order;
use crate::sql::{bank, debit, invitation, journal, lost, recovery, revise, rows};

type Answer = Result<Outcome, Refusal>;

/// `now`: the ledger's time for this command.
pub(super) fn apply(
    connection: &Connection,
    command: &Command,
    now: Timestamp,
) -> Result<Answer, Fault> {
    if let Err(refusal) = rules::within_bounds(command) {
        return Ok(Err(refusal));
    }
    match command {
        Command::Transfer {
            id,
            from,
            to,
            amount,
            ..
        } => {
            let transfer = Transfer {
                id: *id,
                from: from.account(amount.currency()),
                to: to.account(amount.currency()),
                amount: *amount,
                at: now,
            };
            move_funds(connection, &transfer, *from, *to)
        }
        Command::PlaceOrder(order) => place_order(connection, order, now),
        Command::Invite(invite) => invitation::invite(connection, invite, now),
        Command::BindInvitation(bind) => invitation::bind(connection, bind, now),
        Command::Revise(revise) => revise::revise(connection, revise, now),
        Command::Cancel {
            remittance, sender, ..
        } => {
            let escrow = rows::escrow(connection, *remittance)?;
            if let Some(held) = invitation::instead_of(connection, escrow.as_ref(), *remittance)? {
                if held.sender != *sender {
                    return Ok(Err(Refusal::RemittanceUnknown));
                }
                let step = invitation::step(connection, &held, InvitationEvent::Cancel, now)?;
                return Ok(step.map(Outcome::Invitation));
            }
            let own = escrow.filter(|escrow| escrow.sender == *sender);
            let step = end(connection, own.as_ref(), Event::Cancel, now)?;
            Ok(step.map(Outcome::CancelNoted))
        }
        Command::Expire { remittance, .. } => {
            let escrow = rows::escrow(connection, *remittance)?;
            if let Some(held) = invitation::instead_of(connection, escrow.as_ref(), *remittance)? {
                let step = invitation::step(connection, &held, InvitationEvent::Expire, now)?;
                return Ok(step.map(Outcome::Invitation));
            }
            let step = end(connection, escrow.as_ref(), Event::Expire, now)?;
            Ok(step.map(Outcome::Expired))
        }
        Command::AskBank { remittance, .. } => bank::ask(connection, *remittance, now),
        Command::BankAnswered {
            remittance, answer, ..
        } => bank::answered(connection, *remittance, answer, now),
        Command::Decide(step) => decide(connection, step, now),
        Command::Settle(proof) => settle(connection, proof, now),
        Command::ShowReceipt {
            remittance,
            receipt,
            ..
        } => recovery::show_receipt(connection, *remittance, receipt, now),
        Command::BlockCard { card, .. } => block(connection, *card, now),
        Command::ReportLost { card, .. } => lost::report_lost(connection, *card, now),
        Command::PayOut { card, .. } => lost::pay_out_card(connection, *card, now),
        Command::CloseInDoubt(close) => doubt::close(connection, close, now),
        Command::ResolveCase(resolve) => doubt::resolve(connection, resolve, now),
    }
}

fn move_funds(
    connection: &Connection,
    transfer: &Transfer,
    from: AccountRef,
    to: AccountRef,
) -> Result<Answer, Fault> {
    rows::foresee(connection, transfer.id);
    // both are asked for before the first is looked at
    let (from, to) = (side(connection, from), side(connection, to));
    let (from, to) = (from?, to?);
    let plan = match rules::transfer(from, to, transfer.amount.money()) {
        Ok(plan) => plan,
        // a repeat has the answer of its first time, whatever the accounts hold by now
        Err(refusal) => return Ok(repeated(connection, transfer)?.unwrap_or(Err(refusal))),
    };
    // inserting finds a repeat as well as looking first would, and saves the look
    if !rows::insert_new(connection, transfer)? {
        return repeated(connection, transfer)?.ok_or(Fault::Corrupt("transfer"));
    }
    for (side, after) in [(from, plan.from_after), (to, plan.to_after)] {
        if let (AccountRef::Holder(holder), Some(after)) = (side.account, after) {
            rows::set_balance(connection, holder.as_bytes(), after)?;
        }
    }
    Ok(Ok(Outcome::Transferred))
}

/// The answer to a transfer whose id was posted already.
fn repeated(connection: &Connection, transfer: &Transfer) -> Result<Option<Answer>, Fault> {
    let posted = rows::transfer(connection, transfer.id)?;
    Ok(posted.map(|posted| {
        let same = Transfer {
            at: posted.at,
            ..*transfer
        } == posted;
        if same {
            Ok(Outcome::Transferred)
        } else {
            Err(Refusal::TransferConflict)
        }
    }))
}

fn side(connection: &Connection, account: AccountRef) -> Result<rules::Side, Fault> {
    let balance = match account {
        AccountRef::Float => None,
        AccountRef::Holder(holder) => rows::balance(connection, holder.as_bytes())?,
    };
    Ok(rules::Side { account, balance })
}

/// Cancels or expires.
fn end(
    connection: &Connection,
    escrow: Option<&Escrow>,
    event: Event,
    now: Timestamp,
) -> Result<Result<Status, Refusal>, Fault> {
    let Some(escrow) = escrow else {
        return Ok(Err(Refusal::RemittanceUnknown));
    };
    // what a card has still to pay for is taken back, or expires, with its debit
    let (order, escrow) = (escrow, &debit::decisive(connection, escrow)?);
    match escrow.on(event, now) {
        Ok(step) => {
            if planted::on(Bug::RefundTwice) && step.to == escrow.status && !escrow.holds() {
                add_to(connection, escrow.sender.as_bytes(), escrow.amount)?;
            }
            advance(connection, escrow, step, None, now)?;
            if order.remittance == escrow.remittance {
                Ok(Ok(step.to))
            } else {
                let order = rows::escrow(connection, order.remittance)?;
                Ok(Ok(order.ok_or(Fault::Corrupt("remittance"))?.status))
            }
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

fn decide(connection: &Connection, step: &Decide, now: Timestamp) -> Result<Answer, Fault> {
    let escrow_of = |remittance: Option<RemittanceId>| match remittance {
        Some(remittance) => rows::escrow(connection, remittance),
        None => Ok(None),
    };
    // asked for before the first is looked at; none that failed is passed over
    let card = rows::card(connection, step.card);
    let in_flight = rows::in_flight(connection, step.card);
    let commit_escrow = escrow_of(step.commit.as_ref().map(|commit| commit.remittance));
    let (card, in_flight, commit_escrow) = (card?, in_flight?, commit_escrow?);
    let Some(card) = card else {
        return Ok(Err(Refusal::CardUnknown));
    };
    let in_flight_escrow = escrow_of(in_flight.as_ref().map(|sent| sent.remittance))?;
    let recovering = if card.reread {
        recovery::recovering(connection, card.id)?
    } else {
        Vec::new()
    };
    let facts = rules::DecideFacts {
        card: &card,
        in_flight: in_flight.as_ref(),
        in_flight_escrow: in_flight_escrow.as_ref(),
        commit_escrow: commit_escrow.as_ref(),
        recovering: &recovering,
    };
    let plan = match rules::decide(step, &facts, now) {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let (Some(settled), Some(escrow)) = (&plan.settled, &in_flight_escrow) {
        let receipt = rules::receipt_of(step.settle.as_ref());
        conclude(connection, escrow, settled, receipt.map(Vec::as_slice), now)?;
    }
    if let Some(reread) = &plan.reread {
        recovery::reread(connection, card.id, reread, step.settle.as_ref(), now)?;
    }
    if let Some(status) = plan.freeze {
        freeze(
            connection,
            step,
            in_flight.map(|sent| sent.remittance),
            status,
            now,
        )?;
    }
    if let (CommitOutcome::Sent { epoch }, Some(commit)) = (plan.commit, &step.commit) {
        let payment_seq = card.proven.payment_seq;
        send(connection, step, commit, (epoch, payment_seq), now)?;
        if let Some(escrow) = &commit_escrow {
            let sent = Status::CommitSent {
                cancel_asked: false,
            };
            debit::follow(connection, escrow, sent, now)?;
        }
    }
    let settled = plan.settled.map(|settled| settled.step.to);
    Ok(Ok(Outcome::Decided(Decided {
        settled,
        commit: plan.commit,
    })))
}

/// Ends what is in flight: the row goes, the remittance moves, the card account follows the card.
fn conclude(
    connection: &Connection,
    escrow: &Escrow,
    plan: &rules::SettledPlan,
    receipt: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), Fault> {
    let card = escrow.card.as_bytes();
    rows::write(
        connection,
        "DELETE FROM in_flight WHERE card = ?1",
        [card],
        "in-flight row",
    )?;
    if let Some(proven) = plan.proven {
        set_proven(connection, escrow.card, &proven)?;
        let change = Change::Credited {
            remittance: escrow.remittance,
            card: escrow.card,
            seq: proven.remittance_seq,
            payment_seq: proven.payment_seq,
            value: proven.value,
            receipt: digest(receipt.unwrap_or_default()),
        };
        journal::record(connection, now, change)?;
    } else {
        let remittance = escrow.remittance;
        journal::record(connection, now, Change::ProvenAbsent { remittance })?;
    }
    advance(connection, escrow, plan.step, receipt, now)
}

/// Notes what the card proved.
pub(super) fn set_proven(
    connection: &Connection,
    card: CardId,
    proven: &Proven,
) -> Result<(), Fault> {
    let sql = "UPDATE card SET proven_id = ?2, proven_remittance_seq = ?3, \
               proven_payment_seq = ?4, proven_value = ?5 WHERE id = ?1";
    let (seq, payment_seq) = (proven.remittance_seq, proven.payment_seq);
    let params = (card.as_bytes(), proven.id, seq, payment_seq, proven.value);
    rows::write(connection, sql, params, "card")
}

fn send(
    connection: &Connection,
    step: &Decide,
    commit: &CommitSend,
    (epoch, payment_seq): (u64, u32),
    now: Timestamp,
) -> Result<(), Fault> {
    if planted::on(Bug::NoInFlightIndex) {
        connection.execute(
            "DELETE FROM in_flight WHERE card = ?1",
            [step.card.as_bytes()],
        )?;
    }
    let sql = "INSERT INTO in_flight (card, remittance, epoch, seq, payment_seq, balance_before, \
               session, batch, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let (before, after) = (rows::stored(step.expect_epoch)?, rows::stored(epoch)?);
    let params = (
        step.card.as_bytes(),
        commit.remittance.as_bytes(),
        before,
        commit.seq,
        payment_seq,
        commit.balance_before,
        &commit.session,
        &commit.batch,
        now.micros(),
    );
    rows::write(connection, sql, params, "in-flight row")?;
    let sql = "UPDATE card SET epoch = ?2 WHERE id = ?1 AND epoch = ?3";
    let params = (step.card.as_bytes(), after, before);
    rows::write(connection, sql, params, "card")?;
    let sql = "UPDATE remittance SET status = 'commit-sent' WHERE id = ?1 AND status = 'open'";
    rows::write(
        connection,
        sql,
        [commit.remittance.as_bytes()],
        "remittance",
    )?;
    let change = Change::CommitSent {
        remittance: commit.remittance,
        card: step.card,
        seq: commit.seq,
        epoch,
        balance_before: commit.balance_before,
    };
    journal::record(connection, now, change)
}

fn freeze(
    connection: &Connection,
    step: &Decide,
    in_flight: Option<RemittanceId>,
    (status, kind): (ledger::CardStatus, ledger::CaseKind),
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(ledger::Settlement::Freeze { evidence }) = &step.settle else {
        return Ok(());
    };
    if !doubt::open_case(connection, step.card, in_flight, evidence, kind, now)? {
        return Ok(());
    }
    set_card_status(connection, step.card, status)?;
    let change = Change::CardFrozen {
        card: step.card,
        status,
        in_flight,
        evidence: digest(evidence),
    };
    journal::record(connection, now, change)
}

fn settle(connection: &Connection, proof: &Settle, now: Timestamp) -> Result<Answer, Fault> {
    let escrow = rows::escrow(connection, proof.remittance);
    let in_flight = rows::in_flight(connection, proof.card);
    let (escrow, in_flight) = (escrow?, in_flight?);
    let facts = rules::SettleFacts {
        escrow: escrow.as_ref(),
        in_flight: in_flight.as_ref(),
    };
    match (rules::settle(proof, &facts, now), &escrow) {
        (Err(refusal), _) => Ok(Err(refusal)),
        (Ok(rules::SettlePlan::Kept), Some(escrow)) if planted::on(Bug::ProofPostedTwice) => {
            add_to(connection, escrow.card.as_bytes(), escrow.amount)?;
            Ok(Ok(Outcome::Settled {
                receipt: proof.receipt.clone(),
            }))
        }
        (Ok(rules::SettlePlan::Kept), found) => {
            if let (true, Some(debit)) = (planted::on(Bug::DebitTwice), found) {
                debit::take_again(connection, debit)?;
            }
            let receipt = rows::receipt(connection, proof.remittance)?;
            let receipt = receipt.ok_or(Fault::Corrupt("receipt"))?;
            Ok(Ok(Outcome::Settled { receipt }))
        }
        (Ok(rules::SettlePlan::Post(plan)), Some(escrow)) => {
            conclude(connection, escrow, &plan, Some(&proof.receipt), now)?;
            Ok(Ok(Outcome::Settled {
                receipt: proof.receipt.clone(),
            }))
        }
        (Ok(rules::SettlePlan::Post(_)), None) => Err(Fault::Corrupt("remittance")),
    }
}

fn block(connection: &Connection, card: CardId, now: Timestamp) -> Result<Answer, Fault> {
    let Some(found) = rows::card(connection, card)? else {
        return Ok(Err(Refusal::CardUnknown));
    };
    if found.status != ledger::CardStatus::Blocked {
        doubt::block(connection, card, now)?;
    }
    Ok(Ok(Outcome::CardBlocked))
}

pub(super) fn set_card_status(
    connection: &Connection,
    card: CardId,
    status: ledger::CardStatus,
) -> Result<(), Fault> {
    let sql = "UPDATE card SET status = ?2 WHERE id = ?1";
    rows::write(connection, sql, (card.as_bytes(), status.code()), "card")
}

/// Writes a step of a remittance together with the transfer that belongs to it.
pub(super) fn advance(
    connection: &Connection,
    escrow: &Escrow,
    step: Transition,
    receipt: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), Fault> {
    if step.to == escrow.status {
        return Ok(());
    }
    let (from, to) = (
        rows::status_columns(escrow.status),
        rows::status_columns(step.to),
    );
    let receipt = receipt.filter(|_| !planted::on(Bug::ReceiptNotStored));
    let sql = "UPDATE remittance SET status = ?2, cancel_asked = ?3, ended = ?4, recovering = ?5, \
               receipt = ?6, held = coalesce(held, ?9) \
               WHERE id = ?1 AND status = ?7 AND recovering = ?8";
    let remittance = escrow.remittance.as_bytes();
    let params = (
        remittance,
        to.status,
        to.cancel_asked,
        to.ended,
        to.recovering,
        receipt,
        from.status,
        from.recovering,
        to.held,
    );
    rows::write(connection, sql, params, "remittance")?;
    if let Some(posting) = step.posting {
        post_leg(connection, escrow, posting, now)?;
    }
    bank::follow(connection, escrow, step.to, now)?;
    debit::follow(connection, escrow, step.to, now)?;
    if let (false, Status::Recovering { .. }) = (escrow.status.is_funded(), step.to) {
        // the card may have been read while it was not known whether this was ever funded
        let sql = "UPDATE card SET reread = 1, epoch = epoch + 1 WHERE id = ?1";
        rows::write(connection, sql, [escrow.card.as_bytes()], "card")?;
    }
    match change_of(escrow, step.to) {
        Some(change) => journal::record(connection, now, change),
        None => Ok(()),
    }
}

/// What the audit log is told of a step; nothing of one that is noted elsewhere.
const fn change_of(escrow: &Escrow, to: Status) -> Option<Change> {
    let remittance = escrow.remittance;
    Some(match to {
        Status::Returned { reason, .. } => Change::Returned { remittance, reason },
        Status::Refunding { reason } => Change::Refunding { remittance, reason },
        Status::Unfunded { reason, .. } => Change::Unfunded { remittance, reason },
        Status::CommitSent { cancel_asked: true } => Change::CancelAsked { remittance },
        Status::FundingUnknown {
            recovering: true, ..
        } if !is_recovering(escrow.status) => Change::Recovering { remittance },
        Status::FundingUnknown {
            cancel_asked: true, ..
        } => Change::CancelAsked { remittance },
        Status::FundingUnknown { .. } => match escrow.flow {
            Flow::Credit(Source::Bank) => Change::BankAsked { remittance },
            // noted of its debit
            Flow::Credit(Source::Account | Source::Card | Source::Payable) | Flow::Debit { .. } => {
                return None;
            }
        },
        Status::Recovering { .. } => match escrow.status {
            Status::Recovering { .. } => Change::CancelAsked { remittance },
            Status::FundingUnknown { .. } | Status::Ordered => Change::Funded { remittance },
            Status::Open
            | Status::CommitSent { .. }
            | Status::Refunding { .. }
            | Status::Held { .. }
            | Status::Unfunded { .. }
            | Status::Credited { .. }
            | Status::Returned { .. } => Change::Recovering { remittance },
        },
        Status::Open if !escrow.status.is_funded() => Change::Funded { remittance },
        // noted where the row, or its in-flight row, comes or goes
        Status::Ordered
        | Status::Held { .. }
        | Status::Open
        | Status::Credited { .. }
        | Status::CommitSent {
            cancel_asked: false,
        } => return None,
    })
}

/// Whether a restored database waits to hear of it.
const fn is_recovering(status: Status) -> bool {
    match status {
        Status::FundingUnknown { recovering, .. } => recovering,
        Status::Recovering { .. } => true,
        Status::Ordered
        | Status::Unfunded { .. }
        | Status::Open
        | Status::CommitSent { .. }
        | Status::Refunding { .. }
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. } => false,
    }
}

/// Posts the transfer of a step, and moves the accounts that have a row.
fn post_leg(
    connection: &Connection,
    escrow: &Escrow,
    posting: Posting,
    now: Timestamp,
) -> Result<(), Fault> {
    let held = Account::Escrow(escrow.remittance);
    let (leg, from, to) = match (posting, escrow.flow) {
        (Posting::ToEscrow, Flow::Credit(Source::Bank)) => {
            let bank = Account::Bank(escrow.amount.currency());
            (Leg::Funding, bank, held)
        }
        // posted by the card that has proven it
        (Posting::ToEscrow, Flow::Credit(Source::Card)) => return Ok(()),
        (Posting::FromCard, Flow::Debit { .. }) => return debit::post(connection, escrow, now),
        (Posting::CardToSender, Flow::Debit { .. }) => {
            return debit::post_closed(connection, escrow, now);
        }
        (Posting::ToCard, Flow::Credit(_)) => (Leg::End, held, Account::Card(escrow.card)),
        (Posting::ToLoss, Flow::Credit(_)) => {
            (Leg::End, held, Account::Loss(escrow.amount.currency()))
        }
        (Posting::LossToSender, Flow::Credit(_)) => {
            let loss = Account::Loss(escrow.amount.currency());
            (Leg::Loss, loss, escrow.paid_from_loss())
        }
        (Posting::ToSender, Flow::Credit(_)) | (Posting::Through, Flow::Credit(Source::Card)) => {
            (Leg::End, held, debit::home(connection, escrow)?)
        }
        (
            Posting::ToEscrow
            | Posting::FromCard
            | Posting::Through
            | Posting::CardToSender
            | Posting::ToCard
            | Posting::ToLoss
            | Posting::LossToSender
            | Posting::ToSender,
            Flow::Credit(_) | Flow::Debit { .. },
        ) => return Err(Fault::Corrupt("flow")),
    };
    rows::foresee(connection, leg.transfer_of(escrow.remittance));
    match to {
        Account::Card(_) | Account::Holder(_) if planted::on(Bug::PostingForgotten) => {}
        Account::Card(card) => add_to(connection, card.as_bytes(), escrow.amount)?,
        Account::Payable(_) => debit::owe(connection, escrow)?,
        Account::Holder(holder) => add_to(connection, holder.as_bytes(), escrow.amount)?,
        // derived: their transfers are their balance
        Account::Float(_)
        | Account::Bank(_)
        | Account::Pool(_)
        | Account::Loss(_)
        | Account::WrittenOff(_)
        | Account::Escrow(_) => {}
    }
    rows::post(
        connection,
        &Transfer {
            id: leg.transfer_of(escrow.remittance),
            from,
            to,
            amount: escrow.amount,
            at: now,
        },
    )
}

fn add_to(connection: &Connection, account: &[u8; 16], amount: Amount) -> Result<(), Fault> {
    let balance = rows::balance(connection, account)?.ok_or(Fault::Corrupt("account"))?;
    // `BALANCE_MINOR_MAX` leaves room for more escrow than there can be
    let after = balance
        .checked_add(amount.money())
        .map_err(|_| Fault::Corrupt("balance"))?;
    rows::set_balance(connection, account, after.minor())
}
