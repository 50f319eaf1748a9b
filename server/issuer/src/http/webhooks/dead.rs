//! `GET /v1/webhooks/{id}/dead`: events that an endpoint did not take.

use super::own;
use crate::{
    app::App,
    clock::rfc3339,
    http::{
        etag::{NotModified, Tagged},
        openapi::{bodies, problems::problems},
        principal::Listener,
        problem::Refused,
    },
};
use axum::{
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use std::sync::Arc;
use store::{DeadLetter, EventId};
use wire::api::{DeadLetterPage, DeadLetterView, ProblemCode};

/// Dead letters on one page.
const PAGE_LEN: u32 = 50;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, WebhookUnknown);

/// Answers 200 with a page in order of ids; `cursor` is the `next` of the page before. Or 304 where
/// `If-None-Match` has its tag.
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
        ("If-None-Match" = Option<String>, Header, description = "Tags that the caller has seen."),
    ),
    responses(
        (status = 200, description = "One page.", body = bodies::DeadLetterPage,
            headers(("ETag" = String, description = "Strong: another one with each change of the page, and the same without."))),
        NotModified,
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn dead(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let row = own(&app, holder.id, &id).await?;
    let after = cursor(query.as_deref())?;
    let store = &app.office.store;
    let mut found = store.dead_letters(row.id, after, PAGE_LEN + 1).await?;
    let whole = usize::try_from(PAGE_LEN).unwrap_or(usize::MAX);
    let more = found.len() > whole;
    found.truncate(whole);
    let next = found.last().map(|letter| letter.event.to_string());
    let items = found.iter().map(view).collect();
    let next = next.filter(|_| more);
    Ok(Tagged::new(&DeadLetterPage { items, next })?.answer_to(&headers))
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
