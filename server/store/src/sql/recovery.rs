//! A restored backup: marking what it has forgotten, and taking in what cards and receipts say.

use crate::db::Connection;
use audit_log::{Change, digest};
use ledger::{
    CardId, Escrow, Event, LoggedCredit, Outcome, Refusal, Remittance, RemittanceId, RereadPlan,
    RereadStep, Settlement, Status, Timestamp,
};
use planted::Bug;

use crate::record::Incarnated;
use crate::sql::apply::{advance, set_proven};
use crate::sql::fault::Fault;
use crate::sql::read;
use crate::sql::{bank, debit, invitation, journal, rows};

/// The incarnation that a restore gave to this database.
pub(super) fn incarnation(connection: &Connection) -> Result<rows::Life, Fault> {
    Ok(rows::time_and_life(connection)?.1)
}

/// Begins a new life of the database: see [`crate::Store::begin_incarnation`].
pub(super) fn begin(
    connection: &Connection,
    incarnation: [u8; 16],
    now: Timestamp,
) -> Result<Incarnated, Fault> {
    if self::incarnation(connection)? != Some(incarnation) {
        let now = rows::time_floor(connection)?.max(now);
        rows::raise_time_floor(connection, now)?;
        let sql = "UPDATE meta SET incarnation = ?1 WHERE id = 1";
        rows::write(connection, sql, [incarnation], "meta")?;
        let incarnation = digest(&incarnation);
        journal::record(connection, now, Change::Restored { incarnation })?;
        let sql = "SELECT id FROM remittance WHERE status IN ('ordered', 'funding-unknown', 'open', \
                   'commit-sent') ORDER BY id";
        let mut open = rows::all(connection, sql, [], |row| {
            rows::id(row, 0, RemittanceId::from_bytes)
        })?;
        if planted::on(Bug::RestoreWithoutRecovering) {
            open.clear();
        }
        for remittance in open {
            let escrow = rows::escrow(connection, remittance)?;
            let escrow = escrow.ok_or(Fault::Corrupt("remittance"))?;
            let step = escrow.on(Event::Restore, now);
            let step = step.map_err(|_| Fault::Corrupt("status"))?;
            advance(connection, &escrow, step, None, now)?;
        }
        invitation::restore(connection, now)?;
        if !planted::on(Bug::RestoreWithoutRecovering) {
            connection.execute("UPDATE card SET reread = 1", [])?;
        }
        // also what an earlier restore left waiting, which no step above has touched
        bank::ask_recovering(connection, now)?;
        // terminals have the whole settle window again to bring what the backup has forgotten
        let sql = "UPDATE card SET lost = ?1 WHERE lost IS NOT NULL";
        connection.execute(sql, [now.micros()])?;
    }
    let count = |sql| {
        let found = rows::one(connection, sql, [], |row| row.get::<i64>(0))?;
        u64::try_from(found.unwrap_or(0)).map_err(|_| Fault::Corrupt("count"))
    };
    Ok(Incarnated {
        recovering: count("SELECT count(*) FROM remittance WHERE recovering = 1")?,
        invitations: count("SELECT count(*) FROM invitation WHERE status = 'recovering'")?,
        cards: count("SELECT count(*) FROM card WHERE reread = 1")?,
    })
}

/// The same as [`recovering`], with all that a receipt needs; and those of which it is not known whether
/// they were funded.
pub(super) fn remittances(connection: &Connection, card: CardId) -> Result<Vec<Remittance>, Fault> {
    let sql = "SELECT id FROM remittance WHERE card = ?1 AND recovering = 1 \
               AND status = 'funding-unknown'";
    let forgotten = rows::all(connection, sql, [card.as_bytes()], |row| {
        rows::id(row, 0, RemittanceId::from_bytes)
    })?;
    let escrows = recovering(connection, card)?;
    let ids = escrows.iter().map(|escrow| escrow.remittance);
    // all are asked for before the first is looked at
    let ids = ids.chain(forgotten);
    let found: Vec<_> = ids.map(|id| read::remittance(connection, id)).collect();
    let whole = |found: Result<Option<_>, _>| found?.ok_or(Fault::Corrupt("remittance"));
    found.into_iter().map(whole).collect()
}

/// What a first reading of the card has to decide, or to find again.
pub(super) fn recovering(connection: &Connection, card: CardId) -> Result<Vec<Escrow>, Fault> {
    let sql = "SELECT id FROM remittance WHERE status = 'commit-sent' AND ended IS NULL AND card = ?1 \
               UNION ALL SELECT remittance FROM receipt_shown WHERE card = ?1";
    let ids = rows::all(connection, sql, [card.as_bytes()], |row| {
        rows::id(row, 0, RemittanceId::from_bytes)
    })?;
    let read = |id| rows::escrow(connection, id)?.ok_or(Fault::Corrupt("remittance"));
    ids.into_iter().map(read).collect()
}

