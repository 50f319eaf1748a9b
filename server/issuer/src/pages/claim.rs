//! The claim page: the program of a mail whose attachment was removed.

use super::{Frame, Trouble, page, session::Visitor, status_of, texts};
use crate::{app::App, caller, http::claim::post as api};
use askama::Template;
use axum::{
    Form,
    extract::State,
    http::{Extensions, HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::sync::Arc;
use wire::api::ProblemCode;

#[derive(Template)]
#[template(path = "claim.html")]
struct Page {
    t: &'static texts::Texts,
    frame: Frame,
}

/// `GET /claim`: the form.
pub(super) async fn form(State(app): State<Arc<App>>, visitor: Visitor) -> Response {
    let frame = Frame::new(&app, visitor.holder.is_some());
    page(
        &Page {
            t: visitor.texts(),
            frame,
        },
        StatusCode::OK,
    )
}

/// The claim form.
#[derive(Deserialize)]
pub(super) struct Code {
    code: String,
}

/// `POST /claim`: the file to keep, or the form again with what is wrong.
pub(super) async fn fetch(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    extensions: Extensions,
    Form(form): Form<Code>,
) -> Response {
    let caller = caller::address(&headers, &extensions, app.settings.trusted_hops);
    let found = match api::admit(&app, caller) {
        Ok(()) => api::program(&app, form.code.trim()).await,
        Err(refused) => Err(refused),
    };
    match found {
        Ok((name, program)) => {
            let disposition = format!("attachment; filename=\"{name}\"");
            let kind = (header::CONTENT_TYPE, api::PROGRAM_MEDIA_TYPE);
            (
                [kind],
                [(header::CONTENT_DISPOSITION, disposition)],
                program,
            )
                .into_response()
        }
        Err(refused) => again(&app, &visitor, refused.code),
    }
}

fn again(app: &App, visitor: &Visitor, code: ProblemCode) -> Response {
    let error = Trouble::new(code, visitor.language);
    let frame = Frame::new(app, visitor.holder.is_some()).with(Some(error));
    page(
        &Page {
            t: visitor.texts(),
            frame,
        },
        status_of(code),
    )
}
