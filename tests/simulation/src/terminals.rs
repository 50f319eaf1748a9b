//! Terminals: their memory, their runs, and what may end these at any step.

use crate::{
    cards::Connection,
    server::{Call, Client, What},
    session::{self, Ask, Effects, Ended, Got, Left, Opened},
    world::World,
};
use guest_logic::NetworkError;
use ledger::RemittanceId;
use relay::journal::{Entry, Key};
use std::{collections::BTreeMap, rc::Rc};
use wire::exchange::{Refusal, Reply, Request};

/// A terminal and all it keeps when its power goes.
#[derive(Debug, Default)]
pub(crate) struct Terminal {
    /// It plays tricks with the card's answers.
    pub(crate) lying: bool,
    pub(crate) entries: BTreeMap<[u8; 16], Entry>,
    pub(crate) receipts: BTreeMap<[u8; 16], Vec<u8>>,
    /// Proofs that were sent and not answered conclusively: they must stand in the journal.
    owed: BTreeMap<[u8; 16], Owed>,
    pub(crate) run: Option<Active>,
    runs: u64,
}

/// A proof that was sent and not answered conclusively.
#[derive(Debug)]
struct Owed {
    request: Vec<u8>,
    /// A chip had committed it by then. Else it proves nothing, and the answers to a batch that was handed
    /// out anew take its place.
    moved: bool,
}

/// A run between two events.
#[derive(Debug)]
pub(crate) struct Active {
    number: u64,
    again: Vec<Key>,
    open: Option<Rc<Opened>>,
    connection: Option<Connection>,
    log: Vec<Got>,
    waiting: Option<Waiting>,
}

/// An exchange of a run that was left.
#[derive(Debug)]
struct Waiting {
    again: bool,
    request: Vec<u8>,
    sent: bool,
}

/// Why a run was left.
enum Halt {
    Exchange { again: bool, request: Vec<u8> },
    Killed,
}

impl Terminal {
    pub(crate) fn new(lying: bool) -> Self {
        Self {
            lying,
            ..Self::default()
        }
    }
}

impl Active {
    /// Whether it can go on.
    pub(crate) const fn is_ready(&self) -> bool {
        self.waiting.is_none()
    }

    /// Whether it has a request to send.
    pub(crate) const fn is_sending(&self) -> bool {
        matches!(&self.waiting, Some(waiting) if !waiting.sent)
    }

    /// The card on its reader.
    pub(crate) fn card(&self) -> Option<usize> {
        self.connection.map(|connection| connection.card)
    }

    /// The remittance whose program runs.
    pub(crate) fn remittance(&self) -> Option<[u8; 16]> {
        self.open.as_ref().map(|opened| opened.key.remittance)
    }
}

