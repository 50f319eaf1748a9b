//! What two persons decide: remittances in doubt, and cases.

use std::sync::Arc;

use ledger::{
    Account, Approval, CardState, CardStatus, CaseKind, CaseResolved, CloseInDoubt, Command,
    CommitOutcome, LoggedCredit, Officer, OfficerName, Outcome, Proven, REASON_CHARS_MAX, Refusal,
    RemittanceId, Resolution, ResolveCase, ReturnReason, Settlement, Status, TokenHash,
};
use money::Currency;

use super::{Funded, World};
use crate::error::AdminError;
use crate::traits::Store;

const LOSS: Account = Account::Loss(Currency::Jpy);

fn officer(name: &str, token: u8) -> Officer {
    Officer {
        name: OfficerName::new(name).unwrap(),
        token: TokenHash([token; 32]),
    }
}

impl World {
    /// Two officers, and their approval.
    pub async fn approval(&self) -> Approval {
        for (name, token) in [("alice", 0xA1), ("bob", 0xB0)] {
            let added = self
                .store
                .add_officer(officer(name, token), None, self.at(0));
            assert_eq!(added.await, Ok(()));
        }
        Approval {
            first: officer("alice", 0xA1),
            second: officer("bob", 0xB0),
            reason: "the card was destroyed".to_owned(),
        }
    }

    /// Closes a remittance in doubt.
    pub async fn close(
        &self,
        remittance: RemittanceId,
        approval: Approval,
    ) -> Result<Outcome, Refusal> {
        let now = self.at(50);
        let close = CloseInDoubt {
            remittance,
            approval,
            now,
        };
        self.apply(Command::CloseInDoubt(Box::new(close))).await
    }

    /// Decides a case.
    pub async fn resolve(
        &self,
        case: u64,
        resolution: Resolution,
        approval: Approval,
    ) -> Result<Outcome, Refusal> {
        let now = self.at(60);
        let resolve = ResolveCase {
            case,
            resolution,
            approval,
            now,
        };
        self.apply(Command::ResolveCase(Box::new(resolve))).await
    }

    /// The card's truth, with these credited of what is undecided.
    #[must_use]
    pub fn truth(&self, proven: Proven, credited: &[RemittanceId]) -> Resolution {
        let logged = |id: &RemittanceId| LoggedCredit {
            remittance: *id,
            receipt: format!("receipt of {id}").into_bytes(),
        };
        Resolution::Adopt {
            credited: credited.iter().map(logged).collect(),
            state: proven.state(),
            value: proven.value,
            evidence: vec![6; ledger::EVIDENCE_LEN_MAX],
            adjustment: self.transfer_id(),
        }
    }

    async fn frozen(&self, of: &Funded) {
        let freeze = Some(Settlement::Freeze { evidence: vec![1] });
        let decided = self.decide(of.card, freeze, None, self.at(3)).await;
        assert!(decided.is_ok());
    }
}

/// The sender is paid at once, by the issuer; the card is blocked; nothing says that it is not there.
pub async fn two_persons_close_what_is_in_doubt_and_a_late_proof_still_counts(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 1_000).await;
    world.sent(of.card, id).await;
    let proof = world.proof(of.card).await;
    let approval = world.approval().await;
    let held = Status::Held { at: world.at(50) };
    for _ in 0..2 {
        let closed = world.close(id, approval.clone()).await;
        assert_eq!(closed, Ok(Outcome::Closed(held)));
        world.holds(&of, id, [10_000, 1_000, 0]).await;
        assert_eq!(world.minor(LOSS).await, -1_000);
    }
    assert_eq!(world.status(id).await, held);
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.status, CardStatus::Blocked);
    let decided = world.store.decisions(0, 10).await.unwrap();
    assert_eq!(decided.len(), 1);
    let made = &decided[0];
    assert_eq!(
        (made.first.as_str(), made.second.as_str()),
        ("alice", "bob")
    );
    assert_eq!(
        (made.what.as_str(), &made.subject, made.at),
        ("closed-in-doubt", &id.to_string(), world.at(50))
    );
    assert_eq!(made.reason, "the card was destroyed");
    for command in [
        Command::Cancel {
            remittance: id,
            sender: of.sender,
            now: world.at(70),
        },
        Command::Expire {
            remittance: id,
            now: world.at(9_999),
        },
    ] {
        assert_eq!(world.apply(command).await, Err(Refusal::Closed));
    }
    assert_eq!(world.store.expirable(world.at(9_999), 10).await, Ok(vec![]));
    let doubt = world.store.in_doubt(None, 10).await.unwrap();
    assert_eq!((doubt.len(), doubt[0].since), (1, Some(world.at(1))));
    for _ in 0..2 {
        let settled = world.apply(Command::Settle(proof.clone())).await;
        let receipt = proof.receipt.clone();
        assert_eq!(settled, Ok(Outcome::Settled { receipt }));
        world.holds(&of, id, [10_000, 0, 1_000]).await;
        assert_eq!(world.minor(LOSS).await, -1_000);
    }
    assert_eq!(world.store.in_doubt(None, 10).await, Ok(vec![]));
    let closed = world.close(id, approval).await;
    assert_eq!(closed, Err(Refusal::AlreadyCredited));
}

