//! PC/SC: finds the reader with the card, holds it exclusively, talks to it on a thread of its own.
//!
//! Calls into the service block, and a pulled reader can block them for good; the thread keeps
//! that away from the caller. Every connection makes its own context: after a restart of the
//! service an old one stays dead although it calls itself valid.

use std::ffi::{CStr, CString};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pcsc::{Context, Disposition, Error, Protocols, ReaderState, Scope, ShareMode, State};

use crate::ReaderInfo;
use crate::error::ReaderError;

/// How long finding and powering a card may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one answer of a reader may take: many times what the slowest command needs, so that
/// only a dead reader meets it. Programs are promised no longer wait (`wit/terminal`).
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of the status that ends an answer.
const STATUS_LEN: usize = 2;

type Answer = Result<Vec<u8>, ReaderError>;

/// A connected card; the thread behind it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct PcscConnection {
    name: String,
    commands: Option<Sender<Vec<u8>>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

impl PcscConnection {
    /// Connects to the one card on the readers called `name` (all readers without a name).
    pub(crate) fn open(name: Option<&str>) -> Result<Self, ReaderError> {
        let (commands, inbox) = mpsc::channel();
        let (outbox, answers) = mpsc::channel();
        let (report, opened) = mpsc::channel();
        let wanted = name.map(str::to_owned);
        let serve = move || match connect(wanted.as_deref()) {
            Ok((card, name)) => {
                if report.send(Ok(name)).is_ok() {
                    serve(&card, &inbox, &outbox);
                }
                // Whoever comes next must not meet our session.
                if let Err((_, error)) = card.disconnect(Disposition::ResetCard) {
                    tracing::debug!(%error, "the card could not be reset at the end");
                }
            }
            Err(error) => drop(report.send(Err(error))),
        };
        let thread = thread::Builder::new().name("pcsc".to_owned()).spawn(serve);
        let thread = thread.map_err(|error| ReaderError::Failed(error.to_string()))?;
        let name = opened
            .recv_timeout(OPEN_TIMEOUT)
            .map_err(|_| ReaderError::Timeout)??;
        Ok(Self {
            name,
            commands: Some(commands),
            answers,
            thread: Some(thread),
        })
    }

    pub(crate) fn transmit(&mut self, apdu: &[u8]) -> Answer {
        let commands = self.commands.as_ref().ok_or(ReaderError::Removed)?;
        if commands.send(apdu.to_vec()).is_err() {
            return Err(ReaderError::Removed);
        }
        let answer = match self.answers.recv_timeout(ANSWER_TIMEOUT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(ReaderError::Removed),
            Err(RecvTimeoutError::Timeout) => {
                // The thread may be stuck in the service for good: leave it behind.
                self.thread = None;
                Err(ReaderError::Timeout)
            }
        };
        if answer.is_err() {
            self.commands = None;
        }
        answer
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for PcscConnection {
    /// Waits until the card is free again, unless its thread does not answer any more.
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the reader's thread ended in a panic");
        }
    }
}

/// All readers of the service.
pub(crate) fn list() -> Result<Vec<ReaderInfo>, ReaderError> {
    let states = states(&establish()?)?;
    Ok(states
        .iter()
        .map(|state| ReaderInfo {
            name: text(state.name()),
            card_present: holds_card(state),
        })
        .collect())
}

fn connect(wanted: Option<&str>) -> Result<(pcsc::Card, String), ReaderError> {
    let context = establish()?;
    let readers = states(&context)?.into_iter().map(|state| Candidate {
        name: state.name().to_owned(),
        card: holds_card(&state),
    });
    let name = choose(readers.collect(), wanted)?;
    let card = context
        .connect(&name, ShareMode::Exclusive, Protocols::ANY)
        .map_err(explain)?;
    Ok((card, text(&name)))
}

fn serve(card: &pcsc::Card, inbox: &Receiver<Vec<u8>>, outbox: &Sender<Answer>) {
    let mut buffer = [0; pcsc::MAX_BUFFER_SIZE];
    while let Ok(apdu) = inbox.recv() {
        let answer = card
            .transmit(&apdu, &mut buffer)
            .map_err(explain)
            .and_then(whole);
        let over = answer.is_err();
        if outbox.send(answer).is_err() || over {
            return;
        }
    }
}

/// Every answer ends in two status bytes (ISO/IEC 7816-4). What is shorter comes from a reader that lost
/// its card in the middle of a command and does not say so: vpcd gives success and no byte.
fn whole(answer: &[u8]) -> Answer {
    if answer.len() < STATUS_LEN {
        return Err(ReaderError::Removed);
    }
    Ok(answer.to_vec())
}

