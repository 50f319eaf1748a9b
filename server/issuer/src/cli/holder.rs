//! `holder add | list | bank | email | token`.

use super::{
    Common, Output, open,
    output::table,
    token::{Issued, TokenFile},
};
use crate::{app::Office, clock::id_parts};
use anyhow::{Context, ensure};
use clap::Subcommand;
use ledger::{Holder as Row, HolderId, Language, rules::SENDER_NAME_CHARS_MAX};
use serde_json::{Value, json};
use std::process::ExitCode;
use store::{NewHolder, PAGE_MAX};

/// People and offices that hold money.
#[derive(Debug, Subcommand)]
pub enum Holder {
    /// Add a holder with an empty account; prints the bearer token, once
    #[command(after_help = "Examples:
  tegata-server holder add --data ./issuer --name 'Aiko Sato'
  tegata-server holder add --data ./issuer --name 'Ben' --email ben@example.org --language ja")]
    Add(Add),
    /// Name the bank account that a holder's orders may be paid from, or none
    #[command(after_help = "Examples:
  tegata-server holder bank 0192... --data ./issuer --account 0001-1234567
  tegata-server holder bank 0192... --data ./issuer --none")]
    Bank(BankAccount),
    /// Verify an address by which money can be sent to a holder, or choose its card
    #[command(after_help = "Examples:
  tegata-server holder email 0192... --data ./issuer --set ben@example.org
  tegata-server holder email 0192... --data ./issuer --address ben@example.org --verify ABCD-EFGH-IJKL-MNOP
  tegata-server holder email 0192... --data ./issuer --address ben@example.org --default-card 0193...
  tegata-server holder email 0192... --data ./issuer --history")]
    Email(super::address::Email),
    /// Bearer tokens of a holder
    #[command(subcommand)]
    Token(super::holder_token::HolderToken),
    /// List all holders with their balances
    #[command(after_help = "Example:\n  tegata-server holder list --data ./issuer --json")]
    List {
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
}

/// Flags of `holder add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Where the token goes.
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    common: Common,
    /// Name that recipients see: 1 to 64 characters
    #[arg(long)]
    name: String,
    /// Where programs for this holder's card are mailed
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Language of mails: en or ja
    #[arg(long, default_value = "en", value_name = "TAG")]
    language: String,
}

/// Flags of `holder bank`.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, args = ["account", "none"])]
pub struct BankAccount {
    /// Whose account
    id: String,
    #[command(flatten)]
    common: Common,
    /// Its number at the bank
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
    /// Pay no more orders from a bank; those that are placed keep theirs
    #[arg(long)]
    none: bool,
}

pub(super) async fn run(command: Holder) -> anyhow::Result<ExitCode> {
    match command {
        Holder::Add(args) => add(args).await?,
        Holder::Bank(args) => bank(args).await?,
        Holder::Email(args) => super::address::run(args).await?,
        Holder::Token(command) => super::holder_token::run(command).await?,
        Holder::List { common } => list(&common).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(args: Add) -> anyhow::Result<()> {
    ensure!(
        (1..=SENDER_NAME_CHARS_MAX).contains(&args.name.chars().count())
            && !args.name.chars().any(wire::text::is_deceiving),
        "--name: 1 to {SENDER_NAME_CHARS_MAX} characters, none of them a control character"
    );
    let language = Language::from_code(&args.language)
        .with_context(|| format!("language `{}` is neither en nor ja", args.language))?;
    if let Some(email) = &args.email {
        ensure!(is_address(email), "`{email}` is no mail address");
    }
    let office = open(&args.common)?;
    let now = office.clock.now();
    let (ms, bits) = id_parts(now, &*office.random);
    let id = HolderId::new(ms, bits);
    let issued = args.token.issue(&args.common.data, &*office.random)?;
    // an interrupted command has added the holder, and is given again with its token file
    let before = office.store.bearer(issued.hash, now).await?;
    if let Some(found) = before.map(|bearer| bearer.holder) {
        ensure!(
            found.name == args.name,
            "--token-file: it holds the token of another holder"
        );
        return print_added(found.id, &args.name, &issued, args.common.json);
    }
    let holder = NewHolder {
        id,
        name: args.name.clone(),
        email: args.email,
        language,
        currency: office.config.currency,
        token: Some(issued.hash),
        now,
    };
    office.store.add_holder(holder).await?;
    print_added(id, &args.name, &issued, args.common.json)
}

fn print_added(id: HolderId, name: &str, issued: &Issued, json: bool) -> anyhow::Result<()> {
    let text = format!("holder   {id}\n{}", issued.told());
    let (member, value) = issued.member();
    let document = json!({ "holder": id.to_string(), "name": name, member: value });
    Output { json }.print(&text, document)
}

async fn bank(args: BankAccount) -> anyhow::Result<()> {
    let holder: HolderId = args.id.parse().context("the holder's id")?;
    let office = open(&args.common)?;
    office
        .store
        .set_bank_account(holder, args.account.clone())
        .await?;
    let text = format!(
        "holder  {holder}\nbank    {}",
        args.account.as_deref().unwrap_or("none")
    );
    let document = json!({ "holder": holder.to_string(), "bank_account": args.account });
    Output {
        json: args.common.json,
    }
    .print(&text, document)
}

/// A rough look: one `@` between printable ASCII without blanks; the mail server knows the rest.
fn is_address(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        })
}

/// Every holder, page by page.
pub(super) async fn all(office: &Office) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.id);
        let page = office.store.holders(after, PAGE_MAX).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

async fn list(common: &Common) -> anyhow::Result<()> {
    let office = open(common)?;
    let holders = all(&office).await?;
    let rows: Vec<Vec<String>> = holders
        .iter()
        .map(|h| {
            vec![
                h.id.to_string(),
                h.balance.to_string(),
                h.language.code().to_owned(),
                h.email.clone().unwrap_or_default(),
                h.name.clone(),
            ]
        })
        .collect();
    let documents: Vec<Value> = holders
        .iter()
        .map(|h| {
            json!({
                "holder": h.id.to_string(),
                "name": h.name,
                "email": h.email,
                "language": h.language.code(),
                "balance_minor": h.balance.minor(),
                "currency": h.balance.currency().code(),
            })
        })
        .collect();
    let text = table(&["holder", "balance", "language", "email", "name"], &rows);
    Output { json: common.json }.print(&text, json!({ "holders": documents }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_at_sign_and_no_line_breaks() {
        for good in ["a@b", "aiko.sato+pay@mail.example"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\r\nBcc: x@y"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
