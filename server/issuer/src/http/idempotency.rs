//! `Idempotency-Key`: the name that a caller gives to what he asks for, so that asking again asks for no more.
//!
//! Source: draft-ietf-httpapi-idempotency-key-header-07, whose header is a string of RFC 9651. A key without
//! quotes is taken too, as most clients send it, and is the same key.

use super::problem::Refused;
use axum::http::{HeaderMap, HeaderName};
use ledger::IdempotencyKey;
use wire::api::ProblemCode;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request.
///
/// # Errors
/// `idempotency-key-missing` without exactly one key of 1 to 255 visible ASCII characters.
pub fn key(headers: &HeaderMap) -> Result<IdempotencyKey, Refused> {
    let mut sent = headers.get_all(HEADER).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return Err(ProblemCode::IdempotencyKeyMissing.into());
    };
    let unquoted = value.to_str().ok().and_then(unquoted);
    unquoted
        .and_then(|text| IdempotencyKey::new(&text).ok())
        .ok_or_else(|| {
            let detail = "a key is 1 to 255 visible ASCII characters, bare or as a quoted string";
            Refused::with(ProblemCode::IdempotencyKeyMissing, detail)
        })
}

/// The text of a quoted string (RFC 9651 section 3.3.3), or a bare text as it is.
fn unquoted(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        return Some(value.to_owned());
    };
    let mut text = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(text),
            '\\' => text.push(rest.next().filter(|c| ['"', '\\'].contains(c))?),
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::IDEMPOTENCY_KEY_LEN_MAX;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        key(&headers).ok().map(|key| key.as_str().to_owned())
    }

    #[test]
    fn a_key_is_read_quoted_and_bare() {
        for (value, text) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            ("\"a\\\"b\\\\c\"", "a\"b\\c"),
            ("a\"b", "a\"b"),
        ] {
            assert_eq!(read(&[value]).as_deref(), Some(text), "{value}");
        }
        let longest = "k".repeat(IDEMPOTENCY_KEY_LEN_MAX);
        assert_eq!(read(&[&longest]).as_ref(), Some(&longest));
        assert_eq!(read(&[&format!("\"{longest}\"")]), Some(longest));
    }

    #[test]
    fn what_is_no_single_key_is_none() {
        let longer = "k".repeat(IDEMPOTENCY_KEY_LEN_MAX + 1);
        let quoted = format!("\"{longer}\"");
        for values in [
            &[][..],
            &[""],
            &["\"\""],
            &["\"a"],
            &["\"a\"b"],
            &["\"a\";p=1"],
            &["\"a\\b\""],
            &["a b"],
            &["\"a b\""],
            &["a", "a"],
            &[&longer],
            &[&quoted],
        ] {
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
