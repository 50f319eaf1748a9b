//! The card commands that a program knows by itself: identity, select, first handshake command.

use crate::buffer::Buffer;
use crate::{Failure, Host, PARTS_MAX, ReaderError};

/// Most data that one answer may have: with the status it is the issuer's limit of 512 bytes.
const DATA_LEN_MAX: usize = 510;

/// Native status 00, wrapped: done.
pub(crate) const DONE: [u8; 2] = [0x91, 0x00];
/// Native status AF, wrapped: the card has more to send, or waits for more.
const MORE: [u8; 2] = [0x91, 0xaf];
/// ISO/IEC 7816-4 normal processing; the answer of a reader to its own `FF` commands.
const READER_DONE: [u8; 2] = [0x90, 0x00];

/// PC/SC part 3, section 3.2.2.1.3: the reader reports the UID.
const GET_UID: [u8; 5] = [0xff, 0xca, 0x00, 0x00, 0x00];
/// GetVersion, the only other way to the UID without a key.
const GET_VERSION: [u8; 5] = [0x90, 0x60, 0x00, 0x00, 0x00];
/// Selects the purse application, AID 45 4D 31 as it is sent.
const SELECT_PURSE: [u8; 9] = [0x90, 0x5a, 0x00, 0x00, 0x03, 0x45, 0x4d, 0x31, 0x00];
/// Asks the card for the next part of its answer.
const CONTINUE: [u8; 5] = [0x90, 0xaf, 0x00, 0x00, 0x00];

/// Where GetVersion's 28 bytes (hardware 7, software 7, production 14) hold the UID.
const VERSION_LEN: usize = 28;
const VERSION_UID_AT: usize = 14;

/// What the issuer needs to authenticate the card: who it says it is, and its challenge.
pub(crate) struct Challenge {
    pub(crate) uid: [u8; 7],
    pub(crate) handshake: [u8; 16],
}

/// One answer of the card: the data of all its parts, and the status of the last.
pub(crate) struct Answer {
    data: Buffer<DATA_LEN_MAX>,
    pub(crate) status: [u8; 2],
}

impl Answer {
    const fn new() -> Self {
        Self {
            data: Buffer::new(),
            status: MORE,
        }
    }

    /// Adds one part as it came from the card.
    fn join(&mut self, part: &[u8]) -> Result<(), ReaderError> {
        let (data, status) = part.split_last_chunk().ok_or(ReaderError::Failed)?;
        self.data.push(data);
        self.status = *status;
        self.data.bytes().map(|_| ()).ok_or(ReaderError::Failed)
    }

    pub(crate) fn data(&self) -> &[u8] {
        self.data.bytes().unwrap_or_default()
    }
}

/// Finds the card's identity, selects the purse and draws a challenge for `key_number`.
pub(crate) fn open(host: &mut impl Host, key_number: u8) -> Result<Challenge, Failure> {
    let uid = uid(host)?;
    let selected = transmit(host, &SELECT_PURSE)?;
    if selected.status != DONE {
        return Err(Failure::CardUnsupported);
    }
    let first = transmit(
        host,
        &[0x90, 0x71, 0x00, 0x00, 0x02, key_number, 0x00, 0x00],
    )?;
    match (first.status, first.data().try_into()) {
        (MORE, Ok(handshake)) => Ok(Challenge { uid, handshake }),
        _ => Err(Failure::CardUnsupported),
    }
}

/// The card's 7-byte UID; zeros are a card with a random identity, which no purse may have.
fn uid(host: &mut impl Host) -> Result<[u8; 7], Failure> {
    let by_reader = transmit(host, &GET_UID)?;
    let uid = match (by_reader.status, by_reader.data().try_into()) {
        (READER_DONE, Ok(uid)) => uid,
        _ => uid_of_version(&perform(host, &GET_VERSION).map_err(|_| Failure::Reader)?)
            .ok_or(Failure::CardUnsupported)?,
    };
    if uid == [0; 7] {
        Err(Failure::CardUnsupported)
    } else {
        Ok(uid)
    }
}

fn uid_of_version(version: &Answer) -> Option<[u8; 7]> {
    let data: &[u8; VERSION_LEN] = version.data().try_into().ok()?;
    let uid = data.get(VERSION_UID_AT..)?.first_chunk()?;
    (version.status == DONE).then_some(*uid)
}

/// Sends one command and takes the first part of its answer for the whole.
fn transmit(host: &mut impl Host, command: &[u8]) -> Result<Answer, Failure> {
    let mut answer = Answer::new();
    let part = host.transmit(command).map_err(|_| Failure::Reader)?;
    answer.join(&part).map_err(|_| Failure::Reader)?;
    Ok(answer)
}

/// Sends one command and joins the parts of its answer.
///
/// More than [`PARTS_MAX`] parts, a part without a status, or more data than
/// [`DATA_LEN_MAX`] are a failed reader.
pub(crate) fn perform(host: &mut impl Host, command: &[u8]) -> Result<Answer, ReaderError> {
    let mut answer = Answer::new();
    let mut command = command;
    for _ in 0..PARTS_MAX {
        let part = host.transmit(command)?;
        answer.join(&part)?;
        if answer.status != MORE {
            return Ok(answer);
        }
        command = &CONTINUE;
    }
    Err(ReaderError::Failed)
}