impl World<'_> {
    /// Starts a terminal: earlier exchanges are sent again, then a program is opened with a card.
    pub(crate) fn start_run(&mut self, at: usize, open: Option<(Rc<Opened>, usize)>) {
        let opened = open.as_ref().map(|(opened, _)| Rc::clone(opened));
        let connection = open.map(|(opened, card)| {
            let debit = opened.kind == program::Kind::Debit;
            self.place_card(card, debit)
        });
        if let Some(opened) = &opened {
            let second = self.terminals.iter().enumerate().any(|(other, terminal)| {
                let running = terminal.run.as_ref().and_then(Active::remittance);
                other != at && running == Some(opened.key.remittance)
            });
            if second && let Some(phase) = self.phase_of(opened.key.remittance) {
                self.race_in("second terminal", phase);
            }
        }
        let terminal = &mut self.terminals[at];
        terminal.runs += 1;
        let again = terminal.entries.iter();
        let again = again
            .filter(|(_, entry)| entry.unanswered.is_some())
            .map(|(remittance, _)| Key {
                issuer: crate::base::ISSUER.to_owned(),
                remittance: *remittance,
            })
            .collect();
        terminal.run = Some(Active {
            number: terminal.runs,
            again,
            open: opened,
            connection,
            log: Vec::new(),
            waiting: None,
        });
        self.stats.runs += 1;
        self.say(|| format!("terminal {at} starts"));
    }

    /// Lets a run go on to its next exchange, or to its end.
    pub(crate) fn drive(&mut self, at: usize) {
        let Some(mut active) = self.terminals[at].run.take() else {
            return;
        };
        let base = self.base;
        let mut halt = None;
        let mut connection = active.connection;
        let mut log = core::mem::take(&mut active.log);
        let (left, denied, ended) = {
            let mut perform = |ask: Ask<'_>| self.perform(at, &mut connection, &mut halt, ask);
            let effects = Effects::new(&mut log, &mut perform);
            session::send_again(&effects, &active.again, &base.descriptor);
            let ended = match &active.open {
                Some(opened) => session::open(&effects, opened, &base.descriptor),
                None => Err(Left),
            };
            (effects.left(), effects.denied(), ended)
        };
        if denied && !self.terminals[at].lying {
            self.broke("the policy denied a command of our own program".to_owned());
        }
        active.log = log;
        active.connection = connection;
        match (left, halt) {
            (true, Some(Halt::Exchange { again, request })) => {
                active.waiting = Some(Waiting {
                    again,
                    request,
                    sent: false,
                });
                self.terminals[at].run = Some(active);
            }
            (true, Some(Halt::Killed) | None) => self.say(|| format!("terminal {at} killed")),
            (false, _) => {
                if matches!(ended, Ok(Ended::Credited)) {
                    self.stats.receipts += 1;
                }
                self.say(|| format!("terminal {at} ends: {ended:?}"));
            }
        }
    }

    /// One effect of a run.
    fn perform(
        &mut self,
        at: usize,
        connection: &mut Option<Connection>,
        halt: &mut Option<Halt>,
        ask: Ask<'_>,
    ) -> Option<Got> {
        match ask {
            Ask::Transmit(apdu) => {
                let lying = self.terminals[at].lying;
                let connection = connection.as_mut()?;
                Some(Got::Answer(self.transmit(connection, lying, apdu)))
            }
            Ask::Exchange { again, request } => {
                self.check_journalled(at, request);
                *halt = Some(Halt::Exchange {
                    again,
                    request: request.to_vec(),
                });
                None
            }
            Ask::Entry(key) => {
                let entry = self.terminals[at].entries.get(&key.remittance);
                Some(Got::Entry(entry.cloned()))
            }
            Ask::Receipt(key) => {
                let receipt = self.terminals[at].receipts.get(&key.remittance);
                Some(Got::Receipt(receipt.cloned()))
            }
            Ask::Put(key, entry) => {
                let known = self.terminals[at].entries.get(&key.remittance);
                let step = match (known, &entry.unanswered) {
                    (Some(known), None) if known.unanswered.is_some() => "settled",
                    (Some(known), Some(_)) if known.unanswered != entry.unanswered => "awaiting",
                    (_, _) => "opened",
                };
                if self.power_cut("killed before", step) {
                    *halt = Some(Halt::Killed);
                    return None;
                }
                let entries = &mut self.terminals[at].entries;
                entries.insert(key.remittance, entry.clone());
                self.written(step, halt)
            }
            Ask::PutReceipt(key, receipt) => {
                if self.power_cut("killed before", "receipt") {
                    *halt = Some(Halt::Killed);
                    return None;
                }
                let receipts = &mut self.terminals[at].receipts;
                receipts.insert(key.remittance, receipt.to_vec());
                self.written("receipt", halt)
            }
        }
    }

    fn written(&mut self, step: &'static str, halt: &mut Option<Halt>) -> Option<Got> {
        if self.power_cut("killed after", step) {
            *halt = Some(Halt::Killed);
            return None;
        }
        Some(Got::Done)
    }

    fn power_cut(&mut self, fault: &'static str, step: &'static str) -> bool {
        let often = match step {
            "receipt" | "settled" => 4,
            _ => 1,
        };
        let cut = self.fault(often * self.rates.terminal);
        if cut {
            self.cells.hit("terminal", fault, step);
        }
        cut
    }

    /// I7: what may be the only proof that money moved stands in the journal before it leaves.
    fn check_journalled(&mut self, at: usize, bytes: &[u8]) {
        let Ok(request) = Request::decode(bytes) else {
            self.broke("a program sent what is no request".to_owned());
            return;
        };
        let Request::Answers(answers) = &request else {
            return;
        };
        if answers.ticket.is_some() {
            return;
        }
        let id = RemittanceId::from_bytes(answers.remittance).ok();
        let ghost = id.and_then(|id| self.ghosts.get(&id));
        let moved = ghost.is_none_or(|ghost| ghost.credits > 0);
        let terminal = &mut self.terminals[at];
        let entry = terminal.entries.get(&answers.remittance);
        let stands = entry.and_then(|entry| entry.unanswered.as_ref());
        let journalled = stands.is_some_and(|stands| stands.request == bytes);
        let owed = Owed {
            request: bytes.to_vec(),
            moved,
        };
        terminal.owed.insert(answers.remittance, owed);
        if !journalled {
            self.broke(format!(
                "I7: terminal {at} sends a proof it did not journal"
            ));
        }
    }

    /// I7: a proof that was not answered conclusively is still there, or its receipt is.
    pub(crate) fn check_owed(&mut self) {
        let forgotten = self.terminals.iter().position(|terminal| {
            terminal.owed.iter().any(|(remittance, owed)| {
                let entry = terminal.entries.get(remittance);
                let stands = entry.and_then(|entry| entry.unanswered.as_ref());
                let forgotten = match stands {
                    Some(stands) => stands.request != owed.request && owed.moved,
                    None => true,
                };
                forgotten && !terminal.receipts.contains_key(remittance)
            })
        });
        if let Some(at) = forgotten {
            self.broke(format!(
                "I7: terminal {at} forgot a proof that nobody answered"
            ));
        }
    }

    /// Puts the request of a run on its way.
    pub(crate) fn send(&mut self, at: usize) {
        let Some(active) = &mut self.terminals[at].run else {
            return;
        };
        let number = active.number;
        let Some(waiting) = &mut active.waiting else {
            return;
        };
        waiting.sent = true;
        let (request, again) = (waiting.request.clone(), waiting.again);
        let step = match (again, Request::decode(&request)) {
            (true, Ok(request)) => again_of(self.exchange_name(&request)),
            (false, Ok(request)) => self.exchange_name(&request),
            (_, Err(_)) => return,
        };
        if self.fault(self.rates.terminal) {
            self.cells.hit("terminal", "killed before", "sending");
            self.terminals[at].run = None;
            return;
        }
        let client = Client::Terminal(at, number);
        self.keep_request(&request);
        // What is sent again is rare, so it fails more often.
        let often = match step {
            "sent again" => 20,
            "debit again" => 60,
            "exchange 4" => 4,
            "debit 4" => 8,
            _ => 1,
        };
        if self.fault(often * self.rates.message) {
            if self.dice.one_in(2) {
                self.cells.hit("messages", "request lost", step);
                self.reply_arrives(client, None);
                return;
            }
            self.cells.hit("messages", "repeated", step);
            self.serve(Client::Nobody, &request);
        }
        self.serve(client, &request);
    }

    /// Requests that may arrive once more, much later.
    pub(crate) fn keep_request(&mut self, request: &[u8]) {
        /// More would only make the old ones rarer.
        const KEPT_MAX: usize = 24;
        if self.requests.len() < KEPT_MAX {
            self.requests.push(request.to_vec());
        } else {
            let at = self.dice.roll(KEPT_MAX);
            self.requests[at] = request.to_vec();
        }
    }

    /// A copy of a request arrives that was under way for long, or that somebody kept.
    pub(crate) fn late_request(&mut self) {
        let Some(bytes) = self.dice.pick(&self.requests).cloned() else {
            return;
        };
        if let Ok(request) = Request::decode(&bytes) {
            let step = self.exchange_name(&request);
            self.cells.hit("messages", "late", step);
        }
        self.serve(Client::Nobody, &bytes);
    }

    /// An answer leaves the server.
    pub(crate) fn reply_leaves(&mut self, call: &Call, reply: Option<Vec<u8>>) {
        let (client, what) = (call.client, call.what);
        match client {
            Client::Terminal(at, number) => {
                let again = self.waits_again(at, number);
                let often = match (again, what) {
                    (Some(true), _) if call.debit => 60,
                    (Some(true), _) => 20,
                    (_, What::Exchange(3)) if call.debit => 8,
                    (_, What::Exchange(3)) => 4,
                    (_, _) => 1,
                };
                let lost = self.fault(often * self.rates.message);
                if lost && let Ok(request) = Request::decode(&call.request) {
                    let name = self.exchange_name(&request);
                    let step = match again {
                        Some(true) => again_of(name),
                        Some(false) | None => name,
                    };
                    self.cells.hit("messages", "reply lost", step);
                }
                self.reply_arrives(client, reply.filter(|_| !lost));
            }
            Client::Liar => {
                if let Some(reply) = reply {
                    self.liar_hears(&reply);
                }
            }
            Client::Sender(..) | Client::Nobody => {}
        }
    }

    fn waits_again(&self, at: usize, number: u64) -> Option<bool> {
        let active = self.terminals[at].run.as_ref()?;
        let waiting = active.waiting.as_ref().filter(|w| w.sent)?;
        (active.number == number).then_some(waiting.again)
    }

    /// A reply reaches its run, if that still waits; `None`: it never came.
    pub(crate) fn reply_arrives(&mut self, client: Client, reply: Option<Vec<u8>>) {
        let Client::Terminal(at, number) = client else {
            return;
        };
        if self.waits_again(at, number).is_none() {
            return;
        }
        let terminal = &mut self.terminals[at];
        let Some(active) = &mut terminal.run else {
            return;
        };
        let Some(waiting) = active.waiting.take() else {
            return;
        };
        let got = match reply {
            Some(reply) => {
                conclude(&mut terminal.owed, &waiting.request, &reply);
                Ok(reply)
            }
            None if self.dice.one_in(2) => Err(NetworkError::Timeout),
            None => Err(NetworkError::Failed),
        };
        active.log.push(Got::Reply(got));
    }

    /// The power of a terminal goes while it waits.
    pub(crate) fn kill_terminal(&mut self, at: usize) {
        if let Some(active) = self.terminals[at].run.take() {
            let phase = active.remittance().and_then(|id| self.phase_of(id));
            if let Some(phase) = phase {
                self.race_in("killed waiting", phase);
            }
        }
    }

    pub(crate) fn phase_of(&self, remittance: [u8; 16]) -> Option<&'static str> {
        let id = RemittanceId::from_bytes(remittance).ok()?;
        self.ghosts.get(&id).map(|ghost| ghost.phase)
    }
}

