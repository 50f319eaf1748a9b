//! Reads; each runs in one read transaction.

use crate::db::Connection;
use ledger::{
    Account, Card, CardId, ClaimRef, Holder, HolderId, NumberRef, Remittance, RemittanceId,
    Timestamp, Uid,
};
use money::{Amount, Currency, Money};
use planted::Bug;

use crate::record::{OrderPage, Standing};
use crate::sql::fault::Fault;
use crate::sql::rows::{
    self, card_select, holder_select, remittance_columns, remittance_select, remittance_tables,
};
use crate::sql::{invitation, pool, recovery};
use crate::traits::PAGE_MAX;

pub(super) fn remittance(
    connection: &Connection,
    id: RemittanceId,
) -> Result<Option<Remittance>, Fault> {
    let sql = concat!(remittance_select!(), " WHERE remittance.id = ?1");
    rows::one(connection, sql, [id.as_bytes()], rows::read_remittance)
}

pub(super) fn remittance_by_claim(
    connection: &Connection,
    claim: ClaimRef,
) -> Result<Option<Remittance>, Fault> {
    let sql = concat!(remittance_select!(), " WHERE claim_ref = ?1");
    rows::one(connection, sql, [claim.0], rows::read_remittance)
}

pub(super) fn card_by_number(
    connection: &Connection,
    number: NumberRef,
) -> Result<Option<Card>, Fault> {
    let sql = concat!(card_select!(), " WHERE number_ref = ?1");
    rows::one(connection, sql, [number.0], rows::read_card)
}

pub(super) fn card_by_uid(connection: &Connection, uid: Uid) -> Result<Option<Card>, Fault> {
    rows::one(
        connection,
        concat!(card_select!(), " WHERE uid = ?1"),
        [uid.0],
        rows::read_card,
    )
}

pub(super) fn holder(connection: &Connection, id: HolderId) -> Result<Option<Holder>, Fault> {
    let sql = concat!(holder_select!(), " WHERE holder.id = ?1");
    rows::one(connection, sql, [id.as_bytes()], rows::read_holder)
}

pub(super) fn standing(
    connection: &Connection,
    id: RemittanceId,
) -> Result<Option<Standing>, Fault> {
    let Some(mut standing) = standing_now(connection, id)? else {
        return Ok(None);
    };
    if standing.card.reread {
        standing.recovering = recovery::remittances(connection, standing.card.id)?;
    }
    Ok(Some(standing))
}

/// Where the parts of a standing begin: after the columns of a remittance, of a card, and of what is in
/// flight.
const CARD_AT: usize = 25;
const IN_FLIGHT_AT: usize = CARD_AT + 17;
const TIME_FLOOR_AT: usize = IN_FLIGHT_AT + 9;
const WITHDRAWN_AT: usize = TIME_FLOOR_AT + 1;

/// What a session with a card reads before it does anything, in one query; nothing of a restored card's
/// other remittances.
fn standing_now(
    connection: &Connection,
    remittance: RemittanceId,
) -> Result<Option<Standing>, Fault> {
    let sql = concat!(
        "SELECT ",
        remittance_columns!(),
        ", card.id, number_ref, card.masked, uid, holder, card.status, card.currency, value_max, \
         card.epoch, proven_id, proven_remittance_seq, proven_payment_seq, proven_value, reread, \
         lost, payouts, paid_out, in_flight.card, in_flight.remittance, in_flight.epoch, seq, \
         in_flight.payment_seq, balance_before, session, batch, since, time_floor, \
         withdrawn IS NOT NULL",
        remittance_tables!(),
        " JOIN meta ON meta.id = 1 LEFT JOIN in_flight ON in_flight.card = remittance.card \
         LEFT JOIN template ON template.hash = template_hash WHERE remittance.id = ?1"
    );
    rows::one(connection, sql, [remittance.as_bytes()], |row| {
        let flying = row.part(IN_FLIGHT_AT);
        let flies = flying.get::<Option<[u8; 16]>>(0)?.is_some();
        Ok(Standing {
            remittance: rows::read_remittance(row)?,
            card: rows::read_card(&row.part(CARD_AT))?,
            in_flight: flies.then(|| rows::read_in_flight(&flying)).transpose()?,
            recovering: Vec::new(),
            time_floor: rows::at(row, TIME_FLOOR_AT)?,
            template_withdrawn: row.get(WITHDRAWN_AT)?,
        })
    })
}