/// A new context; a second attempt where the service starts on demand or has just restarted.
fn establish() -> Result<Context, ReaderError> {
    match Context::establish(Scope::User) {
        Err(Error::NoService | Error::ServiceStopped) => Context::establish(Scope::User),
        first => first,
    }
    .map_err(explain)
}

fn states(context: &Context) -> Result<Vec<ReaderState>, ReaderError> {
    let names = match context.list_readers_owned() {
        Err(Error::NoReadersAvailable) => Vec::new(),
        names => names.map_err(explain)?,
    };
    let mut states: Vec<_> = names
        .into_iter()
        .map(|name| ReaderState::new(name, State::UNAWARE))
        .collect();
    if !states.is_empty() {
        context
            .get_status_change(Duration::ZERO, &mut states)
            .map_err(explain)?;
    }
    Ok(states)
}

fn holds_card(state: &ReaderState) -> bool {
    state.event_state().contains(State::PRESENT)
}

fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}

/// A reader and whether a card is in it.
struct Candidate {
    name: CString,
    card: bool,
}

/// The one reader with a card among those called `wanted`, by full name or else by a part of it.
fn choose(readers: Vec<Candidate>, wanted: Option<&str>) -> Result<CString, ReaderError> {
    let is = |reader: &Candidate, wanted: &str| text(&reader.name) == wanted;
    let readers: Vec<Candidate> = match wanted {
        None => readers,
        Some(wanted) if readers.iter().any(|reader| is(reader, wanted)) => readers
            .into_iter()
            .filter(|reader| is(reader, wanted))
            .collect(),
        Some(wanted) => readers
            .into_iter()
            .filter(|reader| text(&reader.name).contains(wanted))
            .collect(),
    };
    if readers.is_empty() {
        return Err(ReaderError::NoReader);
    }
    let mut with_card = readers.into_iter().filter(|reader| reader.card);
    match (with_card.next(), with_card.next()) {
        (None, _) => Err(ReaderError::NoCard),
        (Some(reader), None) => Ok(reader.name),
        (Some(_), Some(_)) => Err(ReaderError::SeveralCards),
    }
}

fn explain(error: Error) -> ReaderError {
    match error {
        Error::NoService | Error::ServiceStopped => ReaderError::Service,
        Error::NoReadersAvailable | Error::UnknownReader => ReaderError::NoReader,
        Error::NoSmartcard => ReaderError::NoCard,
        Error::SharingViolation => ReaderError::Busy,
        Error::RemovedCard
        | Error::ResetCard
        | Error::UnpoweredCard
        | Error::ReaderUnavailable
        | Error::CommError
        | Error::NotTransacted => ReaderError::Removed,
        Error::Timeout => ReaderError::Timeout,
        other => ReaderError::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(readers: &[(&str, bool)], wanted: Option<&str>) -> Result<String, &'static str> {
        let readers = readers
            .iter()
            .map(|(name, card)| Candidate {
                name: CString::new(*name).unwrap(),
                card: *card,
            })
            .collect();
        choose(readers, wanted)
            .map(|name| text(&name))
            .map_err(|error| error.code())
    }

    #[test]
    fn an_answer_without_its_status_is_a_card_that_left() {
        for (answer, whole_answer) in [(&[][..], false), (&[0x91], false), (&[0x91, 0], true)] {
            let code = whole(answer).map_err(|error| error.code());
            let expected = whole_answer.then(|| answer.to_vec());
            assert_eq!(code, expected.ok_or("E_READER_REMOVED"));
        }
    }

    #[test]
    fn the_reader_that_holds_a_card_is_taken() {
        assert_eq!(
            check(&[("A", false), ("B", true), ("C", false)], None),
            Ok("B".to_owned())
        );
    }

    #[test]
    fn no_reader_no_card_and_two_cards_are_told_apart() {
        assert_eq!(check(&[], None), Err("E_READER_NONE"));
        assert_eq!(check(&[("A", false)], None), Err("E_READER_NO_CARD"));
        assert_eq!(
            check(&[("A", true), ("B", true)], None),
            Err("E_READER_SEVERAL_CARDS")
        );
    }

    #[test]
    fn a_name_settles_which_of_two_cards() {
        let readers = [("ACME 00", true), ("ACME 00 00", true), ("Other 01", false)];
        assert_eq!(check(&readers, Some("ACME 00")), Ok("ACME 00".to_owned()));
        assert_eq!(check(&readers, Some("ACME")), Err("E_READER_SEVERAL_CARDS"));
        assert_eq!(check(&readers, Some("Other")), Err("E_READER_NO_CARD"));
        assert_eq!(check(&readers, Some("Third")), Err("E_READER_NONE"));
    }
}
