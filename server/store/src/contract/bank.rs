//! Orders that the bank pays for: nothing is in escrow, mailed or redeemable before it has confirmed.

use std::sync::Arc;

use ledger::{
    Account, BANK_ACCOUNT_LEN_MAX, BANK_REASON_CHARS_MAX, BankAnswer, BankTask, Command,
    MailStatus, Outcome, Payment, PlaceOrder, Refusal, RemittanceId, ReturnReason, Status,
    Timestamp, UnfundedReason,
};
use money::Currency;

use super::{Funded, World};
use crate::error::AdminError;
use crate::traits::Store;

const ASKED: Status = Status::FundingUnknown {
    cancel_asked: false,
    recovering: false,
};

impl World {
    /// The usual two, the sender with an account at the bank.
    pub(super) async fn banked(&self) -> Funded {
        let of = self.funded().await;
        let account = Some("0001-1234567".to_owned());
        let set = self.store.set_bank_account(of.sender, account).await;
        assert_eq!(set, Ok(()));
        of
    }

    fn bank_order(&self, of: &Funded, minor: i64) -> PlaceOrder {
        PlaceOrder {
            payment: Payment::Bank,
            ..self.order(of.sender, of.number, minor)
        }
    }

    /// An order that the bank shall pay; the bank is not asked yet.
    pub(super) async fn ordered(&self, of: &Funded, minor: i64) -> RemittanceId {
        let order = self.bank_order(of, minor);
        let remittance = order.remittance;
        assert_eq!(self.place(&order).await, Ok(Outcome::Placed { remittance }));
        remittance
    }

    pub(super) async fn ask(
        &self,
        remittance: RemittanceId,
        seconds: i64,
    ) -> Result<Outcome, Refusal> {
        let now = self.at(seconds);
        self.apply(Command::AskBank { remittance, now }).await
    }

    pub(super) async fn bank_says(
        &self,
        remittance: RemittanceId,
        answer: BankAnswer,
        seconds: i64,
    ) -> Result<Outcome, Refusal> {
        let now = self.at(seconds);
        self.apply(Command::BankAnswered {
            remittance,
            answer,
            now,
        })
        .await
    }

    async fn take_back(&self, of: &Funded, remittance: RemittanceId) -> Result<Outcome, Refusal> {
        let (sender, now) = (of.sender, self.at(5));
        self.apply(Command::Cancel {
            remittance,
            sender,
            now,
        })
        .await
    }

    async fn bank_minor(&self) -> i64 {
        self.minor(Account::Bank(Currency::Jpy)).await
    }

    pub(super) async fn bank_tasks(&self, seconds: i64) -> Vec<BankTask> {
        let (now, until) = (self.at(seconds), self.at(seconds + 30));
        self.store.lease_bank(now, until, 10).await.unwrap()
    }

    async fn mails(&self, seconds: i64) -> usize {
        let (now, until) = (self.at(seconds), self.at(seconds + 1));
        self.store.lease_mail(now, until, 10).await.unwrap().len()
    }
}

/// Named from the given number of questions on, and no longer once it has answered.
pub async fn a_silent_bank_is_named_after_so_many_questions(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.ordered(&of, 1_000).await;
    let named = async |attempts| {
        let found = world.store.bank_unanswered(attempts, None).await;
        let tasks = found.unwrap().into_iter();
        tasks
            .map(|task| (task.remittance, task.attempts))
            .collect::<Vec<_>>()
    };
    assert_eq!(world.bank_tasks(1).await.len(), 1);
    let asked = world.apply(Command::AskBank {
        remittance: id,
        now: world.at(1),
    });
    assert!(asked.await.is_ok());
    assert_eq!(named(2).await, []);
    assert_eq!(world.bank_tasks(100).await.len(), 1);
    assert_eq!(named(2).await, [(id, 2)]);
    assert_eq!(named(3).await, []);
    let after = world.store.bank_unanswered(2, Some(id)).await;
    assert_eq!(after.unwrap().len(), 0);
    let answered = world.bank_says(id, BankAnswer::Confirmed, 101).await;
    assert!(answered.is_ok());
    assert_eq!(named(0).await, []);
}

fn refused() -> BankAnswer {
    BankAnswer::Refused {
        reason: "no cover".to_owned(),
    }
}

fn funding(status: Status) -> Result<Outcome, Refusal> {
    Ok(Outcome::Funding(status))
}

