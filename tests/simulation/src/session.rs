//! One run of a terminal: what ships (`relay`, `guest-logic`) over effects that can be interrupted.
//!
//! A run is a function of what its effects brought. To hold it at an effect it is left; to go on it is
//! begun anew and fed from its log, so that no thread and no second stack are needed.

use guest_logic::{Host, NetworkError, ReaderError};
use program::Kind;
use relay::{
    apdu,
    journal::{Entry, Facts, Journal, Key},
    run::{Run, Stop},
    settle::{self, prove},
    watch::{Scope, Watch},
};
use std::cell::RefCell;
use wire::descriptor::Descriptor;

/// What a run asks of the world.
#[derive(Debug)]
pub(crate) enum Ask<'a> {
    Transmit(&'a [u8]),
    /// `again`: from the journal of an earlier run.
    Exchange {
        again: bool,
        request: &'a [u8],
    },
    Entry(&'a Key),
    Put(&'a Key, &'a Entry),
    Receipt(&'a Key),
    PutReceipt(&'a Key, &'a [u8]),
}

/// What the world brought.
#[derive(Clone, Debug)]
pub(crate) enum Got {
    Answer(Result<Vec<u8>, ReaderError>),
    Reply(Result<Vec<u8>, NetworkError>),
    Entry(Option<Entry>),
    Receipt(Option<Vec<u8>>),
    Done,
}

/// The run was left here.
#[derive(Debug)]
pub(crate) struct Left;

/// A verified program.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) key: Key,
    pub(crate) facts: Facts,
    pub(crate) hash: [u8; 32],
    pub(crate) scope: Scope,
    pub(crate) order: Vec<u8>,
    pub(crate) kind: Kind,
}

/// How the opening of a program ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Credited,
    Failed,
}

type Perform<'w> = &'w mut dyn FnMut(Ask<'_>) -> Option<Got>;

struct Inner<'w> {
    log: &'w mut Vec<Got>,
    next: usize,
    perform: Perform<'w>,
    left: bool,
    denied: bool,
}

/// The effects of one run.
pub(crate) struct Effects<'w>(RefCell<Inner<'w>>);

impl<'w> Effects<'w> {
    pub(crate) fn new(log: &'w mut Vec<Got>, perform: Perform<'w>) -> Self {
        Self(RefCell::new(Inner {
            log,
            next: 0,
            perform,
            left: false,
            denied: false,
        }))
    }

    /// Whether the policy kept a command of the program from the card.
    pub(crate) fn denied(&self) -> bool {
        self.0.borrow().denied
    }

    /// Whether the run was left, so that its result means nothing.
    pub(crate) fn left(&self) -> bool {
        self.0.borrow().left
    }

    fn ask(&self, ask: Ask<'_>) -> Result<Got, Left> {
        let mut inner = self.0.borrow_mut();
        if inner.left {
            return Err(Left);
        }
        let at = inner.next;
        inner.next = at.saturating_add(1);
        if let Some(got) = inner.log.get(at) {
            return Ok(got.clone());
        }
        if let Some(got) = (inner.perform)(ask) {
            inner.log.push(got.clone());
            Ok(got)
        } else {
            inner.left = true;
            Err(Left)
        }
    }

    fn exchange(&self, again: bool, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        match self.ask(Ask::Exchange { again, request }) {
            Ok(Got::Reply(reply)) => reply,
            Ok(_) | Err(Left) => Err(NetworkError::Failed),
        }
    }
}

impl Journal for Effects<'_> {
    type Error = Left;

    fn entry(&self, key: &Key) -> Result<Option<Entry>, Left> {
        match self.ask(Ask::Entry(key))? {
            Got::Entry(entry) => Ok(entry),
            Got::Answer(_) | Got::Reply(_) | Got::Receipt(_) | Got::Done => Err(Left),
        }
    }

    fn put(&self, key: &Key, entry: &Entry) -> Result<(), Left> {
        self.ask(Ask::Put(key, entry)).map(|_| ())
    }

    fn receipt(&self, key: &Key) -> Result<Option<Vec<u8>>, Left> {
        match self.ask(Ask::Receipt(key))? {
            Got::Receipt(receipt) => Ok(receipt),
            Got::Answer(_) | Got::Reply(_) | Got::Entry(_) | Got::Done => Err(Left),
        }
    }

    fn put_receipt(&self, key: &Key, receipt: &[u8]) -> Result<(), Left> {
        self.ask(Ask::PutReceipt(key, receipt)).map(|_| ())
    }
}

/// Reader and channel of the program.
struct Capabilities<'a, 'w> {
    effects: &'a Effects<'w>,
    run: Run<'a>,
    policy: apdu::State,
}

impl Host for Capabilities<'_, '_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let Some(sent) = self.policy.permit(command) else {
            self.effects.0.borrow_mut().denied = true;
            return Err(ReaderError::Denied);
        };
        self.run.watch.apdus = self.run.watch.apdus.saturating_add(1);
        let answer = match self.effects.ask(Ask::Transmit(command)) {
            Ok(Got::Answer(answer)) => answer,
            Ok(_) | Err(Left) => Err(ReaderError::Failed),
        };
        self.policy.answered(sent, answer.as_deref().ok());
        answer
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let effects = self.effects;
        let carried = self
            .run
            .carry(effects, request, |request| effects.exchange(false, request));
        carried.map_err(|stop| match stop {
            Stop::Denied => NetworkError::Denied,
            Stop::NoEntry | Stop::Journal(_) | Stop::Reply(_) => NetworkError::Failed,
            Stop::Channel(error) => error,
        })
    }
}

/// Sends the unanswered exchanges of earlier runs again, as every start does.
pub(crate) fn send_again(effects: &Effects<'_>, keys: &[Key], issuer: &Descriptor) {
    for key in keys {
        // What became of it stands in the journal; the person is told the rest.
        let _ = settle::unanswered(effects, key, |request| {
            effects
                .exchange(true, request)
                .map(|reply| (issuer.clone(), reply))
        });
    }
}

/// Opens a program: `tegata open` after consent.
pub(crate) fn open(
    effects: &Effects<'_>,
    opened: &Opened,
    issuer: &Descriptor,
) -> Result<Ended, Left> {
    let is_proof = |bytes: &[u8]| prove(bytes, issuer, &opened.key, &opened.facts).ok();
    if effects
        .receipt(&opened.key)?
        .is_some_and(|bytes| is_proof(&bytes).is_some())
    {
        return Ok(Ended::Credited);
    }
    let entry = match effects.entry(&opened.key)? {
        Some(known) => match known.opened(opened.facts.clone(), opened.hash) {
            Ok(entry) => entry,
            Err(_) => return Ok(Ended::Failed),
        },
        None => Entry::new(opened.facts.clone(), opened.hash),
    };
    effects.put(&opened.key, &entry)?;
    let mut capabilities = Capabilities {
        effects,
        run: Run {
            key: &opened.key,
            facts: &opened.facts,
            scope: opened.scope,
            watch: Watch::default(),
        },
        policy: apdu::State::new(opened.kind),
    };
    let ended = guest_logic::run(&opened.order, &mut capabilities);
    let returned = ended.as_ref().ok();
    let candidates = capabilities.run.watch.receipt.iter().chain(returned);
    let proof = candidates.filter_map(|bytes| is_proof(bytes)).next();
    match proof {
        Some(proof) => {
            effects.keep_receipt(&opened.key, &proof.bytes)?;
            Ok(Ended::Credited)
        }
        None => Ok(Ended::Failed),
    }
}
