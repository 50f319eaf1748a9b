//! `tegata conformance`: runs the suite against this very binary and says how it went.

use conformance::{Options, Outcome, Status};
use serde_json::{Value, json};
use terminal::consent;
use terminal::failure::Failure;
use terminal::lang::Lang;
use terminal::report::Report;
use terminal::ui::Person;

/// How the rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines for a person.
    Lines,
    /// The page docs/conformance.md.
    Page,
}

/// Runs the selected rows.
pub(crate) fn run(options: &Options, form: Form, lang: Lang, person: &mut dyn Person) -> Report {
    let report = Report::new("conformance");
    person.tell(lang.pick(
        "Hostile programs against this terminal, in folders of their own; your own state, reader and issuers are not touched.",
        "この端末に敵対的なプログラムを試します。専用のフォルダーで行い、利用者の状態・リーダー・発行者には触れません。",
    ));
    let outcomes = conformance::run(options, |outcome| person.tell(&line(outcome)));
    match outcomes {
        Ok(outcomes) => finished(report, &outcomes, form, &ran(options), lang),
        Err(reason) => report.failed(Failure::with("E_CONFORMANCE", reason)),
    }
}

/// By which terminal and on what the cases were run.
fn ran(options: &Options) -> String {
    let build = if cfg!(debug_assertions) {
        "development build"
    } else {
        "release build"
    };
    let times = if options.full {
        "with `--full`"
    } else {
        "without `--full`"
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Run {} {times} by tegata {} ({build}) on {} {} with {processors} processors.",
        consent::utc(options.now),
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}

fn finished(mut report: Report, outcomes: &[Outcome], form: Form, ran: &str, lang: Lang) -> Report {
    let count = |word| {
        let rows = outcomes.iter();
        rows.filter(|outcome| outcome.status.word() == word).count()
    };
    let [passed, failed, not_here] = ["passed", "FAILED", "not here"].map(count);
    let verdict = match (failed, not_here) {
        (0, 0) => "passed",
        (0, _) => "incomplete",
        (_, _) => "failed",
    };
    report.outcome = verdict;
    report.fact("rows", outcomes.iter().map(document).collect::<Vec<_>>());
    report.fact("passed", passed);
    report.fact("failed", failed);
    report.fact("not_here", not_here);
    report.lines = match form {
        Form::Page => conformance::page(outcomes, ran)
            .lines()
            .map(str::to_owned)
            .collect(),
        Form::Lines => {
            let mut lines: Vec<_> = outcomes.iter().map(line).collect();
            lines.push(match lang {
                Lang::En => format!(
                    "{verdict}: {passed} passed, {failed} failed, {not_here} cannot be tried here"
                ),
                Lang::Ja => {
                    format!(
                        "{verdict}: 合格 {passed}、不合格 {failed}、ここでは実行不可 {not_here}"
                    )
                }
            });
            lines
        }
    };
    if failed == 0 {
        return report;
    }
    let ids = outcomes
        .iter()
        .filter(|outcome| matches!(outcome.status, Status::Failed(_)))
        .map(|outcome| outcome.id);
    report.failed(Failure::with(
        "E_CONFORMANCE",
        ids.collect::<Vec<_>>().join(" "),
    ))
}

fn line(outcome: &Outcome) -> String {
    let Outcome {
        id,
        title,
        inputs,
        slowest,
        ..
    } = outcome;
    let word = outcome.status.word();
    let line = format!(
        "{id:<4} {word:<9} {inputs:>6} inputs {:>5} ms  {title}",
        slowest.as_millis()
    );
    let mut more = outcome.left_out.clone();
    match &outcome.status {
        Status::Passed | Status::NotHere if more.is_empty() => return line,
        Status::Passed | Status::NotHere => {}
        Status::Failed(wrong) => more.extend_from_slice(wrong),
    }
    terminal::escape::shown(&format!("{line} ({})", more.join("; ")))
}

fn document(outcome: &Outcome) -> Value {
    let (status, details) = match &outcome.status {
        Status::Passed => ("passed", Vec::new()),
        Status::NotHere => ("not-here", Vec::new()),
        Status::Failed(wrong) => ("failed", wrong.clone()),
    };
    json!({
        "id": outcome.id,
        "title": outcome.title,
        "through": outcome.through,
        "status": status,
        "details": details,
        "left_out": outcome.left_out,
        "without_neighbour": outcome.without_neighbour,
        "inputs": outcome.inputs,
        "lawful": outcome.lawful,
        "slowest_ms": u64::try_from(outcome.slowest.as_millis()).unwrap_or(u64::MAX),
    })
}
