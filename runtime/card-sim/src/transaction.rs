//! The open transaction: changes that become content together, or not at all.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use card::crypto::{self, Block};
use zeroize::Zeroizing;

use crate::fault::Fault;
use crate::file::{Body, TransactionMacBody};
use crate::picc::Application;

/// Bytes of transaction MAC input kept; a card's own buffer is smaller.
const MAC_INPUT_LEN_MAX: usize = 16 * 1024;
/// Parts of the transaction MAC input are padded to this many bytes.
const MAC_PART_LEN: usize = 16;

/// A file's content once the transaction commits.
pub(crate) enum Pending {
    /// Shadow copy of a backup file.
    Data(Vec<u8>),
    /// New amount of a value file.
    Value(i32),
    /// Record to append.
    Record(Vec<u8>),
}

/// Changes since the last commit or abort, by file, in the selected application.
#[derive(Default)]
pub(crate) struct Transaction {
    pending: BTreeMap<u8, Pending>,
    mac_input: Vec<u8>,
}

/// What a Transaction MAC file says about a commit.
pub(crate) struct TransactionMac {
    pub(crate) counter: u32,
    pub(crate) mac: [u8; 8],
}

impl Transaction {
    pub(crate) const fn new() -> Self {
        Self {
            pending: BTreeMap::new(),
            mac_input: Vec::new(),
        }
    }

    pub(crate) fn pending(&self, file: u8) -> Option<&Pending> {
        self.pending.get(&file)
    }

    pub(crate) fn set(&mut self, file: u8, pending: Pending) {
        self.pending.insert(file, pending);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Notes a file command for the transaction MAC: each part padded with zeros to 16 bytes.
    ///
    /// Source: docs/card-protocol.md.
    pub(crate) fn note(&mut self, parts: [&[u8]; 2]) -> Result<(), Fault> {
        for part in parts {
            self.mac_input.extend(part);
            let padded = self.mac_input.len().next_multiple_of(MAC_PART_LEN);
            if padded > MAC_INPUT_LEN_MAX {
                return Err(Fault::OutOfMemory);
            }
            self.mac_input.resize(padded, 0);
        }
        Ok(())
    }

    /// Writes everything into `application`, which the caller holds as a copy to install.
    ///
    /// [`Fault::NoChange`] when there is nothing to do; a transaction of reads alone counts only
    /// where a Transaction MAC file exists.
    pub(crate) fn apply(
        self,
        application: &mut Application,
        uid: &[u8; 7],
    ) -> Result<Option<TransactionMac>, Fault> {
        if self.pending.is_empty() && self.mac_input.is_empty() {
            return Err(Fault::NoChange);
        }
        for (number, pending) in self.pending {
            match (&mut application.file_mut(number)?.body, pending) {
                (Body::Backup(content), Pending::Data(shadow)) => *content = shadow.into(),
                (Body::Value(body), Pending::Value(value)) => body.value = value,
                (Body::Records(body), Pending::Record(record)) => body.append(record),
                (
                    Body::Standard(_)
                    | Body::Backup(_)
                    | Body::Value(_)
                    | Body::Records(_)
                    | Body::TransactionMac(_),
                    Pending::Data(_) | Pending::Value(_) | Pending::Record(_),
                ) => return Err(Fault::PermissionDenied),
            }
        }
        let Some(body) = application.transaction_mac_mut() else {
            return Ok(None);
        };
        body.counter = body.counter.checked_add(1).ok_or(Fault::Boundary)?;
        body.mac = transaction_mac(body, uid, &self.mac_input);
        Ok(Some(TransactionMac {
            counter: body.counter,
            mac: body.mac,
        }))
    }
}

impl Application {
    fn transaction_mac_mut(&mut self) -> Option<&mut TransactionMacBody> {
        self.files
            .values_mut()
            .find_map(|file| match &mut file.body {
                Body::TransactionMac(body) => Some(body),
                Body::Standard(_) | Body::Backup(_) | Body::Value(_) | Body::Records(_) => None,
            })
    }

    pub(crate) fn has_transaction_mac(&self) -> bool {
        self.files
            .values()
            .any(|file| matches!(file.body, Body::TransactionMac(_)))
    }
}

/// MAC over the noted commands under the key of this counter value.
fn transaction_mac(body: &TransactionMacBody, uid: &[u8; 7], input: &[u8]) -> [u8; 8] {
    let key = session_mac_key(&body.key.key, body.counter, uid);
    crypto::truncate(&crypto::cmac(&key, &[input]))
}

/// Key of one transaction: CMAC over `5A 00 01 00 80 || counter 4 || UID 7`.
fn session_mac_key(key: &Block, counter: u32, uid: &[u8; 7]) -> Zeroizing<Block> {
    let counter = counter.to_le_bytes();
    Zeroizing::new(crypto::cmac(
        key,
        &[&[0x5A, 0x00, 0x01, 0x00, 0x80], &counter, uid],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXUPPER;

    #[test]
    fn the_published_keys_of_a_transaction_mac_hold() {
        let vectors = include_str!("../tests/vectors/transaction-mac.txt");
        for line in vectors.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<Vec<u8>> = line
                .split(' ')
                .map(|word| HEXUPPER.decode(word.as_bytes()).expect("hex"))
                .collect();
            let [key, counter, uid, expected] = &words[..] else {
                panic!("four words")
            };
            let counter = u32::from_le_bytes(counter[..].try_into().expect("4 bytes"));
            let key = key[..].try_into().expect("16 bytes");
            let uid = uid[..].try_into().expect("7 bytes");
            assert_eq!(session_mac_key(key, counter, uid)[..], expected[..]);
        }
    }
}
