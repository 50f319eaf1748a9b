//! `GET /v1/webhooks/{id}/dead`: events that an endpoint did not take.

use super::own;
use crate::{
    app::App,
    clock::rfc3339,
    http::{
        openapi::{bodies, problems::problems},
        principal::Listener,
        problem::Refused,
    },
};
use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use std::sync::Arc;
use store::{DeadLetter, EventId};
use wire::api::{DeadLetterPage, DeadLetterView, ProblemCode};

/// Dead letters on one page.
const PAGE_LEN: u32 = 50;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, WebhookUnknown);

/// Answers 200 with a page in order of ids; `cursor` is the `next` of the page before.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `webhook-unknown`, also for one of somebody else; `body-malformed`
/// for a cursor that is not ours; `unavailable`.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}/dead", operation_id = "list_dead_letters", tag = "webhooks",
    summary = "Events that an endpoint did not take",
    params(
        ("id" = String, Path, description = "Id of the endpoint."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "One page.", body = bodies::DeadLetterPage), Problems),
    security(("bearer" = [])),
)]
pub async fn dead(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<DeadLetterPage>, Refused> {
    let row = own(&app, holder.id, &id).await?;
    let after = cursor(query.as_deref())?;
    let store = &app.office.store;
    let mut found = store.dead_letters(row.id, after, PAGE_LEN + 1).await?;
    let whole = usize::try_from(PAGE_LEN).unwrap_or(usize::MAX);
    let more = found.len() > whole;
    found.truncate(whole);
    let next = found.last().map(|letter| letter.event.to_string());
    let items = found.iter().map(view).collect();
    Ok(Json(DeadLetterPage {
        items,
        next: next.filter(|_| more),
    }))
}

fn view(letter: &DeadLetter) -> DeadLetterView {
    DeadLetterView {
        event: letter.event.to_string(),
        kind: letter.what.clone(),
        at: rfc3339(letter.at),
        attempts: letter.attempts,
        error: letter.error.clone(),
    }
}

fn cursor(query: Option<&str>) -> Result<Option<EventId>, Refused> {
    let malformed = || Refused::with(ProblemCode::BodyMalformed, "the cursor is not one of ours");
    match query {
        None | Some("") => Ok(None),
        Some(query) => {
            let id = query.strip_prefix("cursor=").ok_or_else(malformed)?;
            id.parse().map(Some).map_err(|_| malformed())
        }
    }
}
