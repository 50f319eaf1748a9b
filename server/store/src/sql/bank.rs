//! What stands beside a remittance that the bank pays for: the account there, and when to ask next.

use crate::db::Connection;
use audit_log::Change;
use ledger::{
    BANK_ACCOUNT_LEN_MAX, BankAnswer, BankTask, Escrow, Flow, HolderId, Outcome, Refusal,
    RemittanceId, Source, Status, Timestamp, rules,
};

use crate::error::AdminError;
use crate::sql::apply::advance;
use crate::sql::fault::Fault;
use crate::sql::{journal, rows};
use crate::traits::PAGE_MAX;

type Answer = Result<Outcome, Refusal>;

/// See [`ledger::Command::AskBank`].
pub(super) fn ask(
    connection: &Connection,
    remittance: RemittanceId,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let escrow = rows::escrow(connection, remittance)?;
    match (rules::ask_bank(escrow.as_ref(), now), &escrow) {
        (Err(refusal), _) => Ok(Err(refusal)),
        (Ok(step), Some(escrow)) => {
            advance(connection, escrow, step, None, now)?;
            Ok(Ok(Outcome::Funding(step.to)))
        }
        (Ok(_), None) => Err(Fault::Corrupt("remittance")),
    }
}

/// See [`ledger::Command::BankAnswered`].
pub(super) fn answered(
    connection: &Connection,
    remittance: RemittanceId,
    answer: &BankAnswer,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let escrow = rows::escrow(connection, remittance)?;
    let step = match rules::bank_answered(escrow.as_ref(), answer, now) {
        Ok(step) => step,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let escrow = escrow.ok_or(Fault::Corrupt("remittance"))?;
    if let Some(step) = step {
        advance(connection, &escrow, step, None, now)?;
    }
    let to = step.map_or(escrow.status, |step| step.to);
    if let (Status::Recovering { .. }, Status::Returned { .. }) = (escrow.status, to) {
        // what was in flight in the backup ended before the bank was asked for its money
        let sql = "DELETE FROM in_flight WHERE remittance = ?1";
        let id = remittance.as_bytes();
        connection.execute(sql, [id])?;
    }
    let (reason, retry_at) = match answer {
        BankAnswer::Refused { reason } => (Some(reason), None),
        BankAnswer::Unknown { reason, retry_at } => (Some(reason), Some(retry_at.micros())),
        BankAnswer::Confirmed | BankAnswer::Refunded | BankAnswer::Void => (None, None),
    };
    // only a refund is still to be asked for once the bank has said yes or no
    let more = retry_at.is_some() || matches!(to, Status::Refunding { .. });
    let sql = "UPDATE bank_debit SET error = ?2, due = CASE WHEN ?4 AND due IS NOT NULL \
               THEN coalesce(?3, due) END WHERE remittance = ?1";
    let params = (remittance.as_bytes(), reason, retry_at, more);
    rows::write(connection, sql, params, "bank debit")?;
    Ok(Ok(Outcome::Funding(to)))
}

/// Whether the bank has still to answer what is asked about a remittance.
pub(super) fn is_asked(connection: &Connection, remittance: RemittanceId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM bank_debit WHERE remittance = ?1 AND due IS NOT NULL";
    let id = remittance.as_bytes();
    connection.exists(sql, [id])
}

/// Asks the bank, at once, about everything that a restored database waits for.
pub(super) fn ask_recovering(connection: &Connection, now: Timestamp) -> Result<(), Fault> {
    let sql = "UPDATE bank_debit SET due = ?1, attempts = 0 WHERE remittance IN \
               (SELECT id FROM remittance WHERE recovering = 1)";
    connection.execute(sql, [now.micros()])?;
    Ok(())
}

/// Keeps the question to the bank, and the mail that waits for its answer, in step with the
/// remittance's new status; part of the transaction that gave it.
pub(super) fn follow(
    connection: &Connection,
    escrow: &Escrow,
    to: Status,
    now: Timestamp,
) -> Result<(), Fault> {
    if escrow.flow != Flow::Credit(Source::Bank) {
        return follow_mail(connection, escrow, to, now);
    }
    let (due, fresh) = match to {
        Status::Ordered => (Some(now), true),
        // the lease that is asking has said when to ask again
        Status::FundingUnknown {
            recovering: false, ..
        } => return Ok(()),
        // what a restored database has forgotten, the bank may know
        Status::FundingUnknown {
            recovering: true, ..
        }
        | Status::Recovering { .. }
        | Status::Refunding { .. } => (Some(now), true),
        Status::Open
        | Status::CommitSent { .. }
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. }
        | Status::Unfunded { .. } => (None, false),
    };
    let sql = "UPDATE bank_debit SET due = ?2, attempts = CASE WHEN ?3 THEN 0 ELSE attempts END \
               WHERE remittance = ?1";
    let params = (
        escrow.remittance.as_bytes(),
        due.map(Timestamp::micros),
        fresh,
    );
    rows::write(connection, sql, params, "bank debit")?;
    follow_mail(connection, escrow, to, now)
}