/// Writes a first reading: every remittance moves, what was in flight and what receipts had shown
/// is settled, and the card account holds what the card says.
pub(super) fn reread(
    connection: &Connection,
    card: CardId,
    plan: &RereadPlan,
    settle: Option<&Settlement>,
    now: Timestamp,
) -> Result<(), Fault> {
    let logged = match settle {
        Some(Settlement::Reread { credited, .. }) => credited.as_slice(),
        Some(Settlement::Credited { .. } | Settlement::Absent | Settlement::Freeze { .. })
        | None => &[],
    };
    decide_all(
        connection,
        card,
        (&plan.steps, logged),
        Shown::Confirmed,
        now,
    )?;
    set_proven(connection, card, &plan.proven)?;
    let sql = "UPDATE card SET reread = 0 WHERE id = ?1";
    rows::write(connection, sql, [card.as_bytes()], "card")?;
    let change = Change::CardReread {
        card,
        seq: plan.proven.remittance_seq,
        payment_seq: plan.proven.payment_seq,
        value: plan.proven.value,
    };
    journal::record(connection, now, change)
}

/// What a card's word means for what a receipt has credited before it spoke.
#[derive(Clone, Copy)]
pub(super) enum Shown {
    /// Its first reading names all of it, or is refused: each gets the record that the card has it.
    Confirmed,
    /// Two persons adopt what it says, and it may not have it: the receipt stands, the adjustment makes the
    /// account what the card holds, and no record says what the card did not.
    Believed,
}

/// Moves every undecided remittance of a card as its word, or two persons, decided; what was in flight and
/// what receipts had shown is settled with it.
pub(super) fn decide_all(
    connection: &Connection,
    card: CardId,
    (steps, logged): (&[RereadStep], &[LoggedCredit]),
    shown: Shown,
    now: Timestamp,
) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM in_flight WHERE card = ?1",
        "DELETE FROM receipt_shown WHERE card = ?1",
    ] {
        connection.execute(sql, [card.as_bytes()])?;
    }
    for step in steps {
        let by_receipt = matches!(step.escrow.status, Status::Credited { .. });
        match (shown, by_receipt) {
            (Shown::Believed, true) => continue,
            (Shown::Believed, false) | (Shown::Confirmed, _) => {}
        }
        let remittance = step.escrow.remittance;
        let receipt = step.logged.and_then(|at| logged.get(at));
        let receipt = receipt.map(|logged| logged.receipt.as_slice());
        // the one that was shown stays, whatever the caller made of it
        let kept = match by_receipt {
            true => rows::receipt(connection, remittance)?,
            false => None,
        };
        let change = match kept.as_deref().or(receipt) {
            Some(receipt) => Change::CreditedByLog {
                remittance,
                card,
                receipt: digest(receipt),
            },
            None => Change::ProvenAbsent { remittance },
        };
        journal::record(connection, now, change)?;
        advance(connection, &step.escrow, step.step, receipt, now)?;
    }
    Ok(())
}

/// Whether a receipt was shown for this card that the card has not confirmed.
pub(super) fn is_shown(connection: &Connection, card: CardId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM receipt_shown WHERE card = ?1";
    connection.exists(sql, [card.as_bytes()])
}

/// Takes in a receipt whose signature the caller has verified.
pub(super) fn show_receipt(
    connection: &Connection,
    remittance: RemittanceId,
    receipt: &[u8],
    now: Timestamp,
) -> Result<Result<Outcome, Refusal>, Fault> {
    let Some(escrow) = rows::escrow(connection, remittance)? else {
        return Ok(Err(Refusal::RemittanceUnknown));
    };
    let step = match escrow.on(Event::ShowReceipt, now) {
        Ok(step) => step,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Status::Credited { .. } = escrow.status {
        let receipt = rows::receipt(connection, remittance)?;
        let receipt = receipt.ok_or(Fault::Corrupt("receipt"))?;
        return Ok(Ok(Outcome::Settled { receipt }));
    }
    if !debit::may_post(connection, &escrow)? {
        return Ok(Err(Refusal::Recovering));
    }
    let sql = "DELETE FROM in_flight WHERE remittance = ?1";
    connection.execute(sql, [remittance.as_bytes()])?;
    let sql = "INSERT INTO receipt_shown (remittance, card, at) VALUES (?1, ?2, ?3)";
    let params = (remittance.as_bytes(), escrow.card.as_bytes(), now.micros());
    rows::write(connection, sql, params, "shown receipt")?;
    let change = Change::ReceiptShown {
        remittance,
        card: escrow.card,
        receipt: digest(receipt),
    };
    journal::record(connection, now, change)?;
    advance(connection, &escrow, step, Some(receipt), now)?;
    Ok(Ok(Outcome::Settled {
        receipt: receipt.to_vec(),
    }))
}
