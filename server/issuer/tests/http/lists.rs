//! Lists in pages, and whether what was seen is still so.

use crate::bench::{Answer, Bench};
use axum::http::{StatusCode, header};
use issuer::{
    http::orders::list::{PAGE_LEN, PAGE_LEN_MAX},
    jobs::outbox,
};
use mailer::Transport;
use serde_json::json;
use store::EventId;

fn seen(bench: &Bench, path: &str, tag: &str) -> Answer {
    bench.send("GET", path, &[("if-none-match", tag)], String::new())
}

fn tag(answer: &Answer) -> String {
    answer.headers[header::ETAG].to_str().unwrap().to_owned()
}

fn order(bench: &Bench, key: &str) -> String {
    let mut body = bench.order_body();
    body["amount_minor"] = json!(1);
    let headers = [("idempotency-key", key)];
    let answer = bench.send("POST", "/v1/orders", &headers, body.to_string());
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn ids(page: &Answer) -> Vec<String> {
    let page = page.json();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The address of the next page, as the header names it.
fn next(page: &Answer) -> Option<String> {
    let link = page.headers.get(header::LINK)?.to_str().unwrap();
    let path = link
        .strip_prefix('<')
        .unwrap()
        .strip_suffix(">; rel=\"next\"")
        .unwrap();
    let cursor = page.json()["next"].as_str().unwrap().to_owned();
    assert!(path.contains(&format!("cursor={cursor}")), "{path}");
    Some(path.to_owned())
}

#[test]
pub(crate) fn pages_skip_and_repeat_nothing_while_orders_come_in() {
    /// Orders that come in between two pages.
    const LATE: usize = 5;
    let bench = Bench::new();
    for limit in [1, 2, 3, 7, 100] {
        let begun: Vec<_> = (0..7)
            .map(|n| order(&bench, &format!("{limit}-{n}")))
            .collect();
        let mut path = format!("/v1/orders?limit={limit}");
        let mut seen = Vec::new();
        for page_number in 0.. {
            let page = bench.get(&path, &bench.sender.token);
            let found = ids(&page);
            assert!(found.len() <= limit && found.is_sorted_by(|a, b| a > b));
            seen.extend(found);
            let Some(next) = next(&page) else {
                break;
            };
            path = next;
            if page_number < LATE {
                order(&bench, &format!("{limit}-late-{page_number}"));
            }
        }
        // newest first over all pages, so nothing twice
        assert!(seen.is_sorted_by(|a, b| a > b), "{limit}: {seen:?}");
        for id in begun {
            assert!(seen.contains(&id), "{limit}: {id} is on no page");
        }
    }
}

#[test]
pub(crate) fn a_page_has_as_many_orders_as_was_asked_for() {
    let bench = Bench::new();
    let token = &bench.sender.token;
    for n in 0..=PAGE_LEN {
        order(&bench, &n.to_string());
    }
    let count = |query: &str| {
        let page = bench.get(&format!("/v1/orders{query}"), token);
        (
            page.status.as_u16(),
            page.status
                .is_success()
                .then(|| (ids(&page).len(), next(&page).is_some())),
        )
    };
    let all = usize::try_from(PAGE_LEN).unwrap() + 1;
    assert_eq!(count(""), (200, Some((all - 1, true))));
    assert_eq!(count("?limit=1"), (200, Some((1, true))));
    assert_eq!(count(&format!("?limit={all}")), (200, Some((all, false))));
    assert_eq!(
        count(&format!("?limit={PAGE_LEN_MAX}")),
        (200, Some((all, false)))
    );
    for query in [
        "?limit=0",
        "?limit=101",
        "?limit=-1",
        "?limit=x",
        "?limit=",
        "?limit=1&limit=2",
        "?page=2",
        "?cursor=",
    ] {
        assert_eq!(count(query), (400, None), "{query}");
    }
    assert_eq!(PAGE_LEN_MAX, 100);
}

#[test]
pub(crate) fn what_was_seen_is_not_sent_again_until_it_changes() {
    let mut bench = Bench::new();
    let id = bench.order("one");
    for path in [format!("/v1/orders/{id}"), "/v1/orders".to_owned()] {
        let get = |bench: &Bench, tag: &str| seen(bench, &path, tag);
        let first = get(&bench, "\"other\"");
        assert_eq!(first.status, StatusCode::OK);
        let seen = tag(&first);
        let again = get(&bench, &seen);
        assert_eq!(
            (again.status, again.body.len()),
            (StatusCode::NOT_MODIFIED, 0)
        );
        assert_eq!(tag(&again), seen);
        bench.restart();
        assert_eq!(get(&bench, &seen).status, StatusCode::NOT_MODIFIED);
        // the first round changes the mail, the second the order
        let transport = Transport::directory(&bench.dir.path().join("mails")).unwrap();
        let sent = bench
            .runtime
            .block_on(outbox::drain(&bench.app, &transport));
        if sent.unwrap() == 0 {
            bench.run(&id).unwrap();
        }
        let changed = get(&bench, &seen);
        assert_eq!(changed.status, StatusCode::OK);
        assert_ne!(tag(&changed), seen);
        assert_ne!(changed.body, first.body);
    }
}

#[test]
pub(crate) fn endpoints_and_dead_letters_that_were_seen_are_not_sent_again_until_they_change() {
    let bench = Bench::new();
    let body = json!({ "url": "https://shop.example/" }).to_string();
    let made = bench.post("/v1/webhooks", &bench.sender.token, "", body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let one = format!("/v1/webhooks/{id}");
    let paths = ["/v1/webhooks", &one, &format!("{one}/dead")];
    let tags = paths.map(|path| {
        let first = seen(&bench, path, "\"other\"");
        assert_eq!(first.status, StatusCode::OK, "{path}");
        let again = seen(&bench, path, &tag(&first));
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}");
        assert!(again.body.is_empty() && tag(&again) == tag(&first));
        tag(&first)
    });
    bench.order("one");
    bench.dead_letter(&id, EventId([7; 16]));
    for (path, before) in paths.into_iter().zip(tags) {
        let changed = seen(&bench, path, &before);
        assert_eq!(changed.status, StatusCode::OK, "{path}");
        assert_ne!(tag(&changed), before, "{path}");
    }
}
