//! Every problem code, by the request that causes it.

use crate::address::{EMAIL, ask, enter};
use crate::bench::{Answer, Bench, START_S};
use crate::tokens::token;
use axum::{
    body::{Body, Bytes, HttpBody},
    http::{Request, StatusCode, header},
};
use hyper::body::Frame;
use issuer::{
    http::{self, body::JSON_LEN_MAX},
    issuing::{self, NewNumber},
    limit::CODES,
    orders::{AMOUNT_MAX, EXPIRES_IN_MAX_S},
};
use ledger::{Command, Scope, Scopes};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use wire::api::ProblemCode;

/// Collects which codes were met.
#[derive(Default)]
struct Met(RefCell<BTreeSet<ProblemCode>>);

impl Met {
    fn check(&self, answer: &Answer, code: ProblemCode) {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status.as_u16(), code.status(), "{code:?}: {text}");
        assert_eq!(
            answer.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let problem = answer.json();
        assert_eq!(problem["code"], code.code(), "{text}");
        assert_eq!(problem["type"], code.type_path());
        let id = answer.headers["x-request-id"].to_str().unwrap();
        assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
        self.0.borrow_mut().insert(code);
    }
}

/// Orders with one member changed.
fn order_with(bench: &Bench, key: &str, member: &str, value: &Value) -> Answer {
    let mut body = bench.order_body();
    body[member] = value.clone();
    bench.post("/v1/orders", &bench.sender.token, key, body.to_string())
}

fn malformed_requests(bench: &Bench, met: &Met) {
    use ProblemCode as P;
    let order = |body: String| bench.post("/v1/orders", &bench.sender.token, "m", body);
    met.check(&order("{".to_owned()), P::BodyMalformed);
    met.check(&order("[]".to_owned()), P::BodyMalformed);
    met.check(
        &order_with(bench, "m", "nota", &json!("x")),
        P::BodyMalformed,
    );
    met.check(
        &order_with(bench, "m", "note", &json!("a\r\nBcc: x")),
        P::BodyMalformed,
    );
    let filler = " ".repeat(JSON_LEN_MAX);
    met.check(&order(filler.clone()), P::BodyMalformed);
    met.check(&order(filler + " "), P::BodyTooLarge);
    let plain = Request::post("/v1/orders")
        .header(
            header::AUTHORIZATION,
            format!("Bearer {}", bench.sender.token),
        )
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from("{}"));
    met.check(&bench.call(plain.unwrap()), P::MediaTypeUnsupported);
    met.check(
        &bench.get("/v1/orders?cursor=zz", &bench.sender.token),
        P::BodyMalformed,
    );
    met.check(&bench.exchange(vec![0xFF]), P::BodyMalformed);
    met.check(
        &bench.exchange(vec![0; wire::exchange::REQUEST_LEN_MAX]),
        P::BodyMalformed,
    );
    met.check(
        &bench.exchange(vec![0; wire::exchange::REQUEST_LEN_MAX + 1]),
        P::BodyTooLarge,
    );
    let untyped = Request::post("/v1/exchange").body(Body::from(vec![0x80]));
    met.check(&bench.call(untyped.unwrap()), P::MediaTypeUnsupported);
    let nowhere = ["/v1/order", "/v1/orders/", "/nowhere"];
    for path in nowhere {
        met.check(&bench.get(path, ""), P::NotFound);
    }
    let deleted = bench.call(Request::delete("/v1/orders").body(Body::empty()).unwrap());
    met.check(&deleted, P::MethodNotAllowed);
    let allowed = deleted.headers[header::ALLOW].to_str().unwrap();
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
    met.check(
        &bench.get("/v1/orders/%FF", &bench.sender.token),
        P::BodyMalformed,
    );

    let body = bench.order_body().to_string();
    met.check(
        &bench.post("/v1/orders", &bench.sender.token, "", body.clone()),
        P::IdempotencyKeyMissing,
    );
    let long = "k".repeat(256);
    met.check(
        &bench.post("/v1/orders", &bench.sender.token, &long, body),
        P::IdempotencyKeyMissing,
    );
}

/// A body that never comes.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

