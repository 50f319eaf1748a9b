//! Placing an order: funds to escrow, remittance, mail and answer, in one transaction.

use crate::db::{Connection, Row};
use audit_log::{Change, digest};
use ledger::{
    Account, CardId, CardStatus, ContentHash, HolderId, IdempotencyScope, Language, Leg, Outcome,
    Payment, PlaceOrder, Refusal, RemittanceId, Timestamp, Transfer, rules,
};
use planted::Bug;

use crate::sql::fault::Fault;
use crate::sql::{bank, debit, journal, rows};

type Answer = Result<Outcome, Refusal>;

/// The recipient's side, as found by the number.
struct Found {
    card: [u8; 16],
    email: Option<String>,
    language: String,
    facts: rules::Recipient,
}

pub(super) fn place_order(
    connection: &Connection,
    order: &PlaceOrder,
    now: Timestamp,
) -> Result<Answer, Fault> {
    // all are asked for before the first is looked at: a server then answers them at once
    let recorded = recorded(connection, &order.scope);
    let found = recipient(connection, order);
    let taken = is_taken(connection, order.remittance);
    let sender = match rows::account_columns(&account_of(order)) {
        (_, Some(id)) => rows::balance(connection, &id),
        (_, None) => Ok(None),
    };
    // and none that failed is passed over: it has ended a server's transaction
    let (recorded, found, taken, sender) = (recorded?, found?, taken?, sender?);
    if let Some((content, answer)) = recorded
        && !planted::on(Bug::KeyIgnored)
    {
        let same = content == order.content;
        return Ok(if same {
            answer
        } else {
            Err(Refusal::IdempotencyConflict)
        });
    }
    let bank_account = match order.payment {
        Payment::Bank => bank::account(connection, order.sender)?,
        Payment::Account | Payment::Payable | Payment::Card(_) => None,
    };
    let (payer, debit_taken) = match &order.payment {
        Payment::Card(debit) => (
            debit::payer(connection, debit)?,
            debit::is_taken(connection, order.remittance, debit)?,
        ),
        Payment::Account | Payment::Payable | Payment::Bank => (None, false),
    };
    let facts = rules::OrderFacts {
        remittance_taken: taken || debit_taken,
        sender,
        bank_account: bank_account.is_some(),
        payer: payer.as_ref().map(debit::Payer::facts),
        recipient: found.as_ref().map(|found| found.facts),
    };
    let answer = match (rules::place_order(order, &facts, now), found) {
        (Ok(plan), Some(found)) => {
            place(connection, order, &found, &plan, now)?;
            if let Some(account) = bank_account {
                bank::insert(connection, order.remittance, &account, now)?;
            }
            if let (Payment::Card(debit), Some(payer)) = (&order.payment, &payer) {
                debit::place(connection, order, debit, payer, now)?;
            }
            Ok(Outcome::Placed {
                remittance: order.remittance,
            })
        }
        (Ok(_), None) => return Err(Fault::Corrupt("card")),
        (Err(refusal), _) => Err(refusal),
    };
    if !planted::on(Bug::KeyIgnored) {
        let asked = (&order.scope, order.content, order.remittance);
        remember(connection, asked, &answer, now)?;
    }
    Ok(answer)
}

/// The account here that pays, or that shows that the sender has one.
const fn account_of(order: &PlaceOrder) -> Account {
    match order.payment {
        Payment::Account | Payment::Bank | Payment::Card(_) => Account::Holder(order.sender),
        Payment::Payable => Account::Payable(order.sender),
    }
}

/// Whether a remittance or an invitation has this id.
pub(super) fn is_taken(connection: &Connection, id: RemittanceId) -> Result<bool, Fault> {
    let sql =
        "SELECT 1 FROM remittance WHERE id = ?1 UNION ALL SELECT 1 FROM invitation WHERE id = ?1";
    connection.exists(sql, [id.as_bytes()])
}

pub(super) fn recorded(
    connection: &Connection,
    scope: &IdempotencyScope,
) -> Result<Option<(ContentHash, Answer)>, Fault> {
    let sql = "SELECT content, remittance, refusal FROM idempotency \
               WHERE principal = ?1 AND operation = ?2 AND key = ?3";
    let params = (
        scope.principal.as_bytes(),
        scope.operation.code(),
        scope.key.as_str(),
    );
    rows::one(connection, sql, params, |row| {
        let refusal: Option<String> = row.get(2)?;
        let answer = match refusal {
            None => {
                let remittance = rows::id(row, 1, RemittanceId::from_bytes)?;
                Ok(Outcome::Placed { remittance })
            }
            Some(code) => Err(Refusal::from_code(&code).ok_or(Fault::Corrupt("refusal"))?),
        };
        Ok((ContentHash(row.get(0)?), answer))
    })
}

