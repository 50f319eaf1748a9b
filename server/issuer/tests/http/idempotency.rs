//! The same key and the same request: the same answer, however often, at once, and after a restart.

use crate::bench::{Answer, Bench, FUNDS, START_S};
use axum::http::{StatusCode, header};
use issuer::jobs::{expiry, outbox};
use mailer::Transport;
use serde_json::json;

fn place(bench: &Bench, key: &str, amount: i64) -> Answer {
    let mut body = bench.order_body();
    body["amount_minor"] = json!(amount);
    let headers = [("idempotency-key", key)];
    bench.send("POST", "/v1/orders", &headers, body.to_string())
}

fn cancel(bench: &Bench, id: &str, headers: &[(&str, &str)]) -> Answer {
    let path = format!("/v1/orders/{id}/cancel");
    bench.send("POST", &path, headers, String::new())
}

fn read(bench: &Bench, id: &str) -> Answer {
    bench.get(&format!("/v1/orders/{id}"), &bench.sender.token)
}

fn tag(answer: &Answer) -> String {
    answer.headers[header::ETAG].to_str().unwrap().to_owned()
}

fn same(one: &Answer, other: &Answer) {
    assert_eq!(one.status, other.status);
    assert_eq!(one.body, other.body);
    assert_eq!(
        one.headers.get(header::LOCATION),
        other.headers.get(header::LOCATION)
    );
}

#[test]
pub(crate) fn an_order_asked_for_again_gets_its_first_answer_to_the_byte() {
    let mut bench = Bench::new();
    let first = place(&bench, "key", 2_500);
    assert_eq!(first.status, StatusCode::CREATED);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.headers[header::LOCATION], format!("/v1/orders/{id}"));
    // what it says is what is so, at first
    assert_eq!(read(&bench, &id).body, first.body);
    same(&place(&bench, "key", 2_500), &first);
    same(&place(&bench, "\"key\"", 2_500), &first);
    let transport = Transport::directory(&bench.dir.path().join("mails")).unwrap();
    let sent = bench
        .runtime
        .block_on(outbox::drain(&bench.app, &transport));
    assert_eq!(sent.unwrap(), 1);
    bench.run(&id).unwrap();
    bench.restart();
    let now = read(&bench, &id).json();
    assert_eq!(
        (&now["status"], &now["mail"]),
        (&json!("credited"), &json!("sent"))
    );
    same(&place(&bench, "key", 2_500), &first);
    assert_eq!(bench.balance(bench.sender.id), FUNDS - 2_500);
}

#[test]
pub(crate) fn a_refusal_stays_and_another_request_is_refused() {
    let mut bench = Bench::new();
    let refused = place(&bench, "poor", FUNDS + 1).json();
    assert_eq!(refused["code"], "insufficient-funds");
    bench.restart();
    let again = place(&bench, "poor", FUNDS + 1).json();
    assert_eq!(
        (&again["code"], &again["detail"]),
        (&refused["code"], &refused["detail"])
    );
    let other = place(&bench, "poor", 1);
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.json()["code"], "idempotency-conflict");
    // what was malformed has used no key
    let malformed = place(&bench, "free", -1);
    assert_eq!(malformed.json()["code"], "amount-not-positive");
    assert_eq!(place(&bench, "free", 1).status, StatusCode::CREATED);
}

#[test]
pub(crate) fn two_at_once_are_one_order_or_one_refusal() {
    let bench = Bench::new();
    let post = |key: &str, amount: i64| {
        let mut body = bench.order_body();
        body["amount_minor"] = json!(amount);
        let request = axum::http::Request::post("/v1/orders")
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", bench.sender.token),
            )
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(axum::body::Body::from(body.to_string()));
        tower::ServiceExt::oneshot(bench.router(), request.unwrap())
    };
    let statuses = |one: i64, other: i64, key: &str| {
        let both = async { tokio::join!(post(key, one), post(key, other)) };
        let (one, other) = bench.runtime.block_on(both);
        let mut statuses = [
            one.unwrap().status().as_u16(),
            other.unwrap().status().as_u16(),
        ];
        statuses.sort_unstable();
        statuses
    };
    assert_eq!(statuses(100, 100, "equal"), [201, 201]);
    assert_eq!(bench.balance(bench.sender.id), FUNDS - 100);
    assert_eq!(statuses(200, 200, "other"), [201, 201]);
    assert_eq!(bench.balance(bench.sender.id), FUNDS - 300);
    assert_eq!(statuses(1, 1_000, "unequal"), [201, 422]);
    bench.assert_balanced();
}

