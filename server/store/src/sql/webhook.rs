//! Endpoints: who listens, since when, and by which secret.

use async_trait::async_trait;
use audit_log::{Change, digest};
use crashpoint::reach;
use ledger::{HolderId, Timestamp, WebhookId};

use crate::db::{Connection, Row};
use crate::error::{AdminError, StoreError};
use crate::sql::admin::ledger_time;
use crate::sql::fault::Fault;
use crate::sql::{SqlStore, delivery, journal, rows};
use crate::traits::{LEASES_MAX, PAGE_MAX};
use crate::webhook::{
    Attempt, Changes, DeadLetter, Delivery, Disabled, EventId, NewDelivery, NewWebhook,
    SECRET_OVERLAP_S, SecretAsked, SecretOfKey, WEBHOOK_URL_LEN_MAX, WEBHOOKS_MAX, WebhookRow,
    Webhooks,
};

#[async_trait]
impl Webhooks for SqlStore {
    async fn add_webhook(&self, webhook: NewWebhook) -> Result<(), AdminError> {
        let added = self.writer.write(move |connection| {
            add(connection, &webhook)?;
            reach!("store::add-webhook::before-commit");
            Ok(())
        });
        added
            .await
            .inspect(|()| reach!("store::add-webhook::after-commit"))
    }

    async fn remove_webhook(&self, webhook: WebhookId, now: Timestamp) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| remove(connection, webhook, now))
            .await
    }

    async fn next_secret(&self, webhook: WebhookId, now: Timestamp) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| next_secret(connection, webhook, now).map(|_| ()))
            .await
    }

    async fn secret_of_key(&self, asked: SecretAsked) -> Result<Option<SecretOfKey>, StoreError> {
        self.read(move |connection| secret_of_key(connection, &asked))
            .await
    }

    async fn secret_under_key(&self, asked: SecretAsked) -> Result<SecretOfKey, AdminError> {
        self.writer
            .write(move |connection| secret_under_key(connection, &asked))
            .await
    }

    async fn enable_webhook(&self, webhook: WebhookId, now: Timestamp) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| switch(connection, webhook, None, now))
            .await
    }

    async fn webhook(&self, webhook: WebhookId) -> Result<Option<WebhookRow>, StoreError> {
        let sql = concat!(webhook_select!(), " WHERE id = ?1");
        self.read(move |connection| rows::one(connection, sql, [webhook.as_bytes()], row))
            .await
    }

    async fn webhooks(&self, holder: HolderId) -> Result<Vec<WebhookRow>, StoreError> {
        let sql = concat!(webhook_select!(), " WHERE holder = ?1 ORDER BY id");
        self.read(move |connection| rows::all(connection, sql, [holder.as_bytes()], row))
            .await
    }

    async fn order_changes(&self) -> Result<Option<Changes>, StoreError> {
        self.read(delivery::changes).await
    }

    async fn queue_deliveries(
        &self,
        of: Changes,
        deliveries: Vec<NewDelivery>,
    ) -> Result<bool, StoreError> {
        let queued = self.write(move |connection| {
            let queued = delivery::queue(connection, &of, &deliveries)?;
            reach!("store::queue-deliveries::before-commit");
            Ok(queued)
        });
        queued
            .await
            .inspect(|_| reach!("store::queue-deliveries::after-commit"))
    }

    async fn lease_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        // most of the time nothing is due, and nobody has to write for that
        if !self
            .read(move |connection| delivery::due(connection, now, until))
            .await?
        {
            return Ok(Vec::new());
        }
        let limit = limit.min(LEASES_MAX);
        let leased = self.write(move |connection| {
            let leased = delivery::lease(connection, now, until, limit)?;
            reach!("store::lease-deliveries::before-commit");
            Ok(leased)
        });
        leased
            .await
            .inspect(|_| reach!("store::lease-deliveries::after-commit"))
    }

    async fn attempted(
        &self,
        webhook: WebhookId,
        event: EventId,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        let noted = self.write(move |connection| {
            delivery::attempted(connection, webhook, event, &attempt)?;
            reach!("store::delivery-attempted::before-commit");
            Ok(())
        });
        noted
            .await
            .inspect(|()| reach!("store::delivery-attempted::after-commit"))
    }

    async fn dead_letters(
        &self,
        webhook: WebhookId,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        self.read(move |connection| delivery::dead(connection, webhook, after, limit))
            .await
    }

    async fn send_again(
        &self,
        webhook: WebhookId,
        event: EventId,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| delivery::send_again(connection, webhook, event, now))
            .await
    }
}

