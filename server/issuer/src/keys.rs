//! The issuer's keys: created once by `init`, kept one per file under `DATA/keys`, mode 0600.
//!
//! Symmetric keys are one line of hexadecimal; a signing key is one JSON document with its purpose
//! and validity, so that rotation adds a file and revocation changes one (docs/server.md).

use crate::{
    clock::{Random, random},
    files, roots,
};
use anyhow::{Context, bail};
use card::{
    key::{Key, purse_key},
    purse::KEY_NO_CREDIT,
};
use data_encoding::{BASE32_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit, Mac};
use ledger::{CardNumber, CardNumberError, MailId, RemittanceId, WebhookId};
use redemption::SealKey;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::path::{Path, PathBuf};
use wire::descriptor::{Descriptor, KeyEntry, Purpose};
use zeroize::Zeroizing;

/// Bytes of the claim code before base32: 80 bits, 16 characters to type. With at most one guess a
/// second, a stranger needs longer than any pick-up time.
const CLAIM_CODE_LEN: usize = 10;

/// How long a new signing key is used, in seconds: two years.
const SIGNING_LIFETIME_S: u64 = 2 * 365 * 86_400;

/// Files of the cards' masters: PICC, then purse keys 0, 1 and 2.
const CARD_MASTERS: [&str; 4] = [
    "card-master-picc",
    "card-master-0",
    "card-master-1",
    "card-master-2",
];

/// A 32-byte secret of this server.
type Secret = Zeroizing<[u8; 32]>;

/// One signing key with its validity.
#[derive(Clone)]
pub struct Signer {
    /// What it may sign.
    pub purpose: Purpose,
    /// The key pair.
    pub key: SigningKey,
    /// First second of validity, Unix time.
    pub not_before: u64,
    /// Last second of validity, Unix time.
    pub not_after: u64,
    /// When it was revoked, Unix time.
    pub revoked_at: Option<u64>,
}

impl core::fmt::Debug for Signer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "Signer({:?}, {}, [redacted])",
            self.purpose,
            HEXLOWER.encode(&self.id())
        )
    }
}

impl Signer {
    /// The key's id, 12 bytes.
    #[must_use]
    pub fn id(&self) -> [u8; 12] {
        wire::signed::key_id(&self.key.verifying_key().to_bytes())
    }

    /// Whether it may sign at `now`, Unix seconds.
    #[must_use]
    pub fn usable(&self, now: u64) -> bool {
        self.revoked_at.is_none() && (self.not_before..=self.not_after).contains(&now)
    }
}

/// The document of one signing key file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerFile {
    purpose: String,
    secret: Zeroizing<String>,
    not_before: u64,
    not_after: u64,
    revoked_at: Option<u64>,
}

/// The name of a purpose on the command line and in key files.
#[must_use]
pub const fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Program => "program",
        Purpose::Receipt => "receipt",
        Purpose::Status => "status",
        Purpose::Audit => "audit",
    }
}

/// The purpose with this name.
///
/// # Errors
/// The name is none of `program`, `receipt`, `status`, `audit`.
pub fn purpose_from_name(name: &str) -> anyhow::Result<Purpose> {
    match name {
        "program" => Ok(Purpose::Program),
        "receipt" => Ok(Purpose::Receipt),
        "status" => Ok(Purpose::Status),
        "audit" => Ok(Purpose::Audit),
        other => bail!("`{other}` is no purpose; use program, receipt, status or audit"),
    }
}

/// All keys of one issuer, loaded.
#[derive(Clone)]
pub struct Keys {
    /// Card masters: PICC, then purse keys 0 (personalise), 1 (credit), 2 (debit).
    card_masters: [Key; 4],
    /// Seals tickets and sessions in flight.
    pub ticket: SealKey,
    claim: Secret,
    card_number: Secret,
    /// Signs the descriptor and, once, the root that follows it; nothing else.
    pub root: SigningKey,
    /// How this root followed the ones before it, as it is served.
    pub succession: Vec<u8>,
    /// Program, receipt, status and audit keys, all that ever were.
    pub signers: Vec<Signer>,
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys([redacted])")
    }
}

