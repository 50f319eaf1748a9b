//! `webhook add | list | remove | secret | enable | dead | send-again`.

use super::{Common, Output, open, output::table};
use crate::{
    app::Office,
    clock::{id_parts, rfc3339},
    webhooks::{
        address::{Reach, Target},
        secret_text,
    },
};
use anyhow::Context;
use clap::Subcommand;
use ledger::{HolderId, WebhookId};
use serde_json::{Value, json};
use std::process::ExitCode;
use store::{DeadLetter, EventId, NewWebhook, PAGE_MAX, WebhookRow};

/// Where holders' programs are told what happens to their orders.
#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Register an endpoint of a holder; prints its secret, once
    #[command(after_help = "Example:
  tegata-server webhook add 0192... --url https://shop.example/tegata --data ./issuer")]
    Add {
        /// Whose orders it hears of
        holder: String,
        /// Where to
        #[arg(long)]
        url: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// List the endpoints of a holder
    #[command(after_help = "Example:\n  tegata-server webhook list 0192... --data ./issuer")]
    List {
        /// Whose
        holder: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Forget an endpoint, with what is on its way to it
    #[command(after_help = "Example:\n  tegata-server webhook remove 0193... --data ./issuer")]
    Remove(One),
    /// Give an endpoint another secret, which is printed once; for a day the one before signs too
    #[command(after_help = "Example:\n  tegata-server webhook secret 0193... --data ./issuer")]
    Secret(One),
    /// Let an endpoint listen again that was gone or had too many dead letters
    #[command(after_help = "Example:\n  tegata-server webhook enable 0193... --data ./issuer")]
    Enable(One),
    /// List the events that an endpoint did not take
    #[command(after_help = "Example:\n  tegata-server webhook dead 0193... --data ./issuer")]
    Dead(One),
    /// Send dead letters again: one, or all of an endpoint
    #[command(after_help = "Examples:
  tegata-server webhook send-again 0193... evt_3b6a... --data ./issuer
  tegata-server webhook send-again 0193... --all --data ./issuer")]
    SendAgain {
        /// Which endpoint
        webhook: String,
        /// Which event
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        event: Option<String>,
        /// Every dead letter of the endpoint
        #[arg(long)]
        all: bool,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
}

/// One endpoint.
#[derive(Debug, clap::Args)]
pub struct One {
    /// Which endpoint
    webhook: String,
    #[command(flatten)]
    common: Common,
}

impl One {
    fn open(&self) -> anyhow::Result<(Office, WebhookId, Output)> {
        let id = self.webhook.parse().context("the endpoint's id")?;
        let json = self.common.json;
        Ok((open(&self.common)?, id, Output { json }))
    }
}

pub(super) async fn run(command: Webhook) -> anyhow::Result<ExitCode> {
    match command {
        Webhook::Add {
            holder,
            url,
            common,
        } => add(&holder, url, &common).await?,
        Webhook::List { holder, common } => list(&holder, &common).await?,
        Webhook::Remove(one) => {
            let (office, id, output) = one.open()?;
            office.store.remove_webhook(id, office.clock.now()).await?;
            print(&output, id, "removed")?;
        }
        Webhook::Secret(one) => {
            let (office, id, output) = one.open()?;
            office.store.next_secret(id, office.clock.now()).await?;
            let row = office.store.webhook(id).await?;
            print_secret(&office, &row.context("the endpoint")?, &output)?;
        }
        Webhook::Enable(one) => {
            let (office, id, output) = one.open()?;
            office.store.enable_webhook(id, office.clock.now()).await?;
            print(&output, id, "enabled")?;
        }
        Webhook::Dead(one) => {
            let (office, id, output) = one.open()?;
            dead(&all_dead(&office, id).await?, id, &output)?;
        }
        Webhook::SendAgain {
            webhook,
            event,
            all: _,
            common,
        } => {
            let (office, id, output) = One { webhook, common }.open()?;
            let events = match event {
                Some(event) => vec![event.parse::<EventId>()?],
                None => {
                    let letters = all_dead(&office, id).await?;
                    letters.iter().map(|letter| letter.event).collect()
                }
            };
            let now = office.ledger_now().await?;
            for event in &events {
                office.store.send_again(id, *event, now).await?;
            }
            let said = format!("webhook  {id}: {} wait to be sent again", events.len());
            let document = json!({ "webhook": id.to_string(), "queued": events.len() });
            output.print(&said, document)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(output: &Output, id: WebhookId, done: &str) -> anyhow::Result<()> {
    let document = json!({ "webhook": id.to_string(), "done": done });
    output.print(&format!("webhook  {id}: {done}"), document)
}

fn print_secret(office: &Office, row: &WebhookRow, output: &Output) -> anyhow::Result<()> {
    let secret = secret_text(&office.keys, row.id, row.secret);
    let until = row.before_until.map(rfc3339);
    let also = until.as_ref().map_or_else(String::new, |until| {
        format!("\nThe secret before signs too until {until}.")
    });
    let text = format!(
        "webhook  {}\nsecret   {}\n\nThe secret is shown this once.{also}",
        row.id,
        secret.as_str()
    );
    let document = json!({ "webhook": row.id.to_string(), "url": row.url, "secret": secret.as_str(),
        "before_until": until });
    output.print(&text, document)
}

async fn add(holder: &str, url: String, common: &Common) -> anyhow::Result<()> {
    let holder: HolderId = holder.parse().context("the holder's id")?;
    // what the running server may reach is its own flag: it decides at each attempt
    Target::read(&url, Reach::Everywhere).map_err(|why| anyhow::anyhow!("--url: {why}"))?;
    let office = open(common)?;
    let now = office.clock.now();
    let (ms, bits) = id_parts(now, &*office.random);
    let id = WebhookId::new(ms, bits);
    let webhook = NewWebhook {
        id,
        holder,
        url,
        now,
    };
    office.store.add_webhook(webhook).await?;
    let row = office.store.webhook(id).await?.context("the endpoint")?;
    print_secret(&office, &row, &Output { json: common.json })
}

async fn list(holder: &str, common: &Common) -> anyhow::Result<()> {
    let holder: HolderId = holder.parse().context("the holder's id")?;
    let office = open(common)?;
    let found = office.store.webhooks(holder).await?;
    let state = |row: &WebhookRow| row.disabled.map_or("listens", store::Disabled::code);
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|row| {
            vec![
                row.id.to_string(),
                state(row).to_owned(),
                row.queued.to_string(),
                row.dead.to_string(),
                row.url.clone(),
            ]
        })
        .collect();
    let documents: Vec<Value> = found
        .iter()
        .map(|row| {
            json!({ "webhook": row.id.to_string(), "url": row.url, "state": state(row),
                "queued": row.queued, "dead": row.dead, "created_at": rfc3339(row.created) })
        })
        .collect();
    let text = table(&["webhook", "state", "queued", "dead", "url"], &rows);
    let document = json!({ "holder": holder.to_string(), "webhooks": documents });
    Output { json: common.json }.print(&text, document)
}

/// Every dead letter, page by page.
async fn all_dead(office: &Office, id: WebhookId) -> anyhow::Result<Vec<DeadLetter>> {
    let mut found: Vec<DeadLetter> = Vec::new();
    loop {
        let after = found.last().map(|letter| letter.event);
        let page = office.store.dead_letters(id, after, PAGE_MAX).await?;
        if page.is_empty() {
            return Ok(found);
        }
        found.extend(page);
    }
}

fn dead(letters: &[DeadLetter], id: WebhookId, output: &Output) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = letters
        .iter()
        .map(|letter| {
            vec![
                letter.event.to_string(),
                rfc3339(letter.at),
                letter.what.clone(),
                letter.error.clone(),
            ]
        })
        .collect();
    let documents: Vec<Value> = letters
        .iter()
        .map(|letter| {
            json!({ "event": letter.event.to_string(), "at": rfc3339(letter.at), "type": letter.what,
                "attempts": letter.attempts, "error": letter.error })
        })
        .collect();
    let text = table(&["event", "at", "type", "error"], &rows);
    let document = json!({ "webhook": id.to_string(), "dead": documents });
    output.print(&text, document)
}
