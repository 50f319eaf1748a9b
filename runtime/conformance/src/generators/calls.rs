//! O3: random sequences of calls to the host, against a model of the policy that is written from
//! docs/sandbox.md alone.

use std::cell::Cell;

use proptest::prelude::*;
use sandbox::ReaderError;

use super::Range;
use crate::guest::sequence;
use crate::ride::Script;

/// A command as the page's table names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Uid,
    Select,
    OtherSelect,
    Version,
    VersionMac,
    Handshake,
    OtherHandshake,
    Proof,
    More,
    MoreData,
    Value,
    Read,
    Credit,
    Debit,
    Write,
    LongWrite,
    Commit,
    Abort,
    Foreign,
}

const COMMANDS: [Command; 19] = [
    Command::Uid,
    Command::Select,
    Command::OtherSelect,
    Command::Version,
    Command::VersionMac,
    Command::Handshake,
    Command::OtherHandshake,
    Command::Proof,
    Command::More,
    Command::MoreData,
    Command::Value,
    Command::Read,
    Command::Credit,
    Command::Debit,
    Command::Write,
    Command::LongWrite,
    Command::Commit,
    Command::Abort,
    Command::Foreign,
];

/// Bytes of the write whose rest is sent by itself: 39 in all, of which the first frame has 15.
const WRITE_LEN: usize = 7 + 16 + 8;
const FIRST_FRAME: usize = 15;
const REST: usize = 10;

fn wrapped(instruction: u8, data: &[u8]) -> Vec<u8> {
    let mut command = vec![0x90, instruction, 0, 0];
    if !data.is_empty() {
        command.push(u8::try_from(data.len()).expect("short"));
        command.extend_from_slice(data);
    }
    command.push(0);
    command
}

impl Command {
    fn bytes(self) -> Vec<u8> {
        // File 2, offset 0, length 10: padded to one block, with header and MAC.
        let header = [2, 0, 0, 0, 10, 0, 0];
        let write = |len: usize| {
            let mut data = header.to_vec();
            data.resize(len, 0);
            wrapped(0x3D, &data)
        };
        match self {
            Self::Uid => vec![0xFF, 0xCA, 0, 0, 0],
            Self::Select => wrapped(0x5A, &[0x45, 0x4D, 0x31]),
            Self::OtherSelect => wrapped(0x5A, &[0, 0, 0]),
            Self::Version => wrapped(0x60, &[]),
            Self::VersionMac => wrapped(0x60, &[0; 8]),
            Self::Handshake => wrapped(0x71, &[1, 0]),
            Self::OtherHandshake => wrapped(0x71, &[2, 0]),
            Self::Proof => wrapped(0xAF, &[0; 32]),
            Self::More => wrapped(0xAF, &[]),
            Self::MoreData => wrapped(0xAF, &[0; REST]),
            Self::Value => wrapped(0x6C, &[0; 9]),
            Self::Read => wrapped(0xBB, &[0; 15]),
            Self::Credit => wrapped(0x0C, &[0; 25]),
            Self::Debit => wrapped(0xDC, &[0; 25]),
            Self::Write => write(WRITE_LEN),
            Self::LongWrite => write(FIRST_FRAME),
            Self::Commit => wrapped(0xC7, &[0; 8]),
            Self::Abort => wrapped(0xA7, &[0; 8]),
            Self::Foreign => vec![0x00, 0xA4, 0x04, 0x00, 0x00],
        }
    }
}

/// What the card answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// `90 00`.
    Plain,
    /// `91 00`.
    Done,
    /// `91 AF`.
    More,
    /// 16 bytes and `91 AF`.
    Challenge,
    /// `91 AE`.
    Error,
    /// One byte: no card answers that.
    Broken,
    /// None.
    Removed,
}

const ANSWERS: [Answer; 7] = [
    Answer::Plain,
    Answer::Done,
    Answer::More,
    Answer::Challenge,
    Answer::Error,
    Answer::Broken,
    Answer::Removed,
];

impl Answer {
    fn bytes(self) -> Result<Vec<u8>, ReaderError> {
        match self {
            Self::Plain => Ok(vec![0x90, 0x00]),
            Self::Done => Ok(vec![0x91, 0x00]),
            Self::More => Ok(vec![0x91, 0xAF]),
            Self::Challenge => Ok([vec![7; 16], vec![0x91, 0xAF]].concat()),
            Self::Error => Ok(vec![0x91, 0xAE]),
            Self::Broken => Ok(vec![0x91]),
            Self::Removed => Err(ReaderError::Removed),
        }
    }
}

/// The states of the page, section "Commands to the card".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Selected,
    Challenged,
    Session,
    /// Then back to start, selected or session: 0, 1, 2.
    Reading(u8),
    Writing(usize),
}

/// The page's rules, line by line.
#[derive(Debug)]
struct Model {
    state: State,
    handshakes: u32,
    proven: bool,
    credited: bool,
    committed: bool,
}

const fn back(level: u8) -> State {
    match level {
        0 => State::Start,
        1 => State::Selected,
        _ => State::Session,
    }
}

