//! `init`.

use super::{Common, Output, accounts::Setting, open};
use crate::{
    clock::{Clock, SystemClock, SystemRandom, random, unix_seconds},
    config::{Config, InvitePolicy},
    files,
    keys::Keys,
};
use anyhow::Context;
use money::Currency;
use redemption::Incarnation;
use serde_json::json;
use std::process::ExitCode;
use store::Database;

/// Flags of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  tegata-server init --data ./issuer --issuer money.example --currency JPY
  tegata-server init --data ./issuer --issuer money.example --database postgres://tegata@%2Frun%2Fpostgresql/tegata")]
pub struct Args {
    /// Data folder and form of the output.
    #[command(flatten)]
    common: Common,
    /// The issuer's DNS name, under which terminals reach it
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// Currency of all accounts and cards (ISO 4217)
    #[arg(long, default_value = "JPY", value_name = "CODE")]
    currency: String,
    /// How card accounts are kept; `tegata-server accounts` changes it later
    #[arg(
        long,
        value_enum,
        default_value_t = Setting::Individual,
        env = "TEGATA_ACCOUNTS"
    )]
    accounts: Setting,
    /// What becomes of an order to an address that stands for no card; later it is `invite` in
    /// `issuer.json`
    #[arg(long, value_enum, default_value_t = InvitePolicy::Refuse)]
    invite: InvitePolicy,
    /// Where the ledger is: `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`, an empty database of
    /// PostgreSQL 15 or newer; kept in `issuer.json` [default: sqlite:DATA/tegata.db]
    #[arg(
        long,
        value_name = "URL",
        env = "TEGATA_DATABASE",
        hide_env_values = true
    )]
    database: Option<Database>,
}

/// The codes of all currencies.
fn currencies() -> String {
    Currency::ALL.map(Currency::code).join(" ")
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let data = &args.common.data;
    let config = Config {
        issuer: args.issuer.clone(),
        currency: Currency::from_code(&args.currency)
            .with_context(|| format!("--currency {}; one of {}", args.currency, currencies()))?,
        incarnation: Incarnation(random(&SystemRandom)),
        invite: args.invite,
        database: args.database.clone(),
    };
    files::create_private_dir(data).with_context(|| data.display().to_string())?;
    config.create(data)?;
    let now = unix_seconds(SystemClock::default().now());
    Keys::create(&Config::keys_dir(data), now, &SystemRandom)?;
    let office = open(&args.common)?;
    office.note_keys().await?;
    let begin = office.clock.now();
    let setting = args.accounts.into();
    office.store.set_card_accounts(setting, begin).await?;
    let accounts = office.store.card_accounts().await?.code();
    let keys = &office.keys;
    let fingerprint = wire::descriptor::fingerprint(&keys.root.verifying_key().to_bytes());
    let text = format!(
        "issuer       {}\ncurrency     {}\naccounts     {accounts}\nfingerprint  {fingerprint}\n\n\
         Print the fingerprint on cards and leaflets: by it people recognise this issuer.",
        config.issuer,
        config.currency.code()
    );
    let document = json!({
        "issuer": config.issuer,
        "currency": config.currency.code(),
        "accounts": accounts,
        "fingerprint": fingerprint,
    });
    Output {
        json: args.common.json,
    }
    .print(&text, document)?;
    Ok(ExitCode::SUCCESS)
}
