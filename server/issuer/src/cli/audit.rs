//! `audit`.

use super::{Common, Output, open};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Flags of `audit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 1 when a promise of the books does not hold; each finding is one line.

Example:
  tegata-server audit --data ./issuer"
)]
pub struct Args {
    /// Data folder and form of the output.
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let office = open(&args.common)?;
    let report = office.store.audit().await?;
    let cases = office.store.freeze_cases(store::PAGE_MAX).await?;
    let balanced = report.is_balanced();
    let mut lines: Vec<String> = report
        .totals
        .iter()
        .map(|t| {
            format!(
                "{}  holders {}  cards {}  escrow {}  float {}",
                t.currency.code(),
                t.holders,
                t.cards,
                t.escrow,
                t.float
            )
        })
        .collect();
    let findings = report.failures.iter();
    lines.extend(findings.map(|l| format!("{}  {}  {}", l.check.name(), l.subject, l.detail)));
    lines.extend(
        cases
            .iter()
            .map(|case| format!("frozen-card  {}", case.card)),
    );
    lines.push(format!(
        "ledger {}",
        if balanced { "balanced" } else { "NOT BALANCED" }
    ));
    let totals: Vec<Value> = report
        .totals
        .iter()
        .map(|t| {
            json!({
                "currency": t.currency.code(),
                "holders": t.holders.to_string(),
                "cards": t.cards.to_string(),
                "escrow": t.escrow.to_string(),
                "float": t.float.to_string(),
            })
        })
        .collect();
    let findings: Vec<Value> = report
        .failures
        .iter()
        .map(|l| json!({ "check": l.check.name(), "subject": l.subject, "detail": l.detail }))
        .collect();
    let frozen: Vec<String> = cases.iter().map(|case| case.card.to_string()).collect();
    let document = json!({
        "balanced": balanced,
        "totals": totals,
        "findings": findings,
        "frozen_cards": frozen,
    });
    Output {
        json: args.common.json,
    }
    .print(&lines.join("\n"), document)?;
    Ok(if balanced {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
