//! Orders that must not be taken, and orders that must be taken once.

use crate::{AMOUNT, Answer, Office, assert_problem, send};
use anyhow::{Context, Result, anyhow};
use serde_json::json;
use std::collections::BTreeSet;
use tests::{
    processes::run,
    world::{SENDER_START, text},
};

/// Most bytes of a JSON body and of an exchange (docs/server.md).
const BODY_LEN_MAX: usize = 4_096;

#[test]
fn an_order_that_breaks_a_rule_has_its_own_problem_and_moves_nothing() -> Result<()> {
    let office = Office::new()?;
    // One digit off: the check digit finds it.
    let digits = office.world.number.clone();
    let (rest, last) = digits.split_at(digits.len() - 1);
    let typo = format!("{rest}{}", (last.parse::<u8>()? + 1) % 10);
    let cases = [
        ("amount_minor", json!(0), "amount-not-positive"),
        ("amount_minor", json!(-2_500), "amount-not-positive"),
        ("amount_minor", json!(i64::MIN), "amount-not-positive"),
        ("amount_minor", json!(1_000_001), "amount-over-limit"),
        ("amount_minor", json!(i64::MAX), "amount-over-limit"),
        ("amount_minor", json!(0.5), "amount-exponent"),
        ("amount_minor", json!(2_500.0), "amount-exponent"),
        (
            "amount_minor",
            json!(SENDER_START + 1),
            "insufficient-funds",
        ),
        ("currency", json!("USD"), "currency-unknown"),
        ("currency", json!("jpy"), "currency-unknown"),
        ("recipient_card", json!(typo), "card-number-malformed"),
        ("recipient_card", json!(""), "card-number-malformed"),
        ("recipient_card", json!("4539148803436467"), "card-unknown"),
        ("note", json!("n".repeat(141)), "note-too-long"),
        ("expires_in_s", json!(0), "expiry-out-of-range"),
        ("expires_in_s", json!(31_622_401), "expiry-out-of-range"),
    ];
    for (number, (member, value, code)) in cases.into_iter().enumerate() {
        let mut order = office.order();
        order[member] = value;
        let what = order.to_string();
        let answer = office.place(&format!("rule-{number}"), what.clone())?;
        assert_problem(&what, &answer, 422, code);
    }
    let own = office
        .post("/v1/orders")
        .bearer_auth(&office.world.hanako.token);
    let own = own
        .header("idempotency-key", "own")
        .body(office.order().to_string());
    assert_problem("own card", &send(own)?, 422, "self-remittance");
    assert_eq!(office.orders()?, 0);
    office.in_escrow(0)
}

#[test]
fn a_blocked_card_gets_no_orders() -> Result<()> {
    let office = Office::new()?;
    let cards = office.world.admin(&["card", "list"])?;
    let card = text(&cards["cards"][0], "card")?;
    office.world.admin(&["card", "block", &card])?;
    let answer = office.place("blocked", office.order().to_string())?;
    assert_problem("blocked", &answer, 422, "card-blocked");
    office.in_escrow(0)
}

#[test]
fn bodies_that_are_no_orders_are_refused_before_anything_is_looked_up() -> Result<()> {
    let office = Office::new()?;
    let order = office.order().to_string();
    let exactly = order.clone() + &" ".repeat(BODY_LEN_MAX - order.len());
    let with_extra = order.replacen('{', "{\"extra\":1,", 1);
    let huge = order.replace("2500", "99999999999999999999999");
    let deep = "[".repeat(BODY_LEN_MAX);
    for (what, body, status, code) in [
        ("nothing", String::new(), 400, "body-malformed"),
        ("half", order[..40].to_owned(), 400, "body-malformed"),
        ("a list", "[]".to_owned(), 400, "body-malformed"),
        ("an unknown member", with_extra, 400, "body-malformed"),
        (
            "more than fits",
            exactly.clone() + " ",
            413,
            "body-too-large",
        ),
        (
            "half a megabyte",
            "x".repeat(1 << 19),
            413,
            "body-too-large",
        ),
        ("deep nesting", deep, 400, "body-malformed"),
        (
            "text",
            order.replace("2500", "\"2500\""),
            400,
            "body-malformed",
        ),
        (
            "a line break",
            order.replacen('{', "{\"note\":\"a\\r\\nBcc: x@y.example\",", 1),
            400,
            "body-malformed",
        ),
    ] {
        let answer = office.place(&what.replace(' ', "-"), body)?;
        assert_problem(what, &answer, status, code);
    }
    // Beyond every integer: a number it is, an amount it is not.
    let answer = office.place("huge", huge)?;
    assert!([400, 422].contains(&answer.status), "{answer:?}");
    assert_eq!(office.orders()?, 0);
    let answer = office.place("exactly", exactly)?;
    assert_eq!(answer.status, 201, "{answer:?}");
    office.in_escrow(AMOUNT)
}

#[test]
fn only_a_holder_orders_and_sees_his_own_orders_only() -> Result<()> {
    let office = Office::new()?;
    let token = office.world.alice.token.as_str();
    let order = office.order().to_string();
    let longer = format!("{token}A");
    for (what, authorization) in [
        ("none", None),
        ("empty", Some("Bearer ".to_owned())),
        ("another scheme", Some(format!("Basic {token}"))),
        ("longer", Some(format!("Bearer {longer}"))),
        ("cut", Some(format!("Bearer {}", &token[..token.len() - 1]))),
    ] {
        let mut request = office.post("/v1/orders").header("idempotency-key", "key");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = send(request.body(order.clone()))?;
        assert_problem(what, &answer, 401, "unauthorized");
    }
    let placed = office.place("mine", order)?;
    assert_eq!(placed.status, 201);
    let path = format!("/v1/orders/{}", text(&placed.body, "id")?);
    let other = office.world.hanako.token.as_str();
    let seen = office.get(other, &path)?;
    assert_problem("another's", &seen, 404, "order-unknown");
    let cancel = office.post(&format!("{path}/cancel")).bearer_auth(other);
    let cancel = send(cancel.header("idempotency-key", "x").body("{}"))?;
    assert_problem("another's", &cancel, 404, "order-unknown");
    assert_eq!(office.get(other, "/v1/orders")?.body["items"], json!([]));
    assert_eq!(office.get(token, &path)?.body["status"], "open");
    office.in_escrow(AMOUNT)
}

