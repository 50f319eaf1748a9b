//! Command and answer bytes as they cross the reader: short APDUs of ISO/IEC 7816-4 and the wrapped native form.
//!
//! A native DESFire command is wrapped as `90 INS 00 00 [Lc data] 00` and answered by `data 91 ST`.
//! This module knows lengths and framing, and nothing of what a command means.
//!
//! Source: `docs/card-protocol.md`, section "Framing".

use alloc::vec::Vec;

/// CLA of a wrapped native command.
pub const CLA_NATIVE: u8 = 0x90;
/// INS of "here is more" and "give me more": continues a chained command or answer.
pub const INS_MORE: u8 = 0xAF;
/// SW1 of every answer to a wrapped native command.
pub const SW1_NATIVE: u8 = 0x91;

/// Longest short APDU in bytes: header 4, Lc 1, data 255, Le 1.
pub const COMMAND_LEN_MAX: usize = 261;
/// Most data bytes that we put in one native command: what every card generation takes with its smallest usual frame of
/// 64 bytes, so that no command of ours ever needs to be cut.
pub const DATA_LEN_MAX: usize = 55;

/// Why bytes are not a command or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApduError {
    /// Fewer bytes than the fixed part: 4 of a command, 2 of an answer.
    #[error("fewer bytes than the fixed part of an APDU")]
    Short,
    /// Lc does not agree with the bytes that are there, or announces an extended length.
    #[error("length byte and bytes present disagree")]
    Length,
    /// More than [`DATA_LEN_MAX`] data bytes for a command of ours.
    #[error("more data than fits one native command")]
    TooLong,
}

/// A short command APDU, in any of the four cases of ISO/IEC 7816-4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// Data, `0..=255` bytes; empty when there is no Lc.
    pub data: &'a [u8],
    /// Le as sent, `None` when absent; 0 asks for up to 256 bytes.
    pub le: Option<u8>,
}

impl<'a> Command<'a> {
    /// Reads a short APDU.
    ///
    /// # Errors
    /// [`ApduError::Short`] below 4 bytes; [`ApduError::Length`] when Lc and the bytes disagree, also for Lc = 00
    /// with bytes behind it (an extended length).
    /// Source: ISO/IEC 7816-4, section on command-response pairs.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApduError> {
        let ([cla, ins, p1, p2], body) = bytes.split_first_chunk().ok_or(ApduError::Short)?;
        let (data, le): (&[u8], _) = match body {
            [] => (&[], None),
            [le] => (&[], Some(*le)),
            [lc, rest @ ..] => {
                let (data, le) = rest
                    .split_at_checked(usize::from(*lc))
                    .ok_or(ApduError::Length)?;
                match (data, le) {
                    ([], _) => return Err(ApduError::Length),
                    (data, []) => (data, None),
                    (data, [le]) => (data, Some(*le)),
                    (_, [_, _, ..]) => return Err(ApduError::Length),
                }
            }
        };
        Ok(Self {
            cla: *cla,
            ins: *ins,
            p1: *p1,
            p2: *p2,
            data,
            le,
        })
    }

    /// INS and data of a wrapped native command, or `None` when this is another kind of command.
    ///
    /// Native means CLA 90 and both parameters 00. Le is not looked at.
    #[must_use]
    pub const fn native(&self) -> Option<(u8, &'a [u8])> {
        match self {
            Self {
                cla: CLA_NATIVE,
                p1: 0,
                p2: 0,
                ins,
                data,
                ..
            } => Some((*ins, *data)),
            Self { .. } => None,
        }
    }
}

/// Wraps a native command whose length is known at compile time.
///
/// Gives `90 INS 00 00 Lc data 00`, or `90 INS 00 00 00` without data. More than [`DATA_LEN_MAX`] bytes do not compile.
#[must_use]
pub fn native<const N: usize>(ins: u8, data: &[u8; N]) -> Vec<u8> {
    const { assert!(N <= DATA_LEN_MAX, "one native command holds 55 data bytes") };
    wrap(ins, data).unwrap_or_default()
}

/// Wraps a native command of any length.
///
/// # Errors
/// [`ApduError::TooLong`] above [`DATA_LEN_MAX`] bytes.
pub fn native_from_slice(ins: u8, data: &[u8]) -> Result<Vec<u8>, ApduError> {
    if data.len() > DATA_LEN_MAX {
        return Err(ApduError::TooLong);
    }
    wrap(ins, data)
}

fn wrap(ins: u8, data: &[u8]) -> Result<Vec<u8>, ApduError> {
    let lc = u8::try_from(data.len()).map_err(|_| ApduError::TooLong)?;
    let mut apdu = Vec::with_capacity(data.len().saturating_add(6));
    apdu.extend_from_slice(&[CLA_NATIVE, ins, 0, 0]);
    if lc > 0 {
        apdu.push(lc);
        apdu.extend_from_slice(data);
    }
    apdu.push(0);
    Ok(apdu)
}

