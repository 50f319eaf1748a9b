//! Verified mail addresses, and the cards that they stand for.

use crate::db::Connection;
use audit_log::Change;
use crashpoint::reach;
use ledger::{Card, CardId, CardStatus, HolderId, Language, MailId, Timestamp};

use crate::error::AdminError;
use crate::record::{
    ADDRESS_TRIES, ADDRESSES_MAX, AddressEvent, AddressMail, AddressRequest, CODE_LIFETIME_S,
    canonical_email,
};
use crate::sql::admin::ledger_time;
use crate::sql::fault::Fault;
use crate::sql::{journal, rows};

const WHAT: &str = "mail address";

fn canonical(email: &str) -> Result<(), AdminError> {
    if canonical_email(email).as_deref() == Some(email) {
        Ok(())
    } else {
        Err(AdminError::OutOfBounds { what: WHAT })
    }
}

fn remember(
    connection: &Connection,
    holder: HolderId,
    email: &str,
    what: &str,
    card: Option<CardId>,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql =
        "INSERT INTO address_history (holder, email, what, card, at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let card = card.map(CardId::to_bytes);
    let params = (holder.as_bytes(), email, what, card, now.micros());
    rows::write(connection, sql, params, "address history")
}

/// See [`crate::Store::request_address`].
pub(super) fn request(connection: &Connection, asked: &AddressRequest) -> Result<(), AdminError> {
    canonical(&asked.email)?;
    let holder = asked.holder.as_bytes();
    let sql = "SELECT 1 FROM holder WHERE id = ?1";
    if !connection.exists(sql, [holder])? {
        return Err(AdminError::Unknown { what: "holder" });
    }
    let sql = "SELECT 1 FROM address WHERE email = ?1 AND verified_at IS NOT NULL";
    if connection.exists(sql, [&asked.email])? {
        return Err(AdminError::Taken { what: WHAT });
    }
    let sql = "SELECT count(*) FROM address WHERE holder = ?1 AND email <> ?2";
    let others: Option<u32> = rows::one(connection, sql, (holder, &asked.email), |row| row.get(0))?;
    if others.is_none_or(|others| others >= ADDRESSES_MAX) {
        return Err(AdminError::OutOfBounds {
            what: "number of mail addresses",
        });
    }
    let now = ledger_time(connection, asked.now)?;
    let sql = "INSERT INTO address (holder, email, card, verified_at, request, code_hash, \
               code_expires, tries_left, mail_due, mail_attempts) \
               VALUES (?1, ?2, NULL, NULL, ?3, ?4, ?5, ?6, ?7, 0) \
               ON CONFLICT (holder, email) DO UPDATE SET card = NULL, verified_at = NULL, request = ?3, \
               code_hash = ?4, code_expires = ?5, tries_left = ?6, mail_due = ?7, mail_attempts = 0";
    let params = (
        holder,
        &asked.email,
        asked.request.as_bytes(),
        asked.code_hash,
        now.plus_s(CODE_LIFETIME_S).micros(),
        ADDRESS_TRIES,
        now.micros(),
    );
    rows::write(connection, sql, params, "address")?;
    remember(connection, asked.holder, &asked.email, "asked", None, now)?;
    let change = Change::AddressAsked {
        holder: asked.holder,
        request: asked.request,
    };
    journal::record(connection, now, change)?;
    reach!("store::request-address::before-commit");
    Ok(())
}

/// One verification that a code could end.
struct Pending {
    holder: HolderId,
    request: MailId,
    code_hash: [u8; 32],
    left: u32,
}

