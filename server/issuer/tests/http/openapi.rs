//! The OpenAPI document: what it says is what is read, written and answered.

use crate::bench::Bench;
use axum::http::StatusCode;
use issuer::http::openapi;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wire::api;

const SNAPSHOT: &str = include_str!("../../../../docs/openapi.json");

/// Problems that no operation has: they say that there is none.
const OF_NO_OPERATION: [api::ProblemCode; 2] = [
    api::ProblemCode::NotFound,
    api::ProblemCode::MethodNotAllowed,
];

fn document() -> Value {
    serde_json::from_str(&openapi::written().unwrap()).unwrap()
}

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((path.clone(), method.clone(), operation));
        }
    }
    found
}

#[test]
fn the_snapshot_is_what_the_code_says() {
    assert!(
        openapi::written().unwrap() == SNAPSHOT,
        "the API has changed: look at what `target/debug/tegata-server openapi > docs/openapi.json` changes"
    );
}

#[test]
fn it_is_served_to_everybody() {
    let bench = Bench::new();
    let answer = bench.get("/v1/openapi.json", "");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.body, SNAPSHOT.as_bytes());
}

/// Collects what `$ref` members point at.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                found.insert(target);
            }
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn it_is_openapi_3_1_and_leads_nowhere_astray() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 5, "{found:?}");
    for target in &found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
    // nothing is described that nothing refers to
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let target = format!("#/components/schemas/{name}");
        assert!(found.contains(target.as_str()), "{name}");
    }
    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    let tags: Vec<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    for (path, method, operation) in operations(&document) {
        let asked = operation["security"].as_array().into_iter().flatten();
        for scheme in asked.flat_map(|asked| asked.as_object().unwrap().keys()) {
            assert!(schemes.contains_key(scheme), "{method} {path}: {scheme}");
        }
        for tag in operation["tags"].as_array().unwrap() {
            assert!(tags.contains(&tag), "{method} {path}: {tag}");
        }
    }
}

#[test]
fn every_operation_says_what_it_takes_and_answers() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(
            ids.insert(operation["operationId"].as_str().expect(&at)),
            "{at}"
        );
        assert!(
            !operation["summary"].as_str().expect(&at).is_empty(),
            "{at}"
        );
        let in_path = path.matches('{').count();
        let parameters = operation["parameters"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let named = parameters
            .iter()
            .filter(|p| p["in"] == "path" && p["required"] == true);
        assert_eq!(named.count(), in_path, "{at}");
        for parameter in parameters {
            assert!(parameter["description"].is_string(), "{at}: {parameter}");
        }
        let takes_body = [
            "/v1/orders",
            "/v1/exchange",
            "/v1/claim",
            "/v1/address/verify",
        ];
        if method == "post" && takes_body.contains(&path.as_str()) {
            assert!(operation["requestBody"]["content"].is_object(), "{at}");
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{at}"
        );
        let closed = operation["security"].is_array();
        assert_eq!(responses.contains_key("401"), closed, "{at}");
        for (status, response) in responses {
            assert!(
                !response["description"].as_str().unwrap().is_empty(),
                "{at} {status}"
            );
        }
    }
    assert!(ids.len() > 12, "{ids:?}");
}

#[test]
fn every_problem_stands_at_its_status_with_an_example() {
    let document = document();
    let mut met = BTreeSet::from(OF_NO_OPERATION);
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let content = &response["content"]["application/problem+json"];
            if status.starts_with(['2', '3']) {
                assert!(content.is_null(), "{method} {path} {status}");
                continue;
            }
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem");
            for (code, example) in content["examples"].as_object().unwrap() {
                let pointer = example["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
                let example = &document.pointer(pointer).unwrap()["value"];
                let code = api::ProblemCode::from_code(code).unwrap();
                assert_eq!(code.status().to_string(), *status);
                assert_eq!(example["status"], code.status());
                assert_eq!(example["type"], code.type_path());
                met.insert(code);
            }
        }
    }
    let all: BTreeSet<_> = api::ProblemCode::ALL.iter().copied().collect();
    assert_eq!(
        all.difference(&met).collect::<Vec<_>>(),
        Vec::<&api::ProblemCode>::new()
    );
}

/// The members of a schema, and those of them that must be there.
fn members(name: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let document = document();
    let schema = &document["components"]["schemas"][name];
    let all = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let required = schema["required"].as_array().into_iter().flatten();
    let required = required
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    (all, required)
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// A body that is read: whole, it has every member; without one it is refused if that is required.
fn check_request<T: serde::Serialize + serde::de::DeserializeOwned>(name: &str, whole: &T) {
    let (all, required) = members(name);
    let body = serde_json::to_value(whole).unwrap();
    assert_eq!(keys(&body), all, "{name}");
    for member in &all {
        let mut less = body.clone();
        less.as_object_mut().unwrap().remove(member);
        let is_read = serde_json::from_value::<T>(less).is_ok();
        assert_eq!(is_read, !required.contains(member), "{name}.{member}");
    }
    let mut more = body;
    more["unheard_of"] = json!(1);
    assert!(serde_json::from_value::<T>(more).is_err(), "{name}");
    assert_eq!(
        document()["components"]["schemas"][name]["additionalProperties"],
        false
    );
}

/// A body that is written: with all there is, and with as little as there can be.
fn check_answer<T: serde::Serialize>(name: &str, whole: &T, least: &T) {
    let (all, required) = members(name);
    assert_eq!(keys(&serde_json::to_value(whole).unwrap()), all, "{name}");
    assert_eq!(
        keys(&serde_json::to_value(least).unwrap()),
        required,
        "{name}"
    );
}

#[test]
fn schemas_are_those_of_the_bodies() {
    let text = || Some("x".to_owned());
    check_request(
        "CreateOrder",
        &api::CreateOrder {
            recipient_card: text(),
            recipient_email: text(),
            amount_minor: 1,
            currency: "JPY".to_owned(),
            note: text(),
            expires_in_s: Some(1),
            fund_from: api::FundFrom::Card,
            from_card: text(),
        },
    );
    let claim = api::Claim {
        claim_code: "x".to_owned(),
    };
    check_request("Claim", &claim);
    let typed = api::VerifyAddress {
        email: "x".to_owned(),
        code: "x".to_owned(),
    };
    check_request("VerifyAddress", &typed);
    let least = api::OrderView {
        id: "x".to_owned(),
        status: "x".to_owned(),
        fund_from: api::FundFrom::Account,
        amount_minor: 1,
        currency: "x".to_owned(),
        recipient_masked: "x".to_owned(),
        created_at: "x".to_owned(),
        expires_at: "x".to_owned(),
        note: None,
        mail: "x".to_owned(),
        program: None,
    };
    let whole = api::OrderView {
        note: text(),
        program: text(),
        ..least.clone()
    };
    check_answer("OrderView", &whole, &least);
    let page = |next| api::OrderPage {
        items: vec![least.clone()],
        next,
    };
    check_answer("OrderPage", &page(text()), &page(None));
    let bare = api::Problem::new(api::ProblemCode::Unavailable, "x");
    let whole = api::Problem {
        pointer: text(),
        instance: text(),
        ..bare.clone()
    };
    check_answer("Problem", &whole, &bare);
    let payers = [
        api::FundFrom::Account,
        api::FundFrom::Bank,
        api::FundFrom::Card,
    ];
    let written = payers.map(|payer| serde_json::to_value(payer).unwrap());
    assert_eq!(
        document()["components"]["schemas"]["FundFrom"]["enum"],
        json!(written)
    );
}
