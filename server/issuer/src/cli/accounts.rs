//! `accounts`: how the books keep what cards hold.

use super::{Common, Output, open};
use ledger::CardAccounts;
use serde_json::json;
use std::process::ExitCode;

/// Flags of `accounts`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The figures are the same either way. A change is refused while money is in escrow, with the list
of the open remittances.

Examples:
  tegata-server accounts --data ./issuer
  tegata-server accounts pooled --data ./issuer"
)]
pub struct Args {
    /// The new setting; without it, the present one is shown
    setting: Option<Setting>,
    /// Data folder and form of the output.
    #[command(flatten)]
    common: Common,
}

/// A setting, as a flag's value.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Setting {
    /// One account per card
    Individual,
    /// One account for all cards of a currency, with a sub-record per card
    Pooled,
}

impl From<Setting> for CardAccounts {
    fn from(setting: Setting) -> Self {
        match setting {
            Setting::Individual => Self::Individual,
            Setting::Pooled => Self::Pooled,
        }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let office = open(&args.common)?;
    if let Some(setting) = args.setting {
        let now = office.clock.now();
        office.store.set_card_accounts(setting.into(), now).await?;
    }
    let setting = office.store.card_accounts().await?.code();
    let output = Output {
        json: args.common.json,
    };
    output.print(
        &format!("accounts  {setting}"),
        json!({ "accounts": setting }),
    )?;
    Ok(ExitCode::SUCCESS)
}
