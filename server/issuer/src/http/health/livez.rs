//! `GET /livez`: the process answers.

use crate::http::openapi::problems::problems;

problems!(Problems: );

/// Always 200.
#[utoipa::path(
    get, path = "/livez", operation_id = "livez", tag = "service",
    summary = "Whether the process answers",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain"), Problems),
)]
pub async fn livez() -> &'static str {
    "live\n"
}