macro_rules! webhook_select {
    () => {
        "SELECT id, holder, url, secret, before_until, created, disabled, \
         (SELECT count(*) FROM webhook_delivery WHERE webhook = webhook.id AND status = 'queued'), \
         (SELECT count(*) FROM webhook_delivery WHERE webhook = webhook.id AND status = 'dead') \
         FROM webhook"
    };
}
use webhook_select;

const UNKNOWN: AdminError = AdminError::Unknown { what: "webhook" };

fn row(row: &Row<'_>) -> Result<WebhookRow, Fault> {
    let before_until: Option<i64> = row.get(4)?;
    let disabled: Option<String> = row.get(6)?;
    let disabled = disabled.map(|code| Disabled::from_code(&code).ok_or(Fault::Corrupt("webhook")));
    Ok(WebhookRow {
        id: rows::id(row, 0, WebhookId::from_bytes)?,
        holder: rows::id(row, 1, HolderId::from_bytes)?,
        url: row.get(2)?,
        secret: row.get(3)?,
        before_until: before_until.map(Timestamp::from_micros),
        created: rows::at(row, 5)?,
        disabled: disabled.transpose()?,
        queued: rows::counter(row, 7)?,
        dead: rows::counter(row, 8)?,
    })
}

fn add(connection: &Connection, webhook: &NewWebhook) -> Result<(), AdminError> {
    let url = &webhook.url;
    if !(1..=WEBHOOK_URL_LEN_MAX).contains(&url.len())
        || !url.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(AdminError::OutOfBounds {
            what: "address of a webhook",
        });
    }
    let holder = webhook.holder.as_bytes();
    if !connection.exists("SELECT 1 FROM holder WHERE id = ?1", [holder])? {
        return Err(AdminError::Unknown { what: "holder" });
    }
    let sql = "SELECT 1 FROM webhook WHERE holder = ?1 AND url = ?2";
    if connection.exists(sql, (holder, url))? {
        return Err(AdminError::Taken {
            what: "address of a webhook",
        });
    }
    let sql = "SELECT count(*) FROM webhook WHERE holder = ?1";
    let others: Option<u32> = rows::one(connection, sql, [holder], |row| row.get(0))?;
    if others.is_none_or(|others| others >= WEBHOOKS_MAX) {
        return Err(AdminError::OutOfBounds {
            what: "number of webhooks",
        });
    }
    if !connection.exists("SELECT 1 FROM webhook", [])? {
        // nobody listened: what is sealed already is of before
        let sql = "UPDATE webhook_cursor SET segment = \
                   (SELECT coalesce(max(number), 0) FROM log_segment) WHERE id = 1";
        rows::write(connection, sql, [], "webhook cursor")?;
    }
    let now = ledger_time(connection, webhook.now)?;
    let sql = "INSERT INTO webhook (id, holder, url, secret, created, served) \
               VALUES (?1, ?2, ?3, 0, ?4, 0)";
    let params = (webhook.id.as_bytes(), holder, url, now.micros());
    rows::write(connection, sql, params, "webhook")?;
    let change = Change::WebhookAdded {
        webhook: webhook.id,
        holder: webhook.holder,
        url: digest(url.as_bytes()),
    };
    Ok(journal::record(connection, now, change)?)
}

fn remove(connection: &Connection, webhook: WebhookId, now: Timestamp) -> Result<(), AdminError> {
    let sql = "DELETE FROM webhook_delivery WHERE webhook = ?1";
    connection.execute(sql, [webhook.as_bytes()])?;
    let sql = "DELETE FROM webhook WHERE id = ?1";
    if connection.execute(sql, [webhook.as_bytes()])? == 0 {
        return Err(UNKNOWN);
    }
    let now = ledger_time(connection, now)?;
    let change = Change::WebhookRemoved { webhook };
    Ok(journal::record(connection, now, change)?)
}

