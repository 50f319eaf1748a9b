//! `card issue | list | block | lost | payout | examine`.

use super::{Common, Output, evidence::log_document, open, output::table};
use crate::{
    app::Office,
    clock::rfc3339,
    config::Config,
    examine::examine,
    files,
    issuing::{self, NewNumber},
};
use anyhow::{Context, bail, ensure};
use card_reader::ReaderSpec;
use clap::Subcommand;
use data_encoding::HEXLOWER;
use ledger::{
    CARD_VALUE_MAX, Card as Row, CardId, CardNumber, Command, HolderId, NumberRef, Outcome,
    Refusal, Uid,
};
use serde_json::{Value, json};
use std::{path::Path, process::ExitCode};
use store::PAGE_MAX;

/// IC cards.
#[derive(Debug, Subcommand)]
pub enum Card {
    /// Personalise the card in a reader of this office; the same command again resumes
    #[command(
        after_help = "Put one new card on the reader. If it is taken away too early, put it
back and give the same command again.

Examples:
  tegata-server card issue --data ./issuer --reader pcsc --holder 0192...
  tegata-server card issue --data ./issuer --reader emulated:./card --holder 0192... \\
      --accept-emulated-cards"
    )]
    Issue(Issue),
    /// List all cards
    #[command(after_help = "Example:\n  tegata-server card list --data ./issuer")]
    List {
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Block a lost card for good: every session refuses it from now on
    #[command(after_help = "Example:\n  tegata-server card block 0192... --data ./issuer")]
    Block {
        /// The card's id
        id: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Report a card lost: it is blocked, and its settle window begins
    #[command(
        after_help = "What is in doubt on it is settled by a late proof, or closed by two persons; then, after the window,
`card payout` moves its value to what the holder is owed.

Example:
  tegata-server card lost 4539148803436467 --data ./issuer"
    )]
    Lost {
        /// Number or id of the card
        card: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Move all that a lost card holds to what its holder is owed; repeating it is harmless
    #[command(
        after_help = "Example:\n  tegata-server card payout 4539148803436467 --data ./issuer"
    )]
    Payout {
        /// Number or id of the card
        card: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Read a card on a reader of this office: its record, its value and its log
    #[command(after_help = "Example:\n  tegata-server card examine --reader pcsc --data ./issuer")]
    Examine(ExamineArgs),
}

/// Flags of `card examine`.
#[derive(Debug, clap::Args)]
pub struct ExamineArgs {
    #[command(flatten)]
    common: Common,
    /// The reader: pcsc, pcsc:NAME or emulated:PATH
    #[arg(long, value_name = "SPEC")]
    reader: ReaderSpec,
}

/// Flags of `card issue`.
#[derive(Debug, clap::Args)]
pub struct Issue {
    #[command(flatten)]
    common: Common,
    /// The reader: pcsc, pcsc:NAME or emulated:PATH
    #[arg(long, value_name = "SPEC")]
    reader: ReaderSpec,
    /// Whose card it will be
    #[arg(long, value_name = "ID")]
    holder: String,
    /// Number printed on the card, 16 digits [default: one derived from its UID]
    #[arg(long, value_name = "DIGITS")]
    number: Option<String>,
    /// Most that the card may hold, in minor units
    #[arg(long, default_value_t = CARD_VALUE_MAX, value_name = "MINOR")]
    value_max: i64,
    /// Issue emulated cards too; `serve` then needs this flag as well
    #[arg(long)]
    accept_emulated_cards: bool,
}

