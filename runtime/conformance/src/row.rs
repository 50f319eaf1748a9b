//! Rows of the tables, and how one is judged: each input against its code, then its lawful
//! neighbour, then what must be true after every case.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::bench::{Bench, Input, Seen};
use crate::guest::Guest;
use crate::maker::Maker;
use crate::ride::Ride;

/// One row of a section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) check: Check,
}

/// How a row is run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Check {
    /// Files that the installed terminal opens.
    Open(fn(&Maker<'_>) -> Vec<Case>),
    /// Guests that run in the installed runner, with a card and an issuer that follow a script.
    Run(fn() -> Vec<Ride>),
    /// A sequence of steps.
    Script(fn(&Bench) -> Result<Ran, String>),
    /// The same while no other row runs: what it counts, others would change.
    Alone(fn(&Bench) -> Result<Ran, String>),
}

impl Check {
    const fn through(self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Run(_) => "runner",
            Self::Script(_) | Self::Alone(_) => "script",
        }
    }
}

/// What a script tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ran {
    inputs: usize,
    without_neighbour: Option<&'static str>,
    left_out: Vec<String>,
}

impl Ran {
    /// So many inputs ended as they must.
    pub(crate) fn inputs(inputs: usize) -> Self {
        Self {
            inputs,
            ..Self::default()
        }
    }

    /// Nothing of it can be tried on this system.
    pub(crate) fn not_here(why: impl Into<String>) -> Self {
        Self::inputs(0).leaving_out(why)
    }

    /// One input could not be tried on this system.
    pub(crate) fn leaving_out(mut self, why: impl Into<String>) -> Self {
        self.left_out.push(why.into());
        self
    }

    /// Why no lawful program runs in this row.
    pub(crate) fn without_neighbour(self, why: &'static str) -> Self {
        Self {
            without_neighbour: Some(why),
            ..self
        }
    }
}

/// One input of a row that the terminal opens.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    name: String,
    input: Input,
    expect: Vec<&'static str>,
    exchanges: usize,
    told: Option<String>,
    mended: Option<Input>,
}

/// An input that must end with one of these codes, separated by blanks; `ok` is success.
pub(crate) fn case(name: impl Into<String>, input: Input, codes: &'static str) -> Case {
    Case {
        name: name.into(),
        input,
        expect: codes.split(' ').collect(),
        exchanges: usize::from(codes == "ok"),
        told: None,
        mended: None,
    }
}

/// A program with a hostile guest, and the same with the guest mended.
pub(crate) fn guest(
    maker: &Maker<'_>,
    name: impl Into<String>,
    hostile: &Guest,
    codes: &'static str,
    mended: &Guest,
) -> Case {
    case(name, Input::file(maker.file(hostile)), codes).mended(maker.file(mended))
}

