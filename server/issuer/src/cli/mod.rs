//! The command line of `tegata-server`: what it accepts, and who answers.
//!
//! Results go to standard output, talk to standard error. Administration is by this command line
//! on the machine itself only; nothing of it is reachable over HTTP.

pub mod account;
pub mod accounts;
pub mod address;
mod advice;
pub mod audit;
pub mod backup;
pub mod card;
mod evidence;
pub mod front;
mod heads;
pub mod holder;
pub mod holder_token;
pub mod init;
pub mod keys;
pub mod log;
pub mod officer;
pub mod openapi;
pub mod order;
mod output;
pub mod payable;
pub mod reconcile;
pub mod serve;
pub mod template;
pub mod token;
pub mod webhook;

use crate::{
    app::Office,
    clock::{SystemClock, SystemRandom},
};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

pub use advice::next_step;
pub use output::Output;

/// The e-money server: ledger, cards, programs, mail.
#[derive(Debug, Parser)]
#[command(
    name = "tegata-server",
    version,
    max_term_width = 100,
    propagate_version = true,
    after_help = "Examples:
  tegata-server init --data ./issuer --issuer money.example
  tegata-server holder add --data ./issuer --name 'Aiko Sato' --email aiko@example.org
  tegata-server card issue --data ./issuer --reader pcsc --holder 0192...
  tegata-server serve --data ./issuer --listen 127.0.0.1:8080
  tegata-server audit --data ./issuer
  tegata-server audit verify audit.log --key 3b6a27bc...

Each command has examples of its own. Exit codes: 0 done, 1 failed, 2 usage."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where the data is, and how to print.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Folder of this issuer's database and keys
    #[arg(long, value_name = "DIR", env = "TEGATA_DATA")]
    pub data: PathBuf,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// The commands, `noun verb`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a new issuer: database and keys
    Init(init::Args),
    /// Answer HTTP, send mail, return what expired
    Serve(serve::Args),
    /// The same without an open port: requests come from `front`
    Core(serve::CoreArgs),
    /// Hand HTTP on to a core; has no keys and no database
    Front(front::Args),
    /// People and offices that hold money
    #[command(subcommand)]
    Holder(holder::Holder),
    /// Where holders' programs are told what happens to their orders
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// Money of the holders
    #[command(subcommand)]
    Account(account::Account),
    /// How card accounts are kept: one by one, or pooled
    Accounts(accounts::Args),
    /// IC cards
    #[command(subcommand)]
    Card(card::Card),
    /// Signing keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// What programs are made of
    #[command(subcommand)]
    Template(template::TemplateCommand),
    /// Remittances
    #[command(subcommand)]
    Order(order::Order),
    /// Print the OpenAPI document of the HTTP API
    Openapi(openapi::Args),
    /// Persons who decide, two by two
    #[command(subcommand)]
    Officer(officer::Officer),
    /// What is owed for lost cards
    #[command(subcommand)]
    Payable(payable::Payable),
    /// Where what was issued is, and what two persons have to decide
    Reconcile(reconcile::Args),
    /// Prove that the books balance; export and verify the audit log
    Audit(audit::Args),
    /// Write a copy of the database, and check it; the server may run
    Backup(backup::Backup),
    /// Put a copy back: what it has forgotten is asked from cards and receipts
    Restore(backup::Restore),
}

/// Runs one command to its exit code: 0 done, 1 failed (2, usage, is clap's).
///
/// # Errors
/// What kept the command from being done, for a person to read.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Init(args) => init::run(&args).await,
        Command::Serve(args) => serve::run(args, None).await,
        Command::Core(args) => serve::core(args).await,
        Command::Front(args) => front::run(args).await,
        Command::Holder(command) => holder::run(command).await,
        Command::Webhook(command) => webhook::run(command).await,
        Command::Account(command) => account::run(command).await,
        Command::Accounts(args) => accounts::run(args).await,
        Command::Card(command) => card::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Template(command) => template::run(command).await,
        Command::Order(command) => order::run(command).await,
        Command::Openapi(args) => openapi::run(&args),
        Command::Officer(command) => officer::run(command).await,
        Command::Payable(command) => payable::run(command).await,
        Command::Reconcile(args) => reconcile::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => backup::restore(args).await,
    }
}

/// Opens the issuer's folder with the machine's clock and randomness.
fn open(common: &Common) -> anyhow::Result<Office> {
    Office::open(
        &common.data,
        Arc::new(SystemClock::default()),
        Arc::new(SystemRandom),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    const PAGE: &str = include_str!("../../../../docs/server.md");

    /// The commands that can be given, `noun verb`.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            if !sub.is_subcommand_required_set() {
                found.push(path.trim().to_owned());
            }
            leaves(sub, &path, found);
        }
    }

    #[test]
    fn the_page_names_every_command() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        assert!(found.len() > 30, "{found:?}");
        assert!(found.contains(&"reconcile close".to_owned()), "{found:?}");
        for command in found {
            let named = [' ', '`', '\n']
                .iter()
                .any(|end| PAGE.contains(&format!("`{command}{end}")));
            assert!(named, "`{command}` is not in docs/server.md");
        }
    }

    /// Axum lists no routes: those of the pages are read where they are written.
    #[test]
    fn the_page_names_every_path() {
        let api = crate::http::openapi::document();
        let routes = include_str!("../pages/mod.rs").split(".route(").skip(1);
        let pages = routes.filter_map(|rest| rest.split('"').nth(1));
        let paths: Vec<&str> = api
            .paths
            .paths
            .keys()
            .map(String::as_str)
            .chain(pages)
            .collect();
        assert!(
            paths.len() > 20 && paths.contains(&"/v1/orders"),
            "{paths:?}"
        );
        for path in paths {
            let named = ["`", " "].iter().any(|begin| {
                let ends = ['`', '?', ' '];
                ends.iter()
                    .any(|end| PAGE.contains(&format!("{begin}{path}{end}")))
            });
            assert!(named, "{path} is not in docs/server.md");
        }
    }
}