/// Lets the mail go once its amount is in escrow; gives it up when that will never be.
fn follow_mail(
    connection: &Connection,
    escrow: &Escrow,
    to: Status,
    now: Timestamp,
) -> Result<(), Fault> {
    let remittance = escrow.remittance.as_bytes();
    match (escrow.status.is_funded(), to) {
        (false, Status::Open | Status::Recovering { .. }) => {
            let sql = "UPDATE outbox SET due = ?2 WHERE remittance = ?1";
            rows::write(connection, sql, (remittance, now.micros()), "mail")
        }
        (false, Status::Unfunded { .. } | Status::Refunding { .. } | Status::Returned { .. }) => {
            let sql = "UPDATE outbox SET status = 'failed', error = 'never funded' \
                       WHERE remittance = ?1";
            rows::write(connection, sql, [remittance], "mail")
        }
        (
            _,
            Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Open
            | Status::CommitSent { .. }
            | Status::Recovering { .. }
            | Status::Held { .. }
            | Status::Credited { .. }
            | Status::Returned { .. }
            | Status::Refunding { .. }
            | Status::Unfunded { .. },
        ) => Ok(()),
    }
}

/// The row of a new order that the bank pays for; due at once.
pub(super) fn insert(
    connection: &Connection,
    remittance: RemittanceId,
    account: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO bank_debit (remittance, account, attempts, due, error) \
               VALUES (?1, ?2, 0, ?3, NULL)";
    let params = (remittance.as_bytes(), account, now.micros());
    rows::write(connection, sql, params, "bank debit")
}

/// Leases what is due. The attempt is counted before it is made, as for a mail.
pub(super) fn lease(
    connection: &Connection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<BankTask>, Fault> {
    let sql = "SELECT remittance, account, attempts FROM bank_debit \
               WHERE due <= ?1 ORDER BY due, remittance LIMIT ?2";
    let due = rows::all(connection, sql, (now.micros(), limit), |row| {
        let remittance = rows::id(row, 0, RemittanceId::from_bytes)?;
        Ok((remittance, row.get::<String>(1)?, row.get::<u32>(2)?))
    })?;
    let sql = "UPDATE bank_debit SET due = ?2, attempts = ?3 WHERE remittance = ?1";
    let mut tasks = Vec::with_capacity(due.len());
    for (remittance, account, attempts) in due {
        let attempts = attempts.saturating_add(1);
        let params = (remittance.as_bytes(), until.micros(), attempts);
        rows::write(connection, sql, params, "bank debit")?;
        let escrow = rows::escrow(connection, remittance)?.ok_or(Fault::Corrupt("remittance"))?;
        tasks.push(BankTask {
            remittance,
            account,
            amount: escrow.amount,
            status: escrow.status,
            expires: escrow.expires,
            attempts,
        });
    }
    Ok(tasks)
}

/// See [`crate::Store::bank_unanswered`].
pub(super) fn unanswered(
    connection: &Connection,
    attempts: u32,
    after: Option<RemittanceId>,
) -> Result<Vec<BankTask>, Fault> {
    let sql = "SELECT remittance, account, attempts FROM bank_debit WHERE due IS NOT NULL \
               AND attempts >= ?1 AND remittance > ?2 ORDER BY remittance LIMIT ?3";
    let after = after.map_or([0; 16], RemittanceId::to_bytes);
    let found = rows::all(connection, sql, (attempts, after, PAGE_MAX), |row| {
        let remittance = rows::id(row, 0, RemittanceId::from_bytes)?;
        Ok((remittance, row.get::<String>(1)?, row.get::<u32>(2)?))
    })?;
    let task = |(remittance, account, attempts)| {
        let escrow = rows::escrow(connection, remittance)?.ok_or(Fault::Corrupt("remittance"))?;
        Ok(BankTask {
            remittance,
            account,
            amount: escrow.amount,
            status: escrow.status,
            expires: escrow.expires,
            attempts,
        })
    };
    found.into_iter().map(task).collect()
}

/// A holder's account at the bank.
pub(super) fn account(connection: &Connection, holder: HolderId) -> Result<Option<String>, Fault> {
    let sql = "SELECT account FROM bank_account WHERE holder = ?1";
    rows::one(connection, sql, [holder.as_bytes()], |row| row.get(0))
}

pub(super) fn set_account(
    connection: &Connection,
    holder: HolderId,
    account: Option<&String>,
) -> Result<(), AdminError> {
    let bad = |account: &&String| {
        !(1..=BANK_ACCOUNT_LEN_MAX).contains(&account.len())
            || !account.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if account.filter(bad).is_some() {
        return Err(AdminError::OutOfBounds {
            what: "bank account",
        });
    }
    let id = holder.as_bytes();
    let sql = "SELECT 1 FROM holder WHERE id = ?1";
    if !connection.exists(sql, [id])? {
        return Err(AdminError::Unknown { what: "holder" });
    }
    let sql = "DELETE FROM bank_account WHERE holder = ?1";
    connection.execute(sql, [id])?;
    if let Some(account) = account {
        let sql = "INSERT INTO bank_account (holder, account) VALUES (?1, ?2)";
        rows::write(connection, sql, (id, account), "bank account")?;
    }
    let now = rows::time_floor(connection)?;
    let known = account.is_some();
    Ok(journal::record(
        connection,
        now,
        Change::BankAccount { holder, known },
    )?)
}