/// HMAC-SHA-256 over a label and parts of fixed length.
fn hmac(key: &Secret, label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256>>::new_from_slice(key.as_slice()).expect("HMAC takes any key length");
    mac.update(label);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Keys {
    /// Creates every key of a new issuer.
    ///
    /// # Errors
    /// A key file exists already, or cannot be written.
    pub fn create(dir: &Path, now: u64, rng: &dyn Random) -> anyhow::Result<()> {
        files::create_private_dir(dir)?;
        for name in CARD_MASTERS {
            write_hex(dir, name, &random::<16>(rng))?;
        }
        for name in ["ticket", "claim", "card-number", "root"] {
            write_hex(dir, name, &random::<32>(rng))?;
        }
        for purpose in [
            Purpose::Program,
            Purpose::Receipt,
            Purpose::Status,
            Purpose::Audit,
        ] {
            Self::add_signer(dir, purpose, now, rng)?;
        }
        Ok(())
    }

    /// Adds a new signing key, valid from `now` on; the old ones keep verifying.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_signer(
        dir: &Path,
        purpose: Purpose,
        now: u64,
        rng: &dyn Random,
    ) -> anyhow::Result<Signer> {
        let signer = Signer {
            purpose,
            key: SigningKey::from_bytes(&Zeroizing::new(random::<32>(rng))),
            not_before: now,
            not_after: now.saturating_add(SIGNING_LIFETIME_S),
            revoked_at: None,
        };
        let path = signer_path(dir, &signer);
        files::write_new(&path, &signer_json(&signer)?)
            .with_context(|| path.display().to_string())?;
        Ok(signer)
    }

    /// Marks a signing key as revoked; programs signed with it are refused from then on.
    ///
    /// # Errors
    /// No key has this id, or its file cannot be written.
    pub fn revoke(dir: &Path, id: &str, now: u64) -> anyhow::Result<Signer> {
        let keys = Self::load(dir)?;
        let found = keys
            .signers
            .into_iter()
            .find(|s| HEXLOWER.encode(&s.id()) == id);
        let Some(mut signer) = found else {
            bail!("no signing key has the id {id}; `tegata-server keys list` shows them")
        };
        signer.revoked_at.get_or_insert(now);
        files::replace(&signer_path(dir, &signer), &signer_json(&signer)?)?;
        Ok(signer)
    }

    /// Loads the keys of an issuer.
    ///
    /// # Errors
    /// A file is missing, malformed, or readable by others.
    pub fn load(dir: &Path) -> anyhow::Result<Self> {
        let mut signers = Vec::new();
        for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json") {
                signers.push(load_signer(&path)?);
            }
        }
        signers.sort_by_key(|s| (s.purpose as u8, s.not_before, s.id()));
        let [picc, k0, k1, k2] = CARD_MASTERS;
        let master = |name| anyhow::Ok(Key::new(*read_hex(dir, name)?));
        let root = read_signing(dir, "root")?;
        Ok(Self {
            card_masters: [master(picc)?, master(k0)?, master(k1)?, master(k2)?],
            ticket: SealKey::new(*read_hex(dir, "ticket")?),
            claim: read_hex(dir, "claim")?,
            card_number: read_hex(dir, "card-number")?,
            succession: roots::succession(dir, &root)?,
            root,
            signers,
        })
    }

    /// The newest key that may sign for `purpose` at `now` what is still verified at `until`,
    /// both in Unix seconds.
    #[must_use]
    pub fn signer(&self, purpose: Purpose, now: u64, until: u64) -> Option<&Signer> {
        self.signers
            .iter()
            .filter(|s| s.purpose == purpose && s.usable(now) && s.usable(until))
            .max_by_key(|s| s.not_before)
    }

    /// Whether the signing key with this public half was revoked.
    #[must_use]
    pub fn is_revoked(&self, public: &[u8; 32]) -> bool {
        let same = |s: &&Signer| s.key.verifying_key().as_bytes() == public;
        self.signers
            .iter()
            .find(same)
            .is_some_and(|s| s.revoked_at.is_some())
    }

    /// The cards' masters: of the PICC level, and of the purse's keys 0, 1 and 2.
    #[must_use]
    pub fn card_masters(&self) -> [Key; 4] {
        self.card_masters.clone()
    }

    /// The key 1 of one card, by which it is read and credited.
    #[must_use]
    pub fn credit_key(&self, uid: &[u8; 7]) -> Key {
        let [_, _, master, _] = &self.card_masters;
        purse_key(master, uid, KEY_NO_CREDIT)
    }

    /// The number of a card that was given none: 9 and 14 digits that follow from the UID, and
    /// the check digit. `attempt`: other digits, where two cards got the same.
    ///
    /// 9 is left to national use by ISO/IEC 7812-1, so no bank card has such a number.
    ///
    /// # Errors
    /// Never; the digits are digits.
    pub fn derived_number(
        &self,
        uid: &[u8; 7],
        attempt: u8,
    ) -> Result<CardNumber, CardNumberError> {
        let tag = hmac(
            &self.card_number,
            b"tegata-card-number-of-v1",
            &[uid, &[attempt]],
        );
        let mut payload = [9_u8; 15];
        for (digit, byte) in payload.iter_mut().skip(1).zip(tag) {
            *digit = byte % 10;
        }
        CardNumber::from_payload(payload)
    }

    /// What terminals are told of these keys.
    #[must_use]
    pub fn descriptor(&self, issuer: &str, now: u64) -> Descriptor {
        let entry = |s: &Signer| KeyEntry {
            purpose: s.purpose,
            public: s.key.verifying_key().to_bytes(),
            not_before: s.not_before,
            not_after: s.not_after,
            revoked_at: s.revoked_at,
        };
        Descriptor {
            issuer: issuer.to_owned(),
            root: self.root.verifying_key().to_bytes(),
            issued_at: now,
            keys: self.signers.iter().map(entry).collect(),
        }
    }

    /// The bearer reference inside the program of this remittance and revision.
    #[must_use]
    pub fn claim_token(&self, remittance: &[u8; 16], revision: u32) -> [u8; 32] {
        let parts: [&[u8]; 2] = [remittance, &revision.to_be_bytes()];
        hmac(&self.claim, b"tegata-claim-token-v1", &parts)
    }

    /// What a person types when a gateway removed the attachment: `ABCD-EFGH-IJKL-MNOP`.
    #[must_use]
    pub fn claim_code(&self, remittance: RemittanceId, revision: u32) -> String {
        let parts: [&[u8]; 2] = [&remittance.to_bytes(), &revision.to_be_bytes()];
        grouped(&hmac(&self.claim, b"tegata-claim-code-v1", &parts))
    }

    /// The code that verifies a mail address: `ABCD-EFGH-IJKL-MNOP`. It follows from the verification's
    /// id, so that a mail can be repeated while only a hash of the code is stored.
    #[must_use]
    pub fn address_code(&self, request: MailId) -> String {
        let tag = hmac(
            &self.claim,
            b"tegata-address-code-v1",
            &[request.as_bytes()],
        );
        grouped(&tag)
    }

    /// A secret of an endpoint. It follows from the endpoint's id and its number, so that the database
    /// holds none, and whoever has a copy of it can sign nothing.
    #[must_use]
    pub fn webhook_secret(&self, webhook: WebhookId, number: u32) -> Zeroizing<[u8; 32]> {
        let parts: [&[u8]; 2] = [webhook.as_bytes(), &number.to_be_bytes()];
        Zeroizing::new(hmac(&self.claim, b"tegata-webhook-secret-v1", &parts))
    }

    /// HMAC-SHA-256 by a secret of an endpoint.
    #[must_use]
    pub fn webhook_mac(&self, webhook: WebhookId, number: u32, parts: &[&[u8]]) -> [u8; 32] {
        hmac(&self.webhook_secret(webhook, number), b"", parts)
    }

    /// The keyed hash of a typed address code; nothing when it is no code. Read as a claim code is.
    #[must_use]
    pub fn address_code_ref(&self, typed: &str) -> Option<[u8; 32]> {
        let code = typed_code(typed)?;
        Some(hmac(&self.claim, b"tegata-address-lookup-v1", &[&code]))
    }

    /// The keyed hash under which a typed claim code is looked up; nothing when it is no code.
    ///
    /// Case, spaces and hyphens do not matter; `0`, `1` and `8`, which base32 does not have, are
    /// read as `O`, `I` and `B`.
    #[must_use]
    pub fn claim_code_ref(&self, typed: &str) -> Option<[u8; 32]> {
        let code = typed_code(typed)?;
        Some(hmac(&self.claim, b"tegata-claim-lookup-v1", &[&code]))
    }

    /// The keyed hash that stands for a card number in the database.
    #[must_use]
    pub fn number_ref(&self, number: &CardNumber) -> [u8; 32] {
        hmac(
            &self.card_number,
            b"tegata-card-number-v1",
            &[number.digits()],
        )
    }

    /// Binds an order to a card without making two orders for one card linkable.
    #[must_use]
    pub fn card_binding(&self, remittance: RemittanceId, number_ref: &[u8; 32]) -> [u8; 32] {
        let parts: [&[u8]; 2] = [&remittance.to_bytes(), number_ref];
        hmac(&self.card_number, b"tegata-card-binding-v1", &parts)
    }
}

