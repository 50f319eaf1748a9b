//! What stands beside an order that a card of its sender pays for: the debit, a remittance of its own.
//! Until the order is funded, its fate is its debit's, and both move in one transaction.

use crate::db::{Connection, Row};
use audit_log::{Change, digest};
use ledger::{
    Account, CardId, CardStatus, Escrow, Event, Flow, Holder, HolderId, Leg, NewDebit, PlaceOrder,
    Remittance, RemittanceId, Source, Status, Timestamp, Transfer, order_event, rules,
};
use money::Money;
use planted::Bug;

use crate::sql::apply::advance;
use crate::sql::fault::Fault;
use crate::sql::rows::remittance_select;
use crate::sql::{journal, order as orders, read, rows};

/// The card that shall pay, with its holder.
pub(super) struct Payer {
    card: CardId,
    facts: rules::Payer,
}

/// The card of this number.
pub(super) fn payer(connection: &Connection, debit: &NewDebit) -> Result<Option<Payer>, Fault> {
    let sql = "SELECT card.id, holder, status, balance, account.currency FROM card \
               JOIN account ON account.id = card.id WHERE number_ref = ?1";
    rows::one(connection, sql, [debit.card.0], |row: &Row<'_>| {
        let facts = rules::Payer {
            holder: rows::id(row, 1, HolderId::from_bytes)?,
            status: rows::coded(row, 2, CardStatus::from_code, "card status")?,
            balance: Money::new(row.get(3)?, rows::currency(row, 4)?),
        };
        let card = rows::id(row, 0, CardId::from_bytes)?;
        Ok(Payer { card, facts })
    })
}

impl Payer {
    /// What the rules need to know.
    pub(super) const fn facts(&self) -> rules::Payer {
        self.facts
    }
}

/// Writes the debit of a new order: its row, and its mail to the sender.
pub(super) fn place(
    connection: &Connection,
    order: &PlaceOrder,
    debit: &NewDebit,
    payer: &Payer,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO remittance (id, revision, sender, sender_name, card, currency, amount, \
               note, status, cancel_asked, ended, created, expires, order_bytes, signature, \
               program_key, template_hash, claim_ref, receipt, flow, funds, payable) VALUES (?1, \
               ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, NULL, ?10, ?11, ?12, ?13, ?14, ?15, ?16, NULL, \
               ?17, ?18, 0)";
    let funds = order.remittance;
    let params = (
        debit.remittance.as_bytes(),
        order.revision,
        order.sender.as_bytes(),
        &order.sender_name,
        payer.card.as_bytes(),
        order.amount.currency().code(),
        order.amount.minor(),
        &order.note,
        Status::Open.code(),
        now.micros(),
        order.expires.micros(),
        &debit.order_bytes,
        &debit.signature,
        order.program_key,
        order.template_hash,
        debit.claim.0,
        Flow::Debit { funds }.code(),
        funds.as_bytes(),
    );
    rows::write(connection, sql, params, "debit")?;
    let sender = read::holder(connection, order.sender)?.ok_or(Fault::Corrupt("holder"))?;
    queue_mail(connection, debit, &sender, now)?;
    let change = Change::Ordered {
        remittance: debit.remittance,
        sender: order.sender,
        card: payer.card,
        amount: order.amount,
        expires: order.expires,
        revision: order.revision,
        order: digest(&debit.order_bytes),
        program_key: order.program_key,
    };
    journal::record(connection, now, change)
}

fn queue_mail(
    connection: &Connection,
    debit: &NewDebit,
    sender: &Holder,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO outbox \
               (id, remittance, message_id, to_address, language, status, attempts, due, error) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8)";
    // without an address there is the sender's page
    let (status, error) = match &sender.email {
        Some(_) => ("queued", None),
        None => ("failed", Some("no address")),
    };
    let params = (
        debit.mail.id.as_bytes(),
        debit.remittance.as_bytes(),
        &debit.mail.message_id,
        sender.email.as_deref().unwrap_or_default(),
        sender.language.code(),
        status,
        now.micros(),
        error,
    );
    rows::write(connection, sql, params, "mail")
}

/// Whether one of the ids of an order is in use, or both are one.
pub(super) fn is_taken(
    connection: &Connection,
    order: RemittanceId,
    debit: &NewDebit,
) -> Result<bool, Fault> {
    Ok(debit.remittance == order || orders::is_taken(connection, debit.remittance)?)
}

/// The debit that pays for an order.
pub(super) fn of_order(
    connection: &Connection,
    order: RemittanceId,
) -> Result<Option<Remittance>, Fault> {
    let sql = concat!(remittance_select!(), " WHERE funds = ?1");
    rows::one(connection, sql, [order.as_bytes()], rows::read_remittance)
}

