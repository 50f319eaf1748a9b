//! The server process: calls that stand still before and behind every access of the store.

use crate::{
    cells::{DEBIT_EXCHANGES, EXCHANGES},
    gate::{Point, unavailable},
    ghost::Ghost,
    world::World,
};
use issuer::{
    http::problem::Refused,
    jobs::{bank, expiry, outbox},
    orders::{self, NewOrder},
    redeem,
};
use ledger::{BankTask, Command, IdempotencyKey, Outcome, RemittanceId, Status};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Poll, Waker},
};
use store::{Access, Side};
use wire::api::CreateOrder;
use wire::exchange::{Reply, Request};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Order,
    /// One that a card of the sender pays for.
    CardOrder,
    /// The program of its debit is fetched.
    Program,
    Cancel,
    Exchange(usize),
    Expiry,
    Outbox,
    Block,
    /// Which questions to the bank are due.
    Lease,
    Bank,
    Revise,
    Lost,
    PayOut,
    Payable,
    Close,
    Shown,
    Adopt,
}

impl What {
    /// The step's name in the table of the store; `debit`: for a program that takes value off its card.
    const fn access(self, access: Access, debit: bool) -> &'static str {
        match (self, access) {
            (Self::Order, Access::Read) => "order read",
            (Self::Order, Access::Apply | Access::Write) => "order apply",
            (Self::CardOrder, Access::Read) => "card order read",
            (Self::CardOrder, Access::Apply | Access::Write) => "card order apply",
            (Self::Program, _) => "program read",
            (Self::Exchange(0), _) if debit => "debit 1 read",
            (Self::Exchange(1), _) if debit => "debit 2 read",
            (Self::Exchange(2), Access::Read) if debit => "debit 3 read",
            (Self::Exchange(2), _) if debit => "debit 3 apply",
            (Self::Exchange(_), Access::Read) if debit => "debit 4 read",
            (Self::Exchange(_), _) if debit => "debit 4 apply",
            (Self::Cancel, _) => "cancel apply",
            (Self::Exchange(0), _) => "exchange 1 read",
            (Self::Exchange(1), _) => "exchange 2 read",
            (Self::Exchange(2), Access::Read) => "exchange 3 read",
            (Self::Exchange(2), _) => "exchange 3 apply",
            (Self::Exchange(_), Access::Read) => "exchange 4 read",
            (Self::Exchange(_), _) => "exchange 4 apply",
            (Self::Expiry, Access::Read) => "expiry read",
            (Self::Expiry, _) => "expiry apply",
            (Self::Outbox, Access::Read) => "outbox read",
            (Self::Outbox, _) => "outbox write",
            (Self::Block, _) => "block apply",
            (Self::Lease | Self::Bank, Access::Read) => "bank read",
            (Self::Lease, _) => "bank lease",
            (Self::Bank, _) => "bank apply",
            (Self::Revise, Access::Read) => "revise read",
            (Self::Revise, _) => "revise apply",
            (Self::Lost, _) => "lost apply",
            (Self::PayOut, _) => "payout apply",
            (Self::Payable, Access::Read) => "owed read",
            (Self::Payable, _) => "owed apply",
            (Self::Close, _) => "close apply",
            (Self::Shown, Access::Read) => "receipt read",
            (Self::Shown, _) => "receipt apply",
            (Self::Adopt, Access::Read) => "adopt read",
            (Self::Adopt, _) => "adopt apply",
        }
    }
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// A terminal and the number of its run.
    Terminal(usize, u64),
    /// A sender and one of its wishes.
    Sender(usize, usize),
    /// The lying terminal's own hands.
    Liar,
    Nobody,
}

/// What a call answers.
pub(crate) enum Out {
    Reply(anyhow::Result<Vec<u8>>),
    Placed(Result<RemittanceId, Refused>),
    Cancelled(RemittanceId, Result<(), Refused>),
    /// Questions to the bank that are due.
    Tasks(Vec<BankTask>),
    /// A program as its sender fetches it.
    Program(Option<Vec<u8>>),
    /// A command of the office.
    Decided(Option<Outcome>),
    Done,
}

