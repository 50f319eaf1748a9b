//! What administrators write: holders, cards being issued, templates.

use crate::db::Connection;
use audit_log::{Change, digest};
use ledger::{
    CARD_VALUE_MAX, Card, CardId, CardStatus, CaseKind, EVIDENCE_LEN_MAX, HolderId, Scopes,
    Timestamp, TokenId,
};

use crate::error::AdminError;
use crate::record::{EMAIL_LEN_MAX, NewCard, NewHolder, TEMPLATE_LEN_MAX};
use crate::sql::apply::set_card_status;
use crate::sql::fault::Fault;
use crate::sql::{doubt, journal, rows, token};
use crate::token::NewToken;

/// Longest name of a holder, in characters: what an order carries as the sender's name.
const NAME_CHARS_MAX: usize = ledger::rules::SENDER_NAME_CHARS_MAX;

/// Longest masked card number, in bytes: 16 digits and three blanks.
const MASKED_LEN_MAX: usize = 19;

pub(super) fn taken(what: &'static str) -> impl Fn(Fault) -> AdminError {
    move |fault| {
        if fault.is_duplicate() {
            AdminError::Taken { what }
        } else {
            fault.into()
        }
    }
}

fn check_email(email: Option<&String>) -> Result<(), AdminError> {
    let bad = |email: &&String| {
        !(3..=EMAIL_LEN_MAX).contains(&email.len())
            || !email.contains('@')
            || email.chars().any(|c| c.is_control() || c == ' ')
    };
    match email.filter(bad) {
        Some(_) => Err(AdminError::OutOfBounds {
            what: "mail address",
        }),
        None => Ok(()),
    }
}

/// The ledger's time for a write outside `apply`.
pub(super) fn ledger_time(connection: &Connection, now: Timestamp) -> Result<Timestamp, Fault> {
    let floor = rows::time_floor(connection)?;
    if now > floor {
        rows::raise_time_floor(connection, now)?;
    }
    Ok(now.max(floor))
}

pub(super) fn add_holder(connection: &Connection, holder: &NewHolder) -> Result<(), AdminError> {
    if !(1..=NAME_CHARS_MAX).contains(&holder.name.chars().count())
        || holder.name.chars().any(char::is_control)
    {
        return Err(AdminError::OutOfBounds { what: "name" });
    }
    check_email(holder.email.as_ref())?;
    let now = ledger_time(connection, holder.now)?;
    let id = holder.id.as_bytes();
    rows::add_account(connection, id, rows::KIND_HOLDER, holder.currency)
        .map_err(taken("holder id"))?;
    let sql = "INSERT INTO holder (id, name, email, language, created) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let language = holder.language.code();
    let params = (id, &holder.name, &holder.email, language, now.micros());
    rows::write(connection, sql, params, "holder")?;
    if let Some(hash) = holder.token {
        let first = NewToken {
            id: TokenId::from_bytes(holder.id.to_bytes()).map_err(|_| Fault::Corrupt("id"))?,
            holder: holder.id,
            label: "first".to_owned(),
            hash,
            scopes: Scopes::FULL,
            expires: None,
            now,
        };
        token::insert(connection, &first, now).map_err(taken("holder token"))?;
    }
    let change = Change::HolderAdded {
        holder: holder.id,
        currency: holder.currency,
        address: holder.email.is_some(),
        token: holder.token.is_some(),
    };
    Ok(journal::record(connection, now, change)?)
}

pub(super) fn set_email(
    connection: &Connection,
    holder: HolderId,
    email: Option<&String>,
) -> Result<(), AdminError> {
    check_email(email)?;
    let sql = "UPDATE holder SET email = ?2 WHERE id = ?1";
    if connection.execute(sql, (holder.as_bytes(), email))? == 0 {
        return Err(AdminError::Unknown { what: "holder" });
    }
    let now = rows::time_floor(connection)?;
    let address = email.is_some();
    let change = Change::HolderAddress { holder, address };
    Ok(journal::record(connection, now, change)?)
}