fn a_body_that_never_comes(bench: &Bench, met: &Met) {
    let request = Request::post("/v1/exchange")
        .header(header::CONTENT_TYPE, wire::exchange::MEDIA_TYPE)
        .body(Body::new(Never));
    let router = http::router_within(Arc::clone(&bench.app), Duration::ZERO);
    let answer = bench.call_of(router, request.unwrap());
    met.check(&answer, ProblemCode::RequestTimeout);
}

fn strangers(bench: &Bench, met: &Met) {
    use ProblemCode as P;
    let id = bench.order("stranger");
    for token in ["", "tgt_", "tgt_AAAA", &format!("{}A", bench.sender.token)] {
        met.check(&bench.get("/v1/orders", token), P::Unauthorized);
    }
    let (_, reads) = token(bench, Scopes::of(&[Scope::OrdersRead]).unwrap(), None);
    let body = bench.order_body().to_string();
    met.check(
        &bench.post("/v1/orders", &reads, "scope", body),
        P::ScopeMissing,
    );
    webhooks(bench, met);
    let bare = Request::get("/v1/orders").body(Body::empty());
    met.check(&bench.call(bare.unwrap()), P::Unauthorized);
    let path = format!("/v1/orders/{id}");
    met.check(&bench.get(&path, &bench.recipient.token), P::OrderUnknown);
    met.check(
        &bench.get("/v1/orders/1", &bench.sender.token),
        P::OrderUnknown,
    );
    let cancel = format!("{path}/cancel");
    met.check(
        &bench.post(&cancel, &bench.recipient.token, "c", String::new()),
        P::OrderUnknown,
    );
    assert_eq!(bench.status_of(&id), "open");
    // the account here has paid for it
    let program = format!("{path}/program");
    met.check(&bench.get(&program, &bench.sender.token), P::ProgramUnknown);
    met.check(
        &bench.get(&program, &bench.recipient.token),
        P::OrderUnknown,
    );
}

fn webhooks(bench: &Bench, met: &Met) {
    use ProblemCode as P;
    let token = &bench.sender.token;
    let add = |url: &str| {
        let body = json!({ "url": url }).to_string();
        bench.post("/v1/webhooks", token, "", body)
    };
    met.check(&add("http://shop.example/"), P::WebhookUrlRefused);
    let mut id = add("https://a/0").json()["id"].clone();
    met.check(&add("https://a/0"), P::WebhookTaken);
    for number in 1..store::WEBHOOKS_MAX {
        id = add(&format!("https://a/{number}")).json()["id"].clone();
    }
    met.check(&add("https://a/8"), P::WebhooksFull);
    met.check(&bench.get("/v1/webhooks/1", token), P::WebhookUnknown);
    let path = format!("/v1/webhooks/{}", id.as_str().unwrap());
    let secret = format!("{path}/secret");
    for key in ["one", "two"] {
        bench.post(&secret, token, key, String::new());
    }
    met.check(
        &bench.post(&secret, token, "one", String::new()),
        P::WebhookSecretNotShown,
    );
    let event = store::EventId([7; 16]);
    let again = format!("{path}/dead/{event}");
    let again = || bench.post(&again, token, "", String::new());
    met.check(&again(), P::DeadLetterUnknown);
    bench.dead_letter(id.as_str().unwrap(), event);
    met.check(&again(), P::WebhookDisabled);
}