#[test]
pub(crate) fn a_cancel_needs_a_key_of_its_own() {
    let mut bench = Bench::new();
    let [one, other] = ["one", "other"].map(|key| bench.order(key));
    let keyless = cancel(&bench, &one, &[]);
    assert_eq!(keyless.json()["code"], "idempotency-key-missing");
    assert_eq!(bench.status_of(&one), "open");
    let key = [("idempotency-key", "c")];
    let first = cancel(&bench, &one, &key);
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(tag(&first), tag(&read(&bench, &one)));
    same(&cancel(&bench, &one, &key), &first);
    let conflict = cancel(&bench, &other, &key);
    assert_eq!(conflict.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(conflict.json()["code"], "idempotency-conflict");
    bench.restart();
    same(&cancel(&bench, &one, &key), &first);
    assert_eq!(
        cancel(&bench, &other, &key).status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(bench.status_of(&other), "open");
    // a key of an order is no key of a cancel
    assert_eq!(
        cancel(&bench, &other, &[("idempotency-key", "other")]).status,
        StatusCode::OK
    );
    assert_eq!(bench.balance(bench.sender.id), FUNDS);
    bench.assert_balanced();
}

#[test]
pub(crate) fn new_keys_of_cancels_are_counted_and_old_ones_are_not() {
    let bench = Bench::new();
    let id = bench.order("one");
    let with = |key: &str| cancel(&bench, &id, &[("idempotency-key", key)]).status;
    assert_eq!(with("first"), StatusCode::OK);
    let refused = (0..400).find(|n| with(&n.to_string()) == StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.is_some());
    assert_eq!(with("first"), StatusCode::OK);
}

#[test]
pub(crate) fn an_order_that_has_changed_is_not_taken_back_unseen() {
    let bench = Bench::new();
    let id = bench.order("one");
    let seen = tag(&read(&bench, &id));
    let transport = Transport::directory(&bench.dir.path().join("mails")).unwrap();
    let sent = bench
        .runtime
        .block_on(outbox::drain(&bench.app, &transport));
    assert_eq!(sent.unwrap(), 1);
    let stale = [("idempotency-key", "c"), ("if-match", seen.as_str())];
    let refused = cancel(&bench, &id, &stale);
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(refused.json()["code"], "precondition-failed");
    assert_eq!(bench.status_of(&id), "open");
    // the key is as free as before
    let now = tag(&read(&bench, &id));
    assert_ne!(now, seen);
    let fresh = [("idempotency-key", "c"), ("if-match", now.as_str())];
    let first = cancel(&bench, &id, &fresh);
    assert_eq!(first.status, StatusCode::OK);
    // its own doing is no change that it has not seen
    same(&cancel(&bench, &id, &fresh), &first);
    same(&cancel(&bench, &id, &stale), &first);
    assert_eq!(bench.balance(bench.sender.id), FUNDS);
}

#[test]
pub(crate) fn a_cancel_asked_for_again_gets_its_first_answer_and_under_another_key_what_is_so() {
    let mut bench = Bench::new();
    let with = |bench: &Bench, id: &str, key: &str| cancel(bench, id, &[("idempotency-key", key)]);
    // the card has it and lets it go
    let back = bench.order("back");
    bench.chip.stop_before_commit();
    assert!(bench.run(&back).is_err());
    let noted = with(&bench, &back, "one");
    assert_eq!(noted.status, StatusCode::ACCEPTED);
    same(&with(&bench, &back, "other"), &noted);
    assert!(bench.run(&back).is_err());
    assert_eq!(bench.status_of(&back), "cancelled");
    bench.restart();
    for key in ["one", "other"] {
        let again = with(&bench, &back, key);
        same(&again, &noted);
        assert_eq!(tag(&again), tag(&noted));
    }
    let now = with(&bench, &back, "now");
    assert_eq!(now.status, StatusCode::OK);
    assert_eq!(now.body, read(&bench, &back).body);
    // the card has it and keeps it
    let kept = bench.order("kept");
    bench.chip.lose_answer_after_commit();
    assert!(bench.run(&kept).is_err());
    let noted = with(&bench, &kept, "two");
    assert_eq!(noted.status, StatusCode::ACCEPTED);
    bench.run(&kept).unwrap();
    assert_eq!(bench.status_of(&kept), "credited");
    same(&with(&bench, &kept, "two"), &noted);
    for key in ["late", "late", "later"] {
        let refused = with(&bench, &kept, key);
        assert_eq!(refused.status, StatusCode::CONFLICT);
        let refused = refused.json();
        assert_eq!(refused["code"], "not-cancellable");
        assert_eq!(refused["detail"], "it was credited");
    }
    // a key of what was refused is taken
    let free = bench.order("free");
    let conflict = with(&bench, &free, "late").json();
    assert_eq!(conflict["code"], "idempotency-conflict");
    assert_eq!(bench.status_of(&free), "open");
    bench.assert_balanced();
}

#[test]
pub(crate) fn what_has_ended_is_cancelled_the_same_way_for_ever() {
    let mut bench = Bench::new();
    let mut body = bench.order_body();
    body["expires_in_s"] = json!(60);
    let headers = [("idempotency-key", "expires")];
    let placed = bench.send("POST", "/v1/orders", &headers, body.to_string());
    let expired = placed.json()["id"].as_str().unwrap().to_owned();
    let cancelled = bench.order("cancelled");
    let first = cancel(&bench, &cancelled, &[("idempotency-key", "c")]);
    bench.clock.set_s(START_S + 60);
    let swept = bench.runtime.block_on(expiry::sweep(&bench.app));
    assert_eq!(swept.unwrap(), 1);
    for turn in ["a", "b"] {
        let key = [("idempotency-key", turn)];
        let refused = cancel(&bench, &expired, &key);
        assert_eq!(refused.status, StatusCode::CONFLICT);
        let refused = refused.json();
        assert_eq!(refused["code"], "not-cancellable");
        assert_eq!(refused["detail"], "it expired and was returned");
        let key = [("idempotency-key", &*format!("{turn}{turn}"))];
        same(&cancel(&bench, &cancelled, &key), &first);
        bench.restart();
    }
    assert_eq!(bench.balance(bench.sender.id), FUNDS);
    bench.assert_balanced();
}