/// Gives the new secret's number, and until when the one before signs too.
fn next_secret(
    connection: &Connection,
    webhook: WebhookId,
    now: Timestamp,
) -> Result<(u32, Timestamp), AdminError> {
    let sql = "SELECT secret FROM webhook WHERE id = ?1";
    let found: Option<u32> = rows::one(connection, sql, [webhook.as_bytes()], |row| row.get(0))?;
    let next = found.ok_or(UNKNOWN)?.checked_add(1);
    let secret = next.ok_or(AdminError::OutOfBounds {
        what: "number of secrets",
    })?;
    let now = ledger_time(connection, now)?;
    let until = now.plus_s(SECRET_OVERLAP_S);
    let sql = "UPDATE webhook SET secret = ?2, before_until = ?3 WHERE id = ?1";
    let params = (webhook.as_bytes(), secret, until.micros());
    rows::write(connection, sql, params, "webhook")?;
    let change = Change::WebhookSecret { webhook, secret };
    journal::record(connection, now, change)?;
    Ok((secret, until))
}

fn secret_of_key(
    connection: &Connection,
    asked: &SecretAsked,
) -> Result<Option<SecretOfKey>, Fault> {
    let sql = "SELECT made.webhook, made.secret, webhook.secret, before_until \
               FROM webhook_secret_key made LEFT JOIN webhook ON webhook.id = made.webhook \
               WHERE principal = ?1 AND key = ?2";
    let params = (asked.holder.as_bytes(), asked.key.as_str());
    let now = rows::time_floor(connection)?.max(asked.now);
    rows::one(connection, sql, params, |row| {
        if rows::id(row, 0, WebhookId::from_bytes)? != asked.webhook {
            return Ok(SecretOfKey::ForAnother);
        }
        let made: u32 = row.get(1)?;
        let counts: Option<u32> = row.get(2)?;
        let until: Option<i64> = row.get(3)?;
        Ok(match until.map(Timestamp::from_micros) {
            Some(until) if counts == Some(made) && now < until => SecretOfKey::Counts {
                secret: made,
                before_until: until,
            },
            Some(_) | None => SecretOfKey::NotShown,
        })
    })
}

fn secret_under_key(
    connection: &Connection,
    asked: &SecretAsked,
) -> Result<SecretOfKey, AdminError> {
    if let Some(made) = secret_of_key(connection, asked)? {
        return Ok(made);
    }
    let (secret, before_until) = next_secret(connection, asked.webhook, asked.now)?;
    let sql = "INSERT INTO webhook_secret_key (principal, key, webhook, secret, at) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let params = (
        asked.holder.as_bytes(),
        asked.key.as_str(),
        asked.webhook.as_bytes(),
        secret,
        ledger_time(connection, asked.now)?.micros(),
    );
    rows::write(connection, sql, params, "key of a secret")?;
    Ok(SecretOfKey::Counts {
        secret,
        before_until,
    })
}

/// Lets an endpoint listen, or not any more. What is queued for one that does not is a dead letter.
pub(super) fn switch(
    connection: &Connection,
    webhook: WebhookId,
    disabled: Option<Disabled>,
    now: Timestamp,
) -> Result<(), AdminError> {
    let sql = "SELECT disabled FROM webhook WHERE id = ?1";
    let found = rows::one(connection, sql, [webhook.as_bytes()], |row| {
        row.get::<Option<String>>(0)
    })?;
    if found.ok_or(UNKNOWN)?.is_some() == disabled.is_some() {
        return Ok(());
    }
    let now = ledger_time(connection, now)?;
    let sql = "UPDATE webhook SET disabled = ?2 WHERE id = ?1";
    let code = disabled.map(|why| why.code().to_owned());
    rows::write(connection, sql, (webhook.as_bytes(), code), "webhook")?;
    if let Some(why) = disabled {
        let sql = "UPDATE webhook_delivery SET status = 'dead', error = coalesce(error, ?2) \
                   WHERE webhook = ?1 AND status = 'queued'";
        connection.execute(sql, (webhook.as_bytes(), why.code()))?;
    }
    let enabled = disabled.is_none();
    let change = Change::WebhookSwitched { webhook, enabled };
    Ok(journal::record(connection, now, change)?)
}
