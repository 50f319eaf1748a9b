//! Rows to records and back: the stored forms, in one place.

use crate::db::{Connection, Params, Row};
use ledger::{
    Account, Card, CardId, CardStatus, Escrow, Flow, Holder, HolderId, IdError, InFlight, Language,
    MailStatus, NumberRef, Proven, Remittance, RemittanceId, ReturnReason, Source, Status,
    Timestamp, Transfer, TransferId, Uid, UnfundedReason,
};
use money::{Amount, Currency, Money};

use crate::sql::fault::Fault;
use crate::sql::{journal, pool};

/// Stored kinds of accounts; the migrations list them.
pub(super) const KIND_FLOAT: i64 = 0;
pub(super) const KIND_HOLDER: i64 = 1;
pub(super) const KIND_CARD: i64 = 2;
pub(super) const KIND_ESCROW: i64 = 3;
pub(super) const KIND_BANK: i64 = 4;
pub(super) const KIND_LOSS: i64 = 5;
pub(super) const KIND_WRITTEN_OFF: i64 = 6;
pub(super) const KIND_PAYABLE: i64 = 7;

/// Runs a query for at most one row.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let (mut found, mut read) = (None, Some(read));
    connection.each(sql, params, |row| {
        found = read.take().map(|read| read(row)).transpose()?;
        Ok(false)
    })?;
    Ok(found)
}

/// Runs a query for all its rows.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut found = Vec::new();
    connection.each(sql, params, |row| {
        found.push(read(row)?);
        Ok(true)
    })?;
    Ok(found)
}

/// Runs a write that must touch exactly one row.
pub(super) fn write(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    what: &'static str,
) -> Result<(), Fault> {
    connection.write_one(sql, params, what)
}

/// Reads an id; `make` is the id's own `from_bytes`.
pub(super) fn id<T>(
    row: &Row<'_>,
    column: usize,
    make: fn([u8; 16]) -> Result<T, IdError>,
) -> Result<T, Fault> {
    make(row.get(column)?).map_err(|_| Fault::Corrupt("id"))
}

/// A counter as its column: SQLite's integers are signed.
pub(super) fn stored(counter: u64) -> Result<i64, Fault> {
    i64::try_from(counter).map_err(|_| Fault::Corrupt("counter"))
}

pub(super) fn counter(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    u64::try_from(row.get::<i64>(column)?).map_err(|_| Fault::Corrupt("counter"))
}

pub(super) fn at(row: &Row<'_>, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_micros(row.get(column)?))
}

pub(super) fn currency(row: &Row<'_>, column: usize) -> Result<Currency, Fault> {
    let code = row.text(column, "currency")?;
    Currency::from_code(code).map_err(|_| Fault::Corrupt("currency"))
}

pub(super) fn amount(row: &Row<'_>, minor: usize, code: usize) -> Result<Amount, Fault> {
    Amount::new(row.get(minor)?, currency(row, code)?).map_err(|_| Fault::Corrupt("amount"))
}

pub(super) fn coded<T>(
    row: &Row<'_>,
    column: usize,
    decode: fn(&str) -> Option<T>,
    what: &'static str,
) -> Result<T, Fault> {
    let code = row.text(column, what)?;
    decode(code).ok_or(Fault::Corrupt(what))
}

// --- time ---

/// What each commit asks of the one row of `meta`, in one query: the time, how card accounts are kept, and
/// the life of the database.
pub(super) const META: &str = "SELECT time_floor, accounts, incarnation FROM meta WHERE id = 1";

/// The life of a database, which every ticket names: what the last restore gave to it.
pub(super) type Life = Option<[u8; 16]>;

pub(super) fn time_and_life(connection: &Connection) -> Result<(Timestamp, Life), Fault> {
    let found = one(connection, META, [], |row| Ok((at(row, 0)?, row.get(2)?)))?;
    found.ok_or(Fault::Corrupt("meta"))
}

pub(super) fn time_floor(connection: &Connection) -> Result<Timestamp, Fault> {
    Ok(time_and_life(connection)?.0)
}

pub(super) fn raise_time_floor(connection: &Connection, to: Timestamp) -> Result<(), Fault> {
    write(
        connection,
        "UPDATE meta SET time_floor = ?1 WHERE id = 1",
        [to.micros()],
        "meta",
    )
}

// --- accounts and transfers ---