pub(super) fn orders(
    connection: &Connection,
    sender: HolderId,
    before: Option<RemittanceId>,
    limit: u32,
) -> Result<OrderPage, Fault> {
    let limit = limit.min(PAGE_MAX);
    let sql = concat!(
        remittance_select!(),
        // a debit belongs to the order that it pays for
        " WHERE sender = ?1 AND remittance.id < ?2 AND flow <> 'debit' ORDER BY remittance.id DESC LIMIT ?3"
    );
    // no id is above this: the first bits are a time
    let before = before.map_or([0xFF; 16], RemittanceId::to_bytes);
    let params = (sender.as_bytes(), before, limit + 1);
    let mut items = rows::all(connection, sql, params, rows::read_remittance)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more {
        items.last().map(|last| last.id)
    } else {
        None
    };
    Ok(OrderPage { items, next })
}

pub(super) fn expirable(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<RemittanceId>, Fault> {
    let sql = if planted::on(Bug::ExpiryInFlight) {
        "SELECT id FROM remittance WHERE status IN ('open', 'commit-sent') AND expires <= ?1 \
         LIMIT ?2"
    } else {
        "SELECT id, expires FROM remittance WHERE status IN ('open', 'ordered') AND ended IS NULL AND expires <= ?1 \
         AND (status = 'open' OR flow = 'bank') UNION ALL \
         SELECT id, expires FROM invitation WHERE status = 'invited' AND expires <= ?1 \
         ORDER BY expires, id LIMIT ?2"
    };
    let params = (now.micros(), limit.min(PAGE_MAX));
    let due = rows::all(connection, sql, params, |row| {
        Ok(rows::id(row, 0, RemittanceId::from_bytes))
    })?;
    // an id that nobody can read keeps nobody's money; the audit names it
    Ok(due.into_iter().filter_map(Result::ok).collect())
}

pub(super) fn holders(
    connection: &Connection,
    after: Option<HolderId>,
    limit: u32,
) -> Result<Vec<Holder>, Fault> {
    let sql = concat!(
        holder_select!(),
        " WHERE holder.id > ?1 ORDER BY holder.id LIMIT ?2"
    );
    let after = after.map_or([0; 16], HolderId::to_bytes);
    rows::all(
        connection,
        sql,
        (after, limit.min(PAGE_MAX)),
        rows::read_holder,
    )
}

pub(super) fn cards(
    connection: &Connection,
    after: Option<CardId>,
    limit: u32,
) -> Result<Vec<Card>, Fault> {
    let sql = concat!(card_select!(), " WHERE id > ?1 ORDER BY id LIMIT ?2");
    let after = after.map_or([0; 16], CardId::to_bytes);
    rows::all(
        connection,
        sql,
        (after, limit.min(PAGE_MAX)),
        rows::read_card,
    )
}

pub(super) fn template(connection: &Connection, hash: [u8; 32]) -> Result<Option<Vec<u8>>, Fault> {
    rows::one(
        connection,
        "SELECT bytes FROM template WHERE hash = ?1",
        [hash],
        |row| row.get(0),
    )
}

pub(super) fn balance(connection: &Connection, account: Account) -> Result<Option<Money>, Fault> {
    match account {
        Account::Holder(id) => rows::balance(connection, id.as_bytes()),
        Account::Payable(holder) => rows::balance(connection, &holder.payable()),
        Account::Card(id) => rows::balance(connection, id.as_bytes()),
        Account::Pool(currency) => pool::balance(connection, currency).map(Some),
        Account::Escrow(id) => Ok(
            escrow_or_invitation(connection, id)?.map(|(holds, amount)| {
                let held = if holds { amount.minor() } else { 0 };
                Money::new(held, amount.currency())
            }),
        ),
        Account::Float(currency)
        | Account::Bank(currency)
        | Account::Loss(currency)
        | Account::WrittenOff(currency) => {
            let (kind, _) = rows::account_columns(&account);
            derived(connection, kind, currency).map(Some)
        }
    }
}

/// The amount of a remittance or an invitation, and whether its escrow account holds it.
fn escrow_or_invitation(
    connection: &Connection,
    id: RemittanceId,
) -> Result<Option<(bool, Amount)>, Fault> {
    if let Some(escrow) = rows::escrow(connection, id)? {
        return Ok(Some((escrow.holds(), escrow.amount)));
    }
    let held = invitation::invitation(connection, id)?;
    Ok(held.map(|held| (held.status.holds(), held.amount)))
}

/// What went into an account that has no row, less what came out of it.
fn derived(connection: &Connection, kind: i64, currency: Currency) -> Result<Money, Fault> {
    let sql = "SELECT \
               CAST(coalesce(sum(amount) FILTER (WHERE to_kind = ?2), 0) - \
               coalesce(sum(amount) FILTER (WHERE from_kind = ?2), 0) AS BIGINT) \
               FROM transfer WHERE currency = ?1 AND (to_kind = ?2 OR from_kind = ?2)";
    let sum = rows::one(connection, sql, (currency.code(), kind), |row| {
        Ok(Money::new(row.get(0)?, currency))
    })?;
    sum.ok_or(Fault::Corrupt("derived account"))
}
