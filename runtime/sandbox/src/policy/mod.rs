//! The policy of one run: what of a program's requests reaches the card and the issuer.
//!
//! Pure state: budgets of calls and bytes, then the command policy. A [`Policy`] lives for one run
//! and exists only inside it, which is the phase gate: before the user has agreed there is nobody
//! to ask. States and transitions: docs/sandbox.md, section "Policy".

use program::Kind;
use relay::apdu;

use crate::effects::{NetworkError, ReaderError};
use crate::limits;

/// Budgets and the state of the card conversation of one run.
#[derive(Debug)]
pub(crate) struct Policy {
    apdu: apdu::State,
    reader_calls: Budget,
    network_calls: Budget,
    bytes: Budget,
    refusals: Budget,
}

/// The run has to end: the program goes on asking after its requests were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Policy {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            apdu: apdu::State::new(kind),
            reader_calls: Budget::new(limits::READER_CALLS_MAX),
            network_calls: Budget::new(limits::NETWORK_CALLS_MAX),
            bytes: Budget::new(limits::TOTAL_LEN_MAX),
            refusals: Budget::new(limits::REFUSALS_MAX),
        }
    }

    /// Decides on one command and, if it is allowed, has `send` carry it out.
    pub(crate) fn transmit(
        &mut self,
        command: &[u8],
        send: impl FnOnce(&[u8]) -> Result<Vec<u8>, ReaderError>,
    ) -> Result<Result<Vec<u8>, ReaderError>, Exhausted> {
        if !(self.reader_calls.take(1) && self.bytes.take(command.len())) {
            return self.refuse(ReaderError::Limit);
        }
        let Some(sent) = self.apdu.permit(command) else {
            return self.refuse(ReaderError::Denied);
        };
        let answer = send(command).and_then(|answer| {
            let whole = (apdu::ANSWER_LEN_MIN..=apdu::ANSWER_LEN_MAX).contains(&answer.len());
            if whole {
                Ok(answer)
            } else {
                Err(ReaderError::Failed)
            }
        });
        self.apdu.answered(sent, answer.as_deref().ok());
        match answer {
            // It happened: the card has acted, only the answer is withheld.
            Ok(answer) if !self.bytes.take(answer.len()) => self.refuse(ReaderError::Failed),
            answer => Ok(answer),
        }
    }

    /// Decides on one request to the issuer and, if it is allowed, has `send` carry it out.
    pub(crate) fn exchange(
        &mut self,
        request: &[u8],
        send: impl FnOnce(&[u8]) -> Result<Vec<u8>, NetworkError>,
    ) -> Result<Result<Vec<u8>, NetworkError>, Exhausted> {
        if !(self.network_calls.take(1) && self.bytes.take(request.len())) {
            return self.refuse(NetworkError::Limit);
        }
        if !(1..=wire::exchange::REQUEST_LEN_MAX).contains(&request.len()) {
            return self.refuse(NetworkError::Denied);
        }
        let answer = send(request).and_then(|reply| {
            let whole = (1..=wire::exchange::REPLY_LEN_MAX).contains(&reply.len());
            if whole {
                Ok(reply)
            } else {
                Err(NetworkError::Failed)
            }
        });
        match answer {
            Ok(reply) if !self.bytes.take(reply.len()) => self.refuse(NetworkError::Failed),
            answer => Ok(answer),
        }
    }

    fn refuse<E>(&mut self, error: E) -> Result<Result<Vec<u8>, E>, Exhausted> {
        if self.refusals.take(1) {
            Ok(Err(error))
        } else {
            Err(Exhausted)
        }
    }
}

/// What is left of something that is counted.
#[derive(Debug)]
struct Budget(usize);

impl Budget {
    const fn new(max: usize) -> Self {
        Self(max)
    }

