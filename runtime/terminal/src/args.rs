//! The command line.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use etcetera::BaseStrategy as _;
use sandbox::walls::WallRule;
use terminal::failure::Failure;
use terminal::input::Source;
use terminal::origin::Access;
use terminal::terminal::Consent;
use terminal::{log_command, open, trust_command};

use crate::suite::Form;

/// Opens remittance programs from your mail and credits your card.
#[derive(Debug, Parser)]
#[command(name = "tegata", version, disable_help_subcommand = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON document on stdout.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Language of messages [default: from the locale].
    #[arg(long, global = true, value_enum)]
    pub(crate) lang: Option<LangArg>,
    /// Folder with trusted issuers, journal and receipts [default: the user's state folder].
    #[arg(long, global = true, value_name = "DIR", env = "TEGATA_STATE")]
    state: Option<PathBuf>,
    /// What to do where this system lacks a wall around the sandbox's process (see `tegata doctor`).
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "RULE",
        env = "TEGATA_WALLS",
        default_value = "accept"
    )]
    walls: WallsArg,
}

const EXAMPLES: &str = "\
Examples:
  tegata trust add pay.example.org --fingerprint ABCD-EFGH-IJKL-MNOP
  tegata open letter.eml
  cat letter.eml | tegata open - --yes --json

Exit codes: 0 done, 1 failed, 2 usage, 3 declined, 4 not a valid program, 5 issuer not trusted,
6 card or reader, 7 network or server unavailable, 8 refused by the issuer, 9 in doubt.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify a program, show it, ask, and run it on the card in the reader.
    #[command(after_help = "Examples:
  tegata open letter.eml
  tegata open remittance.tegata --reader 'pcsc:ACME Reader 00 00'
  cat letter.eml | tegata open - --reader emulated:my.card --yes --json

It can be given again at any time: nothing is credited twice, and what broke off is finished.")]
    Open(OpenArgs),
    /// Show what a program or mail contains and whether a trusted issuer signed it; run nothing.
    #[command(after_help = "Examples:
  tegata inspect letter.eml
  tegata inspect remittance.tegata --json | jq .verdict")]
    Inspect {
        /// A .tegata file, a mail (.eml), or - for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// List card readers and whether they hold a card.
    #[command(after_help = "Example:\n  tegata cards")]
    Cards,
    /// List stored receipts, or show and check one.
    #[command(after_help = "Examples:
  tegata receipt
  tegata receipt 0192f0c1-2a3b-7c4d-8e5f-0123456789ab
  tegata receipt from-a-friend.receipt")]
    Receipt {
        /// Remittance id, or a file with a receipt.
        #[arg(value_name = "ID|FILE")]
        which: Option<String>,
    },
    /// Show what was opened here, or check that the log of it is whole.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:
  tegata log
  tegata log --last 3 --json
  tegata log verify"
    )]
    Log {
        #[command(subcommand)]
        command: Option<LogCommand>,
        /// How many records, newest last; at most 1000.
        #[arg(long, value_name = "N", default_value_t = log_command::SHOWN_DEFAULT)]
        last: usize,
    },
    /// Say what this computer offers the sandbox: walls, tried; readers, issuers, limits.
    #[command(after_help = "Examples:
  tegata doctor
  tegata doctor --json | jq '.walls[] | select(.stands | not)'
  tegata doctor --walls require    # fails if a wall is missing

It takes some seconds and changes nothing.")]
    Doctor,
    /// Say which issuers you trust.
    Trust {
        #[command(subcommand)]
        command: TrustCommand,
    },
    /// Try hostile programs on this terminal and see, case by case, that they get nothing.
    #[command(after_help = "Examples:
  tegata conformance
  tegata conformance --section C
  tegata conformance --case B16 --json

Uses folders, a card and an issuer of its own; your state, reader and issuers are not touched.
Exit code 0 only if every case that can run here passed. Cases: docs/conformance.md.")]
    Conformance(ConformanceArgs),
}

impl Command {
    /// The name in reports.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Inspect { .. } => "inspect",
            Self::Cards => "cards",
            Self::Doctor => "doctor",
            Self::Receipt { .. } => "receipt",
            Self::Trust {
                command: TrustCommand::Add(_),
            } => "trust-add",
            Self::Trust {
                command: TrustCommand::List,
            } => "trust-list",
            Self::Trust {
                command: TrustCommand::Show { .. },
            } => "trust-show",
            Self::Trust {
                command: TrustCommand::Remove { .. },
            } => "trust-remove",
            Self::Trust {
                command: TrustCommand::ResetTime { .. },
            } => "trust-reset-time",
            Self::Log { command: None, .. } => "log",
            Self::Log {
                command: Some(LogCommand::Verify),
                ..
            } => "log-verify",
            Self::Conformance(_) => "conformance",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct OpenArgs {
    /// A .tegata file, a mail (.eml), or - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the card is: pcsc, pcsc:NAME or emulated:PATH.
    #[arg(
        long,
        value_name = "SPEC",
        env = "TEGATA_READER",
        default_value = "pcsc"
    )]
    reader: String,
    /// Consent beforehand; without a terminal window it is the only way.
    #[arg(long)]
    yes: bool,
}

