//! `order list | show | cancel | revise | receipt`.

use super::{Common, Output, open, output::table};
use crate::{files, invitations::Ordered, orders, programs, shown};
use anyhow::Context;
use clap::Subcommand;
use ledger::{Command, HolderId, RemittanceId};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use store::PAGE_MAX;
use wire::exchange::RECEIPT_LEN_MAX;

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
    /// Replace an open order's program and mail the new one to the recipient's present address
    ///
    /// For a corrected address, or when the program's key or template was given up. Earlier
    /// programs of this order run nowhere any more. While a card of the sender has still to pay
    /// for it, the program that is replaced is the sender's.
    #[command(after_help = "Example:\n  tegata-server order revise 0192... --data ./issuer")]
    Revise {
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
    /// Take in a receipt of ours: after a restore it ends the waiting of its order
    #[command(
        after_help = "The recipient's terminal keeps receipts; `tegata receipt` lists them. Only a receipt that this
issuer signed for this very order counts, and the card has to confirm it at its next visit.

Example:
  tegata-server order receipt ./from-hanako.receipt --data ./issuer"
    )]
    Receipt {
        /// File with the receipt
        file: PathBuf,
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
        Order::Revise { id, common } => revise(&id, &common).await?,
        Order::Receipt { file, common } => receipt(&file, &common).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(sender: &str, common: &Common) -> anyhow::Result<()> {
    let sender: HolderId = sender.parse().context("--sender")?;
    let office = open(common)?;
    let mut orders: Vec<Ordered> = Vec::new();
    loop {
        let before = orders.last().map(Ordered::id);
        let (items, next) = Ordered::list(&office, sender, before, PAGE_MAX).await?;
        let end = next.is_none();
        orders.extend(items);
        if end {
            break;
        }
    }
    let rows: Vec<Vec<String>> = orders
        .iter()
        .map(|o| {
            let view = o.view();
            vec![
                view.id,
                view.status,
                o.amount().to_string(),
                view.recipient_masked,
                view.mail,
            ]
        })
        .collect();
    let documents: Vec<Value> = orders.iter().map(document).collect();
    let text = table(&["order", "status", "amount", "to", "mail"], &rows);
    Output { json: common.json }.print(&text, json!({ "orders": documents }))
}

async fn show(id: &str, common: &Common) -> anyhow::Result<()> {
    let id: RemittanceId = id.parse().context("the order's id")?;
    let office = open(common)?;
    let order = Ordered::find(&office, id).await?.context(UNKNOWN)?;
    print(common, &order)
}

async fn cancel(id: &str, common: &Common) -> anyhow::Result<()> {
    let remittance: RemittanceId = id.parse().context("the order's id")?;
    let office = open(common)?;
    let order = Ordered::find(&office, remittance).await?.context(UNKNOWN)?;
    let (sender, now) = (order.sender(), office.clock.now());
    office
        .store
        .apply_one(Command::Cancel {
            remittance,
            sender,
            now,
        })
        .await?;
    let order = Ordered::find(&office, remittance).await?.context(UNKNOWN)?;
    print(common, &order)
}

async fn receipt(file: &Path, common: &Common) -> anyhow::Result<()> {
    let bytes = files::read_at_most(file, RECEIPT_LEN_MAX)
        .with_context(|| format!("{}: no receipt", file.display()))?;
    let office = open(common)?;
    let id = shown::take(&office, bytes)
        .await
        .with_context(|| file.display().to_string())?;
    let order = Ordered::find(&office, id).await?.context(UNKNOWN)?;
    print(common, &order)
}

async fn revise(id: &str, common: &Common) -> anyhow::Result<()> {
    let id: RemittanceId = id.parse().context("the order's id")?;
    let office = open(common)?;
    let order = office.store.remittance(id).await?.context(UNKNOWN)?;
    // while a card has still to pay for it, the program that counts is its debit's
    let order = match orders::waits_for_its_card(&order) {
        true => office.store.debit_of(id).await?.context(UNKNOWN)?,
        false => order,
    };
    let template = office.built_in_template().await?;
    programs::revise(&office, &template, &order).await?;
    let order = Ordered::find(&office, id).await?.context(UNKNOWN)?;
    print(common, &order)
}

fn print(common: &Common, order: &Ordered) -> anyhow::Result<()> {
    let view = order.view();
    let text = format!(
        "order    {}\nstatus   {}\namount   {}\nfrom     {}\nto       {}\nordered  {}\nuntil    {}\nmail     {}",
        view.id,
        view.status,
        order.amount(),
        order.sender_name(),
        view.recipient_masked,
        view.created_at,
        view.expires_at,
        view.mail
    );
    Output { json: common.json }.print(&text, json!({ "order": document(order) }))
}

fn document(order: &Ordered) -> Value {
    let mut document = serde_json::to_value(order.view()).unwrap_or_default();
    if let Value::Object(fields) = &mut document {
        fields.insert("sender".to_owned(), json!(order.sender().to_string()));
        if let Ordered::Remittance(order) = order {
            fields.insert("card".to_owned(), json!(order.card.to_string()));
            fields.insert("revision".to_owned(), json!(order.revision));
        }
    }
    document
}
