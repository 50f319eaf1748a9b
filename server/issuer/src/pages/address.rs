//! The page where the code of a mail verifies its address.

use super::{Frame, Trouble, page, session::Visitor, status_of, texts};
use crate::{
    app::App,
    caller,
    http::{address::verify as api, claim::post::admit},
};
use askama::Template;
use axum::{
    Form,
    extract::State,
    http::{Extensions, HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "address.html")]
struct Page {
    t: &'static texts::Texts,
    frame: Frame,
    done: bool,
    email: String,
}

/// `GET /address`: the form; takes no code from its URL, which a link scanner would call.
pub(super) async fn form(State(app): State<Arc<App>>, visitor: Visitor) -> Response {
    let frame = Frame::new(&app, visitor.holder.is_some());
    let template = Page {
        t: visitor.texts(),
        frame,
        done: false,
        email: String::new(),
    };
    page(&template, StatusCode::OK)
}

/// What the reader of the mail typed.
#[derive(Deserialize)]
pub(super) struct Typed {
    email: String,
    code: String,
}

/// `POST /address`: done, or the form again with what is wrong.
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    extensions: Extensions,
    Form(typed): Form<Typed>,
) -> Response {
    let caller = caller::address(&headers, &extensions, app.settings.trusted_hops);
    let spent = match admit(&app, caller) {
        Ok(()) => api::spend(&app, &typed.email, &typed.code).await,
        Err(refused) => Err(refused),
    };
    let refused = spent.err().map(|refused| refused.code);
    let error = refused.map(|code| Trouble::new(code, visitor.language));
    let frame = Frame::new(&app, visitor.holder.is_some()).with(error);
    let template = Page {
        t: visitor.texts(),
        frame,
        done: refused.is_none(),
        email: typed.email,
    };
    page(&template, refused.map_or(StatusCode::OK, status_of))
}
