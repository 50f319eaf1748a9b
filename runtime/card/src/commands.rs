//! The native commands that we send, each with the reader of its answer.
//!
//! Commands inside a session take it as their first argument; those without work before any session.
//!
//! Source: `docs/card-protocol.md`, section "Commands".

use crate::apdu::{self, Status};
use crate::crypto;
use crate::error::{CardError, data_of};
use crate::key::{Key, UID_LEN};
use crate::secure_messaging::{Mode, Session};
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// INS of `SelectApplication`.
pub const INS_SELECT: u8 = 0x5A;
/// INS of `CreateApplication`.
pub const INS_CREATE_APPLICATION: u8 = 0xCA;
/// INS of `GetKeyVersion`.
pub const INS_KEY_VERSION: u8 = 0x64;
/// INS of `GetCardUID`.
pub const INS_CARD_UID: u8 = 0x51;
/// INS of `ChangeKey`.
pub const INS_CHANGE_KEY: u8 = 0xC4;
/// INS of `ReadData`.
pub const INS_READ_DATA: u8 = 0xBD;
/// INS of `WriteData`.
pub const INS_WRITE_DATA: u8 = 0x3D;
/// INS of `WriteRecord`.
pub const INS_WRITE_RECORD: u8 = 0x3B;
/// INS of `ReadRecords`.
pub const INS_READ_RECORDS: u8 = 0xBB;
/// INS of `GetValue`.
pub const INS_GET_VALUE: u8 = 0x6C;
/// INS of `Credit`.
pub const INS_CREDIT: u8 = 0x0C;
/// INS of `Debit`.
pub const INS_DEBIT: u8 = 0xDC;
/// INS of `CommitTransaction`.
pub const INS_COMMIT: u8 = 0xC7;

/// Flag in the key number of `ChangeKey` at PICC level: the new key is an AES key.
pub const KEY_TYPE_AES: u8 = 0x80;

/// Selects an application by number, `00 00 00` the PICC level; ends any session.
#[must_use]
pub fn select(aid: [u8; 3]) -> Vec<u8> {
    apdu::native(INS_SELECT, &aid)
}

/// Reads an answer without data and without MAC: exactly `91 00`.
///
/// That is the answer to Select, and to a change of the key that the session was opened with (which ends the session).
///
/// # Errors
/// [`CardError::Status`], [`CardError::Form`] when there are data, [`CardError::NotNative`].
pub fn open_done(answer: &[u8]) -> Result<(), CardError> {
    match data_of(answer, Status::Ok)? {
        [] => Ok(()),
        _ => Err(CardError::Form),
    }
}

/// Asks for the real UID.
///
/// # Errors
/// Those of [`Session::command`].
pub fn card_uid(session: &mut Session) -> Result<Vec<u8>, CardError> {
    session.command(INS_CARD_UID, &[], &[], Mode::Mac)
}

/// Opens the real UID, 7 bytes.
///
/// # Errors
/// Those of [`Session::response`]; [`CardError::Form`] for another length.
pub fn open_card_uid(session: &mut Session, answer: &[u8]) -> Result<[u8; UID_LEN], CardError> {
    fixed(&session.response(answer, Mode::Full)?)
}

/// Changes another key than the session's.
///
/// Data: new xor old 16, version 1, checksum of the new key 4; enciphered.
///
/// # Errors
/// Those of [`Session::command`].
pub fn change_key(
    session: &mut Session,
    key_no: u8,
    old: &Key,
    new: &Key,
    version: u8,
) -> Result<Vec<u8>, CardError> {
    let checksum = crypto::jamcrc(&[new.as_bytes()]).to_le_bytes();
    let mixed = new
        .as_bytes()
        .iter()
        .zip(old.as_bytes())
        .map(|(n, o)| n ^ o);
    let data: Zeroizing<Vec<u8>> = Zeroizing::new(mixed.chain([version]).chain(checksum).collect());
    session.command(INS_CHANGE_KEY, &[key_no], &data, Mode::Full)
}