impl OpenArgs {
    pub(crate) fn request(&self) -> Result<open::Request, Failure> {
        Ok(open::Request {
            source: Source::from_argument(&self.file),
            reader: self
                .reader
                .parse()
                .map_err(|error| Failure::with("E_READER_SPEC", error))?,
            consent: consent(self.yes),
        })
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConformanceArgs {
    /// Only the cases of this section, a letter.
    #[arg(long, value_name = "X", value_parser = section, conflicts_with = "case")]
    section: Option<String>,
    /// Only this case, a letter and a number.
    #[arg(long, value_name = "ID", value_parser = case)]
    case: Option<String>,
    /// The longest that one input may take, in milliseconds; more on a computer that is busy.
    #[arg(long, value_name = "MS", default_value_t = conformance::TIME_MAX_MS)]
    pub(crate) time_max: u64,
    /// Repeat what is repeated as often as the table of cases asks; takes some minutes more.
    #[arg(long)]
    pub(crate) full: bool,
    /// Print the report as the page docs/conformance.md.
    #[arg(long, conflicts_with = "json")]
    page: bool,
}

impl ConformanceArgs {
    /// The section or case to run; all if none.
    pub(crate) fn only(&self) -> Option<String> {
        self.section.clone().or_else(|| self.case.clone())
    }

    pub(crate) const fn form(&self) -> Form {
        if self.page { Form::Page } else { Form::Lines }
    }
}

fn section(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    let known = conformance::sections().iter();
    let letters: Vec<_> = known.map(|(letter, _)| letter.to_string()).collect();
    if letters.contains(&name) {
        Ok(name)
    } else {
        Err(format!("the sections are {}", letters.join(" ")))
    }
}

fn case(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    if conformance::table().iter().any(|row| row.id == name) {
        Ok(name)
    } else {
        Err("no such case; --section lists those of a section".to_owned())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Check every record against the chain and name the first that was altered, removed or moved.
    #[command(after_help = "Example:\n  tegata log verify --json")]
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Fetch an issuer's keys and trust them, by fingerprint or on first use.
    #[command(after_help = "Examples:
  tegata trust add pay.example.org --fingerprint ABCD-EFGH-IJKL-MNOP
  tegata trust add --dev http://127.0.0.1:8080 --yes")]
    Add(TrustAddArgs),
    /// List the trusted issuers.
    #[command(after_help = "Example:\n  tegata trust list")]
    List,
    /// Show one issuer: address, root, keys, latest signed time.
    #[command(after_help = "Example:\n  tegata trust show pay.example.org")]
    Show {
        /// Name of the issuer, as listed.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Stop trusting an issuer; receipts stay.
    #[command(after_help = "Example:\n  tegata trust remove pay.example.org")]
    Remove {
        /// Name of the issuer, as listed.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Forget the latest time that an issuer signed, after this computer's clock was wrong.
    #[command(after_help = "Example:\n  tegata trust reset-time pay.example.org")]
    ResetTime {
        /// Name of the issuer, as listed.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct TrustAddArgs {
    /// DNS name of the issuer, or its https address.
    #[arg(value_name = "URL-or-NAME")]
    address: String,
    /// A test issuer on this computer: loopback only, http allowed.
    #[arg(long)]
    dev: bool,
    /// The fingerprint printed on the card or leaflet.
    #[arg(long, value_name = "XXXX-XXXX-XXXX-XXXX")]
    fingerprint: Option<String>,
    /// Trust on first use without being asked.
    #[arg(long)]
    yes: bool,
}

impl TrustAddArgs {
    pub(crate) fn request(&self) -> trust_command::Request {
        trust_command::Request {
            address: self.address.clone(),
            access: if self.dev {
                Access::Dev
            } else {
                Access::Public
            },
            fingerprint: self.fingerprint.clone(),
            consent: consent(self.yes),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LangArg {
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl LangArg {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WallsArg {
    /// Run programs behind the walls that there are.
    Accept,
    /// Run nothing.
    Require,
}

impl Args {
    /// `--walls`, else `TEGATA_WALLS`.
    pub(crate) const fn walls(&self) -> WallRule {
        match self.walls {
            WallsArg::Accept => WallRule::Accept,
            WallsArg::Require => WallRule::Require,
        }
    }

    /// `--state`, else `TEGATA_STATE`, else `tegata` in the user's state folder.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(state) = &self.state {
            return Ok(state.clone());
        }
        let strategy =
            etcetera::choose_base_strategy().map_err(|error| Failure::with("E_STATE", error))?;
        let base = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
        Ok(base.join(Path::new("tegata")))
    }
}

const fn consent(yes: bool) -> Consent {
    if yes {
        Consent::GivenByFlag
    } else {
        Consent::Ask
    }
}
