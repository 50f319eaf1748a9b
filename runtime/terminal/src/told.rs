//! What an issuer has told under its signature: its status list, and by that and every other
//! signed time how late it is at least.
//!
//! One file per issuer, so that an issuer that lies about the time deceives nobody about another.
//! Format: docs/terminal.md, section "Trust store".

use serde::{Deserialize, Serialize};
use wire::status::StatusList;

use crate::failure::Failure;
use crate::hex;
use crate::trust::{SIGNED_AGE_MAX_S, Trusted};

/// Version of the file format.
pub const VERSION: u32 = 1;

/// Age in seconds from which a status list is fetched again before a run: what an issuer withdraws
/// stops running everywhere within a day.
pub const STATUS_AGE_MAX_S: u64 = 86_400;

/// How far in seconds beyond this computer's clock an issuer's signed time is believed: as far as
/// a clock may be wrong elsewhere in the rules.
pub const FLOOR_AHEAD_MAX_S: u64 = program::CLOCK_TOLERANCE_S;

/// A status list as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fetched {
    at: u64,
    #[serde(with = "hex::bytes")]
    signed: Vec<u8>,
}

/// What one issuer has told so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    version: u32,
    floor: u64,
    status: Option<Fetched>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            version: VERSION,
            floor: 0,
            status: None,
        }
    }
}