pub(super) fn begin_issue(connection: &Connection, card: &NewCard) -> Result<(), AdminError> {
    if !(1..=CARD_VALUE_MAX).contains(&card.value_max) {
        return Err(AdminError::OutOfBounds { what: "card limit" });
    }
    if !(4..=MASKED_LEN_MAX).contains(&card.masked.len()) {
        return Err(AdminError::OutOfBounds {
            what: "masked number",
        });
    }
    if let Some(begun) = rows::card(connection, card.id)? {
        return resume_issue(card, &begun);
    }
    let sql = "SELECT 1 FROM holder WHERE id = ?1";
    if !connection.exists(sql, [card.holder.as_bytes()])? {
        return Err(AdminError::Unknown { what: "holder" });
    }
    let now = ledger_time(connection, card.now)?;
    let id = card.id.as_bytes();
    rows::add_account(connection, id, rows::KIND_CARD, card.currency).map_err(taken("card id"))?;
    let sql = "INSERT INTO card (id, number_ref, masked, uid, holder, status, currency, value_max, \
               epoch, proven_id, proven_remittance_seq, proven_payment_seq, proven_value) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, 0, 0, 0)";
    let params = (
        id,
        card.number_ref.0,
        &card.masked,
        card.uid.0,
        card.holder.as_bytes(),
        CardStatus::Issuing.code(),
        card.currency.code(),
        card.value_max,
        [0; 16],
    );
    rows::write(connection, sql, params, "card").map_err(taken("card number or chip"))?;
    let change = Change::CardIssuing {
        card: card.id,
        holder: card.holder,
        currency: card.currency,
        value_max: card.value_max,
    };
    Ok(journal::record(connection, now, change)?)
}

fn resume_issue(card: &NewCard, begun: &Card) -> Result<(), AdminError> {
    let same = begun.number_ref == card.number_ref
        && begun.uid == card.uid
        && begun.holder == card.holder
        && begun.currency == card.currency
        && begun.value_max == card.value_max;
    match (same, begun.status) {
        (false, _) => Err(AdminError::Taken { what: "card id" }),
        (true, CardStatus::Issuing) => Ok(()),
        (true, CardStatus::Active | CardStatus::Blocked | CardStatus::Frozen) => {
            Err(AdminError::WrongStatus)
        }
    }
}

pub(super) fn finish_issue(
    connection: &Connection,
    card: CardId,
    now: Timestamp,
) -> Result<(), AdminError> {
    let found = rows::card(connection, card)?.ok_or(AdminError::Unknown { what: "card" })?;
    match found.status {
        CardStatus::Active => Ok(()),
        CardStatus::Blocked | CardStatus::Frozen => Err(AdminError::WrongStatus),
        CardStatus::Issuing => {
            let now = ledger_time(connection, now)?;
            let sql = "UPDATE card SET status = 'active' WHERE id = ?1";
            rows::write(connection, sql, [card.as_bytes()], "card")?;
            Ok(journal::record(
                connection,
                now,
                Change::CardActive { card },
            )?)
        }
    }
}

/// A case for a person about one card; the others go on.
pub(super) fn freeze_card(
    connection: &Connection,
    card: CardId,
    found: &[u8],
    now: Timestamp,
) -> Result<(), AdminError> {
    if !(1..=EVIDENCE_LEN_MAX).contains(&found.len()) {
        return Err(AdminError::OutOfBounds { what: "finding" });
    }
    let row = rows::card(connection, card)?.ok_or(AdminError::Unknown { what: "card" })?;
    let status = match row.status {
        CardStatus::Blocked => CardStatus::Blocked,
        CardStatus::Issuing | CardStatus::Active | CardStatus::Frozen => CardStatus::Frozen,
    };
    let now = ledger_time(connection, now)?;
    let in_flight = rows::in_flight(connection, card)?.map(|sent| sent.remittance);
    if !doubt::open_case(
        connection,
        card,
        in_flight,
        found,
        CaseKind::BooksDisagree,
        now,
    )? {
        return Ok(());
    }
    set_card_status(connection, card, status)?;
    let change = Change::CardFrozen {
        card,
        status,
        in_flight,
        evidence: digest(found),
    };
    Ok(journal::record(connection, now, change)?)
}

pub(super) fn put_template(
    connection: &Connection,
    hash: [u8; 32],
    bytes: &[u8],
) -> Result<(), AdminError> {
    if bytes.is_empty() || bytes.len() > TEMPLATE_LEN_MAX {
        return Err(AdminError::OutOfBounds { what: "template" });
    }
    let kept = rows::one(
        connection,
        "SELECT bytes FROM template WHERE hash = ?1",
        [hash],
        |row| row.get::<Vec<u8>>(0),
    )?;
    match kept {
        Some(kept) if kept == bytes => Ok(()),
        Some(_) => Err(AdminError::Taken {
            what: "template hash",
        }),
        None => {
            let sql = "INSERT INTO template (hash, bytes) VALUES (?1, ?2)";
            rows::write(connection, sql, (hash, bytes), "template")?;
            let now = rows::time_floor(connection)?;
            let change = Change::TemplateKept { template: hash };
            Ok(journal::record(connection, now, change)?)
        }
    }
}
