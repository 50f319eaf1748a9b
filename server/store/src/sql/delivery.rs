//! Events on their way to endpoints: read from the audit log, queued, leased, given up, sent again.

use std::collections::{HashMap, hash_map::Entry};

use audit_log::{Change, Record};
use ledger::{HolderId, RemittanceId, ReturnReason, Timestamp, UnfundedReason, WebhookId};
use money::Amount;

use crate::db::Connection;
use crate::error::AdminError;
use crate::sql::fault::Fault;
use crate::sql::{log, rows, webhook};
use crate::webhook::{
    Attempt, Changes, DEAD_LETTERS_MAX, DeadLetter, Delivery, Disabled, EventId, NewDelivery,
    OrderChange, OrderEvent, WEBHOOK_ERROR_CHARS_MAX, WEBHOOK_EVENTS_MAX,
};

/// What a record says to an order's sender; of an order that was just placed, it depends on who pays.
enum Told {
    Placed(RemittanceId),
    As(RemittanceId, OrderEvent),
    Begun(WebhookId),
    Nothing,
}

const fn told(change: &Change) -> Told {
    match *change {
        Change::Ordered { remittance, .. } => Told::Placed(remittance),
        Change::Invited { remittance, .. } => Told::As(remittance, OrderEvent::Invited),
        Change::Funded { remittance } => Told::As(remittance, OrderEvent::Opened),
        Change::Credited { remittance, .. }
        | Change::ReceiptShown { remittance, .. }
        | Change::CreditedByLog { remittance, .. } => Told::As(remittance, OrderEvent::Credited),
        Change::ClosedInDoubt { remittance, .. } => Told::As(remittance, OrderEvent::Held),
        Change::Returned { remittance, reason } => Told::As(
            remittance,
            match reason {
                ReturnReason::Expired => OrderEvent::Expired,
                ReturnReason::Cancelled => OrderEvent::Cancelled,
                ReturnReason::Closed => OrderEvent::Closed,
            },
        ),
        Change::Unfunded { remittance, reason } => Told::As(
            remittance,
            match reason {
                UnfundedReason::Refused => OrderEvent::Failed,
                UnfundedReason::Cancelled => OrderEvent::Cancelled,
                UnfundedReason::Expired => OrderEvent::Expired,
            },
        ),
        Change::WebhookAdded { webhook, .. } => Told::Begun(webhook),
        Change::Posted { .. }
        | Change::HolderAdded { .. }
        | Change::HolderAddress { .. }
        | Change::CardIssuing { .. }
        | Change::CardActive { .. }
        | Change::CardBlocked { .. }
        | Change::CardFrozen { .. }
        | Change::OrderRefused { .. }
        | Change::CommitSent { .. }
        | Change::CancelAsked { .. }
        | Change::ProvenAbsent { .. }
        | Change::TemplateKept { .. }
        | Change::MailSent { .. }
        | Change::MailFailed { .. }
        | Change::KeyAdded { .. }
        | Change::KeyRevoked { .. }
        | Change::Restored { .. }
        | Change::Recovering { .. }
        | Change::CardReread { .. }
        | Change::BankAccount { .. }
        | Change::BankAsked { .. }
        | Change::Refunding { .. }
        | Change::Revised { .. }
        | Change::TemplateWithdrawn { .. }
        | Change::AccountsSwitched { .. }
        | Change::OfficerAdded { .. }
        | Change::OfficerWithdrawn { .. }
        | Change::CaseAdopted { .. }
        | Change::CaseBlocked { .. }
        | Change::CardLost { .. }
        | Change::PaidOut { .. }
        | Change::AddressAsked { .. }
        | Change::AddressTried { .. }
        | Change::AddressVerified { .. }
        | Change::AddressCard { .. }
        | Change::AddressRemoved { .. }
        // followed by the record of its return
        | Change::InvitationClosed { .. }
        | Change::Approved { .. }
        | Change::SettleWindow { .. }
        | Change::TokenAdded { .. }
        | Change::TokenRevoked { .. }
        | Change::WebhookRemoved { .. }
        | Change::WebhookSecret { .. }
        | Change::WebhookSwitched { .. } => Told::Nothing,
    }
}