/// Balance of a holder's or card's account.
pub(super) fn balance(connection: &Connection, id: &[u8; 16]) -> Result<Option<Money>, Fault> {
    one(
        connection,
        "SELECT balance, currency FROM account WHERE id = ?1",
        [id],
        |row| Ok(Money::new(row.get(0)?, currency(row, 1)?)),
    )
}

pub(super) fn set_balance(connection: &Connection, id: &[u8; 16], minor: i64) -> Result<(), Fault> {
    let sql = "UPDATE account SET balance = ?2 WHERE id = ?1";
    write(connection, sql, (id, minor), "account")
}

pub(super) fn add_account(
    connection: &Connection,
    id: &[u8; 16],
    kind: i64,
    currency: Currency,
) -> Result<(), Fault> {
    let sql = "INSERT INTO account (id, kind, currency, balance) VALUES (?1, ?2, ?3, 0)";
    write(connection, sql, (id, kind, currency.code()), "account")
}

/// Kind and id of an account, as stored.
pub(super) fn account_columns(account: &Account) -> (i64, Option<[u8; 16]>) {
    match account {
        Account::Float(_) => (KIND_FLOAT, None),
        Account::Bank(_) => (KIND_BANK, None),
        Account::Loss(_) => (KIND_LOSS, None),
        Account::WrittenOff(_) => (KIND_WRITTEN_OFF, None),
        Account::Holder(id) => (KIND_HOLDER, Some(id.to_bytes())),
        Account::Card(id) => (KIND_CARD, Some(id.to_bytes())),
        Account::Pool(currency) => (KIND_CARD, Some(pool::id_of(*currency))),
        Account::Escrow(id) => (KIND_ESCROW, Some(id.to_bytes())),
        Account::Payable(holder) => (KIND_PAYABLE, Some(holder.payable())),
    }
}

fn account(row: &Row<'_>, kind: usize, currency: Currency) -> Result<Account, Fault> {
    let at = kind + 1;
    match row.get(kind)? {
        KIND_FLOAT => Ok(Account::Float(currency)),
        KIND_BANK => Ok(Account::Bank(currency)),
        KIND_HOLDER => Ok(Account::Holder(id(row, at, HolderId::from_bytes)?)),
        KIND_CARD if row.get::<[u8; 16]>(at)? == pool::id_of(currency) => {
            Ok(Account::Pool(currency))
        }
        KIND_CARD => Ok(Account::Card(id(row, at, CardId::from_bytes)?)),
        KIND_LOSS => Ok(Account::Loss(currency)),
        KIND_WRITTEN_OFF => Ok(Account::WrittenOff(currency)),
        KIND_PAYABLE => Ok(Account::Payable(id(row, at, HolderId::from_payable)?)),
        KIND_ESCROW => Ok(Account::Escrow(id(row, at, RemittanceId::from_bytes)?)),
        _ => Err(Fault::Corrupt("account kind")),
    }
}

/// What [`read_transfer`] reads.
macro_rules! transfer_select {
    () => {
        "SELECT id, from_kind, CASE from_kind WHEN 2 THEN coalesce(card, from_id) ELSE from_id END, \
         to_kind, CASE to_kind WHEN 2 THEN coalesce(card, to_id) ELSE to_id END, \
         amount, currency, at FROM transfer LEFT JOIN pool_entry ON pool_entry.transfer = id"
    };
}
pub(super) use transfer_select;

pub(super) fn read_transfer(row: &Row<'_>) -> Result<Transfer, Fault> {
    let amount = amount(row, 5, 6)?;
    Ok(Transfer {
        id: TransferId::from_stored(row.get(0)?),
        from: account(row, 1, amount.currency())?,
        to: account(row, 3, amount.currency())?,
        amount,
        at: at(row, 7)?,
    })
}

pub(super) fn transfer(connection: &Connection, id: TransferId) -> Result<Option<Transfer>, Fault> {
    let sql = concat!(transfer_select!(), " WHERE id = ?1");
    one(connection, sql, [id.as_bytes()], read_transfer)
}

/// Posts a transfer; a card's side is its account, or the pool with the card's sub-record.
pub(super) fn post(connection: &Connection, transfer: &Transfer) -> Result<(), Fault> {
    let currency = transfer.amount.currency();
    let (from, giver) = pool::side(connection, transfer.from, currency)?;
    let (to, taker) = pool::side(connection, transfer.to, currency)?;
    if let Some(card) = giver.or(taker) {
        pool::enter(connection, transfer.id, card)?;
    }
    let named = Transfer {
        from,
        to,
        ..*transfer
    };
    insert(connection, &named)
}