/// The first bytes of a tag as people read and type them.
fn grouped(tag: &[u8; 32]) -> String {
    let text = BASE32_NOPAD.encode(tag.get(..CLAIM_CODE_LEN).unwrap_or(tag));
    let groups: Vec<_> = text
        .as_bytes()
        .chunks(4)
        .map(String::from_utf8_lossy)
        .collect();
    groups.join("-")
}

/// The bytes of a typed code.
fn typed_code(typed: &str) -> Option<Vec<u8>> {
    /// Longest text looked at: 16 letters and generous spacing.
    const TYPED_LEN_MAX: usize = 64;
    if typed.len() > TYPED_LEN_MAX {
        return None;
    }
    let letters: String = typed
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| match c.to_ascii_uppercase() {
            '0' => 'O',
            '1' => 'I',
            '8' => 'B',
            other => other,
        })
        .collect();
    let code = BASE32_NOPAD.decode(letters.as_bytes()).ok()?;
    (code.len() == CLAIM_CODE_LEN).then_some(code)
}

fn signer_path(dir: &Path, signer: &Signer) -> PathBuf {
    let id = HEXLOWER.encode(&signer.id());
    dir.join(format!("{}-{id}.json", purpose_name(signer.purpose)))
}

fn signer_json(signer: &Signer) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = SignerFile {
        purpose: purpose_name(signer.purpose).to_owned(),
        secret: Zeroizing::new(HEXLOWER.encode(&signer.key.to_bytes())),
        not_before: signer.not_before,
        not_after: signer.not_after,
        revoked_at: signer.revoked_at,
    };
    Ok(Zeroizing::new(serde_json::to_vec_pretty(&file)?))
}

