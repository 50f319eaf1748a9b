//! Orders by mail address: verified by its mailed code, bound when ordered.

use crate::bench::{Answer, Bench};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use card_sim::Card as Chip;
use issuer::{
    clock::id_parts,
    issuing::{self, NewNumber},
    jobs::addresses,
};
use ledger::{CardId, HolderId, MailId};
use mailer::Transport;
use serde_json::{Value, json};
use store::AddressRequest;

pub(crate) const EMAIL: &str = "ben@cards.example";

/// Asks for a verification; gives its code.
pub(crate) fn ask(bench: &Bench, holder: HolderId) -> String {
    let office = &bench.app.office;
    let now = office.clock.now();
    let (ms, bits) = id_parts(now, &*office.random);
    let request = MailId::new(ms, bits);
    let code = office.keys.address_code(request);
    let asked = AddressRequest {
        holder,
        email: EMAIL.to_owned(),
        request,
        code_hash: office.keys.address_code_ref(&code).unwrap(),
        now,
    };
    let asked = office.store.request_address(asked);
    bench.runtime.block_on(asked).unwrap();
    code
}

pub(crate) fn enter(bench: &Bench, code: &str) -> Answer {
    let body = json!({ "email": " Ben@Cards.example", "code": code });
    bench.post("/v1/address/verify", "", "", body.to_string())
}

fn order(bench: &Bench, key: &str, email: &str) -> Answer {
    let body = json!({ "recipient_email": email, "amount_minor": 500, "currency": "JPY" });
    bench.post("/v1/orders", &bench.sender.token, key, body.to_string())
}

fn refused(answer: &Answer) -> Value {
    let mut problem = answer.json();
    problem["instance"] = Value::Null;
    problem
}

fn second_card(bench: &Bench) -> CardId {
    let mut chip = Chip::new([4, 7, 7, 7, 7, 7, 7], [7; 32]);
    let mut transmit = |apdu: &[u8]| Ok(chip.transmit(apdu).answer);
    let order = issuing::Order {
        holder: bench.recipient.id,
        number: NewNumber::Derived,
        value_max: 1_000,
    };
    let issued = issuing::issue(&bench.app.office, &mut transmit, order);
    bench.runtime.block_on(issued).unwrap().card
}

fn choose(bench: &Bench, card: CardId) {
    let (store, now) = (&bench.app.office.store, bench.app.office.clock.now());
    let set = store.set_default_card(bench.recipient.id, EMAIL.to_owned(), Some(card), now);
    bench.runtime.block_on(set).unwrap();
}

#[test]
fn an_unknown_an_unverified_and_a_cardless_address_are_refused_alike() {
    let bench = Bench::new();
    let unknown = order(&bench, "unknown", EMAIL);
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(unknown.json()["code"], "recipient-unknown");
    let code = ask(&bench, bench.recipient.id);
    let unverified = order(&bench, "unverified", EMAIL);
    assert_eq!(enter(&bench, &code).status, StatusCode::NO_CONTENT);
    second_card(&bench);
    let undecided = order(&bench, "undecided", EMAIL);
    let malformed = order(&bench, "malformed", "nobody");
    for answer in [unverified, undecided, malformed] {
        assert_eq!(refused(&answer), refused(&unknown));
    }
    choose(&bench, bench.card);
    assert_eq!(order(&bench, "known", EMAIL).status, StatusCode::CREATED);
    // the key keeps its first answer
    let again = order(&bench, "unknown", EMAIL);
    assert_eq!(refused(&again), refused(&unknown));
    bench.assert_balanced();
}

#[test]
fn an_order_by_address_keeps_the_card_of_its_time() {
    let mut bench = Bench::new();
    let code = ask(&bench, bench.recipient.id);
    enter(&bench, &code);
    let first = order(&bench, "key", "BEN@cards.example");
    assert_eq!(first.status, StatusCode::CREATED);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let second = second_card(&bench);
    choose(&bench, second);
    let again = order(&bench, "key", EMAIL);
    assert_eq!(again.json()["id"], id.as_str());
    let (now, email) = (bench.app.office.clock.now(), EMAIL.to_owned());
    let removed = bench
        .app
        .office
        .store
        .remove_address(bench.recipient.id, email, now);
    bench.runtime.block_on(removed).unwrap();
    assert_eq!(order(&bench, "key", EMAIL).json()["id"], id.as_str());
    let other = order(&bench, "key", "other@cards.example");
    assert_eq!(other.json()["code"], "idempotency-conflict");
    let parsed = id.parse().unwrap();
    let stored = bench.app.office.store.remittance(parsed);
    let stored = bench.runtime.block_on(stored).unwrap().unwrap();
    assert_eq!(stored.card, bench.card);
    bench.run(&id).unwrap();
    assert_eq!(bench.status_of(&id), "credited");
    bench.assert_balanced();
}

#[test]
fn a_code_is_mailed_and_spent_by_post_only() {
    let bench = Bench::new();
    let code = ask(&bench, bench.recipient.id);
    let mails = bench.dir.path().join("mails");
    let transport = Transport::directory(&mails).unwrap();
    let drain = || {
        bench
            .runtime
            .block_on(addresses::drain(&bench.app, &transport))
    };
    assert_eq!((drain().unwrap(), drain().unwrap()), (1, 0));
    let mail = std::fs::read_dir(&mails).unwrap().next().unwrap().unwrap();
    let mail = std::fs::read_to_string(mail.path()).unwrap();
    // soft line breaks (RFC 2045, 6.7)
    let mail = mail.replace("=\r\n", "");
    assert!(mail.contains(&code), "{mail}");
    assert!(mail.contains("https://money.example/address"), "{mail}");
    for path in [
        format!("/v1/address/verify?email={EMAIL}&code={code}"),
        format!("/address?email={EMAIL}&code={code}"),
    ] {
        bench.call(Request::get(path).body(Body::empty()).unwrap());
    }
    assert_eq!(
        order(&bench, "before", EMAIL).json()["code"],
        "recipient-unknown"
    );
    let form = format!("email={EMAIL}&code={}", code.to_lowercase());
    let post = |form: String| {
        let request = Request::post("/address")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("accept-language", "ja");
        let answer = bench.call(request.body(Body::from(form)).unwrap());
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let (status, page) = post(form.clone());
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("確認できました"), "{page}");
    let (status, page) = post(form);
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("address-code-wrong"), "{page}");
    assert_eq!(order(&bench, "after", EMAIL).status, StatusCode::CREATED);
}
