//! The sender's pages: plain forms that work without script, by keyboard and by screen reader, in
//! English and Japanese.
//!
//! A page calls the same functions as the API and adds no rule of its own. The session is the
//! holder's token in a cookie that scripts cannot read and other sites cannot send.

mod address;
mod claim;
mod docs;
mod orders;
mod problem_texts;
mod problems;
mod session;
mod texts;

use crate::{app::App, http::body::JSON_LEN_MAX};
use askama::Template;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use ledger::Language;
use std::sync::Arc;
use tower_http::csrf::CsrfLayer;
use wire::api::ProblemCode;

/// Nothing but our own style sheet, our own forms, and no frame around them.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// Routes of the pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(session::show))
        .route("/sign-in", post(session::sign_in))
        .route("/sign-out", post(session::sign_out))
        .route("/orders", get(orders::list).post(orders::place))
        .route("/orders/new", get(orders::form).post(orders::edit))
        .route("/orders/confirm", post(orders::confirm))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/cancel", post(orders::cancel))
        .route("/orders/{id}/program", get(orders::program))
        .route("/claim", get(claim::form).post(claim::fetch))
        .route("/address", get(address::form).post(address::verify))
        .route("/docs", get(docs::docs))
        .route("/problems", get(problems::list))
        .route("/problems/{code}", get(problems::one))
        .route("/static/style.css", get(style))
        .layer(DefaultBodyLimit::max(JSON_LEN_MAX))
        .layer(CsrfLayer::new())
        .layer(middleware::from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    response
}

async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("../../assets/style.css"),
    )
}

/// What every page shows around its content.
#[derive(Debug)]
struct Frame {
    issuer: String,
    signed_in: bool,
    error: Option<Trouble>,
}

impl Frame {
    fn new(app: &App, signed_in: bool) -> Self {
        Self {
            issuer: app.office.config.issuer.clone(),
            signed_in,
            error: None,
        }
    }

    fn with(mut self, error: Option<Trouble>) -> Self {
        self.error = error;
        self
    }
}

/// A refusal on a page: what happened, what to do, and the stable code.
#[derive(Debug)]
struct Trouble {
    what: &'static str,
    next: &'static str,
    code: &'static str,
}

impl Trouble {
    fn new(code: ProblemCode, language: Language) -> Self {
        let t = texts::texts(language);
        Self {
            what: texts::problem(code, language),
            next: match code {
                ProblemCode::Unavailable => t.unknown_next,
                // what was typed was no order
                ProblemCode::ClaimUnknown | ProblemCode::AddressCodeWrong => t.code_next,
                ProblemCode::RateLimited | ProblemCode::AddressTaken => t.nothing_next,
                _ => t.refused_next,
            },
            code: code.code(),
        }
    }
}

/// A rendered page.
fn page(template: &impl Template, status: StatusCode) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn status_of(code: ProblemCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