fn load_signer(path: &Path) -> anyhow::Result<Signer> {
    let name = || path.display().to_string();
    let text = files::read_secret(path).with_context(name)?;
    let file: SignerFile = serde_json::from_str(&text).with_context(name)?;
    Ok(Signer {
        purpose: purpose_from_name(&file.purpose).with_context(name)?,
        key: SigningKey::from_bytes(&*unhex(&file.secret).with_context(name)?),
        not_before: file.not_before,
        not_after: file.not_after,
        revoked_at: file.revoked_at,
    })
}

pub(crate) fn write_hex(dir: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(name);
    files::write_new(&path, line(bytes).as_bytes()).with_context(|| path.display().to_string())
}

pub(crate) fn replace_hex(dir: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(name);
    files::replace(&path, line(bytes).as_bytes()).with_context(|| path.display().to_string())
}

fn line(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", HEXLOWER.encode(bytes)))
}

pub(crate) fn read_signing(dir: &Path, name: &str) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_bytes(&*read_hex(dir, name)?))
}

fn read_hex<const N: usize>(dir: &Path, name: &str) -> anyhow::Result<Zeroizing<[u8; N]>> {
    let path = dir.join(name);
    let text = files::read_secret(&path).with_context(|| path.display().to_string())?;
    unhex(&text).with_context(|| path.display().to_string())
}

