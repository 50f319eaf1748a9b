//! The life of an order, from its placing to its end, over HTTP.

use crate::bench::{Bench, FUNDS, Person, START_S};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use guest_logic::Failure;
use issuer::jobs::{expiry, outbox};
use mailer::Transport;
use program::{RawProgram, TrustedKey};
use serde_json::json;
use wire::{
    descriptor::Descriptor,
    exchange::{Refusal, Reply},
    receipt::Receipt,
};

#[test]
pub(crate) fn an_order_is_credited_once_and_its_receipt_is_kept() {
    let mut bench = Bench::new();
    let id = bench.order("a");
    assert_eq!(bench.balance(bench.sender.id), FUNDS - 2_500);
    let bytes = bench.run(&id).unwrap();
    assert_eq!(bench.requests.len(), 4);
    assert_eq!(bench.status_of(&id), "credited");
    assert_eq!(bench.chip.balances()[0].2, 2_500);

    let descriptor = bench.get("/.well-known/tegata-issuer", "").body;
    let descriptor = Descriptor::verify_first_contact(&descriptor).unwrap();
    let receipt = Receipt::verify(&bytes, &descriptor.keys).unwrap();
    assert_eq!(
        (receipt.amount.minor(), receipt.sender.as_str()),
        (2_500, "Aiko Sato")
    );

    assert_eq!(bench.run(&id).unwrap(), bytes);
    assert_eq!(bench.chip.balances()[0].2, 2_500);
    bench.assert_balanced();
}

#[test]
pub(crate) fn a_server_restarted_between_any_two_exchanges_credits_once() {
    let mut bench = Bench::new();
    bench.restarts = true;
    let id = bench.order("a");
    bench.run(&id).unwrap();
    assert_eq!(bench.chip.balances()[0].2, 2_500);
    bench.assert_balanced();
}

#[test]
pub(crate) fn a_clock_set_back_does_not_make_a_ticket_live_longer() {
    let mut bench = Bench::new();
    let id = bench.order("a");
    bench.run(&id).unwrap();
    let proves_key = bench.requests[1].clone();
    let answer = bench.exchange(proves_key.clone());
    assert!(matches!(Reply::decode(&answer.body), Ok(Reply::Step(_))));
    bench.clock.set_s(START_S + 1_000);
    bench.order("later");
    bench.clock.set_s(START_S);
    let answer = bench.exchange(proves_key);
    let reply = Reply::decode(&answer.body).unwrap();
    assert_eq!(reply, Reply::Refusal(Refusal::TicketExpired));
}

#[test]
pub(crate) fn every_request_may_come_twice() {
    let mut bench = Bench::new();
    let id = bench.order("a");
    let receipt = bench.run(&id).unwrap();
    let proof = bench.requests.last().cloned().unwrap();
    for request in bench.requests.clone() {
        Reply::decode(&bench.exchange(request).body).unwrap();
    }
    let again = Reply::decode(&bench.exchange(proof).body).unwrap();
    assert_eq!(again, Reply::Receipt(receipt));
    assert_eq!(bench.chip.balances()[0].2, 2_500);
    bench.assert_balanced();
}

#[test]
pub(crate) fn every_request_may_come_twice_at_once() {
    let mut bench = Bench::new();
    bench.twice = true;
    let id = bench.order("a");
    bench.run(&id).unwrap();
    assert_eq!(bench.requests.len(), 4);
    assert_eq!(bench.chip.balances()[0].2, 2_500);
    bench.assert_balanced();
}

#[test]
pub(crate) fn a_card_pulled_at_the_commit_is_settled_at_its_next_contact() {
    for after in [false, true] {
        let mut bench = Bench::new();
        let id = bench.order("a");
        if after {
            bench.chip.lose_answer_after_commit();
        } else {
            bench.chip.stop_before_commit();
        }
        assert!(matches!(
            bench.run(&id),
            Err(Failure::Refused | Failure::Reader)
        ));
        assert_eq!(bench.status_of(&id), "commit-sent");
        bench.assert_balanced();
        bench.run(&id).unwrap();
        assert_eq!(bench.chip.balances()[0].2, 2_500);
        assert_eq!(bench.status_of(&id), "credited");
        bench.assert_balanced();
    }
}

#[test]
pub(crate) fn the_same_key_and_order_is_one_order() {
    let bench = Bench::new();
    let id = bench.order("same");
    assert_eq!(bench.order("same"), id);
    assert_ne!(bench.order("other"), id);
    assert_eq!(bench.balance(bench.sender.id), FUNDS - 5_000);
}

#[test]
pub(crate) fn a_cancelled_order_is_returned_and_can_not_be_redeemed() {
    let mut bench = Bench::new();
    let id = bench.order("a");
    let cancel = format!("/v1/orders/{id}/cancel");
    for _ in 0..2 {
        let answer = bench.post(&cancel, &bench.sender.token, "c", String::new());
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["status"], "cancelled");
    }
    assert_eq!(bench.balance(bench.sender.id), FUNDS);
    assert_eq!(bench.run(&id), Err(Failure::Refused));
    assert_eq!(bench.chip.balances()[0].2, 0);
    bench.assert_balanced();
}

