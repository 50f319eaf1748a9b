//! The API for people: the OpenAPI document as a page, without script.

use super::{Frame, page, session::Visitor, texts};
use crate::{app::App, http::openapi};
use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use ledger::Language;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};

/// An operation as the page shows it.
#[derive(Debug)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    wants_token: bool,
    takes: Vec<Row>,
    answers: Vec<Answer>,
}

/// A parameter, or a member of a body.
#[derive(Debug)]
struct Row {
    name: String,
    place: String,
    is_required: bool,
    said: String,
}

/// What an operation answers with one status.
#[derive(Debug)]
struct Answer {
    status: String,
    said: String,
    body: Option<String>,
    problems: Vec<String>,
}

/// A body by its name.
#[derive(Debug)]
struct Schema {
    name: String,
    said: String,
    members: Vec<Row>,
}

/// What the page shows.
#[derive(Debug)]
struct Shown {
    operations: Vec<Operation>,
    schemas: Vec<Schema>,
}

#[derive(Template)]
#[template(path = "docs.html")]
struct Page {
    t: &'static texts::Texts,
    frame: Frame,
    shown: &'static Shown,
    language: Language,
}

impl Page {
    /// The summary in the page's language; the document's own is English.
    fn summary<'a>(&self, operation: &'a Operation) -> &'a str {
        match self.language {
            Language::En => &operation.summary,
            Language::Ja => japanese(&operation.id).unwrap_or(&operation.summary),
        }
    }
}

/// `GET /docs`: every operation, its parameters, bodies and answers.
pub(super) async fn docs(State(app): State<Arc<App>>, visitor: Visitor) -> Response {
    static SHOWN: OnceLock<Shown> = OnceLock::new();
    let shown = SHOWN.get_or_init(|| {
        let document = serde_json::to_value(openapi::document()).unwrap_or_default();
        Shown::of(&document)
    });
    let t = visitor.texts();
    let frame = Frame::new(&app, visitor.holder.is_some());
    let language = visitor.language;
    page(
        &Page {
            t,
            frame,
            shown,
            language,
        },
        StatusCode::OK,
    )
}