/// A lawful file of a remittance of its own, changed; the unchanged one is its neighbour.
pub(crate) fn changed(
    maker: &Maker<'_>,
    name: impl Into<String>,
    codes: &'static str,
    change: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Case {
    let lawful = maker.lawful();
    case(name, Input::file(change(&lawful)), codes).mended(lawful)
}

impl Case {
    /// Its lawful neighbour: the same with one thing mended, which must be credited.
    pub(crate) fn mended(self, file: Vec<u8>) -> Self {
        self.mended_input(Input::file(file))
    }

    /// The same for anything that can be opened.
    pub(crate) fn mended_input(self, input: Input) -> Self {
        Self {
            mended: Some(input),
            ..self
        }
    }

    /// With these words in what the person is told.
    pub(crate) fn telling(self, words: &str) -> Self {
        Self {
            told: Some(words.to_owned()),
            ..self
        }
    }

    fn run(&self, bench: &Bench) -> Result<(), String> {
        let opened = bench.open(&self.input)?;
        if !self.expect.contains(&opened.code.as_str()) {
            return Err(format!("{} in place of {:?}", opened.code, self.expect));
        }
        if opened.exchanges != self.exchanges || opened.commands != 0 {
            let (exchanges, commands) = (opened.exchanges, opened.commands);
            return Err(format!("{exchanges} exchanges, {commands} commands"));
        }
        if let Some(words) = &self.told
            && !opened.shown.contains(words)
        {
            return Err(format!("{words:?} is not told: {}", opened.shown));
        }
        let Some(mended) = &self.mended else {
            // Credited itself, it is lawful; anything else could have failed for the wrong reason.
            let lawful = self.expect == ["ok"];
            return lawful.then_some(()).ok_or("no lawful neighbour".to_owned());
        };
        let opened = bench
            .open(mended)
            .map_err(|error| format!("mended: {error}"))?;
        if opened.code != "ok" || opened.exchanges != 1 || opened.commands != 0 {
            return Err(format!("mended: {}: {}", opened.code, opened.shown));
        }
        Ok(())
    }
}

/// How a row ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Every input had its outcome and every post-condition held.
    Passed,
    /// What did not, input by input.
    Failed(Vec<String>),
    /// Nothing of it can be tried on this system.
    NotHere,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "FAILED",
            Self::NotHere => "not here",
        }
    }
}

/// The result of one row.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Letter and number.
    pub id: &'static str,
    /// What is tried.
    pub title: &'static str,
    /// `open`: the whole terminal; `runner`: admission, runner process and policy; `script`: steps
    /// of its own.
    pub through: &'static str,
    /// How it ended.
    pub status: Status,
    /// Inputs tried, neighbours not counted.
    pub inputs: usize,
    /// Lawful programs that were credited or gave their result beside them.
    pub lawful: usize,
    /// Why a script has no lawful program.
    pub without_neighbour: Option<&'static str>,
    /// What could not be tried on this system, and why.
    pub left_out: Vec<String>,
    /// The longest that one start of the terminal, or one run of the runner, took.
    pub slowest: Duration,
}

impl Row {
    /// Runs the row on `bench`.
    pub(crate) fn run(&self, bench: &Bench) -> Outcome {
        let _others = bench.beside(matches!(self.check, Check::Alone(_)));
        bench.begin();
        let judged = catch_unwind(AssertUnwindSafe(|| self.judge(bench)));
        let (ran, wrong) = judged.unwrap_or_else(|_| {
            let wrong = vec!["the suite itself panicked".to_owned()];
            (Ran::default(), wrong)
        });
        let seen = bench.seen();
        let bounds = (bench.options.time_max, bench.memory_kib_max());
        let status = verdict(&ran, seen, bounds, wrong);
        Outcome {
            id: self.id,
            title: self.title,
            through: self.check.through(),
            status,
            inputs: ran.inputs,
            lawful: seen.lawful,
            without_neighbour: ran.without_neighbour,
            left_out: ran.left_out,
            slowest: seen.slowest,
        }
    }

    fn judge(&self, bench: &Bench) -> (Ran, Vec<String>) {
        let mut wrong = Vec::new();
        let mut note = |name: &str, result: Result<(), String>| {
            if let Err(error) = result {
                wrong.push(format!("{name}: {error}"));
            }
        };
        let ran = match self.check {
            Check::Open(cases) => {
                let cases = cases(&bench.maker());
                for case in &cases {
                    note(&case.name, case.run(bench));
                }
                Ran::inputs(cases.len())
            }
            Check::Run(rides) => {
                let rides = rides();
                for ride in &rides {
                    note(ride.name(), ride.run(bench));
                }
                Ran::inputs(rides.len())
            }
            Check::Script(script) | Check::Alone(script) => match script(bench) {
                Ok(ran) => ran,
                Err(error) => {
                    note("script", Err(error));
                    Ran::default()
                }
            },
        };
        (ran, wrong)
    }
}

