//! Which commands may reach the card, as a state machine over commands and answers.
//!
//! Commands are wrapped native commands of the card (ISO/IEC 7816-4 short form, CLA 90) and the one
//! pseudo-command that asks the reader for the card's UID. What a command carries is encrypted to
//! the card; the policy sees instruction, lengths and status. Table: docs/sandbox.md, "Policy".

use program::Kind;

/// Shortest answer: SW1 SW2.
pub const ANSWER_LEN_MIN: usize = 2;
/// Longest answer of a short command: 256 bytes and SW1 SW2.
pub const ANSWER_LEN_MAX: usize = 258;
/// Bytes that one write to the card may announce: our longest record has 30.
pub const WRITE_LEN_MAX: usize = 64;

/// Get Data of the reader: the card's UID (PC/SC part 3, 3.2.2.1.3).
const READ_UID: [u8; 5] = [0xFF, 0xCA, 0x00, 0x00, 0x00];
/// The purse application's id as it goes over the wire.
const AID: [u8; 3] = [0x45, 0x4D, 0x31];
/// Length of the card's challenge, and of the reader's answer to it.
const CHALLENGE_LEN: usize = 16;
const CHALLENGE_ANSWER_LEN: usize = 32;
/// Length of a MAC at the end of an authenticated command.
const MAC_LEN: usize = 8;
/// Length of one encrypted block.
const BLOCK_LEN: usize = 16;
/// File number, offset and length before the data of a read or a write.
const FILE_HEADER_LEN: usize = 7;
/// Handshakes that a run may begin; at most one may succeed.
const HANDSHAKES_MAX: usize = 2;

/// Native commands by their instruction byte.
mod ins {
    pub(super) const SELECT: u8 = 0x5A;
    pub(super) const GET_VERSION: u8 = 0x60;
    pub(super) const AUTHENTICATE: u8 = 0x71;
    pub(super) const MORE: u8 = 0xAF;
    pub(super) const READ_DATA: u8 = 0xBD;
    pub(super) const READ_RECORDS: u8 = 0xBB;
    pub(super) const GET_VALUE: u8 = 0x6C;
    pub(super) const CREDIT: u8 = 0x0C;
    pub(super) const DEBIT: u8 = 0xDC;
    pub(super) const WRITE_RECORD: u8 = 0x3B;
    pub(super) const WRITE_DATA: u8 = 0x3D;
    pub(super) const COMMIT: u8 = 0xC7;
    pub(super) const ABORT: u8 = 0xA7;
}

/// How far the session with the card has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Nothing is known of the card.
    Start,
    /// Our application is selected.
    Selected,
    /// The card has proven a key and has been proven one.
    Authenticated,
}

/// What the card waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Any command of the level.
    Idle(Level),
    /// The answer to its challenge.
    Challenged,
    /// A request for the rest of its answer; then back to the level.
    Reading(Level),
    /// The rest of a write, this many bytes at most.
    Writing(usize),
}

/// What was sent, and so what its answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent(Meaning);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// To the reader, not to the card: changes nothing.
    Uid(Level),
    Select,
    Handshake,
    ChallengeAnswer,
    /// Answers that may come in parts.
    Read(Level),
    /// So many bytes of the message are still to be sent at most.
    Write(usize),
    /// One command, one answer, in an authenticated session.
    Plain,
}

/// State of one run's conversation with the card.
#[derive(Debug)]
pub struct State {
    kind: Kind,
    phase: Phase,
    handshakes: usize,
    authenticated_once: bool,
    value_sent: bool,
    commit_sent: bool,
}

