//! Entity tags: whether what a caller has seen is still so (RFC 9110 sections 8.8.3 and 13).
//!
//! A tag is a hash of the very bytes of the body, so it is strong: it changes when the body does, and never
//! otherwise.

use super::problem::Refused;
use anyhow::Context;
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use utoipa::{
    IntoResponses,
    openapi::{HeaderBuilder, RefOr, ResponseBuilder},
};
use wire::api::ProblemCode;

/// Bytes of the hash that a tag shows: a collision cannot be found by chance.
const TAG_HASH_LEN: usize = 16;

/// A body and its tag.
#[derive(Debug)]
pub struct Tagged {
    body: Vec<u8>,
    tag: String,
}

impl Tagged {
    /// Writes a body.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn new(document: &impl Serialize) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(document).context("a body can not be written")?;
        Ok(Self::of(body))
    }

    /// A body that was written before.
    pub fn of(body: Vec<u8>) -> Self {
        let hash = Sha256::digest(&body);
        let shown = BASE64URL_NOPAD.encode(hash.get(..TAG_HASH_LEN).unwrap_or_default());
        let tag = format!("\"{shown}\"");
        Self { body, tag }
    }

    /// The answer: 304 without a body where `If-None-Match` names this tag.
    pub fn answer_to(self, asked: &HeaderMap) -> Response {
        if names(asked, &header::IF_NONE_MATCH, &self.tag, Compared::Weakly) == Some(true) {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            self.put_tag(&mut response);
            return response;
        }
        self.answer(StatusCode::OK)
    }

    /// The answer with this status.
    pub fn answer(mut self, status: StatusCode) -> Response {
        let kind = HeaderValue::from_static("application/json");
        let body = std::mem::take(&mut self.body);
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        self.put_tag(&mut response);
        response
    }

    fn put_tag(&self, response: &mut Response) {
        if let Ok(value) = HeaderValue::from_str(&self.tag) {
            response.headers_mut().insert(header::ETAG, value);
        }
    }

    /// Whether the caller still wants what he asks for, now that it is so.
    ///
    /// # Errors
    /// `precondition-failed` where `If-Match` names other tags only.
    pub fn is_expected(&self, asked: &HeaderMap) -> Result<(), Refused> {
        match names(asked, &header::IF_MATCH, &self.tag, Compared::Strongly) {
            None | Some(true) => Ok(()),
            Some(false) => Err(ProblemCode::PreconditionFailed.into()),
        }
    }
}

/// Whether the caller wants what he asks for under a condition only.
pub fn has_condition(asked: &HeaderMap) -> bool {
    asked.contains_key(header::IF_MATCH)
}

/// What an answer to `If-None-Match` is in the API's description.
#[derive(Debug)]
pub struct NotModified;

impl IntoResponses for NotModified {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let tag = HeaderBuilder::new().description(Some("The tag.")).build();
        let unchanged = ResponseBuilder::new()
            .description("It is as it was: `If-None-Match` names its tag.")
            .header("ETag", tag);
        let status = StatusCode::NOT_MODIFIED.as_str().to_owned();
        BTreeMap::from([(status, RefOr::T(unchanged.build()))])
    }
}

/// How tags are compared: a weak one is equal to a strong one only weakly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    Weakly,
    Strongly,
}

/// Whether a header names this tag, or any (`*`); nothing without the header.
fn names(asked: &HeaderMap, header: &HeaderName, tag: &str, how: Compared) -> Option<bool> {
    let mut values = asked.get_all(header).iter().peekable();
    values.peek()?;
    // Our tags hold no comma: cutting one of somebody else's in two makes none of ours.
    let listed = values.filter_map(|value| value.to_str().ok());
    Some(listed.flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        let strong = match how {
            Compared::Weakly => one.strip_prefix("W/").unwrap_or(one),
            Compared::Strongly => one,
        };
        strong == tag || one == "*"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(header: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_tag_is_named_alone_in_a_list_and_by_a_star() {
        let tagged = || Tagged::new(&"a").unwrap();
        let tag = tagged().tag;
        let other = Tagged::new(&"b").unwrap().tag;
        assert_ne!(tag, other);
        let weak = format!("W/{tag}");
        let list = format!("{other} , {tag}");
        for (values, unchanged, expected) in [
            (&[tag.as_str()][..], true, true),
            (&[weak.as_str()], true, false),
            (&[list.as_str()], true, true),
            (&[other.as_str(), tag.as_str()], true, true),
            (&["*"], true, true),
            (&[other.as_str()], false, false),
            (&[""], false, false),
            (&[tag.trim_matches('"')], false, false),
        ] {
            let answer = tagged().answer_to(&asked(&header::IF_NONE_MATCH, values));
            let status = if unchanged { 304 } else { 200 };
            assert_eq!(answer.status().as_u16(), status, "{values:?}");
            assert_eq!(answer.headers()[header::ETAG], tag);
            let wanted = tagged().is_expected(&asked(&header::IF_MATCH, values));
            assert_eq!(wanted.is_ok(), expected, "{values:?}");
        }
        assert!(tagged().is_expected(&HeaderMap::new()).is_ok());
        assert_eq!(
            tagged().answer_to(&HeaderMap::new()).status(),
            StatusCode::OK
        );
    }
}