/// Posts a transfer between exactly these accounts.
pub(super) fn insert(connection: &Connection, transfer: &Transfer) -> Result<(), Fault> {
    match insert_new(connection, transfer)? {
        true => Ok(()),
        false => Err(Fault::Corrupt("transfer")),
    }
}

/// Whether a transfer was posted.
const POSTED: &str = "SELECT 1 FROM transfer WHERE id = ?1";

/// Says that a transfer is about to be posted.
pub(super) fn foresee(connection: &Connection, transfer: TransferId) {
    connection.foresee(POSTED, [transfer.as_bytes()]);
}

/// The same, unless its id was posted before; whether it was not.
pub(super) fn insert_new(connection: &Connection, transfer: &Transfer) -> Result<bool, Fault> {
    let sql = "INSERT INTO transfer \
               (id, from_kind, from_id, to_kind, to_id, amount, currency, at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING";
    let (from_kind, from) = account_columns(&transfer.from);
    let (to_kind, to) = account_columns(&transfer.to);
    let (minor, code) = (transfer.amount.minor(), transfer.amount.currency().code());
    let id = transfer.id.as_bytes();
    let params = (
        id,
        from_kind,
        from,
        to_kind,
        to,
        minor,
        code,
        transfer.at.micros(),
    );
    let new = connection.write_new(sql, params, POSTED)?;
    if new {
        journal::posted(transfer.id);
    }
    Ok(new)
}

// --- holders ---

/// The columns that [`read_holder`] reads, in this order, and where they stand.
macro_rules! holder_columns {
    () => {
        "holder.id, name, email, language, balance, currency"
    };
}
pub(super) const HOLDER_COLUMNS: usize = 6;
macro_rules! holder_tables {
    () => {
        " FROM holder JOIN account ON account.id = holder.id"
    };
}

/// What [`read_holder`] reads.
macro_rules! holder_select {
    () => {
        concat!(
            "SELECT ",
            $crate::sql::rows::holder_columns!(),
            $crate::sql::rows::holder_tables!()
        )
    };
}
pub(super) use {holder_columns, holder_select, holder_tables};

pub(super) fn read_holder(row: &Row<'_>) -> Result<Holder, Fault> {
    Ok(Holder {
        id: id(row, 0, HolderId::from_bytes)?,
        name: row.get(1)?,
        email: row.get(2)?,
        language: coded(row, 3, Language::from_code, "language")?,
        balance: Money::new(row.get(4)?, currency(row, 5)?),
    })
}

// --- cards ---

/// What [`read_card`] reads.
macro_rules! card_select {
    () => {
        "SELECT id, number_ref, masked, uid, holder, status, currency, value_max, epoch, proven_id, \
         proven_remittance_seq, proven_payment_seq, proven_value, reread, lost, payouts, paid_out \
         FROM card"
    };
}
pub(super) use card_select;

pub(super) fn read_card(row: &Row<'_>) -> Result<Card, Fault> {
    Ok(Card {
        id: id(row, 0, CardId::from_bytes)?,
        number_ref: NumberRef(row.get(1)?),
        masked: row.get(2)?,
        uid: Uid(row.get(3)?),
        holder: id(row, 4, HolderId::from_bytes)?,
        status: coded(row, 5, CardStatus::from_code, "card status")?,
        currency: currency(row, 6)?,
        value_max: row.get(7)?,
        epoch: counter(row, 8)?,
        proven: Proven {
            id: row.get(9)?,
            remittance_seq: row.get(10)?,
            payment_seq: row.get(11)?,
            value: row.get(12)?,
        },
        reread: row.get(13)?,
        lost: row.get::<Option<i64>>(14)?.map(Timestamp::from_micros),
        payouts: row.get(15)?,
        paid_out: row.get(16)?,
    })
}

pub(super) fn card(connection: &Connection, id: CardId) -> Result<Option<Card>, Fault> {
    let sql = concat!(card_select!(), " WHERE id = ?1");
    one(connection, sql, [id.as_bytes()], read_card)
}

pub(super) fn in_flight(connection: &Connection, card: CardId) -> Result<Option<InFlight>, Fault> {
    let sql = "SELECT card, remittance, epoch, seq, payment_seq, balance_before, session, batch, \
               since FROM in_flight WHERE card = ?1";
    one(connection, sql, [card.as_bytes()], read_in_flight)
}

