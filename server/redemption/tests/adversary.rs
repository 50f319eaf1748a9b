//! A terminal that does whatever it likes with everything it ever saw, against a chip that keeps
//! its own rules: it may withhold, repeat, reorder, mix and cut, and pull the card at any command.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

#[expect(dead_code, reason = "the world also serves the scripted tests")]
mod world;

use ledger::{CardStatus, Event, Flow, InFlight, Remittance, RemittanceId, Status};
use wire::exchange::{Reply, Request, Step};
use world::{LIFE_S, World, answered};

/// Repeatable choices (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.roll(of.len())].clone())
    }
}

struct Adversary {
    dice: Dice,
    world: World,
    ids: Vec<RemittanceId>,
    requests: Vec<(RemittanceId, Request)>,
    steps: Vec<(RemittanceId, Step)>,
}

/// What no terminal needs to send: the two handshakes, Select, Abort, Commit, an empty frame.
const FOREIGN: [&[u8]; 6] = [
    &[0x90, 0x71, 0, 0, 2, 1, 0, 0],
    &[0x90, 0x77, 0, 0, 1, 1, 0],
    &[0x90, 0x5A, 0, 0, 3, 0x45, 0x4D, 0x31, 0],
    &[0x90, 0xA7, 0, 0, 0],
    &[0x90, 0xC7, 0, 0, 0],
    &[0x90, 0xAF, 0, 0, 0],
];

