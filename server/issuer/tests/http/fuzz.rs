//! Every operation of the OpenAPI document with anything: answered as the document says, and never by a
//! failure of the server.

use crate::bench::{Answer, Bench};
use axum::{
    body::Body,
    http::{Request, header},
};
use issuer::http::openapi;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};

/// Requests in one run: some dozens for each operation.
const REQUESTS: u32 = 600;

/// Requests until the server is started anew, so that its limits are not all that is met.
const REQUESTS_PER_LIFE: u32 = 15;

/// One request, before it is known what is in the books.
#[derive(Debug, Clone)]
struct Wild {
    operation: usize,
    id: Id,
    query: Option<String>,
    key: Option<u32>,
    headers: Vec<(usize, String)>,
    token: Token,
    typed: bool,
    body: WildBody,
}

#[derive(Debug, Clone, Copy)]
enum Id {
    Ours,
    Unknown,
    Garbage,
}

#[derive(Debug, Clone, Copy)]
enum Token {
    Ours,
    Unknown,
    None,
}

#[derive(Debug, Clone)]
enum WildBody {
    /// What the schema says, with these members replaced.
    Nearly(Vec<(usize, WildValue)>),
    /// Anything.
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone)]
enum WildValue {
    Gone,
    Null,
    Whole(i64),
    Broken(i32),
    Text(String),
    List,
}

impl WildValue {
    fn json(&self) -> Option<Value> {
        match self {
            Self::Gone => None,
            Self::Null => Some(Value::Null),
            Self::Whole(number) => Some(json!(number)),
            Self::Broken(number) => serde_json::from_str(&format!("{number}.125")).ok(),
            Self::Text(text) => Some(json!(text)),
            Self::List => Some(json!([[], {}])),
        }
    }
}

fn value() -> impl Strategy<Value = WildValue> {
    prop_oneof![
        Just(WildValue::Gone),
        Just(WildValue::Null),
        Just(WildValue::List),
        any::<i64>().prop_map(WildValue::Whole),
        (-2_i64..3_000).prop_map(WildValue::Whole),
        any::<i32>().prop_map(WildValue::Broken),
        any::<String>().prop_map(WildValue::Text),
        "[0-9 ]{0,20}".prop_map(WildValue::Text),
        prop_oneof![Just("JPY"), Just("account"), Just("bank"), Just("card")]
            .prop_map(|text| WildValue::Text(text.to_owned())),
    ]
}

fn body() -> impl Strategy<Value = WildBody> {
    prop_oneof![
        4 => vec((any::<usize>(), value()), 0..3).prop_map(WildBody::Nearly),
        1 => vec(any::<u8>(), 0..5_000).prop_map(WildBody::Bytes),
    ]
}

fn wild(operations: usize) -> impl Strategy<Value = Wild> {
    let id = prop_oneof![3 => Just(Id::Ours), 1 => Just(Id::Unknown), 1 => Just(Id::Garbage)];
    let token =
        prop_oneof![6 => Just(Token::Ours), 1 => Just(Token::Unknown), 1 => Just(Token::None)];
    let query = proptest::option::weighted(0.3, "(limit|cursor|x)=[a-z0-9%&=-]{0,12}");
    let header = (0..HEADERS.len(), "[ -~]{0,12}");
    let key = proptest::option::weighted(0.9, any::<u32>());
    let head = (query, key, vec(header, 0..3), token);
    (0..operations, id, head, any::<bool>(), body()).prop_map(
        |(operation, id, (query, key, headers, token), typed, body)| Wild {
            operation,
            id,
            query,
            key,
            headers,
            token,
            typed,
            body,
        },
    )
}

/// Headers that some operation reads.
const HEADERS: [&str; 5] = [
    "idempotency-key",
    "if-match",
    "if-none-match",
    "accept-language",
    "x-forwarded-for",
];

/// An operation of the document.
struct Operation {
    method: String,
    path: String,
    said: Value,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&openapi::written().unwrap()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, said) in item.as_object().unwrap() {
            let (method, path, said) = (method.to_uppercase(), path.clone(), said.clone());
            found.push(Operation { method, path, said });
        }
    }
    found
}

/// A body of each path that a careful caller could send.
fn lawful(bench: &Bench, path: &str) -> Value {
    match path {
        "/v1/claim" => json!({ "claim_code": "ABCD-EFGH-IJKL-MNOP" }),
        "/v1/webhooks" => json!({ "url": "https://shop.example/events" }),
        "/v1/address/verify" => {
            json!({ "email": "ben@mail.example", "code": "ABCD-EFGH-IJKL-MNOP" })
        }
        _ => {
            let mut order = bench.order_body();
            order["amount_minor"] = json!(1);
            order["note"] = json!("x");
            order["expires_in_s"] = json!(60);
            order
        }
    }
}

