//! The examples of `docs/api.md`, carried out as they stand there, in their order.

use crate::bench::{Answer, Bench};
use axum::{body::Body, http::Request};
use serde_json::Value;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../../docs/api.md");

/// The card number that the page writes.
const CARD: &str = "9000 0012 3456 7897";

/// The words of a shell command: quotes taken off, `\` at a line's end, variables only where a shell
/// would put them in.
fn words(command: &str, variables: &[(&str, String)]) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = command;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (c, quote) {
            ('\\', None) if rest.starts_with('\n') => rest = &rest[1..],
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (end, Some(begun)) if end == begun => quote = None,
            ('$', None | Some('"')) => {
                let (name, value) = variables.iter().find(|v| rest.starts_with(v.0)).unwrap();
                rest = &rest[name.len()..];
                word.get_or_insert_default().push_str(value);
            }
            (blank, None) if blank.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "{command}");
    words.extend(word);
    words
}

/// What a `curl` command sends.
fn request(command: &str, variables: &[(&str, String)]) -> Request<Body> {
    let mut words = words(command, variables).into_iter();
    assert_eq!(words.next().as_deref(), Some("curl"));
    let (mut method, mut body, mut url) = (None, String::new(), None);
    let mut headers = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => method = words.next(),
            "-d" => body = words.next().unwrap().replace(CARD, &variables[0].1),
            "-H" => headers.push(words.next().unwrap()),
            _ => url = Some(word),
        }
    }
    let method = method.unwrap_or_else(|| if body.is_empty() { "GET" } else { "POST" }.to_owned());
    let path = url
        .unwrap()
        .strip_prefix("https://money.example")
        .unwrap()
        .to_owned();
    let mut request = Request::builder().method(method.as_str()).uri(path);
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(Body::from(body)).unwrap()
}

/// Holds an answer against what the page shows: status, names of headers, members and their fixed values.
fn compare(command: &str, shown: &str, answer: &Answer) {
    let (head, body) = shown.split_once("\n\n").unwrap_or((shown, ""));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    assert_eq!(answer.status.as_str(), status, "{command}");
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let found = answer.headers[name].to_str().unwrap();
        if name == "Content-Type" {
            assert_eq!(found, value, "{command}");
        }
    }
    if body.trim().is_empty() {
        assert!(answer.body.is_empty(), "{command}");
        return;
    }
    let (shown, found): (Value, Value) = (serde_json::from_str(body).unwrap(), answer.json());
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&shown), keys(&found), "{command}");
    for name in [
        "status",
        "mail",
        "note",
        "amount_minor",
        "code",
        "type",
        "title",
        "detail",
        "pointer",
        "fund_from",
    ] {
        assert_eq!(shown[name], found[name], "{command}: {name}");
    }
}

#[test]
fn the_examples_of_the_page_do_what_it_says() {
    let bench = Bench::new();
    bench.order("older");
    let mut variables = vec![
        ("CARD", bench.number.clone()),
        ("TEGATA", "https://money.example".to_owned()),
        ("TOKEN", bench.sender.token.clone()),
    ];
    let blocks: Vec<(&str, &str)> = PAGE
        .split("\n```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').unwrap())
        .collect();
    let mut carried_out = 0;
    for pair in blocks.windows(2).filter(|pair| pair[0].0 == "sh") {
        let [(_, command), (kind, shown)] = pair else {
            unreachable!("windows of two")
        };
        assert_eq!(*kind, "http", "{command}");
        let answer = bench.call(request(command, &variables));
        compare(command, shown, &answer);
        if let Some(tag) = answer
            .headers
            .get("etag")
            .filter(|_| command.contains("/$ID\""))
        {
            variables.push(("TAG", tag.to_str().unwrap().to_owned()));
        }
        if answer.status.as_u16() == 201 {
            variables.push(("ID", answer.json()["id"].as_str().unwrap().to_owned()));
        }
        carried_out += 1;
    }
    assert_eq!(carried_out, PAGE.matches("\ncurl ").count());
    assert!(carried_out >= 6);
}
