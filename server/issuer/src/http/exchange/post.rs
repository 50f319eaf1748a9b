//! `POST /v1/exchange`: one step of a program's conversation with this server.

use crate::{
    app::App,
    caller,
    http::{
        body,
        openapi::{bodies, problems::problems},
        problem::Refused,
    },
    redeem,
};
use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use std::sync::Arc;
use wire::{
    api::ProblemCode,
    exchange::{MEDIA_TYPE, REQUEST_LEN_MAX, Request},
};

problems!(Problems: RateLimited, MediaTypeUnsupported, BodyTooLarge, BodyMalformed);

/// Answers 200 with step, receipt or refusal; a refusal is an answer of the conversation, not a
/// failure of HTTP.
///
/// # Errors
/// `rate-limited`, after which the same bytes may be sent again; `body-too-large`; `body-malformed` for anything that is no request; `unavailable`, after which
/// the same bytes may be sent again.
#[utoipa::path(
    post, path = "/v1/exchange", operation_id = "exchange", tag = "programs",
    summary = "One step of a program's conversation with its issuer",
    request_body(content = bodies::Bytes, content_type = "application/vnd.tegata.exchange+cbor",
        description = "A request as docs/exchange.md describes it, at most 4 KiB."),
    responses(
        (status = 200, description = "Step, receipt or refusal: a refusal is an answer of the conversation. The same bytes sent again are \
            answered so that nothing is credited twice.",
            content_type = "application/vnd.tegata.exchange+cbor", body = bodies::Bytes),
        Problems,
    ),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    request: axum::extract::Request,
) -> Result<([(HeaderName, HeaderValue); 1], Vec<u8>), Refused> {
    let (parts, body) = request.into_parts();
    let caller = caller::address(&parts.headers, &parts.extensions, app.settings.trusted_hops);
    app.limits.request(caller).map_err(Refused::later)?;
    if parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|v| v.as_bytes() != MEDIA_TYPE.as_bytes())
    {
        let detail = "send Content-Type: application/vnd.tegata.exchange+cbor";
        return Err(Refused::with(ProblemCode::MediaTypeUnsupported, detail));
    }
    let bytes = body::read(body, REQUEST_LEN_MAX).await?;
    let request = Request::decode(&bytes).map_err(|_| ProblemCode::BodyMalformed)?;
    // a card is only what its reader says here; each address has a count of its own for it
    if let Request::Instruction(instruction) = &request {
        let counted = app.limits.opening(caller, instruction.uid);
        counted.map_err(Refused::later)?;
    }
    let reply = redeem::exchange(&app, request).await?;
    Ok((
        [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))],
        reply,
    ))
}
