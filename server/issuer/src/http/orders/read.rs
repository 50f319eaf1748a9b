//! `GET /v1/orders/{id}`: one order of the caller's.

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
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use ledger::{HolderId, RemittanceId};
use std::sync::Arc;
use wire::api::ProblemCode;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, OrderUnknown);

/// Answers 200 with the order, or 304 where `If-None-Match` has its tag.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `order-unknown`, also for an order of somebody else; `unavailable`.
#[utoipa::path(
    get, path = "/v1/orders/{id}", operation_id = "read_order", tag = "orders",
    summary = "One order of the caller",
    params(
        ("id" = String, Path, description = "The order's id, a UUID."),
        ("If-None-Match" = Option<String>, Header, description = "Tags that the caller has seen."),
    ),
    responses(
        (status = 200, description = "The order.", body = bodies::OrderView,
            headers(("ETag" = String, description = "Strong: another one with each change of the body, and the same without."))),
        NotModified,
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Reader(holder): Reader,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let order = own(&app, holder.id, &id).await?;
    Ok(Tagged::new(&order.view())?.answer_to(&headers))
}

/// The order of this id, if it is this sender's.
pub(crate) async fn own(app: &App, sender: HolderId, id: &str) -> Result<Ordered, Refused> {
    let id: RemittanceId = id.parse().map_err(|_| ProblemCode::OrderUnknown)?;
    let found = Ordered::find(&app.office, id).await?;
    // a debit is no order of its own
    found
        .filter(|ordered| ordered.sender() == sender && !ordered.is_debit())
        .ok_or_else(|| ProblemCode::OrderUnknown.into())
}
