//! The conformance suite: hostile programs and hostile mail against the installed terminal.
//!
//! One table per section; a row is a list of inputs, each with the stable code it must end with and
//! its lawful neighbour, the same input with one thing mended, which must be credited: so no row
//! passes for the wrong reason. After each input the terminal left exactly one run record, card and
//! issuer saw nothing, no temporary file is left, nothing unescaped was printed, and time and memory
//! are within bounds. The terminal is started as a process, with a state folder, a card and an
//! issuer that exist for the run only. Report: docs/conformance.md.
//!
//! What is absent: the user's state folder, reader and network beyond loopback.

mod bench;
mod card;
#[cfg(test)]
mod generators;
mod guest;
mod issuer;
mod maker;
mod page;
mod ride;
mod row;
mod sections;
mod wasm;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

pub use page::page;
pub use row::{Outcome, Status};

use bench::Bench;
use row::Row;

/// What to run and against what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The terminal to be judged.
    pub executable: PathBuf,
    /// Unix time now.
    pub now: u64,
    /// Only rows whose id begins with this: a section's letter or a whole id.
    pub only: Option<String>,
    /// The longest that one input may take.
    pub time_max: Duration,
    /// Whether rows that repeat one thing do so as often as the table of cases asks; else less often.
    pub full: bool,
}

/// The longest that one input may take on a person's computer, in milliseconds.
pub const TIME_MAX_MS: u64 = 2_000;

/// Benches that work side by side; each starts one terminal at a time, and that one runner.
const WORKERS: usize = 2;

/// A row as it stands in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Letter and number.
    pub id: &'static str,
    /// What is tried.
    pub title: &'static str,
}

/// Every row, in the order of the tables.
#[must_use]
pub fn table() -> Vec<Entry> {
    let row = |row: &Row| Entry {
        id: row.id,
        title: row.title,
    };
    sections::all().map(row).collect()
}

/// Letter and name of each section.
#[must_use]
pub const fn sections() -> &'static [(char, &'static str)] {
    sections::NAMES
}

/// Whether `only` selects a row: a section's letter or a whole id.
#[must_use]
pub fn selects(only: &str, id: &str) -> bool {
    id == only || (only.len() == 1 && id.starts_with(only))
}

/// Runs the selected rows and returns their outcomes in the order of the tables.
///
/// `progress` is called with each outcome as it comes.
///
/// # Errors
/// The surroundings of the terminal could not be made, or a lawful program does not run, in words.
pub fn run(options: &Options, mut progress: impl FnMut(&Outcome)) -> Result<Vec<Outcome>, String> {
    let selected = |id: &str| options.only.as_deref().is_none_or(|only| selects(only, id));
    let rows: Vec<&Row> = sections::all().filter(|row| selected(row.id)).collect();
    let workers = WORKERS.min(rows.len());
    let alone = std::sync::Arc::default();
    let benches = (0..workers).map(|_| Bench::beside_others(options, &alone));
    let benches = benches.collect::<Result<Vec<_>, _>>()?;
    let next = AtomicUsize::new(0);
    let mut outcomes: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for bench in benches {
            let (sender, next, rows) = (sender.clone(), &next, &rows);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(place) else {
                        return;
                    };
                    if sender.send((place, row.run(&bench))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver
            .iter()
            .inspect(|(_, outcome)| progress(outcome))
            .collect()
    });
    outcomes.sort_by_key(|(place, _)| *place);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}
