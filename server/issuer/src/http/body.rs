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
/// As [`json_bytes`] and [`parse`].
pub async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Refused> {
    parse(&json_bytes(headers, body).await?)
}

/// Reads a body that is declared as JSON.
///
/// # Errors
/// As [`read`]; `media-type-unsupported` when it is not declared as JSON.
pub async fn json_bytes(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refused> {
    if !is_json(headers) {
        let detail = "send Content-Type: application/json";
        return Err(Refused::with(ProblemCode::MediaTypeUnsupported, detail));
    }
    read(body, JSON_LEN_MAX).await
}

/// Reads JSON as a `T`.
///
/// # Errors
/// `body-malformed` when it is none.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(bytes)
        .map_err(|e| Refused::with(ProblemCode::BodyMalformed, &position(&e)))
}

/// Where the body went wrong, and by which member; never what it holds.
fn position(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let place = format!("not the expected document, at line {line} column {column}");
    match member(&error.to_string()) {
        Some(said) => format!("{place}: {said}"),
        None => place,
    }
}

/// What the parser says of a member that is unknown, missing or there twice. What it says of a value would
/// repeat the value.
fn member(said: &str) -> Option<String> {
    /// Longer names are no names of ours.
    const SAID_CHARS_MAX: usize = 60;
    let kinds = ["unknown field `", "missing field `", "duplicate field `"];
    let kind = kinds.iter().find(|kind| said.starts_with(**kind))?;
    let (name, _) = said.strip_prefix(kind)?.split_once('`')?;
    (name.chars().count() <= SAID_CHARS_MAX).then(|| format!("{kind}{name}`"))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .is_some_and(|v| v.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::api::CreateOrder;

    fn said(body: &str) -> String {
        let refused = parse::<CreateOrder>(body.as_bytes()).unwrap_err();
        refused.detail.unwrap()
    }

    #[test]
    fn the_member_is_named_and_no_value_is_repeated() {
        for (body, expected) in [
            (r#"{"nota":1}"#, "column 7: unknown field `nota`"),
            (
                r#"{"amount_minor":1}"#,
                "column 18: missing field `currency`",
            ),
            (
                r#"{"note":"a","note":"b"}"#,
                "column 18: duplicate field `note`",
            ),
            (r#"{"amount_minor":"secret"}"#, "line 1 column 24"),
            (
                r#"{"amount_minor":"unknown field `x`"}"#,
                "line 1 column 35",
            ),
            ("{", "line 1 column 1"),
        ] {
            let text = said(body);
            assert!(text.ends_with(expected), "{body}: {text}");
        }
        for (long, named) in [(60, true), (61, false)] {
            let text = said(&format!("{{\"{}\":1}}", "n".repeat(long)));
            assert_eq!(text.contains("nnn"), named, "{long}: {text}");
        }
    }
}