/// A call in the server.
pub(crate) struct Call {
    pub(crate) what: What,
    pub(crate) client: Client,
    pub(crate) request: Vec<u8>,
    /// The program of its remittance that counted when it came.
    pub(crate) revision: u32,
    /// It is about a debit.
    pub(crate) debit: bool,
    waiting: Option<Point>,
    /// It has written to the books.
    pub(crate) applied: bool,
    future: Pin<Box<dyn Future<Output = Out>>>,
}

/// Which exchange a request is, 0 to 3; by the kind of its ticket.
pub(crate) fn exchange_of(request: &Request) -> usize {
    match request {
        Request::Instruction(_) => 0,
        Request::Answers(answers) => match answers.ticket.as_deref().and_then(<[u8]>::first) {
            Some(2) => 1,
            Some(_) => 2,
            None => 3,
        },
    }
}

impl World<'_> {
    pub(crate) fn begin(
        &mut self,
        what: What,
        client: Client,
        request: Vec<u8>,
        future: Pin<Box<dyn Future<Output = Out>>>,
    ) {
        let revision = self.revision_of(&request);
        let debit = Request::decode(&request).is_ok_and(|request| self.is_debit(&request));
        self.calls.push(Call {
            what,
            client,
            request,
            revision,
            debit,
            waiting: None,
            applied: false,
            future,
        });
    }

    fn revision_of(&self, request: &[u8]) -> u32 {
        let Ok(Request::Instruction(instruction)) = Request::decode(request) else {
            return 0;
        };
        let id = RemittanceId::from_bytes(instruction.remittance).ok();
        let ghost = id.and_then(|id| self.ghosts.get(&id));
        ghost.map_or(0, |ghost| ghost.said.revision)
    }

    /// Whether a request is of a program that takes value off its card.
    fn is_debit(&self, request: &Request) -> bool {
        let id = match request {
            Request::Instruction(instruction) => instruction.remittance,
            Request::Answers(answers) => answers.remittance,
        };
        let id = RemittanceId::from_bytes(id).ok();
        let ghost = id.and_then(|id| self.ghosts.get(&id));
        ghost.is_some_and(Ghost::is_debit)
    }

    /// The name of the exchange that a request is, as the tables have it.
    pub(crate) fn exchange_name(&self, request: &Request) -> &'static str {
        let names = match self.is_debit(request) {
            true => DEBIT_EXCHANGES,
            false => EXCHANGES,
        };
        names[exchange_of(request)]
    }

    /// A request of the exchange reaches the server.
    pub(crate) fn serve(&mut self, client: Client, bytes: &[u8]) {
        let Ok(request) = Request::decode(bytes) else {
            return;
        };
        self.stats.exchanges += 1;
        let what = What::Exchange(exchange_of(&request));
        self.say(|| format!("server: {what:?} for {client:?}"));
        let app = Arc::clone(&self.app);
        let future = async move { Out::Reply(redeem::exchange(&app, request).await) };
        self.begin(what, client, bytes.to_vec(), Box::pin(future));
    }

    /// An order reaches the server.
    pub(crate) fn serve_order(
        &mut self,
        client: Client,
        sender: usize,
        key: &str,
        order: CreateOrder,
    ) {
        self.say(|| format!("server: order {key} for {client:?}"));
        let (app, key) = (Arc::clone(&self.app), IdempotencyKey::new(key));
        let holder = self.senders[sender].holder.clone();
        let what = match order.from_card {
            Some(_) => What::CardOrder,
            None => What::Order,
        };
        let future = async move {
            let placed = match (NewOrder::check(&app, order), key) {
                (Ok(order), Ok(key)) => orders::place(&app, &holder, key, order).await,
                (Err(refused), _) => Err(refused),
                (_, Err(error)) => Err(anyhow::Error::from(error).into()),
            };
            Out::Placed(placed.map(|ordered| ordered.id()))
        };
        self.begin(what, client, Vec::new(), Box::pin(future));
    }

    /// A sender wants money back.
    pub(crate) fn serve_cancel(&mut self, client: Client, sender: usize, id: RemittanceId) {
        self.say(|| format!("server: cancel {id}"));
        let app = Arc::clone(&self.app);
        let holder = self.senders[sender].holder.id;
        let future = async move { Out::Cancelled(id, orders::cancel(&app, holder, id).await) };
        self.begin(What::Cancel, client, Vec::new(), Box::pin(future));
    }

    /// One turn of the expiry job.
    pub(crate) fn serve_expiry(&mut self) {
        let app = Arc::clone(&self.app);
        let future = async move {
            // A failed turn is logged, and the next one comes.
            let _ = expiry::sweep(&app).await;
            Out::Done
        };
        self.begin(What::Expiry, Client::Nobody, Vec::new(), Box::pin(future));
    }

    /// One turn of the mail job.
    pub(crate) fn serve_outbox(&mut self) {
        let (app, transport) = (Arc::clone(&self.app), self.transport.clone());
        let future = async move {
            let _ = outbox::drain(&app, &transport).await;
            Out::Done
        };
        self.begin(What::Outbox, Client::Nobody, Vec::new(), Box::pin(future));
    }

    /// One turn of the job that asks the bank.
    pub(crate) fn serve_bank(&mut self) {
        let app = Arc::clone(&self.app);
        let future = async move { Out::Tasks(bank::lease(&app).await.unwrap_or_default()) };
        self.begin(What::Lease, Client::Nobody, Vec::new(), Box::pin(future));
    }

    /// One of its questions.
    fn serve_task(&mut self, task: BankTask) {
        self.say(|| format!("server: asks the bank about {}", task.remittance));
        let (app, to) = (Arc::clone(&self.app), Arc::clone(&self.bank));
        let future = async move {
            // A failed question is logged, and asked again.
            let _ = bank::carry_out(&app, &*to, &task).await;
            Out::Done
        };
        self.begin(What::Bank, Client::Nobody, Vec::new(), Box::pin(future));
    }

    /// The office blocks a card.
    pub(crate) fn serve_block(&mut self, card: usize) {
        self.say(|| format!("server: block card {card}"));
        let (app, card) = (Arc::clone(&self.app), self.cards[card].id);
        let future = async move {
            let now = app.office.clock.now();
            let _ = app
                .office
                .store
                .apply_one(Command::BlockCard { card, now })
                .await;
            Out::Done
        };
        self.begin(What::Block, Client::Nobody, Vec::new(), Box::pin(future));
    }

    /// What the office does is rare, so it fails often.
    fn office_fault(&mut self, what: What, access: Access) -> bool {
        let permille = match (what, access) {
            (What::Adopt, Access::Apply | Access::Write) => 700,
            (What::Shown | What::Payable, Access::Apply | Access::Write) => 450,
            (_, Access::Apply | Access::Write) => 250,
            (What::Adopt | What::Shown, Access::Read) => 150,
            (_, Access::Read) => 100,
        };
        let fails = self.office_faults > 0 && self.dice.permille(permille);
        self.office_faults -= usize::from(fails);
        fails
    }

    /// Moves one call to its next access of the store, or to its end.
    pub(crate) fn step_call(&mut self, at: usize) {
        let (what, waiting) = (self.calls[at].what, self.calls[at].waiting);
        if let Some((access, side)) = waiting {
            let mut verdict = Ok(());
            // What is rare fails more often.
            let often = match what {
                What::Exchange(3) => match access {
                    Access::Read => 30,
                    Access::Apply | Access::Write => 90,
                },
                What::Cancel => 4,
                What::Expiry | What::Program => 8,
                What::Exchange(2) | What::Lease | What::Bank => 3,
                What::CardOrder => 3,
                What::Exchange(_) | What::Order | What::Outbox => 1,
                What::Block
                | What::Revise
                | What::Lost
                | What::PayOut
                | What::Payable
                | What::Close
                | What::Shown
                | What::Adopt => 0,
            };
            let office = often == 0 && self.office_fault(what, access);
            // the proofs of debits are few: as many of them end on either side of their commit
            let debit = what == What::Exchange(3) && self.calls[at].debit && self.rates.store > 0;
            let permille = match (debit, access, side) {
                (true, Access::Apply | Access::Write, Side::Before) => 120,
                (true, Access::Apply | Access::Write, Side::After) => 250,
                (true, Access::Read, _) => 25,
                (false, _, _) => often * self.rates.store,
            };
            if office || self.fault(permille) {
                let kill = self.dice.one_in(if office || debit { 2 } else { 3 });
                let fault = match (kill, side) {
                    (true, Side::Before) => "killed before",
                    (true, Side::After) => "killed after",
                    (false, Side::Before) => "failed before",
                    (false, Side::After) => "answer lost",
                };
                let step = what.access(access, self.calls[at].debit);
                self.cells.hit("store", fault, step);
                self.say(|| format!("server: {what:?} {access:?}: {fault}"));
                if kill {
                    self.kill_server();
                    return;
                }
                verdict = Err(unavailable());
            }
            self.dirty |= side == Side::Before && access == Access::Apply && verdict.is_ok();
            self.calls[at].applied |= access == Access::Apply;
            self.gate.decide(verdict);
        }
        let mut context = core::task::Context::from_waker(Waker::noop());
        match self.calls[at].future.as_mut().poll(&mut context) {
            Poll::Pending => self.calls[at].waiting = self.gate.take_waiting(),
            Poll::Ready(out) => {
                let call = self.calls.swap_remove(at);
                self.finish_call(&call, out);
            }
        }
    }

    fn finish_call(&mut self, call: &Call, out: Out) {
        match out {
            Out::Reply(Ok(bytes)) => {
                self.check_reply(call, &bytes);
                self.note_progress(&call.request, &bytes);
                self.reply_leaves(call, Some(bytes));
            }
            Out::Reply(Err(_)) => self.reply_leaves(call, None),
            Out::Program(Some(file)) => self.program_arrives(file),
            Out::Program(None) => {}
            Out::Placed(placed) => self.order_answered(call.client, placed),
            Out::Cancelled(id, cancelled) => self.cancel_answered(call.client, id, &cancelled),
            Out::Tasks(tasks) => tasks.into_iter().for_each(|task| self.serve_task(task)),
            Out::Decided(outcome) => self.office_answered(call, outcome),
            Out::Done => self.mails_arrive(),
        }
    }

    /// How far a remittance has come, by what leaves the server for it.
    fn note_progress(&mut self, request: &[u8], reply: &[u8]) {
        let (Ok(request), Ok(Reply::Step(step))) = (Request::decode(request), Reply::decode(reply))
        else {
            return;
        };
        let bytes = match &request {
            Request::Instruction(instruction) => instruction.remittance,
            Request::Answers(answers) => answers.remittance,
        };
        let id = RemittanceId::from_bytes(bytes).ok();
        let Some(ghost) = id.and_then(|id| self.ghosts.get_mut(&id)) else {
            return;
        };
        let early = matches!(ghost.said.status, Status::Open);
        match step.ticket.as_deref().and_then(<[u8]>::first) {
            Some(2) if early => ghost.enter("challenged"),
            Some(_) if early => ghost.enter("state asked"),
            Some(_) | None => {}
        }
    }

    /// The process is gone: with it every call, nothing else.
    pub(crate) fn kill_server(&mut self) {
        self.say(|| "server killed".to_owned());
        self.stats.kills += 1;
        for phase in self.phases() {
            self.race_in("server killed", phase);
        }
        let calls = core::mem::take(&mut self.calls);
        self.clock.restart();
        for call in calls {
            match call.client {
                Client::Terminal(..) => self.reply_arrives(call.client, None),
                Client::Sender(sender, wish) => self.senders[sender].unanswered(wish),
                Client::Liar | Client::Nobody => {}
            }
        }
        self.mails_arrive();
    }
}
