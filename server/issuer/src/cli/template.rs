//! `template list | withdraw`.

use super::{Common, Output, open, output::table};
use anyhow::{Context, bail};
use clap::Subcommand;
use data_encoding::HEXLOWER;
use serde_json::json;
use std::process::ExitCode;

/// Templates of programs that were given up.
#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// Show the template that new programs are made of, and the withdrawn ones
    #[command(after_help = "Example:\n  tegata-server template list --data ./issuer")]
    List {
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Withdraw a template for good: programs made of it run nowhere any more
    ///
    /// Terminals hear of it within a day, the server refuses such programs at once. Replace open
    /// orders with `order revise`, once a version with another template is installed.
    #[command(after_help = "Example:\n  tegata-server template withdraw 3f5a... --data ./issuer")]
    Withdraw {
        /// SHA-256 of the template, as `template list` or `tegata inspect` shows it
        hash: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
}

pub(super) async fn run(command: TemplateCommand) -> anyhow::Result<ExitCode> {
    match command {
        TemplateCommand::List { common } => list(&common).await?,
        TemplateCommand::Withdraw { hash, common } => withdraw(&hash, &common).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(common: &Common) -> anyhow::Result<()> {
    let office = open(common)?;
    let current = HEXLOWER.encode(&office.built_in_template().await?.hash());
    let withdrawn = office.store.withdrawn_templates().await?;
    let withdrawn: Vec<String> = withdrawn.iter().map(|hash| HEXLOWER.encode(hash)).collect();
    let mut rows = vec![vec![current.clone(), "new programs".to_owned()]];
    let gone = withdrawn
        .iter()
        .map(|hash| vec![hash.clone(), "withdrawn".to_owned()]);
    rows.extend(gone);
    let document = json!({ "current": current, "withdrawn": withdrawn });
    Output { json: common.json }.print(&table(&["template", "state"], &rows), document)
}

async fn withdraw(hash: &str, common: &Common) -> anyhow::Result<()> {
    let bytes = HEXLOWER.decode(hash.as_bytes()).ok();
    let Some(bytes) = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) else {
        bail!("`{hash}` is no template; `tegata-server template list` shows them")
    };
    let office = open(common)?;
    let now = office.clock.now();
    let withdrawn = office.store.withdraw_template(bytes, now).await;
    withdrawn.context("`tegata-server template list` shows the templates")?;
    let text = format!("withdrawn  {hash}");
    Output { json: common.json }.print(&text, json!({ "withdrawn": hash }))
}
