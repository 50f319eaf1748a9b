//! One issuer's rows, one emulated card and a clock, with the terminal between them.
//!
//! Rows are moved by the ledger's own decisions, so both cores are tested together.

use card::{
    key::Key,
    personalise::{Blank, CardKeys, Personalisation, Step as Making},
};
use card_sim::Card as Chip;
use ed25519_dalek::SigningKey;
use ledger::{
    Card, CardId, CardStatus, CommitOutcome, Decide, Decided, Event, Flow, HolderId, InFlight,
    MailStatus, NumberRef, Proven, Refusal as LedgerRefusal, Remittance, RemittanceId, Settle,
    Settlement, Source, Status, Timestamp, Uid,
    rules::{self, DecideFacts, SettleFacts, SettlePlan},
};
use money::{Amount, Currency};
use redemption::{
    Accepted, BeginRows, Begun, Context, DecideRows, Decision, Incarnation, Nonce, Presented,
    ProgramKey, ProofRows, Proved, SealKey, accept, begin,
};
use std::collections::BTreeMap;
use wire::exchange::{Answers, Instruction, Refusal, Reply, Request, Step};

pub(crate) const UID: [u8; 7] = [0x04, 1, 2, 3, 4, 5, 6];
pub(crate) const AMOUNT: i64 = 2_500;
pub(crate) const START: Timestamp = Timestamp::from_unix_s(1_800_000_000);
pub(crate) const LIFE_S: i64 = 3_600;

const ISSUER: &str = "money.example";
const NUMBER: [u8; 16] = *b"9000000000000001";

/// The claim token of a program that was replaced.
pub(crate) const EARLIER_TOKEN: [u8; 32] = [0xE1; 32];
/// Of a later revision than the one that the database knows.
pub(crate) const LATER_TOKEN: [u8; 32] = [0x1A; 32];

/// What a frozen card left behind.
pub(crate) type Evidence = Vec<u8>;

/// Card, remittances and what is in flight, at one instant.
pub(crate) type Backup = (Card, BTreeMap<RemittanceId, Remittance>, Option<InFlight>);

pub(crate) struct World {
    pub(crate) chip: Chip,
    pub(crate) card: Card,
    pub(crate) remittances: BTreeMap<RemittanceId, Remittance>,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) evidence: Option<Evidence>,
    shown: Vec<RemittanceId>,
    pub(crate) now: Timestamp,
    pub(crate) incarnation: Incarnation,
    pub(crate) exchanges: usize,
    pub(crate) apdus: usize,
    seal_key: SealKey,
    receipt_key: SigningKey,
    pub(crate) program_key: ProgramKey,
    drawn: u64,
}

fn masters() -> [Key; 4] {
    [[1; 16], [2; 16], [3; 16], [4; 16]].map(Key::new)
}

fn keys(uid: &[u8; 7]) -> CardKeys {
    let [picc, k0, k1, k2] = masters();
    CardKeys::derive(&picc, [&k0, &k1, &k2], uid)
}

