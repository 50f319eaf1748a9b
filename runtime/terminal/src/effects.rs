//! What a running program causes in the world, through this terminal.

use card_reader::Connection;
use crashpoint::reach;
use relay::run::{Run, Stop};
use relay::watch::Watch;
use sandbox::{Call, Effects, NetworkError, ReaderError, Spent};
use wire::exchange::Refusal;

use crate::channel::{Channel, ChannelError};
use crate::failure::Failure;
use crate::journal::Journal;

// A program is promised an answer of the card within this time; `Channel` keeps the issuer's.
const _: () =
    assert!(card_reader::ANSWER_TIMEOUT.as_millis() <= sandbox::limits::READER_CALL.as_millis());

/// Reader, channel and journal of one run.
///
/// The card is the one the connection was opened with: a card that was taken away is not looked
/// for again in the same run.
#[derive(Debug)]
pub struct Live<'a> {
    /// The card on the reader.
    pub card: Connection,
    /// The issuer of the order.
    pub channel: Channel,
    /// Where the last exchange is written before it is sent.
    pub journal: &'a Journal,
    /// What this run may send, and what has passed so far.
    pub run: Run<'a>,
    /// Why the last effect failed; none if it worked.
    pub trouble: Option<Failure>,
    /// Why the card could not be reached, if that ever happened in this run.
    pub card_trouble: Option<Failure>,
    /// Every call of the program, in order, for the run log; the policy bounds their number.
    pub calls: Vec<Call>,
    /// What the run took; none of one that never began.
    pub spent: Option<Spent>,
}

impl Effects for Live<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.trouble = None;
        let watch = &mut self.run.watch;
        watch.apdus = watch.apdus.saturating_add(1);
        reach!("terminal::apdu::before");
        let answer = self.card.transmit(command);
        reach!("terminal::apdu::after");
        answer.map_err(|error| {
            self.trouble = Some(reader_failure(&error));
            self.card_trouble.clone_from(&self.trouble);
            reader_shown(&error)
        })
    }

    fn decided(&mut self, call: Call) {
        self.calls.push(call);
    }

    fn ended(&mut self, spent: Spent) {
        self.spent = Some(spent);
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        self.trouble = None;
        match self.carry(request) {
            Ok(reply) => Ok(reply),
            Err((failure, seen_by_program)) => {
                self.trouble = Some(failure);
                Err(seen_by_program)
            }
        }
    }
}

impl Live<'_> {
    fn carry(&mut self, request: &[u8]) -> Result<Vec<u8>, (Failure, NetworkError)> {
        let channel = &self.channel;
        let carried = self.run.carry(self.journal, request, |request| {
            reach!("terminal::exchange::before-send");
            let answered = channel.exchange(request);
            reach!("terminal::exchange::after-answer");
            answered
        });
        carried.map_err(|stop| match stop {
            Stop::Denied => (Failure::new("E_POLICY"), NetworkError::Denied),
            Stop::NoEntry => (Failure::new("E_STATE"), NetworkError::Failed),
            Stop::Journal(failure) => (failure, NetworkError::Failed),
            Stop::Channel(error) => (error.into(), shown(error)),
            Stop::Reply(error) => (Failure::with("E_SERVER_REPLY", error), NetworkError::Failed),
        })
    }
}

/// The words for a reader's error.
#[must_use]
pub fn reader_failure(error: &card_reader::ReaderError) -> Failure {
    Failure::with(error.code(), error).or_as("E_READER_FAILED")
}

/// What the program is told of a reader's error.
const fn reader_shown(error: &card_reader::ReaderError) -> ReaderError {
    use card_reader::ReaderError as E;
    match error {
        E::NoCard => ReaderError::NoCard,
        E::Removed => ReaderError::Removed,
        E::Timeout => ReaderError::Timeout,
        // The program cannot act on the difference between the others.
        _ => ReaderError::Failed,
    }
}

const fn shown(error: ChannelError) -> NetworkError {
    match error {
        ChannelError::Offline => NetworkError::Offline,
        ChannelError::Timeout => NetworkError::Timeout,
        ChannelError::Unavailable | ChannelError::Reply => NetworkError::Failed,
    }
}

