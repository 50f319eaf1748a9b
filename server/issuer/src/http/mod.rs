//! HTTP: one file per endpoint, `<resource>/<verb>.rs`; what every request shares is here.

pub mod address;
pub mod body;
pub mod claim;
pub mod exchange;
pub mod health;
pub mod orders;
pub mod principal;
pub mod problem;
pub mod well_known;

use crate::{app::App, clock::id_parts, pages};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use ledger::MailId;
use std::{sync::Arc, time::Duration};
use tower_http::{
    catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
};
use wire::api::ProblemCode;

/// Longest any request may take, its body included; a slow sender is cut off here.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The header that carries the request id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All routes of the server.
pub fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route(
            "/v1/orders",
            post(orders::create::create).get(orders::list::list),
        )
        .route("/v1/orders/{id}", get(orders::read::read))
        .route("/v1/orders/{id}/cancel", post(orders::cancel::cancel))
        .route("/v1/orders/{id}/program", get(orders::program::program))
        .route("/v1/exchange", post(exchange::post::post))
        .route("/v1/address/verify", post(address::verify::verify))
        .route("/v1/claim", post(claim::post::post))
        .route(
            "/.well-known/tegata-issuer",
            get(well_known::issuer::issuer),
        )
        .route(
            "/.well-known/tegata-status",
            get(well_known::status::status),
        )
        .route(
            "/.well-known/tegata-succession",
            get(well_known::succession::succession),
        )
        .route("/livez", get(health::livez::livez))
        .route("/readyz", get(health::readyz::readyz));
    api.layer(DefaultBodyLimit::disable())
        .merge(pages::router())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_TIMEOUT,
        ))
        .layer(CatchPanicLayer::custom(|_| {
            use axum::response::IntoResponse;
            tracing::error!("a request met a broken invariant and was stopped");
            problem::Refused::from(ProblemCode::Unavailable).into_response()
        }))
        .layer(SetSensitiveRequestHeadersLayer::new([
            header::AUTHORIZATION,
        ]))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), envelope))
        .with_state(app)
}

/// Gives each request an id, its answer the headers that every answer has, and problems their
/// document.
async fn envelope(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (ms, bits) = id_parts(app.office.clock.now(), &*app.office.random);
    let id = MailId::new(ms, bits).to_string();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status();
    tracing::info!(request.id = %id, http.method = %method, http.path = %loggable(&path), http.status = status.as_u16(), "answered");
    finished(response, &id)
}

/// An answer with the headers that every answer has, and the document of a problem.
pub fn finished(response: Response, request_id: &str) -> Response {
    let mut response = problem::write_document(response, request_id);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// A path fit for a log line: bounded, printable ASCII.
fn loggable(path: &str) -> String {
    /// Longer paths are no paths of ours.
    const PATH_LEN_MAX: usize = 80;
    path.chars()
        .filter(char::is_ascii_graphic)
        .take(PATH_LEN_MAX)
        .collect()
}
