//! `order list | show | cancel`.

use super::{Common, Output, open, output::table};
use crate::orders;
use anyhow::Context;
use clap::Subcommand;
use ledger::{Command, HolderId, Remittance, RemittanceId};
use serde_json::{Value, json};
use std::process::ExitCode;
use store::PAGE_MAX;

const UNKNOWN: &str = "no such order; `tegata-server order list --sender ID` shows a sender's";

/// Remittances.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// List a sender's orders, newest first
    #[command(after_help = "Example:\n  tegata-server order list --data ./issuer --sender 0192...")]
    List {
        /// Whose orders
        #[arg(long, value_name = "ID")]
        sender: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Show one order
    #[command(after_help = "Example:\n  tegata-server order show 0192... --data ./issuer --json")]
    Show {
        /// The order's id
        id: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Take an order back for its sender
    #[command(after_help = "Example:\n  tegata-server order cancel 0192... --data ./issuer")]
    Cancel {
        /// The order's id
        id: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
}

pub(super) async fn run(command: Order) -> anyhow::Result<ExitCode> {
    match command {
        Order::List { sender, common } => list(&sender, &common).await?,
        Order::Show { id, common } => show(&id, &common).await?,
        Order::Cancel { id, common } => cancel(&id, &common).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(sender: &str, common: &Common) -> anyhow::Result<()> {
    let sender: HolderId = sender.parse().context("--sender")?;
    let office = open(common)?;
    let mut orders: Vec<Remittance> = Vec::new();
    loop {
        let before = orders.last().map(|order| order.id);
        let page = office.store.orders(sender, before, PAGE_MAX).await?;
        let end = page.next.is_none();
        orders.extend(page.items);
        if end {
            break;
        }
    }
    let rows: Vec<Vec<String>> = orders
        .iter()
        .map(|o| {
            vec![
                o.id.to_string(),
                o.status.code().to_owned(),
                o.amount.to_string(),
                o.card_masked.clone(),
                o.mail.code().to_owned(),
            ]
        })
        .collect();
    let documents: Vec<Value> = orders.iter().map(document).collect();
    let text = table(&["order", "status", "amount", "card", "mail"], &rows);
    Output { json: common.json }.print(&text, json!({ "orders": documents }))
}

async fn show(id: &str, common: &Common) -> anyhow::Result<()> {
    let id: RemittanceId = id.parse().context("the order's id")?;
    let office = open(common)?;
    let order = office.store.remittance(id).await?.context(UNKNOWN)?;
    print(common, &order)
}

async fn cancel(id: &str, common: &Common) -> anyhow::Result<()> {
    let remittance: RemittanceId = id.parse().context("the order's id")?;
    let office = open(common)?;
    let order = office
        .store
        .remittance(remittance)
        .await?
        .context(UNKNOWN)?;
    let (sender, now) = (order.sender, office.clock.now());
    office
        .store
        .apply_one(Command::Cancel {
            remittance,
            sender,
            now,
        })
        .await?;
    let order = office
        .store
        .remittance(remittance)
        .await?
        .context(UNKNOWN)?;
    print(common, &order)
}

fn print(common: &Common, order: &Remittance) -> anyhow::Result<()> {
    let view = orders::view(order);
    let text = format!(
        "order    {}\nstatus   {}\namount   {}\nfrom     {}\nto card  {}\nordered  {}\nuntil    {}\nmail     {}",
        view.id,
        view.status,
        order.amount,
        order.sender_name,
        view.recipient_masked,
        view.created_at,
        view.expires_at,
        view.mail
    );
    Output { json: common.json }.print(&text, json!({ "order": document(order) }))
}

fn document(order: &Remittance) -> Value {
    let mut document = serde_json::to_value(orders::view(order)).unwrap_or_default();
    if let Value::Object(fields) = &mut document {
        fields.insert("sender".to_owned(), json!(order.sender.to_string()));
        fields.insert("card".to_owned(), json!(order.card.to_string()));
    }
    document
}