pub(super) fn read_in_flight(row: &Row<'_>) -> Result<InFlight, Fault> {
    Ok(InFlight {
        card: id(row, 0, CardId::from_bytes)?,
        remittance: id(row, 1, RemittanceId::from_bytes)?,
        epoch: counter(row, 2)?,
        seq: row.get(3)?,
        payment_seq: row.get(4)?,
        balance_before: row.get(5)?,
        session: row.get(6)?,
        batch: row.get(7)?,
        since: at(row, 8)?,
    })
}

// --- remittances ---

/// A status as its five columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusColumns {
    pub(super) status: &'static str,
    pub(super) cancel_asked: bool,
    pub(super) ended: Option<i64>,
    pub(super) recovering: bool,
    /// Only where it is set by this status; what is set stays.
    pub(super) held: Option<i64>,
}

pub(super) const fn status_columns(status: Status) -> StatusColumns {
    let columns = StatusColumns {
        status: status.code(),
        cancel_asked: false,
        ended: None,
        recovering: false,
        held: None,
    };
    match status {
        Status::Ordered | Status::Open => columns,
        Status::FundingUnknown {
            cancel_asked,
            recovering,
        } => StatusColumns {
            cancel_asked,
            recovering,
            ..columns
        },
        Status::Refunding { reason } => StatusColumns {
            cancel_asked: match reason {
                ReturnReason::Cancelled => true,
                // what was closed is never refunded
                ReturnReason::Expired | ReturnReason::Closed => false,
            },
            ..columns
        },
        Status::CommitSent { cancel_asked } => StatusColumns {
            cancel_asked,
            ..columns
        },
        Status::Recovering { cancel_asked } => StatusColumns {
            status: "commit-sent",
            cancel_asked,
            recovering: true,
            ..columns
        },
        Status::Held { at } => StatusColumns {
            status: "commit-sent",
            held: Some(at.micros()),
            ..columns
        },
        Status::Returned {
            at,
            reason: ReturnReason::Closed,
        } => StatusColumns {
            status: "cancelled",
            ended: Some(at.micros()),
            ..columns
        },
        Status::Credited { at }
        | Status::Unfunded { at, .. }
        | Status::Returned {
            at,
            reason: ReturnReason::Expired | ReturnReason::Cancelled,
        } => StatusColumns {
            ended: Some(at.micros()),
            ..columns
        },
    }
}

/// Reads the five columns of a status, the first of them at `column`.
fn status(row: &Row<'_>, column: usize) -> Result<Status, Fault> {
    let code = row.text(column, "status")?;
    let cancel_asked = row.get(column + 1)?;
    let ended: Option<i64> = row.get(column + 2)?;
    let recovering: bool = row.get(column + 3)?;
    let held: Option<i64> = row.get(column + 4)?;
    let returned = |at, reason| Status::Returned { at, reason };
    let unfunded = |at, reason| Status::Unfunded { at, reason };
    match (code, ended.map(Timestamp::from_micros), recovering, held) {
        ("ordered", None, false, None) => Ok(Status::Ordered),
        ("funding-unknown", None, recovering, None) => Ok(Status::FundingUnknown {
            cancel_asked,
            recovering,
        }),
        ("refunding", None, false, None) => Ok(Status::Refunding {
            reason: if cancel_asked {
                ReturnReason::Cancelled
            } else {
                ReturnReason::Expired
            },
        }),
        ("funding-failed", Some(at), false, None) => Ok(unfunded(at, UnfundedReason::Refused)),
        ("cancelled-unfunded", Some(at), false, None) => {
            Ok(unfunded(at, UnfundedReason::Cancelled))
        }
        ("expired-unfunded", Some(at), false, None) => Ok(unfunded(at, UnfundedReason::Expired)),
        ("open", None, false, None) => Ok(Status::Open),
        ("commit-sent", None, false, None) => Ok(Status::CommitSent { cancel_asked }),
        ("commit-sent", None, true, None) => Ok(Status::Recovering { cancel_asked }),
        ("commit-sent", None, false, Some(at)) => Ok(Status::Held {
            at: Timestamp::from_micros(at),
        }),
        ("credited", Some(at), false, _) => Ok(Status::Credited { at }),
        ("expired", Some(at), false, None) => Ok(returned(at, ReturnReason::Expired)),
        ("cancelled", Some(at), false, None) => Ok(returned(at, ReturnReason::Cancelled)),
        ("cancelled", Some(at), false, Some(_)) => Ok(returned(at, ReturnReason::Closed)),
        _ => Err(Fault::Corrupt("status")),
    }
}

