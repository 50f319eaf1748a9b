//! The bank: slow, silent, refusing, and late after its customer has changed their mind.
//!
//! What it remembers is outside the books: it tells whether value on a chip was ever paid.

use crate::dice::Dice;
use async_trait::async_trait;
use issuer::bank::{Bank, Debit, Refund, Standing};
use ledger::RemittanceId;
use money::Amount;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
};

/// What the senders have at the bank: the other runs out there too.
const CUSTOMERS: [i64; 2] = [100_000, 4_000];

/// The number of a sender's account at the bank.
pub(crate) fn account_of(sender: usize) -> String {
    format!("0001-{sender}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Confirmed,
    Refused,
    Refunded,
    Void,
}

/// What the bank remembers of a reference, for ever.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    account: String,
    amount: i64,
    state: State,
    pub(crate) debits: u32,
    pub(crate) refunds: u32,
}

impl Entry {
    /// What the issuer has had from the bank under this reference.
    pub(crate) const fn paid(&self) -> i64 {
        match self.state {
            State::Confirmed => self.amount,
            State::Pending | State::Refused | State::Refunded | State::Void => 0,
        }
    }
}

#[derive(Clone, Debug)]
enum Question {
    Debit { account: String, amount: i64 },
    Status,
    Refund,
}

impl Question {
    const fn name(&self) -> &'static str {
        match self {
            Self::Debit { .. } => "debit",
            Self::Status => "status",
            Self::Refund => "refund",
        }
    }
}

/// A question on its way.
#[derive(Debug)]
struct Message {
    call: u64,
    reference: RemittanceId,
    question: Question,
}

#[derive(Debug)]
struct Books {
    dice: Dice,
    chance: usize,
    customers: BTreeMap<String, i64>,
    entries: BTreeMap<RemittanceId, Entry>,
    calls: u64,
    inbox: Vec<Message>,
    /// Answers that nobody has heard yet: the state of the reference when the bank answered.
    answers: BTreeMap<u64, Option<State>>,
    /// Calls that nobody waits for any longer.
    given_up: BTreeSet<u64>,
    hits: Vec<(&'static str, &'static str)>,
}

/// The bank.
#[derive(Debug)]
pub(crate) struct SimBank(Mutex<Books>);

impl SimBank {
    pub(crate) fn new(dice: Dice, chance: usize) -> Self {
        let customers = CUSTOMERS.iter().enumerate();
        let customers = customers.map(|(sender, balance)| (account_of(sender), *balance));
        Self(Mutex::new(Books {
            dice,
            chance,
            customers: customers.collect(),
            entries: BTreeMap::new(),
            calls: 0,
            inbox: Vec::new(),
            answers: BTreeMap::new(),
            given_up: BTreeSet::new(),
            hits: Vec::new(),
        }))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it answers at once.
    pub(crate) fn calm(&self) {
        let mut books = self.books();
        books.chance = 0;
        while !books.inbox.is_empty() {
            books.work(0);
        }
        let pending = |entry: &Entry| entry.state == State::Pending;
        let pending: Vec<_> = books.entries.iter().filter(|(_, e)| pending(e)).collect();
        let pending: Vec<_> = pending.into_iter().map(|(id, _)| *id).collect();
        for reference in pending {
            books.carry_out(reference, false);
        }
    }

    /// Something happens there: a question arrives, a caller gives up, a slow debit is carried out.
    pub(crate) fn tick(&self) {
        let mut books = self.books();
        let waiting = books.inbox.len();
        if waiting > 0 {
            let at = books.dice.roll(waiting);
            let name = books.inbox[at].question.name();
            if books.fault_of(name) {
                let call = books.inbox[at].call;
                books.given_up.insert(call);
            } else {
                books.work(at);
            }
        }
        let pending = books.entries.iter();
        let pending: Vec<_> = pending
            .filter(|(_, entry)| entry.state == State::Pending)
            .map(|(reference, _)| *reference)
            .collect();
        if let Some(reference) = books.dice.pick(&pending).copied()
            && books.dice.one_in(3)
        {
            let refuse = books.fault();
            books.carry_out(reference, refuse);
        }
    }

    /// Faults since the last call.
    pub(crate) fn take_hits(&self) -> Vec<(&'static str, &'static str)> {
        core::mem::take(&mut self.books().hits)
    }

    /// What it remembers.
    pub(crate) fn entries(&self) -> BTreeMap<RemittanceId, Entry> {
        self.books().entries.clone()
    }

    /// What it remembers of one reference.
    pub(crate) fn entry(&self, reference: RemittanceId) -> Option<Entry> {
        self.books().entries.get(&reference).cloned()
    }

    /// What is left to its customers, and what the issuer has.
    pub(crate) fn is_whole(&self) -> bool {
        let books = self.books();
        let left: i64 = books.customers.values().sum();
        let paid: i64 = books.entries.values().map(Entry::paid).sum();
        let once = books
            .entries
            .values()
            .all(|e| e.debits <= 1 && e.refunds <= e.debits);
        once && left + paid == CUSTOMERS.iter().sum::<i64>()
    }

    /// Asks, and waits for the answer; `None` when none came in time.
    async fn ask(&self, reference: RemittanceId, question: Question) -> Option<Option<State>> {
        let call = self.books().send(reference, question);
        poll_fn(|_| self.books().heard(call)).await
    }
}

impl Books {
    fn fault(&mut self) -> bool {
        let chance = self.chance;
        chance > 0 && self.dice.permille(chance)
    }