/// Why a run ended without a good receipt: the most telling of what is known.
///
/// The server's refusal first, unless it only says that the card fell silent and the reader has
/// said why; then doubt, if the batch that moves value was handed out; then the effect that failed
/// last; then what the sandbox says.
#[must_use]
pub fn verdict(
    watch: &Watch,
    trouble: Option<Failure>,
    card_trouble: Option<Failure>,
    sandbox: Failure,
) -> Failure {
    if let Some(refusal) = watch.refusal {
        match (refusal, card_trouble) {
            (Refusal::CardStopped, Some(failure)) => failure,
            _ => Failure::new(refusal.code()),
        }
    } else if watch.commit_handed_out {
        let mut doubt = Failure::new("E_IN_DOUBT");
        doubt.detail = trouble.map(|failure| failure.to_string());
        doubt
    } else {
        trouble.unwrap_or(sandbox)
    }
}

#[cfg(test)]
mod tests {
    use super::verdict;
    use crate::channel::ChannelError;
    use crate::failure::Failure;
    use crate::journal::{Entry, Facts, Journal, Key, Unanswered};
    use crate::state::StateDir;
    use relay::journal::Journal as _;
    use relay::run::{Stop, keep};
    use relay::watch::Watch;
    use wire::exchange::Refusal;

    #[test]
    fn a_proof_is_replaced_once_for_each_batch_that_was_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(StateDir::open(&dir.path().join("state")).unwrap());
        let key = Key {
            issuer: "pay.example.org".to_owned(),
            remittance: [1; 16],
        };
        let facts = Facts {
            revision: 1,
            order_sha256: [7; 32],
            amount_minor: 2500,
            currency: "JPY".to_owned(),
        };
        let entry = Entry::new(facts.clone(), [1; 32]);
        journal.put(&key, &entry).unwrap();
        let mut watch = Watch::default();
        for (handed_out, request, expected) in [
            // Nothing stands there: nothing is lost.
            (false, 1, Ok(())),
            (false, 2, Err(Stop::Denied)),
            (false, 1, Ok(())),
            (true, 2, Ok(())),
            (false, 2, Ok(())),
            (false, 3, Err(Stop::Denied)),
            // The same bytes use up the hand-out too.
            (true, 2, Ok(())),
            (false, 3, Err(Stop::Denied)),
        ] {
            watch.answers_due |= handed_out;
            let unanswered = Unanswered {
                request: vec![request],
                facts: facts.clone(),
            };
            let kept = keep::<_, ChannelError>(&journal, &key, &mut watch, unanswered.clone());
            assert_eq!(kept, expected);
            let stands = journal.entry(&key).unwrap().unwrap().unanswered;
            assert_eq!(stands == Some(unanswered), expected.is_ok());
        }
    }

    #[test]
    fn the_most_telling_reason_is_given() {
        let sandbox = || Failure::new("E_PROGRAM_READER");
        let removed = || Some(Failure::new("E_READER_REMOVED"));
        for (refusal, commit_handed_out, trouble, expected) in [
            (None, false, None, "E_PROGRAM_READER"),
            (None, false, removed(), "E_READER_REMOVED"),
            (None, true, removed(), "E_IN_DOUBT"),
            (None, true, None, "E_IN_DOUBT"),
            (Some(Refusal::CardFull), true, removed(), "E_CARD_FULL"),
            (Some(Refusal::WrongCard), false, None, "E_WRONG_CARD"),
        ] {
            let watch = Watch {
                refusal,
                commit_handed_out,
                ..Watch::default()
            };
            assert_eq!(verdict(&watch, trouble, None, sandbox()).code, expected);
        }
    }

    #[test]
    fn a_card_that_was_taken_away_explains_why_it_stopped_and_nothing_else() {
        let sandbox = || Failure::new("E_PROGRAM_REFUSED");
        let removed = || Some(Failure::new("E_READER_REMOVED"));
        for (refusal, card_trouble, expected) in [
            (Refusal::CardStopped, removed(), "E_READER_REMOVED"),
            (Refusal::CardStopped, None, "E_CARD_STOPPED"),
            (Refusal::InDoubt, removed(), "E_IN_DOUBT"),
        ] {
            let watch = Watch {
                refusal: Some(refusal),
                ..Watch::default()
            };
            let verdict = verdict(&watch, None, card_trouble, sandbox());
            assert_eq!(verdict.code, expected);
        }
    }
}