/// What is sent again is always the last exchange.
fn again_of(exchange: &'static str) -> &'static str {
    if exchange == "debit 4" {
        "debit again"
    } else {
        "sent again"
    }
}

/// Whether a refusal of the last exchange says that the server has looked at the card's answers and
/// judged them. By docs/exchange.md, and not by asking the code that decides it in a terminal.
const fn judges(refusal: Refusal) -> bool {
    match refusal {
        // the answers, or the card that gave them, are not what this remittance needs
        Refusal::CardNotGenuine
        | Refusal::CardStopped
        | Refusal::InDoubt
        | Refusal::CardFrozen
        | Refusal::CardUnknown
        | Refusal::WrongCard
        | Refusal::CardFull
        | Refusal::CardShort
        | Refusal::ProgramRevoked => true,
        // not looked at, or decided without them: they may still be all that proves it
        Refusal::RemittanceUnknown
        | Refusal::ClaimTokenWrong
        | Refusal::CardBlocked
        | Refusal::Expired
        | Refusal::Cancelled
        | Refusal::Restart
        | Refusal::TicketInvalid
        | Refusal::TicketExpired
        | Refusal::Superseded
        | Refusal::Returned
        | Refusal::NotYetValid
        | Refusal::CardBusy
        | Refusal::Recovering
        | Refusal::NotInDatabase => false,
    }
}

/// A reply that ends the need to send a proof again.
fn conclude(owed: &mut BTreeMap<[u8; 16], Owed>, request: &[u8], reply: &[u8]) {
    let (Ok(Request::Answers(answers)), Ok(reply)) =
        (Request::decode(request), Reply::decode(reply))
    else {
        return;
    };
    if answers.ticket.is_some() {
        return;
    }
    let ends = match reply {
        Reply::Receipt(_) => true,
        Reply::Refusal(refusal) => judges(refusal),
        Reply::Step(_) => false,
    };
    if ends {
        owed.remove(&answers.remittance);
    }
}
