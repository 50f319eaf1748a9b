//! Frames on the two pipes between the terminal and the program runner.
//!
//! One frame: kind (1 byte), payload length (4 bytes, little-endian), payload. The two sides
//! alternate strictly: after `Request` the runner reads exactly one `Answer`. Each kind has its own
//! largest payload, and the length is compared with it before a byte is reserved or read.
//! Layouts: docs/sandbox.md, section "Frames".

use std::io::{self, Read, Write};

use crate::limits;
use crate::outcome::Outcome;
use crate::walls::Walls;

/// Bytes before the payload: kind and length.
const HEADER_LEN: usize = 5;

/// What a frame carries; the number is its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Terminal to runner, first: the program's bytes. Compiling starts at once.
    Program,
    /// Terminal to runner: the user has agreed, run now. Empty.
    Go,
    /// Terminal to runner: 00 and the answer's bytes, or one byte 1.. for the error.
    Answer,
    /// Runner to terminal, first: which walls stand. Nothing was read before.
    Walls,
    /// Runner to terminal: the program is compiled. Empty.
    Ready,
    /// Runner to terminal: one command for the card.
    Transmit,
    /// Runner to terminal: one request to the issuer.
    Exchange,
    /// Runner to terminal, last: the fuel that was used and how it ended.
    Outcome,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Program,
        Self::Go,
        Self::Answer,
        Self::Walls,
        Self::Ready,
        Self::Transmit,
        Self::Exchange,
        Self::Outcome,
    ];

    const fn code(self) -> u8 {
        match self {
            Self::Program => 0x01,
            Self::Go => 0x02,
            Self::Answer => 0x03,
            Self::Walls => 0x80,
            Self::Ready => 0x81,
            Self::Transmit => 0x82,
            Self::Exchange => 0x83,
            Self::Outcome => 0x84,
        }
    }

    /// Longest payload of this kind, in bytes.
    pub(crate) const fn len_max(self) -> usize {
        match self {
            Self::Program => limits::FILE_LEN_MAX,
            Self::Go | Self::Ready => 0,
            Self::Walls => Walls::LEN,
            // One byte says whether it is an answer or an error.
            Self::Answer => limits::CALL_LEN_MAX + 1,
            Self::Outcome => Outcome::FUEL_LEN + limits::CALL_LEN_MAX + 1,
            Self::Transmit | Self::Exchange => limits::CALL_LEN_MAX,
        }
    }
}

/// One frame as read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
}

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The other side is gone: end of file, also in the middle of a frame.
    #[error("the pipe is closed")]
    Closed,
    /// The first byte is no kind.
    #[error("unknown frame kind {0:#04x}")]
    Kind(u8),
    /// The announced payload is longer than its kind allows.
    #[error("frame payload of {0} bytes is over its limit")]
    Length(u32),
    /// The pipe failed.
    #[error("the pipe failed")]
    Io(#[source] io::Error),
}

/// Reads one frame; reserves nothing before the length has been checked.
pub(crate) fn read(input: &mut dyn Read) -> Result<Frame, FrameError> {
    let mut header = [0; HEADER_LEN];
    fill(input, &mut header)?;
    let [code, length @ ..] = header;
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.code() == code)
        .ok_or(FrameError::Kind(code))?;
    let announced = u32::from_le_bytes(length);
    let len = usize::try_from(announced)
        .ok()
        .filter(|len| *len <= kind.len_max())
        .ok_or(FrameError::Length(announced))?;
    let mut payload = vec![0; len];
    fill(input, &mut payload)?;
    Ok(Frame { kind, payload })
}

/// Writes one frame with one write.
///
/// Errors: the pipe's own, and `InvalidInput` when the payload is over its kind's limit.
pub(crate) fn write(output: &mut dyn Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
    if payload.len() > kind.len_max() {
        return Err(too_long());
    }
    let length = u32::try_from(payload.len()).map_err(|_| too_long())?;
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
    bytes.push(kind.code());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    output.write_all(&bytes)?;
    output.flush()
}

fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> Result<(), FrameError> {
    input
        .read_exact(buffer)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FrameError::Closed,
            _ => FrameError::Io(error),
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(kind: Kind, len: usize) -> Vec<u8> {
        let mut bytes = vec![kind.code()];
        bytes.extend_from_slice(&u32::try_from(len).expect("small").to_le_bytes());
        bytes.resize(HEADER_LEN + len, 0xAA);
        bytes
    }

    #[test]
    fn each_kind_takes_its_longest_payload_and_not_one_byte_more() {
        for kind in Kind::ALL {
            let len = kind.len_max();
            let mut written = Vec::new();
            write(&mut written, kind, &vec![0xAA; len]).expect("longest payload");
            assert_eq!(written, encoded(kind, len));
            let frame = read(&mut written.as_slice()).expect("longest payload");
            assert_eq!((frame.kind, frame.payload.len()), (kind, len));

            assert!(write(&mut Vec::new(), kind, &vec![0; len + 1]).is_err());
            let refused = read(&mut encoded(kind, len + 1).as_slice());
            assert!(matches!(refused, Err(FrameError::Length(_))), "{kind:?}");
        }
    }

    #[test]
    fn a_huge_length_is_refused_from_the_header_alone() {
        let header = [Kind::Answer.code(), 0xFF, 0xFF, 0xFF, 0xFF];
        assert!(matches!(
            read(&mut header.as_slice()),
            Err(FrameError::Length(u32::MAX))
        ));
    }

    #[test]
    fn a_frame_cut_at_any_byte_is_a_closed_pipe() {
        let bytes = encoded(Kind::Transmit, 5);
        for cut in 0..bytes.len() {
            assert!(
                matches!(read(&mut &bytes[..cut]), Err(FrameError::Closed)),
                "{cut}"
            );
        }
    }

    proptest! {
        #[test]
        fn reading_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _frame = read(&mut bytes.as_slice());
        }
    }
}
