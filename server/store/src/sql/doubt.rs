//! What no session settles: closing in doubt, cases, and the persons who decide.

use crate::db::{Connection, Row};
use audit_log::{Change, digest};
use ledger::{
    Account, Adopted, Card, CardId, CardStatus, CaseKind, CaseResolved, CloseInDoubt, Escrow,
    FreezeCase, Invitation, InvitationEvent, LoggedCredit, Outcome, Refusal, RemittanceId,
    Resolution, ResolveCase, ResolveFacts, Timestamp, Transfer, close_in_doubt, resolve_case,
};
use money::Amount;

use crate::record::DoubtRow;
use crate::sql::apply::{advance, set_card_status, set_proven};
use crate::sql::fault::Fault;
use crate::sql::officers::{decide, known};
use crate::sql::recovery::Shown;
use crate::sql::{bank, invitation, journal, recovery, rows};
use crate::traits::PAGE_MAX;

type Answer = Result<Outcome, Refusal>;

// --- in doubt ---

/// The card's remittances that wait for its word: in doubt, recovering or held.
pub(super) fn undecided(connection: &Connection, card: CardId) -> Result<Vec<Escrow>, Fault> {
    let sql = "SELECT id FROM remittance WHERE status = 'commit-sent' AND ended IS NULL \
               AND card = ?1 ORDER BY id";
    let ids = rows::all(connection, sql, [card.as_bytes()], |row| {
        rows::id(row, 0, RemittanceId::from_bytes)
    })?;
    let read = |id| rows::escrow(connection, id)?.ok_or(Fault::Corrupt("remittance"));
    ids.into_iter().map(read).collect()
}