/// Cuts one wrapped native command into frames, the first with at most `first_len` data bytes, the others with at most
/// `frame_len`.
///
/// The card answers `91 AF` to every frame but the last. A command without data, or that fits the first frame, stays one.
/// Both lengths are taken as at least 1.
///
/// # Errors
/// Those of [`Command::parse`]; [`ApduError::Length`] also when the bytes are not a wrapped native command.
/// Source: `docs/card-protocol.md`, section "Framing".
pub fn frames(
    command: &[u8],
    first_len: usize,
    frame_len: usize,
) -> Result<Vec<Vec<u8>>, ApduError> {
    let (ins, data) = Command::parse(command)?.native().ok_or(ApduError::Length)?;
    let (first, rest) = data
        .split_at_checked(first_len.max(1))
        .unwrap_or((data, &[]));
    let mut frames = Vec::new();
    frames.push(wrap(ins, first)?);
    for part in rest.chunks(frame_len.max(1)) {
        frames.push(wrap(INS_MORE, part)?);
    }
    Ok(frames)
}

/// Joins the parts of a chained answer: all data in order, then the status word of the last part.
///
/// # Errors
/// [`ApduError::Short`] when a part has no status word, or when there is no part.
pub fn join<P: AsRef<[u8]>>(parts: &[P]) -> Result<Vec<u8>, ApduError> {
    let mut data = Vec::new();
    let mut sw = None;
    for part in parts {
        let answer = Answer::parse(part.as_ref())?;
        data.extend_from_slice(answer.data);
        sw = Some(answer.sw);
    }
    data.extend_from_slice(&sw.ok_or(ApduError::Short)?);
    Ok(data)
}

/// An answer APDU: data and the two status bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Data before the status word, possibly empty.
    pub data: &'a [u8],
    /// SW1 and SW2.
    pub sw: [u8; 2],
}

impl<'a> Answer<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`ApduError::Short`] below 2 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApduError> {
        let (data, sw) = bytes.split_last_chunk().ok_or(ApduError::Short)?;
        Ok(Self { data, sw: *sw })
    }

    /// The native status, or `None` when SW1 is not 91.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self.sw {
            [SW1_NATIVE, byte] => Some(Status::from_byte(byte)),
            _ => None,
        }
    }
}

/// Native status byte, the second byte of `91 ST`.
///
/// Everything but [`Status::Ok`] and [`Status::AdditionalFrame`] ends the card's session and its pending transaction.
/// An error status carries no MAC, so the terminal can forge one: it means "session over, state unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `00` done.
    Ok,
    /// `0C` nothing to commit or abort.
    NoChange,
    /// `0E` the card's memory is full.
    OutOfMemory,
    /// `1C` unknown command, or `AF` without an open chain.
    IllegalCommand,
    /// `1E` wrong MAC, padding, checksum or counter.
    IntegrityError,
    /// `40` no such key.
    NoSuchKey,
    /// `7E` wrong length of the parameters.
    LengthError,
    /// `9D` the session's key does not have the right.
    PermissionDenied,
    /// `9E` a parameter out of its domain.
    ParameterError,
    /// `A0` no such application.
    ApplicationNotFound,
    /// `A1` application damaged: take the card out of use.
    ApplicationIntegrity,
    /// `AE` wrong key, wrong type of key, or a session is needed and there is none.
    AuthenticationError,
    /// `AF` more frames follow, or are awaited.
    AdditionalFrame,
    /// `BE` beyond the size of a file or the limit of a value.
    BoundaryError,
    /// `C1` card damaged: take the card out of use.
    PiccIntegrity,
    /// `CA` the previous command was not completed.
    CommandAborted,
    /// `CD` card disabled: take the card out of use.
    PiccDisabled,
    /// `CE` too many applications or files.
    CountError,
    /// `DE` the file or application is there already.
    Duplicate,
    /// `EE` memory fault: take the card out of use.
    EepromError,
    /// `F0` no such file.
    FileNotFound,
    /// `F1` file damaged: take the card out of use.
    FileIntegrity,
    /// Any other byte.
    Unknown(u8),
}

