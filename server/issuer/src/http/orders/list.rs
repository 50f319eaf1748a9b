//! `GET /v1/orders`: the caller's orders, newest first.

use crate::{
    app::App,
    http::{
        etag::{NotModified, Tagged},
        openapi::{bodies, problems::problems},
        principal::Reader,
        problem::Refused,
    },
    invitations::Ordered,
};
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use ledger::RemittanceId;
use serde::Deserialize;
use std::sync::Arc;
use wire::api::{OrderPage, ProblemCode};

/// Orders on one page where the caller names no number.
pub const PAGE_LEN: u32 = 50;

/// Most orders on one page: each is far below 2 KiB, and a front takes answers of 256 KiB.
pub const PAGE_LEN_MAX: u32 = 100;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed);

/// Answers 200 with a page; `cursor` is the `next` of the page before. The next page's address is
/// in the `Link` header too (RFC 8288).
///
/// # Errors
/// `unauthorized`, `scope-missing`; `body-malformed` for a cursor that is not ours; `unavailable`.
#[utoipa::path(
    get, path = "/v1/orders", operation_id = "list_orders", tag = "orders",
    summary = "The caller's orders, newest first",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before, as it came."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Orders on the page; 50 without it."),
        ("If-None-Match" = Option<String>, Header, description = "Tags that the caller has seen."),
    ),
    responses(
        (status = 200, description = "One page.", body = bodies::OrderPage,
            headers(("ETag" = String, description = "Strong: another one with each change of the page, and the same without."),
                ("Link" = String, description = "The next page's address, `rel=\"next\"` (RFC 8288), unless this is the last."))),
        NotModified,
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Reader(holder): Reader,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let asked = Asked::check(asked)?;
    let (limit, before) = (asked.limit.unwrap_or(PAGE_LEN), asked.before()?);
    let (items, next) = Ordered::list(&app.office, holder.id, before, limit).await?;
    let next = next.map(|id| id.to_string());
    let items = items.iter().map(Ordered::view).collect();
    let link = next.as_ref().map(|next| {
        let limit = asked
            .limit
            .map_or(String::new(), |limit| format!("&limit={limit}"));
        format!("</v1/orders?cursor={next}{limit}>; rel=\"next\"")
    });
    let mut response = Tagged::new(&OrderPage { items, next })?.answer_to(&headers);
    if let Some(Ok(link)) = link.as_deref().map(HeaderValue::from_str) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl Asked {
    fn check(asked: Result<Query<Self>, QueryRejection>) -> Result<Self, Refused> {
        let in_bounds = |asked: &Self| {
            let limit = asked.limit.unwrap_or(PAGE_LEN);
            (1..=PAGE_LEN_MAX).contains(&limit)
        };
        let asked = asked.ok().map(|Query(asked)| asked).filter(in_bounds);
        asked.ok_or_else(|| {
            let detail =
                "the query takes cursor, the `next` of the page before, and limit, 1 to 100";
            Refused::with(ProblemCode::BodyMalformed, detail)
        })
    }

    /// The cursor: callers take it as it is, here it is the last order of the page before. The next page
    /// begins below it, so what is ordered meanwhile moves nothing from one page to another.
    fn before(&self) -> Result<Option<RemittanceId>, Refused> {
        let cursor = self.cursor.as_deref();
        cursor
            .map(str::parse)
            .transpose()
            .map_err(|_| Refused::with(ProblemCode::BodyMalformed, "the cursor is not one of ours"))
    }
}