/// The card came back after all: what the issuer paid comes out of escrow.
pub async fn a_closed_remittance_that_its_card_denies_makes_the_loss_good(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (id, next) = (world.placed(&of, 1_000).await, world.placed(&of, 10).await);
    world.sent(of.card, id).await;
    let approval = world.approval().await;
    assert!(world.close(id, approval.clone()).await.is_ok());
    let absent = Some(Settlement::Absent);
    let decided = world
        .decide(of.card, absent, Some(next), world.at(70))
        .await;
    let decided = decided.unwrap();
    let (at, reason) = (world.at(70), ReturnReason::Closed);
    let returned = Status::Returned { at, reason };
    assert_eq!(decided.settled, Some(returned));
    assert_eq!(decided.commit, CommitOutcome::Refused(Refusal::CardBlocked));
    assert_eq!(world.status(id).await, returned);
    assert_eq!(world.store.in_flight(of.card).await, Ok(None));
    assert_eq!(world.minor(LOSS).await, 0);
    world.holds(&of, id, [9_990, 0, 0]).await;
    let again = world.close(id, approval).await;
    assert_eq!(again, Ok(Outcome::Closed(returned)));
    world.holds(&of, id, [9_990, 0, 0]).await;
}

/// Each line has every fault below it as well, and none of them moves money or blocks a card.
pub async fn a_decision_needs_two_known_persons_and_a_reason(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 1_000).await;
    world.sent(of.card, id).await;
    let good = world.approval().await;
    let carol = officer("carol", 0xCA);
    let add = async |officer: Officer| {
        let two = Some(world.approval().await);
        world.store.add_officer(officer, two, world.at(0)).await
    };
    // once more, as after a crash
    for _ in 0..2 {
        assert_eq!(add(carol.clone()).await, Ok(()));
    }
    let taken = |what| Err(AdminError::Taken { what });
    assert_eq!(add(officer("carol", 0xCB)).await, taken("officer's name"));
    assert_eq!(add(officer("dan", 0xCA)).await, taken("officer's token"));
    let withdraw = async |name: OfficerName| {
        let two = Some(world.approval().await);
        world.store.withdraw_officer(name, two, world.at(1)).await
    };
    for _ in 0..2 {
        assert_eq!(withdraw(carol.name.clone()).await, Ok(()));
    }
    let nobody = OfficerName::new("nobody").unwrap();
    let unknown = Err(AdminError::Unknown { what: "officer" });
    assert_eq!(withdraw(nobody).await, unknown);
    assert_eq!(add(carol.clone()).await, taken("officer's name"));
    let officers = world.store.officers().await.unwrap();
    let names: Vec<_> = officers.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "carol"]);
    assert_eq!(officers[2].withdrawn, Some(world.at(1)));

    let longest = "\u{7406}".repeat(REASON_CHARS_MAX);
    let with = |first: Officer, second: Officer, reason: &str| Approval {
        first,
        second,
        reason: reason.to_owned(),
    };
    let (alice, bob) = (good.first.clone(), good.second.clone());
    let (same, unknown) = (Refusal::SamePerson, Refusal::OfficerUnknown);
    for (approval, expected) in [
        (with(alice.clone(), alice.clone(), ""), Refusal::OutOfBounds),
        (
            with(alice.clone(), alice.clone(), &format!("{longest}x")),
            Refusal::OutOfBounds,
        ),
        (with(alice.clone(), alice.clone(), &longest), same),
        (with(alice.clone(), officer("alice", 0xB0), "x"), same),
        (with(alice.clone(), officer("dan", 0xB0), "x"), unknown),
        (with(alice.clone(), officer("bob", 0xA1), "x"), unknown),
        (with(officer("alice", 1), bob.clone(), "x"), unknown),
        (with(carol, bob.clone(), "x"), unknown),
    ] {
        let nothing = world.remittance_id();
        assert_eq!(world.close(nothing, approval.clone()).await, Err(expected));
        assert_eq!(world.close(id, approval.clone()).await, Err(expected));
        let resolved = world.resolve(1, Resolution::Block, approval).await;
        assert_eq!(resolved, Err(expected));
    }
    let decisions = world.store.decisions(0, 10).await.unwrap();
    let what: Vec<_> = decisions.iter().map(|d| d.what.as_str()).collect();
    assert_eq!(what, ["officer-added", "officer-withdrawn"]);
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.status, CardStatus::Active);
    world.holds(&of, id, [9_000, 1_000, 0]).await;
    assert!(world.close(id, with(alice, bob, &longest)).await.is_ok());
}