#[test]
fn a_key_stands_for_one_order_for_ever() -> Result<()> {
    let office = Office::new()?;
    let order = office.order();
    let keyless = office
        .post("/v1/orders")
        .bearer_auth(&office.world.alice.token);
    let keyless = send(keyless.body(order.to_string()))?;
    assert_problem("no key", &keyless, 400, "idempotency-key-missing");
    let first = office.place("key", order.to_string())?;
    let again = office.place("key", order.to_string())?;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body["id"], again.body["id"]);
    // The same order in other bytes is the same order.
    let spaced = serde_json::to_string_pretty(&order)?;
    assert_eq!(office.place("key", spaced)?.body["id"], first.body["id"]);
    let mut other = order.clone();
    other["amount_minor"] = json!(AMOUNT + 1);
    let conflict = office.place("key", other.to_string())?;
    assert_problem("other body", &conflict, 422, "idempotency-conflict");
    // Another holder's key of the same name is another key.
    let hers = office
        .post("/v1/orders")
        .bearer_auth(&office.world.hanako.token);
    let hers = send(
        hers.header("idempotency-key", "key")
            .body(order.to_string()),
    )?;
    assert_problem("hers", &hers, 422, "self-remittance");
    assert_eq!(office.orders()?, 1);
    office.in_escrow(AMOUNT)
}

#[test]
fn fifty_equal_orders_at_once_are_one_order() -> Result<()> {
    let office = Office::new()?;
    let order = office.order().to_string();
    let answers: Vec<Result<Answer>> = std::thread::scope(|scope| {
        let place = || office.place("same", order.clone());
        let callers: Vec<_> = (0..50).map(|_| scope.spawn(place)).collect();
        let joined = callers.into_iter().map(|caller| caller.join());
        joined
            .map(|answer| answer.map_err(|_| anyhow!("a caller panicked"))?)
            .collect()
    });
    let mut ids = BTreeSet::new();
    for answer in answers {
        let answer = answer?;
        assert_eq!(answer.status, 201, "{answer:?}");
        ids.insert(text(&answer.body, "id")?);
    }
    assert_eq!(ids.len(), 1, "one order");
    assert_eq!(office.orders()?, 1);
    office.world.mail(1)?;
    office.in_escrow(AMOUNT)
}

#[test]
fn exchanges_that_are_none_are_problems() -> Result<()> {
    let office = Office::new()?;
    let url = format!("{}/v1/exchange", office.server.base);
    let exchange = |body: Vec<u8>, media_type: &str| {
        let request = office.client.post(&url).header("content-type", media_type);
        send(request.body(body))
    };
    let cbor = wire::exchange::MEDIA_TYPE;
    for (what, body) in [
        ("nothing", vec![]),
        ("not CBOR", vec![0xFF]),
        ("another document", vec![0x83, 1, 2, 3]),
        ("a list that never ends", vec![0x9F; 64]),
        ("4 GiB announced", vec![0x5A, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("the longest", vec![0x80; BODY_LEN_MAX]),
    ] {
        let answer = exchange(body, cbor)?;
        assert_problem(what, &answer, 400, "body-malformed");
    }
    let longer = exchange(vec![0x80; BODY_LEN_MAX + 1], cbor)?;
    assert_problem("one byte more", &longer, 413, "body-too-large");
    let longest = exchange(vec![0x80; 1 << 19], cbor)?;
    assert_problem("half a megabyte", &longest, 413, "body-too-large");
    let plain = exchange(vec![0x80], "application/cbor")?;
    assert_problem("another type", &plain, 415, "media-type-unsupported");
    office.in_escrow(0)
}

#[test]
fn names_and_addresses_with_line_breaks_never_reach_a_mail() -> Result<()> {
    let office = Office::new()?;
    let data = office.world.data.as_str();
    let holders = |world: &tests::world::World| -> Result<usize> {
        let list = world.admin(&["holder", "list"])?;
        Ok(list["holders"].as_array().context("holders")?.len())
    };
    let before = holders(&office.world)?;
    for (name, email) in [
        (
            "Eve\r\nBcc: all@demo.tegata.example",
            "eve@demo.tegata.example",
        ),
        ("Eve\nX: y", "eve@demo.tegata.example"),
        ("Eve\u{85}", "eve@demo.tegata.example"),
        ("", "eve@demo.tegata.example"),
        (
            "Eve",
            "eve@demo.tegata.example\r\nBcc: all@demo.tegata.example",
        ),
        ("Eve", "eve@demo.tegata.example,all@demo.tegata.example"),
    ] {
        let args = [
            "holder", "add", "--data", data, "--name", name, "--email", email,
        ];
        let output = run("tegata-server", &args)?;
        assert_eq!(output.status.code(), Some(1), "{name:?} {email:?}");
        assert!(output.stdout.is_empty(), "no token was made");
    }
    assert_eq!(holders(&office.world)?, before);
    Ok(())
}