impl Told {
    /// Reads the file.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn from_file(bytes: &[u8]) -> Result<Self, Failure> {
        let told: Self =
            serde_json::from_slice(bytes).map_err(|error| Failure::with("E_STATE", error))?;
        if told.version == VERSION {
            Ok(told)
        } else {
            Err(Failure::with("E_STATE", "unknown version"))
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn to_file(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec_pretty(self).map_err(|error| Failure::with("E_STATE", error))
    }

    /// The time to judge this issuer's programs by: this computer's, unless the issuer has signed a
    /// later one. A clock set back brings no expired key or order to life.
    #[must_use]
    pub const fn time(&self, now: u64) -> u64 {
        if self.floor > now { self.floor } else { now }
    }

    /// The latest signed time, as far as it is believed; 0 if there is none.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// Takes note of a time that the issuer signed, believed up to [`FLOOR_AHEAD_MAX_S`] ahead of `now`.
    #[must_use]
    pub fn heard(mut self, signed: u64, now: u64) -> Self {
        let believed = signed.min(now.saturating_add(FLOOR_AHEAD_MAX_S));
        self.floor = self.floor.max(believed);
        self
    }

    /// Forgets the time and the list that goes with it, after a clock was wrong.
    #[must_use]
    pub fn without_floor(mut self) -> Self {
        self.floor = 0;
        self.status = None;
        self
    }

    /// The stored list, if it is at most [`STATUS_AGE_MAX_S`] old and its key still counts.
    #[must_use]
    pub fn fresh_list(&self, issuer: &Trusted, now: u64) -> Option<StatusList> {
        let fetched = self.status.as_ref()?;
        let age = now.checked_sub(fetched.at)?;
        if age > STATUS_AGE_MAX_S {
            return None;
        }
        let list = read(&fetched.signed, issuer).ok();
        list.filter(|list| !self.is_old(list, now))
    }

    /// Whether somebody may be hiding a newer list: it is signed anew for each request.
    fn is_old(&self, list: &StatusList, now: u64) -> bool {
        list.issued_at.saturating_add(SIGNED_AGE_MAX_S) < self.time(now)
    }

    /// Takes over a list that was fetched just now.
    ///
    /// # Errors
    /// `E_STATUS_STALE`: not signed by a status key of this issuer, older than the one known, or older
    /// than a day by a clock that may itself be a day off.
    pub fn renewed(
        &self,
        signed: Vec<u8>,
        issuer: &Trusted,
        now: u64,
    ) -> Result<(Self, StatusList), Failure> {
        let stale = |why: &str| Failure::with("E_STATUS_STALE", why);
        let list = read(&signed, issuer).map_err(|error| stale(&error))?;
        let known = self
            .status
            .as_ref()
            .and_then(|fetched| read(&fetched.signed, issuer).ok());
        if known.is_some_and(|known| list.issued_at < known.issued_at) {
            return Err(stale("the list is older than the one known"));
        }
        if self.is_old(&list, now) {
            return Err(stale("the issuer sends an old list"));
        }
        if list.issued_at > now.saturating_add(FLOOR_AHEAD_MAX_S) {
            return Err(stale(
                "the list is of another day; check this computer's clock",
            ));
        }
        let mut told = self.clone().heard(list.issued_at, now);
        told.status = Some(Fetched { at: now, signed });
        Ok((told, list))
    }
}

fn read(signed: &[u8], issuer: &Trusted) -> Result<StatusList, String> {
    let list = StatusList::verify(signed, &issuer.descriptor.keys).map_err(|e| e.to_string())?;
    if list.issuer == issuer.name() {
        Ok(list)
    } else {
        Err("it names another issuer".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{FLOOR_AHEAD_MAX_S, STATUS_AGE_MAX_S, Told};
    use crate::origin::{Access, Origin};
    use crate::trust::Trusted;
    use ed25519_dalek::SigningKey;
    use wire::descriptor::{Descriptor, KeyEntry, Purpose};
    use wire::status::StatusList;

    const NOW: u64 = 1_790_000_000;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn issuer(status_key: u8) -> Trusted {
        let name = "pay.example.org";
        let descriptor = Descriptor {
            issuer: name.to_owned(),
            root: key(1).verifying_key().to_bytes(),
            issued_at: NOW,
            keys: vec![KeyEntry {
                purpose: Purpose::Status,
                public: key(status_key).verifying_key().to_bytes(),
                not_before: 0,
                not_after: 2 * NOW,
                revoked_at: None,
            }],
        };
        let signed = descriptor.sign(&key(1)).unwrap();
        let origin = Origin::parse(name, Access::Public).unwrap();
        Trusted::first_contact(origin, signed, NOW).unwrap()
    }

    fn list(issuer: &str, issued_at: u64) -> Vec<u8> {
        StatusList {
            issuer: issuer.to_owned(),
            issued_at,
            templates: vec![[9; 32]],
            programs: Vec::new(),
        }
        .sign(&key(2))
        .unwrap()
    }

    #[test]
    fn the_floor_rises_by_signed_times_only_and_at_most_a_day_ahead() {
        let told = Told::default();
        assert_eq!((told.floor(), told.time(NOW)), (0, NOW));
        let told = told.heard(NOW + 5, NOW);
        assert_eq!(told.time(NOW), NOW + 5);
        let told = told.heard(NOW + 1, NOW);
        assert_eq!(told.time(NOW), NOW + 5, "never falls");
        let lied = told.heard(u64::MAX, NOW);
        assert_eq!(lied.time(NOW), NOW + FLOOR_AHEAD_MAX_S);
        assert_eq!(lied.without_floor().time(NOW), NOW);
    }

    #[test]
    fn a_list_is_fresh_for_a_day_while_its_key_counts_and_the_clock_goes_on() {
        let (told, list) = Told::default()
            .renewed(list("pay.example.org", NOW), &issuer(2), NOW)
            .unwrap();
        assert_eq!(list.templates, [[9; 32]]);
        for (now, keys, fresh) in [
            (NOW, 2, true),
            (NOW + STATUS_AGE_MAX_S, 2, true),
            (NOW + STATUS_AGE_MAX_S + 1, 2, false),
            (NOW - 1, 2, false),
            (NOW, 3, false),
        ] {
            assert_eq!(told.fresh_list(&issuer(keys), now).is_some(), fresh);
        }
        assert!(Told::default().fresh_list(&issuer(2), NOW).is_none());
        let read = Told::from_file(&told.to_file().unwrap()).unwrap();
        assert_eq!(read, told);
    }

    #[test]
    fn a_list_that_is_old_foreign_or_not_signed_by_a_status_key_is_not_taken_over() {
        let oldest = NOW - STATUS_AGE_MAX_S - FLOOR_AHEAD_MAX_S;
        let told = |at| {
            let first = Told::default().renewed(list("pay.example.org", at), &issuer(2), NOW);
            first.unwrap().0
        };
        for (bytes, known, keys, good) in [
            (list("pay.example.org", NOW), NOW, 2, true),
            (list("pay.example.org", NOW - 1), NOW, 2, false),
            (list("pay.example.org", oldest), oldest, 2, true),
            (list("pay.example.org", oldest - 1), oldest, 2, false),
            (
                list("pay.example.org", NOW + FLOOR_AHEAD_MAX_S),
                NOW,
                2,
                true,
            ),
            (
                list("pay.example.org", NOW + FLOOR_AHEAD_MAX_S + 1),
                NOW,
                2,
                false,
            ),
            (list("other.example.org", NOW), oldest, 2, false),
            (list("pay.example.org", NOW), oldest, 3, false),
            (b"nothing".to_vec(), oldest, 2, false),
        ] {
            let renewed = told(known).renewed(bytes, &issuer(keys), NOW);
            let code = renewed.map(drop).map_err(|failure| failure.code);
            assert_eq!(code, if good { Ok(()) } else { Err("E_STATUS_STALE") });
        }
    }
}