fn orders_that_the_rules_forbid(bench: &Bench, met: &Met) {
    use ProblemCode as P;
    let over = i64::try_from(EXPIRES_IN_MAX_S).unwrap() + 1;
    let cases = [
        ("currency", json!("USD"), P::CurrencyUnknown),
        ("currency", json!("XXX"), P::CurrencyUnknown),
        ("fund_from", json!("bank"), P::FundingUnavailable),
        ("fund_from", json!("card"), P::BodyMalformed),
        ("from_card", json!("9000"), P::BodyMalformed),
        ("amount_minor", json!(0), P::AmountNotPositive),
        ("amount_minor", json!(-1), P::AmountNotPositive),
        ("amount_minor", json!(25.5), P::AmountExponent),
        ("amount_minor", json!(AMOUNT_MAX + 1), P::AmountOverLimit),
        ("amount_minor", json!(AMOUNT_MAX), P::InsufficientFunds),
        ("note", json!("n".repeat(141)), P::NoteTooLong),
        ("expires_in_s", json!(0), P::ExpiryOutOfRange),
        ("expires_in_s", json!(over), P::ExpiryOutOfRange),
        (
            "recipient_email",
            json!("ben@cards.example"),
            P::RecipientAmbiguous,
        ),
        ("recipient_card", Value::Null, P::RecipientAmbiguous),
        (
            "recipient_card",
            json!("9000 0000 0000 0000"),
            P::CardNumberMalformed,
        ),
        (
            "recipient_card",
            json!("4539 1488 0343 6467"),
            P::CardUnknown,
        ),
    ];
    for (at, (member, value, code)) in cases.into_iter().enumerate() {
        let answer = order_with(bench, &format!("rule-{at}"), member, &value);
        met.check(&answer, code);
        let about = match (code, member) {
            (P::RecipientAmbiguous, _) => Value::Null,
            (P::BodyMalformed, "fund_from") => json!("#/from_card"),
            (_, member) => json!(format!("#/{member}")),
        };
        assert_eq!(answer.json()["pointer"], about, "{member}");
    }
    let own = bench.order_body().to_string();
    met.check(
        &bench.post("/v1/orders", &bench.recipient.token, "own", own),
        P::SelfRemittance,
    );
    bench.order("conflict");
    met.check(
        &order_with(bench, "conflict", "amount_minor", &json!(1)),
        P::IdempotencyConflict,
    );
}

fn cards_that_take_nothing(bench: &Bench, met: &Met) {
    use ProblemCode as P;
    let nowhere = bench.add_holder("No Address", None);
    let mut chip = card_sim::Card::new([4, 9, 9, 9, 9, 9, 9], [2; 32]);
    let mut transmit = |apdu: &[u8]| Ok(chip.transmit(apdu).answer);
    let order = |holder| issuing::Order {
        holder,
        number: NewNumber::Derived,
        value_max: 1_000,
    };
    let issue = issuing::issue(&bench.app.office, &mut transmit, order(nowhere.id));
    let number = bench.runtime.block_on(issue).unwrap().number_text();
    let answer = order_with(bench, "nowhere", "recipient_card", &json!(number));
    met.check(&answer, P::RecipientWithoutAddress);

    // a card that was taken away after its first command
    let uid = [4, 8, 8, 8, 8, 8, 8];
    let mut chip = card_sim::Card::new(uid, [3; 32]);
    let mut sent = 0;
    let mut transmit = |apdu: &[u8]| {
        sent += 1;
        anyhow::ensure!(sent < 2, "removed");
        Ok(chip.transmit(apdu).answer)
    };
    let issue = issuing::issue(&bench.app.office, &mut transmit, order(bench.recipient.id));
    bench.runtime.block_on(issue).unwrap_err();
    let number = bench.app.office.keys.derived_number(&uid, 0).unwrap();
    let digits = std::str::from_utf8(number.digits()).unwrap();
    let answer = order_with(bench, "issuing", "recipient_card", &json!(digits));
    met.check(&answer, P::CardNotActive);

    let block = Command::BlockCard {
        card: bench.card,
        now: bench.app.office.clock.now(),
    };
    bench
        .runtime
        .block_on(bench.app.office.store.apply_one(block))
        .unwrap();
    let body = bench.order_body().to_string();
    let answer = bench.post("/v1/orders", &bench.sender.token, "blocked", body);
    met.check(&answer, P::CardBlocked);
}

fn addresses(bench: &mut Bench, met: &Met) {
    use ProblemCode as P;
    let body = json!({ "recipient_email": EMAIL, "amount_minor": 1, "currency": "JPY" });
    let body = body.to_string();
    let answer = bench.post("/v1/orders", &bench.sender.token, "nobody", body);
    met.check(&answer, P::RecipientUnknown);
    let (first, second) = (ask(bench, bench.recipient.id), ask(bench, bench.sender.id));
    for wrong in ["", "AAAA-AAAA-AAAA-AAAA", "AAAA"] {
        met.check(&enter(bench, wrong), P::AddressCodeWrong);
    }
    assert_eq!(enter(bench, &first).status.as_u16(), 204);
    met.check(&enter(bench, &first), P::AddressCodeWrong);
    met.check(&enter(bench, &second), P::AddressTaken);
    for _ in 6..CODES.burst {
        met.check(&enter(bench, &first), P::AddressCodeWrong);
    }
    met.check(&enter(bench, &first), P::RateLimited);
    // tries of addresses and of claim codes are counted together
    bench.restart();
}

