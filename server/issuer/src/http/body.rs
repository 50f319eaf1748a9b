//! Reading of request bodies under a limit.

use super::problem::Refused;
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use wire::api::ProblemCode;

/// Most bytes of a JSON body: the longest order (a note of 140 characters of 4 bytes, all escaped)
/// needs under 3 KiB.
pub const JSON_LEN_MAX: usize = 4096;

/// Most bytes of a refused body that are still taken from the line and thrown away: a caller that
/// is writing when the connection closes would not see why he was refused.
const DISCARDED_LEN_MAX: usize = 1 << 20;

/// Reads a whole body of at most `len_max` bytes.
///
/// # Errors
/// `body-too-large` beyond it, `body-malformed` when the connection broke.
pub async fn read(mut body: Body, len_max: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    while let Some(data) = next(&mut body).await? {
        if data.len() > len_max.saturating_sub(bytes.len()) {
            discard(body).await?;
            return Err(ProblemCode::BodyTooLarge.into());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

async fn discard(mut body: Body) -> Result<(), Refused> {
    let mut left = DISCARDED_LEN_MAX;
    while let Some(data) = next(&mut body).await? {
        left = left.saturating_sub(data.len());
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// The next piece of a body; trailers count as empty ones.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Refused> {
    match body.frame().await {
        None => Ok(None),
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        Some(Err(_)) => Err(ProblemCode::BodyMalformed.into()),
    }
}

/// Reads a JSON body.
///
/// # Errors
/// As [`read`]; `media-type-unsupported` when it is not declared as JSON; `body-malformed` when it is no `T`.
pub async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Refused> {
    if !is_json(headers) {
        let detail = "send Content-Type: application/json";
        return Err(Refused::with(ProblemCode::MediaTypeUnsupported, detail));
    }
    let bytes = read(body, JSON_LEN_MAX).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Refused::with(ProblemCode::BodyMalformed, &position(&e)))
}

/// Where the body went wrong, never what it holds.
fn position(error: &serde_json::Error) -> String {
    format!(
        "not the expected document, at line {} column {}",
        error.line(),
        error.column()
    )
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .is_some_and(|v| v.trim().eq_ignore_ascii_case("application/json"))
}
