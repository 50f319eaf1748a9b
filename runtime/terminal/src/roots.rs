//! An issuer's new root, as far as the old one has named it: fetched, followed, shown.

use serde_json::{Value, json};
use wire::descriptor::{Descriptor, fingerprint};
use wire::succession::{self, LINKS_MAX, Succession, SuccessionError};

use crate::channel::{Channel, ChannelError};
use crate::consent;
use crate::failure::Failure;

/// What an issuer serves of its keys, unchecked.
#[derive(Debug, Clone)]
pub struct Served {
    /// The descriptor.
    pub descriptor: Vec<u8>,
    /// The succession of its roots; looked for only where the descriptor is of another root than the
    /// known one.
    pub succession: Option<Vec<u8>>,
}

impl Served {
    /// Fetches the descriptor over `channel`, and what stands behind its root if that is not `known`.
    ///
    /// # Errors
    /// As [`Channel::descriptor`]; a server that serves no succession has none.
    pub fn fetch(channel: &Channel, known: Option<&[u8; 32]>) -> Result<Self, Failure> {
        let descriptor = channel.descriptor()?;
        let succession = Self::succession(channel, &descriptor, known)?;
        Ok(Self {
            descriptor,
            succession,
        })
    }

    /// The succession, if `descriptor` is whole and of another root than `known`.
    ///
    /// # Errors
    /// As [`Channel::succession`].
    pub fn succession(
        channel: &Channel,
        descriptor: &[u8],
        known: Option<&[u8; 32]>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let root = Descriptor::verify_first_contact(descriptor).map(|descriptor| descriptor.root);
        match (root, known) {
            (Ok(root), Some(known)) if root != *known => match channel.succession() {
                Ok(list) => Ok(Some(list)),
                Err(ChannelError::Reply) => Ok(None),
                Err(error) => Err(error.into()),
            },
            (Ok(_) | Err(_), _) => Ok(None),
        }
    }
}

/// The signed links from the root that the person trusted to the one that counts today.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roots {
    links: Vec<Vec<u8>>,
}

impl Roots {
    /// The links after the root `known` was followed to `new` by what the issuer serves.
    ///
    /// A root that was ever given up does not come back: what is stored counts with what is served. The
    /// newest [`LINKS_MAX`] links are kept.
    ///
    /// # Errors
    /// `E_ROOT_CHANGED`.
    pub fn followed(
        &self,
        issuer: &str,
        known: &[u8; 32],
        new: &[u8; 32],
        served: Option<&[u8]>,
    ) -> Result<Self, Failure> {
        let changed = |error: SuccessionError| Failure::with("E_ROOT_CHANGED", error);
        let served = served.ok_or(changed(SuccessionError::NoPath))?;
        let further = succession::follow(served, issuer, known, new).map_err(changed)?;
        let links = [self.links.as_slice(), &further].concat();
        succession::verify_all(&links, issuer).map_err(changed)?;
        let older = links.len().saturating_sub(LINKS_MAX);
        Ok(Self {
            links: links.into_iter().skip(older).collect(),
        })
    }

    /// The roots that were given up, oldest first, and when.
    #[must_use]
    pub fn former(&self) -> Vec<([u8; 32], u64)> {
        let links = self.links.iter();
        links
            .filter_map(|link| Succession::verify(link).ok())
            .map(|link| (link.from, link.signed_at))
            .collect()
    }

    /// The bytes that are stored: none without links, else the list as it is served.
    ///
    /// # Errors
    /// `E_STATE`; not for links that were followed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        if self.links.is_empty() {
            return Ok(Vec::new());
        }
        succession::write_list(&self.links).map_err(|error| Failure::with("E_STATE", error))
    }

    /// Reads what [`Roots::to_bytes`] wrote, verified up to `root`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(
        bytes: &[u8],
        issuer: &str,
        root: &[u8; 32],
    ) -> Result<Self, SuccessionError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let links = succession::read_list(bytes).map_err(SuccessionError::List)?;
        let verified = succession::verify_all(&links, issuer)?;
        if verified.last().is_none_or(|last| last.to != *root) {
            return Err(SuccessionError::NoPath);
        }
        Ok(Self { links })
    }

    /// For a document.
    pub(crate) fn document(&self) -> Vec<Value> {
        let former = self.former().into_iter();
        former
            .map(|(root, until)| {
                json!({ "fingerprint": fingerprint(&root), "until": consent::utc(until) })
            })
            .collect()
    }
}

