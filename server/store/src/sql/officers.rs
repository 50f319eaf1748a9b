//! Persons who decide, two by two, and what only two of them may change.

use audit_log::{Change, digest};
use ledger::{Approval, Officer, OfficerName, SETTLE_WINDOW_MAX_S, Timestamp, approved};

use crate::db::Connection;
use crate::error::AdminError;
use crate::record::{Decision, OfficerRow};
use crate::sql::fault::Fault;
use crate::sql::{admin, journal, rows};
use crate::traits::PAGE_MAX;

/// How many have to decide together, and how many anybody may add when an issuer is set up.
const TOGETHER: i64 = 2;

fn count(connection: &Connection, sql: &str) -> Result<i64, Fault> {
    let found = rows::one(connection, sql, [], |row| row.get(0))?;
    found.ok_or(Fault::Corrupt("count"))
}

/// Lets a change through that two persons have to agree on. Until two officers were ever added there
/// are no two persons, and whoever sets the issuer up decides alone; that never comes back.
///
/// `what`, `subject`: of the decision, see [`decide`].
fn gate(
    connection: &Connection,
    approval: Option<&Approval>,
    (what, subject): (&'static str, &str),
    now: Timestamp,
) -> Result<(), AdminError> {
    let Some(approval) = approval else {
        let ever = count(connection, "SELECT count(*) FROM officer")?;
        return if ever < TOGETHER {
            Ok(())
        } else {
            Err(AdminError::TwoPersonsNeeded)
        };
    };
    if !approval.is_within_bounds() {
        return Err(AdminError::OutOfBounds { what: "reason" });
    }
    approved(approval, known(connection, approval)?)?;
    let approval = decide(connection, what, subject, approval, now)?;
    let sql = "SELECT max(seq) FROM decision";
    let decision = u64::try_from(count(connection, sql)?).map_err(|_| Fault::Corrupt("count"))?;
    let change = Change::Approved { decision, approval };
    Ok(journal::record(connection, now, change)?)
}

/// See [`crate::Store::add_officer`].
pub(super) fn add(
    connection: &Connection,
    officer: &Officer,
    approval: Option<&Approval>,
    now: Timestamp,
) -> Result<(), AdminError> {
    // the command was killed after its commit, and given again
    if is_known(connection, officer)? {
        return Ok(());
    }
    let name = officer.name.as_str();
    let sql = "SELECT 1 FROM officer WHERE name = ?1";
    if connection.exists(sql, [name])? {
        return Err(AdminError::Taken {
            what: "officer's name",
        });
    }
    let now = admin::ledger_time(connection, now)?;
    gate(connection, approval, ("officer-added", name), now)?;
    let sql =
        "INSERT INTO officer (name, token_hash, created, withdrawn) VALUES (?1, ?2, ?3, NULL)";
    let params = (name, officer.token.0, now.micros());
    rows::write(connection, sql, params, "officer").map_err(admin::taken("officer's token"))?;
    let officer = digest(name.as_bytes());
    let change = Change::OfficerAdded { officer };
    Ok(journal::record(connection, now, change)?)
}

/// See [`crate::Store::withdraw_officer`].
pub(super) fn withdraw(
    connection: &Connection,
    name: &OfficerName,
    approval: Option<&Approval>,
    now: Timestamp,
) -> Result<(), AdminError> {
    let sql = "SELECT withdrawn IS NOT NULL FROM officer WHERE name = ?1";
    let found = rows::one(connection, sql, [name.as_str()], |row| row.get::<bool>(0))?;
    match found {
        None => Err(AdminError::Unknown { what: "officer" }),
        Some(true) => Ok(()),
        Some(false) => {
            let active = "SELECT count(*) FROM officer WHERE withdrawn IS NULL";
            if count(connection, active)? <= TOGETHER {
                return Err(AdminError::TooFewOfficers);
            }
            let now = admin::ledger_time(connection, now)?;
            let decided = ("officer-withdrawn", name.as_str());
            gate(connection, approval, decided, now)?;
            let sql = "UPDATE officer SET withdrawn = ?2 WHERE name = ?1";
            rows::write(connection, sql, (name.as_str(), now.micros()), "officer")?;
            let officer = digest(name.as_str().as_bytes());
            let change = Change::OfficerWithdrawn { officer };
            Ok(journal::record(connection, now, change)?)
        }
    }
}

/// How long after its report a lost card is paid out, in seconds.
pub(super) fn settle_window(connection: &Connection) -> Result<u32, Fault> {
    let sql = "SELECT settle_window_s FROM meta WHERE id = 1";
    let found = rows::one(connection, sql, [], |row| row.get(0))?;
    found.ok_or(Fault::Corrupt("meta"))
}

/// See [`crate::Store::set_settle_window`].
pub(super) fn set_settle_window(
    connection: &Connection,
    seconds: u32,
    approval: Option<&Approval>,
    now: Timestamp,
) -> Result<(), AdminError> {
    if seconds > SETTLE_WINDOW_MAX_S {
        return Err(AdminError::OutOfBounds {
            what: "settle window",
        });
    }
    if settle_window(connection)? == seconds {
        return Ok(());
    }
    let now = admin::ledger_time(connection, now)?;
    let subject = seconds.to_string();
    gate(connection, approval, ("settle-window", &subject), now)?;
    let sql = "UPDATE meta SET settle_window_s = ?1 WHERE id = 1";
    rows::write(connection, sql, [seconds], "meta")?;
    let change = Change::SettleWindow { seconds };
    Ok(journal::record(connection, now, change)?)
}

pub(super) fn officers(connection: &Connection) -> Result<Vec<OfficerRow>, Fault> {
    let sql = "SELECT name, created, withdrawn FROM officer ORDER BY name";
    rows::all(connection, sql, [], |row| {
        let name: String = row.get(0)?;
        let withdrawn: Option<i64> = row.get(2)?;
        Ok(OfficerRow {
            name: OfficerName::new(&name).map_err(|_| Fault::Corrupt("officer"))?,
            created: rows::at(row, 1)?,
            withdrawn: withdrawn.map(Timestamp::from_micros),
        })
    })
}

/// Whether name and token belong together. The token is the hash of 256 random bits, so that looking
/// it up tells nobody anything by its time.
fn is_known(connection: &Connection, officer: &Officer) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM officer WHERE name = ?1 AND token_hash = ?2 AND withdrawn IS NULL";
    let params = (officer.name.as_str(), officer.token.0);
    connection.exists(sql, params)
}