/// What nobody can be in doubt about is not for two persons to pay.
pub async fn only_what_is_in_doubt_can_be_closed(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let approval = world.approval().await;
    let nothing = world.close(world.remittance_id(), approval.clone()).await;
    assert_eq!(nothing, Err(Refusal::RemittanceUnknown));
    let id = world.placed(&of, 1_000).await;
    let open = world.close(id, approval.clone()).await;
    assert_eq!(open, Err(Refusal::NotInFlight));
    let cancel = Command::Cancel {
        remittance: id,
        sender: of.sender,
        now: world.at(2),
    };
    assert!(world.apply(cancel).await.is_ok());
    let ended = world.close(id, approval).await;
    assert_eq!(ended, Err(Refusal::Cancelled));
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.status, CardStatus::Active);
    world.holds(&of, id, [10_000, 0, 0]).await;
}

/// Read at the office: it had the value, and the answer was lost. What else it says is adjusted.
pub async fn a_case_is_decided_by_the_cards_truth(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (id, next) = (world.placed(&of, 1_000).await, world.placed(&of, 10).await);
    world.sent(of.card, id).await;
    let before = world.step(of.card, None, None, world.at(9)).await;
    world.frozen(&of).await;
    let approval = world.approval().await;
    let proven = Proven {
        id: id.to_bytes(),
        remittance_seq: 7,
        payment_seq: 2,
        value: 1_300,
    };
    let unsaid = world.truth(proven, &[]);
    let refused = world.resolve(1, unsaid, approval.clone()).await;
    assert_eq!(refused, Err(Refusal::Contradictory));
    let resolved = world
        .resolve(1, world.truth(proven, &[id]), approval.clone())
        .await;
    let expected = CaseResolved {
        card: of.card,
        status: CardStatus::Active,
        adjusted: 300,
    };
    assert_eq!(resolved, Ok(Outcome::CaseResolved(expected)));
    world.holds(&of, id, [8_990, 0, 1_300]).await;
    let off = Account::WrittenOff(Currency::Jpy);
    assert_eq!(world.minor(off).await, -300);
    assert_eq!(
        world.status(id).await,
        Status::Credited { at: world.at(60) }
    );
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!((card.proven, card.status), (proven, CardStatus::Active));
    assert_eq!(world.store.in_flight(of.card).await, Ok(None));
    let cases = world.store.cases(0, 10).await.unwrap();
    assert_eq!(cases[0].closed, Some(world.at(60)));
    let again = world.resolve(1, world.truth(proven, &[id]), approval).await;
    assert_eq!(again, Err(Refusal::CaseClosed));
    // a session from before the case concludes nothing, a new one goes on
    assert_eq!(world.run(before).await, Err(Refusal::Stale));
    world.sent(of.card, next).await;
    let sent = world.store.in_flight(of.card).await.unwrap().unwrap();
    assert_eq!((sent.seq, sent.payment_seq), (8, 2));
    world.balanced().await;
}

/// Less on the card than in the books: the difference is written off, what was in flight returns.
pub async fn an_adjustment_goes_both_ways(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (first, second) = (world.placed(&of, 500).await, world.placed(&of, 100).await);
    world.sent(of.card, first).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    world.sent(of.card, second).await;
    world.frozen(&of).await;
    let approval = world.approval().await;
    let proven = Proven {
        id: [9; 16],
        remittance_seq: 3,
        payment_seq: 0,
        value: 200,
    };
    let resolved = world.resolve(1, world.truth(proven, &[]), approval).await;
    let expected = CaseResolved {
        card: of.card,
        status: CardStatus::Active,
        adjusted: -300,
    };
    assert_eq!(resolved, Ok(Outcome::CaseResolved(expected)));
    assert_eq!(world.minor(Account::WrittenOff(Currency::Jpy)).await, 300);
    assert_eq!(world.status(second).await, Status::Open);
    world.holds(&of, second, [9_400, 100, 200]).await;
}

