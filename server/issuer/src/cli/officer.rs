//! `officer add | list | remove`, and how two of them come to a decision.

use super::{Common, Output, open, output::table};
use crate::{
    app::{new_token, token_hash},
    clock::rfc3339,
};
use anyhow::{Context, ensure};
use clap::Subcommand;
use ledger::{Approval, Officer as Person, OfficerName, REASON_CHARS_MAX, TokenHash};
use serde_json::{Value, json};
use std::{
    io::{BufRead, Write},
    process::ExitCode,
};
use zeroize::Zeroizing;

/// Variables with the tokens of both, for scripts; without them the command asks for each.
const TOKEN_VARIABLES: [&str; 2] = ["TEGATA_BY_TOKEN", "TEGATA_AND_TOKEN"];

/// Longest line that is read as a token, in bytes: a token takes below 50.
const TOKEN_LINE_MAX: u64 = 256;

/// Persons who decide, two by two.
#[derive(Debug, Subcommand)]
pub enum Officer {
    /// Add a person; prints their token, which nobody else may see
    #[command(
        after_help = "Each officer runs this at their own desk and keeps the token.

Example:
  tegata-server officer add alice --data ./issuer"
    )]
    Add {
        /// 1 to 32 of a to z, 0 to 9, dot, hyphen, underscore
        name: String,
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
    #[command(after_help = "Example:\n  tegata-server officer remove alice --data ./issuer")]
    Remove {
        /// Who
        name: String,
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
    #[expect(
        clippy::disallowed_methods,
        reason = "a secret: an argument would show in the list of processes"
    )]
    let given = std::env::var(variable).ok().map(Zeroizing::new);
    let text = match given {
        Some(token) => token,
        None => {
            writeln!(std::io::stderr(), "Token of {name}:")?;
            let mut line = Zeroizing::new(String::new());
            let input = std::io::stdin().lock();
            std::io::Read::take(input, TOKEN_LINE_MAX)
                .read_line(&mut line)
                .context("standard input")?;
            line
        }
    };
    let token: Option<TokenHash> = token_hash(text.trim());
    let token = token.with_context(|| format!("what {name} gave is no token"))?;
    Ok(Person { name, token })
}

pub(super) async fn run(command: Officer) -> anyhow::Result<ExitCode> {
    match command {
        Officer::Add { name, common } => add(&name, &common).await?,
        Officer::List { common } => list(&common).await?,
        Officer::Remove { name, common } => remove(&name, &common).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(name: &str, common: &Common) -> anyhow::Result<()> {
    let name = OfficerName::new(name)?;
    let office = open(common)?;
    let (token, hash) = new_token(&*office.random);
    let now = office.clock.now();
    office.store.add_officer(name.clone(), hash, now).await?;
    let text = format!(
        "officer  {name}\ntoken    {}\n\nThe token is shown this once; only its hash is kept.",
        token.as_str()
    );
    let document = json!({ "officer": name.as_str(), "token": token.as_str() });
    Output { json: common.json }.print(&text, document)
}

async fn remove(name: &str, common: &Common) -> anyhow::Result<()> {
    let name = OfficerName::new(name)?;
    let office = open(common)?;
    let now = office.clock.now();
    office.store.withdraw_officer(name.clone(), now).await?;
    let document = json!({ "officer": name.as_str(), "withdrawn": true });
    Output { json: common.json }.print(&format!("officer {name} decides nothing more"), document)
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
    let text = table(&["officer", "since", "withdrawn"], &rows);
    Output { json: common.json }.print(&text, json!({ "officers": documents }))
}