fn unhex<const N: usize>(text: &str) -> anyhow::Result<Zeroizing<[u8; N]>> {
    let bytes = Zeroizing::new(HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes())?);
    match bytes.as_slice().try_into() {
        Ok(array) => Ok(Zeroizing::new(array)),
        Err(_) => bail!("{N} bytes in hexadecimal expected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    const NOW: u64 = 1_700_000_000;

    fn keys() -> (tempfile::TempDir, Keys) {
        let dir = tempfile::tempdir().unwrap();
        Keys::create(dir.path(), NOW, &SystemRandom).unwrap();
        let keys = Keys::load(dir.path()).unwrap();
        (dir, keys)
    }

    #[test]
    fn a_claim_code_is_found_however_it_is_typed() {
        let (_dir, keys) = keys();
        let id = RemittanceId::new(3, [3; 10]);
        let code = keys.claim_code(id, 1);
        assert_eq!(code.len(), 19);
        let found = keys.claim_code_ref(&code).unwrap();
        let typed = code
            .to_lowercase()
            .replace('-', " ")
            .replace('o', "0")
            .replace('i', "1");
        assert_eq!(
            keys.claim_code_ref(&typed.replace('b', "8")).unwrap(),
            found
        );
        assert_ne!(keys.claim_code(id, 2), code);
        for bad in [
            "",
            "ABCD",
            "ABCD-EFGH-IJKL-MNO",
            "ABCD-EFGH-IJKL-MNOPQ",
            "ABCD-EFGH-IJKL-MNO!",
        ] {
            assert!(keys.claim_code_ref(bad).is_none(), "{bad}");
        }
        assert!(keys.claim_code_ref(&" ".repeat(65)).is_none());
    }

    #[test]
    fn rotation_adds_a_key_and_revocation_stops_one() {
        let (dir, keys) = keys();
        let first = keys.signer(Purpose::Program, NOW, NOW).unwrap().id();
        let second =
            Keys::add_signer(dir.path(), Purpose::Program, NOW + 5, &SystemRandom).unwrap();
        let keys = Keys::load(dir.path()).unwrap();
        assert_eq!(
            keys.signer(Purpose::Program, NOW + 5, NOW + 5)
                .unwrap()
                .id(),
            second.id()
        );
        assert_eq!(keys.signer(Purpose::Program, NOW, NOW).unwrap().id(), first);
        Keys::revoke(dir.path(), &HEXLOWER.encode(&second.id()), NOW + 6).unwrap();
        let keys = Keys::load(dir.path()).unwrap();
        assert_eq!(
            keys.signer(Purpose::Program, NOW + 7, NOW + 7)
                .unwrap()
                .id(),
            first
        );
        assert!(Keys::revoke(dir.path(), "00", NOW).is_err());
        let end = NOW + SIGNING_LIFETIME_S;
        assert!(keys.signer(Purpose::Program, NOW + 7, end).is_some());
        assert!(keys.signer(Purpose::Program, NOW + 7, end + 1).is_none());
    }

    #[test]
    fn init_never_overwrites_a_key() {
        let (dir, _keys) = keys();
        assert!(Keys::create(dir.path(), NOW, &SystemRandom).is_err());
    }

    #[test]
    fn keys_do_not_print() {
        let (_dir, keys) = keys();
        assert_eq!(format!("{keys:?}"), "Keys([redacted])");
        assert!(format!("{:?}", keys.signers).contains("[redacted]"));
    }
}
