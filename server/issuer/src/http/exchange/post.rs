//! `POST /v1/exchange`: one step of a program's conversation with this server.

use crate::{
    app::App,
    http::{body, problem::Refused},
    redeem,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use std::sync::Arc;
use wire::{
    api::ProblemCode,
    exchange::{MEDIA_TYPE, REQUEST_LEN_MAX, Request},
};

/// Answers 200 with step, receipt or refusal; a refusal is an answer of the conversation, not a
/// failure of HTTP.
///
/// # Errors
/// `body-too-large`; `body-malformed` for anything that is no request; `unavailable`, after which
/// the same bytes may be sent again.
pub async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<([(HeaderName, HeaderValue); 1], Vec<u8>), Refused> {
    if headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|v| v.as_bytes() != MEDIA_TYPE.as_bytes())
    {
        let detail = "send Content-Type: application/vnd.tegata.exchange+cbor";
        return Err(Refused::with(ProblemCode::BodyMalformed, detail));
    }
    let bytes = body::read(body, REQUEST_LEN_MAX).await?;
    let request = Request::decode(&bytes).map_err(|_| ProblemCode::BodyMalformed)?;
    let reply = redeem::exchange(&app, request).await?;
    Ok((
        [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))],
        reply,
    ))
}
