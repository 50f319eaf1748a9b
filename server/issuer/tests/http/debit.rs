//! Orders that a card of the sender pays for, over HTTP.

use crate::bench::{Answer, Bench, Person};
use axum::http::{StatusCode, header};
use card_sim::Card as Chip;
use issuer::issuing::{self, NewNumber};
use issuer::jobs::expiry;
use ledger::{Account, CARD_VALUE_MAX};
use serde_json::{Value, json};

const PAID: i64 = 2_000;

/// Ben has 2,500 on his card and pays from it to Cho's.
struct Story {
    bench: Bench,
    /// Ben's card number.
    own: String,
    /// Cho's card.
    other: Chip,
    /// Its number.
    number: String,
}

impl Story {
    fn new() -> Self {
        let mut bench = Bench::new();
        let first = bench.order("charge");
        bench.run(&first).unwrap();
        let cho = bench.add_holder("Cho", Some("cho@mail.example"));
        let mut other = Chip::new([4, 7, 7, 7, 7, 7, 7], [7; 32]);
        let order = issuing::Order {
            holder: cho.id,
            number: NewNumber::Derived,
            value_max: CARD_VALUE_MAX,
        };
        let mut transmit = |apdu: &[u8]| Ok(other.transmit(apdu).answer);
        let issue = issuing::issue(&bench.app.office, &mut transmit, order);
        let number = bench.runtime.block_on(issue).unwrap().number_text();
        Self {
            own: bench.number.clone(),
            bench,
            other,
            number,
        }
    }

    fn ben(&self) -> &Person {
        &self.bench.recipient
    }

    fn body(&self) -> Value {
        json!({ "recipient_card": self.number, "amount_minor": PAID, "currency": "JPY",
            "fund_from": "card", "from_card": self.own })
    }

    fn post(&self, key: &str, body: &Value) -> Answer {
        let token = &self.ben().token;
        self.bench.post("/v1/orders", token, key, body.to_string())
    }

    /// Orders, and gives the order's id and its debit's.
    fn order(&self, key: &str) -> (String, String) {
        let answer = self.post(key, &self.body());
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let debit = self.bench.app.office.store.debit_of(id.parse().unwrap());
        let debit = self.bench.runtime.block_on(debit).unwrap().unwrap();
        (id, debit.id.to_string())
    }

    fn read(&self, id: &str) -> Value {
        let path = format!("/v1/orders/{id}");
        self.bench.get(&path, &self.ben().token).json()
    }

    fn program(&self, id: &str, token: &str) -> Answer {
        self.bench.get(&format!("/v1/orders/{id}/program"), token)
    }

    /// On Ben's chip, in Ben's card account, owed to Ben, on Cho's chip.
    fn money(&self) -> [i64; 4] {
        let minor = |account| {
            let found = self.bench.app.office.store.balance(account);
            let found = self.bench.runtime.block_on(found).unwrap();
            found.map_or(0, |money| money.minor())
        };
        [
            i64::from(self.bench.chip.balances()[0].2),
            minor(Account::Card(self.bench.card)),
            minor(Account::Payable(self.ben().id)),
            i64::from(self.other.balances()[0].2),
        ]
    }

    /// Cho opens a program.
    fn cho_runs(&mut self, id: &str) -> Result<Vec<u8>, guest_logic::Failure> {
        std::mem::swap(&mut self.bench.chip, &mut self.other);
        let ended = self.bench.run(id);
        std::mem::swap(&mut self.bench.chip, &mut self.other);
        ended
    }
}

#[test]
pub(crate) fn a_card_pays_for_an_order_by_a_program_that_its_sender_fetches() {
    let mut story = Story::new();
    let (id, debit) = story.order("one");
    assert_eq!(story.order("one").0, id, "the same key is the same order");
    let seen = story.read(&id);
    let path = format!("/v1/orders/{id}/program");
    for (member, value) in [
        ("fund_from", "card"),
        ("status", "ordered"),
        ("program", &path),
    ] {
        assert_eq!(seen[member], value, "{seen}");
    }
    let list = story.bench.get("/v1/orders", &story.ben().token).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");

    let file = story.program(&id, &story.ben().token);
    assert_eq!(file.status, StatusCode::OK);
    assert_eq!(
        file.headers[header::CONTENT_TYPE],
        "application/vnd.tegata.program+wasm"
    );
    let raw = program::RawProgram::new(file.body.clone()).unwrap();
    let inside = program::inspect_unverified(&raw).unwrap();
    let bytes = inside.order_bytes().as_bytes().to_vec();
    let order = program::Order::decode(&bytes).unwrap();
    assert_eq!(order.kind, program::Kind::Debit);
    assert_eq!(bytes, story.bench.order_bytes(&debit));
    for token in [&story.bench.sender.token, "tgt_"] {
        assert_ne!(story.program(&id, token).status, StatusCode::OK);
    }
    // a debit is no order, and the recipient's program is nobody's before it is paid for
    for unknown in [&debit, "1"] {
        let answer = story.program(unknown, &story.ben().token);
        assert_eq!(answer.json()["code"], "order-unknown");
    }
    assert!(story.cho_runs(&id).is_err());
    assert_eq!(story.money(), [2_500, 2_500, 0, 0]);

    story.bench.requests.clear();
    let receipt = story.bench.run(&debit).unwrap();
    assert_eq!(story.bench.requests.len(), 4);
    assert_eq!(story.money(), [500, 500, 0, 0]);
    assert_eq!(story.read(&id)["status"], "open");
    assert_eq!(story.bench.run(&debit).unwrap(), receipt, "and once");
    let gone = story.program(&id, &story.ben().token);
    assert_eq!(gone.json()["code"], "program-unknown");
    assert!(story.read(&id)["program"].is_null());

    story.cho_runs(&id).unwrap();
    assert_eq!(story.money(), [500, 500, 0, PAID]);
    assert_eq!(story.read(&id)["status"], "credited");
    story.bench.assert_balanced();
}

