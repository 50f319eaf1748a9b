//! Figures of several rounds: medians, spreads, ratios, and what they must keep.
#![expect(
    clippy::float_arithmetic,
    reason = "figures are divided; no money is near"
)]

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// What a figure must keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Budget {
    AtMost(f64),
    AtLeast(f64),
}

use Budget::{AtLeast, AtMost};

impl Budget {
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            AtMost(most) => value <= most,
            AtLeast(least) => value >= least,
        }
    }
}

impl core::fmt::Display for Budget {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            AtMost(most) => write!(f, "<= {most}"),
            AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

/// What was promised.
pub(crate) const BUDGETS: [(&str, Budget); 38] = [
    ("compile_vs_floor", AtMost(1.3)),
    ("compile_vs_wac", AtMost(0.3)),
    ("program_bytes", AtMost(12_288.0)),
    ("admit_us", AtMost(500.0)),
    ("run_vs_wasmtime", AtMost(1.5)),
    ("relay_us", AtMost(100.0)),
    ("child_ready_ms", AtMost(15.0)),
    ("compile_worst_ms", AtMost(250.0)),
    ("soak_memory_growth_kb", AtMost(4_096.0)),
    ("soak_descriptor_growth", AtMost(0.0)),
    ("exchanges", AtMost(4.0)),
    ("apdus", AtMost(12.0)),
    ("ledger_sqlite_vs_pgbench", AtLeast(6.0)),
    ("ledger_pg_vs_pgbench", AtLeast(3.0)),
    ("redeem_pg_per_s", AtLeast(3_000.0)),
    ("redeem_pg_two_vs_one", AtLeast(1.0)),
    ("start_up_ms_pg", AtMost(1_000.0)),
    ("server_idle_mb_pg", AtMost(40.0)),
    ("ledger_peak_per_s", AtLeast(100_000.0)),
    ("redeem_per_s", AtLeast(3_000.0)),
    ("redeem_scaling", AtMost(1.2)),
    ("list_p99_us_at_1000000", AtMost(50_000.0)),
    ("list_next_p99_us_at_1000000", AtMost(50_000.0)),
    ("order_read_p99_us_at_1000000", AtMost(50_000.0)),
    ("issuer_p99_us_at_1000000", AtMost(50_000.0)),
    ("status_p99_us_at_1000000", AtMost(50_000.0)),
    ("page_p99_us_at_1000000", AtMost(50_000.0)),
    ("start_up_ms_at_1000000", AtMost(1_000.0)),
    ("server_idle_mb_at_1000000", AtMost(40.0)),
    ("list_p99_us_pg_at_1000000", AtMost(50_000.0)),
    ("order_read_p99_us_pg_at_1000000", AtMost(50_000.0)),
    ("issuer_p99_us_pg_at_1000000", AtMost(50_000.0)),
    ("status_p99_us_pg_at_1000000", AtMost(50_000.0)),
    ("page_p99_us_pg_at_1000000", AtMost(50_000.0)),
    ("start_up_ms_pg_at_1000000", AtMost(1_000.0)),
    ("server_idle_mb_pg_at_1000000", AtMost(40.0)),
    ("server_rss_mb", AtMost(150.0)),
    ("server_rss_growth_mb", AtMost(5.0)),
];

/// Ratios, taken round by round: name, numerator, denominator.
const RATIOS: [(&str, &str, &str); 14] = [
    (
        "redeem_pg_two_vs_one",
        "redeem_pg_two_per_s",
        "redeem_pg_per_s",
    ),
    (
        "ledger_pg_vs_pgbench",
        "ledger_pg_per_s",
        "pgbench_beside_pg_per_s",
    ),
    (
        "ledger_sqlite_vs_pgbench",
        "ledger_sqlite_per_s",
        "pgbench_per_s",
    ),
    (
        "ledger_sqlite_vs_raw",
        "ledger_sqlite_per_s",
        "raw_sqlite_per_s",
    ),
    (
        "ledger_peak_vs_raw",
        "ledger_peak_per_s",
        "raw_sqlite_per_s",
    ),
    (
        "ledger_batch_vs_raw",
        "ledger_batch_per_s",
        "raw_sqlite_per_s",
    ),
    ("redeem_vs_axum", "redeem_per_s", "axum_post_per_s"),
    ("order_vs_axum", "order_per_s", "axum_post_per_s"),
    ("list_vs_axum", "list_per_s", "axum_post_per_s"),
    ("page_vs_axum", "page_per_s", "axum_post_per_s"),
    ("redeem_scaling", "redeem_per_s", "redeem_per_s_at_1000000"),
    (
        "redeem_cpu_scaling",
        "redeem_cpu_us_at_1000000",
        "redeem_cpu_us",
    ),
    (
        "redeem_scaling_at_100000",
        "redeem_per_s",
        "redeem_per_s_at_100000",
    ),
    (
        "redeem_cpu_scaling_at_100000",
        "redeem_cpu_us_at_100000",
        "redeem_cpu_us",
    ),
];

/// A figure's values, one for each round, and their unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figure {
    pub(crate) values: Vec<f64>,
    pub(crate) unit: String,
}

