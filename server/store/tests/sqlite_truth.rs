//! Random histories of one issuer against simulated cards that tell the truth.
//!
//! The cards here are real in one respect: a batch reaches a card only in the session it was made
//! for, a new session ends the one before, and a commit changes value and STATE together. The
//! server side is as naive as design allows: it concludes from STATE by id and asks the ledger.
//! Sessions are kept back, proofs lost, late or repeated, commands replayed, the clock jumps. After
//! every step the books must balance, and what the cards hold must be what the ledger says, but for
//! the one operation that may be in flight.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::{
    Account, CardId, CardState, CardStatus, Command, CommitOutcome, CommitSend, Decide, HolderId,
    NumberRef, Outcome, Proven, Refusal, RemittanceId, Settle, Settlement, Status,
};
use money::Currency;
use proptest::collection::vec;
use proptest::prelude::*;
use store::contract::World;
use store::{SqlStore, Store};
use tempfile::TempDir;

/// One thing that happens; indexes are taken modulo what there is.
#[derive(Debug, Clone)]
enum Happening {
    Order {
        sender: usize,
        card: usize,
        minor: i64,
        key: u8,
    },
    Cancel {
        remittance: usize,
    },
    Expire {
        remittance: usize,
    },
    /// A card is put on a reader and authenticates; its STATE and VALUE are read.
    Begin {
        card: usize,
    },
    /// Those answers reach the server, soon or much later, for this remittance.
    Finish {
        session: usize,
        remittance: usize,
    },
    /// The batch of the card's live session reaches it.
    Deliver {
        card: usize,
    },
    /// A proof reaches the server, soon, late or again.
    Prove {
        proof: usize,
    },
    /// Any earlier command reaches the ledger again.
    Replay {
        command: usize,
    },
    Tick {
        seconds: i64,
    },
    Block {
        card: usize,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    let index = any::<u8>().prop_map(usize::from);
    prop_oneof![
        4 => (index.clone(), index.clone(), 1..400_i64, 0..6_u8)
            .prop_map(|(sender, card, minor, key)| Happening::Order { sender, card, minor, key }),
        1 => index.clone().prop_map(|remittance| Happening::Cancel { remittance }),
        2 => index.clone().prop_map(|remittance| Happening::Expire { remittance }),
        6 => index.clone().prop_map(|card| Happening::Begin { card }),
        8 => (index.clone(), index.clone())
            .prop_map(|(session, remittance)| Happening::Finish { session, remittance }),
        5 => index.clone().prop_map(|card| Happening::Deliver { card }),
        3 => index.clone().prop_map(|proof| Happening::Prove { proof }),
        3 => index.clone().prop_map(|command| Happening::Replay { command }),
        1 => (1..1_500_i64).prop_map(|seconds| Happening::Tick { seconds }),
        1 => (0..40_usize).prop_map(|card| Happening::Block { card }),
    ]
}

/// The chip: what it holds, and the batch that its live session was given.
struct Chip {
    id: CardId,
    number: NumberRef,
    state: CardState,
    value: i64,
    live: usize,
    pending: Option<Batch>,
}

struct Batch {
    session: usize,
    remittance: RemittanceId,
    minor: i64,
    seq: u32,
}

/// What the terminal has to show for one handshake.
#[derive(Clone, Copy)]
struct Session {
    chip: usize,
    epoch: u64,
    state: CardState,
    value: i64,
}

struct Issuer {
    world: World,
    senders: [HolderId; 2],
    chips: Vec<Chip>,
    sessions: Vec<Session>,
    remittances: Vec<(RemittanceId, HolderId)>,
    proofs: Vec<Settle>,
    sent: Vec<Command>,
    clock: i64,
    _folder: TempDir,
}

const FUNDS: i64 = 2_000;
const CARD_MAX: i64 = 900;

impl Issuer {
    async fn open() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("ledger.db");
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&path).expect("a new file"));
        let world = World::new(store);
        let senders = [
            world.holder(Currency::Jpy, FUNDS).await,
            world.holder(Currency::Jpy, FUNDS).await,
        ];
        let recipient = world.holder(Currency::Jpy, 0).await;
        let mut chips = Vec::new();
        for _ in 0..2 {
            let (id, number) = world.card(recipient, Currency::Jpy, CARD_MAX).await;
            let (state, value, live, pending) = (CardState::default(), 0, usize::MAX, None);
            chips.push(Chip {
                id,
                number,
                state,
                value,
                live,
                pending,
            });
        }
        let (sessions, remittances, proofs) = (Vec::new(), Vec::new(), Vec::new());
        let (sent, clock) = (Vec::new(), 0);
        Self {
            world,
            senders,
            chips,
            sessions,
            remittances,
            proofs,
            sent,
            clock,
            _folder: folder,
        }
    }

    async fn apply(&mut self, command: Command) -> Result<Outcome, Refusal> {
        self.sent.push(command.clone());
        self.world.apply(command).await
    }

    async fn happen(&mut self, happening: &Happening) {
        let now = self.world.at(self.clock);
        match *happening {
            Happening::Order {
                sender,
                card,
                minor,
                key,
            } => {
                self.order(sender, card, minor, key).await;
            }
            Happening::Cancel { remittance } => {
                if let Some((remittance, sender)) = pick(&self.remittances, remittance) {
                    let _ = self
                        .apply(Command::Cancel {
                            remittance,
                            sender,
                            now,
                        })
                        .await;
                }
            }
            Happening::Expire { remittance } => {
                if let Some((remittance, _)) = pick(&self.remittances, remittance) {
                    let _ = self.apply(Command::Expire { remittance, now }).await;
                }
            }
            Happening::Begin { card } => self.begin(card).await,
            Happening::Finish {
                session,
                remittance,
            } => {
                let target = pick(&self.remittances, remittance);
                if let (Some(_), Some((target, _))) = (self.sessions.last(), target) {
                    // half of the time the newest session, else one that was kept back
                    let newest = self.sessions.len() - 1;
                    let at = if session % 2 == 0 {
                        newest
                    } else {
                        session % self.sessions.len()
                    };
                    self.finish(at, target).await;
                }
            }
            Happening::Deliver { card } => self.deliver(card),
            Happening::Prove { proof } => {
                if let Some(proof) = pick(&self.proofs, proof) {
                    let _ = self.apply(Command::Settle(Settle { now, ..proof })).await;
                }
            }
            Happening::Replay { command } => {
                if let Some(command) = pick(&self.sent, command) {
                    let _ = self.world.apply(command).await;
                }
            }
            Happening::Tick { seconds } => self.clock += seconds,
            Happening::Block { card } => {
                if let Some(chip) = self.chips.get(card) {
                    let card = chip.id;
                    let _ = self.apply(Command::BlockCard { card, now }).await;
                }
            }
        }
    }

    async fn order(&mut self, sender: usize, card: usize, minor: i64, key: u8) {
        let sender = self.senders[sender % 2];
        let number = self.chips[card % 2].number;
        let mut order = self.world.order(sender, number, minor);
        // few keys and few contents, so that both kinds of repetition happen
        if key > 0 {
            order.scope.key = ledger::IdempotencyKey::new(&format!("{key}")).expect("a key");
            order.content = ledger::ContentHash([u8::try_from(minor % 2).expect("0 or 1"); 32]);
        }
        order.now = self.world.at(self.clock);
        order.expires = order.now.plus_s(2_000);
        let id = order.remittance;
        let answer = self.apply(Command::PlaceOrder(Box::new(order))).await;
        if answer == Ok(Outcome::Placed { remittance: id }) {
            self.remittances.push((id, sender));
        }
    }

    async fn begin(&mut self, card: usize) {
        let at = card % 2;
        let record = self.world.store.card(self.chips[at].id).await;
        let record = record.expect("available").expect("a card");
        let chip = &mut self.chips[at];
        chip.live = self.sessions.len();
        chip.pending = None;
        let (epoch, state, value) = (record.epoch, chip.state, chip.value);
        self.sessions.push(Session {
            chip: at,
            epoch,
            state,
            value,
        });
    }

    /// Exchange 3 as the server does it: the epoch from the ticket, all else from the database.
    async fn finish(&mut self, at: usize, target: RemittanceId) {
        let session = self.sessions[at];
        let id = self.chips[session.chip].id;
        let card = self
            .world
            .store
            .card(id)
            .await
            .expect("available")
            .expect("a card");
        let in_flight = self.world.store.in_flight(id).await.expect("available");
        let settle = match &in_flight {
            Some(sent) => Some(self.conclude(sent, &card.proven, &session).await),
            None if Proven::from_state(session.state, session.value) == card.proven => None,
            None => Some(Settlement::Freeze { evidence: vec![1] }),
        };
        let done = matches!(settle, Some(Settlement::Credited { .. }));
        let proven = Proven::from_state(session.state, session.value);
        let seq = if done {
            proven.remittance_seq + 1
        } else {
            card.proven.remittance_seq + 1
        };
        let commit = CommitSend {
            remittance: target,
            seq,
            balance_before: if done {
                proven.value
            } else {
                card.proven.value
            },
            session: vec![2; 32],
            batch: vec![3; 64],
        };
        let decide = Decide {
            card: id,
            expect_epoch: session.epoch,
            expect_in_flight: in_flight.map(|sent| sent.remittance),
            settle,
            commit: Some(commit),
            now: self.world.at(self.clock),
        };
        let answer = self.apply(Command::Decide(decide)).await;
        let Ok(Outcome::Decided(decided)) = answer else {
            return;
        };
        if let CommitOutcome::Sent { .. } = decided.commit
            && self.chips[session.chip].live == at
        {
            let found = self
                .world
                .store
                .remittance(target)
                .await
                .expect("available");
            let minor = found.expect("sent").amount.minor();
            let batch = Batch {
                session: at,
                remittance: target,
                minor,
                seq,
            };
            self.chips[session.chip].pending = Some(batch);
        }
    }

    async fn conclude(
        &self,
        sent: &ledger::InFlight,
        proven: &Proven,
        session: &Session,
    ) -> Settlement {
        let found = self
            .world
            .store
            .remittance(sent.remittance)
            .await
            .expect("available");
        let value_after = sent.balance_before + found.expect("in flight").amount.minor();
        let done = Proven {
            id: sent.remittance.to_bytes(),
            remittance_seq: sent.seq,
            payment_seq: sent.payment_seq,
            value: value_after,
        };
        let shown = Proven::from_state(session.state, session.value);
        if shown == done {
            let (receipt, state) = (b"by session".to_vec(), session.state);
            Settlement::Credited {
                receipt,
                value_after,
                state,
            }
        } else if shown == *proven {
            Settlement::Absent
        } else {
            Settlement::Freeze { evidence: vec![1] }
        }
    }

    fn deliver(&mut self, card: usize) {
        let chip = &mut self.chips[card % 2];
        let Some(batch) = chip.pending.take() else {
            return;
        };
        assert_eq!(batch.session, chip.live, "a batch is bound to its session");
        chip.value += batch.minor;
        chip.state.id = batch.remittance.to_bytes();
        chip.state.remittance_seq = batch.seq;
        self.proofs.push(Settle {
            remittance: batch.remittance,
            card: chip.id,
            seq: batch.seq,
            value_after: chip.value,
            receipt: b"by proof".to_vec(),
            now: self.world.at(self.clock),
        });
    }

    /// The promises, against the truth.
    async fn check(&self) {
        self.world.balanced().await;
        let mut sent_or_gone = BTreeMap::from(self.senders.map(|sender| (sender, 0)));
        let mut credited = BTreeMap::new();
        for (id, sender) in &self.remittances {
            let found = self.world.store.remittance(*id).await.expect("available");
            let found = found.expect("placed");
            let minor = found.amount.minor();
            if let Status::Credited { .. } = found.status {
                assert!(found.receipt.is_some());
                *credited.entry(found.card).or_insert(0) += minor;
            }
            if !matches!(found.status, Status::Returned { .. }) {
                *sent_or_gone.get_mut(sender).expect("a sender") += minor;
            }
        }
        for (sender, spent) in sent_or_gone {
            let left = self.world.minor(Account::Holder(sender)).await;
            assert_eq!(left, FUNDS - spent, "what was not spent is still there");
        }
        for chip in &self.chips {
            let card = self
                .world
                .store
                .card(chip.id)
                .await
                .expect("available")
                .expect("a card");
            assert_ne!(
                card.status,
                CardStatus::Frozen,
                "nothing unexplained can happen here"
            );
            let posted = credited.get(&chip.id).copied().unwrap_or(0);
            assert_eq!(self.world.minor(Account::Card(chip.id)).await, posted);
            assert!(chip.value <= CARD_MAX, "the card's limit holds on the card");
            match self
                .world
                .store
                .in_flight(chip.id)
                .await
                .expect("available")
            {
                None => assert_eq!(chip.value, posted, "the card holds what the ledger says"),
                Some(sent) => {
                    let done = chip.state.id == sent.remittance.to_bytes()
                        && chip.state.remittance_seq == sent.seq;
                    let before = if done { chip.value - posted } else { 0 };
                    assert_eq!(chip.value, posted + before);
                    assert_eq!(sent.balance_before, posted);
                }
            }
        }
    }
}

fn pick<T: Clone>(of: &[T], index: usize) -> Option<T> {
    of.get(index.checked_rem(of.len())?).cloned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_agrees_with_the_cards_whatever_happens(
        history in vec(happening(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let mut issuer = Issuer::open().await;
            for happening in &history {
                issuer.happen(happening).await;
                issuer.check().await;
            }
        });
    }
}
