//! `reconcile`, `reconcile close`, `reconcile resolve`.

mod report;

use super::{Common, Output, officer::Decision, open};
use crate::{
    app::Office,
    clock::id_parts,
    examine::{self, examine},
};
use anyhow::{Context, bail, ensure};
use card_reader::ReaderSpec;
use clap::{Args as ClapArgs, Subcommand};
use ledger::{
    CloseInDoubt, Command, FreezeCase, Outcome, RemittanceId, Resolution, ResolveCase,
    ReturnReason, Status, TransferId, Uid,
};
use serde_json::json;
use std::process::ExitCode;
use store::PAGE_MAX;

/// Flags of `reconcile`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "What was issued against where it is, card by card, and every disagreement with its
evidence and the one safe next action. Exit code 1 while there is one.

Examples:
  tegata-server reconcile --data ./issuer
  tegata-server reconcile close 0192... --by alice --and bob --reason 'card destroyed'"
)]
pub struct Args {
    /// Data folder and form of the output.
    #[command(flatten)]
    common: Option<Common>,
    /// What two persons decide.
    #[command(subcommand)]
    command: Option<Reconcile>,
}

/// What two persons decide.
#[derive(Debug, Subcommand)]
pub enum Reconcile {
    /// Close a remittance in doubt without its card: pay the sender, block the card
    #[command(
        after_help = "Only when the card cannot be read any more. The sender is paid by the issuer, the card is
blocked, and a late proof is still accepted: then the issuer bears the amount.

Example:
  tegata-server reconcile close 0192... --by alice --and bob --reason 'card destroyed'"
    )]
    Close {
        /// The remittance
        id: String,
        /// Who decides, and why.
        #[command(flatten)]
        decision: Decision,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Decide a case: adopt what the card says, read now, or block the card
    #[command(
        after_help = "With --adopt the card lies on a reader of this office. What it shows is credited, the difference
to its account is written off, and it is in use again.

Examples:
  tegata-server reconcile resolve case-3 --adopt --reader pcsc --by alice --and bob --reason '...'
  tegata-server reconcile resolve case-3 --block --by alice --and bob --reason '...'"
    )]
    Resolve(Resolve),
}

/// Flags of `reconcile resolve`.
#[derive(Debug, ClapArgs)]
pub struct Resolve {
    /// The case, as `reconcile` names it
    case: String,
    #[command(flatten)]
    decision: Decision,
    /// Take in what the card says
    #[arg(long, conflicts_with = "block", requires = "reader")]
    adopt: bool,
    /// Block the card and conclude nothing
    #[arg(long)]
    block: bool,
    /// The reader: pcsc, pcsc:NAME or emulated:PATH
    #[arg(long, value_name = "SPEC")]
    reader: Option<ReaderSpec>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match (args.command, args.common) {
        (
            Some(Reconcile::Close {
                id,
                decision,
                common,
            }),
            _,
        ) => {
            close(&id, decision, &common).await?;
            Ok(ExitCode::SUCCESS)
        }
        (Some(Reconcile::Resolve(args)), _) => {
            resolve(args).await?;
            Ok(ExitCode::SUCCESS)
        }
        (None, Some(common)) => report::run(&common).await,
        (None, None) => bail!("--data: the folder of this issuer's database and keys"),
    }
}

/// The cases that nobody has decided, in order of their numbers.
pub(super) async fn open_cases(office: &Office) -> anyhow::Result<Vec<FreezeCase>> {
    let (mut open, mut after) = (Vec::new(), 0);
    loop {
        let page = office.store.cases(after, PAGE_MAX).await?;
        let Some(last) = page.last() else {
            return Ok(open);
        };
        after = last.number;
        open.extend(page.into_iter().filter(|case| case.closed.is_none()));
    }
}