#[test]
pub(crate) fn a_cancel_in_flight_is_noted_and_the_card_decides() {
    let mut bench = Bench::new();
    let id = bench.order("a");
    bench.chip.stop_before_commit();
    assert!(bench.run(&id).is_err());
    let cancel = format!("/v1/orders/{id}/cancel");
    let answer = bench.post(&cancel, &bench.sender.token, "c", String::new());
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(bench.run(&id), Err(Failure::Refused));
    assert_eq!(bench.status_of(&id), "cancelled");
    assert_eq!(bench.balance(bench.sender.id), FUNDS);
}

#[test]
pub(crate) fn what_expired_is_returned_by_the_sweep_once() {
    let mut bench = Bench::new();
    let mut body = bench.order_body();
    body["expires_in_s"] = json!(60);
    let answer = bench.post("/v1/orders", &bench.sender.token, "a", body.to_string());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    bench.clock.set_s(START_S + 59);
    assert_eq!(
        bench.runtime.block_on(expiry::sweep(&bench.app)).unwrap(),
        0
    );
    bench.clock.set_s(START_S + 60);
    assert_eq!(
        bench.runtime.block_on(expiry::sweep(&bench.app)).unwrap(),
        1
    );
    assert_eq!(
        bench.runtime.block_on(expiry::sweep(&bench.app)).unwrap(),
        0
    );
    assert_eq!(bench.status_of(&id), "expired");
    assert_eq!(bench.balance(bench.sender.id), FUNDS);
    assert_eq!(bench.run(&id), Err(Failure::Refused));
    bench.assert_balanced();
}

#[test]
pub(crate) fn the_claim_code_of_the_mail_gives_the_verified_program_until_the_end() {
    let mut bench = Bench::new();
    let id = bench.order("a");
    let mails = bench.dir.path().join("mails");
    let transport = Transport::directory(&mails).unwrap();
    assert_eq!(
        bench
            .runtime
            .block_on(outbox::drain(&bench.app, &transport))
            .unwrap(),
        1
    );
    assert_eq!(
        bench
            .runtime
            .block_on(outbox::drain(&bench.app, &transport))
            .unwrap(),
        0
    );
    let answer = bench.get(&format!("/v1/orders/{id}"), &bench.sender.token);
    assert_eq!(answer.json()["mail"], "sent");
    let mail = std::fs::read_dir(&mails)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mail = std::fs::read_to_string(mail).unwrap();
    let code = bench.app.office.keys.claim_code(id.parse().unwrap(), 0);
    assert!(mail.contains(&code));

    let claim = || {
        let body = json!({ "claim_code": code }).to_string();
        bench.post("/v1/claim", "", "", body)
    };
    let answer = claim();
    assert_eq!(answer.headers[header::CONTENT_TYPE], program::MEDIA_TYPE);
    assert_eq!(claim().body, answer.body);
    let descriptor = bench.get("/.well-known/tegata-issuer", "").body;
    let descriptor = Descriptor::verify_first_contact(&descriptor).unwrap();
    let keys: Vec<_> = descriptor
        .keys
        .iter()
        .map(|key| TrustedKey::new("money.example", key))
        .collect();
    let now = u64::try_from(START_S).unwrap();
    let raw = RawProgram::new(answer.body).unwrap();
    let verified = program::verify(raw, &keys, now).unwrap();
    assert_eq!(verified.order().amount.minor(), 2_500);

    bench.run(&id).unwrap();
    let body = json!({ "claim_code": code }).to_string();
    let answer = bench.post("/v1/claim", "", "", body);
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[test]
pub(crate) fn the_mail_of_a_cancelled_order_is_not_sent() {
    let bench = Bench::new();
    let id = bench.order("a");
    bench.post(
        &format!("/v1/orders/{id}/cancel"),
        &bench.sender.token,
        "c",
        String::new(),
    );
    let transport = Transport::directory(&bench.dir.path().join("mails")).unwrap();
    assert_eq!(
        bench
            .runtime
            .block_on(outbox::drain(&bench.app, &transport))
            .unwrap(),
        0
    );
    let answer = bench.get(&format!("/v1/orders/{id}"), &bench.sender.token);
    assert_eq!(answer.json()["mail"], "failed");
}

#[test]
pub(crate) fn a_holder_over_the_limit_of_orders_is_refused_and_the_key_stays_free() {
    let mut bench = Bench::new();
    let post = |bench: &Bench, person: &Person, key: &str| {
        bench.post(
            "/v1/orders",
            &person.token,
            key,
            bench.order_body().to_string(),
        )
    };
    // repeats count: they come faster than one a second
    let repeat = || post(&bench, &bench.sender, "a").status;
    assert!((0..10 * issuer::limit::ORDERS.burst).any(|_| repeat() != StatusCode::CREATED));
    let spend = |bench: &Bench| while bench.app.limits.order(bench.sender.id).is_ok() {};
    spend(&bench);
    let answer = post(&bench, &bench.sender, "b");
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.json()["code"], "rate-limited");
    for path in ["/orders/confirm", "/orders"] {
        let form = format!("key=page-key&card={}&amount=2500", bench.number);
        let request = Request::post(path)
            .header(
                header::COOKIE,
                format!("__Host-tegata={}", bench.sender.token),
            )
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        spend(&bench);
        let answer = bench.call(request.body(Body::from(form)).unwrap());
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        let html = String::from_utf8(answer.body).unwrap();
        assert!(html.contains("page-key"), "{path}");
    }
    // another holder has a limit of his own
    let answer = post(&bench, &bench.recipient, "b");
    assert_eq!(answer.json()["code"], "self-remittance");
    bench.restart();
    let answer = post(&bench, &bench.sender, "b");
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[test]
pub(crate) fn orders_are_listed_newest_first_in_pages() {
    let bench = Bench::new();
    let mut placed = Vec::new();
    for at in 0..=issuer::http::orders::list::PAGE_LEN {
        bench.clock.set_s(START_S + i64::from(at));
        let mut body = bench.order_body();
        body["amount_minor"] = json!(1);
        let key = format!("k{at}");
        let answer = bench.post("/v1/orders", &bench.sender.token, &key, body.to_string());
        placed.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    placed.reverse();
    let first = bench.get("/v1/orders", &bench.sender.token);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(
        first.headers[header::LINK],
        format!("</v1/orders?cursor={next}>; rel=\"next\"")
    );
    let second = bench.get(&format!("/v1/orders?cursor={next}"), &bench.sender.token);
    assert!(second.json()["next"].is_null());
    let ids: Vec<_> = [first.json(), second.json()]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap().clone())
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, placed);
    let others = bench.get("/v1/orders", &bench.recipient.token);
    assert_eq!(others.json()["items"], json!([]));
}

