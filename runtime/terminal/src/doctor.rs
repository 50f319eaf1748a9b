//! `tegata doctor`: what this computer offers the sandbox and what the terminal would use: walls,
//! readers, issuers, limits, state folder. Changes nothing.

use sandbox::limits;
use sandbox::walls::{Examination, Finding, Tried, WallRule, examine};
use serde_json::{Value, json};

use crate::effects;
use crate::escape;
use crate::failure::Failure;
use crate::open;
use crate::report::Report;
use crate::terminal::Terminal;
use crate::trust_command;

/// Tries the walls, lists the rest.
///
/// Where walls are required and one is missing, the report ends with `E_WALLS`; where not even a
/// lawful program runs, with the sandbox's code.
pub fn doctor(terminal: &Terminal<'_>) -> Report {
    let mut report = Report::new("doctor");
    report.fact(
        "system",
        format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    state(terminal, &mut report);
    let examination = examine(&open::runner_command(terminal));
    walls(terminal, &mut report, &examination);
    readers(terminal, &mut report);
    if let Err(failure) = issuers(terminal, &mut report) {
        return report.failed(failure);
    }
    table_of_limits(terminal, &mut report);
    verdict(terminal, report, &examination)
}

fn state(terminal: &Terminal<'_>, report: &mut Report) {
    let folder = terminal.state.display().to_string();
    let title = terminal.lang.pick("State folder:", "状態フォルダー:");
    report
        .lines
        .push(format!("{title} {}", escape::shown(&folder)));
    report.fact("state", folder);
}

fn walls(terminal: &Terminal<'_>, report: &mut Report, examination: &Examination) {
    let lang = terminal.lang;
    let title = lang.pick(
        "Walls of the sandbox's process, tried:",
        "サンドボックスのプロセスの壁 (実際に試行):",
    );
    report.lines.push(title.to_owned());
    for finding in &examination.findings {
        let stands = if finding.stands {
            lang.pick("stands", "有効")
        } else {
            lang.pick("MISSING", "欠落")
        };
        let tried: Vec<_> = finding
            .tried
            .iter()
            .map(|(attempt, tried)| format!("{attempt} {}", outcome(tried)))
            .collect();
        report.lines.push(format!(
            "  {:<14} {stands:<8} {:<34} {}",
            finding.wall.name(),
            finding.wall.mechanism(),
            tried.join(", ")
        ));
    }
    let runs = match examination.runs {
        Ok(()) => lang
            .pick(
                "A lawful program runs behind them.",
                "正当なプログラムはこの中で動作します。",
            )
            .to_owned(),
        Err(code) => {
            let words = lang.pick(
                "A lawful program does NOT run behind them:",
                "正当なプログラムがこの中で動作しません:",
            );
            format!("{words} {code}")
        }
    };
    report.lines.push(format!("  {runs}"));
    report.fact(
        "walls",
        examination
            .findings
            .iter()
            .map(document)
            .collect::<Vec<_>>(),
    );
    report.fact("runs", examination.runs.is_ok());
    report.fact(
        "walls_rule",
        match terminal.walls {
            WallRule::Accept => "accept",
            WallRule::Require => "require",
        },
    );
}

fn document(finding: &Finding) -> Value {
    json!({
        "wall": finding.wall.name(),
        "mechanism": finding.wall.mechanism(),
        "raised": finding.raised,
        "stands": finding.stands,
        "tried": finding.tried.iter().map(|(attempt, tried)| json!({
            "attempt": attempt,
            "outcome": outcome(tried),
        })).collect::<Vec<_>>(),
    })
}

fn outcome(tried: &Tried) -> String {
    match tried {
        Tried::Refused => "refused".to_owned(),
        Tried::Killed(signal) => format!("killed-{signal}"),
        Tried::Allowed => "allowed".to_owned(),
        Tried::Unknown => "unknown".to_owned(),
    }
}

fn readers(terminal: &Terminal<'_>, report: &mut Report) {
    report.lines.push(
        terminal
            .lang
            .pick("Card readers:", "カードリーダー:")
            .to_owned(),
    );
    match card_reader::list() {
        Ok(readers) => {
            if readers.is_empty() {
                let none = terminal.lang.pick(
                    "  none (`emulated:PATH` works without)",
                    "  なし (`emulated:PATH` は使用できます)",
                );
                report.lines.push(none.to_owned());
            }
            for reader in &readers {
                report
                    .lines
                    .push(format!("  pcsc:{}", escape::shown(&reader.name)));
            }
            let documents: Vec<_> = readers
                .iter()
                .map(|reader| json!({ "reader": reader.name, "card": reader.card_present }))
                .collect();
            report.fact("readers", documents);
        }
        Err(error) => {
            let failure = effects::reader_failure(&error);
            let words = failure.explanation().what(terminal.lang);
            report.lines.push(format!("  {words} ({})", failure.code));
            report.fact("readers", Vec::<Value>::new());
            report.fact("readers_code", failure.code);
        }
    }
}

fn issuers(terminal: &Terminal<'_>, report: &mut Report) -> Result<(), Failure> {
    let issuers = terminal.trust.all()?;
    report.lines.push(
        terminal
            .lang
            .pick("Trusted issuers:", "信頼している発行者:")
            .to_owned(),
    );
    if issuers.is_empty() {
        report
            .lines
            .push(terminal.lang.pick("  none", "  なし").to_owned());
    }
    for entry in &issuers {
        report
            .lines
            .push(format!("  {}", trust_command::line(entry)));
    }
    report.fact(
        "issuers",
        issuers
            .iter()
            .map(trust_command::document)
            .collect::<Vec<_>>(),
    );
    Ok(())
}

fn table_of_limits(terminal: &Terminal<'_>, report: &mut Report) {
    report.lines.push(
        terminal
            .lang
            .pick("Limits of a program:", "プログラムの上限:")
            .to_owned(),
    );
    for limit in limits::TABLE {
        report.lines.push(format!(
            "  {:<24} {:>11} {} ({}): {}",
            limit.name, limit.value, limit.unit, limit.code, limit.reason
        ));
    }
    let documents: Vec<_> = limits::TABLE
        .iter()
        .map(|limit| {
            json!({
                "name": limit.name,
                "value": limit.value,
                "unit": limit.unit,
                "code": limit.code,
                "reason": limit.reason,
            })
        })
        .collect();
    report.fact("limits", documents);
}

fn verdict(terminal: &Terminal<'_>, report: Report, examination: &Examination) -> Report {
    let missing: Vec<_> = examination
        .findings
        .iter()
        .filter(|finding| !finding.stands)
        .map(|finding| finding.wall.name())
        .collect();
    match (examination.runs, terminal.walls) {
        (Err(code), _) => report.failed(Failure::new(code).told_as("E_RUNNER")),
        (Ok(()), WallRule::Require) if !missing.is_empty() => {
            report.failed(Failure::with("E_WALLS", missing.join(", ")))
        }
        (Ok(()), WallRule::Require | WallRule::Accept) => report,
    }
}