impl Status {
    /// The status that a byte means.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0x00 => Self::Ok,
            0x0C => Self::NoChange,
            0x0E => Self::OutOfMemory,
            0x1C => Self::IllegalCommand,
            0x1E => Self::IntegrityError,
            0x40 => Self::NoSuchKey,
            0x7E => Self::LengthError,
            0x9D => Self::PermissionDenied,
            0x9E => Self::ParameterError,
            0xA0 => Self::ApplicationNotFound,
            0xA1 => Self::ApplicationIntegrity,
            0xAE => Self::AuthenticationError,
            0xAF => Self::AdditionalFrame,
            0xBE => Self::BoundaryError,
            0xC1 => Self::PiccIntegrity,
            0xCA => Self::CommandAborted,
            0xCD => Self::PiccDisabled,
            0xCE => Self::CountError,
            0xDE => Self::Duplicate,
            0xEE => Self::EepromError,
            0xF0 => Self::FileNotFound,
            0xF1 => Self::FileIntegrity,
            other => Self::Unknown(other),
        }
    }

    /// The byte of this status on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ok => 0x00,
            Self::NoChange => 0x0C,
            Self::OutOfMemory => 0x0E,
            Self::IllegalCommand => 0x1C,
            Self::IntegrityError => 0x1E,
            Self::NoSuchKey => 0x40,
            Self::LengthError => 0x7E,
            Self::PermissionDenied => 0x9D,
            Self::ParameterError => 0x9E,
            Self::ApplicationNotFound => 0xA0,
            Self::ApplicationIntegrity => 0xA1,
            Self::AuthenticationError => 0xAE,
            Self::AdditionalFrame => 0xAF,
            Self::BoundaryError => 0xBE,
            Self::PiccIntegrity => 0xC1,
            Self::CommandAborted => 0xCA,
            Self::PiccDisabled => 0xCD,
            Self::CountError => 0xCE,
            Self::Duplicate => 0xDE,
            Self::EepromError => 0xEE,
            Self::FileNotFound => 0xF0,
            Self::FileIntegrity => 0xF1,
            Self::Unknown(byte) => byte,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_status_byte_survives_a_round_trip() {
        for byte in 0..=u8::MAX {
            assert_eq!(Status::from_byte(byte).byte(), byte);
        }
    }

    #[test]
    fn the_four_cases_of_a_short_command_are_read() {
        let data = |bytes: &'static [u8]| Command::parse(bytes).map(|c| (c.data, c.le));
        assert_eq!(data(&[0, 1, 2, 3]), Ok((&[][..], None)));
        assert_eq!(data(&[0, 1, 2, 3, 0]), Ok((&[][..], Some(0))));
        assert_eq!(data(&[0, 1, 2, 3, 1, 9]), Ok((&[9][..], None)));
        assert_eq!(data(&[0, 1, 2, 3, 1, 9, 7]), Ok((&[9][..], Some(7))));
    }

    #[test]
    fn a_wrong_length_is_refused() {
        for bytes in [
            &[0x90, 1, 0, 0, 2, 9][..],       // one byte missing
            &[0x90, 1, 0, 0, 1, 9, 0, 0][..], // one byte too many
            &[0x90, 1, 0, 0, 0, 0][..],       // extended length
        ] {
            assert_eq!(Command::parse(bytes), Err(ApduError::Length));
        }
        assert_eq!(Command::parse(&[0x90, 1, 0]), Err(ApduError::Short));
        assert_eq!(Answer::parse(&[0x91]), Err(ApduError::Short));
    }

    #[test]
    fn the_longest_short_command_is_read() {
        let mut bytes = vec![0x90, 1, 0, 0, 255];
        bytes.resize(COMMAND_LEN_MAX, 7);
        assert_eq!(Command::parse(&bytes).map(|c| c.data.len()), Ok(255));
        bytes.push(7);
        assert_eq!(Command::parse(&bytes), Err(ApduError::Length));
    }

    #[test]
    fn a_native_command_holds_55_data_bytes_and_no_more() {
        let longest = native_from_slice(0x3D, &[7; DATA_LEN_MAX]);
        assert_eq!(longest.map(|apdu| apdu.len()), Ok(61));
        assert_eq!(
            native_from_slice(0x3D, &[7; DATA_LEN_MAX + 1]),
            Err(ApduError::TooLong)
        );
    }

    #[test]
    fn an_answer_of_another_kind_has_no_native_status() {
        let answer = Answer::parse(&[1, 2, 0x90, 0x00]).expect("two status bytes");
        assert_eq!((answer.data, answer.status()), (&[1, 2][..], None));
    }

    #[test]
    fn a_command_cut_anywhere_keeps_its_bytes() {
        let data: Vec<u8> = (0..47).collect();
        let command = native_from_slice(0x3B, &data).expect("fits");
        for cut in 1..=data.len() {
            let frames = frames(&command, cut, 5).expect("native");
            let mut seen = Vec::new();
            for (index, frame) in frames.iter().enumerate() {
                let (ins, part) = Command::parse(frame)
                    .expect("short")
                    .native()
                    .expect("native");
                assert_eq!(ins, if index == 0 { 0x3B } else { INS_MORE });
                seen.extend_from_slice(part);
            }
            assert_eq!(seen, data);
        }
    }

    #[test]
    fn parts_of_an_answer_join_with_the_last_status() {
        let joined = join(&[&[1, 2, 0x91, 0xAF][..], &[3, 0x91, 0x00][..]]);
        assert_eq!(joined, Ok(vec![1, 2, 3, 0x91, 0x00]));
        assert_eq!(join::<Vec<u8>>(&[]), Err(ApduError::Short));
    }
}
