//! The trust store: which issuers the person trusts, and under which root key.
//!
//! One file per issuer. The keys are not copied out of the issuer's descriptor: the file holds the
//! descriptor as its root signed it, and every load checks that signature again. Format:
//! docs/terminal.md, section "Trust store".

use std::path::{Path, PathBuf};

use program::TrustedKey;
use serde::{Deserialize, Serialize};
use wire::descriptor::{Descriptor, fingerprint};
use wire::status::StatusList;

use crate::failure::Failure;
use crate::hex;
use crate::origin::{Access, Origin};
use crate::roots::{NewRoot, Roots, Served};
use crate::state::StateDir;
use crate::told::{FLOOR_AHEAD_MAX_S, Told};

/// Version of the file format.
pub const VERSION: u32 = 1;

/// Held for one comparison and write of entries and of what was told.
const LOCK: &str = "trust/lock";

/// Age in seconds beyond which an issuer's signed list is an old one that somebody shows again: it is
/// signed anew for each request, and a clock may be a day off.
pub const SIGNED_AGE_MAX_S: u64 = 2 * 86_400;

/// Age in seconds from which a descriptor is fetched again before a run: a revoked key is then
/// unknown to a terminal for a day at most.
pub const DESCRIPTOR_AGE_MAX_S: u64 = 86_400;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    issuer: String,
    origin: String,
    dev: bool,
    #[serde(with = "hex::array")]
    root: [u8; 32],
    fingerprint: String,
    added_at: u64,
    fetched_at: u64,
    #[serde(with = "hex::bytes")]
    descriptor: Vec<u8>,
    /// Absent in files of before there was such a thing.
    #[serde(default, with = "hex::bytes")]
    succession: Vec<u8>,
}

/// An issuer the person trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// Where this issuer is reached, and nowhere else.
    pub origin: Origin,
    /// The issuer's name and keys, signed by its root.
    pub descriptor: Descriptor,
    /// Unix time at which the person added it.
    pub added_at: u64,
    /// Unix time at which the descriptor was fetched.
    pub fetched_at: u64,
    /// How its root followed from the one that the person trusted.
    pub roots: Roots,
    signed: Vec<u8>,
}

impl Trusted {
    /// Reads a descriptor fetched from `origin` at the first contact.
    ///
    /// Shows that the descriptor is whole, not that it is genuine: that is the person's comparison
    /// of the fingerprint. A public issuer must have the name of its host.
    ///
    /// # Errors
    /// `E_DESCRIPTOR`.
    pub fn first_contact(origin: Origin, signed: Vec<u8>, now: u64) -> Result<Self, Failure> {
        let descriptor = Descriptor::verify_first_contact(&signed)
            .map_err(|error| Failure::with("E_DESCRIPTOR", error))?;
        if origin.access() == Access::Public && origin.host() != descriptor.issuer {
            return Err(Failure::with("E_DESCRIPTOR", "it names another issuer"));
        }
        check_age(&descriptor, now)?;
        Ok(Self {
            origin,
            descriptor,
            added_at: now,
            fetched_at: now,
            roots: Roots::default(),
            signed,
        })
    }

    /// Takes over a newer descriptor of the same issuer.
    ///
    /// # Errors
    /// `E_ROOT_CHANGED` if the root is another one that the known one has not named; `E_DESCRIPTOR`
    /// if it is malformed, names another issuer, or is older than the one known, which could bring a
    /// revoked key back.
    pub fn refreshed(&self, served: Served, now: u64) -> Result<Self, Failure> {
        let signed = served.descriptor;
        let descriptor = Descriptor::verify_first_contact(&signed)
            .map_err(|error| Failure::with("E_DESCRIPTOR", error))?;
        let (known, new) = (&self.descriptor.root, &descriptor.root);
        let roots = if known == new {
            self.roots.clone()
        } else {
            let served = served.succession.as_deref();
            self.roots.followed(self.name(), known, new, served)?
        };
        if descriptor.issuer != self.descriptor.issuer {
            return Err(Failure::with("E_DESCRIPTOR", "it names another issuer"));
        }
        check_age(&descriptor, now)?;
        if descriptor.issued_at < self.descriptor.issued_at {
            return Err(Failure::with(
                "E_DESCRIPTOR",
                "it is older than the one known",
            ));
        }
        Ok(Self {
            descriptor,
            roots,
            signed,
            fetched_at: now,
            ..self.clone()
        })
    }