pub(super) fn known(connection: &Connection, approval: &Approval) -> Result<(bool, bool), Fault> {
    let first = is_known(connection, &approval.first)?;
    Ok((first, is_known(connection, &approval.second)?))
}

/// Keeps who decided what and why; gives the hash that the audit log names it by.
pub(super) fn decide(
    connection: &Connection,
    what: &'static str,
    subject: &str,
    approval: &Approval,
    now: Timestamp,
) -> Result<[u8; 32], Fault> {
    let (first, second) = (approval.first.name.as_str(), approval.second.name.as_str());
    let sql = "INSERT INTO decision (at, what, subject, first, second, reason) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let params = (now.micros(), what, subject, first, second, &approval.reason);
    rows::write(connection, sql, params, "decision")?;
    Ok(digest(
        format!("{first}\0{second}\0{}\0", approval.reason).as_bytes(),
    ))
}

pub(super) fn decisions(
    connection: &Connection,
    after: u64,
    limit: u32,
) -> Result<Vec<Decision>, Fault> {
    let sql = "SELECT seq, at, what, subject, first, second, reason FROM decision \
               WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let params = (rows::stored(after)?, limit.min(PAGE_MAX));
    rows::all(connection, sql, params, |row| {
        Ok(Decision {
            number: rows::counter(row, 0)?,
            at: rows::at(row, 1)?,
            what: row.get(2)?,
            subject: row.get(3)?,
            first: row.get(4)?,
            second: row.get(5)?,
            reason: row.get(6)?,
        })
    })
}