/// See [`crate::Store::verify_address`].
pub(super) fn verify(
    connection: &Connection,
    email: &str,
    code_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<HolderId>, AdminError> {
    let now = ledger_time(connection, now)?;
    let sql = "SELECT holder, request, code_hash, tries_left FROM address \
               WHERE email = ?1 AND verified_at IS NULL AND tries_left > 0 AND code_expires > ?2";
    let pending = rows::all(connection, sql, (email, now.micros()), |row| {
        Ok(Pending {
            holder: rows::id(row, 0, HolderId::from_bytes)?,
            request: rows::id(row, 1, MailId::from_bytes)?,
            code_hash: row.get(2)?,
            left: row.get(3)?,
        })
    })?;
    // Both sides are hashes under a key that a guesser has not: how long the comparison takes tells
    // him nothing about the code.
    let Some(found) = pending.iter().find(|row| row.code_hash == code_hash) else {
        for row in pending {
            wrong(connection, email, &row, now)?;
        }
        return Ok(None);
    };
    let sql = "SELECT 1 FROM address WHERE email = ?1 AND verified_at IS NOT NULL";
    if connection.exists(sql, [email])? {
        return Err(AdminError::Taken { what: WHAT });
    }
    let holder = found.holder;
    let sql = "UPDATE address SET verified_at = ?3, code_hash = NULL, mail_due = NULL \
               WHERE holder = ?1 AND email = ?2";
    let params = (holder.as_bytes(), email, now.micros());
    rows::write(connection, sql, params, "address")?;
    remember(connection, holder, email, "verified", None, now)?;
    let request = found.request;
    journal::record(connection, now, Change::AddressVerified { holder, request })?;
    // mail goes where the holder has just shown that he reads it
    let sql = "UPDATE holder SET email = ?2 WHERE id = ?1";
    rows::write(connection, sql, (holder.as_bytes(), email), "holder")?;
    let address = true;
    journal::record(connection, now, Change::HolderAddress { holder, address })?;
    Ok(Some(holder))
}

fn wrong(connection: &Connection, email: &str, row: &Pending, now: Timestamp) -> Result<(), Fault> {
    let left = row.left.saturating_sub(1);
    let sql = "UPDATE address SET tries_left = ?3 WHERE holder = ?1 AND email = ?2";
    let params = (row.holder.as_bytes(), email, left);
    rows::write(connection, sql, params, "address")?;
    remember(connection, row.holder, email, "wrong-code", None, now)?;
    let request = row.request;
    journal::record(connection, now, Change::AddressTried { request, left })
}

fn own(
    connection: &Connection,
    holder: HolderId,
    email: &str,
    verified: bool,
) -> Result<MailId, AdminError> {
    let sql = "SELECT request FROM address WHERE holder = ?1 AND email = ?2 \
               AND (verified_at IS NOT NULL OR NOT ?3)";
    let found = rows::one(
        connection,
        sql,
        (holder.as_bytes(), email, verified),
        |row| rows::id(row, 0, MailId::from_bytes),
    )?;
    found.ok_or(AdminError::Unknown { what: WHAT })
}

/// See [`crate::Store::set_default_card`].
pub(super) fn set_default(
    connection: &Connection,
    holder: HolderId,
    email: &str,
    card: Option<CardId>,
    now: Timestamp,
) -> Result<(), AdminError> {
    let request = own(connection, holder, email, true)?;
    if let Some(id) = card {
        match rows::card(connection, id)? {
            Some(found) if found.holder == holder => match found.status {
                CardStatus::Active => {}
                CardStatus::Issuing | CardStatus::Blocked | CardStatus::Frozen => {
                    return Err(AdminError::WrongStatus);
                }
            },
            Some(_) | None => return Err(AdminError::Unknown { what: "card" }),
        }
    }
    let now = ledger_time(connection, now)?;
    let sql = "UPDATE address SET card = ?3 WHERE holder = ?1 AND email = ?2";
    let params = (holder.as_bytes(), email, card.map(CardId::to_bytes));
    rows::write(connection, sql, params, "address")?;
    remember(connection, holder, email, "default-card", card, now)?;
    let change = Change::AddressCard {
        holder,
        request,
        card,
    };
    Ok(journal::record(connection, now, change)?)
}

/// See [`crate::Store::remove_address`].
pub(super) fn remove(
    connection: &Connection,
    holder: HolderId,
    email: &str,
    now: Timestamp,
) -> Result<(), AdminError> {
    let request = own(connection, holder, email, false)?;
    let now = ledger_time(connection, now)?;
    let sql = "DELETE FROM address WHERE holder = ?1 AND email = ?2";
    rows::write(connection, sql, (holder.as_bytes(), email), "address")?;
    remember(connection, holder, email, "removed", None, now)?;
    let change = Change::AddressRemoved { holder, request };
    Ok(journal::record(connection, now, change)?)
}

/// See [`crate::Store::card_of_address`].
pub(super) fn card(connection: &Connection, email: &str) -> Result<Option<Card>, Fault> {
    let sql = "SELECT holder, card FROM address WHERE email = ?1 AND verified_at IS NOT NULL";
    let found = rows::one(connection, sql, [email], |row| {
        let holder = rows::id(row, 0, HolderId::from_bytes)?;
        Ok((holder, row.get::<Option<[u8; 16]>>(1)?))
    })?;
    let Some((holder, chosen)) = found else {
        return Ok(None);
    };
    let sql = "SELECT id FROM card WHERE holder = ?1 AND status = 'active'";
    let active = rows::all(connection, sql, [holder.as_bytes()], |row| {
        rows::id(row, 0, CardId::from_bytes)
    })?;
    let chosen = active.iter().find(|id| Some(id.to_bytes()) == chosen);
    match (chosen, active.as_slice()) {
        (Some(id), _) | (None, [id]) => rows::card(connection, *id),
        (None, _) => Ok(None),
    }
}

/// See [`crate::Store::address_history`].
pub(super) fn history(
    connection: &Connection,
    holder: HolderId,
    limit: u32,
) -> Result<Vec<AddressEvent>, Fault> {
    let sql = "SELECT email, what, card, at FROM address_history WHERE holder = ?1 \
               ORDER BY id DESC LIMIT ?2";
    rows::all(connection, sql, (holder.as_bytes(), limit), |row| {
        let card: Option<[u8; 16]> = row.get(2)?;
        let card = card.map(CardId::from_bytes).transpose();
        Ok(AddressEvent {
            email: row.get(0)?,
            what: row.get(1)?,
            card: card.map_err(|_| Fault::Corrupt("id"))?,
            at: rows::at(row, 3)?,
        })
    })
}

/// Leases codes that are to be mailed. The attempt is counted before it is made.
pub(super) fn lease(
    connection: &Connection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<AddressMail>, Fault> {
    let sql = "SELECT request, address.email, holder.name, holder.language, code_expires, mail_attempts \
               FROM address JOIN holder ON holder.id = address.holder \
               WHERE mail_due <= ?1 AND code_expires > ?1 ORDER BY mail_due, request LIMIT ?2";
    let mut due = rows::all(connection, sql, (now.micros(), limit), |row| {
        Ok(AddressMail {
            request: rows::id(row, 0, MailId::from_bytes)?,
            to: row.get(1)?,
            name: row.get(2)?,
            language: rows::coded(row, 3, Language::from_code, "language")?,
            expires: rows::at(row, 4)?,
            attempts: row.get(5)?,
        })
    })?;
    let sql = "UPDATE address SET mail_due = ?2, mail_attempts = ?3 WHERE request = ?1";
    for mail in &mut due {
        mail.attempts = mail.attempts.saturating_add(1);
        let params = (mail.request.as_bytes(), until.micros(), mail.attempts);
        rows::write(connection, sql, params, "address")?;
    }
    Ok(due)
}

/// See [`crate::Store::address_mail_done`].
pub(super) fn mail_done(
    connection: &Connection,
    request: MailId,
    retry_at: Option<Timestamp>,
) -> Result<(), Fault> {
    // a request that was verified, removed or replaced meanwhile has no mail to come
    let sql = "UPDATE address SET mail_due = ?2 WHERE request = ?1 AND mail_due IS NOT NULL";
    let params = (request.as_bytes(), retry_at.map(Timestamp::micros));
    connection.execute(sql, params)?;
    Ok(())
}
