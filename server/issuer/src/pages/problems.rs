//! A page for each kind of problem: what the `type` of a problem document leads to (RFC 9457 section 3.1.1).

use super::{
    Frame, page,
    problem_texts::{Explained, explained},
    session::Visitor,
    texts,
};
use crate::{app::App, http::problem::Refused};
use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use std::sync::Arc;
use wire::api::ProblemCode;

/// A kind of problem in a list.
struct Kind {
    code: &'static str,
    status: u16,
    said: Explained,
}

impl Kind {
    fn new(code: ProblemCode, visitor: &Visitor) -> Self {
        Self {
            code: code.code(),
            status: code.status(),
            said: explained(code, visitor.language),
        }
    }
}

#[derive(Template)]
#[template(path = "problems.html")]
struct List {
    t: &'static texts::Texts,
    frame: Frame,
    kinds: Vec<Kind>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct One {
    t: &'static texts::Texts,
    frame: Frame,
    kind: Kind,
}

/// `GET /problems`: every kind.
pub(super) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Response {
    let frame = Frame::new(&app, visitor.holder.is_some());
    let kinds = ProblemCode::ALL.iter();
    let kinds = kinds.map(|code| Kind::new(*code, &visitor)).collect();
    let t = visitor.texts();
    page(&List { t, frame, kinds }, StatusCode::OK)
}

/// `GET /problems/{code}`: one kind; `not-found` for what is none.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(code): Path<String>,
) -> Response {
    let Some(code) = ProblemCode::from_code(&code) else {
        return Refused::from(ProblemCode::NotFound).into_response();
    };
    let frame = Frame::new(&app, visitor.holder.is_some());
    let (t, kind) = (visitor.texts(), Kind::new(code, &visitor));
    page(&One { t, frame, kind }, StatusCode::OK)
}