/// Changes the key that the session was opened with; the answer is that of [`open_done`] and ends the session.
///
/// `key_no` carries [`KEY_TYPE_AES`] at PICC level. Data: new key 16, version 1; enciphered.
///
/// # Errors
/// Those of [`Session::command`].
pub fn change_own_key(
    session: &mut Session,
    key_no: u8,
    new: &Key,
    version: u8,
) -> Result<Vec<u8>, CardError> {
    let data: Zeroizing<Vec<u8>> =
        Zeroizing::new(new.as_bytes().iter().copied().chain([version]).collect());
    session.command(INS_CHANGE_KEY, &[key_no], &data, Mode::Full)
}

/// Reads `len` bytes from the start of a file in full mode.
///
/// # Errors
/// Those of [`Session::command`].
pub fn read_data(session: &mut Session, file_no: u8, len: u8) -> Result<Vec<u8>, CardError> {
    session.command(
        INS_READ_DATA,
        &[file_no, 0, 0, 0, len, 0, 0],
        &[],
        Mode::Full,
    )
}

/// Writes bytes from the start of a file in full mode.
///
/// # Errors
/// Those of [`Session::command`].
pub fn write_data(session: &mut Session, file_no: u8, data: &[u8]) -> Result<Vec<u8>, CardError> {
    write(session, INS_WRITE_DATA, file_no, data)
}

/// Writes one record from its start in full mode; it counts from the commit on.
///
/// # Errors
/// Those of [`Session::command`].
pub fn write_record(session: &mut Session, file_no: u8, data: &[u8]) -> Result<Vec<u8>, CardError> {
    write(session, INS_WRITE_RECORD, file_no, data)
}

fn write(session: &mut Session, ins: u8, file_no: u8, data: &[u8]) -> Result<Vec<u8>, CardError> {
    let len = u8::try_from(data.len()).map_err(|_| CardError::TooLong)?;
    session.command(ins, &[file_no, 0, 0, 0, len, 0, 0], data, Mode::Full)
}

/// Reads the newest record in full mode; a file without records answers `BE`.
///
/// # Errors
/// Those of [`Session::command`].
pub fn read_newest_record(session: &mut Session, file_no: u8) -> Result<Vec<u8>, CardError> {
    session.command(
        INS_READ_RECORDS,
        &[file_no, 0, 0, 0, 1, 0, 0],
        &[],
        Mode::Full,
    )
}

/// Reads all records in full mode, oldest first; a file without records answers `BE`.
///
/// # Errors
/// Those of [`Session::command`].
pub fn read_all_records(session: &mut Session, file_no: u8) -> Result<Vec<u8>, CardError> {
    session.command(
        INS_READ_RECORDS,
        &[file_no, 0, 0, 0, 0, 0, 0],
        &[],
        Mode::Full,
    )
}

/// Asks for the committed value of a value file in full mode.
///
/// # Errors
/// Those of [`Session::command`].
pub fn value(session: &mut Session, file_no: u8) -> Result<Vec<u8>, CardError> {
    session.command(INS_GET_VALUE, &[file_no], &[], Mode::Full)
}

/// Opens the committed value: 4 bytes, signed, least significant byte first.
///
/// # Errors
/// Those of [`Session::response`]; [`CardError::Form`] for another length.
pub fn open_value(session: &mut Session, answer: &[u8]) -> Result<i32, CardError> {
    Ok(i32::from_le_bytes(fixed(
        &session.response(answer, Mode::Full)?,
    )?))
}

/// Adds to a value file in full mode; it counts from the commit on.
///
/// # Errors
/// Those of [`Session::command`].
pub fn credit(session: &mut Session, file_no: u8, amount: i32) -> Result<Vec<u8>, CardError> {
    session.command(INS_CREDIT, &[file_no], &amount.to_le_bytes(), Mode::Full)
}

/// Takes from a value file; counts when the transaction is committed. Debit `DC`, full mode.
///
/// # Errors
/// Those of [`Session::command`].
pub fn debit(session: &mut Session, file_no: u8, amount: i32) -> Result<Vec<u8>, CardError> {
    session.command(INS_DEBIT, &[file_no], &amount.to_le_bytes(), Mode::Full)
}

/// Commits everything pending at once, without asking for a transaction MAC.
///
/// # Errors
/// Those of [`Session::command`].
pub fn commit(session: &mut Session) -> Result<Vec<u8>, CardError> {
    session.command(INS_COMMIT, &[], &[], Mode::Mac)
}

/// Exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], CardError> {
    bytes.try_into().map_err(|_| CardError::Form)
}
