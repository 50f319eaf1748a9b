//! Bearer tokens.

use async_trait::async_trait;
use audit_log::Change;
use crashpoint::reach;
use ledger::{HolderId, Scopes, Timestamp, TokenHash, TokenId};

use crate::db::{Connection, Row};
use crate::error::{AdminError, StoreError};
use crate::sql::admin::{ledger_time, taken};
use crate::sql::fault::Fault;
use crate::sql::rows::{HOLDER_COLUMNS, holder_columns, holder_tables};
use crate::sql::{SqlStore, journal, rows};
use crate::token::{Bearer, NewToken, TOKEN_LABEL_CHARS_MAX, TOKENS_MAX, TokenRow, Tokens};

#[async_trait]
impl Tokens for SqlStore {
    async fn bearer(&self, token: TokenHash, now: Timestamp) -> Result<Option<Bearer>, StoreError> {
        self.look(move |connection| bearer(connection, token, now))
            .await
    }

    async fn token_used(&self, token: TokenId, day: i64) -> Result<(), StoreError> {
        self.write(move |connection| used(connection, token, day))
            .await
    }

    async fn add_token(&self, token: NewToken) -> Result<(), AdminError> {
        let added = self.writer.write(move |connection| {
            add(connection, &token)?;
            reach!("store::add-token::before-commit");
            Ok(())
        });
        added
            .await
            .inspect(|()| reach!("store::add-token::after-commit"))
    }

    async fn revoke_token(
        &self,
        holder: HolderId,
        token: TokenId,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let revoked = self.writer.write(move |connection| {
            revoke(connection, holder, token, now)?;
            reach!("store::revoke-token::before-commit");
            Ok(())
        });
        revoked
            .await
            .inspect(|()| reach!("store::revoke-token::after-commit"))
    }

    async fn tokens(&self, holder: HolderId) -> Result<Vec<TokenRow>, StoreError> {
        self.read(move |connection| tokens(connection, holder))
            .await
    }
}

fn scopes(row: &Row<'_>, column: usize) -> Result<Scopes, Fault> {
    Scopes::from_bits(row.get(column)?).ok_or(Fault::Corrupt("scopes"))
}

pub(super) fn bearer(
    connection: &Connection,
    token: TokenHash,
    now: Timestamp,
) -> Result<Option<Bearer>, Fault> {
    let sql = concat!(
        "SELECT ",
        holder_columns!(),
        ", api_token.id, scopes, used_day",
        holder_tables!(),
        " JOIN api_token ON api_token.holder = holder.id JOIN meta ON meta.id = 1 \
         WHERE token_hash = ?1 AND revoked IS NULL \
         AND (expires IS NULL OR expires > ?2 AND expires > time_floor)"
    );
    rows::one(connection, sql, (token.0, now.micros()), |row| {
        let of_token = row.part(HOLDER_COLUMNS);
        Ok(Bearer {
            holder: rows::read_holder(row)?,
            token: rows::id(&of_token, 0, TokenId::from_bytes)?,
            scopes: scopes(&of_token, 1)?,
            used_day: of_token.get(2)?,
        })
    })
}

fn used(connection: &Connection, token: TokenId, day: i64) -> Result<(), Fault> {
    let sql = "UPDATE api_token SET used_day = ?2 \
               WHERE id = ?1 AND (used_day IS NULL OR used_day < ?2)";
    connection.execute(sql, (token.as_bytes(), day))?;
    Ok(())
}

/// Writes the row of a token.
pub(super) fn insert(
    connection: &Connection,
    token: &NewToken,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO api_token (id, holder, label, token_hash, scopes, created, expires) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let params = (
        token.id.as_bytes(),
        token.holder.as_bytes(),
        &token.label,
        token.hash.0,
        token.scopes.bits(),
        now.micros(),
        token.expires.map(Timestamp::micros),
    );
    rows::write(connection, sql, params, "token")
}

fn add(connection: &Connection, token: &NewToken) -> Result<(), AdminError> {
    let label = &token.label;
    if !(1..=TOKEN_LABEL_CHARS_MAX).contains(&label.chars().count())
        || label.chars().any(char::is_control)
    {
        return Err(AdminError::OutOfBounds {
            what: "label of a token",
        });
    }
    let holder = token.holder.as_bytes();
    if !connection.exists("SELECT 1 FROM holder WHERE id = ?1", [holder])? {
        return Err(AdminError::Unknown { what: "holder" });
    }
    // an interrupted command is given again with its token file, under another id
    let sql = "SELECT 1 FROM api_token \
               WHERE token_hash = ?1 AND holder = ?2 AND label = ?3 AND scopes = ?4";
    let same = (token.hash.0, holder, label, token.scopes.bits());
    if connection.exists(sql, same)? {
        return Ok(());
    }
    let now = ledger_time(connection, token.now)?;
    let sql = "SELECT count(*) FROM api_token WHERE holder = ?1 AND revoked IS NULL \
               AND (expires IS NULL OR expires > ?2)";
    let live: Option<u32> = rows::one(connection, sql, (holder, now.micros()), |row| row.get(0))?;
    if live.is_none_or(|live| live >= TOKENS_MAX) {
        return Err(AdminError::OutOfBounds {
            what: "number of tokens",
        });
    }
    insert(connection, token, now).map_err(taken("token"))?;
    let change = Change::TokenAdded {
        holder: token.holder,
        token: token.id,
        scopes: token.scopes.bits(),
    };
    Ok(journal::record(connection, now, change)?)
}

fn revoke(
    connection: &Connection,
    holder: HolderId,
    token: TokenId,
    now: Timestamp,
) -> Result<(), AdminError> {
    let sql = "SELECT revoked FROM api_token WHERE id = ?1 AND holder = ?2";
    let params = (token.as_bytes(), holder.as_bytes());
    let found = rows::one(connection, sql, params, |row| row.get::<Option<i64>>(0))?;
    if found
        .ok_or(AdminError::Unknown { what: "token" })?
        .is_some()
    {
        return Ok(());
    }
    let now = ledger_time(connection, now)?;
    let sql = "UPDATE api_token SET revoked = ?2 WHERE id = ?1";
    rows::write(connection, sql, (token.as_bytes(), now.micros()), "token")?;
    let change = Change::TokenRevoked { holder, token };
    Ok(journal::record(connection, now, change)?)
}

fn tokens(connection: &Connection, holder: HolderId) -> Result<Vec<TokenRow>, Fault> {
    let sql = "SELECT id, label, scopes, created, used_day, expires, revoked FROM api_token \
               WHERE holder = ?1 ORDER BY id";
    rows::all(connection, sql, [holder.as_bytes()], |row| {
        let (expires, revoked): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
        Ok(TokenRow {
            id: rows::id(row, 0, TokenId::from_bytes)?,
            label: row.get(1)?,
            scopes: scopes(row, 2)?,
            created: rows::at(row, 3)?,
            used_day: row.get(4)?,
            expires: expires.map(Timestamp::from_micros),
            revoked: revoked.map(Timestamp::from_micros),
        })
    })
}
