//! Figures to a table, to `target/bench.json`, and held against the ratios of before.

use crate::figures::{BUDGETS, Figures, budget, lower_is_better, read, worse};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::{fs, path::PathBuf, process::ExitCode};

/// What is read and written.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Lines `BENCH name value unit` of all rounds
    raw: PathBuf,
    /// Where the medians go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Ratios of before: tells what got worse by more than a fifth, exit code 1 then
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// Writes the ratios of now over those of before
    #[arg(long, requires = "before")]
    keep: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let raw = fs::read_to_string(&args.raw).with_context(|| args.raw.display().to_string())?;
    let figures = read(&raw)?;
    print!("{}", table(&figures));
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&document(&figures))?)?;
        println!("written: {}", path.display());
    }
    let Some(path) = &args.before else {
        return Ok(ExitCode::SUCCESS);
    };
    if args.keep {
        fs::write(
            path,
            serde_json::to_string_pretty(&ratios(&figures))? + "\n",
        )?;
        println!("kept: {}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    if !path.exists() {
        println!("no ratios are kept yet: KEEP=1 make bench-quick keeps these");
        return Ok(ExitCode::SUCCESS);
    }
    let before: Map<String, Value> = serde_json::from_str(&fs::read_to_string(path)?)?;
    let lines = compare(&figures, &before);
    lines.iter().for_each(|line| println!("{line}"));
    Ok(match lines.is_empty() {
        true => {
            println!("no ratio is worse by more than a fifth than the kept one");
            ExitCode::SUCCESS
        }
        false => ExitCode::FAILURE,
    })
}

fn table(figures: &Figures) -> String {
    let row = |name: &str, [median, min, max, unit, budget, verdict]: [&str; 6]| {
        format!("{name:<34} {median:>12} {min:>12} {max:>12} {unit:<9} {budget:<10} {verdict}\n")
    };
    let mut text = row(
        "name",
        ["median", "min", "max", "unit", "budget", "verdict"],
    );
    for (name, figure) in figures {
        let [median, min, max] =
            [figure.median(), figure.min(), figure.max()].map(|value| format!("{value:.2}"));
        let (promised, verdict) = match budget(name) {
            Some(budget) if budget.is_met(figure.median()) => (budget.to_string(), "met"),
            Some(budget) => (budget.to_string(), "MISSED"),
            None => (String::new(), ""),
        };
        let cells = [&median, &min, &max, &figure.unit, &promised];
        let [median, min, max, unit, promised] = cells.map(String::as_str);
        text += &row(name, [median, min, max, unit, promised, verdict]);
    }
    for (name, budget) in BUDGETS {
        if !figures.contains_key(name) {
            let budget = budget.to_string();
            text += &row(name, ["-", "", "", "", &budget, "not measured in this run"]);
        }
    }
    text
}

fn document(figures: &Figures) -> Value {
    let of = |(name, figure): (&String, &crate::figures::Figure)| {
        let value = json!({
            "value": figure.median(),
            "unit": figure.unit,
            "lower_is_better": lower_is_better(name),
        });
        (name.clone(), value)
    };
    Value::Object(figures.iter().map(of).collect())
}

/// Only ratios are kept: absolute times are those of one machine.
fn ratios(figures: &Figures) -> Map<String, Value> {
    let ratios = figures.iter().filter(|(_, figure)| figure.unit == "ratio");
    ratios
        .map(|(name, figure)| (name.clone(), json!(figure.median())))
        .collect()
}

fn compare(figures: &Figures, before: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in before {
        let (Some(now), Some(value)) = (figures.get(name), value.as_f64()) else {
            continue;
        };
        // what other work on the machine slowed down in one round is no news: every round must be worse
        let best = match lower_is_better(name) {
            true => now.min(),
            false => now.max(),
        };
        if let Some(times) = worse(name, best, value) {
            let now = best;
            lines.push(format!(
                "WORSE {name}: {now:.2}, was {value:.2} ({times:.2} times as bad)"
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = "BENCH redeem_per_s 3000 1/s\nBENCH redeem_per_s_at_1000000 2000 1/s\n\
                       BENCH exchanges 4 exchanges\n";

    #[test]
    fn the_table_says_what_is_met_and_what_is_missing() {
        let text = table(&read(RAW).unwrap());
        let line = |name: &str| {
            let found = text.lines().find(|line| line.starts_with(name));
            found.unwrap_or_default().to_owned()
        };
        assert!(
            line("redeem_scaling").ends_with("<= 1.2     MISSED"),
            "{text}"
        );
        assert!(line("exchanges").ends_with("<= 4       met"), "{text}");
        assert!(line("redeem_per_s ").ends_with("met"), "{text}");
        assert!(line("ledger_pg_vs_pgbench").contains("not measured"));
    }

    #[test]
    fn only_ratios_are_kept_and_compared() {
        let figures = read(RAW).unwrap();
        let kept = ratios(&figures);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["redeem_scaling"]);
        assert!(compare(&figures, &kept).is_empty());
        let slower = read(&RAW.replace("2000", "1600")).unwrap();
        let told = compare(&slower, &kept);
        assert!(told.len() == 1 && told[0].starts_with("WORSE redeem_scaling: 1.88"));
        let once = read(&(RAW.replace("2000", "1600") + RAW)).unwrap();
        assert_eq!(compare(&once, &kept), [""; 0], "one round of two");
        assert_eq!(document(&figures)["exchanges"]["lower_is_better"], true);
        assert_eq!(document(&figures)["redeem_per_s"]["lower_is_better"], false);
    }
}