/// What a row comes to, after each of its inputs was judged: `wrong` is what those found. `bounds`: time, and
/// memory in KiB as far as the system tells.
///
/// A row in which no lawful program runs fails unless it says why, and so does one that tries nothing.
fn verdict(
    ran: &Ran,
    seen: Seen,
    (time_max, memory_kib_max): (Duration, Option<u64>),
    mut wrong: Vec<String>,
) -> Status {
    match seen.peak_kib.zip(memory_kib_max) {
        Some((peak, max)) if peak > max => wrong.push(format!("{peak} KiB of memory")),
        _ => {}
    }
    if seen.slowest > time_max {
        wrong.push(format!("took {} ms", seen.slowest.as_millis()));
    }
    let not_here = ran.inputs == 0 && !ran.left_out.is_empty();
    if wrong.is_empty() && !not_here {
        match (seen.lawful, ran.without_neighbour) {
            (0, None) => wrong.push("no lawful neighbour ran".to_owned()),
            (1.., Some(_)) => wrong.push("a reason for no neighbour, and one ran".to_owned()),
            (0, Some(_)) | (1.., None) => {}
        }
        if ran.inputs == 0 {
            wrong.push("nothing was tried".to_owned());
        }
    }
    match (wrong.is_empty(), not_here) {
        (false, _) => Status::Failed(wrong),
        (true, true) => Status::NotHere,
        (true, false) => Status::Passed,
    }
}

#[cfg(test)]
mod tests {
    use super::{Ran, Status, verdict};
    use crate::bench::Seen;
    use std::time::Duration;

    const MAX: Duration = Duration::from_millis(crate::TIME_MAX_MS);

    #[track_caller]
    fn check(ran: Ran, lawful: usize, slowest: Duration, expected: Result<Status, &str>) {
        let seen = Seen {
            slowest,
            lawful,
            peak_kib: None,
        };
        let status = verdict(&ran, seen, (MAX, None), Vec::new());
        let expected = expected.unwrap_or_else(|why| Status::Failed(vec![why.to_owned()]));
        assert_eq!(status, expected);
    }

    #[test]
    fn a_row_passes_with_a_lawful_program_or_a_reason_and_within_its_time() {
        let none = Duration::ZERO;
        let passed = Ok(Status::Passed);
        check(Ran::inputs(3), 1, none, passed.clone());
        check(Ran::inputs(3), 0, none, Err("no lawful neighbour ran"));
        let reasoned = Ran::inputs(3).without_neighbour("none can");
        check(reasoned.clone(), 0, none, passed.clone());
        let both = "a reason for no neighbour, and one ran";
        check(reasoned, 1, none, Err(both));
        check(Ran::inputs(0), 1, none, Err("nothing was tried"));
        check(Ran::inputs(1), 1, MAX, passed);
        let late = MAX + Duration::from_millis(1);
        check(Ran::inputs(1), 1, late, Err("took 2001 ms"));
    }

    #[test]
    fn a_row_holds_as_much_memory_as_it_may_and_not_one_kib_more() {
        for (peak, passed) in [(500, true), (501, false)] {
            let seen = Seen {
                peak_kib: Some(peak),
                lawful: 1,
                ..Seen::default()
            };
            let status = verdict(&Ran::inputs(1), seen, (MAX, Some(500)), Vec::new());
            assert_eq!(status == Status::Passed, passed);
        }
    }

    #[test]
    fn what_cannot_be_tried_here_is_not_passed() {
        let none = Duration::ZERO;
        check(Ran::not_here("no /proc"), 0, none, Ok(Status::NotHere));
        let some = Ran::inputs(2).leaving_out("one signal");
        check(some, 2, none, Ok(Status::Passed));
        let wrong = vec!["x".to_owned()];
        let seen = Seen::default();
        let ran = Ran::not_here("no /proc");
        let status = verdict(&ran, seen, (MAX, None), wrong.clone());
        assert_eq!(status, Status::Failed(wrong));
    }
}