/// Whose step decides about this remittance: its debit's while a card has still to pay for it.
pub(super) fn decisive(connection: &Connection, escrow: &Escrow) -> Result<Escrow, Fault> {
    match (escrow.flow, escrow.status) {
        (Flow::Credit(Source::Card), Status::Ordered | Status::FundingUnknown { .. })
            if !planted::on(Bug::OrderCancelledAlone) =>
        {
            let sql = "SELECT id FROM remittance WHERE funds = ?1";
            let debit = rows::one(connection, sql, [escrow.remittance.as_bytes()], |row| {
                rows::id(row, 0, RemittanceId::from_bytes)
            })?;
            let debit = debit.ok_or(Fault::Corrupt("debit"))?;
            rows::escrow(connection, debit)?.ok_or(Fault::Corrupt("debit"))
        }
        (
            Flow::Credit(Source::Account | Source::Bank | Source::Card | Source::Payable)
            | Flow::Debit { .. },
            _,
        ) => Ok(*escrow),
    }
}

/// Takes the order along when its debit has moved; part of the transaction that moved it.
pub(super) fn follow(
    connection: &Connection,
    debit: &Escrow,
    to: Status,
    now: Timestamp,
) -> Result<(), Fault> {
    let Flow::Debit { funds } = debit.flow else {
        return Ok(());
    };
    let Some(event) = order_event(debit.status, to) else {
        return Ok(());
    };
    let of_order = || rows::escrow(connection, funds)?.ok_or(Fault::Corrupt("order of a debit"));
    let order = of_order()?;
    let step = order.on(event, now);
    let step = step.map_err(|_| Fault::Corrupt("order of a debit"))?;
    advance(connection, &order, step, None, now)?;
    if planted::on(Bug::OpenBeforeDebit)
        && let Ok(step) = of_order()?.on(Event::Fund, now)
        && matches!(event, Event::Ask)
    {
        post(connection, debit, now)?;
        advance(connection, &of_order()?, step, None, now)?;
    }
    Ok(())
}

/// Takes a debit once more: one of the planted bugs.
pub(super) fn take_again(connection: &Connection, debit: &Escrow) -> Result<(), Fault> {
    match debit.flow {
        Flow::Debit { .. } => take(connection, debit),
        Flow::Credit(_) => Ok(()),
    }
}

/// Where what came back of an order goes: [`Escrow::home`].
pub(super) fn home(connection: &Connection, order: &Escrow) -> Result<Account, Fault> {
    if planted::on(Bug::ReturnToPayingCard)
        && let Some(debit) = of_order(connection, order.remittance)?
    {
        return Ok(Account::Card(debit.card));
    }
    Ok(order.home())
}

/// Posts what a card has proven to have given: to the escrow of the order that it pays for.
pub(super) fn post(connection: &Connection, debit: &Escrow, now: Timestamp) -> Result<(), Fault> {
    let Flow::Debit { funds } = debit.flow else {
        return Err(Fault::Corrupt("flow"));
    };
    take(connection, debit)?;
    let transfer = Transfer {
        id: Leg::Funding.transfer_of(funds),
        from: Account::Card(debit.card),
        to: Account::Escrow(funds),
        amount: debit.amount,
        at: now,
    };
    rows::post(connection, &transfer)
}

/// The same for a debit that two persons had closed: it is owed to the holder, unless the card was
/// paid out meanwhile with this amount still in its account.
pub(super) fn post_closed(
    connection: &Connection,
    debit: &Escrow,
    now: Timestamp,
) -> Result<(), Fault> {
    let card = rows::card(connection, debit.card)?.ok_or(Fault::Corrupt("card"))?;
    if card.payouts > 0 {
        return Ok(());
    }
    take(connection, debit)?;
    owe(connection, debit)?;
    let transfer = Transfer {
        id: Leg::End.transfer_of(debit.remittance),
        from: Account::Card(debit.card),
        to: Account::Payable(debit.sender),
        amount: debit.amount,
        at: now,
    };
    rows::post(connection, &transfer)
}

fn take(connection: &Connection, debit: &Escrow) -> Result<(), Fault> {
    let card = debit.card.as_bytes();
    let balance = rows::balance(connection, card)?.ok_or(Fault::Corrupt("account"))?;
    let after = balance.minor().checked_sub(debit.amount.minor());
    let after = after.filter(|after| *after >= 0);
    rows::set_balance(connection, card, after.ok_or(Fault::Corrupt("balance"))?)
}

/// Adds to what the sender is owed.
pub(super) fn owe(connection: &Connection, escrow: &Escrow) -> Result<(), Fault> {
    let row = escrow.sender.payable();
    let currency = escrow.amount.currency();
    if rows::balance(connection, &row)?.is_none() {
        rows::add_account(connection, &row, rows::KIND_PAYABLE, currency)?;
    }
    let balance = rows::balance(connection, &row)?.ok_or(Fault::Corrupt("account"))?;
    let after = balance.checked_add(escrow.amount.money());
    let after = after.map_err(|_| Fault::Corrupt("balance"))?;
    rows::set_balance(connection, &row, after.minor())
}

/// Whether what a shown receipt says can be posted yet: not before the account has what the card had
/// then, which a restored database may have forgotten.
pub(super) fn may_post(connection: &Connection, escrow: &Escrow) -> Result<bool, Fault> {
    match escrow.flow {
        Flow::Credit(_) => Ok(true),
        Flow::Debit { .. } => {
            let balance = rows::balance(connection, escrow.card.as_bytes())?;
            let balance = balance.ok_or(Fault::Corrupt("account"))?;
            Ok(balance.minor() >= escrow.amount.minor())
        }
    }
}