pub(super) fn close(
    connection: &Connection,
    command: &CloseInDoubt,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let escrow = rows::escrow(connection, command.remittance)?;
    let known = known(connection, &command.approval)?;
    if let Some(held) = invitation::instead_of(connection, escrow.as_ref(), command.remittance)? {
        return close_invitation(connection, command, known, &held, now);
    }
    let bank_asked = bank::is_asked(connection, command.remittance)?;
    let closed = close_in_doubt(&command.approval, known, escrow.as_ref(), bank_asked, now);
    let step = match closed {
        Ok(step) => step,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let escrow = escrow.ok_or(Fault::Corrupt("remittance"))?;
    if step.to == escrow.status {
        return Ok(Ok(Outcome::Closed(step.to)));
    }
    let subject = escrow.remittance.to_string();
    let approval = decide(
        connection,
        "closed-in-doubt",
        &subject,
        &command.approval,
        now,
    )?;
    let change = Change::ClosedInDoubt {
        remittance: escrow.remittance,
        card: escrow.card,
        approval,
    };
    journal::record(connection, now, change)?;
    block(connection, escrow.card, now)?;
    advance(connection, &escrow, step, None, now)?;
    Ok(Ok(Outcome::Closed(step.to)))
}

/// Gives back what a restore has left waiting for a card that nobody knows.
fn close_invitation(
    connection: &Connection,
    command: &CloseInDoubt,
    known: (bool, bool),
    held: &Invitation,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let to = match ledger::close_invitation(&command.approval, known, held, now) {
        Ok(to) => to,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if to != held.status {
        let subject = held.id.to_string();
        let approval = &command.approval;
        let approval = decide(connection, "closed-in-doubt", &subject, approval, now)?;
        let remittance = held.id;
        let change = Change::InvitationClosed {
            remittance,
            approval,
        };
        journal::record(connection, now, change)?;
        let step = invitation::step(connection, held, InvitationEvent::Close, now)?;
        step.map_err(|_| Fault::Corrupt("invitation status"))?;
    }
    Ok(Ok(Outcome::Invitation(to)))
}

/// Blocks a card that is not blocked yet; what is in flight stays.
pub(super) fn block(connection: &Connection, card: CardId, now: Timestamp) -> Result<(), Fault> {
    let found = rows::card(connection, card)?.ok_or(Fault::Corrupt("card"))?;
    if found.status != CardStatus::Blocked {
        set_card_status(connection, card, CardStatus::Blocked)?;
        journal::record(connection, now, Change::CardBlocked { card })?;
    }
    Ok(())
}

/// Remittances in doubt, recovering or held, in order of id.
pub(super) fn in_doubt(
    connection: &Connection,
    after: Option<RemittanceId>,
    limit: u32,
) -> Result<Vec<DoubtRow>, Fault> {
    let sql = "SELECT remittance.id, in_flight.since FROM remittance \
               LEFT JOIN in_flight ON in_flight.remittance = remittance.id \
               WHERE status = 'commit-sent' AND ended IS NULL AND remittance.id > ?1 ORDER BY remittance.id LIMIT ?2";
    let after = after.map_or([0; 16], RemittanceId::to_bytes);
    rows::all(connection, sql, (after, limit.min(PAGE_MAX)), |row| {
        let id = rows::id(row, 0, RemittanceId::from_bytes)?;
        let since: Option<i64> = row.get(1)?;
        Ok(DoubtRow {
            escrow: rows::escrow(connection, id)?.ok_or(Fault::Corrupt("remittance"))?,
            since: since.map(Timestamp::from_micros),
            bank_asked: bank::is_asked(connection, id)?,
        })
    })
}

// --- cases ---

const CASE_SELECT: &str =
    "SELECT seq, kind, closed, card, in_flight, evidence, at FROM freeze_case";

fn read_case(row: &Row<'_>) -> Result<FreezeCase, Fault> {
    let closed: Option<i64> = row.get(2)?;
    let in_flight: Option<[u8; 16]> = row.get(4)?;
    let in_flight = in_flight.map(RemittanceId::from_bytes).transpose();
    Ok(FreezeCase {
        number: rows::counter(row, 0)?,
        kind: rows::coded(row, 1, CaseKind::from_code, "case kind")?,
        closed: closed.map(Timestamp::from_micros),
        card: rows::id(row, 3, CardId::from_bytes)?,
        in_flight: in_flight.map_err(|_| Fault::Corrupt("id"))?,
        evidence: row.get(5)?,
        at: rows::at(row, 6)?,
    })
}

pub(super) fn cases(
    connection: &Connection,
    after: u64,
    limit: u32,
) -> Result<Vec<FreezeCase>, Fault> {
    let sql = format!("{CASE_SELECT} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let params = (rows::stored(after)?, limit.min(PAGE_MAX));
    rows::all(connection, &sql, params, read_case)
}

pub(super) fn case(connection: &Connection, number: u64) -> Result<Option<FreezeCase>, Fault> {
    let Ok(number) = i64::try_from(number) else {
        return Ok(None);
    };
    let sql = format!("{CASE_SELECT} WHERE seq = ?1");
    rows::one(connection, &sql, [number], read_case)
}

/// Opens a case, unless the same one of that card is open: a card that is presented again and again
/// adds nothing.
pub(super) fn open_case(
    connection: &Connection,
    card: CardId,
    in_flight: Option<RemittanceId>,
    evidence: &[u8],
    kind: CaseKind,
    now: Timestamp,
) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM freeze_case \
               WHERE card = ?1 AND closed IS NULL AND kind = ?2 AND evidence = ?3";
    let same = (card.as_bytes(), kind.code(), evidence);
    if connection.exists(sql, same)? {
        return Ok(false);
    }
    let sql = "INSERT INTO freeze_case (card, in_flight, evidence, at, kind) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let in_flight = in_flight.map(RemittanceId::to_bytes);
    let (id, code) = (card.as_bytes(), kind.code());
    rows::write(
        connection,
        sql,
        (id, in_flight, evidence, now.micros(), code),
        "case",
    )?;
    Ok(true)
}

pub(super) fn has_open_case(connection: &Connection, card: CardId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM freeze_case WHERE card = ?1 AND closed IS NULL";
    connection.exists(sql, [card.as_bytes()])
}

pub(super) fn resolve(
    connection: &Connection,
    command: &ResolveCase,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let case = case(connection, command.case)?;
    let card = match &case {
        Some(case) => rows::card(connection, case.card)?,
        None => None,
    };
    let (undecided, balance) = match &card {
        Some(card) => (
            recovery::recovering(connection, card.id)?,
            minor_of(connection, card.id)?,
        ),
        None => (Vec::new(), 0),
    };
    let facts = ResolveFacts {
        known: known(connection, &command.approval)?,
        case: case.as_ref(),
        card: card.as_ref(),
        balance,
        undecided: &undecided,
    };
    let plan = match resolve_case(&command.approval, &command.resolution, &facts, now) {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let card = card.ok_or(Fault::Corrupt("card"))?;
    let sql = "UPDATE freeze_case SET closed = ?2 WHERE seq = ?1 AND closed IS NULL";
    let number = rows::stored(command.case)?;
    rows::write(connection, sql, (number, now.micros()), "case")?;
    let adjusted = write_resolution(connection, command, &card, plan.adopted.as_ref(), now)?;
    let status = plan.status;
    set_card_status(connection, card.id, status)?;
    let card = card.id;
    Ok(Ok(Outcome::CaseResolved(CaseResolved {
        card,
        status,
        adjusted,
    })))
}

/// Writes what was decided with who decided it; gives the adjustment.
fn write_resolution(
    connection: &Connection,
    command: &ResolveCase,
    card: &Card,
    adopted: Option<&Adopted>,
    now: Timestamp,
) -> Result<i64, Fault> {
    let (case, subject) = (command.case, command.case.to_string());
    let decide = |what| decide(connection, what, &subject, &command.approval, now);
    let (
        Some(plan),
        Resolution::Adopt {
            credited,
            evidence,
            adjustment,
            ..
        },
    ) = (adopted, &command.resolution)
    else {
        let change = Change::CaseBlocked {
            case,
            card: card.id,
            approval: decide("case-blocked")?,
        };
        journal::record(connection, now, change)?;
        return Ok(0);
    };
    // the card accounts for all of them at once: one case is all that it needs
    let sql = "UPDATE freeze_case SET closed = ?2 WHERE card = ?1 AND closed IS NULL";
    let params = (card.id.as_bytes(), now.micros());
    connection.execute(sql, params)?;
    // what the account is short of comes before the debits that took it
    if plan.adjusted > 0 {
        adjust(connection, card, *adjustment, plan.adjusted, now)?;
    }
    adopt(connection, card.id, plan, credited, now)?;
    if plan.adjusted < 0 {
        adjust(connection, card, *adjustment, plan.adjusted, now)?;
    }
    let change = Change::CaseAdopted {
        case,
        card: card.id,
        seq: plan.proven.remittance_seq,
        payment_seq: plan.proven.payment_seq,
        value: plan.proven.value,
        adjusted: plan.adjusted,
        evidence: digest(evidence),
        approval: decide("case-adopted")?,
    };
    journal::record(connection, now, change)?;
    Ok(plan.adjusted)
}

/// Writes the card's truth: its undecided remittances move, and its record is what was read.
fn adopt(
    connection: &Connection,
    card: CardId,
    plan: &Adopted,
    credited: &[LoggedCredit],
    now: Timestamp,
) -> Result<(), Fault> {
    recovery::decide_all(
        connection,
        card,
        (&plan.steps, credited),
        Shown::Believed,
        now,
    )?;
    set_proven(connection, card, &plan.proven)?;
    let sql = "UPDATE card SET reread = 0, epoch = ?2 WHERE id = ?1";
    rows::write(
        connection,
        sql,
        (card.as_bytes(), rows::stored(plan.epoch)?),
        "card",
    )
}

/// Posts an adjustment between `written-off` and a card account.
fn adjust(
    connection: &Connection,
    card: &Card,
    id: ledger::TransferId,
    adjusted: i64,
    now: Timestamp,
) -> Result<(), Fault> {
    let corrupt = |_| Fault::Corrupt("adjustment");
    if adjusted == 0 {
        return Ok(());
    }
    let minor = adjusted.checked_abs().ok_or(Fault::Corrupt("adjustment"))?;
    let amount = Amount::new(minor, card.currency).map_err(corrupt)?;
    let (off, on) = (Account::WrittenOff(card.currency), Account::Card(card.id));
    let (from, to) = if adjusted > 0 { (off, on) } else { (on, off) };
    let balance = minor_of(connection, card.id)?;
    let after = balance.checked_add(adjusted);
    let after = after.ok_or(Fault::Corrupt("balance"))?;
    rows::set_balance(connection, card.id.as_bytes(), after)?;
    let at = now;
    rows::post(
        connection,
        &Transfer {
            id,
            from,
            to,
            amount,
            at,
        },
    )
}

pub(super) fn minor_of(connection: &Connection, card: CardId) -> Result<i64, Fault> {
    let balance = rows::balance(connection, card.as_bytes())?;
    Ok(balance.ok_or(Fault::Corrupt("account"))?.minor())
}
