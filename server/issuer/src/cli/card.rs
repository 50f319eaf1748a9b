//! `card issue | list | block`.

use super::{Common, Output, open, output::table};
use crate::{
    config::Config,
    files,
    issuing::{self, NewNumber},
};
use anyhow::{Context, ensure};
use card_reader::ReaderSpec;
use clap::Subcommand;
use ledger::{CARD_VALUE_MAX, Card as Row, CardId, CardNumber, Command, HolderId};
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
