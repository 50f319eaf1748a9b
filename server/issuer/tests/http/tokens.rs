//! Which token opens which endpoint, and for how long.

use crate::bench::{Answer, Bench, START_S};
use crate::webhooks;
use axum::http::StatusCode;
use issuer::{
    app::{DAY_S, new_token},
    clock::{SystemRandom, id_parts},
};
use ledger::{Scope, Scopes, Timestamp, TokenId};
use serde_json::json;
use store::NewToken;

/// A token of the sender.
pub(crate) fn token(bench: &Bench, scopes: Scopes, expires: Option<i64>) -> (TokenId, String) {
    let office = &bench.app.office;
    let now = office.clock.now();
    let (ms, bits) = id_parts(now, &SystemRandom);
    let (text, hash) = new_token(&SystemRandom);
    let token = NewToken {
        id: TokenId::new(ms, bits),
        holder: bench.sender.id,
        label: "till".to_owned(),
        hash,
        scopes,
        expires: expires.map(Timestamp::from_unix_s),
        now,
    };
    let id = token.id;
    bench
        .runtime
        .block_on(office.store.add_token(token))
        .unwrap();
    (id, text.to_string())
}

type Call = fn(&Bench, &str) -> Answer;

/// An id of nobody's.
const NOBODYS: &str = "0192f3a1-b2c3-7fff-bfff-ffffffffffff";

/// Each endpoint that wants a token, the scope it needs, and its answer to whoever has it.
const CALLS: &[(&str, Scope, u16, Call)] = &[
    ("list", Scope::OrdersRead, 200, |bench, token| {
        bench.get("/v1/orders", token)
    }),
    ("read", Scope::OrdersRead, 404, |bench, token| {
        bench.get(&format!("/v1/orders/{NOBODYS}"), token)
    }),
    ("program", Scope::OrdersWrite, 404, |bench, token| {
        bench.get(&format!("/v1/orders/{NOBODYS}/program"), token)
    }),
    ("create", Scope::OrdersWrite, 201, |bench, token| {
        let body = bench.order_body().to_string();
        bench.post("/v1/orders", token, "scopes", body)
    }),
    ("cancel", Scope::OrdersWrite, 404, |bench, token| {
        bench.post(
            &format!("/v1/orders/{NOBODYS}/cancel"),
            token,
            "c",
            String::new(),
        )
    }),
    ("webhooks", Scope::WebhooksManage, 200, |bench, token| {
        bench.get("/v1/webhooks", token)
    }),
    ("webhook", Scope::WebhooksManage, 404, |bench, token| {
        bench.get(&format!("/v1/webhooks/{NOBODYS}"), token)
    }),
    ("register", Scope::WebhooksManage, 422, |bench, token| {
        bench.post(
            "/v1/webhooks",
            token,
            "",
            json!({ "url": "http://a" }).to_string(),
        )
    }),
    ("forget", Scope::WebhooksManage, 404, |bench, token| {
        webhooks::delete(bench, &format!("/v1/webhooks/{NOBODYS}"), token)
    }),
    ("secret", Scope::WebhooksManage, 404, |bench, token| {
        bench.post(
            &format!("/v1/webhooks/{NOBODYS}/secret"),
            token,
            "key",
            String::new(),
        )
    }),
    ("enable", Scope::WebhooksManage, 404, |bench, token| {
        bench.post(
            &format!("/v1/webhooks/{NOBODYS}/enable"),
            token,
            "",
            String::new(),
        )
    }),
    ("dead", Scope::WebhooksManage, 404, |bench, token| {
        bench.get(&format!("/v1/webhooks/{NOBODYS}/dead"), token)
    }),
    ("again", Scope::WebhooksManage, 404, |bench, token| {
        bench.post(
            &format!("/v1/webhooks/{NOBODYS}/dead/evt_0"),
            token,
            "",
            String::new(),
        )
    }),
];

#[test]
pub(crate) fn each_endpoint_asks_for_its_own_scope() {
    let bench = Bench::new();
    for has in Scope::ALL {
        let (_, token) = token(&bench, Scopes::of(&[has]).unwrap(), None);
        for (name, needs, answer, call) in CALLS {
            let found = call(&bench, &token);
            if has == *needs {
                assert_eq!(found.status.as_u16(), *answer, "{name} with {has:?}");
                continue;
            }
            assert_eq!(found.status, StatusCode::FORBIDDEN, "{name} with {has:?}");
            let challenge = &found.headers["www-authenticate"];
            assert_eq!(challenge, "Bearer error=\"insufficient_scope\"");
            let problem = found.json();
            assert_eq!(problem["code"], "scope-missing");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.ends_with(needs.code()), "{detail}");
        }
    }
    let document = serde_json::to_value(issuer::http::openapi::document()).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|item| item.as_object().unwrap().values());
    let closed = operations.filter(|operation| operation["security"].is_array());
    assert_eq!(closed.count(), CALLS.len(), "each endpoint has a line");
    // all of them, and what a holder begins with
    let (_, all) = token(&bench, Scopes::of(&Scope::ALL).unwrap(), None);
    for token in [&all, &bench.sender.token] {
        for (name, _, answer, call) in CALLS {
            assert_eq!(call(&bench, token).status.as_u16(), *answer, "{name}");
        }
    }
    bench.assert_balanced();
}

#[test]
pub(crate) fn a_token_opens_nothing_once_it_is_revoked_or_over() {
    let bench = Bench::new();
    let ends = START_S + 60;
    let (_, short) = token(&bench, Scopes::FULL, Some(ends));
    let (id, long) = token(&bench, Scopes::FULL, None);
    let status = |token: &str| bench.get("/v1/orders", token).status.as_u16();
    bench.clock.set_s(ends - 1);
    assert_eq!((status(&short), status(&long)), (200, 200));
    bench.clock.set_s(ends);
    assert_eq!((status(&short), status(&long)), (401, 200));
    let store = &bench.app.office.store;
    let revoked = store.revoke_token(bench.sender.id, id, Timestamp::from_unix_s(ends));
    bench.runtime.block_on(revoked).unwrap();
    // the same server, at once; the one that the holder began with goes on
    assert_eq!((status(&long), status(&bench.sender.token)), (401, 200));
    let listed = bench
        .runtime
        .block_on(store.tokens(bench.sender.id))
        .unwrap();
    let used = listed.iter().find(|row| row.id == id).unwrap().used_day;
    assert_eq!(used, Some(ends / DAY_S));
}

#[test]
pub(crate) fn the_pages_take_a_token_that_may_do_everything_and_no_other() {
    let bench = Bench::new();
    let (_, some) = token(&bench, Scopes::of(&Scope::ALL).unwrap(), None);
    let (_, whole) = token(&bench, Scopes::FULL, None);
    let sign_in = |token: &str| {
        let request = axum::http::Request::post("/sign-in")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(axum::body::Body::from(format!("token={token}")));
        bench.call(request.unwrap()).status.as_u16()
    };
    assert_eq!((sign_in(&some), sign_in(&whole)), (401, 303));
    let cookie = |token: &str| {
        let request = axum::http::Request::get("/orders")
            .header("cookie", format!("__Host-tegata={token}"))
            .body(axum::body::Body::empty());
        bench.call(request.unwrap()).status.as_u16()
    };
    assert_eq!((cookie(&some), cookie(&whole)), (303, 200));
    assert_eq!(json!(Scopes::FULL.codes()), json!(["full"]));
}