/// The debit at the bank and our escrow carry one reference, and the mail goes only afterwards.
pub async fn a_bank_order_is_mailed_and_sent_only_once_the_bank_has_confirmed(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.ordered(&of, 2_500).await;
    assert_eq!(world.status(id).await, Status::Ordered);
    let nothing = world
        .decide(of.card, None, Some(id), world.at(1))
        .await
        .unwrap();
    let not_funded = ledger::CommitOutcome::Refused(Refusal::NotFunded);
    assert_eq!(nothing.commit, not_funded);
    assert_eq!(world.mails(9_000_000).await, 0);
    let tasks = world.bank_tasks(1).await;
    let [task] = tasks.as_slice() else {
        panic!("one question, not {tasks:?}")
    };
    assert_eq!(
        (task.remittance, task.account.as_str()),
        (id, "0001-1234567")
    );
    assert_eq!((task.amount.minor(), task.status), (2_500, Status::Ordered));
    assert_eq!((task.attempts, task.expires), (1, world.at(3_600)));
    assert_eq!(world.ask(id, 1).await, funding(ASKED));
    world.holds(&of, id, [10_000, 0, 0]).await;
    for _ in 0..2 {
        let confirmed = world.bank_says(id, BankAnswer::Confirmed, 2).await;
        assert_eq!(confirmed, funding(Status::Open));
        world.holds(&of, id, [10_000, 2_500, 0]).await;
        assert_eq!(world.bank_minor().await, -2_500);
    }
    assert_eq!(world.bank_tasks(9_000).await, []);
    assert_eq!(world.mails(2).await, 1);
    world.sent(of.card, id).await;
    let proof = world.proof(of.card).await;
    world.apply(Command::Settle(proof)).await.unwrap();
    world.holds(&of, id, [10_000, 0, 2_500]).await;
    let late = world.bank_says(id, BankAnswer::Confirmed, 9).await;
    assert_eq!(late, funding(world.status(id).await));
    world.holds(&of, id, [10_000, 0, 2_500]).await;
}

/// Its own end, without any transfer; the mail is given up.
pub async fn a_refused_bank_order_ends_without_a_transfer(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.ordered(&of, 2_500).await;
    world.ask(id, 1).await.unwrap();
    let failed = Status::Unfunded {
        at: world.at(2),
        reason: UnfundedReason::Refused,
    };
    for _ in 0..2 {
        assert_eq!(world.bank_says(id, refused(), 2).await, funding(failed));
    }
    let contradiction = world.bank_says(id, BankAnswer::Confirmed, 3).await;
    assert_eq!(contradiction, Err(Refusal::Contradictory));
    world.holds(&of, id, [10_000, 0, 0]).await;
    assert_eq!(world.bank_tasks(9_000).await, []);
    assert_eq!(world.mails(9_000).await, 0);
    let found = world.store.remittance(id).await.unwrap().unwrap();
    assert_eq!(
        (found.mail, found.status.code()),
        (MailStatus::Failed, "funding-failed")
    );
    assert_eq!(
        world.take_back(&of, id).await,
        Ok(Outcome::CancelNoted(failed))
    );
}

/// A silent bank leaves the order where it is: neither time nor the sender ends it.
pub async fn an_order_of_unknown_funding_waits_for_the_bank(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.ordered(&of, 2_500).await;
    world.bank_tasks(1).await;
    world.ask(id, 1).await.unwrap();
    let silence = |seconds| BankAnswer::Unknown {
        reason: "no answer".to_owned(),
        retry_at: world.at(seconds),
    };
    assert_eq!(world.bank_says(id, silence(60), 2).await, funding(ASKED));
    assert_eq!(world.bank_tasks(59).await, []);
    let again = world.bank_tasks(60).await;
    assert_eq!((again[0].attempts, again[0].status), (2, ASKED));
    let expire = Command::Expire {
        remittance: id,
        now: world.at(4_000),
    };
    assert_eq!(world.store.expirable(world.at(4_000), 10).await, Ok(vec![]));
    assert_eq!(world.apply(expire).await, Err(Refusal::InDoubt));
    let noted = Status::FundingUnknown {
        cancel_asked: true,
        recovering: false,
    };
    assert_eq!(
        world.take_back(&of, id).await,
        Ok(Outcome::CancelNoted(noted))
    );
    world.holds(&of, id, [10_000, 0, 0]).await;
    let void = world.bank_says(id, BankAnswer::Void, 9).await;
    let ended = Status::Unfunded {
        at: world.at(4_000),
        reason: UnfundedReason::Cancelled,
    };
    assert_eq!(void, funding(ended));
}

/// Held in escrow until the bank has acknowledged the refund, and leased until then.
pub async fn a_bank_that_confirms_too_late_gets_its_refund_entry(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    for (reason, cancelled, at) in [
        (ReturnReason::Cancelled, true, 6),
        (ReturnReason::Expired, false, 3_600),
    ] {
        let mut order = world.bank_order(&of, 2_500);
        order.expires = world.at(3_600);
        let id = order.remittance;
        assert!(world.place(&order).await.is_ok());
        world.bank_tasks(1).await;
        world.ask(id, 1).await.unwrap();
        if cancelled {
            world.take_back(&of, id).await.unwrap();
        }
        let refunding = Status::Refunding { reason };
        for _ in 0..2 {
            let late = world.bank_says(id, BankAnswer::Confirmed, at).await;
            assert_eq!(late, funding(refunding));
            world.holds(&of, id, [10_000, 2_500, 0]).await;
        }
        let tasks = world.bank_tasks(at).await;
        let [task] = tasks.as_slice() else {
            panic!("one question, not {tasks:?}")
        };
        assert_eq!((task.status, task.attempts), (refunding, 1));
        let contradiction = world.bank_says(id, BankAnswer::Void, at).await;
        assert_eq!(contradiction, Err(Refusal::Contradictory));
        let back = Status::Returned {
            at: world.at(at),
            reason,
        };
        for _ in 0..2 {
            let done = world.bank_says(id, BankAnswer::Refunded, at).await;
            assert_eq!(done, funding(back));
        }
        world.holds(&of, id, [10_000, 0, 0]).await;
        assert_eq!(world.bank_minor().await, 0);
        assert_eq!(world.mails(at + 9_000).await, 0);
    }
}

