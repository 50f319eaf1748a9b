//! `openapi`: the document that `serve` answers under `/v1/openapi.json`, without a server.

use super::output::stdout;
use crate::http::openapi;
use std::{io::Write as _, process::ExitCode};

/// Flags of `openapi`: none.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  tegata-server openapi > openapi.json")]
pub struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<ExitCode> {
    let mut out = stdout();
    out.write_all(openapi::written()?.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