impl Adversary {
    fn new(seed: u64) -> Self {
        let mut world = World::new();
        // something on the card for debits to take
        let first = world.order(1 << 12);
        assert!(matches!(world.run(first), Reply::Receipt(_)));
        // sums of different amounts differ, and all together fit the card; every third one is a debit
        let order = |n: u32| {
            if n % 3 == 2 {
                world.order_debit(1 << n)
            } else {
                world.order(1 << n)
            }
        };
        let ids = (0..12).map(order).collect();
        Self {
            dice: Dice(seed),
            world,
            ids,
            requests: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn serve(&mut self, id: RemittanceId, request: Request) {
        let reply = self.world.serve(request);
        match Reply::decode(&reply).unwrap() {
            Reply::Step(step) => self.steps.push((id, step)),
            Reply::Receipt(_) => {
                assert!(matches!(self.world.status(id), Status::Credited { .. }));
            }
            Reply::Refusal(_) => {}
        }
    }

    /// Begins a run: with the chip's own challenge, at times for two remittances at once.
    fn begin(&mut self) {
        let id = self.dice.pick(&self.ids).unwrap();
        let request = self.world.instruction(id);
        if self.dice.one_in(4) {
            let other = self.dice.pick(&self.ids).unwrap();
            let mut twin = request.clone();
            if let Request::Instruction(instruction) = &mut twin {
                instruction.remittance = other.to_bytes();
                instruction.claim_token = World::token(other);
            }
            self.serve(other, twin);
        }
        self.requests.push((id, request.clone()));
        self.serve(id, request);
    }

    /// Plays a step, mostly the newest, mostly in order; gives the answers, or keeps them back.
    fn play(&mut self) {
        let newest = self.steps.last().cloned();
        let chosen = if self.dice.one_in(6) {
            self.dice.pick(&self.steps)
        } else {
            newest
        };
        let Some((mut id, mut step)) = chosen else {
            return;
        };
        let mut answers = Vec::new();
        for apdu in &step.apdus {
            if self.dice.one_in(40) {
                let foreign = self.dice.pick(&FOREIGN).unwrap();
                self.world.chip.transmit(foreign);
            }
            match self.dice.roll(120) {
                0 => self.world.chip.reset(),
                1 => self.world.chip.stop_before_commit(),
                2 => self.world.chip.lose_answer_after_commit(),
                3 => continue,
                4 => break,
                _ => {}
            }
            let answer = self.world.chip.transmit(apdu).answer;
            if answer.len() < 2 {
                break;
            }
            answers.push(answer);
        }
        if self.dice.one_in(15) {
            let other = self.dice.pick(&self.steps).unwrap();
            step.ticket = other.1.ticket;
            if self.dice.one_in(2) {
                id = other.0;
            }
        }
        let request = answered(id, step.ticket, answers);
        self.requests.push((id, request.clone()));
        if !self.dice.one_in(5) {
            self.serve(id, request);
        }
    }

    fn repeat(&mut self) {
        if let Some((id, request)) = self.dice.pick(&self.requests) {
            self.serve(id, request);
        }
    }

    /// The sender's wish, or the clock's.
    fn give_back(&mut self, event: Event) {
        let id = self.dice.pick(&self.ids).unwrap();
        let now = self.world.now;
        let remittance = self.world.remittances.get_mut(&id).unwrap();
        if let Ok(step) = remittance.escrow().on(event, now) {
            remittance.status = step.to;
        }
    }

    fn act(&mut self) {
        match self.dice.roll(40) {
            0..=9 => self.begin(),
            10..=32 => self.play(),
            33..=37 => self.repeat(),
            38 if self.dice.one_in(6) => self.give_back(Event::Cancel),
            39 if self.dice.one_in(6) => {
                self.world.now = self.world.now.plus_s(LIFE_S / 8);
                self.give_back(Event::Expire);
            }
            _ => {}
        }
        self.check();
    }

    /// An honest terminal afterwards settles the card and is credited, whatever went before.
    fn make_up(&mut self) {
        let id = self.world.order(1);
        // the chip may still be about to lose power at its next commit, and once more after it
        for _ in 0..3 {
            let mut next = Some(self.world.instruction(id));
            while let Some(request) = next.take() {
                match Reply::decode(&self.world.serve(request)).unwrap() {
                    Reply::Step(step) => next = self.world.perform(id, &step),
                    Reply::Receipt(_) | Reply::Refusal(_) => {}
                }
            }
        }
        self.check();
        assert!(matches!(self.world.status(id), Status::Credited { .. }));
        assert!(self.world.in_flight.is_none());
    }

    /// The chip holds what the ledger has posted, or one operation is in flight; never anything
    /// that would have to be explained, and never money that was given back.
    fn check(&self) {
        let world = &self.world;
        assert_eq!(world.card.status, CardStatus::Active);
        let minor = |r: &Remittance| match r.flow {
            Flow::Credit(_) => r.amount.minor(),
            Flow::Debit { .. } => -r.amount.minor(),
        };
        let credited: i64 = world
            .remittances
            .values()
            .filter(|r| matches!(r.status, Status::Credited { .. }))
            .map(minor)
            .sum();
        assert_eq!(world.card.proven.value, credited);
        let amount = |f: &InFlight| minor(&world.remittances[&f.remittance]);
        let flying = world.in_flight.as_ref().map_or(0, amount);
        let extra = i64::from(world.value()) - credited;
        assert!(extra == 0 || extra == flying, "{extra} of {flying}");
        for remittance in world.remittances.values() {
            let sent = matches!(remittance.status, Status::CommitSent { .. });
            let in_flight = world.in_flight.as_ref().map(|f| f.remittance);
            assert_eq!(sent, in_flight == Some(remittance.id));
        }
    }
}

#[test]
fn nothing_that_a_terminal_can_do_makes_money_or_loses_it() {
    let (mut credited, mut debited) = (0, 0);
    for seed in 0..SEEDS {
        let mut adversary = Adversary::new(u64::from(seed));
        for _ in 0..ACTS {
            adversary.act();
        }
        credited += adversary.world.card.proven.remittance_seq;
        let done = adversary.world.remittances.values().filter(|r| {
            matches!(r.flow, Flow::Debit { .. }) && matches!(r.status, Status::Credited { .. })
        });
        debited += done.count();
        adversary.make_up();
    }
    assert!(credited > 3 * SEEDS, "{credited}: the acts reach the end");
    assert!(debited > 10, "{debited}: debits too");
}

/// Histories; each is a few hundred milliseconds of card sessions at most.
const SEEDS: u32 = 40;
/// Acts of one history.
const ACTS: usize = 300;
