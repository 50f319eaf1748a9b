//! `holder token add | list | revoke`.

use super::{Common, Output, open, output::table, token::TokenFile};
use crate::{
    app::DAY_S,
    clock::{id_parts, rfc3339},
};
use anyhow::Context;
use clap::Subcommand;
use ledger::{HolderId, Scope, Scopes, Timestamp, TokenId};
use serde_json::{Value, json};
use store::{NewToken, TokenRow};

/// Bearer tokens of a holder.
#[derive(Debug, Subcommand)]
pub enum HolderToken {
    /// Give out one more token; prints it, once
    #[command(
        after_help = "Scopes: orders:read sees the orders, orders:write places and cancels them, webhooks:manage \
says where events go. Only a token with --full signs in at the pages.

Examples:
  tegata-server holder token add 0192... --label till --scope orders:read --scope orders:write --data ./issuer
  tegata-server holder token add 0192... --label new --full --token-file /media/aiko/token --data ./issuer
  tegata-server holder token add 0192... --label audit --scope orders:read --days 30 --data ./issuer"
    )]
    Add(Add),
    /// List the tokens of a holder, those that open nothing any more too
    #[command(after_help = "Example:\n  tegata-server holder token list 0192... --data ./issuer")]
    List {
        /// Whose tokens
        id: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Take a token back, for good; a running server refuses it from its next request on
    #[command(
        after_help = "Example:\n  tegata-server holder token revoke 0192... 0193... --data ./issuer"
    )]
    Revoke {
        /// Whose token
        id: String,
        /// Which, as `holder token list` names it
        token: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
}

/// Flags of `holder token add`.
#[derive(Debug, clap::Args)]
#[group(id = "may", required = true, args = ["scope", "full"])]
pub struct Add {
    /// Whose token
    id: String,
    /// What it is for: 1 to 64 characters
    #[arg(long, value_name = "TEXT")]
    label: String,
    /// What it may do; may be given several times
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    scope: Vec<Scope>,
    /// It may do everything that the holder may
    #[arg(long)]
    full: bool,
    /// It opens nothing any more after so many days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: Option<u32>,
    /// Where the token goes.
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    common: Common,
}

/// Longest life of a token that has an end, in days: ten years; who wants more gives none.
const DAYS_MAX: i64 = 3_650;

fn scope(code: &str) -> Result<Scope, String> {
    let all = || Scope::ALL.map(Scope::code).join(", ");
    Scope::from_code(code).ok_or_else(|| format!("one of {}", all()))
}

pub(super) async fn run(command: HolderToken) -> anyhow::Result<()> {
    match command {
        HolderToken::Add(args) => add(args).await,
        HolderToken::List { id, common } => list(&id, &common).await,
        HolderToken::Revoke { id, token, common } => revoke(&id, &token, &common).await,
    }
}

async fn add(args: Add) -> anyhow::Result<()> {
    let holder: HolderId = args.id.parse().context("the holder's id")?;
    let scopes = Scopes::of(&args.scope).unwrap_or(Scopes::FULL);
    let office = open(&args.common)?;
    let now = office.clock.now();
    let issued = args.token.issue(&args.common.data, &*office.random)?;
    let (ms, bits) = id_parts(now, &*office.random);
    let token = NewToken {
        id: TokenId::new(ms, bits),
        holder,
        label: args.label.clone(),
        hash: issued.hash,
        scopes,
        expires: args
            .days
            .map(|days| now.plus_s(i64::from(days).saturating_mul(DAY_S))),
        now,
    };
    office.store.add_token(token).await?;
    // an interrupted command has given it out under the id of its first time
    let bearer = office.store.bearer(issued.hash, now).await?;
    let id = bearer.context("the token is over or taken back")?.token;
    let may = scopes.codes();
    let text = format!(
        "id       {id}\nscopes   {}\n{}",
        may.join(" "),
        issued.told()
    );
    let (member, value) = issued.member();
    let document = json!({ "id": id.to_string(), "holder": holder.to_string(), "label": args.label,
        "scopes": may, member: value });
    Output {
        json: args.common.json,
    }
    .print(&text, document)
}