/// A flow as its code and its mark.
pub(super) const fn flow_columns(flow: Flow) -> (&'static str, bool) {
    match flow {
        Flow::Credit(Source::Payable) => (Flow::Credit(Source::Account).code(), true),
        Flow::Credit(Source::Account | Source::Bank | Source::Card) | Flow::Debit { .. } => {
            (flow.code(), false)
        }
    }
}

/// Reads the three columns of a flow, the first of them at `column`.
fn flow(row: &Row<'_>, column: usize) -> Result<Flow, Fault> {
    let code = row.text(column, "flow")?;
    let funds: Option<[u8; 16]> = row.get(column + 1)?;
    let funds = funds.map(RemittanceId::from_bytes).transpose();
    let funds = funds.map_err(|_| Fault::Corrupt("id"))?;
    let payable: bool = row.get(column + 2)?;
    match Flow::from_code(code, funds) {
        Some(Flow::Credit(Source::Account)) if payable => Ok(Flow::Credit(Source::Payable)),
        // stored as the account with a mark
        Some(Flow::Credit(Source::Payable)) | None => Err(Fault::Corrupt("flow")),
        Some(flow) => Ok(flow),
    }
}

pub(super) fn escrow(
    connection: &Connection,
    remittance: RemittanceId,
) -> Result<Option<Escrow>, Fault> {
    let sql = "SELECT sender, card, amount, currency, status, cancel_asked, ended, recovering, \
               held, expires, flow, funds, payable FROM remittance WHERE id = ?1";
    one(connection, sql, [remittance.as_bytes()], |row| {
        Ok(Escrow {
            remittance,
            flow: flow(row, 10)?,
            sender: id(row, 0, HolderId::from_bytes)?,
            card: id(row, 1, CardId::from_bytes)?,
            amount: amount(row, 2, 3)?,
            status: status(row, 4)?,
            expires: at(row, 9)?,
        })
    })
}

/// The columns that [`read_remittance`] reads, in this order, and where they stand.
macro_rules! remittance_columns {
    () => {
        "remittance.id, revision, sender, sender_name, remittance.card, card.masked, amount, \
         remittance.currency, note, remittance.status, cancel_asked, ended, recovering, held, created, \
         expires, order_bytes, signature, program_key, template_hash, receipt, outbox.status, flow, \
         funds, payable"
    };
}
macro_rules! remittance_tables {
    () => {
        " FROM remittance JOIN card ON card.id = remittance.card \
         JOIN outbox ON outbox.remittance = remittance.id"
    };
}

/// What [`read_remittance`] reads.
macro_rules! remittance_select {
    () => {
        concat!(
            "SELECT ",
            $crate::sql::rows::remittance_columns!(),
            $crate::sql::rows::remittance_tables!()
        )
    };
}
pub(super) use {remittance_columns, remittance_select, remittance_tables};

pub(super) fn read_remittance(row: &Row<'_>) -> Result<Remittance, Fault> {
    Ok(Remittance {
        id: id(row, 0, RemittanceId::from_bytes)?,
        flow: flow(row, 22)?,
        revision: row.get(1)?,
        sender: id(row, 2, HolderId::from_bytes)?,
        sender_name: row.get(3)?,
        card: id(row, 4, CardId::from_bytes)?,
        card_masked: row.get(5)?,
        amount: amount(row, 6, 7)?,
        note: row.get(8)?,
        status: status(row, 9)?,
        created: at(row, 14)?,
        expires: at(row, 15)?,
        order_bytes: row.get(16)?,
        signature: row.get(17)?,
        program_key: row.get(18)?,
        template_hash: row.get(19)?,
        receipt: row.get(20)?,
        mail: coded(row, 21, MailStatus::from_code, "mail status")?,
    })
}

/// Whether two persons closed it, now or ever.
pub(super) fn is_held(connection: &Connection, remittance: RemittanceId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM remittance WHERE id = ?1 AND held IS NOT NULL";
    connection.exists(sql, [remittance.as_bytes()])
}

pub(super) fn receipt(
    connection: &Connection,
    remittance: RemittanceId,
) -> Result<Option<Vec<u8>>, Fault> {
    let sql = "SELECT receipt FROM remittance WHERE id = ?1";
    let row = one(connection, sql, [remittance.as_bytes()], |row| row.get(0))?;
    Ok(row.flatten())
}
