//! Which bytes a command consists of, and how they travel, before it is carried out.

use crate::fault::Fault;
use crate::file::Operation;
use crate::params::Params;
use crate::picc::{Aid, Application, Picc};
use crate::session::Mode;

/// Commands that are carried out by a parameter list; select and handshakes are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ins {
    GetVersion,
    GetCardUid,
    FreeMemory,
    GetApplicationIds,
    GetFileIds,
    GetKeySettings,
    GetKeyVersion,
    GetFileSettings,
    CreateApplication,
    DeleteApplication,
    Format,
    CreateFile(FileKind),
    ChangeKey,
    ChangeKeySettings,
    ChangeFileSettings,
    GetValue,
    Credit,
    Debit,
    ReadData,
    WriteData,
    ReadRecords,
    WriteRecord,
    Commit,
    Abort,
}

/// File types that can be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Standard,
    Backup,
    Value,
    Linear,
    Cyclic,
    TransactionMac,
}

/// The level that a command belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Picc,
    Application,
    Anywhere,
}

impl Ins {
    /// Reads the command byte; the second-generation twins mean the same commands.
    pub(crate) const fn parse(byte: u8) -> Result<Self, Fault> {
        Ok(match byte {
            0x60 => Self::GetVersion,
            0x51 => Self::GetCardUid,
            0x6E => Self::FreeMemory,
            0x6A => Self::GetApplicationIds,
            0x6F => Self::GetFileIds,
            0x45 => Self::GetKeySettings,
            0x64 => Self::GetKeyVersion,
            0xF5 => Self::GetFileSettings,
            0xCA => Self::CreateApplication,
            0xDA => Self::DeleteApplication,
            0xFC => Self::Format,
            0xCD => Self::CreateFile(FileKind::Standard),
            0xCB => Self::CreateFile(FileKind::Backup),
            0xCC => Self::CreateFile(FileKind::Value),
            0xC1 => Self::CreateFile(FileKind::Linear),
            0xC0 => Self::CreateFile(FileKind::Cyclic),
            0xCE => Self::CreateFile(FileKind::TransactionMac),
            0xC4 => Self::ChangeKey,
            0x54 => Self::ChangeKeySettings,
            0x5F => Self::ChangeFileSettings,
            0x6C => Self::GetValue,
            0x0C => Self::Credit,
            0xDC => Self::Debit,
            0xBD | 0xAD => Self::ReadData,
            0x3D | 0x8D => Self::WriteData,
            0xBB | 0xAB => Self::ReadRecords,
            0x3B | 0x8B => Self::WriteRecord,
            0xC7 => Self::Commit,
            0xA7 => Self::Abort,
            _ => return Err(Fault::IllegalCommand),
        })
    }

    pub(crate) const fn place(self) -> Place {
        match self {
            Self::GetVersion
            | Self::GetCardUid
            | Self::GetKeySettings
            | Self::GetKeyVersion
            | Self::ChangeKey
            | Self::ChangeKeySettings => Place::Anywhere,
            Self::FreeMemory
            | Self::GetApplicationIds
            | Self::CreateApplication
            | Self::DeleteApplication
            | Self::Format => Place::Picc,
            Self::GetFileIds
            | Self::GetFileSettings
            | Self::CreateFile(_)
            | Self::ChangeFileSettings
            | Self::GetValue
            | Self::Credit
            | Self::Debit
            | Self::ReadData
            | Self::WriteData
            | Self::ReadRecords
            | Self::WriteRecord
            | Self::Commit
            | Self::Abort => Place::Application,
        }
    }

    /// The data of these may come in several frames.
    pub(crate) const fn takes_frames(self) -> bool {
        matches!(self, Self::WriteData | Self::WriteRecord)
    }
}

/// Lengths and modes of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) request: Mode,
    pub(crate) response: Mode,
    /// Bytes in clear before the data.
    pub(crate) header_len: usize,
    /// Bytes of data before encryption.
    pub(crate) data_len: usize,
}

/// What a plan depends on besides the command's own bytes.
pub(crate) struct Setting<'a> {
    pub(crate) picc: &'a Picc,
    pub(crate) selected: Option<Aid>,
    pub(crate) session_key: Option<u8>,
}

impl Plan {
    /// Bytes in front of the data of a write: file number 1, offset 3, length 3.
    pub(crate) const WRITE_HEADER_LEN: usize = 7;

    /// Header, data and MAC as they arrive.
    pub(crate) const fn body_len(&self) -> usize {
        self.header_len
            .saturating_add(self.request.wire_len(self.data_len))
    }

