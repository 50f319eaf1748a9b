//! HTTP: one file per endpoint, `<resource>/<verb>.rs`; what every request shares is here.

pub mod address;
pub mod body;
pub mod claim;
pub mod etag;
pub mod exchange;
pub mod health;
pub mod idempotency;
pub mod openapi;
pub mod orders;
pub mod principal;
pub mod problem;
pub mod webhooks;
pub mod well_known;

use crate::{app::App, clock::id_parts, pages};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
};
use ledger::MailId;
use std::{sync::Arc, time::Duration};
use tower_http::{
    catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::api::ProblemCode;

/// Longest any request may take, its body included; a slow sender is cut off here.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The header that carries the request id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What programs call: each route with its part of the OpenAPI document.
fn api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(orders::create::create, orders::list::list))
        .routes(routes!(orders::read::read))
        .routes(routes!(orders::cancel::cancel))
        .routes(routes!(orders::program::program))
        .routes(routes!(webhooks::create::create, webhooks::list::list))
        .routes(routes!(webhooks::list::read, webhooks::remove::remove))
        .routes(routes!(webhooks::secret::next))
        .routes(routes!(webhooks::enable::enable))
        .routes(routes!(webhooks::dead::dead))
        .routes(routes!(webhooks::again::again))
        .routes(routes!(exchange::post::post))
        .routes(routes!(address::verify::verify))
        .routes(routes!(claim::post::post))
        .routes(routes!(openapi::get::openapi))
        .routes(routes!(well_known::issuer::issuer))
        .routes(routes!(well_known::status::status))
        .routes(routes!(well_known::succession::succession))
        .routes(routes!(health::livez::livez))
        .routes(routes!(health::readyz::readyz))
}

/// All routes of the server.
pub fn router(app: Arc<App>) -> Router {
    router_within(app, REQUEST_TIMEOUT)
}

/// The same with another bound on how long a request may take.
pub fn router_within(app: Arc<App>, timeout: Duration) -> Router {
    Router::from(api())
        .layer(DefaultBodyLimit::disable())
        .merge(pages::router())
        .fallback(|| async { problem::Refused::from(ProblemCode::NotFound) })
        .method_not_allowed_fallback(|| async {
            problem::Refused::from(ProblemCode::MethodNotAllowed)
        })
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            timeout,
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
