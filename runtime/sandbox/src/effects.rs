//! What a program may cause in the world: a command to the card and a request to the issuer.

use std::time::Duration;

use wasmtime::component::{ComponentType, Lower};

/// Carries out what the policy has allowed; implemented by the terminal.
///
/// Both calls block, and the implementor keeps their deadlines, [`crate::limits::READER_CALL`] and
/// [`crate::limits::NETWORK_CALL`]: nobody can interrupt a call from outside. Whatever must be
/// written down before an effect is written here. Nothing is sent a second time on its own.
pub trait Effects {
    /// Sends one command APDU, 5 to 261 bytes, to the card and returns data, SW1, SW2.
    ///
    /// # Errors
    ///
    /// [`ReaderError`], as the program will see it.
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError>;

    /// Sends one request, 1 to 4,096 bytes, to the issuer of the order and returns its reply.
    ///
    /// # Errors
    ///
    /// [`NetworkError`], as the program will see it.
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError>;

    /// Told of every call of the program after it was decided on, also of those that the policy
    /// refused and that no effect saw: for the record of the run.
    fn decided(&mut self, _call: Call) {}

    /// Told once of a run that was begun, when it has ended, however: for the record of the run.
    fn ended(&mut self, _spent: Spent) {}
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Fuel, as the runner counted it: the same for the same program and answers on every machine.
    /// None from a runner that ended without an outcome.
    pub fuel: Option<u64>,
    /// From the start of the program to its end, calls included, by this process's clock.
    pub time: Duration,
}

/// One call of a program: sizes and outcome, never contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Which of the two functions: `transmit` or `exchange`.
    pub function: &'static str,
    /// Bytes that the program passed.
    pub sent: usize,
    /// Bytes that it got, or the name of the error in the interface.
    pub answer: Result<usize, &'static str>,
}

/// Why a command to the card has no answer; `reader-error` of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum ReaderError {
    /// No card was on the reader when the command was to be sent.
    #[error("no card on the reader")]
    #[component(name = "no-card")]
    NoCard,
    /// The card left the field; it may have acted on the command.
    #[error("the card was removed")]
    #[component(name = "removed")]
    Removed,
    /// The policy forbids the command; the card never saw it.
    #[error("the command is not allowed")]
    #[component(name = "denied")]
    Denied,
    /// The run's budget is used up; the card never saw the command.
    #[error("the budget of the run is used up")]
    #[component(name = "limit")]
    Limit,
    /// No answer in time; the card may have acted on the command.
    #[error("the card did not answer in time")]
    #[component(name = "timeout")]
    Timeout,
    /// The reader or its service failed; the card may have acted on the command.
    #[error("the reader failed")]
    #[component(name = "failed")]
    Failed,
}

impl ReaderError {
    /// Its name in the interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCard => "no-card",
            Self::Removed => "removed",
            Self::Denied => "denied",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

impl NetworkError {
    /// Its name in the interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Denied => "denied",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// Why a request to the issuer has no reply; `network-error` of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum NetworkError {
    /// No connection could be made; the issuer never saw the request.
    #[error("no connection to the issuer")]
    #[component(name = "offline")]
    Offline,
    /// The policy forbids the request; the issuer never saw it.
    #[error("the request is not allowed")]
    #[component(name = "denied")]
    Denied,
    /// The run's budget is used up; the issuer never saw the request.
    #[error("the budget of the run is used up")]
    #[component(name = "limit")]
    Limit,
    /// No reply in time; the issuer may have acted on the request.
    #[error("the issuer did not answer in time")]
    #[component(name = "timeout")]
    Timeout,
    /// The connection broke or the reply had no known form; the issuer may have acted.
    #[error("the connection to the issuer failed")]
    #[component(name = "failed")]
    Failed,
}

/// The two lists in the order of the interface; an error's place in its list is its wire number.
pub(crate) const READER_ERRORS: [ReaderError; 6] = [
    ReaderError::NoCard,
    ReaderError::Removed,
    ReaderError::Denied,
    ReaderError::Limit,
    ReaderError::Timeout,
    ReaderError::Failed,
];
/// See [`READER_ERRORS`].
pub(crate) const NETWORK_ERRORS: [NetworkError; 5] = [
    NetworkError::Offline,
    NetworkError::Denied,
    NetworkError::Limit,
    NetworkError::Timeout,
    NetworkError::Failed,
];

/// Payload of an answer frame: 00 and the bytes, or one byte 1.. for the error in `errors`.
pub(crate) fn encode_answer<E: PartialEq>(answer: Result<Vec<u8>, E>, errors: &[E]) -> Vec<u8> {
    match answer {
        Ok(bytes) => {
            let mut payload = Vec::with_capacity(bytes.len() + 1);
            payload.push(0);
            payload.extend_from_slice(&bytes);
            payload
        }
        Err(error) => {
            let place = errors.iter().position(|listed| *listed == error);
            let number = place.and_then(|place| u8::try_from(place + 1).ok());
            vec![number.expect("every error is in its list of at most six")]
        }
    }
}

/// Reverse of [`encode_answer`]; `None` if the payload has no known form.
pub(crate) fn decode_answer<E: Copy>(payload: &[u8], errors: &[E]) -> Option<Result<Vec<u8>, E>> {
    match payload {
        [0, bytes @ ..] => Some(Ok(bytes.to_vec())),
        [number] => errors.get(usize::from(*number) - 1).copied().map(Err),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_every_error_come_back_as_they_were() {
        for answer in READER_ERRORS
            .into_iter()
            .map(Err)
            .chain([Ok(vec![]), Ok(vec![1, 2])])
        {
            let payload = encode_answer(answer.clone(), &READER_ERRORS);
            assert_eq!(decode_answer(&payload, &READER_ERRORS), Some(answer));
        }
        for answer in NETWORK_ERRORS.into_iter().map(Err).chain([Ok(vec![9])]) {
            let payload = encode_answer(answer.clone(), &NETWORK_ERRORS);
            assert_eq!(decode_answer(&payload, &NETWORK_ERRORS), Some(answer));
        }
    }

    #[test]
    fn unknown_answers_are_none() {
        for payload in [&[][..], &[6], &[1, 0]] {
            assert_eq!(decode_answer(payload, &NETWORK_ERRORS), None);
        }
    }
}
