//! Files of an application: content, communication mode and access rights.

use alloc::vec;
use alloc::vec::Vec;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::fault::Fault;
use crate::params::u24_bytes;
use crate::session::Mode;

/// Bytes of a transaction counter and its MAC, the content of a Transaction MAC file.
pub(crate) const TRANSACTION_MAC_LEN: usize = 12;

const FREE: u8 = 0xE;
const NEVER: u8 = 0xF;

/// One file: its settings and its committed content.
#[derive(Clone, Encode, Decode)]
pub(crate) struct File {
    #[n(0)]
    mode: u8,
    #[n(1)]
    pub(crate) access: AccessRights,
    #[n(2)]
    pub(crate) body: Body,
}

/// Committed content by file type.
#[derive(Clone, Encode, Decode)]
pub(crate) enum Body {
    /// Written at once, outside any transaction.
    #[n(0)]
    Standard(#[n(0)] ByteVec),
    /// Written through a shadow copy that becomes the content at commit.
    #[n(1)]
    Backup(#[n(0)] ByteVec),
    /// A signed amount between two limits.
    #[n(2)]
    Value(#[n(0)] ValueBody),
    /// Equal-sized records.
    #[n(3)]
    Records(#[n(0)] RecordBody),
    /// Counter and MAC of the last committed transaction.
    #[n(4)]
    TransactionMac(#[n(0)] TransactionMacBody),
}

/// Content of a value file; `lower <= value <= upper`.
#[derive(Clone, Copy, Encode, Decode)]
pub(crate) struct ValueBody {
    #[n(0)]
    pub(crate) lower: i32,
    #[n(1)]
    pub(crate) upper: i32,
    #[n(2)]
    pub(crate) value: i32,
    #[n(3)]
    pub(crate) free_get_value: bool,
}

/// Content of a record file, oldest record first.
#[derive(Clone, Encode, Decode)]
pub(crate) struct RecordBody {
    #[n(0)]
    pub(crate) cyclic: bool,
    #[n(1)]
    pub(crate) record_len: usize,
    #[n(2)]
    pub(crate) records_max: usize,
    #[n(3)]
    pub(crate) records: Vec<ByteVec>,
}

/// Key and last result of the application's transaction MAC.
#[derive(Clone, Encode, Decode)]
pub(crate) struct TransactionMacBody {
    #[n(0)]
    pub(crate) key: crate::picc::KeySlot,
    #[n(1)]
    pub(crate) counter: u32,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) mac: [u8; 8],
}

/// Four nibbles: read, write, read-and-write, change.
///
/// On the wire two bytes, low byte first. Source: docs/card-protocol.md.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct AccessRights(#[n(0)] u16);

/// What a command wants to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    ReadData,
    WriteData,
    ReadValue,
    Credit,
    Debit,
    ReadRecords,
    WriteRecord,
}

impl AccessRights {
    /// Reads the wire form and checks each key number against the application's keys.
    pub(crate) fn parse(wire: [u8; 2], keys: usize) -> Result<Self, Fault> {
        let rights = Self(u16::from_le_bytes(wire));
        let known = |nibble: u8| nibble == FREE || nibble == NEVER || usize::from(nibble) < keys;
        if rights.nibbles().into_iter().all(known) {
            Ok(rights)
        } else {
            Err(Fault::Parameter)
        }
    }

    pub(crate) const fn wire(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }

    const fn nibbles(self) -> [u8; 4] {
        let [low, high] = self.0.to_le_bytes();
        [high >> 4, high & 0xF, low >> 4, low & 0xF]
    }

    pub(crate) const fn change(self) -> u8 {
        self.nibbles()[3]
    }

    /// Write and read-write are never given, as a Transaction MAC file of this card needs.
    pub(crate) const fn is_read_only(self) -> bool {
        let [_, write, read_write, _] = self.nibbles();
        write == NEVER && read_write == NEVER
    }
}

impl File {
    /// `mode`: 0 or 2 plain, 1 MAC, 3 Full; anything else is [`Fault::Parameter`].
    pub(crate) fn new(mode: u8, access: AccessRights, body: Body) -> Result<Self, Fault> {
        Mode::from_file_setting(mode).ok_or(Fault::Parameter)?;
        Ok(Self { mode, access, body })
    }

    pub(crate) fn change_settings(&mut self, mode: u8, access: AccessRights) -> Result<(), Fault> {
        Mode::from_file_setting(mode).ok_or(Fault::Parameter)?;
        self.mode = mode;
        self.access = access;
        Ok(())
    }

    /// How `operation` travels under `session_key`, or why it is refused.
    ///
    /// The session's key first, then a free right (which makes the exchange plain even inside a
    /// session). Source: docs/card-protocol.md.
    pub(crate) fn admit(
        &self,
        operation: Operation,
        session_key: Option<u8>,
    ) -> Result<Mode, Fault> {
        self.decide(self.keys_for(operation)?, session_key)
    }

    /// Like [`File::admit`], for changing the settings themselves (always Full under a key).
    pub(crate) fn admit_change(&self, session_key: Option<u8>) -> Result<Mode, Fault> {
        let nibble = self.access.change();
        match self.decide([nibble, NEVER, NEVER, NEVER], session_key)? {
            Mode::Plain if nibble == FREE => Ok(Mode::Plain),
            Mode::Plain | Mode::Mac | Mode::Full => Ok(Mode::Full),
        }
    }

    fn decide(&self, allowed: [u8; 4], session_key: Option<u8>) -> Result<Mode, Fault> {
        if session_key.is_some_and(|key| allowed.contains(&key)) {
            return Mode::from_file_setting(self.mode).ok_or(Fault::Parameter);
        }
        if allowed.contains(&FREE) {
            return Ok(Mode::Plain);
        }
        if session_key.is_some() || allowed == [NEVER; 4] {
            return Err(Fault::PermissionDenied);
        }
        Err(Fault::Authentication)
    }

    fn keys_for(&self, operation: Operation) -> Result<[u8; 4], Fault> {
        let [read, write, read_write, _] = self.access.nibbles();
        match (&self.body, operation) {
            (Body::Standard(_) | Body::Backup(_), Operation::ReadData)
            | (Body::Records(_), Operation::ReadRecords) => Ok([read, read_write, NEVER, NEVER]),
            (Body::Standard(_) | Body::Backup(_), Operation::WriteData)
            | (Body::Records(_), Operation::WriteRecord) => Ok([write, read_write, NEVER, NEVER]),
            (Body::Value(body), Operation::ReadValue) => {
                let free = if body.free_get_value { FREE } else { NEVER };
                Ok([read, write, read_write, free])
            }
            (Body::Value(_), Operation::Debit) => Ok([read, write, read_write, NEVER]),
            (Body::Value(_), Operation::Credit) => Ok([read_write, NEVER, NEVER, NEVER]),
            (Body::TransactionMac(_), Operation::ReadData) => Ok([read, NEVER, NEVER, NEVER]),
            (
                Body::Standard(_)
                | Body::Backup(_)
                | Body::Value(_)
                | Body::Records(_)
                | Body::TransactionMac(_),
                _,
            ) => Err(Fault::PermissionDenied),
        }
    }

    /// Answer of `GetFileSettings`. Source: docs/card-protocol.md.
    pub(crate) fn settings(&self) -> Vec<u8> {
        let mut out = vec![self.body.type_byte(), self.mode];
        out.extend(self.access.wire());
        match &self.body {
            Body::Standard(content) | Body::Backup(content) => out.extend(u24_bytes(content.len())),
            Body::Value(body) => {
                out.extend(body.lower.to_le_bytes());
                out.extend(body.upper.to_le_bytes());
                out.extend([0; 4]); // no limited credit on this card
                out.push(if body.free_get_value { 2 } else { 0 });
            }
            Body::Records(body) => {
                out.extend(u24_bytes(body.record_len));
                out.extend(u24_bytes(body.records_max));
                out.extend(u24_bytes(body.records.len()));
            }
            Body::TransactionMac(body) => out.extend([2, body.key.version]),
        }
        out
    }

    /// Whether the content is one that commands can have made, in at most `len_max` bytes.
    pub(crate) fn is_sound(&self, len_max: usize) -> bool {
        Mode::from_file_setting(self.mode).is_some()
            && self.memory_len() <= len_max
            && match &self.body {
                Body::Standard(_) | Body::Backup(_) | Body::TransactionMac(_) => true,
                Body::Value(body) => (body.lower..=body.upper).contains(&body.value),
                Body::Records(body) => {
                    body.records.len() <= body.readable_max()
                        && body
                            .records
                            .iter()
                            .all(|record| record.len() == body.record_len)
                }
            }
    }

    /// Memory the file takes, in bytes, before rounding to the card's pages.
    pub(crate) fn memory_len(&self) -> usize {
        match &self.body {
            Body::Standard(content) => content.len(),
            Body::Backup(content) => content.len().saturating_mul(2),
            Body::Value(_) | Body::TransactionMac(_) => 32,
            Body::Records(body) => body.record_len.saturating_mul(body.records_max),
        }
    }
}

impl Body {
    const fn type_byte(&self) -> u8 {
        match self {
            Self::Standard(_) => 0,
            Self::Backup(_) => 1,
            Self::Value(_) => 2,
            Self::Records(body) if body.cyclic => 4,
            Self::Records(_) => 3,
            Self::TransactionMac(_) => 5,
        }
    }
}

impl Body {
    /// Whether `offset..offset + len` can be written: inside the file or its record, not empty.
    pub(crate) fn check_write(&self, offset: usize, len: usize) -> Result<(), Fault> {
        let size = match self {
            Self::Standard(content) | Self::Backup(content) => content.len(),
            Self::Records(body) => body.record_len,
            Self::Value(_) | Self::TransactionMac(_) => return Err(Fault::PermissionDenied),
        };
        if len == 0 {
            return Err(Fault::Parameter);
        }
        match offset.checked_add(len) {
            Some(end) if end <= size => Ok(()),
            Some(_) | None => Err(Fault::Boundary),
        }
    }
}

impl RecordBody {
    /// Records that can be read; a cyclic file keeps one place for the record being written.
    pub(crate) const fn readable_max(&self) -> usize {
        if self.cyclic {
            self.records_max.saturating_sub(1)
        } else {
            self.records_max
        }
    }

    /// Records `first..first + count` counted back from the newest (0), oldest first.
    ///
    /// `count` 0 reaches back to the oldest. [`Fault::Boundary`] when any of them is missing.
    pub(crate) fn range(&self, first: usize, count: usize) -> Result<&[ByteVec], Fault> {
        let end = self
            .records
            .len()
            .checked_sub(first)
            .ok_or(Fault::Boundary)?;
        let start = if count == 0 {
            0
        } else {
            end.checked_sub(count).ok_or(Fault::Boundary)?
        };
        match self.records.get(start..end) {
            Some(records) if !records.is_empty() => Ok(records),
            Some(_) | None => Err(Fault::Boundary),
        }
    }

    /// Appends at commit; a full cyclic file loses its oldest record.
    pub(crate) fn append(&mut self, record: Vec<u8>) {
        if self.cyclic && self.records.len() >= self.readable_max() && !self.records.is_empty() {
            self.records.remove(0);
        }
        self.records.push(record.into());
    }
}

impl TransactionMacBody {
    pub(crate) fn content(&self) -> [u8; TRANSACTION_MAC_LEN] {
        let mut out = [0; TRANSACTION_MAC_LEN];
        let bytes = self.counter.to_le_bytes().into_iter().chain(self.mac);
        for (slot, byte) in out.iter_mut().zip(bytes) {
            *slot = byte;
        }
        out
    }
}
