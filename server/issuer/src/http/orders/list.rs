//! `GET /v1/orders`: the caller's orders, newest first.

use crate::{
    app::App,
    http::{
        openapi::{bodies, problems::problems},
        principal::Reader,
        problem::Refused,
    },
    invitations::Ordered,
};
use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, header},
};
use ledger::RemittanceId;
use std::sync::Arc;
use wire::api::{OrderPage, ProblemCode};

/// Orders on one page.
pub const PAGE_LEN: u32 = 50;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed);

/// Answers 200 with a page; `cursor` is the `next` of the page before. The next page's address is
/// in the `Link` header too (RFC 8288).
///
/// # Errors
/// `unauthorized`, `scope-missing`; `body-malformed` for a cursor that is not ours; `unavailable`.
#[utoipa::path(
    get, path = "/v1/orders", operation_id = "list_orders", tag = "orders",
    summary = "The caller's orders, newest first",
    params(("cursor" = Option<String>, Query, description = "`next` of the page before.")),
    responses(
        (status = 200, description = "One page.", body = bodies::OrderPage,
            headers(("Link" = String, description = "The next page's address, `rel=\"next\"` (RFC 8288), unless this is the last."))),
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Reader(holder): Reader,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<OrderPage>), Refused> {
    let before = cursor(query.as_deref())?;
    let (items, next) = Ordered::list(&app.office, holder.id, before, PAGE_LEN).await?;
    let next = next.map(|id| id.to_string());
    let mut headers = HeaderMap::new();
    if let Some(next) = &next {
        let link = format!("</v1/orders?cursor={next}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            headers.insert(header::LINK, link);
        }
    }
    let items = items.iter().map(Ordered::view).collect();
    Ok((headers, Json(OrderPage { items, next })))
}

fn cursor(query: Option<&str>) -> Result<Option<RemittanceId>, Refused> {
    let malformed = || Refused::with(ProblemCode::BodyMalformed, "the cursor is not one of ours");
    match query {
        None | Some("") => Ok(None),
        Some(query) => {
            let id = query.strip_prefix("cursor=").ok_or_else(malformed)?;
            id.parse().map(Some).map_err(|_| malformed())
        }
    }
}
