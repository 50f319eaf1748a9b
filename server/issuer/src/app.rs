//! What handlers, jobs and commands share.

use crate::{
    backup::InUse,
    clock::{Clock, Random},
    config::Config,
    keys::{Keys, Signer},
    limit::Limits,
    webhooks::address::Reach,
};
use anyhow::Context;
use crashpoint::reach;
use data_encoding::BASE64URL_NOPAD;
use ledger::{Holder, Timestamp, TokenHash};
use program::Template;
use redemption::Incarnation;
use sha2::{Digest, Sha256};
use std::{path::Path, sync::Arc};
use store::{AdminError, Bearer, LogKey, Store, StoreError};

/// The remittance template that new programs are made of.
const TEMPLATE: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../guest-programs/prebuilt/remittance.wasm"
));

/// Seconds of a day.
pub const DAY_S: i64 = 86_400;

/// Begins every bearer token, so that one found in a log or a repository is recognised.
pub const TOKEN_PREFIX: &str = "tgt_";

/// An issuer's folder, opened: identity, keys, ledger, time, randomness.
pub struct Office {
    /// Who we are.
    pub config: Config,
    /// Our keys.
    pub keys: Keys,
    /// Ledger and everything beside it.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Keeps a restore out; nothing where there is no folder.
    _in_use: Option<InUse>,
}

impl core::fmt::Debug for Office {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Office")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Office {
    /// Opens the folder of an issuer.
    ///
    /// # Errors
    /// It holds no issuer, a key file is missing or readable by others, or the database is not
    /// usable.
    pub fn open(
        data: &Path,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> anyhow::Result<Self> {
        let mut config = Config::load(data)?;
        let in_use = InUse::together(data)?;
        let keys = Keys::load(&Config::keys_dir(data))?;
        let ledger = config.ledger(data);
        let store = ledger.open().with_context(|| ledger.to_string())?;
        if let Some(life) = store.life()? {
            config.incarnation = Incarnation(life);
        }
        Ok(Self {
            config,
            keys,
            store: Arc::new(store),
            clock,
            random,
            _in_use: Some(in_use),
        })
    }

    /// An issuer without a folder, over a store that somebody else opened: the simulation's.
    #[must_use]
    pub fn over(
        config: Config,
        keys: Keys,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            config,
            keys,
            store,
            clock,
            random,
            _in_use: None,
        }
    }

    /// The holder whose token this is, and what it may do; nothing for one that is over. The day is
    /// noted on the token's row, at its first use of the day.
    ///
    /// Only the token's hash is stored, and looked up as a key: the time this takes tells nothing
    /// about 256 random bits.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn bearer(&self, token: &str) -> Result<Option<Bearer>, StoreError> {
        let Some(hash) = token_hash(token) else {
            return Ok(None);
        };
        let now = self.clock.now();
        let found = self.store.bearer(hash, now).await?;
        let today = now.unix_s().div_euclid(DAY_S);
        if let Some(bearer) = &found
            && bearer.used_day.is_none_or(|day| day < today)
            && let Err(error) = self.store.token_used(bearer.token, today).await
        {
            // worth a line, not the request
            tracing::warn!(%error, "the day of a token's use was not noted");
        }
        Ok(found)
    }

    /// The holder whose token this is, if it may do everything: what the pages ask for.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn whole_holder(&self, token: &str) -> Result<Option<Holder>, StoreError> {
        let found = self.bearer(token).await?;
        let whole = found.filter(|bearer| bearer.scopes.is_full());
        Ok(whole.map(|bearer| bearer.holder))
    }

    /// Tells the audit log of every signing key, and of every revoked one, that it does not know.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn note_keys(&self) -> Result<(), AdminError> {
        let noted = |signer: &Signer| LogKey {
            public: signer.key.verifying_key().to_bytes(),
            purpose: signer.purpose.number().into(),
            not_before: signer.not_before,
            not_after: signer.not_after,
            revoked_at: signer.revoked_at,
        };
        let keys = self.keys.signers.iter().map(noted).collect();
        let noted = self.store.note_keys(keys, self.clock.now()).await;
        noted.inspect(|()| reach!("issuer::note-keys::after-commit"))
    }

    /// The template that this version makes new programs of, kept in the database too.
    ///
    /// # Errors
    /// The template is malformed or can not be stored.
    pub async fn built_in_template(&self) -> anyhow::Result<Template> {
        let template = Template::new(TEMPLATE.to_vec()).context("the built-in template")?;
        let (hash, bytes) = (template.hash(), TEMPLATE.to_vec());
        self.store.put_template(hash, bytes).await?;
        Ok(template)
    }

    /// The ledger's time: the clock's, never below what the ledger has committed.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn ledger_now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now().max(self.store.time_floor().await?))
    }
}

