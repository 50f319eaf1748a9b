//! One run: what of a program's requests leaves, and what is written down before it does.

use alloc::vec::Vec;
use crashpoint::reach;
use planted::Bug;
use wire::cbor::DecodeError;
use wire::exchange::Reply;

use crate::journal::{Facts, Journal, Key, Unanswered};
use crate::watch::{Scope, Watch, Weight, concludes};

/// Why a request brought no reply; `J` and `C`: errors of the journal and of the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop<J, C> {
    /// The rules forbid it; it did not leave.
    Denied,
    /// The entry that the consent screen made is gone; it did not leave.
    NoEntry,
    /// The journal failed.
    Journal(J),
    /// The channel brought nothing; the server may have acted.
    Channel(C),
    /// The answer is none.
    Reply(DecodeError),
}

/// The run of one program that the person has agreed to.
#[derive(Debug)]
pub struct Run<'a> {
    /// The remittance of this run.
    pub key: &'a Key,
    /// What its receipt must repeat.
    pub facts: &'a Facts,
    /// What the program may speak for.
    pub scope: Scope,
    /// What has passed so far.
    pub watch: Watch,
}

impl Run<'_> {
    /// Has `send` carry one request to the issuer, if it may leave.
    ///
    /// Answers to the batch that moves value are journalled first; a refusal that judges them ends
    /// the need to send them again.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn carry<J: Journal, C>(
        &mut self,
        journal: &J,
        request: &[u8],
        send: impl FnOnce(&[u8]) -> Result<Vec<u8>, C>,
    ) -> Result<Vec<u8>, Stop<J::Error, C>> {
        let weight = self.scope.weigh(request, &self.watch).ok_or(Stop::Denied)?;
        let late = planted::on(Bug::JournalAfterSending);
        if weight == Weight::MoneyMayHaveMoved && !late {
            let unanswered = Unanswered {
                request: request.to_vec(),
                facts: self.facts.clone(),
            };
            keep(journal, self.key, &mut self.watch, unanswered)?;
        }
        let sent = send(request);
        if weight == Weight::MoneyMayHaveMoved && late {
            let unanswered = Unanswered {
                request: request.to_vec(),
                facts: self.facts.clone(),
            };
            keep(journal, self.key, &mut self.watch, unanswered)?;
        }
        let dropped = sent.is_err() && planted::on(Bug::JournalDropped);
        if weight == Weight::MoneyMayHaveMoved && dropped {
            journal.settle(self.key).map_err(Stop::Journal)?;
        }
        let bytes = sent.map_err(Stop::Channel)?;
        let reply = Reply::decode(&bytes).map_err(Stop::Reply)?;
        self.watch.replied(&reply);
        if let (Weight::MoneyMayHaveMoved, Reply::Refusal(refusal)) = (weight, &reply)
            && concludes(*refusal)
        {
            journal.settle(self.key).map_err(Stop::Journal)?;
        }
        Ok(bytes)
    }
}

/// Journals the last exchange before it is sent; a repetition of what stands there is sent as it is.
///
/// Another unanswered request of the same remittance may be the only proof that money moved, and is
/// replaced at most once for each time that the server hands out the batch that moves value: the
/// server then waits for new answers. Anything else is denied.
///
/// # Errors
/// [`Stop::Denied`], [`Stop::NoEntry`], [`Stop::Journal`].
pub fn keep<J: Journal, C>(
    journal: &J,
    key: &Key,
    watch: &mut Watch,
    unanswered: Unanswered,
) -> Result<(), Stop<J::Error, C>> {
    let entry = journal
        .entry(key)
        .map_err(Stop::Journal)?
        .ok_or(Stop::NoEntry)?;
    if entry.unanswered.as_ref() != Some(&unanswered) {
        if entry.unanswered.is_some() && !watch.answers_due {
            return Err(Stop::Denied);
        }
        reach!("terminal::request::before-write");
        journal
            .put(key, &entry.awaiting(unanswered))
            .map_err(Stop::Journal)?;
        reach!("terminal::request::after-write");
    }
    watch.answers_due = false;
    Ok(())
}