fn personalised(uid: [u8; 7], seed: u8) -> Chip {
    let mut chip = Chip::new(uid, [seed; 32]);
    let blank = Blank {
        uid,
        card_number: NUMBER,
        keys: keys(&uid),
    };
    let (mut command, mut machine) = Personalisation::start(blank);
    loop {
        let answer = chip.transmit(&command).answer;
        match machine.next(&answer, [7; 16]).unwrap() {
            Making::Transmit(next, waiting) => (command, machine) = (next, waiting),
            Making::Done => return chip,
        }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            chip: personalised(UID, 1),
            card: Card {
                id: CardId::new(1, [1; 10]),
                number_ref: NumberRef([9; 32]),
                masked: "**** **** **** 0001".to_owned(),
                uid: Uid(UID),
                holder: HolderId::new(1, [2; 10]),
                status: CardStatus::Active,
                currency: Currency::Jpy,
                value_max: 10_000,
                epoch: 0,
                proven: Proven::default(),
                reread: false,
                lost: None,
                payouts: 0,
                paid_out: 0,
            },
            remittances: BTreeMap::new(),
            in_flight: None,
            evidence: None,
            shown: Vec::new(),
            now: START,
            incarnation: Incarnation([1; 16]),
            exchanges: 0,
            apdus: 0,
            seal_key: SealKey::new([5; 32]),
            receipt_key: SigningKey::from_bytes(&[6; 32]),
            program_key: ProgramKey::Honoured,
            drawn: 0,
        }
    }

    /// Orders a remittance to the card.
    pub(crate) fn order(&mut self, amount: i64) -> RemittanceId {
        self.drawn += 1;
        let id = RemittanceId::new(self.drawn, [3; 10]);
        let remittance = Remittance {
            id,
            flow: Flow::Credit(Source::Account),
            revision: 0,
            sender: HolderId::new(1, [4; 10]),
            sender_name: "Aiko".to_owned(),
            card: self.card.id,
            card_masked: self.card.masked.clone(),
            amount: Amount::new(amount, Currency::Jpy).unwrap(),
            note: String::new(),
            status: Status::Open,
            created: self.now,
            expires: self.now.plus_s(LIFE_S),
            order_bytes: vec![1; 200],
            signature: [0; 64],
            program_key: [0; 32],
            template_hash: [0; 32],
            receipt: None,
            mail: MailStatus::Sent,
        };
        self.remittances.insert(id, remittance);
        id
    }

    /// A backup of this very instant is restored later: rows as `backup` has them, a new life.
    pub(crate) fn restore(&mut self, backup: Backup) {
        (self.card, self.remittances, self.in_flight) = backup;
        self.card.reread = true;
        self.incarnation = Incarnation([2; 16]);
        for remittance in self.remittances.values_mut() {
            let step = remittance.escrow().on(Event::Restore, self.now).unwrap();
            remittance.status = step.to;
        }
    }

    /// The rows as they are.
    pub(crate) fn backup(&self) -> Backup {
        (
            self.card.clone(),
            self.remittances.clone(),
            self.in_flight.clone(),
        )
    }

    /// A receipt that was shown at the office.
    pub(crate) fn show(&mut self, id: RemittanceId, receipt: Vec<u8>) {
        let remittance = self.remittances.get_mut(&id).unwrap();
        let step = remittance.escrow().on(Event::ShowReceipt, self.now);
        remittance.status = step.unwrap().to;
        remittance.receipt = Some(receipt);
        self.in_flight.take_if(|sent| sent.remittance == id);
        self.shown.push(id);
    }

    fn recovering(&self) -> Vec<Remittance> {
        let waits = |r: &&Remittance| {
            matches!(r.status, Status::Recovering { .. }) || self.shown.contains(&r.id)
        };
        self.remittances.values().filter(waits).cloned().collect()
    }

    /// The same, and what is not known as funded.
    fn waiting(&self) -> Vec<Remittance> {
        let unknown = |r: &&Remittance| matches!(r.status, Status::FundingUnknown { .. });
        let mut waiting = self.recovering();
        waiting.extend(self.remittances.values().filter(unknown).cloned());
        waiting
    }

    /// Orders a debit of the card, which pays for some other remittance.
    pub(crate) fn order_debit(&mut self, amount: i64) -> RemittanceId {
        let id = self.order(amount);
        let funds = RemittanceId::new(self.drawn, [9; 10]);
        if let Some(remittance) = self.remittances.get_mut(&id) {
            remittance.flow = Flow::Debit { funds };
        }
        id
    }

    pub(crate) fn status(&self, id: RemittanceId) -> Status {
        self.remittances[&id].status
    }

    /// What the chip really holds.
    pub(crate) fn value(&self) -> i32 {
        self.chip.balances()[0].2
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            issuer: ISSUER,
            seal_key: &self.seal_key,
            receipt_key: &self.receipt_key,
            incarnation: self.incarnation,
            now: self.now,
        }
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        self.drawn += 1;
        let bytes = self.drawn.to_le_bytes();
        core::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0x5C))
    }

    pub(crate) fn token(id: RemittanceId) -> [u8; 32] {
        core::array::from_fn(|at| id.to_bytes()[at % 16] ^ 0x77)
    }

    // --- the server ---

    pub(crate) fn serve(&mut self, request: Request) -> Vec<u8> {
        self.exchanges += 1;
        match request {
            Request::Instruction(instruction) => encode(&self.instruct(&instruction)),
            Request::Answers(answers) => match accept(self.context(), answers) {
                Err(refusal) => encode(&Reply::Refusal(refusal)),
                Ok(Accepted::Card(card)) => {
                    let nonce: Nonce = self.draw();
                    let key = &keys(&card.uid()).purse[1];
                    let read = card.read(self.context(), key, &nonce);
                    encode(&read.unwrap_or_else(Reply::Refusal))
                }
                Ok(Accepted::State(state)) => self.decide(&state),
                Ok(Accepted::Proof(proof)) => encode(&self.prove(&proof)),
            },
        }
    }

    fn instruct(&mut self, instruction: &Instruction) -> Reply {
        let id = RemittanceId::from_bytes(instruction.remittance).unwrap();
        let token = Self::token(id);
        let rows = BeginRows {
            remittance: self.remittances.get(&id).map(|r| (r, &self.card)),
            claim_token: &token,
            later_tokens: &[LATER_TOKEN],
            earlier_tokens: &[EARLIER_TOKEN],
            in_flight: self.in_flight.as_ref(),
            presented: if instruction.uid[6] == 0xEE {
                Presented::Unknown
            } else {
                Presented::Known
            },
            program_key: self.program_key,
        };
        match begin(instruction, rows, self.now) {
            Begun::Receipt(receipt) => Reply::Receipt(receipt),
            Begun::Refused(refusal) => Reply::Refusal(refusal),
            Begun::Admitted(admitted) => {
                let (rnd_a, nonce): ([u8; 16], Nonce) = (self.draw(), self.draw());
                let key = &keys(&instruction.uid).purse[1];
                admitted.challenge(self.context(), key, rnd_a, &nonce)
            }
        }
    }

    fn decide(&mut self, state: &redemption::StateAnswered) -> Vec<u8> {
        let nonce: Nonce = self.draw();
        let flying = self
            .in_flight
            .as_ref()
            .map(|f| (f, &self.remittances[&f.remittance]));
        let recovering = self.waiting();
        let rows = DecideRows {
            remittance: &self.remittances[&state.remittance()],
            card: &self.card,
            in_flight: flying,
            recovering: &recovering,
            program_key: self.program_key,
        };
        match state.decide(self.context(), rows, &nonce) {
            Decision::Answer(bytes) => bytes,
            Decision::Write(verdict) => {
                let decided = self.apply(&verdict.command).unwrap();
                verdict.answer(decided)
            }
            Decision::Show { certain, answer } => {
                for logged in certain {
                    self.show(logged.remittance, logged.receipt);
                }
                answer
            }
        }
    }

    fn prove(&mut self, proof: &redemption::ProofAnswered) -> Reply {
        let rows = ProofRows {
            remittance: self.remittances.get(&proof.remittance()),
            in_flight: self.in_flight.as_ref(),
        };
        match proof.settle(self.context(), rows) {
            Proved::Answer(reply) => reply,
            Proved::Write(settle) => Reply::Receipt(self.settle(settle)),
        }
    }

    // --- the ledger ---

    fn apply(&mut self, command: &Decide) -> Result<Decided, LedgerRefusal> {
        let escrow_of = |id| self.remittances.get(&id).map(Remittance::escrow);
        let flying = self
            .in_flight
            .as_ref()
            .and_then(|f| escrow_of(f.remittance));
        let next = command
            .commit
            .as_ref()
            .and_then(|c| escrow_of(c.remittance));
        let recovering: Vec<_> = self.recovering().iter().map(Remittance::escrow).collect();
        let facts = DecideFacts {
            card: &self.card,
            in_flight: self.in_flight.as_ref(),
            in_flight_escrow: flying.as_ref(),
            commit_escrow: next.as_ref(),
            recovering: &recovering,
        };
        let plan = rules::decide(command, &facts, self.now)?;
        if let (Some(reread), Some(Settlement::Reread { credited, .. })) =
            (&plan.reread, &command.settle)
        {
            for step in &reread.steps {
                let remittance = self.remittances.get_mut(&step.escrow.remittance).unwrap();
                remittance.status = step.step.to;
                remittance.receipt = step.logged.map(|at| credited[at].receipt.clone());
            }
            (self.in_flight, self.card.reread) = (None, false);
            (self.card.proven, self.shown) = (reread.proven, Vec::new());
        }
        if let Some(settled) = plan.settled {
            let in_flight = self.in_flight.take().unwrap();
            let remittance = self.remittances.get_mut(&in_flight.remittance).unwrap();
            remittance.status = settled.step.to;
            remittance.receipt = rules::receipt_of(command.settle.as_ref()).cloned();
            self.card.proven = settled.proven.unwrap_or(self.card.proven);
        }
        if let (Some((status, _)), Some(Settlement::Freeze { evidence })) =
            (plan.freeze, &command.settle)
        {
            self.card.status = status;
            self.evidence = Some(evidence.clone());
        }
        if let (CommitOutcome::Sent { epoch }, Some(commit)) = (plan.commit, &command.commit) {
            self.card.epoch = epoch;
            let remittance = self.remittances.get_mut(&commit.remittance).unwrap();
            remittance.status = Status::CommitSent {
                cancel_asked: false,
            };
            self.in_flight = Some(InFlight {
                card: self.card.id,
                remittance: commit.remittance,
                epoch,
                seq: commit.seq,
                payment_seq: self.card.proven.payment_seq,
                balance_before: commit.balance_before,
                session: commit.session.clone(),
                batch: commit.batch.clone(),
                since: self.now,
            });
        }
        let settled = plan.settled.map(|settled| settled.step.to);
        Ok(Decided {
            settled,
            commit: plan.commit,
        })
    }

    fn settle(&mut self, command: Settle) -> Vec<u8> {
        let escrow = self.remittances[&command.remittance].escrow();
        let facts = SettleFacts {
            escrow: Some(&escrow),
            in_flight: self.in_flight.as_ref(),
        };
        match rules::settle(&command, &facts, self.now).unwrap() {
            SettlePlan::Kept => self.remittances[&command.remittance]
                .receipt
                .clone()
                .unwrap(),
            SettlePlan::Post(plan) => {
                self.in_flight = None;
                self.card.proven = plan.proven.unwrap();
                let remittance = self.remittances.get_mut(&command.remittance).unwrap();
                remittance.status = plan.step.to;
                remittance.receipt = Some(command.receipt.clone());
                command.receipt
            }
        }
    }

    // --- the terminal ---

    /// The instruction for the chip on the reader: the first three commands of every program.
    pub(crate) fn instruction(&mut self, id: RemittanceId) -> Request {
        let uid = self.send(&[0xFF, 0xCA, 0, 0, 0]);
        self.send(&[0x90, 0x5A, 0, 0, 3, 0x45, 0x4D, 0x31, 0]);
        let handshake = self.send(&[0x90, 0x71, 0, 0, 2, 1, 0, 0]);
        Request::Instruction(Instruction {
            remittance: id.to_bytes(),
            claim_token: Self::token(id),
            uid: uid[..7].try_into().unwrap(),
            handshake: handshake[..16].try_into().unwrap(),
        })
    }

    fn send(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.apdus += 1;
        self.chip.transmit(apdu).answer
    }

    /// Runs a step on the chip; gives the request that carries the answers. An empty answer is a
    /// card that was taken away.
    pub(crate) fn perform(&mut self, id: RemittanceId, step: &Step) -> Option<Request> {
        let mut answers = Vec::new();
        for apdu in &step.apdus {
            let mut answer = self.send(apdu);
            while answer.ends_with(&[0x91, 0xAF]) {
                answer.truncate(answer.len() - 2);
                answer.extend(self.send(&[0x90, 0xAF, 0, 0, 0]));
            }
            if answer.is_empty() {
                return None;
            }
            let done = answer.ends_with(&[0x91, 0x00]);
            answers.push(answer);
            if !done {
                break;
            }
        }
        Some(answered(id, step.ticket.clone(), answers))
    }

    /// One more exchange and, if it is a step, its commands; gives the next request.
    pub(crate) fn advance(&mut self, id: RemittanceId, request: Request) -> Request {
        let step = step(&self.serve(request));
        self.perform(id, &step).expect("the card answers")
    }

    /// Exchanges 1 and 2; gives the request of exchange 3, with STATE and VALUE read.
    pub(crate) fn until_state_read(&mut self, id: RemittanceId) -> Request {
        let first = self.instruction(id);
        let second = self.advance(id, first);
        self.advance(id, second)
    }

    /// Exchanges 1 to 3; gives the batch that the server sent for the card.
    pub(crate) fn until_batch_sent(&mut self, id: RemittanceId) -> Step {
        let third = self.until_state_read(id);
        step(&self.serve(third))
    }

    /// A whole run to its end.
    pub(crate) fn run(&mut self, id: RemittanceId) -> Reply {
        let mut request = self.instruction(id);
        loop {
            match Reply::decode(&self.serve(request)).unwrap() {
                Reply::Step(step) => request = self.perform(id, &step).expect("the card answers"),
                end => return end,
            }
        }
    }
}

pub(crate) fn answered(
    id: RemittanceId,
    ticket: Option<Vec<u8>>,
    answers: Vec<Vec<u8>>,
) -> Request {
    Request::Answers(Answers {
        remittance: id.to_bytes(),
        ticket,
        answers,
    })
}

pub(crate) fn step(bytes: &[u8]) -> Step {
    match Reply::decode(bytes).unwrap() {
        Reply::Step(step) => step,
        other => panic!("a step expected, not {other:?}"),
    }
}

pub(crate) fn refusal(bytes: &[u8]) -> Refusal {
    match Reply::decode(bytes).unwrap() {
        Reply::Refusal(refusal) => refusal,
        other => panic!("a refusal expected, not {other:?}"),
    }
}

pub(crate) fn receipt(bytes: &[u8]) -> Vec<u8> {
    match Reply::decode(bytes).unwrap() {
        Reply::Receipt(receipt) => receipt,
        other => panic!("a receipt expected, not {other:?}"),
    }
}

fn encode(reply: &Reply) -> Vec<u8> {
    reply.encode().unwrap()
}