/// The stored form of a bearer token; nothing when the text is none.
#[must_use]
pub fn token_hash(token: &str) -> Option<TokenHash> {
    let bytes = BASE64URL_NOPAD
        .decode(token.strip_prefix(TOKEN_PREFIX)?.as_bytes())
        .ok()?;
    (bytes.len() == 32).then(|| TokenHash(Sha256::digest(&bytes).into()))
}

/// The text of a bearer token, and what is stored of it.
#[must_use]
pub fn new_token(random: &dyn Random) -> (zeroize::Zeroizing<String>, TokenHash) {
    let bytes = zeroize::Zeroizing::new(crate::clock::random::<32>(random));
    let text = format!("{TOKEN_PREFIX}{}", BASE64URL_NOPAD.encode(bytes.as_slice()));
    (
        zeroize::Zeroizing::new(text),
        TokenHash(Sha256::digest(bytes.as_slice()).into()),
    )
}

/// How this server is reached and how it behaves; from flags.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Origin under which the outside reaches this server, without a final slash.
    pub public_origin: String,
    /// Proxies of ours in front, each of which adds to `X-Forwarded-For`.
    pub trusted_hops: u8,
    /// Exchanges and orders that one address may send in a minute; 0 for any number.
    pub requests_per_minute: u32,
    /// Sender address of mails.
    pub mail_from: String,
    /// Whether a bank is connected that orders can be paid from.
    pub bank: bool,
    /// Whether it is only ready while another database server has what this one commits.
    pub require_standby: bool,
    /// Which endpoints it speaks to.
    pub webhooks: Reach,
}

/// A serving issuer.
#[derive(Debug)]
pub struct App {
    /// The issuer.
    pub office: Office,
    /// Flags.
    pub settings: Settings,
    /// What new programs are made of.
    pub template: Template,
    /// How often what may be tried.
    pub limits: Limits,
}

impl App {
    /// Makes the parts that only a serving issuer has; keeps the template in the database, since
    /// the programs made of it must be rebuilt byte for byte as long as they are stored.
    ///
    /// # Errors
    /// The template is malformed or can not be stored.
    pub async fn new(office: Office, settings: Settings) -> anyhow::Result<Self> {
        let template = office.built_in_template().await?;
        office.note_keys().await?;
        let limits = Limits::new(settings.requests_per_minute);
        Ok(Self {
            office,
            settings,
            template,
            limits,
        })
    }

    /// The template with this hash: the built-in one, or an older one from the database.
    ///
    /// # Errors
    /// The store is not available, or holds no such template.
    pub async fn template(&self, hash: [u8; 32]) -> anyhow::Result<Template> {
        if self.template.hash() == hash {
            return Ok(self.template.clone());
        }
        let bytes = self.office.store.template(hash).await?;
        Template::new(bytes.context("the template of this order is not stored")?)
            .context("a stored template")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    #[test]
    fn a_token_is_recognised_by_its_hash_and_other_texts_are_none() {
        let (text, hash) = new_token(&SystemRandom);
        assert_eq!(token_hash(&text), Some(hash));
        assert_ne!(new_token(&SystemRandom).1, hash);
        for bad in [
            "",
            "tgt_",
            "tgt_AAAA",
            &text[4..],
            &format!("{}A", text.as_str()),
        ] {
            assert_eq!(token_hash(bad), None, "{bad}");
        }
    }
}