pub(super) fn remember(
    connection: &Connection,
    (scope, content, remittance): (&IdempotencyScope, ContentHash, RemittanceId),
    answer: &Answer,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO idempotency \
               (principal, operation, key, content, remittance, refusal, at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (remittance, refusal) = match answer {
        Ok(_) => (Some(remittance.as_bytes()), None),
        Err(refusal) => (None, Some(refusal.code())),
    };
    let params = (
        scope.principal.as_bytes(),
        scope.operation.code(),
        scope.key.as_str(),
        content.0,
        remittance,
        refusal,
        now.micros(),
    );
    rows::write(connection, sql, params, "answer")?;
    let Err(refusal) = *answer else { return Ok(()) };
    let change = Change::OrderRefused {
        sender: scope.principal,
        content: content.0,
        refusal,
    };
    journal::record(connection, now, change)
}

fn recipient(connection: &Connection, order: &PlaceOrder) -> Result<Option<Found>, Fault> {
    let sql = "SELECT card.id, email, language, holder, status, currency, value_max \
               FROM card JOIN holder ON holder.id = card.holder WHERE number_ref = ?1";
    rows::one(connection, sql, [order.card.0], |row: &Row<'_>| {
        let email: Option<String> = row.get(1)?;
        let status = CardStatus::from_code(row.text(4, "card status")?);
        let facts = rules::Recipient {
            holder: rows::id(row, 3, HolderId::from_bytes)?,
            status: status.ok_or(Fault::Corrupt("card status"))?,
            currency: rows::currency(row, 5)?,
            value_max: row.get(6)?,
            has_address: email.is_some(),
        };
        Ok(Found {
            card: row.get(0)?,
            email,
            language: row.get(2)?,
            facts,
        })
    })
}

fn place(
    connection: &Connection,
    order: &PlaceOrder,
    found: &Found,
    plan: &rules::OrderPlan,
    now: Timestamp,
) -> Result<(), Fault> {
    if let Some(balance) = plan.sender_after {
        let from = account_of(order);
        let (_, id) = rows::account_columns(&from);
        let id = id.ok_or(Fault::Corrupt("account"))?;
        rows::set_balance(connection, &id, balance)?;
        let transfer = Transfer {
            id: Leg::Funding.transfer_of(order.remittance),
            from,
            to: Account::Escrow(order.remittance),
            amount: order.amount,
            at: now,
        };
        rows::post(connection, &transfer)?;
    }
    insert(connection, order, found, plan, now)?;
    // a mail whose amount is not in escrow yet is due when it is
    let due = if plan.status.is_funded() {
        now
    } else {
        Timestamp::from_micros(i64::MAX)
    };
    if !planted::on(Bug::OutboxOutside) {
        queue_mail(connection, order, found, due)?;
    }
    let change = Change::Ordered {
        remittance: order.remittance,
        sender: order.sender,
        card: CardId::from_bytes(found.card).map_err(|_| Fault::Corrupt("id"))?,
        amount: order.amount,
        expires: order.expires,
        revision: order.revision,
        order: digest(&order.order_bytes),
        program_key: order.program_key,
    };
    journal::record(connection, now, change)
}

fn insert(
    connection: &Connection,
    order: &PlaceOrder,
    found: &Found,
    plan: &rules::OrderPlan,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO remittance (id, revision, sender, sender_name, card, currency, amount, \
               note, status, cancel_asked, ended, created, expires, order_bytes, signature, \
               program_key, template_hash, claim_ref, receipt, flow, funds, payable) VALUES (?1, \
               ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, NULL, ?10, ?11, ?12, ?13, ?14, ?15, ?16, NULL, \
               ?17, NULL, ?18)";
    let (flow, payable) = rows::flow_columns(plan.flow);
    let params = (
        order.remittance.as_bytes(),
        order.revision,
        order.sender.as_bytes(),
        &order.sender_name,
        found.card,
        order.amount.currency().code(),
        order.amount.minor(),
        &order.note,
        plan.status.code(),
        now.micros(),
        order.expires.micros(),
        &order.order_bytes,
        order.signature,
        order.program_key,
        order.template_hash,
        order.claim.0,
        flow,
        payable,
    );
    rows::write(connection, sql, params, "remittance")
}

/// Queues the mail of an order that was placed without: only with a planted bug.
pub(super) fn queue_late(connection: &Connection, order: &PlaceOrder) -> Result<(), Fault> {
    let placed = rows::escrow(connection, order.remittance)?;
    match (recipient(connection, order)?, placed) {
        (Some(found), Some(_)) => queue_mail(connection, order, &found, order.now),
        (_, _) => Ok(()),
    }
}

fn queue_mail(
    connection: &Connection,
    order: &PlaceOrder,
    found: &Found,
    due: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO outbox \
               (id, remittance, message_id, to_address, language, status, attempts, due, error) \
               VALUES (?1, ?2, ?3, ?4, ?5, 'queued', 0, ?6, NULL)";
    let language = Language::from_code(&found.language).ok_or(Fault::Corrupt("language"))?;
    let params = (
        order.mail.id.as_bytes(),
        order.remittance.as_bytes(),
        &order.mail.message_id,
        &found.email,
        language.code(),
        due.micros(),
    );
    rows::write(connection, sql, params, "mail")
}
