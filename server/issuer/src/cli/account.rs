//! `account fund | list`.

use super::{Common, Output, holder, open, output::table};
use crate::clock::id_parts;
use anyhow::Context;
use clap::Subcommand;
use ledger::{Account as Ledger, AccountRef, CardAccounts, Command, HolderId, TransferId};
use money::{Amount, Money};
use serde_json::{Value, json};
use std::process::ExitCode;
use store::PAGE_MAX;

/// Money of the holders.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Credit a holder's account against money that the bank received
    #[command(after_help = "Examples:
  tegata-server account fund --data ./issuer --holder 0192... --amount 10000
  tegata-server account fund --data ./issuer --holder 0192... --amount 12.50 --transfer 0192...")]
    Fund(Fund),
    /// List the accounts: the float, the bank, holders, cards (escrow is a total of `audit`)
    #[command(after_help = "Example:\n  tegata-server account list --data ./issuer")]
    List {
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
}

/// Flags of `account fund`.
#[derive(Debug, clap::Args)]
pub struct Fund {
    #[command(flatten)]
    common: Common,
    /// Whose account
    #[arg(long, value_name = "ID")]
    holder: String,
    /// How much, in major units with exactly the currency's decimals
    #[arg(long, allow_negative_numbers = true)]
    amount: String,
    /// Id of this transfer, to repeat a command safely [default: a new one]
    #[arg(long, value_name = "ID")]
    transfer: Option<String>,
}

pub(super) async fn run(command: Account) -> anyhow::Result<ExitCode> {
    match command {
        Account::Fund(args) => fund(args).await?,
        Account::List { common } => list(&common).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn fund(args: Fund) -> anyhow::Result<()> {
    let holder: HolderId = args.holder.parse().context("--holder")?;
    let office = open(&args.common)?;
    let amount = Amount::parse(&args.amount, office.config.currency).context("--amount")?;
    let now = office.clock.now();
    let id = match &args.transfer {
        Some(text) => {
            let id: HolderId = text.parse().context("--transfer")?;
            TransferId::from_bytes(id.to_bytes())?
        }
        None => {
            let (ms, bits) = id_parts(now, &*office.random);
            TransferId::new(ms, bits)
        }
    };
    let (from, to) = (AccountRef::Float, AccountRef::Holder(holder));
    office
        .store
        .apply_one(Command::Transfer {
            id,
            from,
            to,
            amount,
            now,
        })
        .await?;
    let balance = office
        .store
        .balance(Ledger::Holder(holder))
        .await?
        .context("the account")?;
    let text = format!("transfer  {id}\namount    {amount}\nbalance   {balance}");
    let document = json!({
        "transfer": id.to_string(),
        "holder": holder.to_string(),
        "amount_minor": amount.minor(),
        "balance_minor": balance.minor(),
        "currency": balance.currency().code(),
    });
    Output {
        json: args.common.json,
    }
    .print(&text, document)
}

async fn list(common: &Common) -> anyhow::Result<()> {
    let office = open(common)?;
    let mut accounts: Vec<(String, String, Money)> = Vec::new();
    let float = office
        .store
        .balance(Ledger::Float(office.config.currency))
        .await?;
    accounts.extend(float.map(|money| ("float".to_owned(), String::new(), money)));
    let bank = office
        .store
        .balance(Ledger::Bank(office.config.currency))
        .await?;
    accounts.extend(bank.map(|money| ("bank".to_owned(), String::new(), money)));
    for holder in holder::all(&office).await? {
        accounts.push(("holder".to_owned(), holder.id.to_string(), holder.balance));
    }
    let mut after = None;
    loop {
        let cards = office.store.cards(after, PAGE_MAX).await?;
        let Some(last) = cards.last() else { break };
        after = Some(last.id);
        for card in &cards {
            let proven = Money::new(card.proven.value, card.currency);
            // a shown receipt is ahead of what the card has proved
            let money = match card.reread {
                true => office.store.balance(Ledger::Card(card.id)).await?,
                false => None,
            };
            let money = money.unwrap_or(proven);
            accounts.push(("card".to_owned(), card.id.to_string(), money));
        }
    }
    if office.store.card_accounts().await? == CardAccounts::Pooled {
        let pool = Ledger::Pool(office.config.currency);
        let money = office.store.balance(pool).await?;
        accounts.extend(money.map(|money| ("pool".to_owned(), String::new(), money)));
    }
    let rows: Vec<Vec<String>> = accounts
        .iter()
        .map(|(kind, id, money)| vec![kind.clone(), money.to_string(), id.clone()])
        .collect();
    let documents: Vec<Value> = accounts
        .iter()
        .map(|(kind, id, money)| {
            json!({
                "kind": kind,
                "id": id,
                "balance_minor": money.minor(),
                "currency": money.currency().code(),
            })
        })
        .collect();
    let text = table(&["kind", "balance", "id"], &rows);
    Output { json: common.json }.print(&text, json!({ "accounts": documents }))
}