    /// The same issuer at the address where the person has just met its root.
    #[must_use]
    pub fn moved_to(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Whether the descriptor is too old for a run; a clock set back makes it old, too.
    #[must_use]
    pub const fn is_stale(&self, now: u64) -> bool {
        now < self.fetched_at || now - self.fetched_at > DESCRIPTOR_AGE_MAX_S
    }

    /// The issuer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.descriptor.issuer
    }

    /// The short form of the root key that people compare.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.descriptor.root)
    }

    /// The keys in the form that verifies programs.
    pub fn program_keys(&self) -> impl Iterator<Item = TrustedKey> + '_ {
        self.descriptor
            .keys
            .iter()
            .map(|key| TrustedKey::new(self.name(), key))
    }

    /// Reads an entry, each signature in it checked again.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_file(bytes: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err("unknown version".to_owned());
        }
        let access = if file.dev {
            Access::Dev
        } else {
            Access::Public
        };
        let origin = Origin::parse(&file.origin, access).map_err(|failure| failure.to_string())?;
        let descriptor =
            Descriptor::verify(&file.descriptor, &file.root).map_err(|error| error.to_string())?;
        if descriptor.issuer != file.issuer {
            return Err("the descriptor names another issuer".to_owned());
        }
        let roots = Roots::from_bytes(&file.succession, &file.issuer, &file.root)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            origin,
            descriptor,
            roots,
            added_at: file.added_at,
            fetched_at: file.fetched_at,
            signed: file.descriptor,
        })
    }

    /// The entry as it is kept.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn to_file(&self) -> Result<Vec<u8>, Failure> {
        let file = File {
            version: VERSION,
            issuer: self.descriptor.issuer.clone(),
            origin: self.origin.to_string(),
            dev: self.origin.access() == Access::Dev,
            root: self.descriptor.root,
            fingerprint: self.fingerprint(),
            added_at: self.added_at,
            fetched_at: self.fetched_at,
            descriptor: self.signed.clone(),
            succession: self.roots.to_bytes()?,
        };
        serde_json::to_vec_pretty(&file).map_err(|error| Failure::with("E_STATE", error))
    }
}

/// Refuses a list from the future, which could never be replaced by a true one, and one so old that
/// somebody may be hiding a revocation.
fn check_age(descriptor: &Descriptor, now: u64) -> Result<(), Failure> {
    let at = descriptor.issued_at;
    if at > now.saturating_add(FLOOR_AHEAD_MAX_S) || at.saturating_add(SIGNED_AGE_MAX_S) < now {
        let when = crate::consent::utc(at);
        let reason = format!("it is dated {when}; check this computer's clock");
        return Err(Failure::with("E_DESCRIPTOR", reason));
    }
    Ok(())
}

/// The trust store in its folder.
#[derive(Debug, Clone)]
pub struct TrustStore {
    state: StateDir,
}

impl TrustStore {
    /// The trust store of `state`.
    #[must_use]
    pub const fn new(state: StateDir) -> Self {
        Self { state }
    }

    /// All trusted issuers, by name.
    ///
    /// # Errors
    /// `E_STATE`, also for a damaged entry.
    pub fn all(&self) -> Result<Vec<Trusted>, Failure> {
        let names = self.state.list(&PathBuf::from("trust"), "json")?;
        names
            .iter()
            .map(|name| self.load(name))
            .filter_map(Result::transpose)
            .collect()
    }

    /// The entry of the issuer `name`.
    ///
    /// # Errors
    /// `E_STATE`, also for a damaged entry.
    pub fn find(&self, name: &str) -> Result<Option<Trusted>, Failure> {
        if !wire::is_issuer_name(name) {
            return Ok(None);
        }
        let entry = self.load(&path(name))?;
        Ok(entry.filter(|entry| entry.name() == name))
    }

