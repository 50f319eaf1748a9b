//! The error statuses this card answers with.

/// A refusal of the card; its number is the native status byte.
///
/// Every fault ends the session and aborts the open transaction.
/// Source: docs/card-protocol.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// Nothing to commit or to abort.
    NoChange = 0x0C,
    /// The card's memory is used up.
    OutOfMemory = 0x0E,
    /// Unknown command, or a continuation without anything to continue.
    IllegalCommand = 0x1C,
    /// MAC, padding or checksum wrong.
    Integrity = 0x1E,
    /// The key number is higher than the level's last key.
    NoSuchKey = 0x40,
    /// The command's length fits none of its forms.
    Length = 0x7E,
    /// The right is never given, or not to this session's key, or not at this level.
    PermissionDenied = 0x9D,
    /// A parameter lies outside its domain.
    Parameter = 0x9E,
    /// No such application.
    ApplicationNotFound = 0xA0,
    /// A key is needed and missing, or the handshake failed.
    Authentication = 0xAE,
    /// Outside a file, a value limit or the list of records.
    Boundary = 0xBE,
    /// No more applications or files fit.
    TooMany = 0xCE,
    /// The application or file exists.
    Duplicate = 0xDE,
    /// No such file.
    FileNotFound = 0xF0,
}

impl Fault {
    /// The second status byte, after `91`.
    pub(crate) const fn status(self) -> u8 {
        self as u8
    }
}
