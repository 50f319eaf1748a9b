//! The pages of the API for people: what a problem's `type` leads to, and the operations.

use crate::bench::{Answer, Bench};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use issuer::http::openapi;
use serde_json::Value;
use wire::api::ProblemCode;

fn get(bench: &Bench, path: &str, language: &str) -> Answer {
    let request = Request::get(path).header(header::ACCEPT_LANGUAGE, language);
    bench.call(request.body(Body::empty()).unwrap())
}

fn html(answer: &Answer) -> String {
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    let policy = answer.headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self';"),
        "{policy}"
    );
    String::from_utf8(answer.body.clone()).unwrap()
}

#[test]
fn the_type_of_every_problem_leads_to_its_page_in_both_languages() {
    let bench = Bench::new();
    let lists = ["en", "ja"].map(|language| html(&get(&bench, "/problems", language)));
    for code in ProblemCode::ALL.iter().copied() {
        let path = code.type_path();
        let pages = ["en", "ja"].map(|language| {
            let answer = get(&bench, &path, language);
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            html(&answer)
        });
        for (page, language) in pages.iter().zip(["en", "ja"]) {
            assert!(
                page.contains(&format!("<html lang=\"{language}\">")),
                "{path}"
            );
            assert!(
                page.contains(&format!("<code>{}</code>", code.code())),
                "{path}"
            );
            assert!(
                page.contains(&format!("<dd>{}</dd>", code.status())),
                "{path}"
            );
        }
        assert!(pages[0].contains(code.title()), "{path}");
        assert!(!pages[1].contains(code.title()), "{path}: not translated");
        assert!(
            lists
                .iter()
                .all(|list| list.contains(&format!("href=\"{path}\""))),
            "{path}"
        );
    }
    // the answer of a refusal names it
    let refused = bench.get("/v1/orders", "");
    let named = refused.json()["type"].as_str().unwrap().to_owned();
    assert_eq!(get(&bench, &named, "en").status, StatusCode::OK);
    let unknown = get(&bench, "/problems/unheard-of", "en");
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.json()["code"], "not-found");
}

#[test]
fn the_page_of_the_api_has_every_operation_and_every_link_leads_somewhere() {
    let bench = Bench::new();
    let document: Value = serde_json::from_str(&openapi::written().unwrap()).unwrap();
    for language in ["en", "ja"] {
        let page = html(&get(&bench, "/docs", language));
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, said) in item.as_object().unwrap() {
                let line = format!("<code>{} {path}</code>", method.to_uppercase());
                assert!(page.contains(&line), "{line}");
                let summary = said["summary"].as_str().unwrap();
                let shown = page.contains(&summary.replace('\'', "&#39;"));
                assert_eq!(shown, language == "en", "{summary} in {language}");
            }
        }
        for target in page
            .split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            if let Some(name) = target.strip_prefix('#') {
                assert!(page.contains(&format!("id=\"{name}\"")), "{target}");
            } else if target.starts_with('/') {
                assert_eq!(
                    get(&bench, target, language).status,
                    StatusCode::OK,
                    "{target}"
                );
            }
        }
        assert!(!page.contains("<script"));
    }
}
