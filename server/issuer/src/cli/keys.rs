//! `keys list | rotate | revoke`.

use super::{Common, Output, output::table};
use crate::{
    clock::{Clock, SystemClock, SystemRandom, rfc3339, unix_seconds},
    config::Config,
    keys::{Keys, Signer, purpose_from_name, purpose_name},
    roots,
};
use anyhow::ensure;
use clap::Subcommand;
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use ledger::Timestamp;
use serde_json::{Value, json};
use std::{path::Path, process::ExitCode, time::Duration};
use wire::descriptor::{self, Purpose};

/// The purpose on the command line that is no signer's.
const ROOT: &str = "root";

/// Signing keys; a running server reads them at its start, so restart it after a change.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Show every signing key with its validity, and the issuer's fingerprint
    #[command(after_help = "Example:\n  tegata-server keys list --data ./issuer")]
    List {
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Add a new key; old ones verify until they end. Of the root: replace it by one that it names
    #[command(
        after_help = "Examples:\n  tegata-server keys rotate program --data ./issuer\n  tegata-server keys rotate root --data ./issuer"
    )]
    Rotate {
        /// program, receipt, status, audit or root
        purpose: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
    /// Revoke a key: programs signed with it are refused from now on
    #[command(
        after_help = "Example:\n  tegata-server keys revoke 0123456789abcdef01234567 --data ./issuer"
    )]
    Revoke {
        /// The key's id as `keys list` shows it
        id: String,
        /// Data folder and form of the output.
        #[command(flatten)]
        common: Common,
    },
}

pub(super) async fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    let now = unix_seconds(SystemClock::default().now());
    match command {
        KeysCommand::List { common } => list(&common, now)?,
        KeysCommand::Rotate { purpose, common } if purpose == ROOT => {
            rotate_root(&common, now)?;
        }
        KeysCommand::Rotate { purpose, common } => {
            let purpose = purpose_from_name(&purpose)?;
            let dir = Config::keys_dir(&common.data);
            let from = beginning(&dir, purpose).await?;
            let signer = Keys::add_signer(&dir, purpose, from, &SystemRandom)?;
            super::open(&common)?.note_keys().await?;
            done(&common, "added", &signer)?;
        }
        KeysCommand::Revoke { id, common } => {
            let signer = Keys::revoke(&Config::keys_dir(&common.data), &id, now)?;
            super::open(&common)?.note_keys().await?;
            done(&common, "revoked", &signer)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// From when a new key counts, in Unix seconds: a later second than every other key of its purpose, or
/// nobody could say which is the newest.
async fn beginning(dir: &Path, purpose: Purpose) -> anyhow::Result<u64> {
    let keys = Keys::load(dir)?;
    let same = keys.signers.iter().filter(|s| s.purpose == purpose);
    let newest = same.map(|s| s.not_before).max().unwrap_or(0);
    loop {
        let now = unix_seconds(SystemClock::default().now());
        if now > newest {
            return Ok(now);
        }
        ensure!(
            now == newest,
            "this machine's clock is behind the newest key; set it, then rotate"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn list(common: &Common, now: u64) -> anyhow::Result<()> {
    let config = Config::load(&common.data)?;
    let keys = Keys::load(&Config::keys_dir(&common.data))?;
    let fingerprint = descriptor::fingerprint(&keys.root.verifying_key().to_bytes());
    let rows: Vec<Vec<String>> = keys
        .signers
        .iter()
        .map(|s| {
            vec![
                HEXLOWER.encode(&s.id()),
                purpose_name(s.purpose).to_owned(),
                seconds(s.not_before),
                seconds(s.not_after),
                state(s, now).to_owned(),
            ]
        })
        .collect();
    let text = format!(
        "issuer       {}\nfingerprint  {fingerprint}\n\n{}",
        config.issuer,
        table(&["key id", "purpose", "from", "until", "state"], &rows)
    );
    let keys: Vec<Value> = keys.signers.iter().map(|s| document(s, now)).collect();
    let document = json!({ "issuer": config.issuer, "fingerprint": fingerprint, "keys": keys });
    Output { json: common.json }.print(&text, document)
}

/// Replaces the root, and says what people have to be told.
fn rotate_root(common: &Common, now: u64) -> anyhow::Result<()> {
    let config = Config::load(&common.data)?;
    let dir = Config::keys_dir(&common.data);
    let fingerprint = |root: &SigningKey| descriptor::fingerprint(&root.verifying_key().to_bytes());
    let old = fingerprint(&Keys::load(&dir)?.root);
    let new = fingerprint(&roots::rotate(&dir, &config.issuer, now, &SystemRandom)?);
    let text = format!(
        "issuer           {}\nfingerprint      {new}\nfingerprint was  {old}\n\n\
         Restart the server: terminals that know the old root then follow to the new one. Print the new\n\
         fingerprint on cards and leaflets, and back up keys/: without it nobody follows any further.",
        config.issuer
    );
    let document = json!({ "issuer": config.issuer, "fingerprint": new, "was": old });
    Output { json: common.json }.print(&text, document)
}

fn done(common: &Common, what: &str, signer: &Signer) -> anyhow::Result<()> {
    let id = HEXLOWER.encode(&signer.id());
    let text = format!(
        "{what} {} key {id}; restart the server",
        purpose_name(signer.purpose)
    );
    Output { json: common.json }.print(&text, json!({ "key": document(signer, signer.not_before) }))
}

fn seconds(at: u64) -> String {
    let micros = i64::try_from(at)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    rfc3339(Timestamp::from_micros(micros))
}

fn state(signer: &Signer, now: u64) -> &'static str {
    if signer.revoked_at.is_some() {
        "revoked"
    } else if signer.usable(now) {
        "valid"
    } else {
        "ended"
    }
}

fn document(signer: &Signer, now: u64) -> Value {
    json!({
        "key_id": HEXLOWER.encode(&signer.id()),
        "purpose": purpose_name(signer.purpose),
        "public": HEXLOWER.encode(signer.key.verifying_key().as_bytes()),
        "not_before": seconds(signer.not_before),
        "not_after": seconds(signer.not_after),
        "revoked_at": signer.revoked_at.map(seconds),
        "state": state(signer, now),
    })
}
