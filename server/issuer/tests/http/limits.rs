//! How often something may be tried, from where, and what somebody hears who tries more.

use crate::bench::{Answer, Bench, UID};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use issuer::{
    app::App,
    limit::{Limits, ORDERS, ORDERS_TO_ONE, SIGN_INS},
};
use serde_json::json;
use std::{net::IpAddr, sync::Arc};

/// Where requests come from that no proxy and no socket says anything about.
const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// The server with other limits or proxies.
fn with(change: impl FnOnce(&mut App)) -> Bench {
    let mut bench = Bench::new();
    change(Arc::get_mut(&mut bench.app).unwrap());
    bench
}

/// An exchange that is none, as it comes through proxies.
fn exchange(bench: &Bench, forwarded: &str, bytes: Vec<u8>) -> Answer {
    let request = Request::post("/v1/exchange")
        .header(header::CONTENT_TYPE, wire::exchange::MEDIA_TYPE)
        .header("x-forwarded-for", forwarded)
        .body(Body::from(bytes));
    bench.call(request.unwrap())
}

fn wait_of(answer: &Answer) -> u64 {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let wait = answer.headers["retry-after"].to_str().unwrap();
    wait.parse().unwrap()
}

#[test]
pub(crate) fn an_address_is_refused_past_its_requests_whoever_asks_and_told_for_how_long() {
    // one a minute, two at once
    let bench = with(|app| app.limits = Limits::new(1));
    for _ in 0..2 {
        assert_eq!(
            exchange(&bench, "", vec![0xFF]).status,
            StatusCode::BAD_REQUEST
        );
    }
    let refused = exchange(&bench, "", vec![0xFF]);
    assert_eq!(refused.json()["code"], "rate-limited");
    assert!((1..=60).contains(&wait_of(&refused)));
    // before a token is looked up
    let body = || bench.order_body().to_string();
    for token in [bench.sender.token.as_str(), "tgt_none"] {
        wait_of(&bench.post("/v1/orders", token, "key", body()));
    }
    // what is only read is not counted
    assert_eq!(
        bench.get("/v1/orders", &bench.sender.token).status,
        StatusCode::OK
    );
}

#[test]
pub(crate) fn what_a_caller_writes_into_the_header_changes_nothing() {
    let bench = with(|app| app.limits = Limits::new(1));
    for _ in 0..2 {
        exchange(&bench, "", vec![0xFF]);
    }
    // no proxy is believed
    for forged in ["203.0.113.1", "203.0.113.2, 203.0.113.3"] {
        wait_of(&exchange(&bench, forged, vec![0xFF]));
    }
    let bench = with(|app| {
        app.limits = Limits::new(1);
        app.settings.trusted_hops = 2;
    });
    let status = |forwarded: &str| exchange(&bench, forwarded, vec![0xFF]).status.as_u16();
    let hops = "198.51.100.7, 192.0.2.1";
    assert_eq!((status(hops), status(hops), status(hops)), (400, 400, 429));
    for forged in ["203.0.113.1", "203.0.113.1, 203.0.113.2", "198.51.100.8"] {
        assert_eq!(status(&format!("{forged}, {hops}")), 429, "{forged}");
    }
    assert_eq!(status("198.51.100.7, 198.51.100.8, 192.0.2.1"), 400);
    // a household has a whole network of IPv6
    let six = |host: &str| status(&format!("2001:db8::{host}, 192.0.2.1"));
    assert_eq!((six("1"), six("2"), six("3")), (400, 400, 429));
}

#[test]
pub(crate) fn tokens_are_tried_at_the_page_so_often_and_no_more() {
    let bench = Bench::new();
    let sign_in = |token: &str| {
        let request = Request::post("/sign-in")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(format!("token={token}")));
        bench.call(request.unwrap()).status.as_u16()
    };
    let mut tried = 0;
    while sign_in("tgt_none") == 401 {
        tried += 1;
        // some come back while they are spent
        assert!(tried <= 10 * SIGN_INS.burst);
    }
    assert!(tried >= SIGN_INS.burst);
    // the right one too, or guessing would go on
    while bench.app.limits.sign_in(NOWHERE).is_ok() {}
    assert_eq!(sign_in(&bench.sender.token), 429);
    // who is signed in already goes on, and other limits are others
    let page =
        Request::get("/orders").header("cookie", format!("__Host-tegata={}", bench.sender.token));
    assert_eq!(
        bench.call(page.body(Body::empty()).unwrap()).status,
        StatusCode::OK
    );
    assert_eq!(bench.app.limits.code(NOWHERE), Ok(()));
}

#[test]
pub(crate) fn a_holder_orders_so_often_to_one_recipient() {
    let bench = Bench::new();
    let post = |token: &str, body: serde_json::Value| {
        bench.post("/v1/orders", token, "key", body.to_string())
    };
    let to =
        |email: &str| json!({ "recipient_email": email, "amount_minor": 1, "currency": "JPY" });
    let token = &bench.sender.token;
    let mut tried = 0;
    let refused = loop {
        let answer = post(token, to("one@mail.example"));
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        tried += 1;
        assert!(tried < ORDERS.burst, "the limit of the holder comes later");
    };
    assert!(tried >= ORDERS_TO_ONE.burst);
    assert!((1..=2).contains(&wait_of(&refused)));
    // another recipient, another sender
    let other = post(token, to("two@mail.example"));
    assert_eq!(other.json()["code"], "idempotency-conflict");
    let other = post(&bench.recipient.token, to("one@mail.example"));
    assert_eq!(other.json()["code"], "recipient-unknown");
}

#[test]
pub(crate) fn a_card_that_a_stranger_names_is_not_locked_out() {
    let mut bench = with(|app| app.settings.trusted_hops = 1);
    let id = bench.order("one");
    // the caller of the bench, and what its proxy says
    while bench.app.limits.opening(NOWHERE, UID).is_ok() {}
    assert!(bench.run(&id).is_err());
    let first = bench.requests[0].clone();
    wait_of(&exchange(&bench, "", first.clone()));
    let elsewhere = exchange(&bench, "203.0.113.9", first);
    assert_eq!(elsewhere.status, StatusCode::OK);
    assert_eq!(bench.status_of(&id), "open");
    bench.assert_balanced();
}
