//! `backup`, `restore`.

use super::{Common, Output};
use crate::{
    backup::{self, Restored},
    clock::{Clock, SystemClock, SystemRandom, random},
};
use ledger::AuditReport;
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

/// Flags of `backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The server may run. The keys are no part of it: copy DATA/keys and DATA/issuer.json once, and
after each `keys rotate`. Exit code 1 when the books of the copy do not balance.

Example:
  tegata-server backup /backup/2026-11-21.db --data ./issuer"
)]
pub struct Backup {
    /// File to write; must not exist
    file: PathBuf,
    /// Data folder and form of the output.
    #[command(flatten)]
    common: Common,
}

/// Flags of `restore`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Stop the server first. What was there is kept in DATA/replaced-1. A restore that broke off is
given again.

Example:
  tegata-server restore /backup/2026-11-21.db --data ./issuer
  pg_restore --clean --dbname tegata 2026-11-21.dump && tegata-server restore --in-place --data ./issuer"
)]
pub struct Restore {
    /// File that `backup` wrote
    #[arg(required_unless_present = "in_place")]
    file: Option<PathBuf>,
    /// The ledger is in PostgreSQL, and its own means have put it back: begin its new life
    #[arg(long, conflicts_with = "file")]
    in_place: bool,
    /// Data folder and form of the output.
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: Backup) -> anyhow::Result<ExitCode> {
    let report = backup::backup(&args.common.data, &args.file).await?;
    let balanced = report.is_balanced();
    let mut lines = vec![format!(
        "{}  {} transfers, {}",
        args.file.display(),
        report.transfers,
        if balanced {
            "books balanced"
        } else {
            "books NOT BALANCED"
        }
    )];
    lines.extend(findings(&report));
    let document = json!({
        "file": args.file.to_string_lossy(),
        "transfers": report.transfers,
        "balanced": balanced,
    });
    let output = Output {
        json: args.common.json,
    };
    output.print(&lines.join("\n"), document)?;
    Ok(if balanced {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn findings(report: &AuditReport) -> impl Iterator<Item = String> {
    let line = |l: &ledger::AuditLine| format!("{}  {}  {}", l.check.name(), l.subject, l.detail);
    report.failures.iter().map(line)
}

pub(super) async fn restore(args: Restore) -> anyhow::Result<ExitCode> {
    let (incarnation, now) = (random(&SystemRandom), SystemClock::default().now());
    let data = &args.common.data;
    let done = match &args.file {
        Some(file) => backup::restore(data, file, incarnation, now).await?,
        None => backup::begin_in_place(data, incarnation, now).await?,
    };
    let output = Output {
        json: args.common.json,
    };
    // who was withdrawn since the backup decides again: whoever restores has to see it
    let store = super::open(&args.common)?.store.clone();
    let officers = store.officers().await?.into_iter();
    let active = officers.filter(|row| row.withdrawn.is_none());
    let active: Vec<String> = active.map(|row| row.name.to_string()).collect();
    let window = store.settle_window().await?;
    let text = format!(
        "{}\n\nofficers     {} (of the backup: withdraw again who left since)\nwindow       {window} s",
        told(&done),
        active.join(", ")
    );
    let mut document = document(&done);
    document["officers"] = json!(active);
    document["settle_window_s"] = json!(window);
    output.print(&text, document)?;
    Ok(ExitCode::SUCCESS)
}

fn told(done: &Restored) -> String {
    let kept = done.replaced.as_ref().map_or_else(String::new, |folder| {
        format!("before       kept in {}\n", folder.display())
    });
    format!(
        "transfers    {}\nrecovering   {} remittances, {} invitations\nto be read   {} cards\n{kept}\n\
         Start the server. A recovering remittance is not returned, sent or expired until its card is\n\
         read, a receipt of ours is shown (`order receipt FILE`), or two persons close it. A card is read\n\
         by its next visit with any mail.",
        done.report.transfers,
        done.waiting.recovering,
        done.waiting.invitations,
        done.waiting.cards
    )
}

fn document(done: &Restored) -> Value {
    json!({
        "transfers": done.report.transfers,
        "recovering": done.waiting.recovering,
        "recovering_invitations": done.waiting.invitations,
        "cards_to_read": done.waiting.cards,
        "replaced": done.replaced.as_ref().map(|folder| folder.to_string_lossy()),
    })
}