    /// Stores an entry in place of the one with the same name.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn put(&self, entry: &Trusted) -> Result<(), Failure> {
        self.state.write(&path(entry.name()), &entry.to_file()?)
    }

    /// Takes over a newer descriptor of `issuer`, fetched just now, and notes the time that it was signed
    /// at.
    ///
    /// Held against what is stored at this moment, under a lock: another window may have removed the
    /// issuer or stored a newer list meanwhile. With it comes the new root, if there is one.
    ///
    /// # Errors
    /// As [`Trusted::refreshed`]; `E_ISSUER_UNTRUSTED` if the issuer was removed; `E_STATE`.
    pub fn renew(
        &self,
        issuer: &Trusted,
        served: Served,
        now: u64,
    ) -> Result<(Trusted, Option<NewRoot>), Failure> {
        let _lock = self.state.lock(&PathBuf::from(LOCK))?;
        let stored = self.find(issuer.name())?;
        let stored = stored.ok_or_else(|| Failure::with("E_ISSUER_UNTRUSTED", issuer.name()))?;
        let newer = stored.refreshed(served, now)?;
        let (from, to) = (&stored.descriptor.root, &newer.descriptor.root);
        let new_root = NewRoot::between(newer.name(), from, to);
        let told = self.told(newer.name())?;
        let told = told.heard(newer.descriptor.issued_at, now);
        self.put_told(newer.name(), &told)?;
        self.put(&newer)?;
        Ok((newer, new_root))
    }

    /// Takes over a status list of `issuer`, fetched just now.
    ///
    /// # Errors
    /// As [`Told::renewed`]; `E_STATE`.
    pub fn renew_status(
        &self,
        issuer: &Trusted,
        signed: Vec<u8>,
        now: u64,
    ) -> Result<StatusList, Failure> {
        let _lock = self.state.lock(&PathBuf::from(LOCK))?;
        let (told, list) = self.told(issuer.name())?.renewed(signed, issuer, now)?;
        self.put_told(issuer.name(), &told)?;
        Ok(list)
    }

    /// Removes the entry of the issuer `name` and what it told; whether there was one.
    ///
    /// The journal and the receipts stay: they are this person's proofs.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn remove(&self, name: &str) -> Result<bool, Failure> {
        if !wire::is_issuer_name(name) {
            return Ok(false);
        }
        let _lock = self.state.lock(&PathBuf::from(LOCK))?;
        let was_there = self.state.remove(&path(name))?;
        self.state.remove(&told_path(name))?;
        Ok(was_there)
    }

    /// What the issuer `name` has told so far; nothing yet, if nothing is stored.
    ///
    /// # Errors
    /// `E_STATE`, also for a damaged file.
    pub fn told(&self, name: &str) -> Result<Told, Failure> {
        match self.state.read(&told_path(name))? {
            Some(bytes) => Told::from_file(&bytes),
            None => Ok(Told::default()),
        }
    }

    /// Stores what the issuer `name` has told.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn put_told(&self, name: &str, told: &Told) -> Result<(), Failure> {
        self.state.write(&told_path(name), &told.to_file()?)
    }

    fn load(&self, name: &Path) -> Result<Option<Trusted>, Failure> {
        let Some(bytes) = self.state.read(name)? else {
            return Ok(None);
        };
        Trusted::from_file(&bytes)
            .map(Some)
            .map_err(|error| Failure::with("E_STATE", format!("{}: {error}", name.display())))
    }
}

fn told_path(name: &str) -> PathBuf {
    PathBuf::from("trust").join(format!("{name}.told"))
}