fn guesses_at_claim_codes(bench: &Bench, met: &Met) {
    use ProblemCode as P;
    let claim = |code: &str| {
        bench.post(
            "/v1/claim",
            "",
            "",
            json!({ "claim_code": code }).to_string(),
        )
    };
    for guess in 0..CODES.burst {
        let code = if guess % 2 == 0 {
            "ABCD-EFGH-IJKL-MNOP"
        } else {
            "nonsense"
        };
        met.check(&claim(code), P::ClaimUnknown);
    }
    let refused = claim("ABCD-EFGH-IJKL-MNOP");
    met.check(&refused, P::RateLimited);
    // ten a minute: there is room for one within six seconds
    let wait = refused.headers[header::RETRY_AFTER].to_str().unwrap();
    assert!((1..=6).contains(&wait.parse::<u32>().unwrap()), "{wait}");
}

fn after_the_end(bench: &mut Bench, met: &Met) {
    use ProblemCode as P;
    let id = bench.order("credited");
    bench.run(&id).unwrap();
    let cancel = format!("/v1/orders/{id}/cancel");
    let answer = bench.post(&cancel, &bench.sender.token, "c", String::new());
    met.check(&answer, P::NotCancellable);
    let path = format!("/v1/orders/{id}/cancel");
    let headers = [("idempotency-key", "stale"), ("if-match", "\"AAAA\"")];
    let stale = bench.send("POST", &path, &headers, String::new());
    met.check(&stale, P::PreconditionFailed);
}

fn without_a_valid_key(bench: &Bench, met: &Met) {
    use ProblemCode as P;
    bench.clock.set_s(START_S + 3 * 365 * 86_400);
    met.check(&bench.get("/readyz", ""), P::Unavailable);
    let body = bench.order_body().to_string();
    let answer = bench.post("/v1/orders", &bench.sender.token, "late", body);
    met.check(&answer, P::Unavailable);
    assert_eq!(answer.headers[header::RETRY_AFTER], "5");
}

#[test]
pub(crate) fn every_problem_code_is_met_by_its_request() {
    let mut bench = Bench::new();
    let met = Met::default();
    malformed_requests(&bench, &met);
    a_body_that_never_comes(&bench, &met);
    strangers(&bench, &met);
    orders_that_the_rules_forbid(&bench, &met);
    after_the_end(&mut bench, &met);
    addresses(&mut bench, &met);
    guesses_at_claim_codes(&bench, &met);
    cards_that_take_nothing(&bench, &met);
    without_a_valid_key(&bench, &met);
    let all: BTreeSet<_> = ProblemCode::ALL.iter().copied().collect();
    let missing: Vec<_> = all.difference(&met.0.borrow()).copied().collect();
    assert_eq!(missing, []);
    bench.assert_balanced();
}

#[test]
pub(crate) fn bounds_are_reached_exactly() {
    let bench = Bench::new();
    for (key, member, value) in [
        ("note", "note", json!("\u{1F375}".repeat(140))),
        ("long", "expires_in_s", json!(EXPIRES_IN_MAX_S)),
        ("short", "expires_in_s", json!(1)),
        ("one", "amount_minor", json!(1)),
        (&"k".repeat(255), "amount_minor", json!(2)),
    ] {
        let answer = order_with(&bench, key, member, &value);
        assert_eq!(
            answer.status,
            StatusCode::CREATED,
            "{member}: {}",
            answer.json()
        );
    }
}

#[test]
pub(crate) fn a_refused_order_is_refused_again_under_its_key_and_moves_nothing() {
    let bench = Bench::new();
    let too_much = json!(crate::bench::FUNDS + 1);
    let first = order_with(&bench, "key", "amount_minor", &too_much);
    assert_eq!(first.json()["code"], "insufficient-funds");
    let again = order_with(&bench, "key", "amount_minor", &too_much);
    assert_eq!(again.json()["code"], "insufficient-funds");
    assert_eq!(bench.balance(bench.sender.id), crate::bench::FUNDS);
}