/// Nothing is concluded: what is in flight waits, and can still be closed or proven.
pub async fn a_case_can_be_closed_by_blocking_its_card(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 1_000).await;
    world.sent(of.card, id).await;
    world.frozen(&of).await;
    let approval = world.approval().await;
    let resolved = world.resolve(1, Resolution::Block, approval.clone()).await;
    let expected = CaseResolved {
        card: of.card,
        status: CardStatus::Blocked,
        adjusted: 0,
    };
    assert_eq!(resolved, Ok(Outcome::CaseResolved(expected)));
    world.holds(&of, id, [9_000, 1_000, 0]).await;
    assert!(world.close(id, approval).await.is_ok());
    world.holds(&of, id, [10_000, 1_000, 0]).await;
    let kinds: Vec<_> = world.store.decisions(0, 10).await.unwrap();
    let kinds: Vec<_> = kinds.iter().map(|made| made.what.as_str()).collect();
    assert_eq!(kinds, ["case-blocked", "closed-in-doubt"]);
}

/// Each line has every fault below it as well.
pub async fn a_case_is_refused_in_order_of_precedence(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let approval = world.approval().await;
    let id = world.placed(&of, 1_000).await;
    world.sent(of.card, id).await;
    world.frozen(&of).await;
    let over = Proven {
        id: id.to_bytes(),
        remittance_seq: 1,
        payment_seq: 0,
        value: 5_001,
    };
    let stranger = world.remittance_id();
    let unknown = world
        .resolve(2, world.truth(over, &[stranger]), approval.clone())
        .await;
    assert_eq!(unknown, Err(Refusal::CaseUnknown));
    let foreign = world
        .resolve(1, world.truth(over, &[id, stranger]), approval.clone())
        .await;
    assert_eq!(foreign, Err(Refusal::Contradictory));
    for value in [5_001, -1] {
        let truth = world.truth(Proven { value, ..over }, &[id]);
        let full = world.resolve(1, truth, approval.clone()).await;
        assert_eq!(full, Err(Refusal::CardFull));
    }
    let Resolution::Adopt {
        credited,
        state,
        value,
        adjustment,
        ..
    } = world.truth(over, &[id])
    else {
        panic!("the card's truth is adopted")
    };
    let long = Resolution::Adopt {
        credited,
        state,
        value,
        adjustment,
        evidence: vec![0; ledger::EVIDENCE_LEN_MAX + 1],
    };
    let bounds = world.resolve(1, long, approval.clone()).await;
    assert_eq!(bounds, Err(Refusal::OutOfBounds));
    world.holds(&of, id, [9_000, 1_000, 0]).await;
    let most = Proven {
        value: 5_000,
        ..over
    };
    let done = world.resolve(1, world.truth(most, &[id]), approval).await;
    assert!(done.is_ok());
    world.holds(&of, id, [9_000, 0, 5_000]).await;
}

