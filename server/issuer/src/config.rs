//! What an issuer is: the document `issuer.json`, written once by `init`.

use crate::files;
use anyhow::{Context, ensure};
use data_encoding::HEXLOWER_PERMISSIVE;
use money::Currency;
use redemption::Incarnation;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use store::Database;
use wire::is_issuer_name;

/// The identity of one issuer.
#[derive(Clone, Debug)]
pub struct Config {
    /// The issuer's DNS name, lower case.
    pub issuer: String,
    /// The currency of all its cards and accounts.
    pub currency: Currency,
    /// Which life of the database this is: another one voids every ticket given out before. That of
    /// `issuer.json` until a backup is restored; from then on that of the database.
    pub incarnation: Incarnation,
    /// What becomes of an order to an address that stands for no card.
    pub invite: InvitePolicy,
    /// Where the ledger is, unless in a file of the data folder. It may hold a password: `issuer.json` is
    /// its owner's only, as the keys are.
    pub database: Option<Database>,
}

/// What becomes of an order to an address that stands for no card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum InvitePolicy {
    /// It is refused
    #[default]
    Refuse,
    /// The amount is held, and a mail tells the person how to get a card
    Hold,
}

impl InvitePolicy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_refuse(&self) -> bool {
        *self == Self::Refuse
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    issuer: String,
    currency: String,
    incarnation: String,
    #[serde(default, skip_serializing_if = "InvitePolicy::is_refuse")]
    invite: InvitePolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    database: Option<String>,
}

impl Config {
    /// The folder of the keys.
    #[must_use]
    pub fn keys_dir(data: &Path) -> PathBuf {
        data.join("keys")
    }

    /// The database file.
    #[must_use]
    pub fn database(data: &Path) -> PathBuf {
        data.join("tegata.db")
    }

    /// Where the ledger is.
    #[must_use]
    pub fn ledger(&self, data: &Path) -> Database {
        let default = || Database::Sqlite(Self::database(data));
        self.database.clone().unwrap_or_else(default)
    }

    /// The file that exists while a restore replaces the database: nobody else may use it then.
    #[must_use]
    pub fn restoring(data: &Path) -> PathBuf {
        data.join("restoring")
    }

    /// The file that exists once an emulated card was issued: such an issuer only serves when
    /// told to accept them.
    #[must_use]
    pub fn emulated_mark(data: &Path) -> PathBuf {
        data.join("emulated-cards")
    }

    /// The document of an issuer; written once.
    #[must_use]
    pub fn file(data: &Path) -> PathBuf {
        data.join("issuer.json")
    }

    /// Writes `issuer.json` of a new issuer.
    ///
    /// # Errors
    /// The name is no DNS name, or there is an issuer in this folder already.
    pub fn create(&self, data: &Path) -> anyhow::Result<()> {
        ensure!(
            is_issuer_name(&self.issuer),
            "`{}` is no lower-case DNS name",
            self.issuer
        );
        let file = ConfigFile {
            issuer: self.issuer.clone(),
            currency: self.currency.code().to_owned(),
            incarnation: HEXLOWER_PERMISSIVE.encode(&self.incarnation.0),
            invite: self.invite,
            database: self.database.as_ref().map(Database::address),
        };
        let path = Self::file(data);
        ensure!(
            !path.exists(),
            "{}: there is an issuer already; choose another folder, or remove this one if its `init` \
             broke off before it printed a fingerprint",
            path.display()
        );
        files::write_new(&path, &serde_json::to_vec_pretty(&file)?)
            .with_context(|| path.display().to_string())
    }

    /// Reads `issuer.json`.
    ///
    /// # Errors
    /// The folder holds no issuer, or the file is malformed.
    pub fn load(data: &Path) -> anyhow::Result<Self> {
        let path = Self::file(data);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "{}: no issuer here; `tegata-server init` creates one",
                path.display()
            )
        })?;
        let name = || path.display().to_string();
        let file: ConfigFile = serde_json::from_str(&text).with_context(name)?;
        ensure!(
            is_issuer_name(&file.issuer),
            "{}: issuer is no DNS name",
            path.display()
        );
        let incarnation = HEXLOWER_PERMISSIVE
            .decode(file.incarnation.as_bytes())
            .with_context(name)?;
        let incarnation = incarnation.as_slice().try_into().with_context(name)?;
        Ok(Self {
            issuer: file.issuer,
            currency: Currency::from_code(&file.currency).with_context(name)?,
            incarnation: Incarnation(incarnation),
            invite: file.invite,
            database: file
                .database
                .map(|database| database.parse())
                .transpose()
                .with_context(|| format!("{}: database", path.display()))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_dns_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            issuer: "Money.example".to_owned(),
            currency: Currency::Jpy,
            incarnation: Incarnation([5; 16]),
            invite: InvitePolicy::Refuse,
            database: None,
        };
        assert!(config.create(dir.path()).is_err());
    }

    #[test]
    fn an_issuer_is_created_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            issuer: "money.example".to_owned(),
            currency: Currency::Jpy,
            incarnation: Incarnation([5; 16]),
            invite: InvitePolicy::Hold,
            database: Some(Database::Postgres("postgres://u:p@h/d".to_owned())),
        };
        config.create(dir.path()).unwrap();
        assert!(config.create(dir.path()).is_err());
        let loaded = Config::load(dir.path()).unwrap();
        assert_eq!(loaded.issuer, "money.example");
        assert_eq!(loaded.incarnation.0, [5; 16]);
        assert_eq!(loaded.invite, InvitePolicy::Hold);
        assert_eq!(loaded.database, config.database);
        assert!(Config::load(&dir.path().join("elsewhere")).is_err());
    }
}
