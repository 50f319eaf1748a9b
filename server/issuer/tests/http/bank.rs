//! The job that asks the bank, against a clock that does not keep its word.

use crate::bench::{Bench, START_S, TestClock};
use async_trait::async_trait;
use issuer::app::App;
use issuer::bank::{Bank, Debit, Refund, Standing};
use issuer::clock::Clock as _;
use issuer::jobs::bank;
use ledger::{BankAnswer, Command, RemittanceId, ReturnReason, Status};
use money::Amount;
use serde_json::json;
use std::sync::Arc;

/// A bank that the first server's question reaches while the second server takes it back.
struct Overtaken {
    clock: Arc<TestClock>,
    app: Arc<App>,
}

#[async_trait]
impl Bank for Overtaken {
    async fn debit(&self, _: RemittanceId, _: &str, _: Amount) -> Debit {
        panic!("it is not wanted any more")
    }

    async fn status(&self, _: RemittanceId) -> Standing {
        Standing::NeverHeard
    }

    async fn refund(&self, remittance: RemittanceId) -> Refund {
        // the debit arrived after all, the first server hears of it, and the clock is set right
        self.clock.set_s(START_S + 10);
        let confirmed = Command::BankAnswered {
            remittance,
            answer: BankAnswer::Confirmed,
            now: self.clock.now(),
        };
        let store = &self.app.office.store;
        store.apply_one(confirmed).await.unwrap();
        Refund::Refunded
    }
}

/// The bank gave its money back, so nothing may be credited: whatever the clock says afterwards, the
/// instant at which the order was found to be over is the ledger's before the bank is told.
#[test]
fn what_is_taken_back_at_an_instant_is_over_for_whoever_comes_with_an_earlier_one() {
    let bench = Bench::new();
    let store = Arc::clone(&bench.app.office.store);
    let account = Some("0001-1".to_owned());
    let set = store.set_bank_account(bench.sender.id, account);
    bench.runtime.block_on(set).unwrap();
    let mut body = bench.order_body();
    body["fund_from"] = json!("bank");
    body["expires_in_s"] = json!(3_600);
    let placed = bench.post("/v1/orders", &bench.sender.token, "k", body.to_string());
    let id: RemittanceId = placed.json()["id"].as_str().unwrap().parse().unwrap();
    let lease = || bench.runtime.block_on(bank::lease(&bench.app)).unwrap();
    // the first server notes that it asks, and its question is slow
    assert_eq!(lease().len(), 1);
    let asked = Command::AskBank {
        remittance: id,
        now: bench.clock.now(),
    };
    bench.runtime.block_on(store.apply_one(asked)).unwrap();
    bench.clock.set_s(START_S + 600);
    let tasks = lease();
    bench.clock.set_s(START_S + 4_000);
    let (clock, app) = (Arc::clone(&bench.clock), Arc::clone(&bench.app));
    let overtaken = Overtaken { clock, app };
    let done = bank::carry_out(&bench.app, &overtaken, &tasks[0]);
    bench.runtime.block_on(done).unwrap();
    let found = bench.runtime.block_on(store.remittance(id)).unwrap();
    let reason = ReturnReason::Expired;
    let status = found.unwrap().status;
    assert!(
        matches!(status, Status::Returned { reason: r, .. } if r == reason),
        "{status:?}"
    );
}

/// What a lease puts off, it puts off by the ledger's time: a clock that was ahead for a moment keeps
/// nothing waiting once it is set right.
#[test]
fn a_lease_taken_by_a_clock_that_is_ahead_ends_when_a_lease_ends() {
    let bench = Bench::new();
    bench.order("k");
    let store = Arc::clone(&bench.app.office.store);
    let lease = |at_s: i64| {
        bench.clock.set_s(at_s);
        bench.runtime.block_on(async {
            let now = bench.app.office.ledger_now().await.unwrap();
            store
                .lease_mail(now, now.plus_s(60), 10)
                .await
                .unwrap()
                .len()
        })
    };
    assert_eq!(lease(START_S + 7_200), 1);
    // set right: the ledger's time stands where the lease was taken, and goes on from there
    assert_eq!(lease(START_S), 0);
    let floor = bench.runtime.block_on(store.time_floor()).unwrap();
    assert_eq!(floor.unix_s(), START_S + 7_200);
}