fn path(name: &str) -> PathBuf {
    // The suffix is appended, never exchanged: a name has dots of its own.
    PathBuf::from("trust").join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::{DESCRIPTOR_AGE_MAX_S, SIGNED_AGE_MAX_S, TrustStore, Trusted};
    use crate::origin::{Access, Origin};
    use crate::roots::Served;
    use crate::state::StateDir;
    use crate::told::FLOOR_AHEAD_MAX_S;
    use ed25519_dalek::SigningKey;
    use std::path::Path;
    use wire::descriptor::Descriptor;

    const NOW: u64 = 1_790_000_000;

    fn signed(root: u8, issuer: &str, issued_at: u64) -> Vec<u8> {
        let root = SigningKey::from_bytes(&[root; 32]);
        let public = root.verifying_key().to_bytes();
        let issuer = issuer.to_owned();
        Descriptor {
            issuer,
            root: public,
            issued_at,
            keys: Vec::new(),
        }
        .sign(&root)
        .unwrap()
    }

    fn served(descriptor: Vec<u8>) -> Served {
        Served {
            descriptor,
            succession: None,
        }
    }

    fn met() -> Trusted {
        let origin = Origin::parse("pay.example.org", Access::Public).unwrap();
        Trusted::first_contact(origin, signed(1, "pay.example.org", NOW - 5), NOW).unwrap()
    }

    #[test]
    fn a_public_issuer_speaks_for_its_own_host_only() {
        let origin = Origin::parse("pay.example.org", Access::Public).unwrap();
        let other = signed(1, "other.example.org", NOW - 5);
        let refused = Trusted::first_contact(origin, other, NOW).unwrap_err();
        assert_eq!(refused.code, "E_DESCRIPTOR");
    }

    #[test]
    fn a_newer_list_of_the_same_root_and_name_is_taken_over() {
        for (bytes, expected) in [
            (signed(1, "pay.example.org", NOW), Ok(NOW)),
            (signed(1, "pay.example.org", NOW - 5), Ok(NOW - 5)),
            (signed(1, "pay.example.org", NOW - 6), Err("E_DESCRIPTOR")),
            (signed(2, "pay.example.org", NOW), Err("E_ROOT_CHANGED")),
            (signed(1, "other.example.org", NOW), Err("E_DESCRIPTOR")),
            (b"nothing".to_vec(), Err("E_DESCRIPTOR")),
        ] {
            let refreshed = met().refreshed(served(bytes), NOW + 1);
            let result = refreshed
                .map(|entry| entry.descriptor.issued_at)
                .map_err(|f| f.code);
            assert_eq!(result, expected);
        }
    }

    #[test]
    fn a_list_of_another_time_is_refused() {
        let origin = Origin::parse("pay.example.org", Access::Public).unwrap();
        let ahead = NOW + FLOOR_AHEAD_MAX_S;
        let old = NOW - SIGNED_AGE_MAX_S;
        for (at, good) in [
            (ahead, true),
            (ahead + 1, false),
            (old, true),
            (old - 1, false),
        ] {
            let bytes = signed(1, "pay.example.org", at);
            let met = Trusted::first_contact(origin.clone(), bytes, NOW);
            assert_eq!(met.is_ok(), good, "{at}");
        }
        // Shown again and again, a list does not stay young.
        let again = met().refreshed(
            served(signed(1, "pay.example.org", NOW - 5)),
            NOW + SIGNED_AGE_MAX_S,
        );
        assert_eq!(again.unwrap_err().code, "E_DESCRIPTOR");
    }

    #[test]
    fn an_issuer_that_was_removed_meanwhile_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = TrustStore::new(StateDir::open(&dir.path().join("state")).unwrap());
        store.put(&met()).unwrap();
        let newest = served(signed(1, "pay.example.org", NOW));
        assert!(store.renew(&met(), newest.clone(), NOW).is_ok());
        // Against what is stored now, not what the caller once read.
        let late = store.renew(&met(), served(signed(1, "pay.example.org", NOW - 1)), NOW);
        assert_eq!(late.unwrap_err().code, "E_DESCRIPTOR");
        assert!(store.remove("pay.example.org").unwrap());
        let back = store.renew(&met(), newest, NOW);
        assert_eq!(back.unwrap_err().code, "E_ISSUER_UNTRUSTED");
        assert_eq!(store.all().unwrap(), []);
    }

    #[test]
    fn a_list_is_stale_after_a_day_or_when_the_clock_was_set_back() {
        for (now, stale) in [
            (NOW, false),
            (NOW + DESCRIPTOR_AGE_MAX_S, false),
            (NOW + DESCRIPTOR_AGE_MAX_S + 1, true),
            (NOW - 1, true),
        ] {
            assert_eq!(met().is_stale(now), stale, "{now}");
        }
    }

    #[test]
    fn entries_are_stored_and_a_touched_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let store = TrustStore::new(state.clone());
        assert_eq!(store.find("pay.example.org").unwrap(), None);
        assert_eq!(store.find("../pay").unwrap(), None);
        store.put(&met()).unwrap();
        assert_eq!(store.find("pay.example.org").unwrap(), Some(met()));
        assert_eq!(store.all().unwrap(), [met()]);

        let name = Path::new("trust/pay.example.org.json");
        let good = String::from_utf8(state.read(name).unwrap().unwrap()).unwrap();
        let root = crate::hex::encode(&met().descriptor.root);
        for bad in [
            "{}".to_owned(),
            good.replace("\"version\": 1", "\"version\": 2"),
            good.replace("\"origin\": \"https://", "\"origin\": \"http://"),
            good.replace(
                &format!("\"root\": \"{root}\""),
                &format!("\"root\": \"{}\"", "0".repeat(64)),
            ),
            good.replace("\"issuer\": \"pay", "\"issuer\": \"pax"),
        ] {
            assert_ne!(bad, good);
            state.write(name, bad.as_bytes()).unwrap();
            assert_eq!(store.all().unwrap_err().code, "E_STATE", "{bad}");
        }
    }
}
