//! Reading of request bodies under a limit.

use super::problem::Refused;
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;
use std::error::Error;
use wire::api::ProblemCode;

/// Most bytes of a JSON body: the longest order (a note of 140 characters of 4 bytes, all escaped)
/// needs under 3 KiB.
pub const JSON_LEN_MAX: usize = 4096;

/// Reads a whole body of at most `len_max` bytes.
///
/// # Errors
/// `body-too-large` beyond it, `body-malformed` when the connection broke.
pub async fn read(body: Body, len_max: usize) -> Result<Vec<u8>, Refused> {
    match to_bytes(body, len_max).await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error)
            if error
                .source()
                .is_some_and(|e| e.is::<http_body_util::LengthLimitError>()) =>
        {
            Err(ProblemCode::BodyTooLarge.into())
        }
        Err(_) => Err(ProblemCode::BodyMalformed.into()),
    }
}

/// Reads a JSON body.
///
/// # Errors
/// As [`read`]; `body-malformed` when it is not declared as JSON or is no `T`.
pub async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Refused> {
    if !is_json(headers) {
        let detail = "send Content-Type: application/json";
        return Err(Refused::with(ProblemCode::BodyMalformed, detail));
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
