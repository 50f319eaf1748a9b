//! The status list: which templates and programs an issuer has withdrawn.
//!
//! Served at `/.well-known/tegata-status`, signed by a status key of the issuer's descriptor.
//! Source: `docs/exchange.md`, section "Status list".

use alloc::string::String;
use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

use crate::cbor::{self, DecodeError, Reader};
use crate::descriptor::{KeyEntry, Purpose};
use crate::is_issuer_name;
use crate::receipt::TIME_MAX;
use crate::signed::{self, Label, SignerError};

/// Longest signed status list in bytes: both lists full, with room.
pub const STATUS_LEN_MAX: usize = 28 * 1024;
/// Most templates in a list: an issuer has a handful at all.
pub const TEMPLATES_MAX: usize = 64;
/// Most remittances in a list: those still open whose older programs must not run. Beyond it the
/// oldest are left out, and the server alone refuses them.
pub const PROGRAMS_MAX: usize = 1_000;

const VERSION: u64 = 1;

/// A remittance whose older programs were replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replaced {
    /// Id of the remittance.
    pub remittance: [u8; 16],
    /// The lowest revision that may still run; at least 1.
    pub revision: u32,
}

/// What a status list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    /// DNS name of the issuer.
    pub issuer: String,
    /// When this list was made, in Unix seconds, `0..=TIME_MAX`; a later one replaces an earlier one.
    pub issued_at: u64,
    /// SHA-256 of each withdrawn template: `0..=TEMPLATES_MAX`, ascending, none twice.
    pub templates: Vec<[u8; 32]>,
    /// Remittances with replaced programs: `0..=PROGRAMS_MAX`, ascending by id, none twice.
    pub programs: Vec<Replaced>,
}

impl StatusList {
    /// The bytes that are signed.
    ///
    /// # Errors
    /// [`DecodeError::Bounds`] for a field outside its bounds.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        Ok(self.write())
    }

    /// Reads the bytes that were signed.
    ///
    /// # Errors
    /// Each variant of [`DecodeError`].
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(payload, STATUS_LEN_MAX, Self::read, Self::write)
    }

    /// The signed list, at most [`STATUS_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// See [`StatusList::encode`].
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, DecodeError> {
        Ok(signed::seal(&self.encode()?, Label::Status, key))
    }

    /// Opens a signed list with the keys of an issuer.
    ///
    /// The caller still holds issuer and `issued_at` against what it knew.
    ///
    /// # Errors
    /// Each variant of [`SignerError`], in the order of [`signed`]'s check; its time is `issued_at`.
    pub fn verify(bytes: &[u8], keys: &[KeyEntry]) -> Result<Self, SignerError> {
        let signer = (keys, Purpose::Status);
        signed::open_by(bytes, Label::Status, signer, Self::decode, |list| {
            list.issued_at
        })
    }

    /// Whether a program of this template, remittance and revision must not run.
    #[must_use]
    pub fn withdraws(&self, template: &[u8; 32], remittance: &[u8; 16], revision: u32) -> bool {
        let replaced = self
            .programs
            .binary_search_by(|entry| entry.remittance.cmp(remittance))
            .ok()
            .and_then(|index| self.programs.get(index))
            .is_some_and(|entry| revision < entry.revision);
        replaced || self.templates.binary_search(template).is_ok()
    }

    fn check(&self) -> Result<(), DecodeError> {
        let bounds = |holds: bool, field| holds.then_some(()).ok_or(DecodeError::Bounds { field });
        bounds(is_issuer_name(&self.issuer), "issuer")?;
        bounds(self.issued_at <= TIME_MAX, "issued at")?;
        bounds(self.templates.len() <= TEMPLATES_MAX, "templates")?;
        bounds(self.templates.is_sorted_by(|a, b| a < b), "templates")?;
        bounds(self.programs.len() <= PROGRAMS_MAX, "programs")?;
        let ascending = |a: &Replaced, b: &Replaced| a.remittance < b.remittance;
        bounds(self.programs.is_sorted_by(ascending), "programs")?;
        bounds(
            self.programs.iter().all(|entry| entry.revision > 0),
            "revision",
        )
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("status list", 5)?;
        reader.version(VERSION)?;
        let issuer = reader
            .text("issuer", 1..=crate::ISSUER_NAME_LEN_MAX)?
            .into();
        let issued_at = reader.u64("issued at")?;
        let count = reader.array_within("templates", 0..=TEMPLATES_MAX as u64)?;
        let templates = (0..count)
            .map(|_| reader.fixed("template"))
            .collect::<Result<_, _>>()?;
        let count = reader.array_within("programs", 0..=PROGRAMS_MAX as u64)?;
        let programs = (0..count)
            .map(|_| Replaced::read(reader))
            .collect::<Result<_, _>>()?;
        let list = Self {
            issuer,
            issued_at,
            templates,
            programs,
        };
        list.check()?;
        Ok(list)
    }

    fn write(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(5)?
                .u64(VERSION)?
                .str(&self.issuer)?
                .u64(self.issued_at)?
                .array(self.templates.len() as u64)?;
            for template in &self.templates {
                e.bytes(template)?;
            }
            e.array(self.programs.len() as u64)?;
            for entry in &self.programs {
                e.array(2)?.bytes(&entry.remittance)?.u32(entry.revision)?;
            }
            Ok(())
        })
    }
}

