//! `tegata inspect`: look at a program, and run nothing.

use program::{RawProgram, VerifyError};
use serde_json::json;

use crate::consent;
use crate::escape;
use crate::failure::Failure;
use crate::hex;
use crate::input::{self, Source};
use crate::open;
use crate::report::Report;
use crate::terminal::Terminal;

/// Shows what a program claims, and whether a trusted issuer stands behind it.
///
/// Nothing is fetched and nothing runs. A file that can be taken apart is shown whatever its
/// signature is worth; the verdict is a fact of the report.
pub fn inspect(terminal: &Terminal<'_>, source: &Source) -> Report {
    let mut report = Report::new("inspect");
    match steps(terminal, source, &mut report) {
        Ok(()) => report,
        Err(failure) => report.failed(failure),
    }
}

fn steps(terminal: &Terminal<'_>, source: &Source, report: &mut Report) -> Result<(), Failure> {
    let bytes = input::program_bytes(source)?.program;
    let len = bytes.len();
    let raw = RawProgram::new(bytes).map_err(|error| Failure::new(error.code()))?;
    let claimed =
        program::inspect_unverified(&raw).map_err(|error| Failure::with(error.code(), error))?;
    let verdict = program::verify(raw, &open::all_keys(terminal)?, terminal.now);
    let order = claimed.order();
    let code = match verdict {
        Ok(_) => None,
        Err(VerifyError::KeyUnknown) if terminal.trust.find(&order.issuer)?.is_none() => {
            Some("E_ISSUER_UNTRUSTED")
        }
        Err(error) => Some(error.code()),
    };
    report.outcome = if code.is_none() {
        "verified"
    } else {
        "unverified"
    };
    report.fact("verdict", json!(code));
    open::describe(report, order);
    report.fact("revision", order.revision);
    report.fact("created", consent::utc(order.created));
    report.fact("key_id", hex::encode(&claimed.key_id()));
    report.fact("template_sha256", hex::encode(&claimed.template_hash()));
    report.fact("order_sha256", hex::encode(&claimed.order_bytes().hash()));
    report.fact("len_bytes", len);
    let pick = |en, ja| terminal.lang.pick(en, ja);
    report.lines.push(match code {
        None => pick(
            "Signed by an issuer you trust.",
            "信頼済みの発行者による署名です。",
        )
        .to_owned(),
        Some(code) => format!(
            "{} {code}",
            pick(
                "NOT verified; what follows is only claimed:",
                "検証できません。以下は自称です:"
            )
        ),
    });
    for (en, ja, value) in [
        ("Issuer", "発行者", escape::quoted(&order.issuer)),
        ("Amount", "金額", order.amount.to_string()),
        ("Sender", "送金者", escape::quoted(&order.sender)),
        ("Note", "メモ", escape::quoted(&order.note)),
        ("Card", "カード", escape::shown(&order.card_masked)),
        (
            "Receive by",
            "受取期限",
            consent::time(order.expires, &terminal.zone),
        ),
        ("Remittance", "送金番号", hex::id(&order.remittance)),
        ("Revision", "改訂", order.revision.to_string()),
        ("Key id", "鍵 ID", hex::encode(&claimed.key_id())),
        (
            "Template",
            "テンプレート",
            hex::encode(&claimed.template_hash()),
        ),
    ] {
        report.lines.push(format!("  {}: {value}", pick(en, ja)));
    }
    Ok(())
}
