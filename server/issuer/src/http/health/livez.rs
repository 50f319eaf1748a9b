//! `GET /livez`: the process answers.

/// Always 200.
pub async fn livez() -> &'static str {
    "live\n"
}