/// See [`crate::Webhooks::order_changes`].
pub(super) fn changes(connection: &Connection) -> Result<Option<Changes>, Fault> {
    let (mut listening, mut not_yet) = (HashMap::new(), HashMap::new());
    let sql = "SELECT id, holder, disabled IS NULL, since IS NOT NULL FROM webhook";
    let endpoints = rows::all(connection, sql, [], |row| {
        let id = rows::id(row, 0, WebhookId::from_bytes)?;
        let holder = rows::id(row, 1, HolderId::from_bytes)?;
        Ok((id, holder, row.get::<bool>(2)?, row.get::<bool>(3)?))
    })?;
    if endpoints.is_empty() {
        return Ok(None);
    }
    for (id, holder, enabled, begun) in endpoints {
        if !begun {
            not_yet.insert(id, (holder, enabled));
        } else if enabled {
            listening.entry(holder).or_insert_with(Vec::new).push(id);
        }
    }
    let sql = "SELECT segment FROM webhook_cursor WHERE id = 1";
    let done = rows::one(connection, sql, [], |row| rows::counter(row, 0))?;
    let number = done
        .ok_or(Fault::Corrupt("webhook cursor"))?
        .saturating_add(1);
    let Some(segment) = log::segment(connection, number)? else {
        return Ok(None);
    };
    let mut found = Changes {
        segment: number,
        begun: Vec::new(),
        changes: Vec::new(),
    };
    for (position, logged) in (segment.first..).zip(&segment.records) {
        let Ok(record) = Record::decode(&logged.record) else {
            // the audit names it; what stands around it is told all the same
            tracing::error!(position, "a record of the audit log is unreadable");
            continue;
        };
        let (order, what) = match told(&record.change) {
            Told::Nothing => continue,
            Told::Begun(id) => {
                if let Some((holder, enabled)) = not_yet.remove(&id) {
                    found.begun.push((id, position));
                    if enabled {
                        listening.entry(holder).or_default().push(id);
                    }
                }
                continue;
            }
            Told::Placed(order) => (order, None),
            Told::As(order, what) => (order, Some(what)),
        };
        let (sender, amount, placed) = match order_of(connection, order) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(Fault::Corrupt(what)) => {
                // as above
                tracing::error!(remittance.id = %order, what, "an order is unreadable: see the audit");
                continue;
            }
            Err(fault) => return Err(fault),
        };
        if let Some(webhooks) = listening.get(&sender) {
            found.changes.push(OrderChange {
                event: event_id(&logged.hash),
                at: record.at,
                what: what.unwrap_or(placed),
                order,
                amount,
                webhooks: webhooks.clone(),
            });
        }
    }
    Ok(Some(found))
}