impl Figure {
    /// The middle value; of an even number the mean of the two.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        match (sorted.get(half.wrapping_sub(1)), sorted.get(half)) {
            (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => (below + above) / 2.0,
            (_, Some(middle)) => *middle,
            (_, None) => f64::NAN,
        }
    }

    pub(crate) fn min(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.values
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max)
    }
}

/// By name.
pub(crate) type Figures = BTreeMap<String, Figure>;

/// Reads lines `BENCH name value unit`; other lines are talk.
///
/// # Errors
/// A line that begins so and is none.
pub(crate) fn read(text: &str) -> Result<Figures> {
    let mut figures = Figures::new();
    for line in text.lines().filter(|line| line.starts_with("BENCH ")) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, name, value, unit] = words.as_slice() else {
            bail!("no figure: {line}");
        };
        let figure = figures.entry((*name).to_owned()).or_default();
        figure
            .values
            .push(value.parse().with_context(|| line.to_owned())?);
        figure.unit = (*unit).to_owned();
    }
    for (name, above, below) in RATIOS {
        if let (Some(above), Some(below)) = (figures.get(above), figures.get(below)) {
            let pairs = above.values.iter().zip(&below.values);
            let values = pairs.map(|(above, below)| above / below).collect();
            let unit = "ratio".to_owned();
            figures.insert(name.to_owned(), Figure { values, unit });
        }
    }
    Ok(figures)
}

/// The budget of a figure.
pub(crate) fn budget(name: &str) -> Option<Budget> {
    let found = BUDGETS.iter().find(|(of, _)| *of == name);
    found.map(|(_, budget)| *budget)
}

/// Whether less of it is better.
pub(crate) fn lower_is_better(name: &str) -> bool {
    match budget(name) {
        Some(AtMost(_)) => true,
        Some(AtLeast(_)) => false,
        None => {
            let more = ["per_s", "_commit", "_vs_raw", "_vs_axum", "_vs_pgbench"];
            !more.iter().any(|part| name.contains(part))
        }
    }
}

/// How much worse than before a ratio may be: a fifth.
const WORSE_MAX: f64 = 1.2;

/// How many times worse `now` is than `before`, where that is more than a fifth.
pub(crate) fn worse(name: &str, now: f64, before: f64) -> Option<f64> {
    let times = match lower_is_better(name) {
        true => now / before,
        false => before / now,
    };
    (times > WORSE_MAX || times.is_nan()).then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let text = "talk\nBENCH ledger_sqlite_per_s 60 1/s\nBENCH pgbench_per_s 10 1/s\n\
                    BENCH ledger_sqlite_per_s 10 1/s\nBENCH pgbench_per_s 1 1/s\n";
        let figures = read(text).unwrap();
        assert_eq!(figures["ledger_sqlite_vs_pgbench"].values, [6.0, 10.0]);
        assert!((figures["ledger_sqlite_vs_pgbench"].median() - 8.0).abs() < 1e-9);
        assert!((figures["pgbench_per_s"].max() - 10.0).abs() < 1e-9);
        assert!(!figures.contains_key("redeem_scaling"));
        assert!(read("BENCH half").is_err());
    }

    #[test]
    fn the_middle_is_the_middle() {
        let of = |values: &[f64]| Figure {
            values: values.to_vec(),
            unit: String::new(),
        };
        assert!((of(&[9.0, 1.0, 2.0]).median() - 2.0).abs() < 1e-9);
        assert!((of(&[4.0]).median() - 4.0).abs() < 1e-9);
        assert!(of(&[]).median().is_nan());
    }

    #[test]
    fn a_fifth_worse_is_let_pass_and_more_is_told() {
        assert_eq!(worse("redeem_scaling", 1.2, 1.0), None);
        assert!(worse("redeem_scaling", 1.21, 1.0).is_some());
        assert!(worse("redeem_scaling", 0.1, 1.0).is_none());
        assert_eq!(worse("ledger_sqlite_vs_pgbench", 5.0, 6.0), None);
        assert!(worse("ledger_sqlite_vs_pgbench", 4.9, 6.0).is_some());
        assert!(worse("ledger_sqlite_vs_pgbench", f64::NAN, 6.0).is_some());
    }

    #[test]
    fn a_budget_is_met_exactly_at_its_bound() {
        assert!(AtMost(4.0).is_met(4.0) && !AtMost(4.0).is_met(4.1));
        assert!(AtLeast(6.0).is_met(6.0) && !AtLeast(6.0).is_met(5.9));
        assert!(!AtLeast(6.0).is_met(f64::NAN) && !AtMost(6.0).is_met(f64::NAN));
    }
}