/// An issuer that has a new root, named by the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoot {
    /// Its name.
    pub issuer: String,
    /// Fingerprint of the root until now.
    pub from: String,
    /// Fingerprint of the new one.
    pub to: String,
}

impl NewRoot {
    /// The change from one root to another; `None` if it is the same.
    #[must_use]
    pub fn between(issuer: &str, from: &[u8; 32], to: &[u8; 32]) -> Option<Self> {
        (from != to).then(|| Self {
            issuer: issuer.to_owned(),
            from: fingerprint(from),
            to: fingerprint(to),
        })
    }

    /// For documents and records: issuer, old and new fingerprint.
    #[must_use]
    pub fn document(&self) -> Value {
        json!([self.issuer, self.from, self.to])
    }
}

#[cfg(test)]
mod tests {
    use super::{NewRoot, Roots};
    use ed25519_dalek::SigningKey;
    use wire::succession::{LINKS_MAX, Succession, write_list};

    const NAME: &str = "pay.example.org";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn public(seed: u8) -> [u8; 32] {
        key(seed).verifying_key().to_bytes()
    }

    fn list(links: &[(u8, u8)]) -> Vec<u8> {
        let links: Vec<_> = links
            .iter()
            .map(|(from, to)| {
                let (from_key, to_key) = (public(*from), public(*to));
                let says = Succession {
                    issuer: NAME.to_owned(),
                    from: from_key,
                    to: to_key,
                    signed_at: 7,
                };
                says.sign(&key(*from)).unwrap()
            })
            .collect();
        write_list(&links).unwrap()
    }

    #[test]
    fn a_root_that_was_given_up_never_comes_back() {
        let at = |roots: &Roots, known, new, links: &[(u8, u8)]| {
            roots.followed(NAME, &public(known), &public(new), Some(&list(links)))
        };
        let second = at(&Roots::default(), 1, 2, &[(1, 2)]).unwrap();
        assert_eq!(second.former(), [(public(1), 7)]);
        let third = at(&second, 2, 3, &[(1, 2), (2, 3)]).unwrap();
        assert_eq!(third.former(), [(public(1), 7), (public(2), 7)]);
        // The issuer shows the way back only: by itself no circle.
        let back = at(&second, 2, 1, &[(2, 1)]);
        assert_eq!(back.unwrap_err().code, "E_ROOT_CHANGED");
        let without = Roots::default().followed(NAME, &public(1), &public(2), None);
        assert_eq!(without.unwrap_err().code, "E_ROOT_CHANGED");
        let stored = third.to_bytes().unwrap();
        assert_eq!(Roots::from_bytes(&stored, NAME, &public(3)), Ok(third));
        assert!(Roots::from_bytes(&stored, NAME, &public(2)).is_err());
        assert!(Roots::from_bytes(&stored, "other.example.org", &public(3)).is_err());
    }

    #[test]
    fn the_newest_links_are_kept() {
        let mut roots = Roots::default();
        let last = u8::try_from(LINKS_MAX).unwrap() + 3;
        for seed in 1..last {
            let (from, to) = (public(seed), public(seed + 1));
            let served = list(&[(seed, seed + 1)]);
            roots = roots.followed(NAME, &from, &to, Some(&served)).unwrap();
        }
        assert_eq!(roots.former().len(), LINKS_MAX);
        let stored = roots.to_bytes().unwrap();
        assert_eq!(Roots::from_bytes(&stored, NAME, &public(last)), Ok(roots));
    }

    #[test]
    fn the_same_root_is_no_new_one() {
        assert_eq!(NewRoot::between(NAME, &public(1), &public(1)), None);
        let new = NewRoot::between(NAME, &[0; 32], &public(1)).unwrap();
        assert_eq!(new.from, "MZUH-VLPY-MK6X-O3EP");
    }
}