#[test]
pub(crate) fn an_order_of_a_card_is_cancelled_by_what_its_card_says() {
    for (after, status, money) in [
        (false, "cancelled-unfunded", [2_500, 2_500, 0, 0]),
        (true, "cancelled", [500, 500, PAID, 0]),
    ] {
        let mut story = Story::new();
        let (id, debit) = story.order("one");
        match after {
            true => story.bench.chip.lose_answer_after_commit(),
            false => story.bench.chip.stop_before_commit(),
        }
        story.bench.run(&debit).unwrap_err();
        assert_eq!(story.read(&id)["status"], "funding-unknown");
        let cancel = format!("/v1/orders/{id}/cancel");
        let token = story.ben().token.clone();
        let noted = story.bench.post(&cancel, &token, "c", String::new());
        assert_eq!(noted.status, StatusCode::ACCEPTED);
        // the program is there as long as the card has to speak
        assert_eq!(story.program(&id, &token).status, StatusCode::OK);
        let told = story.bench.run(&debit);
        assert_eq!(told.is_ok(), after, "{told:?}");
        assert_eq!(story.read(&id)["status"], status);
        assert_eq!(story.money(), money);
        assert_eq!(story.program(&id, &token).json()["code"], "program-unknown");
        story.bench.assert_balanced();
    }
}

#[test]
pub(crate) fn an_order_of_a_card_expires_unless_its_debit_is_in_flight() {
    for in_flight in [false, true] {
        let mut story = Story::new();
        let mut body = story.body();
        body["expires_in_s"] = json!(60);
        let id = story.post("one", &body).json()["id"].clone();
        let id = id.as_str().unwrap().to_owned();
        let debit = story.bench.app.office.store.debit_of(id.parse().unwrap());
        let debit = story.bench.runtime.block_on(debit).unwrap().unwrap();
        let debit = debit.id.to_string();
        if in_flight {
            story.bench.chip.lose_answer_after_commit();
            story.bench.run(&debit).unwrap_err();
        }
        story.bench.clock.set_s(crate::bench::START_S + 61);
        let swept = story
            .bench
            .runtime
            .block_on(expiry::sweep(&story.bench.app));
        swept.unwrap();
        if in_flight {
            assert_eq!(story.read(&id)["status"], "funding-unknown");
            story.bench.run(&debit).unwrap();
            assert_eq!(story.read(&id)["status"], "expired");
            assert_eq!(story.money(), [500, 500, PAID, 0]);
        } else {
            assert_eq!(story.read(&id)["status"], "expired-unfunded");
            assert!(story.bench.run(&debit).is_err());
            assert_eq!(story.money(), [2_500, 2_500, 0, 0]);
        }
        story.bench.assert_balanced();
    }
}

#[test]
pub(crate) fn an_order_that_this_card_can_not_pay_is_refused_before_any_program_exists() {
    let story = Story::new();
    let with = |member: &str, value: Value| {
        let mut body = story.body();
        body[member] = value;
        body
    };
    for (at, (body, code)) in [
        (with("from_card", Value::Null), "body-malformed"),
        (with("fund_from", json!("account")), "body-malformed"),
        (with("fund_from", json!("bank")), "body-malformed"),
        (with("from_card", json!("1234")), "card-number-malformed"),
        (
            with("from_card", json!("4539 1488 0343 6467")),
            "funding-unavailable",
        ),
        (
            with("from_card", json!(story.number)),
            "funding-unavailable",
        ),
        (with("amount_minor", json!(2_501)), "insufficient-funds"),
        (with("recipient_card", json!(story.own)), "self-remittance"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = story.post(&format!("refused-{at}"), &body);
        assert_eq!(answer.json()["code"], code, "{body}");
    }
    let all = story.post("all", &with("amount_minor", json!(2_500)));
    assert_eq!(all.status, StatusCode::CREATED, "{}", all.json());
    let mut other = story.body();
    other["amount_minor"] = json!(2_499);
    let conflict = story.post("all", &other);
    assert_eq!(conflict.json()["code"], "idempotency-conflict");
    story.bench.assert_balanced();
}