impl State {
    /// A run of a program of this kind, before its first command.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            phase: Phase::Idle(Level::Start),
            handshakes: 0,
            authenticated_once: false,
            value_sent: false,
            commit_sent: false,
        }
    }

    /// Allows a command and counts it as sent, or denies it and changes nothing.
    pub fn permit(&mut self, command: &[u8]) -> Option<Sent> {
        self.meaning(command).map(Sent)
    }

    fn meaning(&mut self, command: &[u8]) -> Option<Meaning> {
        if command == READ_UID {
            return match self.phase {
                Phase::Idle(level @ (Level::Start | Level::Selected)) => Some(Meaning::Uid(level)),
                Phase::Idle(Level::Authenticated)
                | Phase::Challenged
                | Phase::Reading(_)
                | Phase::Writing(_) => None,
            };
        }
        let (instruction, data) = wrapped(command)?;
        // Selecting our application is possible at any time: it drops session and transaction.
        if instruction == ins::SELECT {
            return (data == AID).then_some(Meaning::Select);
        }
        match (self.phase, instruction) {
            (Phase::Challenged, ins::MORE) => {
                (data.len() == CHALLENGE_ANSWER_LEN).then_some(Meaning::ChallengeAnswer)
            }
            (Phase::Reading(level), ins::MORE) => data.is_empty().then_some(Meaning::Read(level)),
            (Phase::Writing(left), ins::MORE) if !data.is_empty() => {
                left.checked_sub(data.len()).map(Meaning::Write)
            }
            (Phase::Idle(level), ins::GET_VERSION) => {
                let mac_len = if level == Level::Authenticated {
                    MAC_LEN
                } else {
                    0
                };
                (data.len() == mac_len).then_some(Meaning::Read(level))
            }
            (Phase::Idle(Level::Selected), ins::AUTHENTICATE) => self.handshake(data),
            (Phase::Idle(Level::Authenticated), instruction) => self.in_session(instruction, data),
            _ => None,
        }
    }

    fn handshake(&mut self, data: &[u8]) -> Option<Meaning> {
        let key = match self.kind {
            Kind::Credit | Kind::Debit => 1,
        };
        // Key number, and no capabilities of the reader.
        let permitted =
            data == [key, 0] && self.handshakes < HANDSHAKES_MAX && !self.authenticated_once;
        if !permitted {
            return None;
        }
        self.handshakes = self.handshakes.saturating_add(1);
        Some(Meaning::Handshake)
    }

    fn in_session(&mut self, instruction: u8, data: &[u8]) -> Option<Meaning> {
        let value = match self.kind {
            Kind::Credit => ins::CREDIT,
            Kind::Debit => ins::DEBIT,
        };
        let len = data.len();
        match instruction {
            ins::READ_DATA | ins::READ_RECORDS => {
                (len == FILE_HEADER_LEN + MAC_LEN).then_some(Meaning::Read(Level::Authenticated))
            }
            ins::GET_VALUE => (len == 1 + MAC_LEN).then_some(Meaning::Read(Level::Authenticated)),
            ins::WRITE_RECORD | ins::WRITE_DATA => {
                write_len_max(data)?.checked_sub(len).map(Meaning::Write)
            }
            ins::COMMIT if self.value_sent && !self.commit_sent => {
                // With or without the option byte.
                let permitted = len == MAC_LEN || len == 1 + MAC_LEN;
                self.commit_sent = permitted;
                permitted.then_some(Meaning::Plain)
            }
            ins::ABORT => (len == MAC_LEN).then_some(Meaning::Plain),
            instruction if instruction == value && !self.value_sent => {
                let permitted = len == 1 + BLOCK_LEN + MAC_LEN;
                self.value_sent = permitted;
                permitted.then_some(Meaning::Plain)
            }
            _ => None,
        }
    }

    /// Takes note of the answer to the command sent last; `None` if there was none.
    ///
    /// Whatever is not the answer that continues the session ends it, as it does on the card.
    pub fn answered(&mut self, sent: Sent, answer: Option<&[u8]>) {
        let (len, status) = match answer {
            Some([data @ .., sw1, sw2]) => (data.len(), Some([*sw1, *sw2])),
            _ => (0, None),
        };
        let done = status == Some([0x91, 0x00]);
        let more = status == Some([0x91, 0xAF]);
        self.phase = match sent.0 {
            Meaning::Uid(level) if status == Some([0x90, 0x00]) => Phase::Idle(level),
            Meaning::Select if done => Phase::Idle(Level::Selected),
            Meaning::Handshake if more && len == CHALLENGE_LEN => Phase::Challenged,
            Meaning::ChallengeAnswer if done => {
                self.authenticated_once = true;
                Phase::Idle(Level::Authenticated)
            }
            Meaning::Read(level) if done => Phase::Idle(level),
            Meaning::Read(level) if more => Phase::Reading(level),
            Meaning::Write(_) | Meaning::Plain if done => Phase::Idle(Level::Authenticated),
            Meaning::Write(left) if more && left > 0 => Phase::Writing(left),
            Meaning::Uid(_)
            | Meaning::Select
            | Meaning::Handshake
            | Meaning::ChallengeAnswer
            | Meaning::Read(_)
            | Meaning::Write(_)
            | Meaning::Plain => Phase::Idle(Level::Start),
        };
    }
}

/// Splits a wrapped native command: `90 INS 00 00 [Lc data] 00`, Lc 1 to 255 and equal to the data.
fn wrapped(command: &[u8]) -> Option<(u8, &[u8])> {
    match command {
        [0x90, instruction, 0x00, 0x00, 0x00] => Some((*instruction, &[])),
        [0x90, instruction, 0x00, 0x00, length, data @ .., 0x00]
            if !data.is_empty() && data.len() == usize::from(*length) =>
        {
            Some((*instruction, data))
        }
        _ => None,
    }
}

/// Longest whole message of a write, from the length that its header announces: header, data padded
/// to whole blocks with at least one byte of padding, MAC. `None` for no header or too much data.
fn write_len_max(data: &[u8]) -> Option<usize> {
    let [_file, _, _, _, low, middle, high, ..] = data else {
        return None;
    };
    let announced = u32::from_le_bytes([*low, *middle, *high, 0]);
    let announced = usize::try_from(announced)
        .ok()
        .filter(|len| *len <= WRITE_LEN_MAX)?;
    let padded = announced.checked_div(BLOCK_LEN)?.checked_add(1)?;
    let padded = padded.checked_mul(BLOCK_LEN)?;
    padded.checked_add(FILE_HEADER_LEN + MAC_LEN)
}

#[cfg(test)]
#[path = "apdu_tests.rs"]
mod tests;