pub(super) async fn run(command: Card) -> anyhow::Result<ExitCode> {
    match command {
        Card::Issue(args) => issue(args).await?,
        Card::List { common } => list(&common).await?,
        Card::Block { id, common } => block(&id, &common).await?,
        Card::Lost { card, common } => lost(&card, &common).await?,
        Card::Payout { card, common } => payout(&card, &common).await?,
        Card::Examine(args) => examine_card(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn issue(args: Issue) -> anyhow::Result<()> {
    let holder: HolderId = args.holder.parse().context("--holder")?;
    ensure!(
        (1..=CARD_VALUE_MAX).contains(&args.value_max),
        "--value-max: 1 to {CARD_VALUE_MAX}"
    );
    let office = open(&args.common)?;
    let number = match &args.number {
        Some(digits) => NewNumber::Given(CardNumber::parse(digits).context("--number")?),
        None => NewNumber::Derived,
    };
    let mut reader = card_reader::open(&args.reader).context("the reader")?;
    if reader.is_emulated() {
        ensure!(
            args.accept_emulated_cards,
            "this is an emulated card, which anyone can copy; \
             say --accept-emulated-cards for tests and demonstrations"
        );
        mark_emulated(&args.common.data)?;
    }
    let order = issuing::Order {
        holder,
        number,
        value_max: args.value_max,
    };
    let mut transmit = |apdu: &[u8]| Ok(reader.transmit(apdu)?);
    let issued = issuing::issue(&office, &mut transmit, order).await?;
    let text = format!(
        "card    {}\nnumber  {}\nholder  {holder}\n\nThe number is shown this once: print it on the card.",
        issued.card,
        issued.number_text()
    );
    let document = json!({
        "card": issued.card.to_string(),
        "number": issued.number_text(),
        "masked": issued.number.masked(),
        "holder": holder.to_string(),
    });
    Output {
        json: args.common.json,
    }
    .print(&text, document)
}

/// Notes for ever that this issuer has issued a card that can be copied.
fn mark_emulated(data: &Path) -> anyhow::Result<()> {
    let path = Config::emulated_mark(data);
    if !path.exists() {
        files::write_new(&path, b"This issuer has issued emulated cards.\n")
            .with_context(|| path.display().to_string())?;
    }
    Ok(())
}

async fn list(common: &Common) -> anyhow::Result<()> {
    let office = open(common)?;
    let mut cards: Vec<Row> = Vec::new();
    loop {
        let page = office
            .store
            .cards(cards.last().map(|card| card.id), PAGE_MAX)
            .await?;
        if page.is_empty() {
            break;
        }
        cards.extend(page);
    }
    let rows: Vec<Vec<String>> = cards
        .iter()
        .map(|c| {
            vec![
                c.id.to_string(),
                c.masked.clone(),
                c.status.code().to_owned(),
                c.proven.value.to_string(),
                c.holder.to_string(),
            ]
        })
        .collect();
    let documents: Vec<Value> = cards
        .iter()
        .map(|c| {
            json!({
                "card": c.id.to_string(),
                "masked": c.masked,
                "status": c.status.code(),
                "balance_minor": c.proven.value,
                "to_be_read": c.reread,
                "currency": c.currency.code(),
                "holder": c.holder.to_string(),
            })
        })
        .collect();
    let text = table(&["card", "number", "status", "balance", "holder"], &rows);
    Output { json: common.json }.print(&text, json!({ "cards": documents }))
}

async fn block(id: &str, common: &Common) -> anyhow::Result<()> {
    let card: CardId = id.parse().context("the card's id")?;
    let office = open(common)?;
    let now = office.clock.now();
    office
        .store
        .apply_one(Command::BlockCard { card, now })
        .await?;
    Output { json: common.json }.print(
        &format!("card {card} is blocked"),
        json!({ "card": id, "status": "blocked" }),
    )
}

/// The card of a number or an id.
async fn card_of(office: &Office, text: &str) -> anyhow::Result<Row> {
    let found = match text.parse::<CardId>() {
        Ok(id) => office.store.card(id).await?,
        Err(_) => {
            let number = CardNumber::parse(text).context("neither a card number nor an id")?;
            let reference = NumberRef(office.keys.number_ref(&number));
            office.store.card_by_number(reference).await?
        }
    };
    Ok(found.ok_or(Refusal::CardUnknown)?)
}

async fn lost(text: &str, common: &Common) -> anyhow::Result<()> {
    let office = open(common)?;
    let card = card_of(&office, text).await?.id;
    let now = office.clock.now();
    let lost = Command::ReportLost { card, now };
    let Outcome::CardLost { since } = office.store.apply_one(lost).await? else {
        bail!("a lost card was answered by something else");
    };
    let window = office.store.settle_window().await?;
    let due = since.plus_s(i64::from(window));
    let text = format!(
        "card {card} is lost since {}; `tegata-server card payout {card}` from {} on",
        rfc3339(since),
        rfc3339(due)
    );
    let document = json!({
        "card": card.to_string(),
        "status": "blocked",
        "lost_at": rfc3339(since),
        "payout_from": rfc3339(due),
    });
    Output { json: common.json }.print(&text, document)
}

async fn payout(text: &str, common: &Common) -> anyhow::Result<()> {
    let office = open(common)?;
    let row = card_of(&office, text).await?;
    let pay_out = Command::PayOut {
        card: row.id,
        now: office.clock.now(),
    };
    let Outcome::PaidOut { minor, total } = office.store.apply_one(pay_out).await? else {
        bail!("a payout was answered by something else");
    };
    let text = format!(
        "paid out {minor}, in all {total}; `tegata-server payable send {} --to CARD` sends it",
        row.holder
    );
    let document = json!({
        "card": row.id.to_string(),
        "holder": row.holder.to_string(),
        "paid_minor": minor,
        "total_minor": total,
        "currency": row.currency.code(),
    });
    Output { json: common.json }.print(&text, document)
}

async fn examine_card(args: ExamineArgs) -> anyhow::Result<()> {
    let office = open(&args.common)?;
    let mut reader = card_reader::open(&args.reader).context("the reader")?;
    let said = examine(&office, &mut |apdu: &[u8]| Ok(reader.transmit(apdu)?))?;
    let row = office.store.card_by_uid(Uid(said.uid)).await?;
    let row = row.ok_or(Refusal::CardUnknown)?;
    let log = log_document(&said.records());
    let agrees = said.proven() == row.proven;
    let text = format!(
        "card       {}\nstatus     {}\nsays       remittance {} number {} payment {} value {}\n\
         the books  remittance {} number {} payment {} value {}\nagrees     {}\nlog        {}",
        row.id,
        row.status.code(),
        HEXLOWER.encode(&said.state.id),
        said.state.remittance_seq,
        said.state.payment_seq,
        said.value,
        HEXLOWER.encode(&row.proven.id),
        row.proven.remittance_seq,
        row.proven.payment_seq,
        row.proven.value,
        if agrees { "yes" } else { "no" },
        log,
    );
    let document = json!({
        "card": row.id.to_string(),
        "status": row.status.code(),
        "remittance": HEXLOWER.encode(&said.state.id),
        "remittance_seq": said.state.remittance_seq,
        "payment_seq": said.state.payment_seq,
        "value_minor": said.value,
        "proven_minor": row.proven.value,
        "agrees": agrees,
        "log": log,
    });
    Output {
        json: args.common.json,
    }
    .print(&text, document)
}
