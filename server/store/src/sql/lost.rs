//! Lost cards: reported, paid out after their window, and what holders are owed for them.

use audit_log::Change;
use ledger::{
    Account, Card, CardId, Outcome, PayOutFacts, PayOutPlan, Refusal, Timestamp, Transfer, pay_out,
    payout_of,
};
use money::{Amount, Money};

use crate::db::Connection;
use crate::record::Payable;
use crate::sql::doubt::{block, has_open_case, minor_of, undecided};
use crate::sql::fault::Fault;
use crate::sql::{journal, officers, recovery, rows};
use crate::traits::PAGE_MAX;

type Answer = Result<Outcome, Refusal>;

pub(super) fn report_lost(
    connection: &Connection,
    card: CardId,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let Some(found) = rows::card(connection, card)? else {
        return Ok(Err(Refusal::CardUnknown));
    };
    if let Some(since) = found.lost {
        return Ok(Ok(Outcome::CardLost { since }));
    }
    block(connection, card, now)?;
    let sql = "UPDATE card SET lost = ?2 WHERE id = ?1";
    rows::write(connection, sql, (card.as_bytes(), now.micros()), "card")?;
    journal::record(connection, now, Change::CardLost { card })?;
    Ok(Ok(Outcome::CardLost { since: now }))
}

/// A card, and what a payout of it would write.
fn plan_payout(
    connection: &Connection,
    id: CardId,
    now: Timestamp,
) -> Result<Result<(Card, PayOutPlan), Refusal>, Fault> {
    let Some(card) = rows::card(connection, id)? else {
        return Ok(Err(Refusal::CardUnknown));
    };
    let undecided = undecided(connection, id)?;
    let facts = PayOutFacts {
        card: Some(&card),
        balance: minor_of(connection, id)?,
        case_open: has_open_case(connection, id)?,
        unread: card.reread || recovery::is_shown(connection, id)?,
        undecided: &undecided,
        payable: rows::balance(connection, &card.holder.payable())?,
    };
    let plan = pay_out(&facts, officers::settle_window(connection)?, now);
    Ok(plan.map(|plan| (card, plan)))
}

/// See [`crate::Store::payout`].
pub(super) fn payout(
    connection: &Connection,
    id: CardId,
    now: Timestamp,
) -> Result<Result<i64, Refusal>, Fault> {
    let now = rows::time_floor(connection)?.max(now);
    let plan = plan_payout(connection, id, now)?;
    Ok(plan.map(|(_, plan)| plan.minor))
}

pub(super) fn pay_out_card(
    connection: &Connection,
    id: CardId,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let (card, plan) = match plan_payout(connection, id, now)? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (minor, total) = (plan.minor, plan.paid_out);
    if plan.payouts == card.payouts {
        return Ok(Ok(Outcome::PaidOut { minor, total }));
    }
    let row = card.holder.payable();
    if rows::balance(connection, &row)?.is_none() {
        rows::add_account(connection, &row, rows::KIND_PAYABLE, plan.currency)?;
    }
    if minor > 0 {
        rows::set_balance(connection, id.as_bytes(), 0)?;
        rows::set_balance(connection, &row, plan.payable_after)?;
        let transfer = payout_of(id, card.payouts).ok_or(Fault::Corrupt("payouts"))?;
        let amount = Amount::new(minor, plan.currency).map_err(|_| Fault::Corrupt("amount"))?;
        let posted = Transfer {
            id: transfer,
            from: Account::Card(id),
            to: Account::Payable(card.holder),
            amount,
            at: now,
        };
        rows::post(connection, &posted)?;
    }
    let sql = "UPDATE card SET payouts = ?2, paid_out = ?3 WHERE id = ?1";
    rows::write(
        connection,
        sql,
        (id.as_bytes(), plan.payouts, total),
        "card",
    )?;
    journal::record(connection, now, Change::PaidOut { card: id, minor })?;
    Ok(Ok(Outcome::PaidOut { minor, total }))
}

/// What holders are owed, in order of account.
pub(super) fn payables(
    connection: &Connection,
    after: Option<ledger::HolderId>,
    limit: u32,
) -> Result<Vec<Payable>, Fault> {
    let sql = "SELECT id, balance, currency FROM account WHERE kind = 7 AND id > ?1 \
               ORDER BY id LIMIT ?2";
    let after = after.map_or([0; 16], ledger::HolderId::payable);
    rows::all(connection, sql, (after, limit.min(PAGE_MAX)), |row| {
        Ok(Payable {
            holder: rows::id(row, 0, ledger::HolderId::from_payable)?,
            balance: Money::new(row.get(1)?, rows::currency(row, 2)?),
        })
    })
}
