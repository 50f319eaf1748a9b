//! What the card keeps without power: identity, keys, applications, files.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::fault::Fault;
use crate::file::File;

/// Files of one application. Source: docs/card-protocol.md.
pub(crate) const FILES_MAX: usize = 32;
/// Applications of one card; the first generation's number, which later ones exceed.
pub(crate) const APPLICATIONS_MAX: usize = 28;
/// Keys of one application.
pub(crate) const KEYS_MAX: usize = 14;
/// Memory for applications and files, in bytes: that of a card which says "4K".
const MEMORY_LEN_MAX: usize = 4096;
/// Memory is given out in pages of this many bytes.
const PAGE_LEN: usize = 32;

/// Three bytes as sent, least significant first.
pub(crate) type Aid = [u8; 3];

/// The persistent state of one card.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Picc {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) uid: [u8; 7],
    #[n(1)]
    pub(crate) key_settings: u8,
    #[n(2)]
    pub(crate) master_key: MasterKey,
    #[n(3)]
    pub(crate) applications: Vec<Application>,
    #[n(4)]
    memory_used: usize,
}

/// The card's own key 0.
#[derive(Clone, Encode, Decode)]
pub(crate) enum MasterKey {
    /// As shipped: 16 zero bytes for legacy DES, of no use to EV2 messaging.
    #[n(0)]
    FactoryDes,
    /// After `ChangeKey` with type AES.
    #[n(1)]
    Aes(#[n(0)] KeySlot),
}

/// An AES-128 key with its version byte; erased when dropped.
#[derive(Clone, Encode, Decode, Zeroize, ZeroizeOnDrop)]
pub(crate) struct KeySlot {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) key: [u8; 16],
    #[n(1)]
    pub(crate) version: u8,
}

/// One application.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Application {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) aid: Aid,
    #[n(1)]
    pub(crate) key_settings: u8,
    #[n(2)]
    pub(crate) keys: Vec<KeySlot>,
    #[n(3)]
    pub(crate) files: BTreeMap<u8, File>,
}

impl fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl KeySlot {
    pub(crate) const ZERO: Self = Self {
        key: [0; 16],
        version: 0,
    };
}

impl Picc {
    /// A card as the factory ships it: nothing on it, free creation of applications.
    pub(crate) const fn factory(uid: [u8; 7]) -> Self {
        Self {
            uid,
            key_settings: 0x0F,
            master_key: MasterKey::FactoryDes,
            applications: Vec::new(),
            memory_used: 0,
        }
    }

    pub(crate) fn application(&self, aid: Aid) -> Option<&Application> {
        self.applications
            .iter()
            .find(|application| application.aid == aid)
    }

    pub(crate) fn application_mut(&mut self, aid: Aid) -> Option<&mut Application> {
        self.applications
            .iter_mut()
            .find(|application| application.aid == aid)
    }

    /// Free memory, in bytes.
    pub(crate) const fn memory_free(&self) -> usize {
        MEMORY_LEN_MAX.saturating_sub(self.memory_used)
    }

    /// Takes whole pages for `len` bytes; [`Fault::OutOfMemory`] takes nothing.
    pub(crate) fn take_memory(&mut self, len: usize) -> Result<(), Fault> {
        let len = len
            .checked_next_multiple_of(PAGE_LEN)
            .ok_or(Fault::OutOfMemory)?;
        if len > self.memory_free() {
            return Err(Fault::OutOfMemory);
        }
        self.memory_used = self.memory_used.saturating_add(len);
        Ok(())
    }

    /// Whether the sizes are those of a card: guards what was loaded from a file.
    pub(crate) fn is_sound(&self) -> bool {
        self.memory_used <= MEMORY_LEN_MAX
            && self.applications.len() <= APPLICATIONS_MAX
            && self.applications.iter().all(|application| {
                (1..=KEYS_MAX).contains(&application.keys.len())
                    && application.files.len() <= FILES_MAX
                    && application
                        .files
                        .values()
                        .all(|file| file.is_sound(MEMORY_LEN_MAX))
            })
    }

    /// Deletes every application and gives the memory back; the master key stays.
    pub(crate) fn format(&mut self) {
        self.applications.clear();
        self.memory_used = 0;
    }
}

impl Application {
    pub(crate) fn new(aid: Aid, key_settings: u8, keys: usize) -> Self {
        Self {
            aid,
            key_settings,
            keys: vec![KeySlot::ZERO; keys],
            files: BTreeMap::new(),
        }
    }

    pub(crate) fn file(&self, number: u8) -> Result<&File, Fault> {
        self.files.get(&number).ok_or(Fault::FileNotFound)
    }

    pub(crate) fn file_mut(&mut self, number: u8) -> Result<&mut File, Fault> {
        self.files.get_mut(&number).ok_or(Fault::FileNotFound)
    }
}