#[test]
pub(crate) fn a_card_in_use_is_not_issued_again() {
    let mut bench = Bench::new();
    let order = issuer::issuing::Order {
        holder: bench.sender.id,
        number: issuer::issuing::NewNumber::Derived,
        value_max: 1_000,
    };
    let mut transmit = |apdu: &[u8]| Ok(bench.chip.transmit(apdu).answer);
    let issue = issuer::issuing::issue(&bench.app.office, &mut transmit, order);
    let error = bench.runtime.block_on(issue).unwrap_err();
    assert!(error.to_string().contains("issued already"));
}

#[test]
pub(crate) fn the_same_issue_again_gives_the_same_number_and_another_one_none() {
    let bench = Bench::new();
    let mut chip = card_sim::Card::new([4, 8, 8, 8, 8, 8, 8], [9; 32]);
    let mut issue = |value_max| {
        let order = issuer::issuing::Order {
            holder: bench.recipient.id,
            number: issuer::issuing::NewNumber::Derived,
            value_max,
        };
        chip.reset();
        let mut transmit = |apdu: &[u8]| Ok(chip.transmit(apdu).answer);
        let issue = issuer::issuing::issue(&bench.app.office, &mut transmit, order);
        bench.runtime.block_on(issue)
    };
    let first = issue(1_000).unwrap();
    let again = issue(1_000).unwrap();
    assert_eq!(
        (again.card, again.number_text()),
        (first.card, first.number_text())
    );
    assert!(issue(2_000).is_err());
}

#[test]
pub(crate) fn an_issue_cut_off_at_any_command_is_finished_by_the_next_one() {
    let bench = Bench::new();
    let uid = [4, 7, 7, 7, 7, 7, 7];
    let mut chip = card_sim::Card::new(uid, [9; 32]);
    let holder = bench.recipient.id;
    for commands in 1.. {
        assert!(commands < 100, "the issue never ends");
        chip.reset();
        let mut sent = 0;
        let mut transmit = |apdu: &[u8]| {
            sent += 1;
            anyhow::ensure!(sent <= commands, "removed");
            Ok(chip.transmit(apdu).answer)
        };
        let number = issuer::issuing::NewNumber::Derived;
        let order = issuer::issuing::Order {
            holder,
            number,
            value_max: 1_000,
        };
        let issue = issuer::issuing::issue(&bench.app.office, &mut transmit, order);
        if bench.runtime.block_on(issue).is_ok() {
            break;
        }
    }
    let card = bench
        .runtime
        .block_on(bench.app.office.store.card_by_uid(ledger::Uid(uid)));
    assert_eq!(card.unwrap().unwrap().status, ledger::CardStatus::Active);
}