    /// Refunds are rare, so they fail more often.
    fn fault_of(&mut self, question: &'static str) -> bool {
        let tries = if question == "refund" { 8 } else { 1 };
        (0..tries).any(|_| self.fault())
    }

    fn send(&mut self, reference: RemittanceId, question: Question) -> u64 {
        self.calls += 1;
        let call = self.calls;
        if self.fault_of(question.name()) {
            self.hits.push(("question lost", question.name()));
            self.given_up.insert(call);
            return call;
        }
        self.inbox.push(Message {
            call,
            reference,
            question,
        });
        if self.chance == 0 {
            self.work(self.inbox.len() - 1);
        }
        call
    }

    fn heard(&mut self, call: u64) -> Poll<Option<Option<State>>> {
        match self.answers.remove(&call) {
            Some(state) => Poll::Ready(Some(state)),
            None if self.given_up.contains(&call) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// A question arrives.
    fn work(&mut self, at: usize) {
        let message = self.inbox.swap_remove(at);
        let (name, reference) = (message.question.name(), message.reference);
        let late = self.given_up.contains(&message.call);
        match message.question {
            Question::Debit { account, amount } => {
                let new = Entry {
                    account,
                    amount,
                    state: State::Pending,
                    debits: 0,
                    refunds: 0,
                };
                self.debit(reference, new);
            }
            Question::Status => {}
            Question::Refund => self.refund(reference),
        }
        let state = self.entries.get(&reference).map(|entry| entry.state);
        if late {
            self.hits.push(("late", name));
        } else if self.fault_of(name) {
            self.hits.push(("answer lost", name));
            self.given_up.insert(message.call);
        } else {
            self.answers.insert(message.call, state);
        }
    }

    /// A reference is debited once, whatever comes under it again.
    fn debit(&mut self, reference: RemittanceId, new: Entry) {
        if self.entries.contains_key(&reference) {
            return;
        }
        self.entries.insert(reference, new);
        let (slow, refuse) = (self.fault(), self.fault());
        if slow {
            self.hits.push(("pending", "debit"));
            return;
        }
        if refuse {
            self.hits.push(("refused", "debit"));
        }
        self.carry_out(reference, refuse);
    }

    /// Decides a pending debit.
    fn carry_out(&mut self, reference: RemittanceId, refuse: bool) {
        let Some(entry) = self.entries.get_mut(&reference) else {
            return;
        };
        if entry.state != State::Pending {
            return;
        }
        let customer = self.customers.get_mut(&entry.account);
        match customer {
            Some(balance) if *balance >= entry.amount && !refuse => {
                *balance -= entry.amount;
                entry.debits += 1;
                entry.state = State::Confirmed;
            }
            Some(_) | None => entry.state = State::Refused,
        }
    }

    fn refund(&mut self, reference: RemittanceId) {
        let entry = self.entries.entry(reference).or_insert(Entry {
            account: String::new(),
            amount: 0,
            state: State::Void,
            debits: 0,
            refunds: 0,
        });
        match entry.state {
            State::Confirmed => {
                if let Some(balance) = self.customers.get_mut(&entry.account) {
                    *balance += entry.amount;
                }
                entry.refunds += 1;
                entry.state = State::Refunded;
            }
            State::Refunded => {}
            State::Pending | State::Refused | State::Void => entry.state = State::Void,
        }
    }
}

fn silent() -> String {
    "no answer".to_owned()
}

fn refused() -> String {
    "refused".to_owned()
}

#[async_trait]
impl Bank for SimBank {
    async fn debit(&self, reference: RemittanceId, account: &str, amount: Amount) -> Debit {
        let (account, amount) = (account.to_owned(), amount.minor());
        match self
            .ask(reference, Question::Debit { account, amount })
            .await
        {
            Some(Some(State::Confirmed | State::Refunded)) => Debit::Confirmed,
            Some(Some(State::Refused | State::Void)) => Debit::Refused { reason: refused() },
            Some(Some(State::Pending) | None) | None => Debit::Unknown { reason: silent() },
        }
    }

    async fn status(&self, reference: RemittanceId) -> Standing {
        match self.ask(reference, Question::Status).await {
            None => Standing::Unknown { reason: silent() },
            Some(None) => Standing::NeverHeard,
            Some(Some(State::Pending)) => Standing::Pending,
            Some(Some(State::Confirmed)) => Standing::Confirmed,
            Some(Some(State::Refused)) => Standing::Refused { reason: refused() },
            Some(Some(State::Refunded)) => Standing::Refunded,
            Some(Some(State::Void)) => Standing::Void,
        }
    }

    async fn refund(&self, reference: RemittanceId) -> Refund {
        match self.ask(reference, Question::Refund).await {
            Some(Some(State::Refunded)) => Refund::Refunded,
            Some(Some(State::Void)) => Refund::Void,
            Some(Some(State::Pending | State::Confirmed | State::Refused) | None) | None => {
                Refund::Unknown { reason: silent() }
            }
        }
    }
}