/// A cancelled or expired order that the bank has paid goes back to the bank, not to the account
/// here.
pub async fn an_open_bank_order_is_returned_to_the_bank(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.ordered(&of, 2_500).await;
    world.ask(id, 1).await.unwrap();
    world.bank_says(id, BankAnswer::Confirmed, 2).await.unwrap();
    let reason = ReturnReason::Cancelled;
    for _ in 0..2 {
        let noted = world.take_back(&of, id).await;
        assert_eq!(
            noted,
            Ok(Outcome::CancelNoted(Status::Refunding { reason }))
        );
        world.holds(&of, id, [10_000, 2_500, 0]).await;
    }
    let nothing = world.decide(of.card, None, Some(id), world.at(6)).await;
    let cancelled = ledger::CommitOutcome::Refused(Refusal::Cancelled);
    assert_eq!(nothing.unwrap().commit, cancelled);
    world.bank_says(id, BankAnswer::Refunded, 7).await.unwrap();
    world.holds(&of, id, [10_000, 0, 0]).await;
    assert_eq!(world.bank_minor().await, 0);
}

/// Before the bank was asked, an order ends like any other, but for the transfers.
pub async fn a_bank_order_that_was_never_asked_for_ends_at_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let (first, second) = (world.ordered(&of, 1).await, world.ordered(&of, 2).await);
    let ended = |at, reason| Status::Unfunded { at, reason };
    let cancelled = ended(world.at(5), UnfundedReason::Cancelled);
    assert_eq!(
        world.take_back(&of, first).await,
        Ok(Outcome::CancelNoted(cancelled))
    );
    assert_eq!(world.ask(first, 6).await, Err(Refusal::Contradictory));
    let due = world.at(3_600);
    assert_eq!(world.ask(second, 3_600).await, Err(Refusal::Expired));
    assert_eq!(world.store.expirable(due, 10).await, Ok(vec![second]));
    let expire = Command::Expire {
        remittance: second,
        now: due,
    };
    let expired = ended(due, UnfundedReason::Expired);
    assert_eq!(world.apply(expire).await, Ok(Outcome::Expired(expired)));
    assert_eq!(world.bank_tasks(9_000).await, []);
    world.balanced().await;
}

/// Each fault of a question to the bank, and of the account there.
pub async fn what_the_bank_is_not_asked_for_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let none = world.place(&world.bank_order(&of, 10)).await;
    assert_eq!(none, Err(Refusal::FundingUnavailable));
    let paid = world.placed(&of, 10).await;
    let unknown = world.remittance_id();
    for (id, expected) in [
        (unknown, Refusal::RemittanceUnknown),
        (paid, Refusal::FundingUnavailable),
    ] {
        assert_eq!(world.ask(id, 1).await, Err(expected));
        let said = world.bank_says(id, BankAnswer::Confirmed, 1).await;
        assert_eq!(said, Err(expected));
    }
    let longest = "9".repeat(BANK_ACCOUNT_LEN_MAX);
    let set = |account: &str| {
        world
            .store
            .set_bank_account(of.sender, Some(account.to_owned()))
    };
    assert_eq!(set(&longest).await, Ok(()));
    let bad = Err(AdminError::OutOfBounds {
        what: "bank account",
    });
    for account in [longest.clone() + "9", String::new(), "1 2".to_owned()] {
        assert_eq!(set(&account).await, bad);
    }
    assert_eq!(world.store.bank_account(of.sender).await, Ok(Some(longest)));
    let nobody = world.store.set_bank_account(world.holder_id(), None).await;
    assert_eq!(nobody, Err(AdminError::Unknown { what: "holder" }));
    let id = world.ordered(&of, 10).await;
    assert_eq!(world.store.set_bank_account(of.sender, None).await, Ok(()));
    assert_eq!(world.store.bank_account(of.sender).await, Ok(None));
    world.ask(id, 1).await.unwrap();
    let words = |length| BankAnswer::Refused {
        reason: "\u{8a9e}".repeat(length),
    };
    let over = world
        .bank_says(id, words(BANK_REASON_CHARS_MAX + 1), 1)
        .await;
    assert_eq!(over, Err(Refusal::OutOfBounds));
    let fits = world.bank_says(id, words(BANK_REASON_CHARS_MAX), 1).await;
    assert!(fits.is_ok(), "{fits:?}");
    let retry_at = Timestamp::EPOCH;
    let reason = "x".repeat(BANK_REASON_CHARS_MAX + 1);
    let silence = BankAnswer::Unknown { reason, retry_at };
    assert_eq!(
        world.bank_says(id, silence, 1).await,
        Err(Refusal::OutOfBounds)
    );
}