fn bytes(bench: &Bench, path: &str, body: &WildBody) -> Vec<u8> {
    let replaced = match body {
        WildBody::Bytes(bytes) => return bytes.clone(),
        WildBody::Nearly(replaced) => replaced,
    };
    let mut document = lawful(bench, path);
    for (at, value) in replaced {
        let mut names: Vec<String> = document.as_object().unwrap().keys().cloned().collect();
        names
            .extend(["fund_from", "from_card", "recipient_email", "unheard_of"].map(str::to_owned));
        let name = &names[at % names.len()];
        match value.json() {
            Some(value) => document[name] = value,
            None => drop(document.as_object_mut().unwrap().remove(name)),
        }
    }
    document.to_string().into_bytes()
}

fn send(bench: &Bench, ours: &str, operation: &Operation, wild: &Wild) -> Option<Answer> {
    let id = match wild.id {
        Id::Ours => ours,
        Id::Unknown => "01a3185c-5000-7862-a3a1-9ba671cdd5dc",
        Id::Garbage => "%00..%FF",
    };
    let mut path = operation.path.clone();
    while let Some(begin) = path.find('{') {
        let end = path.find('}').unwrap();
        path.replace_range(begin..=end, id);
    }
    if let Some(query) = &wild.query {
        path = format!("{path}?{query}");
    }
    let mut request = Request::builder()
        .method(operation.method.as_str())
        .uri(path);
    let token = match wild.token {
        Token::Ours => Some(bench.sender.token.as_str()),
        Token::Unknown => Some("tgt_AAAA"),
        Token::None => None,
    };
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let said = operation.said["requestBody"]["content"].as_object();
    let kind = said.and_then(|said| said.keys().next());
    if let Some(kind) = kind.filter(|_| wild.typed || !matches!(wild.body, WildBody::Bytes(_))) {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    if let Some(key) = wild.key {
        request = request.header("idempotency-key", format!("key-{key}"));
    }
    for (name, value) in &wild.headers {
        request = request.header(HEADERS[*name], value);
    }
    let body = bytes(bench, &operation.path, &wild.body);
    // what is no request for the library that writes requests is none for a server
    let request = request.body(Body::from(body)).ok()?;
    Some(bench.call(request))
}

/// Whether the document has this answer of this operation.
fn is_documented(operation: &Operation, answer: &Answer) -> Result<(), String> {
    let status = answer.status.as_u16().to_string();
    let said = &operation.said["responses"][&status];
    if said.is_null() || answer.status.is_server_error() {
        return Err(format!(
            "{status}: {}",
            String::from_utf8_lossy(&answer.body)
        ));
    }
    let kind = answer
        .headers
        .get(header::CONTENT_TYPE)
        .map(|kind| kind.to_str().unwrap());
    let kind = kind.map(|kind| kind.split(';').next().unwrap());
    match kind {
        Some(kind) if said["content"][kind].is_null() => return Err(format!("{status}: {kind}")),
        None if !answer.body.is_empty() => return Err(format!("{status}: no media type")),
        Some(_) | None => {}
    }
    if kind == Some("application/problem+json") {
        let code = answer.json()["code"].as_str().unwrap().to_owned();
        if said["content"]["application/problem+json"]["examples"][&code].is_null() {
            return Err(format!("{status}: {code}"));
        }
    }
    Ok(())
}

#[test]
fn any_request_is_answered_as_the_document_says() {
    let bench = RefCell::new(Bench::new());
    let ours = bench.borrow().order("ours");
    let operations = operations();
    let requests = Cell::new(0_u32);
    let met = RefCell::new(std::collections::BTreeSet::new());
    let config = Config {
        cases: REQUESTS,
        failure_persistence: None,
        ..Config::default()
    };
    for operation in &operations {
        let lawful = Wild {
            operation: 0,
            id: Id::Ours,
            query: None,
            key: Some(0),
            headers: Vec::new(),
            token: Token::Ours,
            typed: true,
            body: WildBody::Nearly(Vec::new()),
        };
        let answer = send(&bench.borrow(), &ours, operation, &lawful).unwrap();
        is_documented(operation, &answer).unwrap();
        met.borrow_mut().insert(answer.status.as_u16());
    }
    let run = TestRunner::new(config).run(&wild(operations.len()), |wild| {
        requests.set(requests.get() + 1);
        if requests.get().is_multiple_of(REQUESTS_PER_LIFE) {
            bench.borrow_mut().restart();
        }
        let operation = &operations[wild.operation];
        let Some(answer) = send(&bench.borrow(), &ours, operation, &wild) else {
            return Ok(());
        };
        met.borrow_mut().insert(answer.status.as_u16());
        is_documented(operation, &answer).map_err(|said| {
            TestCaseError::fail(format!("{} {}: {said}", operation.method, operation.path))
        })
    });
    run.unwrap();
    // each lawful one is there, and what one in some dozens meets
    for status in [200, 201, 400, 401, 404, 415] {
        assert!(met.borrow().contains(&status), "{status} in {met:?}");
    }
    bench.into_inner().assert_balanced();
}