/// What an operation does, in Japanese.
fn japanese(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "create_order" => "送金を依頼する",
        "list_orders" => "送金の一覧（新しい順）",
        "read_order" => "送金を一件読む",
        "cancel_order" => "送金を取り消す",
        "order_program" => "ご自身のカードで支払うためのプログラム",
        "create_webhook" => "通知先を登録する",
        "list_webhooks" => "通知先の一覧",
        "read_webhook" => "通知先を一件読む",
        "remove_webhook" => "通知先を削除する",
        "next_secret" => "通知先の秘密鍵を取り替える",
        "enable_webhook" => "停止した通知先を再開する",
        "list_dead_letters" => "届かなかった通知の一覧",
        "send_again" => "届かなかった通知を再送する",
        "exchange" => "プログラムと発行者のやりとり（一往復）",
        "claim_program" => "添付が届かなかったプログラムを引換コードで受け取る",
        "verify_address" => "メールのコードでアドレスを確認する",
        "openapi" => "この文書",
        "issuer_descriptor" => "発行者とその鍵",
        "status_list" => "この発行者が取り下げたもの",
        "succession" => "発行者のルート鍵の引き継ぎ",
        "livez" => "プロセスが応答するか",
        "readyz" => "依頼を受け付けられるか",
        _ => return None,
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('`', "")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The last part of a reference.
fn referred(value: &Value) -> Option<String> {
    let target = value["$ref"].as_str()?;
    target.rsplit('/').next().map(str::to_owned)
}

impl Shown {
    fn of(document: &Value) -> Self {
        let paths = members(&document["paths"]);
        let mut operations: Vec<(usize, Operation)> = paths
            .flat_map(|(path, item)| {
                members(item)
                    .map(move |(method, said)| (tag(document, said), operation(path, method, said)))
            })
            .collect();
        // in the order of the document's tags, then of paths
        operations.sort_by_key(|(tag, _)| *tag);
        let schemas = members(&document["components"]["schemas"]);
        Self {
            operations: operations
                .into_iter()
                .map(|(_, operation)| operation)
                .collect(),
            schemas: schemas.map(|(name, said)| schema(name, said)).collect(),
        }
    }
}

/// Where the first tag of an operation stands among the document's.
fn tag(document: &Value, operation: &Value) -> usize {
    let first = &operation["tags"][0];
    let place = items(&document["tags"]).position(|tag| &tag["name"] == first);
    place.unwrap_or(usize::MAX)
}

fn operation(path: &str, method: &str, said: &Value) -> Operation {
    let parameters = items(&said["parameters"]).map(|parameter| Row {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        is_required: parameter["required"] == true,
        said: text(&parameter["description"]),
    });
    let bodies = members(&said["requestBody"]["content"]).map(|(kind, content)| Row {
        name: referred(&content["schema"]).unwrap_or_default(),
        place: kind.clone(),
        is_required: said["requestBody"]["required"] == true,
        said: text(&said["requestBody"]["description"]),
    });
    Operation {
        id: text(&said["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&said["summary"]),
        wants_token: items(&said["security"]).next().is_some(),
        takes: parameters.chain(bodies).collect(),
        answers: members(&said["responses"]).map(answer).collect(),
    }
}

fn answer((status, said): (&String, &Value)) -> Answer {
    let problems = &said["content"]["application/problem+json"]["examples"];
    let problems: Vec<String> = members(problems).map(|(code, _)| code.clone()).collect();
    let content = members(&said["content"]).next();
    Answer {
        status: status.clone(),
        said: match problems.is_empty() {
            true => text(&said["description"]),
            false => String::new(),
        },
        body: content
            .filter(|_| problems.is_empty())
            .and_then(|(_, content)| referred(&content["schema"])),
        problems,
    }
}

fn schema(name: &str, said: &Value) -> Schema {
    let required: Vec<&str> = items(&said["required"]).filter_map(Value::as_str).collect();
    let row = |(name, said): (&String, &Value)| Row {
        name: name.clone(),
        place: kind(said),
        is_required: required.contains(&name.as_str()),
        said: text(&said["description"]),
    };
    let values = items(&said["enum"]).map(|value| Row {
        name: text(value),
        place: String::new(),
        is_required: false,
        said: String::new(),
    });
    Schema {
        name: name.to_owned(),
        said: text(&said["description"]),
        members: members(&said["properties"])
            .map(row)
            .chain(values)
            .collect(),
    }
}

/// What a member holds: the name of its type or of its schema.
fn kind(said: &Value) -> String {
    let one = items(&said["oneOf"]).chain(items(&said["allOf"]));
    let named = referred(said).or_else(|| one.filter_map(referred).next());
    let typed = || match &said["type"] {
        Value::Array(types) => types.iter().find(|kind| **kind != "null").map(text),
        other => Some(text(other)),
    };
    named.or_else(typed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_operation_in_both_languages_and_every_member() {
        let document = serde_json::to_value(openapi::document()).unwrap();
        let shown = Shown::of(&document);
        let count = members(&document["paths"]).map(|(_, item)| members(item).count());
        assert_eq!(shown.operations.len(), count.sum::<usize>());
        assert_eq!(shown.operations[0].path, "/v1/orders");
        for operation in &shown.operations {
            let id = &operation.id;
            assert!(japanese(id).is_some_and(|text| !text.is_ascii()), "{id}");
            assert!(
                !operation.summary.is_empty() && operation.answers.len() > 1,
                "{id}"
            );
            let said = |row: &Row| !row.name.is_empty() && !row.place.is_empty();
            assert!(operation.takes.iter().all(said), "{operation:?}");
        }
        let order = shown
            .schemas
            .iter()
            .find(|schema| schema.name == "CreateOrder");
        let order = &order.unwrap().members;
        let required = order.iter().filter(|row| row.is_required);
        let required: Vec<_> = required
            .map(|row| (row.name.as_str(), row.place.as_str()))
            .collect();
        assert_eq!(
            required,
            [("amount_minor", "integer"), ("currency", "string")]
        );
        let payer = order.iter().find(|row| row.name == "fund_from").unwrap();
        assert_eq!(payer.place, "FundFrom");
        assert!(order.iter().all(|row| !row.place.is_empty()), "{order:?}");
    }
}