impl Model {
    const fn new() -> Self {
        Self {
            state: State::Start,
            handshakes: 0,
            proven: false,
            credited: false,
            committed: false,
        }
    }

    /// Whether the command is sent, and the states that `91 00`, `91 AF` and the one answer that
    /// is its own lead to; any other leads to start.
    #[expect(clippy::too_many_lines, reason = "the table of the page, row by row")]
    fn step(&mut self, command: Command, answer: Answer) -> bool {
        use State::{Challenged, Reading, Selected, Session, Start, Writing};
        let level = match self.state {
            Start => 0,
            Selected => 1,
            _ => 2,
        };
        let session = self.state == Session;
        // For `91 00` and for `91 AF`.
        let (done, more) = match command {
            Command::Uid if matches!(self.state, Start | Selected) => {
                self.state = if answer == Answer::Plain {
                    self.state
                } else {
                    Start
                };
                return true;
            }
            Command::Select => (Some(Selected), None),
            Command::Version if matches!(self.state, Start | Selected) => {
                (Some(self.state), Some(Reading(level)))
            }
            Command::VersionMac | Command::Value | Command::Read if session => {
                (Some(Session), Some(Reading(2)))
            }
            Command::Handshake if self.state == Selected && self.handshakes < 2 && !self.proven => {
                self.handshakes += 1;
                self.state = if answer == Answer::Challenge {
                    Challenged
                } else {
                    Start
                };
                return true;
            }
            Command::Proof if self.state == Challenged => {
                self.proven |= answer == Answer::Done;
                (Some(Session), None)
            }
            Command::More => match self.state {
                Reading(level) => (Some(back(level)), Some(Reading(level))),
                _ => return false,
            },
            Command::Proof | Command::MoreData => {
                let len = if command == Command::Proof { 32 } else { REST };
                match self.state {
                    Writing(left) if len <= left => {
                        (Some(Session), (left > len).then_some(Writing(left - len)))
                    }
                    _ => return false,
                }
            }
            Command::Credit if session && !self.credited => {
                self.credited = true;
                (Some(Session), None)
            }
            Command::Write if session => (Some(Session), None),
            Command::LongWrite if session => {
                (Some(Session), Some(Writing(WRITE_LEN - FIRST_FRAME)))
            }
            Command::Commit if session && self.credited && !self.committed => {
                self.committed = true;
                (Some(Session), None)
            }
            Command::Abort if session => (Some(Session), None),
            _ => return false,
        };
        let next = match answer {
            Answer::Done => done,
            Answer::More | Answer::Challenge => more,
            Answer::Plain | Answer::Error | Answer::Broken | Answer::Removed => None,
        };
        self.state = next.unwrap_or(Start);
        true
    }
}

/// A step that is likely to go on, and sometimes anything.
fn steps() -> impl Strategy<Value = Vec<(Command, Answer)>> {
    let lawful = [
        (Command::Uid, Answer::Plain),
        (Command::Select, Answer::Done),
        (Command::Handshake, Answer::Challenge),
        (Command::Proof, Answer::Done),
    ];
    let any_step = (
        prop::sample::select(&COMMANDS[..]),
        prop::sample::select(&ANSWERS[..]),
    );
    let done = prop::sample::select(&COMMANDS[..]).prop_map(|command| (command, Answer::Done));
    let more = prop::sample::select(&COMMANDS[..]).prop_map(|command| (command, Answer::More));
    let tail = prop::collection::vec(prop_oneof![1 => any_step, 3 => done, 1 => more], 0..14);
    (0..=lawful.len(), tail).prop_map(move |(prefix, tail)| [&lawful[..prefix], &tail].concat())
}

#[test]
fn what_reaches_the_card_is_what_the_page_says() {
    let range = Range::new();
    let in_session = Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let tried = runner.run(&steps(), |steps| {
        let mut model = Model::new();
        let (mut expected, mut answers) = (Vec::new(), Vec::new());
        let mut refused = 0;
        for (command, answer) in &steps {
            if model.step(*command, *answer) {
                expected.push(command.bytes());
                answers.push(answer.bytes());
            } else {
                refused += 1;
            }
            in_session.set(in_session.get() + usize::from(model.state == State::Session));
            if refused > sandbox::limits::REFUSALS_MAX {
                break;
            }
        }
        let bytes: Vec<_> = steps.iter().map(|(command, _)| command.bytes()).collect();
        let calls: Vec<_> = bytes
            .iter()
            .map(|bytes| ("transmit", bytes.as_slice()))
            .collect();
        let mut script = Script::plain();
        script.card = answers;
        let ridden = range.ride(range.maker().file(&sequence(&calls)), script);
        prop_assert_eq!(ridden.script.commands, expected);
        prop_assert_eq!(
            ridden.code == "E_LIMIT_CALLS",
            refused > sandbox::limits::REFUSALS_MAX
        );
        Ok(())
    });
    tried.expect("policy and page agree");
    assert!(
        in_session.get() > 50,
        "too few sequences came into a session"
    );
}