async fn list(id: &str, common: &Common) -> anyhow::Result<()> {
    let holder: HolderId = id.parse().context("the holder's id")?;
    let office = open(common)?;
    let now = office.ledger_now().await?;
    let tokens = office.store.tokens(holder).await?;
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|row| {
            vec![
                row.id.to_string(),
                state(row, now).to_owned(),
                row.scopes.codes().join(" "),
                rfc3339(row.created),
                row.used_day.map(date).unwrap_or_default(),
                row.expires.map(rfc3339).unwrap_or_default(),
                row.label.clone(),
            ]
        })
        .collect();
    let documents: Vec<Value> = tokens
        .iter()
        .map(|row| {
            json!({ "id": row.id.to_string(), "state": state(row, now), "label": row.label,
                "scopes": row.scopes.codes(), "created_at": rfc3339(row.created),
                "used_on": row.used_day.map(date), "expires_at": row.expires.map(rfc3339),
                "revoked_at": row.revoked.map(rfc3339) })
        })
        .collect();
    let head = [
        "id", "state", "scopes", "created", "used", "expires", "label",
    ];
    let document = json!({ "holder": holder.to_string(), "tokens": documents });
    Output { json: common.json }.print(&table(&head, &rows), document)
}

fn state(row: &TokenRow, now: Timestamp) -> &'static str {
    match (row.revoked, row.expires) {
        (Some(_), _) => "revoked",
        (None, Some(expires)) if expires <= now => "expired",
        (None, Some(_) | None) => "valid",
    }
}

/// A day as a date.
fn date(day: i64) -> String {
    let mut text = rfc3339(Timestamp::from_unix_s(day.saturating_mul(DAY_S)));
    text.truncate("2026-01-01".len());
    text
}

async fn revoke(id: &str, token: &str, common: &Common) -> anyhow::Result<()> {
    let holder: HolderId = id.parse().context("the holder's id")?;
    let token: TokenId = token.parse().context("the token's id")?;
    let office = open(common)?;
    let now = office.clock.now();
    office.store.revoke_token(holder, token, now).await?;
    let text = format!("token  {token}: revoked");
    let document =
        json!({ "id": token.to_string(), "holder": holder.to_string(), "state": "revoked" });
    Output { json: common.json }.print(&text, document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        _add: Add,
    }

    #[test]
    fn a_day_is_a_date_and_a_token_ends_at_its_instant() {
        assert_eq!(date(20_454), "2026-01-01");
        let row = |expires: Option<i64>, revoked: Option<i64>| TokenRow {
            id: TokenId::new(1, [0; 10]),
            label: String::new(),
            scopes: Scopes::FULL,
            created: Timestamp::from_unix_s(0),
            used_day: None,
            expires: expires.map(Timestamp::from_unix_s),
            revoked: revoked.map(Timestamp::from_unix_s),
        };
        let now = Timestamp::from_unix_s(10);
        for (row, told) in [
            (row(None, None), "valid"),
            (row(Some(11), None), "valid"),
            (row(Some(10), None), "expired"),
            (row(Some(11), Some(1)), "revoked"),
        ] {
            assert_eq!(state(&row, now), told);
        }
        for (days, taken) in [
            (0, false),
            (1, true),
            (DAYS_MAX, true),
            (DAYS_MAX + 1, false),
        ] {
            let days = days.to_string();
            let words = [
                "add", "x", "--label", "till", "--full", "--data", ".", "--days", &days,
            ];
            assert_eq!(Flags::try_parse_from(words).is_ok(), taken, "{days}");
        }
        assert_eq!(scope("orders:read"), Ok(Scope::OrdersRead));
        assert!(scope("orders").unwrap_err().contains("webhooks:manage"));
    }
}
