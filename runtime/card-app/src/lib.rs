//! The commands of `tegata-card`, the emulated purse card: a file, and a plug into PC/SC.

mod show;
mod vpcd;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use card_reader::CardFileError;
use card_sim::Card;
use clap::{Parser, Subcommand};
use data_encoding::{DecodeKind, HEXLOWER_PERMISSIVE};

/// First UID byte of cards by the maker of the original.
const UID_FIRST: u8 = 0x04;

/// Arguments of `tegata-card`.
#[derive(Debug, Parser)]
#[command(
    name = "tegata-card",
    version,
    about = "The emulated Tegata card: a purse card in a file, for trying things out without hardware",
    after_help = "Examples:\n  \
        tegata-card new my.card              make a blank card\n  \
        tegata-card show my.card             what is on it\n  \
        tegata-card vpcd my.card             put it on the virtual reader of pcscd\n\n\
        The file contains the card's keys: it is a test card, not money.\n\
        Exit codes: 0 done, 1 failed, 2 wrong usage."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a blank card, as a factory ships it
    #[command(after_help = "Examples:\n  tegata-card new my.card\n  \
        tegata-card new test.card --uid 04A1B2C3D4E5F6 --seed 2a (the same bytes every time)")]
    New {
        /// File to write; never overwritten
        path: PathBuf,
        /// Number of the card in the field, 7 bytes in hex, not all zero [default: random]
        #[arg(long, value_name = "HEX", value_parser = uid)]
        uid: Option<[u8; 7]>,
        /// Up to 32 bytes in hex that its first challenges come from [default: random]
        #[arg(long, value_name = "HEX", value_parser = seed)]
        seed: Option<[u8; 32]>,
    },
    /// Show value, last remittance and log of a card
    #[command(after_help = "Examples:\n  tegata-card show my.card\n  \
        tegata-card show my.card --json | jq .purse.value_minor")]
    Show {
        /// The card's file
        path: PathBuf,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Put the card on the virtual reader of pcscd until interrupted
    #[command(
        after_help = "Needs pcscd with the driver of Debian's package vsmartcard-vpcd.\n\n\
        Examples:\n  tegata-card vpcd my.card\n  \
        tegata-card vpcd second.card --port 35964 (the second slot)"
    )]
    Vpcd {
        /// The card's file
        path: PathBuf,
        /// Where the driver listens
        #[arg(long, default_value = "127.0.0.1")]
        host: String,
        /// TCP port of the slot
        #[arg(long, default_value_t = 35963)]
        port: u16,
    },
}

/// Carries out one command; results go to `out`, talk to `talk`.
///
/// # Errors
///
/// What went wrong and what to do next, for people; files and readers with their stable code.
pub fn run(arguments: &Arguments, out: &mut dyn Write, talk: &mut dyn Write) -> Result<()> {
    match &arguments.command {
        Command::New { path, uid, seed } => new(path, *uid, *seed, talk),
        Command::Show { path, json } => {
            let card = card_reader::load(path).map_err(|error| explain(&error))?;
            let content = show::Content::of(&card);
            if *json {
                serde_json::to_writer_pretty(&mut *out, &content)?;
                writeln!(out)?;
            } else {
                write!(out, "{content}")?;
            }
            Ok(())
        }
        Command::Vpcd { path, host, port } => vpcd::serve(path, (host, *port), talk),
    }
}

fn new(
    path: &Path,
    uid: Option<[u8; 7]>,
    seed: Option<[u8; 32]>,
    talk: &mut dyn Write,
) -> Result<()> {
    let uid = match uid {
        Some(uid) => uid,
        None => {
            let mut uid: [u8; 7] = random()?;
            uid[0] = UID_FIRST;
            uid
        }
    };
    let seed = seed.map_or_else(random, Ok)?;
    card_reader::create(path, &Card::new(uid, seed)).map_err(|error| match &error {
        CardFileError::Missing(folder) => {
            anyhow!(
                "E_CARD_FILE_IO: there is no folder {}; make it first",
                folder.display()
            )
        }
        _ => explain(&error),
    })?;
    let uid = data_encoding::HEXUPPER.encode(&uid);
    writeln!(talk, "{}: blank card with UID {uid}", path.display())?;
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random bytes: {error}"))?;
    Ok(bytes)
}

fn explain(error: &CardFileError) -> anyhow::Error {
    let hint = match &error {
        CardFileError::Missing(path) => {
            format!("; make one with: tegata-card new {}", path.display())
        }
        CardFileError::Exists(_) => "; choose another name, or delete it yourself".to_owned(),
        _ => String::new(),
    };
    anyhow!("{}: {error}{hint}", error.code())
}

fn uid(text: &str) -> Result<[u8; 7]> {
    let uid: [u8; 7] = decode(text)?
        .try_into()
        .map_err(|_| anyhow!("a UID has 7 bytes"))?;
    if uid == [0; 7] {
        Err(anyhow!("a UID is not all zero"))
    } else {
        Ok(uid)
    }
}

fn seed(text: &str) -> Result<[u8; 32]> {
    let bytes = decode(text)?;
    let mut seed = [0; 32];
    seed.get_mut(..bytes.len())
        .context("a seed has at most 32 bytes")?
        .copy_from_slice(&bytes);
    Ok(seed)
}

fn decode(text: &str) -> Result<Vec<u8>> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|error| match error.kind {
            DecodeKind::Length => anyhow!("an even number of hex digits is needed"),
            DecodeKind::Symbol | DecodeKind::Trailing | DecodeKind::Padding => {
                anyhow!(
                    "character {} is not a hex digit",
                    error.position.saturating_add(1)
                )
            }
        })
}