    /// Takes `amount`; if less than that is left, takes all and says no.
    const fn take(&mut self, amount: usize) -> bool {
        let left = self.0.checked_sub(amount);
        self.0 = match left {
            Some(left) => left,
            None => 0,
        };
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: [u8; 5] = [0xFF, 0xCA, 0, 0, 0];

    fn answer(_: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok(vec![0x90, 0x00])
    }

    fn reply(_: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Ok(vec![1])
    }

    fn unreachable_card(_: &[u8]) -> Result<Vec<u8>, ReaderError> {
        panic!("the command must not reach the card")
    }

    fn unreachable_issuer(_: &[u8]) -> Result<Vec<u8>, NetworkError> {
        panic!("the request must not reach the issuer")
    }

    #[test]
    fn the_last_command_of_the_budget_is_sent_and_the_next_is_not() {
        let mut policy = Policy::new(Kind::Credit);
        for _ in 0..limits::READER_CALLS_MAX {
            assert_eq!(policy.transmit(&UID, answer), Ok(Ok(vec![0x90, 0x00])));
        }
        assert_eq!(
            policy.transmit(&UID, unreachable_card),
            Ok(Err(ReaderError::Limit))
        );
        assert_eq!(
            policy.exchange(&[1], reply),
            Ok(Ok(vec![1])),
            "the other budget is untouched"
        );
    }

    #[test]
    fn the_last_exchange_of_the_budget_is_sent_and_the_next_is_not() {
        let mut policy = Policy::new(Kind::Credit);
        for _ in 0..limits::NETWORK_CALLS_MAX {
            assert_eq!(policy.exchange(&[1], reply), Ok(Ok(vec![1])));
        }
        assert_eq!(
            policy.exchange(&[1], unreachable_issuer),
            Ok(Err(NetworkError::Limit))
        );
        assert_eq!(policy.transmit(&UID, answer), Ok(Ok(vec![0x90, 0x00])));
    }

    #[test]
    fn the_longest_request_and_reply_pass_and_one_byte_more_does_not() {
        let (request, reply) = (
            wire::exchange::REQUEST_LEN_MAX,
            wire::exchange::REPLY_LEN_MAX,
        );
        let mut policy = Policy::new(Kind::Credit);
        let longest = policy.exchange(&vec![0; request], |_| Ok(vec![0; reply]));
        assert_eq!(longest, Ok(Ok(vec![0; reply])));
        let denied = Ok(Err(NetworkError::Denied));
        assert_eq!(
            policy.exchange(&vec![0; request + 1], unreachable_issuer),
            denied
        );
        assert_eq!(policy.exchange(&[], unreachable_issuer), denied);
        let failed = Ok(Err(NetworkError::Failed));
        assert_eq!(policy.exchange(&[1], |_| Ok(vec![0; reply + 1])), failed);
        assert_eq!(policy.exchange(&[1], |_| Ok(vec![])), failed);
    }

    #[test]
    fn an_answer_of_a_length_that_no_card_gives_is_a_failed_reader() {
        let mut policy = Policy::new(Kind::Credit);
        for (len, passes) in [(1, false), (2, true), (258, true), (259, false)] {
            let answer = policy.transmit(&UID, |_| Ok(vec![0; len]));
            let expected = if passes {
                Ok(vec![0; len])
            } else {
                Err(ReaderError::Failed)
            };
            assert_eq!(answer, Ok(expected), "{len}");
        }
    }

    #[test]
    fn bytes_are_counted_over_both_directions_and_both_interfaces() {
        let mut policy = Policy::new(Kind::Credit);
        policy.bytes = Budget::new(UID.len() + 2 + 1 + 1);
        assert_eq!(policy.transmit(&UID, answer), Ok(Ok(vec![0x90, 0x00])));
        assert_eq!(
            policy.exchange(&[1], reply),
            Ok(Ok(vec![1])),
            "the last bytes"
        );
        assert_eq!(
            policy.exchange(&[1], unreachable_issuer),
            Ok(Err(NetworkError::Limit))
        );
        assert_eq!(
            policy.transmit(&UID, unreachable_card),
            Ok(Err(ReaderError::Limit))
        );
    }

    #[test]
    fn the_run_ends_at_the_first_refusal_past_the_budget() {
        let mut policy = Policy::new(Kind::Credit);
        for _ in 0..limits::REFUSALS_MAX {
            assert_eq!(
                policy.transmit(&[0xFF], unreachable_card),
                Ok(Err(ReaderError::Denied))
            );
        }
        assert_eq!(policy.transmit(&[0xFF], unreachable_card), Err(Exhausted));
    }
}
