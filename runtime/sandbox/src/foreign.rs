//! Parsers of this crate that meet foreign bytes, as functions over bytes that panic when a promise
//! is broken: for fuzzing, and for the same under proptest. Nothing of the product calls them.

use program::Kind;

use crate::admission;
use crate::effects::{NetworkError, ReaderError};
use crate::frame::{self, FrameError};
use crate::outcome::Outcome;
use crate::policy::Policy;
use crate::walls::Walls;
use crate::{frame::Kind as FrameKind, limits};

/// Admission of these bytes as if they had been verified.
pub fn admission(bytes: &[u8]) {
    let _admitted = admission::check(bytes);
}

/// Everything that a taken-over runner may write: frames until the first that is none; then the
/// contents as the terminal reads them.
///
/// # Panics
/// If a frame is longer than its kind allows.
pub fn frames(mut bytes: &[u8]) {
    loop {
        match frame::read(&mut bytes) {
            Ok(read) => {
                assert!(read.payload.len() <= read.kind.len_max());
                match read.kind {
                    FrameKind::Outcome => {
                        if let Some((fuel, outcome)) = Outcome::decode(&read.payload) {
                            assert_eq!(outcome.encode(fuel), read.payload);
                        }
                    }
                    FrameKind::Walls => {
                        if let Some(walls) = Walls::decode(&read.payload) {
                            assert_eq!(walls.encode()[..], read.payload);
                        }
                    }
                    FrameKind::Program
                    | FrameKind::Go
                    | FrameKind::Answer
                    | FrameKind::Ready
                    | FrameKind::Transmit
                    | FrameKind::Exchange => {}
                }
            }
            Err(FrameError::Closed | FrameError::Kind(_) | FrameError::Length(_)) => break,
            Err(FrameError::Io(error)) => panic!("a slice does not fail: {error}"),
        }
    }
}

/// Commands of a program in turn, each followed by what the card answers; odd messages are
/// answers. Counts what reaches the card.
///
/// # Panics
/// If a budget is passed, or more refusals are answered than the policy has patience for.
pub fn policy<'a>(messages: impl Iterator<Item = &'a [u8]>) {
    let mut policy = Policy::new(Kind::Credit);
    let (mut sent, mut carried, mut refused) = (0, 0, 0);
    let mut messages = messages.peekable();
    while let Some(command) = messages.next() {
        let answer = messages
            .peek()
            .map(|answer| answer.to_vec())
            .unwrap_or_default();
        let decided = policy.transmit(command, |command| {
            sent += 1;
            carried += command.len();
            Ok(answer)
        });
        match decided {
            Ok(Ok(answer)) => carried += answer.len(),
            Ok(Err(ReaderError::Denied | ReaderError::Limit)) => refused += 1,
            Ok(Err(_)) => {}
            Err(_) => break,
        }
        let request = policy.exchange(command, |_| Err(NetworkError::Offline));
        if let Ok(Err(NetworkError::Denied | NetworkError::Limit)) = request {
            refused += 1;
        } else if request.is_err() {
            break;
        }
    }
    assert!(sent <= limits::READER_CALLS_MAX);
    assert!(carried <= limits::TOTAL_LEN_MAX);
    assert!(refused <= limits::REFUSALS_MAX);
}
