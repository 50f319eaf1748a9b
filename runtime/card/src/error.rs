//! What can go wrong between the reader half and a card.

use crate::apdu::{Answer, ApduError, Status};

/// A card exchange that did not give what it should; the session it happened in is over.
///
/// None of these says what the card has done: an answer without a valid MAC can come from the terminal as well as from the
/// card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The card, or whoever relays it, answered another status than the one awaited.
    #[error("the card answered status {0:?}")]
    Status(Status),
    /// The answer is not one to a native command.
    #[error("the answer is not that of a native command")]
    NotNative,
    /// The answer has another length or form than this command's.
    #[error("the answer has the wrong form")]
    Form,
    /// The MAC of the answer is wrong: not from the card, or not the answer to this command.
    #[error("the answer is not authentic")]
    Mac,
    /// The handshake's last answer does not show that the card knows the key.
    #[error("the card does not know the key")]
    NotGenuine,
    /// More answers than commands were sent.
    #[error("an answer without a command")]
    Unasked,
    /// All 65,535 commands of a session are used up.
    #[error("the session's counter is used up")]
    CounterUsedUp,
    /// The caller asked for a command that the purse cannot hold: an amount or a balance out of range.
    #[error("a value out of the purse's range")]
    OutOfRange,
    /// A command of ours would not fit one frame.
    #[error("a command that does not fit one frame")]
    TooLong,
}

impl From<ApduError> for CardError {
    fn from(error: ApduError) -> Self {
        match error {
            ApduError::Short | ApduError::Length => Self::Form,
            ApduError::TooLong => Self::TooLong,
        }
    }
}

/// The data of a native answer with exactly the awaited status.
pub(crate) fn data_of(answer: &[u8], awaited: Status) -> Result<&[u8], CardError> {
    let answer = Answer::parse(answer)?;
    match answer.status() {
        Some(status) if status == awaited => Ok(answer.data),
        Some(status) => Err(CardError::Status(status)),
        None => Err(CardError::NotNative),
    }
}
