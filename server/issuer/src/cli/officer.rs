//! `officer add | list | remove | window`, and how two of them come to a decision.

use super::{
    Common, Output, open,
    output::table,
    token::{self, TokenFile},
};
use crate::clock::rfc3339;
use anyhow::{Context, ensure};
use clap::Subcommand;
use ledger::{Approval, Officer as Person, OfficerName, REASON_CHARS_MAX};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Variables with the tokens of both, for scripts; without them the command asks for each.
const TOKEN_VARIABLES: [&str; 2] = ["TEGATA_BY_TOKEN", "TEGATA_AND_TOKEN"];

/// Below this many, one lost token leaves nobody who could decide.
const ADVISED: usize = 3;

/// Persons who decide, two by two.
#[derive(Debug, Subcommand)]
pub enum Officer {
    /// Add a person, and give out their token, which nobody else may see
    #[command(
        after_help = "The first two are added by whoever sets the issuer up; from then on two officers approve each
new one. The person sits at the keyboard, or takes the file away.

Examples:
  tegata-server officer add alice --data ./issuer --token-file /media/alice/token
  tegata-server officer add carol --data ./issuer --by alice --and bob --reason 'joined the office'"
    )]
    Add {
        /// 1 to 32 of a to z, 0 to 9, dot, hyphen, underscore
        name: String,
        /// Where the token goes.
        #[command(flatten)]
        token: TokenFile,
        /// Who approves it, and why.
        #[command(flatten)]
        decision: Approving,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// List all officers
    #[command(after_help = "Example:\n  tegata-server officer list --data ./issuer")]
    List {
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// End a person's part in decisions; the name is never given out again
    #[command(
        after_help = "Two officers approve it, of whom the person may be one. Two have to be left.

Example:
  tegata-server officer remove alice --data ./issuer --by bob --and carol --reason 'left the office'"
    )]
    Remove {
        /// Who
        name: String,
        /// Who approves it, and why.
        #[command(flatten)]
        decision: Approving,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Show or change how long after its report a lost card is paid out
    #[command(after_help = "Once there are two officers, two approve a change.

Examples:
  tegata-server officer window --data ./issuer
  tegata-server officer window --set 604800 --data ./issuer --by alice --and bob --reason 'a week is enough'")]
    Window {
        /// The window from now on, in seconds: at most a year
        #[arg(long, value_name = "SECONDS")]
        set: Option<u32>,
        /// Who approves it, and why.
        #[command(flatten)]
        decision: Approving,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
}

/// Two persons and their reason. Their tokens are asked for, never given as arguments.
#[derive(Debug, clap::Args)]
pub struct Decision {
    /// Name of the first officer
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Name of the second officer
    #[arg(long, value_name = "NAME")]
    and: String,
    /// Why, for whoever reads it years later: 1 to 200 characters
    #[arg(long)]
    reason: String,
}

impl Decision {
    /// Asks both for their tokens.
    ///
    /// # Errors
    /// A name or the reason is none, or a token is no token.
    pub(super) fn approve(self) -> anyhow::Result<Approval> {
        let by = OfficerName::new(&self.by).context("--by")?;
        let and = OfficerName::new(&self.and).context("--and")?;
        ensure!(
            by != and,
            "--by and --and: two different persons have to decide"
        );
        let approval = Approval {
            first: confirm(by, TOKEN_VARIABLES[0])?,
            second: confirm(and, TOKEN_VARIABLES[1])?,
            reason: self.reason,
        };
        ensure!(
            approval.is_within_bounds(),
            "--reason: 1 to {REASON_CHARS_MAX} characters, none of them a control character"
        );
        Ok(approval)
    }
}

fn confirm(name: OfficerName, variable: &str) -> anyhow::Result<Person> {
    let token = token::ask(name.as_str(), variable)?;
    Ok(Person { name, token })
}

/// The same, where the first two officers are not there yet.
#[derive(Debug, clap::Args)]
pub struct Approving {
    /// Name of the first officer
    #[arg(long, value_name = "NAME", requires = "and", requires = "reason")]
    by: Option<String>,
    /// Name of the second officer
    #[arg(long, value_name = "NAME", requires = "by")]
    and: Option<String>,
    /// Why, for whoever reads it years later: 1 to 200 characters
    #[arg(long, requires = "by")]
    reason: Option<String>,
}

impl Approving {
    fn approve(self) -> anyhow::Result<Option<Approval>> {
        let (Some(by), Some(and), Some(reason)) = (self.by, self.and, self.reason) else {
            return Ok(None);
        };
        Decision { by, and, reason }.approve().map(Some)
    }
}

pub(super) async fn run(command: Officer) -> anyhow::Result<ExitCode> {
    match command {
        Officer::Add {
            name,
            token,
            decision,
            common,
        } => add(&name, token, decision, &common).await?,
        Officer::List { common } => list(&common).await?,
        Officer::Remove {
            name,
            decision,
            common,
        } => remove(&name, decision, &common).await?,
        Officer::Window {
            set,
            decision,
            common,
        } => window(set, decision, &common).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(
    name: &str,
    token: TokenFile,
    decision: Approving,
    common: &Common,
) -> anyhow::Result<()> {
    let name = OfficerName::new(name)?;
    let approval = decision.approve()?;
    let office = open(common)?;
    let issued = token.issue(&common.data, &*office.random)?;
    let officer = Person {
        name: name.clone(),
        token: issued.hash,
    };
    let now = office.clock.now();
    office.store.add_officer(officer, approval, now).await?;
    let text = format!("officer  {name}\n{}", issued.told());
    let (member, value) = issued.member();
    let document = json!({ "officer": name.as_str(), member: value });
    Output { json: common.json }.print(&text, document)
}

async fn remove(name: &str, decision: Approving, common: &Common) -> anyhow::Result<()> {
    let name = OfficerName::new(name)?;
    let approval = decision.approve()?;
    let office = open(common)?;
    let now = office.clock.now();
    let withdrawn = office.store.withdraw_officer(name.clone(), approval, now);
    withdrawn.await?;
    let document = json!({ "officer": name.as_str(), "withdrawn": true });
    Output { json: common.json }.print(&format!("officer {name} decides nothing more"), document)
}

async fn window(set: Option<u32>, decision: Approving, common: &Common) -> anyhow::Result<()> {
    let approval = decision.approve()?;
    let office = open(common)?;
    if let Some(seconds) = set {
        let now = office.clock.now();
        let changed = office.store.set_settle_window(seconds, approval, now);
        changed.await?;
    }
    let seconds = office.store.settle_window().await?;
    let text = format!("a lost card is paid out {seconds} s after its report");
    Output { json: common.json }.print(&text, json!({ "settle_window_s": seconds }))
}

async fn list(common: &Common) -> anyhow::Result<()> {
    let office = open(common)?;
    let officers = office.store.officers().await?;
    let rows: Vec<Vec<String>> = officers
        .iter()
        .map(|row| {
            let until = row.withdrawn.map(rfc3339).unwrap_or_default();
            vec![row.name.to_string(), rfc3339(row.created), until]
        })
        .collect();
    let documents: Vec<Value> = officers
        .iter()
        .map(|row| {
            json!({
                "officer": row.name.as_str(),
                "created_at": rfc3339(row.created),
                "withdrawn_at": row.withdrawn.map(rfc3339),
            })
        })
        .collect();
    let mut text = table(&["officer", "since", "withdrawn"], &rows);
    let active = officers.iter().filter(|row| row.withdrawn.is_none());
    if active.count() < ADVISED {
        text.push_str(
            "\n\nWith fewer than three officers one lost token leaves nobody who could decide.",
        );
    }
    Output { json: common.json }.print(&text, json!({ "officers": documents }))
}
