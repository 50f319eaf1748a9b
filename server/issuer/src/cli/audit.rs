//! `audit`.

use super::{Common, Output, evidence::Evidence, open};
use crate::{app::Office, clock::rfc3339};
use ledger::{AuditCheck, AuditReport, CardId, FreezeCase};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Flags of `audit`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit code 1 when a promise of the books does not hold; each finding is one line.

Example:
  tegata-server audit --data ./issuer"
)]
pub struct Args {
    /// Freeze each card whose account does not agree with it; the others go on
    #[arg(long)]
    freeze: bool,
    /// Data folder and form of the output.
    #[command(flatten)]
    common: Option<Common>,
    /// What to do with the audit log.
    #[command(subcommand)]
    log: Option<super::log::Log>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let common = match (args.log, args.common) {
        (Some(log), _) => return super::log::run(log).await,
        (None, Some(common)) => common,
        (None, None) => anyhow::bail!("--data names the issuer's folder"),
    };
    let office = open(&common)?;
    let mut report = office.store.audit().await?;
    report
        .failures
        .extend(super::heads::findings(&office).await?);
    if args.freeze {
        freeze(&office, &report).await?;
    }
    let cases = super::reconcile::open_cases(&office).await?;
    let balanced = report.is_balanced();
    let mut lines: Vec<String> = report
        .totals
        .iter()
        .map(|t| {
            format!(
                "{}  holders {}  payable {}  cards {}  escrow {}  bank {}  loss {}  written-off {}  float {}",
                t.currency.code(),
                t.holders,
                t.payable,
                t.cards,
                t.escrow,
                t.bank,
                t.loss,
                t.written_off,
                t.float
            )
        })
        .collect();
    let findings = report.failures.iter();
    lines.extend(findings.map(|l| format!("{}  {}  {}", l.check.name(), l.subject, l.detail)));
    lines.extend(cases.iter().map(frozen_line));
    lines.push(format!(
        "ledger {}",
        if balanced { "balanced" } else { "NOT BALANCED" }
    ));
    let totals = totals(&report);
    let findings: Vec<Value> = report
        .failures
        .iter()
        .map(|l| json!({ "check": l.check.name(), "subject": l.subject, "detail": l.detail }))
        .collect();
    let frozen: Vec<Value> = cases.iter().map(frozen_document).collect();
    let document = json!({
        "balanced": balanced,
        "totals": totals,
        "findings": findings,
        "frozen_cards": frozen,
    });
    Output { json: common.json }.print(&lines.join("\n"), document)?;
    Ok(if balanced {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A frozen card for a person: what it said when it was frozen, or what the audit found.
fn frozen_line(case: &FreezeCase) -> String {
    let why = Evidence::of(case).line();
    format!("frozen-card  {}  {}  {why}", case.card, rfc3339(case.at))
}

fn frozen_document(case: &FreezeCase) -> Value {
    let evidence = Evidence::of(case);
    json!({
        "card": case.card.to_string(),
        "at": rfc3339(case.at),
        "kind": case.kind.code(),
        "in_flight": case.in_flight.map(|id| id.to_string()),
        "card_says": evidence.card_says(),
        "card_log": evidence.card_log(),
        "found": evidence.found(),
    })
}

/// Makes a case of each card that the audit names, and of nothing else.
async fn freeze(office: &Office, report: &AuditReport) -> anyhow::Result<()> {
    for line in &report.failures {
        let of_card = match line.check {
            AuditCheck::AccountIsItsTransfers | AuditCheck::CardIsProvenValue => {
                line.subject.parse::<CardId>().ok()
            }
            AuditCheck::RowsAreReadable
            | AuditCheck::SumIsZero
            | AuditCheck::EscrowIsOpenRemittances
            | AuditCheck::RemittanceHasItsTransfers
            | AuditCheck::DebitPaysForItsOrder
            | AuditCheck::NoAccountBelowZero
            | AuditCheck::Held
            | AuditCheck::PayoutHasItsTransfers
            | AuditCheck::InFlightIsCommitSent
            | AuditCheck::PoolIsItsCards
            | AuditCheck::RecoveringAwaitsItsCard
            | AuditCheck::InFlightIsNextInSequence
            | AuditCheck::LogIsChained
            | AuditCheck::LogMatchesLedger => None,
        };
        let Some(card) = of_card else { continue };
        if office.store.card(card).await?.is_none() {
            continue;
        }
        let found = format!("{}  {}", line.check.name(), line.detail);
        let now = office.clock.now();
        office
            .store
            .freeze_card(card, found.into_bytes(), now)
            .await?;
    }
    Ok(())
}

/// The totals of each currency, in minor units as text: a sum may exceed what JSON readers keep exact.
fn totals(report: &AuditReport) -> Vec<Value> {
    report
        .totals
        .iter()
        .map(|t| {
            json!({
                "currency": t.currency.code(),
                "holders": t.holders.to_string(),
                "payable": t.payable.to_string(),
                "cards": t.cards.to_string(),
                "escrow": t.escrow.to_string(),
                "bank": t.bank.to_string(),
                "in_doubt": t.in_doubt.to_string(),
                "held": t.held.to_string(),
                "loss_in_doubt": t.loss.to_string(),
                "written_off": t.written_off.to_string(),
                "float": t.float.to_string(),
            })
        })
        .collect()
}
