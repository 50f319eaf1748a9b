//! The simulated bank's file, read and rewritten under its lock while a server uses it.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// The bank of one world.
#[derive(Debug)]
pub struct BankFile(PathBuf);

impl BankFile {
    /// A bank in a new file below `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(dir.join("bank.json"))
    }

    /// What `--bank` is given.
    #[must_use]
    pub fn spec(&self) -> String {
        format!("simulated:{}", self.0.display())
    }

    /// Opens or replaces an account with JPY 10,000; `behaviour` as `issuer::bank` documents it.
    ///
    /// # Errors
    /// If the file cannot be rewritten.
    pub fn account(&self, number: &str, behaviour: &Value) -> Result<()> {
        let mut account = json!({ "balance_minor": 10_000 });
        if let (Some(account), Some(more)) = (account.as_object_mut(), behaviour.as_object()) {
            account.extend(more.clone());
        }
        self.change(|books| books["accounts"][number] = account)
    }

    /// Changes one field of an account.
    ///
    /// # Errors
    /// If the file cannot be rewritten.
    pub fn set(&self, number: &str, field: &str, value: Value) -> Result<()> {
        self.change(|books| books["accounts"][number][field] = value)
    }

    /// Balance of an account.
    ///
    /// # Errors
    /// If the file cannot be read or has no such account.
    pub fn balance(&self, number: &str) -> Result<i64> {
        self.read()?["accounts"][number]["balance_minor"]
            .as_i64()
            .context("an account")
    }

    /// What the bank knows of a reference; null if nothing.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn entry(&self, reference: &str) -> Result<Value> {
        Ok(self.read()?["references"][reference].take())
    }

    fn read(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(&self.0)?)?)
    }

    fn change(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let lock = File::create(self.0.with_extension("json.lock"))?;
        lock.lock()?;
        let mut books = match fs::exists(&self.0)? {
            true => self.read()?,
            false => json!({ "accounts": {}, "references": {} }),
        };
        change(&mut books);
        let new = self.0.with_extension("json.test");
        fs::write(&new, serde_json::to_vec(&books)?)?;
        Ok(fs::rename(new, &self.0)?)
    }
}