fn event_id(hash: &[u8; 32]) -> EventId {
    let (first, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
    EventId(*first)
}

/// Sender and amount of an order, and what its placing was; nothing for the debit of a card, which is
/// no order of its own.
fn order_of(
    connection: &Connection,
    id: RemittanceId,
) -> Result<Option<(HolderId, Amount, OrderEvent)>, Fault> {
    let sql = "SELECT sender, amount, currency, flow FROM remittance WHERE id = ?1";
    let found = rows::one(connection, sql, [id.as_bytes()], |row| {
        let placed = match row.text(3, "flow")? {
            "account" => Some(OrderEvent::Opened),
            "bank" | "card" => Some(OrderEvent::Placed),
            _ => None,
        };
        let sender = rows::id(row, 0, HolderId::from_bytes)?;
        Ok(placed.map(|placed| (sender, rows::amount(row, 1, 2), placed)))
    })?;
    let found = match found {
        Some(found) => found,
        None => {
            let sql = "SELECT sender, amount, currency FROM invitation WHERE id = ?1";
            rows::one(connection, sql, [id.as_bytes()], |row| {
                let sender = rows::id(row, 0, HolderId::from_bytes)?;
                Ok((sender, rows::amount(row, 1, 2), OrderEvent::Invited))
            })?
        }
    };
    found
        .map(|(sender, amount, placed)| Ok((sender, amount?, placed)))
        .transpose()
}

/// See [`crate::Webhooks::queue_deliveries`].
pub(super) fn queue(
    connection: &Connection,
    of: &Changes,
    deliveries: &[NewDelivery],
) -> Result<bool, Fault> {
    let number = rows::stored(of.segment)?;
    let sql = "UPDATE webhook_cursor SET segment = ?1 WHERE id = 1 AND segment = ?1 - 1";
    if connection.execute(sql, [number])? == 0 {
        return Ok(false);
    }
    for (id, position) in &of.begun {
        let sql = "UPDATE webhook SET since = ?2 WHERE id = ?1";
        connection.execute(sql, (id.as_bytes(), rows::stored(*position)?))?;
    }
    let mut listens = HashMap::new();
    for new in deliveries {
        if let Entry::Vacant(entry) = listens.entry(new.webhook) {
            entry.insert(still_listens(connection, new.webhook)?);
        }
    }
    // in one statement where a server has to be asked: nobody else writes meanwhile
    connection.gather();
    let listens = |new: &&NewDelivery| listens.get(&new.webhook) == Some(&true);
    let mut heard = deliveries.iter().filter(listens);
    let inserted = heard.try_for_each(|new| insert(connection, new));
    connection.direct()?;
    inserted.map(|()| true)
}

/// Whether an endpoint was neither removed nor disabled since the segment was read; disables one that has
/// as much as it may have.
fn still_listens(connection: &Connection, webhook: WebhookId) -> Result<bool, Fault> {
    let id = webhook.as_bytes();
    let sql = "SELECT 1 FROM webhook WHERE id = ?1 AND disabled IS NULL";
    if !connection.exists(sql, [id])? {
        return Ok(false);
    }
    let sql = "SELECT count(*) FROM webhook_delivery WHERE webhook = ?1";
    let has: Option<u32> = rows::one(connection, sql, [id], |row| row.get(0))?;
    if has.is_some_and(|has| has >= WEBHOOK_EVENTS_MAX) {
        disable(connection, webhook, Disabled::DeadLetters)?;
        return Ok(false);
    }
    Ok(true)
}

fn insert(connection: &Connection, new: &NewDelivery) -> Result<(), Fault> {
    let sql = "INSERT INTO webhook_delivery (webhook, event, what, body, at, status, attempts, due) \
               VALUES (?1, ?2, ?3, ?4, ?5, 'queued', 0, ?5)";
    let params = (
        new.webhook.as_bytes(),
        new.event.0,
        new.what.code(),
        &new.body,
        new.at.micros(),
    );
    rows::write(connection, sql, params, "delivery")
}

/// Endpoints that listen, at which something is due and nothing is on its way. ?1: now; ?2: until when a
/// lease of now lasts, so that those before it end by then too. What is leased is told from what waits for
/// another attempt by having no error.
macro_rules! ready_endpoints {
    () => {
        "FROM webhook WHERE disabled IS NULL \
         AND EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.webhook = webhook.id \
         AND d.status = 'queued' AND d.due <= ?1) \
         AND NOT EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.webhook = webhook.id \
         AND d.status = 'queued' AND d.due > ?1 AND d.due <= ?2 AND d.attempts > 0 AND d.error IS NULL)"
    };
}

/// Whether anything can be leased.
pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Fault> {
    let sql = concat!("SELECT 1 ", ready_endpoints!());
    connection.exists(sql, (now.micros(), until.micros()))
}

/// See [`crate::Webhooks::lease_deliveries`]. The attempt is counted before it is made.
pub(super) fn lease(
    connection: &Connection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Delivery>, Fault> {
    let sql = concat!(
        "SELECT id, url, secret, before_until, \
         (SELECT coalesce(max(served), 0) FROM webhook) ",
        ready_endpoints!(),
        " ORDER BY served, id LIMIT ?3"
    );
    let params = (now.micros(), until.micros(), limit);
    let endpoints = rows::all(connection, sql, params, |row| {
        let id = rows::id(row, 0, WebhookId::from_bytes)?;
        let (url, secret): (String, u32) = (row.get(1)?, row.get(2)?);
        let before: Option<i64> = row.get(3)?;
        let before = before.map(Timestamp::from_micros);
        Ok((id, url, secret, before, row.get::<i64>(4)?))
    })?;
    let mut leased = Vec::with_capacity(endpoints.len());
    for (webhook, url, secret, before_until, last) in endpoints {
        let sql = "SELECT event, body, attempts FROM webhook_delivery \
                   WHERE webhook = ?1 AND status = 'queued' AND due <= ?2 ORDER BY due, event LIMIT 1";
        let params = (webhook.as_bytes(), now.micros());
        let found = rows::one(connection, sql, params, |row| {
            Ok((EventId(row.get(0)?), row.get(1)?, row.get::<u32>(2)?))
        })?;
        let Some((event, body, attempts)) = found else {
            continue;
        };
        let attempts = attempts.saturating_add(1);
        let sql = "UPDATE webhook_delivery SET due = ?3, attempts = ?4, error = NULL \
                   WHERE webhook = ?1 AND event = ?2";
        let params = (webhook.as_bytes(), event.0, until.micros(), attempts);
        rows::write(connection, sql, params, "delivery")?;
        // to the end of the line
        let sql = "UPDATE webhook SET served = ?2 WHERE id = ?1";
        let params = (webhook.as_bytes(), last.saturating_add(1));
        rows::write(connection, sql, params, "webhook")?;
        leased.push(Delivery {
            webhook,
            event,
            body,
            attempts,
            url,
            secret,
            before_until,
        });
    }
    Ok(leased)
}

/// See [`crate::Webhooks::attempted`]. An endpoint that was removed meanwhile has nothing to note.
pub(super) fn attempted(
    connection: &Connection,
    webhook: WebhookId,
    event: EventId,
    attempt: &Attempt,
) -> Result<(), Fault> {
    let cut = |error: &str| {
        error
            .chars()
            .take(WEBHOOK_ERROR_CHARS_MAX)
            .collect::<String>()
    };
    let key = (webhook.as_bytes(), event.0);
    match attempt {
        Attempt::Delivered => {
            let sql = "DELETE FROM webhook_delivery WHERE webhook = ?1 AND event = ?2";
            connection.execute(sql, key)?;
            Ok(())
        }
        Attempt::Retry { at, error } => {
            let sql = "UPDATE webhook_delivery SET due = ?3, error = ?4 \
                       WHERE webhook = ?1 AND event = ?2 AND status = 'queued'";
            connection.execute(sql, (key.0, key.1, at.micros(), cut(error)))?;
            Ok(())
        }
        Attempt::Dead { error } => {
            let sql = "UPDATE webhook_delivery SET status = 'dead', error = ?3 \
                       WHERE webhook = ?1 AND event = ?2 AND status = 'queued'";
            connection.execute(sql, (key.0, key.1, cut(error)))?;
            let sql =
                "SELECT count(*) FROM webhook_delivery WHERE webhook = ?1 AND status = 'dead'";
            let dead: Option<u32> = rows::one(connection, sql, [key.0], |row| row.get(0))?;
            if dead.is_some_and(|dead| dead >= DEAD_LETTERS_MAX) {
                disable(connection, webhook, Disabled::DeadLetters)?;
            }
            Ok(())
        }
        Attempt::Gone => disable(connection, webhook, Disabled::Gone),
    }
}

fn disable(connection: &Connection, webhook: WebhookId, why: Disabled) -> Result<(), Fault> {
    let now = rows::time_floor(connection)?;
    match webhook::switch(connection, webhook, Some(why), now) {
        Ok(()) | Err(AdminError::Unknown { .. }) => Ok(()),
        Err(_) => Err(Fault::Corrupt("webhook")),
    }
}

/// See [`crate::Webhooks::dead_letters`].
pub(super) fn dead(
    connection: &Connection,
    webhook: WebhookId,
    after: Option<EventId>,
    limit: u32,
) -> Result<Vec<DeadLetter>, Fault> {
    let sql = "SELECT event, what, at, attempts, error FROM webhook_delivery \
               WHERE webhook = ?1 AND status = 'dead' AND event > ?2 ORDER BY event LIMIT ?3";
    let after = after.map_or_else(Vec::new, |after| after.0.to_vec());
    rows::all(connection, sql, (webhook.as_bytes(), after, limit), |row| {
        Ok(DeadLetter {
            event: EventId(row.get(0)?),
            what: row.get(1)?,
            at: rows::at(row, 2)?,
            attempts: row.get(3)?,
            error: row.get::<Option<String>>(4)?.unwrap_or_default(),
        })
    })
}

/// See [`crate::Webhooks::send_again`].
pub(super) fn send_again(
    connection: &Connection,
    webhook: WebhookId,
    event: EventId,
    now: Timestamp,
) -> Result<(), AdminError> {
    let sql = "SELECT disabled IS NOT NULL FROM webhook WHERE id = ?1 AND EXISTS \
               (SELECT 1 FROM webhook_delivery d WHERE d.webhook = webhook.id AND d.event = ?2 \
               AND d.status = 'dead')";
    let params = (webhook.as_bytes(), event.0);
    let disabled = rows::one(connection, sql, params, |row| row.get::<bool>(0))?;
    match disabled {
        None => Err(AdminError::Unknown {
            what: "dead letter",
        }),
        Some(true) => Err(AdminError::Disabled),
        Some(false) => {
            let sql = "UPDATE webhook_delivery SET status = 'queued', attempts = 0, due = ?3 \
                       WHERE webhook = ?1 AND event = ?2";
            let params = (webhook.as_bytes(), event.0, now.micros());
            Ok(rows::write(connection, sql, params, "delivery")?)
        }
    }
}
