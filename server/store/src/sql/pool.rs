//! Card accounts kept one by one, or as one pool per currency.
//!
//! A transfer to or from a card names the pool while the setting says so, and a `pool_entry` names
//! the card. Read back, such a transfer names its card again; the pool is summed from the rows.

use crate::db::Connection;
use audit_log::{Change, digest};
use ledger::{Account, CardAccounts, CardId, RemittanceId, Timestamp, Transfer, TransferId};
use money::{Amount, Currency, Money};

use crate::error::AdminError;
use crate::sql::fault::Fault;
use crate::sql::{journal, rows};
use crate::traits::PAGE_MAX;

/// The pool's id in a transfer: no card's, which begins with a time.
pub(super) fn id_of(currency: Currency) -> [u8; 16] {
    let mut id = [0; 16];
    let code = currency.code().bytes().rev();
    id.iter_mut()
        .rev()
        .zip(code)
        .for_each(|(place, byte)| *place = byte);
    id
}

/// How the card accounts are kept.
pub(super) fn setting(connection: &Connection) -> Result<CardAccounts, Fault> {
    let found = rows::one(connection, rows::META, [], |row| {
        rows::coded(row, 1, CardAccounts::from_code, "account setting")
    })?;
    found.ok_or(Fault::Corrupt("meta"))
}

/// The account that a transfer names for this side, and whose sub-record that is.
pub(super) fn side(
    connection: &Connection,
    account: Account,
    currency: Currency,
) -> Result<(Account, Option<CardId>), Fault> {
    match account {
        Account::Card(card) => match setting(connection)? {
            CardAccounts::Individual => Ok((account, None)),
            CardAccounts::Pooled => Ok((Account::Pool(currency), Some(card))),
        },
        other => Ok((other, None)),
    }
}

/// Notes whose sub-record a transfer changed.
pub(super) fn enter(
    connection: &Connection,
    transfer: TransferId,
    card: CardId,
) -> Result<(), Fault> {
    let sql = "INSERT INTO pool_entry (transfer, card) VALUES (?1, ?2)";
    let params = (transfer.as_bytes(), card.as_bytes());
    rows::write(connection, sql, params, "pool entry")
}

/// What the pool of a currency holds: what its transfers brought, less what they took.
pub(super) fn balance(connection: &Connection, currency: Currency) -> Result<Money, Fault> {
    let sql = "SELECT CAST(coalesce(sum(amount) FILTER (WHERE to_id = ?1), 0) - \
               coalesce(sum(amount) FILTER (WHERE from_id = ?1), 0) AS BIGINT) \
               FROM transfer WHERE to_id = ?1 OR from_id = ?1";
    let found = rows::one(connection, sql, [id_of(currency)], |row| {
        Ok(Money::new(row.get(0)?, currency))
    })?;
    found.ok_or(Fault::Corrupt("pool"))
}

/// See [`crate::Store::set_card_accounts`].
pub(super) fn switch(
    connection: &Connection,
    to: CardAccounts,
    now: Timestamp,
) -> Result<(), AdminError> {
    if setting(connection)? == to {
        return Ok(());
    }
    // what is held may stay so for ever, and what has no escrow has nothing on its way to a card
    let sql = "SELECT id FROM remittance WHERE ended IS NULL AND held IS NULL \
               AND status IN ('open', 'commit-sent', 'refunding') AND flow <> 'debit' \
               ORDER BY id LIMIT ?1";
    let open = rows::all(connection, sql, [PAGE_MAX], |row| {
        rows::id(row, 0, RemittanceId::from_bytes)
    })?;
    if !open.is_empty() {
        return Err(AdminError::OpenRemittances { ids: open });
    }
    let now = rows::time_floor(connection)?.max(now);
    rows::raise_time_floor(connection, now)?;
    let sql = "UPDATE meta SET accounts = ?1, account_switches = account_switches + 1 WHERE id = 1";
    rows::write(connection, sql, [to.code()], "meta")?;
    let sql = "SELECT account_switches FROM meta WHERE id = 1";
    let number: Option<u32> = rows::one(connection, sql, [], |row| row.get(0))?;
    let number = number.ok_or(Fault::Corrupt("meta"))?;
    let pooled = to == CardAccounts::Pooled;
    journal::record(connection, now, Change::AccountsSwitched { pooled })?;
    let sql = "SELECT id, balance, currency FROM account WHERE kind = 2 AND balance > 0";
    let cards = rows::all(connection, sql, [], |row| {
        let amount = Amount::new(row.get(1)?, rows::currency(row, 2)?);
        let card = rows::id(row, 0, CardId::from_bytes)?;
        Ok((card, amount.map_err(|_| Fault::Corrupt("balance"))?))
    })?;
    for (card, amount) in cards {
        let (own, pool) = (Account::Card(card), Account::Pool(amount.currency()));
        let (from, to) = if pooled { (own, pool) } else { (pool, own) };
        let id = transfer_of(card, number);
        let at = now;
        let transfer = Transfer {
            id,
            from,
            to,
            amount,
            at,
        };
        enter(connection, id, card)?;
        rows::insert(connection, &transfer)?;
    }
    Ok(())
}

/// In place of the version nibble in [`transfer_of`]: that of no leg, no payout and no caller's transfer
/// (docs/ledger.md, "Transfers"). Earlier versions had 8 here, as a first payout has.
const SWITCH_MARK: u8 = 0;

/// The id of a card's transfer at one switch, which no caller can name.
fn transfer_of(card: CardId, number: u32) -> TransferId {
    let hash = digest(&[card.as_bytes().as_slice(), &number.to_be_bytes()].concat());
    let mut id = [0; 16];
    id.iter_mut()
        .zip(hash)
        .for_each(|(place, byte)| *place = byte);
    if let Some(version) = id.get_mut(6) {
        *version = SWITCH_MARK << 4 | *version & 0x0F;
    }
    TransferId::from_stored(id)
}
