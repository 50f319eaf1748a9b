//! Rows of the tables, and how one is judged: each input against its code, then its lawful
//! neighbour, then what must be true after every case.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::NOT_BUILT;
use crate::bench::{self, Bench, Input};
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
    /// A sequence of steps; says how many inputs it tried.
    Script(fn(&Bench) -> Result<usize, String>),
}

impl Check {
    const fn through(self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Run(_) => "runner",
            Self::Script(_) => "script",
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
    mended: Option<Input>,
}

/// An input that must end with one of these codes, separated by blanks; `ok` is success.
pub(crate) fn case(name: impl Into<String>, input: Input, codes: &'static str) -> Case {
    Case {
        name: name.into(),
        input,
        expect: codes.split(' ').collect(),
        exchanges: usize::from(codes == "ok"),
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

    /// Without a neighbour: another input of the same row has the same one.
    pub(crate) fn alone(self) -> Self {
        Self {
            mended: None,
            ..self
        }
    }

    fn run(&self, bench: &Bench) -> Result<Duration, String> {
        let opened = bench.open(&self.input)?;
        let took = opened.took;
        if !self.expect.contains(&opened.code.as_str()) {
            return Err(format!("{} in place of {:?}", opened.code, self.expect));
        }
        if opened.exchanges != self.exchanges || opened.apdus != 0 {
            let (exchanges, apdus) = (opened.exchanges, opened.apdus);
            return Err(format!("{exchanges} exchanges, {apdus} commands"));
        }
        let Some(mended) = &self.mended else {
            return Ok(took);
        };
        let opened = bench
            .open(mended)
            .map_err(|error| format!("mended: {error}"))?;
        if opened.code != "ok" || opened.exchanges != 1 {
            return Err(format!("mended: {}: {}", opened.code, opened.shown));
        }
        Ok(took.max(opened.took))
    }
}

/// How a row ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Every input had its outcome and every post-condition held.
    Passed,
    /// What did not, input by input.
    Failed(Vec<String>),
    /// The product does not have this yet; what of the row can run has run.
    NotBuilt(&'static str),
}

impl Status {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "FAILED",
            Self::NotBuilt(_) => "not built",
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
    /// The longest that one input took.
    pub slowest: Duration,
}

impl Row {
    /// Runs the row on `bench`.
    pub(crate) fn run(&self, bench: &Bench) -> Outcome {
        let judged = catch_unwind(AssertUnwindSafe(|| self.judge(bench)));
        let (inputs, slowest, wrong) = judged.unwrap_or_else(|_| {
            let wrong = vec!["the suite itself panicked".to_owned()];
            (0, Duration::ZERO, wrong)
        });
        let not_built = NOT_BUILT.iter().find(|(id, _)| *id == self.id);
        let status = match (wrong.is_empty(), not_built) {
            (false, _) => Status::Failed(wrong),
            (true, Some((_, why))) => Status::NotBuilt(why),
            (true, None) => Status::Passed,
        };
        Outcome {
            id: self.id,
            title: self.title,
            through: self.check.through(),
            status,
            inputs,
            slowest,
        }
    }

    fn judge(&self, bench: &Bench) -> (usize, Duration, Vec<String>) {
        let mut slowest = Duration::ZERO;
        let mut wrong = Vec::new();
        let mut note = |name: &str, result: Result<Duration, String>| match result {
            Ok(took) => slowest = slowest.max(took),
            Err(error) => wrong.push(format!("{name}: {error}")),
        };
        let inputs = match self.check {
            Check::Open(cases) => {
                let cases = cases(&bench.maker());
                for case in &cases {
                    note(&case.name, case.run(bench));
                }
                cases.len()
            }
            Check::Run(rides) => {
                let rides = rides();
                for ride in &rides {
                    note(ride.name(), ride.run(bench));
                }
                rides.len()
            }
            Check::Script(script) => {
                let begun = bench::now();
                let result = script(bench);
                let inputs = *result.as_ref().unwrap_or(&0);
                // The bound is for one input; a script tries many.
                note("script", result.map(|_| begun.elapsed()));
                inputs
            }
        };
        (inputs, slowest, wrong)
    }
}
