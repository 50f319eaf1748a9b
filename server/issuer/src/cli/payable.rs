//! `payable list | send`.

use super::{Common, Output, open, output::table};
use crate::{
    app::{App, Settings},
    clock::id_parts,
    orders::{self, NewOrder},
};
use anyhow::{Context, ensure};
use clap::Subcommand;
use ledger::{Account, HolderId, IdempotencyKey, RemittanceId};
use serde_json::{Value, json};
use std::process::ExitCode;
use store::{PAGE_MAX, Payable as Row};
use wire::api::{CreateOrder, FundFrom};

/// What the issuer owes holders for lost cards.
#[derive(Debug, Subcommand)]
pub enum Payable {
    /// List what is owed, and to whom
    #[command(after_help = "Example:\n  tegata-server payable list --data ./issuer")]
    List {
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Send what is owed to another card of the holder, by an order like any other
    #[command(
        after_help = "The server mails it; if it is not picked up in time it is owed again.

Example:
  tegata-server payable send 0192... --to 4539148803436467 --data ./issuer"
    )]
    Send(Send),
}

/// Flags of `payable send`.
#[derive(Debug, clap::Args)]
pub struct Send {
    /// Whom it is owed to
    holder: String,
    #[command(flatten)]
    common: Common,
    /// Number of the holder's card
    #[arg(long, value_name = "DIGITS")]
    to: String,
    /// How much, in minor units [default: all that is owed]
    #[arg(long, value_name = "MINOR")]
    minor: Option<i64>,
    /// With the same amount, the same key is one order, however often it is given [default: a new one]
    #[arg(long, requires = "minor")]
    key: Option<String>,
}

pub(super) async fn run(command: Payable) -> anyhow::Result<ExitCode> {
    match command {
        Payable::List { common } => list(&common).await?,
        Payable::Send(args) => send(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that is owed, page by page; those who are owed nothing left out.
pub(super) async fn all(office: &crate::app::Office) -> anyhow::Result<Vec<Row>> {
    let (mut rows, mut after): (Vec<Row>, _) = (Vec::new(), None);
    loop {
        let page = office.store.payables(after, PAGE_MAX).await?;
        let Some(last) = page.last() else {
            return Ok(rows);
        };
        after = Some(last.holder);
        rows.extend(page.iter().filter(|row| row.balance.minor() > 0));
    }
}

async fn list(common: &Common) -> anyhow::Result<()> {
    let office = open(common)?;
    let owed = all(&office).await?;
    let rows: Vec<Vec<String>> = owed
        .iter()
        .map(|row| vec![row.holder.to_string(), row.balance.to_string()])
        .collect();
    let documents: Vec<Value> = owed
        .iter()
        .map(|row| {
            json!({
                "holder": row.holder.to_string(),
                "balance_minor": row.balance.minor(),
                "currency": row.balance.currency().code(),
            })
        })
        .collect();
    let text = table(&["holder", "owed"], &rows);
    Output { json: common.json }.print(&text, json!({ "payable": documents }))
}

async fn send(args: Send) -> anyhow::Result<()> {
    let id: HolderId = args.holder.parse().context("the holder's id")?;
    let office = open(&args.common)?;
    let holder = office.store.holder(id).await?.context("no such holder")?;
    let owed = office.store.balance(Account::Payable(id)).await?;
    let owed =
        owed.context("nothing was ever owed to this holder; `tegata-server payable list`")?;
    let minor = args.minor.unwrap_or_else(|| owed.minor());
    ensure!(
        minor > 0,
        "nothing is owed to this holder; `tegata-server payable list`"
    );
    let key = match args.key {
        Some(key) => key,
        None => {
            let (ms, bits) = id_parts(office.clock.now(), &*office.random);
            RemittanceId::new(ms, bits).to_string()
        }
    };
    let key = IdempotencyKey::new(&key).context("--key")?;
    // the server that mails the order has its own settings; only the template counts here
    let settings = Settings {
        public_origin: String::new(),
        trusted_hops: 0,
        requests_per_minute: 0,
        mail_from: String::new(),
        bank: false,
        require_standby: false,
        webhooks: crate::webhooks::address::Reach::Public,
    };
    let app = App::new(office, settings).await?;
    let order = CreateOrder {
        recipient_card: Some(args.to),
        recipient_email: None,
        amount_minor: minor,
        currency: owed.currency().code().to_owned(),
        note: None,
        expires_in_s: None,
        fund_from: FundFrom::Account,
        from_card: None,
    };
    let order = NewOrder::check(&app, order).map_err(crate::http::problem::Refused::into_error)?;
    let placed = orders::send_payable(&app, &holder, key, order).await?;
    let left = app.office.store.balance(Account::Payable(id)).await?;
    let left = left.context("the account")?;
    ensure!(left.minor() >= 0, "the account is below zero");
    let text = format!(
        "order   {}\namount  {}\nowed    {left}\n\nThe server mails it to the holder.",
        placed.id, placed.amount
    );
    let document = json!({
        "order": placed.id.to_string(),
        "amount_minor": placed.amount.minor(),
        "owed_minor": left.minor(),
        "currency": left.currency().code(),
    });
    Output {
        json: args.common.json,
    }
    .print(&text, document)
}