async fn close(id: &str, decision: Decision, common: &Common) -> anyhow::Result<()> {
    let remittance: RemittanceId = id.parse().context("the remittance's id")?;
    let approval = decision.approve()?;
    let office = open(common)?;
    let close = CloseInDoubt {
        remittance,
        approval,
        now: office.clock.now(),
    };
    let command = Command::CloseInDoubt(Box::new(close));
    let (status, what) = match office.store.apply_one(command).await? {
        Outcome::Closed(status) => (status.code(), what_closing_means(status)),
        Outcome::Invitation(status) => (
            status.code(),
            "its sender got it back; if a card shows it later, that card is frozen",
        ),
        _ => bail!("closing was answered by something else"),
    };
    let text = format!("remittance {remittance} is {status}: {what}");
    let document = json!({ "remittance": remittance.to_string(), "status": status });
    Output { json: common.json }.print(&text, document)
}

/// What is so once two persons have closed a remittance; a repetition may find it further on.
const fn what_closing_means(status: Status) -> &'static str {
    match status {
        Status::Held { .. } => {
            "its sender was paid, its card is blocked; a late proof still counts"
        }
        Status::Returned {
            reason: ReturnReason::Closed,
            ..
        } => {
            "its sender was paid, and its card has proved that it does not hold it: nothing is left to do"
        }
        // closing ends in one of the two
        Status::Ordered
        | Status::FundingUnknown { .. }
        | Status::Unfunded { .. }
        | Status::Refunding { .. }
        | Status::Open
        | Status::CommitSent { .. }
        | Status::Recovering { .. }
        | Status::Credited { .. }
        | Status::Returned {
            reason: ReturnReason::Expired | ReturnReason::Cancelled,
            ..
        } => "it was not closed",
    }
}

/// The number of a case as `reconcile` prints it: `case-3`.
fn case_number(text: &str) -> anyhow::Result<u64> {
    let number = text.strip_prefix("case-").and_then(|n| n.parse().ok());
    number.with_context(|| format!("`{text}` is no case; `tegata-server reconcile` lists them"))
}

async fn resolve(args: Resolve) -> anyhow::Result<()> {
    let number = case_number(&args.case)?;
    ensure!(
        args.adopt || args.block,
        "--adopt or --block: what is it to be?"
    );
    let approval = args.decision.approve()?;
    let office = open(&args.common)?;
    let resolution = match &args.reader {
        Some(reader) if args.adopt => adopt(&office, number, reader).await?,
        Some(_) | None => Resolution::Block,
    };
    let resolve = ResolveCase {
        case: number,
        resolution,
        approval,
        now: office.clock.now(),
    };
    let command = Command::ResolveCase(Box::new(resolve));
    let Outcome::CaseResolved(done) = office.store.apply_one(command).await? else {
        bail!("a case was answered by something else");
    };
    let text = format!(
        "case-{number} is closed\ncard      {}\nstatus    {}\nadjusted  {}",
        done.card,
        done.status.code(),
        done.adjusted
    );
    let document = json!({
        "case": format!("case-{number}"),
        "card": done.card.to_string(),
        "status": done.status.code(),
        "adjusted_minor": done.adjusted,
    });
    Output {
        json: args.common.json,
    }
    .print(&text, document)
}

/// What the card on the reader says, as it will enter the books.
async fn adopt(office: &Office, number: u64, reader: &ReaderSpec) -> anyhow::Result<Resolution> {
    let case = office.store.case(number).await?;
    let case = case.with_context(|| format!("there is no case-{number}"))?;
    let card = office.store.card(case.card).await?.context("its card")?;
    let mut reader = card_reader::open(reader).context("the reader")?;
    let said = examine(office, &mut |apdu: &[u8]| Ok(reader.transmit(apdu)?))?;
    ensure!(
        Uid(said.uid) == card.uid,
        "this is another card; put card {} on the reader",
        card.id
    );
    let undecided = office.store.undecided(card.id).await?;
    let credited = said.credited(&card, &undecided)?;
    let now = office.clock.now();
    let (ms, bits) = id_parts(now, &*office.random);
    Ok(Resolution::Adopt {
        credited: examine::receipts(office, now, &undecided, &credited)?,
        state: said.state,
        value: i64::from(said.value),
        evidence: said.evidence(),
        adjustment: TransferId::new(ms, bits),
    })
}
