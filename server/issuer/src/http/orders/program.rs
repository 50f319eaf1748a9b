//! `GET /v1/orders/{id}/program`: the program by which a card of the sender pays for an order.

use super::read::own;
use crate::{
    app::App,
    http::{
        claim::post::{PROGRAM_MEDIA_TYPE, file},
        openapi::{bodies, problems::problems},
        principal::Spender,
        problem::Refused,
    },
    orders,
};
use axum::{
    extract::{Path, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use ledger::HolderId;
use std::sync::Arc;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, OrderUnknown, ProgramUnknown);

/// Answers 200 with the program's bytes, the same until the card has paid or the order has ended.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `order-unknown`, also for an order of somebody else; `program-unknown` for one that
/// no card pays for, or not any more; `unavailable`.
#[utoipa::path(
    get, path = "/v1/orders/{id}/program", operation_id = "order_program", tag = "orders",
    summary = "The program by which the sender's card pays",
    params(("id" = String, Path, description = "The order's id, a UUID.")),
    responses(
        (status = 200, description = "The program file, the same bytes until the card has paid or the order has ended.",
            content_type = "application/vnd.tegata.program+wasm", body = bodies::Bytes,
            headers(("Content-Disposition" = String, description = "A name to keep the file under."))),
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn program(
    State(app): State<Arc<App>>,
    Spender(holder): Spender,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    download(&app, holder.id, &id).await
}

/// The program as a file to keep.
///
/// # Errors
/// As [`program`].
pub async fn download(app: &App, sender: HolderId, id: &str) -> Result<Response, Refused> {
    let order = own(app, sender, id).await?;
    let debit = orders::debit(app, order.id()).await?;
    let (name, program) = file(app, &debit).await?;
    let kind: (HeaderName, HeaderValue) = (header::CONTENT_TYPE, PROGRAM_MEDIA_TYPE);
    let disposition = format!("attachment; filename=\"{name}\"");
    let disposition = (header::CONTENT_DISPOSITION, disposition);
    Ok(([kind], [disposition], program).into_response())
}
