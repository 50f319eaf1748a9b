//! Cancels under idempotency keys.

use async_trait::async_trait;
use ledger::{Command, Refusal, Timestamp};

use crate::db::Connection;
use crate::error::StoreError;
use crate::key::{ANSWER_LEN_MAX, CancelAnswer, CancelAsked, KeyUse, Keys, OrderRow};
use crate::sql::admin::ledger_time;
use crate::sql::crash::{self, Moment};
use crate::sql::fault::Fault;
use crate::sql::{SqlStore, apply, invitation, read, rows};

#[async_trait]
impl Keys for SqlStore {
    async fn cancel_answer(&self, key: KeyUse) -> Result<Option<CancelAnswer>, StoreError> {
        self.look(move |connection| {
            Ok(match stands(connection, &key)? {
                Stands::ForNothing | Stands::Unanswered => None,
                Stands::Answered(answer) => Some(answer),
            })
        })
        .await
    }

    async fn cancel_under_key(&self, asked: CancelAsked) -> Result<CancelAnswer, StoreError> {
        let command = command(&asked.key);
        let cancelled = self.write(move |connection| {
            let answer = cancel(connection, &asked)?;
            crash::reach(&self::command(&asked.key), Moment::BeforeCommit);
            Ok(answer)
        });
        cancelled
            .await
            .inspect(|_| crash::reach(&command, Moment::AfterCommit))
    }
}

/// What a key stands for.
enum Stands {
    /// For nothing: it is new.
    ForNothing,
    /// For this, since before answers were kept.
    Unanswered,
    Answered(CancelAnswer),
}

const fn command(key: &KeyUse) -> Command {
    Command::Cancel {
        remittance: key.remittance,
        sender: key.scope.principal,
        now: key.now,
    }
}

fn stands(connection: &Connection, key: &KeyUse) -> Result<Stands, Fault> {
    let sql = "SELECT content, refusal, answer FROM idempotency \
               WHERE principal = ?1 AND operation = ?2 AND key = ?3";
    let params = (
        key.scope.principal.as_bytes(),
        key.scope.operation.code(),
        key.scope.key.as_str(),
    );
    let found = rows::one(connection, sql, params, |row| {
        let content: [u8; 32] = row.get(0)?;
        if content != key.content.0 {
            return Ok(Stands::Answered(CancelAnswer::ForAnother));
        }
        let (refusal, answer): (Option<String>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
        let refusal =
            refusal.map(|code| Refusal::from_code(&code).ok_or(Fault::Corrupt("refusal")));
        Ok(match (refusal.transpose()?, answer) {
            (Some(refusal), _) => Stands::Answered(CancelAnswer::Refused(refusal)),
            (None, Some(answer)) => Stands::Answered(CancelAnswer::Told(answer)),
            (None, None) => Stands::Unanswered,
        })
    })?;
    Ok(found.unwrap_or(Stands::ForNothing))
}

fn cancel(connection: &Connection, asked: &CancelAsked) -> Result<CancelAnswer, Fault> {
    let key = &asked.key;
    let is_new = match stands(connection, key)? {
        Stands::Answered(answer) => return Ok(answer),
        Stands::Unanswered => false,
        Stands::ForNothing => true,
    };
    if let (true, Some(expected)) = (is_new, &asked.expected) {
        // whose it is, the ledger tells
        match order(connection, key)? {
            Some(order) if !expected(&order) => return Ok(CancelAnswer::Changed),
            Some(_) | None => {}
        }
    }
    let now = ledger_time(connection, key.now)?;
    if let Err(refusal) = apply::apply(connection, &command(key), now)? {
        let is_end = matches!(
            refusal,
            Refusal::AlreadyCredited | Refusal::Expired | Refusal::Closed
        );
        if is_new && is_end {
            remember(connection, key, Err(refusal), now)?;
        }
        return Ok(CancelAnswer::Refused(refusal));
    }
    let order = order(connection, key)?.ok_or(Fault::Corrupt("remittance"))?;
    let answer = (asked.answer)(order).ok_or(Fault::Corrupt("answer"))?;
    if !(1..=ANSWER_LEN_MAX).contains(&answer.len()) {
        return Err(Fault::Corrupt("answer"));
    }
    if is_new {
        remember(connection, key, Ok(&answer), now)?;
    }
    Ok(CancelAnswer::Told(answer))
}

fn order(connection: &Connection, key: &KeyUse) -> Result<Option<OrderRow>, Fault> {
    if let Some(remittance) = read::remittance(connection, key.remittance)? {
        return Ok(Some(OrderRow::Remittance(Box::new(remittance))));
    }
    let held = invitation::invitation(connection, key.remittance)?;
    Ok(held.map(|held| OrderRow::Invitation(Box::new(held))))
}

fn remember(
    connection: &Connection,
    key: &KeyUse,
    answer: Result<&[u8], Refusal>,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO idempotency \
               (principal, operation, key, content, remittance, refusal, at, answer) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let remittance = answer.is_ok().then(|| *key.remittance.as_bytes());
    let params = (
        key.scope.principal.as_bytes(),
        key.scope.operation.code(),
        key.scope.key.as_str(),
        key.content.0,
        remittance,
        answer.err().map(Refusal::code),
        now.micros(),
        answer.ok(),
    );
    rows::write(connection, sql, params, "answer")
}
