//! Leases, and those of mails.

use crate::db::{Connection, Row};
use audit_log::Change;
use ledger::{Language, MailId, OutboxMail, RemittanceId, Timestamp};

use crate::error::StoreError;
use crate::sql::fault::Fault;
use crate::sql::{SqlStore, admin, journal, rows};

/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 500;

impl SqlStore {
    /// Takes what is due by `take`. The instant becomes the ledger's: what was put off until a while after
    /// it must not wait for a clock that was ahead and is set right.
    pub(super) async fn lease<T: Send + 'static>(
        &self,
        now: Timestamp,
        take: impl Fn(&Connection) -> Result<Vec<T>, Fault> + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        let leased = self.writer.write(move |connection| {
            let leased = take(connection)?;
            if !leased.is_empty() {
                admin::ledger_time(connection, now)?;
            }
            Ok::<_, StoreError>(leased)
        });
        leased.await
    }
}

/// Leases what is due. The attempt is counted before it is made: one that kills the process
/// counts too.
pub(super) fn lease(
    connection: &Connection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<OutboxMail>, Fault> {
    let sql = "SELECT id, remittance, message_id, to_address, language, attempts FROM outbox \
               WHERE status = 'queued' AND due <= ?1 ORDER BY due, id LIMIT ?2";
    let read = |row: &Row<'_>| {
        let language = Language::from_code(row.text(4, "language")?);
        Ok(OutboxMail {
            id: rows::id(row, 0, MailId::from_bytes)?,
            remittance: rows::id(row, 1, RemittanceId::from_bytes)?,
            message_id: row.get(2)?,
            to: row.get(3)?,
            language: language.ok_or(Fault::Corrupt("language"))?,
            attempts: row.get(5)?,
        })
    };
    // A row that nobody can read must not stop the others: it waits as long as a lease, and the audit
    // names it.
    let found = rows::all(connection, sql, (now.micros(), limit), |row| {
        Ok((row.get::<Vec<u8>>(0)?, read(row)))
    })?;
    let mut due = Vec::with_capacity(found.len());
    for (id, mail) in found {
        match mail {
            Ok(mail) => due.push(mail),
            Err(Fault::Corrupt(what)) => {
                tracing::error!(what, "a mail is unreadable: see the audit");
                let sql = "UPDATE outbox SET due = ?2 WHERE id = ?1";
                rows::write(connection, sql, (id, until.micros()), "mail")?;
            }
            Err(fault) => return Err(fault),
        }
    }
    let sql = "UPDATE outbox SET due = ?2, attempts = ?3 WHERE id = ?1";
    for mail in &mut due {
        mail.attempts = mail.attempts.saturating_add(1);
        rows::write(
            connection,
            sql,
            (mail.id.as_bytes(), until.micros(), mail.attempts),
            "mail",
        )?;
    }
    Ok(due)
}

/// Whether the row still names this mail, and it has not ended.
pub(super) fn waits(connection: &Connection, id: MailId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM outbox WHERE id = ?1 AND status = 'queued'";
    connection.exists(sql, [id.as_bytes()])
}

pub(super) fn sent(connection: &Connection, id: MailId) -> Result<(), Fault> {
    let sql = "UPDATE outbox SET status = 'sent', error = NULL WHERE id = ?1 AND status <> 'sent'";
    if connection.execute(sql, [id.as_bytes()])? == 0 {
        return Ok(());
    }
    let now = rows::time_floor(connection)?;
    journal::record(connection, now, Change::MailSent { mail: id })
}

pub(super) fn failed(
    connection: &Connection,
    id: MailId,
    retry_at: Option<Timestamp>,
    error: &str,
) -> Result<(), Fault> {
    let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
    let (status, due) = match retry_at {
        Some(at) => ("queued", Some(at.micros())),
        None => ("failed", None),
    };
    let sql = "UPDATE outbox SET status = ?2, due = coalesce(?3, due), error = ?4 \
               WHERE id = ?1 AND status <> 'sent'";
    let changed = connection.execute(sql, (id.as_bytes(), status, due, error))?;
    if changed == 0 || retry_at.is_some() {
        return Ok(());
    }
    let now = rows::time_floor(connection)?;
    journal::record(connection, now, Change::MailFailed { mail: id })
}