impl Replaced {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("program", 2)?;
        Ok(Self {
            remittance: reader.fixed("remittance")?,
            revision: reader.u32("revision")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::SignedError;
    use alloc::vec;

    const NOW: u64 = 1_790_000_000;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn entry(seed: u8, purpose: Purpose) -> KeyEntry {
        KeyEntry {
            purpose,
            public: key(seed).verifying_key().to_bytes(),
            not_before: NOW - 10,
            not_after: NOW + 10,
            revoked_at: None,
        }
    }

    fn list() -> StatusList {
        StatusList {
            issuer: "pay.example.org".into(),
            issued_at: NOW,
            templates: vec![[1; 32], [2; 32]],
            programs: vec![Replaced {
                remittance: [7; 16],
                revision: 2,
            }],
        }
    }

    fn full() -> StatusList {
        let numbered = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
        let mut programs = Vec::new();
        for n in 0..PROGRAMS_MAX {
            let mut remittance = [0; 16];
            remittance[..2].copy_from_slice(&numbered(n));
            programs.push(Replaced {
                remittance,
                revision: u32::MAX,
            });
        }
        let mut templates = Vec::new();
        for n in 0..TEMPLATES_MAX {
            let mut template = [0; 32];
            template[..2].copy_from_slice(&numbered(n));
            templates.push(template);
        }
        StatusList {
            issuer: ["a."; 126].into_iter().chain(["a"]).collect(),
            issued_at: TIME_MAX,
            templates,
            programs,
        }
    }

    #[test]
    fn a_list_comes_back_as_it_was_signed_the_longest_too() {
        let keys = [entry(3, Purpose::Status)];
        let signed = list().sign(&key(3)).unwrap();
        assert_eq!(StatusList::verify(&signed, &keys), Ok(list()));
        let mut late = entry(3, Purpose::Status);
        late.not_after = TIME_MAX;
        let signed = full().sign(&key(3)).unwrap();
        assert!(signed.len() <= STATUS_LEN_MAX, "{}", signed.len());
        assert_eq!(StatusList::verify(&signed, &[late]), Ok(full()));
    }

    #[test]
    fn one_entry_past_a_bound_is_refused() {
        let refused = |list: &StatusList, field| {
            assert_eq!(list.encode(), Err(DecodeError::Bounds { field }));
            assert_eq!(
                StatusList::decode(&list.write()),
                Err(DecodeError::Bounds { field })
            );
        };
        let mut long = full();
        long.templates.push([0xFF; 32]);
        refused(&long, "templates");
        let mut long = full();
        long.programs.push(Replaced {
            remittance: [0xFF; 16],
            revision: 1,
        });
        refused(&long, "programs");
        for (list, field) in [
            (
                StatusList {
                    templates: vec![[2; 32], [1; 32]],
                    ..list()
                },
                "templates",
            ),
            (
                StatusList {
                    templates: vec![[1; 32], [1; 32]],
                    ..list()
                },
                "templates",
            ),
            (
                StatusList {
                    programs: vec![list().programs[0]; 2],
                    ..list()
                },
                "programs",
            ),
            (
                StatusList {
                    programs: vec![Replaced {
                        revision: 0,
                        ..list().programs[0]
                    }],
                    ..list()
                },
                "revision",
            ),
            (
                StatusList {
                    issued_at: TIME_MAX + 1,
                    ..list()
                },
                "issued at",
            ),
            (
                StatusList {
                    issuer: "x/y".into(),
                    ..list()
                },
                "issuer",
            ),
        ] {
            refused(&list, field);
        }
    }

    #[test]
    fn only_a_valid_status_key_signs_a_list() {
        let signed = list().sign(&key(3)).unwrap();
        let status = entry(3, Purpose::Status);
        for (key, expected) in [
            (
                entry(4, Purpose::Status),
                SignerError::Signed(SignedError::KeyUnknown),
            ),
            (entry(3, Purpose::Receipt), SignerError::KeyPurpose),
            (
                KeyEntry {
                    revoked_at: Some(0),
                    ..status.clone()
                },
                SignerError::KeyRevoked,
            ),
            (
                KeyEntry {
                    not_before: NOW + 1,
                    ..status.clone()
                },
                SignerError::KeyTime,
            ),
            (
                KeyEntry {
                    not_after: NOW - 1,
                    ..status.clone()
                },
                SignerError::KeyTime,
            ),
        ] {
            assert_eq!(StatusList::verify(&signed, &[key]), Err(expected));
        }
        let as_receipt = signed::seal(&list().encode().unwrap(), Label::Receipt, &key(3));
        let wrong = SignerError::Signed(SignedError::Signature);
        assert_eq!(StatusList::verify(&as_receipt, &[status]), Err(wrong));
    }

    #[test]
    fn a_template_and_the_revisions_before_the_named_one_are_withdrawn() {
        for (template, remittance, revision, withdrawn) in [
            (1, 9, 0, true),
            (3, 9, 0, false),
            (3, 7, 1, true),
            (3, 7, 2, false),
            (3, 7, 3, false),
        ] {
            let says = list().withdraws(&[template; 32], &[remittance; 16], revision);
            assert_eq!(says, withdrawn, "{template} {remittance} {revision}");
        }
    }
}
