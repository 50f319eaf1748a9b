//! `audit`.

use super::{Common, Output, open};
use crate::{app::Office, clock::rfc3339};
use card::purse::LogRecord;
use data_encoding::HEXLOWER;
use ledger::{AuditCheck, AuditReport, CardId, FreezeCase};
use redemption::{evidence, evidence_log};
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
    let report = office.store.audit().await?;
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

/// A frozen card for a person: what it said when it was frozen.
fn frozen_line(case: &FreezeCase) -> String {
    let said = evidence(&case.evidence).map_or_else(
        || HEXLOWER.encode(&case.evidence),
        |said| {
            format!(
                "card says remittance {} number {} payment {} value {}",
                HEXLOWER.encode(&said.id),
                said.remittance_seq,
                said.payment_seq,
                said.value
            )
        },
    );
    format!("frozen-card  {}  {}  {said}", case.card, rfc3339(case.at))
}

fn frozen_document(case: &FreezeCase) -> Value {
    let said = evidence(&case.evidence).map(|said| {
        json!({
            "remittance": HEXLOWER.encode(&said.id),
            "remittance_seq": said.remittance_seq,
            "payment_seq": said.payment_seq,
            "value_minor": said.value,
        })
    });
    json!({
        "card": case.card.to_string(),
        "at": rfc3339(case.at),
        "in_flight": case.in_flight.map(|id| id.to_string()),
        "card_says": said,
        "card_log": evidence_log(&case.evidence).into_iter().map(log_document).collect::<Value>(),
    })
}

/// One record of a card's log; `null` for one that is of no known form.
fn log_document(record: Option<LogRecord>) -> Value {
    record.map_or(Value::Null, |record| {
        json!({
            "kind": record.kind.byte(),
            "id": HEXLOWER.encode(&record.id),
            "amount_minor": record.amount,
            "balance_after_minor": record.balance_after,
            "day": record.day,
        })
    })
}

/// Makes a case of each card that the audit names, and of nothing else.
async fn freeze(office: &Office, report: &AuditReport) -> anyhow::Result<()> {
    for line in &report.failures {
        let of_card = match line.check {
            AuditCheck::AccountIsItsTransfers | AuditCheck::CardIsProvenValue => {
                line.subject.parse::<CardId>().ok()
            }
            _ => None,
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
