//! `tegata log`: what was opened here, and whether the log is whole.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::escape;
use crate::failure::Failure;
use crate::report::Report;
use crate::terminal::Terminal;

/// Records that `tegata log` shows unless told otherwise.
pub const SHOWN_DEFAULT: usize = 20;

/// Most records that are shown: they are held in memory.
pub const SHOWN_MAX: usize = 1_000;

/// Checks the whole log and shows its last `last` records, at most [`SHOWN_MAX`].
pub fn list(terminal: &Terminal<'_>, last: usize) -> Report {
    let mut report = Report::new("log");
    let last = last.min(SHOWN_MAX);
    let mut shown: VecDeque<Map<String, Value>> = VecDeque::new();
    let verified = terminal.log.verify(|record| {
        shown.push_back(record.clone());
        if shown.len() > last {
            shown.pop_front();
        }
    });
    for record in &shown {
        report.lines.push(line(record));
    }
    if shown.is_empty() && verified.is_ok() {
        let none = "Nothing was opened here yet.";
        let nothing = terminal.lang.pick(none, "まだ何も開いていません。");
        report.lines.push(nothing.to_owned());
    }
    report.fact(
        "records",
        shown.into_iter().map(Value::Object).collect::<Vec<_>>(),
    );
    conclude(report, verified)
}

/// Checks the whole log.
pub fn verify(terminal: &Terminal<'_>) -> Report {
    let mut report = Report::new("log-verify");
    let verified = terminal.log.verify(|_| ());
    if let Ok(count) = verified {
        report.lines.push(format!(
            "{}: {count}",
            terminal.lang.pick(
                "The log is whole; records",
                "ログに欠けや変更はありません。記録数"
            )
        ));
    }
    conclude(report, verified)
}

fn conclude(mut report: Report, verified: Result<u64, Failure>) -> Report {
    match verified {
        Ok(count) => {
            report.fact("count", count);
            report
        }
        Err(failure) => report.failed(failure),
    }
}

/// One line: number, time, command, outcome, code, remittance.
fn line(record: &Map<String, Value>) -> String {
    let field = |name: &str| match record.get(name) {
        Some(Value::String(text)) => escape::shown(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => "-".to_owned(),
    };
    [
        "seq",
        "at",
        "command",
        "outcome",
        "code",
        "issuer",
        "remittance",
    ]
    .map(field)
    .join("  ")
}
