//! A new program for an open remittance, and what is withdrawn.

use crate::db::Connection;
use audit_log::{Change, digest};
use ledger::rules::{self, ReviseFacts};
use ledger::{Outcome, Refusal, RemittanceId, Revise, Timestamp};

use crate::error::AdminError;
use crate::sql::fault::Fault;
use crate::sql::{journal, rows};

/// Replaces program, claim code and mail, and raises the card's epoch: a session that an earlier program
/// began is told to start over and then meets the new revision.
pub(super) fn revise(
    connection: &Connection,
    revise: &Revise,
    now: Timestamp,
) -> Result<Result<Outcome, Refusal>, Fault> {
    let id = revise.remittance.as_bytes();
    let escrow = rows::escrow(connection, revise.remittance)?;
    let sql = "SELECT revision, email, language FROM remittance \
               JOIN card ON card.id = remittance.card JOIN holder ON holder.id = card.holder \
               WHERE remittance.id = ?1";
    let found = rows::one(connection, sql, [id], |row| {
        let email: Option<String> = row.get(1)?;
        Ok((row.get::<u32>(0)?, email, row.get::<String>(2)?))
    })?;
    let facts = ReviseFacts {
        escrow: escrow.as_ref(),
        revision: found.as_ref().map_or(0, |(revision, _, _)| *revision),
        has_address: found.as_ref().is_some_and(|(_, email, _)| email.is_some()),
    };
    if let Err(refusal) = rules::revise(revise, facts, now) {
        return Ok(Err(refusal));
    }
    let (Some(escrow), Some((_, email, language))) = (escrow, found) else {
        return Err(Fault::Corrupt("remittance"));
    };
    let sql = "UPDATE remittance SET revision = ?2, order_bytes = ?3, signature = ?4, \
               program_key = ?5, template_hash = ?6, claim_ref = ?7 WHERE id = ?1";
    let params = (
        id,
        revise.revision,
        &revise.order_bytes,
        revise.signature,
        revise.program_key,
        revise.template_hash,
        revise.claim.0,
    );
    rows::write(connection, sql, params, "remittance")?;
    let sql = "UPDATE card SET epoch = epoch + 1 WHERE id = ?1";
    rows::write(connection, sql, [escrow.card.as_bytes()], "card")?;
    let sql = "UPDATE outbox SET id = ?2, message_id = ?3, to_address = ?4, language = ?5, \
               status = 'queued', attempts = 0, due = ?6, error = NULL WHERE remittance = ?1";
    let mail = &revise.mail;
    let params = (
        id,
        mail.id.as_bytes(),
        &mail.message_id,
        email,
        language,
        now.micros(),
    );
    rows::write(connection, sql, params, "mail")?;
    let change = Change::Revised {
        remittance: revise.remittance,
        revision: revise.revision,
        order: digest(&revise.order_bytes),
        program_key: revise.program_key,
        template: revise.template_hash,
    };
    journal::record(connection, now, change)?;
    Ok(Ok(Outcome::Revised))
}

/// Marks a template as withdrawn; again, it stays as it is.
pub(super) fn withdraw_template(
    connection: &Connection,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<(), AdminError> {
    let sql = "SELECT withdrawn FROM template WHERE hash = ?1";
    let known = rows::one(connection, sql, [hash], |row| row.get::<Option<i64>>(0))?;
    match known {
        None => Err(AdminError::Unknown { what: "template" }),
        Some(Some(_)) => Ok(()),
        Some(None) => {
            let sql = "UPDATE template SET withdrawn = ?2 WHERE hash = ?1";
            rows::write(connection, sql, (hash, now.micros()), "template")?;
            let change = Change::TemplateWithdrawn { template: hash };
            Ok(journal::record(connection, now, change)?)
        }
    }
}

pub(super) fn withdrawn_templates(connection: &Connection) -> Result<Vec<[u8; 32]>, Fault> {
    let sql = "SELECT hash FROM template WHERE withdrawn IS NOT NULL ORDER BY hash";
    rows::all(connection, sql, [], |row| row.get(0))
}

pub(super) fn replaced(
    connection: &Connection,
    limit: u32,
) -> Result<Vec<(RemittanceId, u32)>, Fault> {
    let sql = "SELECT id, revision FROM remittance WHERE status = 'open' AND ended IS NULL AND revision > 0 \
               ORDER BY id DESC LIMIT ?1";
    rows::all(connection, sql, [limit], |row| {
        Ok((rows::id(row, 0, RemittanceId::from_bytes)?, row.get(1)?))
    })
}