/// A thousand cards can freeze on one bad day; the page after the first is there too.
pub async fn cases_are_listed_in_pages(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let block = Command::BlockCard {
        card: of.card,
        now: world.at(0),
    };
    assert!(world.apply(block).await.is_ok());
    for number in [1_u8, 2, 2, 3] {
        // the same evidence twice is one case
        let evidence = vec![number];
        let freeze = Some(Settlement::Freeze { evidence });
        let decided = world.decide(of.card, freeze, None, world.at(3)).await;
        assert!(decided.is_ok());
    }
    let numbers = async |after, limit| {
        let page = world.store.cases(after, limit).await.unwrap();
        assert!(page.iter().all(|case| case.kind == CaseKind::Unexplained));
        page.iter().map(|case| case.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(0, 2).await, [1, 2]);
    assert_eq!(numbers(2, 2).await, [3]);
    assert!(numbers(3, 2).await.is_empty());
    assert_eq!(world.store.case(3).await.unwrap().unwrap().evidence, [3]);
    assert_eq!(world.store.case(4).await, Ok(None));
    assert_eq!(world.store.case(u64::MAX).await, Ok(None));
    let state = CardState::default();
    let truth = world.truth(Proven::from_state(state, 0), &[]);
    let approval = world.approval().await;
    assert!(world.resolve(2, truth, approval).await.is_ok());
    let cases = world.store.cases(0, 10).await.unwrap();
    assert!(cases.iter().all(|case| case.closed.is_some()));
}

impl World {
    async fn add(&self, officer: Officer, two: Option<Approval>) -> Result<(), AdminError> {
        self.store.add_officer(officer, two, self.at(0)).await
    }

    async fn withdraw(&self, name: &str, two: Option<Approval>) -> Result<(), AdminError> {
        let name = OfficerName::new(name).unwrap();
        self.store.withdraw_officer(name, two, self.at(0)).await
    }

    async fn window(&self, seconds: u32, two: Option<Approval>) -> Result<(), AdminError> {
        self.store.set_settle_window(seconds, two, self.at(0)).await
    }

    /// One person twice, a token of somebody else, no reason.
    async fn refuses_what_two_have_not_approved(&self, two: &Approval) {
        let alone = Approval {
            second: two.first.clone(),
            ..two.clone()
        };
        let same = Err(AdminError::Refused(Refusal::SamePerson));
        assert_eq!(self.add(officer("eve", 0xEE), Some(alone)).await, same);
        let forged = Approval {
            second: officer("bob", 0xB1),
            ..two.clone()
        };
        let unknown = Err(AdminError::Refused(Refusal::OfficerUnknown));
        assert_eq!(
            self.add(officer("eve", 0xEE), Some(forged.clone())).await,
            unknown
        );
        assert_eq!(self.window(2, Some(forged)).await, unknown);
        let silent = Approval {
            reason: String::new(),
            ..two.clone()
        };
        let bounds = |what| Err(AdminError::OutOfBounds { what });
        assert_eq!(self.window(2, Some(silent)).await, bounds("reason"));
        assert_eq!(self.store.decisions(0, 10).await, Ok(vec![]));
    }

    async fn decided(&self) -> Vec<(String, String)> {
        let decisions = self.store.decisions(0, 10).await.unwrap();
        decisions.into_iter().map(|d| (d.what, d.subject)).collect()
    }
}

/// Whoever sets an issuer up names two; from then on nobody becomes two persons alone.
pub async fn from_the_third_officer_on_two_have_to_approve(store: Arc<dyn Store>) {
    let world = World::new(store);
    let needed = Err(AdminError::TwoPersonsNeeded);
    let few = Err(AdminError::TooFewOfficers);
    assert_eq!(
        world.store.settle_window().await,
        Ok(ledger::SETTLE_WINDOW_DEFAULT_S)
    );
    assert_eq!(world.window(1, None).await, Ok(()));
    assert_eq!(world.add(officer("alice", 0xA1), None).await, Ok(()));
    // one alone cannot leave, or there would never be two
    assert_eq!(world.withdraw("alice", None).await, few);
    assert_eq!(world.add(officer("bob", 0xB0), None).await, Ok(()));
    assert_eq!(world.add(officer("eve", 0xEE), None).await, needed);
    assert_eq!(world.window(2, None).await, needed);
    assert_eq!(world.withdraw("bob", None).await, few);

    let two = world.approval().await;
    let unknown = Err(AdminError::Refused(Refusal::OfficerUnknown));
    let bounds = |what| Err(AdminError::OutOfBounds { what });
    world.refuses_what_two_have_not_approved(&two).await;

    assert_eq!(
        world.add(officer("carol", 0xCA), Some(two.clone())).await,
        Ok(())
    );
    for (seconds, answer) in [
        (ledger::SETTLE_WINDOW_MAX_S, Ok(())),
        (ledger::SETTLE_WINDOW_MAX_S + 1, bounds("settle window")),
    ] {
        assert_eq!(world.window(seconds, Some(two.clone())).await, answer);
    }
    // an officer may approve that they leave; then their word counts no more
    assert_eq!(world.withdraw("bob", None).await, needed);
    assert_eq!(world.withdraw("bob", Some(two.clone())).await, Ok(()));
    assert_eq!(world.window(3, Some(two)).await, unknown);
    assert_eq!(world.withdraw("carol", None).await, few);
    // that two were there once is enough: it does not begin anew
    assert_eq!(world.add(officer("eve", 0xEE), None).await, needed);
    let pairs = [
        ("officer-added", "carol"),
        ("settle-window", "31622400"),
        ("officer-withdrawn", "bob"),
    ];
    let expected = pairs.map(|(what, subject)| (what.to_owned(), subject.to_owned()));
    assert_eq!(world.decided().await, expected);
    world.balanced().await;
}