    const fn same(mode: Mode, header_len: usize, data_len: usize) -> Self {
        Self {
            request: mode,
            response: mode,
            header_len,
            data_len,
        }
    }
}

impl Setting<'_> {
    /// The selected application; [`Fault::PermissionDenied`] at the PICC level.
    pub(crate) fn application(&self) -> Result<&Application, Fault> {
        self.selected
            .and_then(|aid| self.picc.application(aid))
            .ok_or(Fault::PermissionDenied)
    }

    /// Plans `ins` from as much of `body` as has come; at least its header must be there.
    ///
    /// Source: docs/card-protocol.md.
    pub(crate) fn plan(&self, ins: Ins, body: &[u8]) -> Result<Plan, Fault> {
        let allowed = match ins.place() {
            Place::Picc => self.selected.is_none(),
            Place::Application => self.selected.is_some(),
            Place::Anywhere => true,
        };
        if !allowed {
            return Err(Fault::PermissionDenied);
        }
        let mac = if self.session_key.is_some() {
            Mode::Mac
        } else {
            Mode::Plain
        };
        Ok(match ins {
            Ins::GetVersion
            | Ins::FreeMemory
            | Ins::GetApplicationIds
            | Ins::GetFileIds
            | Ins::GetKeySettings
            | Ins::Format
            | Ins::Abort => Plan::same(mac, 0, 0),
            Ins::GetKeyVersion | Ins::GetFileSettings => Plan::same(mac, 1, 0),
            Ins::DeleteApplication => Plan::same(mac, 3, 0),
            Ins::CreateApplication => Plan::same(mac, 5, 0),
            Ins::CreateFile(kind) => match kind {
                FileKind::Standard | FileKind::Backup => Plan::same(mac, 7, 0),
                FileKind::Linear | FileKind::Cyclic => Plan::same(mac, 10, 0),
                FileKind::Value => Plan::same(mac, 17, 0),
                FileKind::TransactionMac => self.full(5, 17)?,
            },
            Ins::Commit => Plan::same(mac, usize::from(body.len() == mac.wire_len(1)), 0),
            Ins::GetCardUid => {
                self.need_session()?;
                Plan {
                    request: Mode::Mac,
                    response: Mode::Full,
                    header_len: 0,
                    data_len: 0,
                }
            }
            Ins::ChangeKeySettings => self.full(0, 1)?,
            Ins::ChangeKey => {
                let own = self.need_session()? == Params::new(body).byte()? & 0x0F;
                self.full(1, if own { 17 } else { 21 })?
            }
            Ins::ChangeFileSettings => {
                let file = self.application()?.file(Params::new(body).byte()?)?;
                Plan::same(file.admit_change(self.session_key)?, 1, 3)
            }
            Ins::GetValue => Plan::same(self.admit(Operation::ReadValue, body)?, 1, 0),
            Ins::Credit => Plan::same(self.admit(Operation::Credit, body)?, 1, 4),
            Ins::Debit => Plan::same(self.admit(Operation::Debit, body)?, 1, 4),
            Ins::ReadData => self.read_plan(Operation::ReadData, body)?,
            Ins::ReadRecords => self.read_plan(Operation::ReadRecords, body)?,
            Ins::WriteData => self.write_plan(Operation::WriteData, body)?,
            Ins::WriteRecord => self.write_plan(Operation::WriteRecord, body)?,
        })
    }

    fn need_session(&self) -> Result<u8, Fault> {
        self.session_key.ok_or(Fault::Authentication)
    }

    fn full(&self, header_len: usize, data_len: usize) -> Result<Plan, Fault> {
        self.need_session()?;
        Ok(Plan::same(Mode::Full, header_len, data_len))
    }

    fn admit(&self, operation: Operation, body: &[u8]) -> Result<Mode, Fault> {
        let number = Params::new(body).byte()?;
        self.application()?
            .file(number)?
            .admit(operation, self.session_key)
    }

    /// A read carries only its header; without a MAC in plain mode.
    fn read_plan(&self, operation: Operation, body: &[u8]) -> Result<Plan, Fault> {
        Ok(Plan::same(self.admit(operation, body)?, 7, 0))
    }

    /// A write names the length of its data, which must lie inside the file.
    fn write_plan(&self, operation: Operation, body: &[u8]) -> Result<Plan, Fault> {
        let mode = self.admit(operation, body)?;
        let mut params = Params::new(body);
        let (number, offset, len) = (params.byte()?, params.u24()?, params.u24()?);
        self.application()?
            .file(number)?
            .body
            .check_write(offset, len)?;
        Ok(Plan::same(mode, Plan::WRITE_HEADER_LEN, len))
    }
}
