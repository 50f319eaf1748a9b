//! The conversation of a running program with its issuer.
//!
//! The program sends a [`Request`] and gets a [`Reply`], until that is a receipt or a refusal.
//! Source: `docs/exchange.md`.

use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use crate::cbor::{self, DecodeError, EncodeStep, Encoder, Reader};
pub use crate::refusal::Refusal;

/// Media type of requests and replies over HTTP.
pub const MEDIA_TYPE: &str = "application/vnd.tegata.exchange+cbor";

/// Longest request in bytes: a full ticket and the answers to a full batch, with room.
pub const REQUEST_LEN_MAX: usize = 4096;
/// Longest reply in bytes: a full ticket and a full batch of the longest commands, with room.
pub const REPLY_LEN_MAX: usize = 8192;
/// Most answers in a request: one per command of a batch.
pub const ANSWERS_MAX: usize = APDUS_MAX;
/// Most commands in a reply: three times the longest batch of a credit.
pub const APDUS_MAX: usize = 16;
/// Longest command in bytes: header, Lc, 255 bytes of data, Le. Source: ISO/IEC 7816-3 12.1.
pub const APDU_LEN_MAX: usize = 261;
/// Shortest command in bytes: the header alone. Source: ISO/IEC 7816-3 12.1.
pub const APDU_LEN_MIN: usize = 4;
/// Longest answer in bytes, continued parts joined: eight frames of a contactless card.
pub const ANSWER_LEN_MAX: usize = 512;
/// Shortest answer in bytes: the two status bytes alone.
pub const ANSWER_LEN_MIN: usize = 2;
/// Longest sealed session state in bytes; the ones in use take about 200.
pub const TICKET_LEN_MAX: usize = 1024;
/// Longest signed receipt in bytes; one with the longest texts takes about 900.
pub const RECEIPT_LEN_MAX: usize = 2048;

/// Version of requests and replies: the first field of both.
const VERSION: u64 = 1;
const TAG_INSTRUCTION: u16 = 0;
const TAG_ANSWERS: u16 = 1;
const TAG_STEP: u16 = 0;
const TAG_RECEIPT: u16 = 1;
const TAG_REFUSAL: u16 = 2;

/// What a program sends to its issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The first of a run: credit this remittance to the card on the reader.
    Instruction(Instruction),
    /// Each further one: what the card answered.
    Answers(Answers),
}

/// The remittance instruction. `Debug` does not print the claim token.
#[derive(Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Id of the remittance, from the order.
    pub remittance: [u8; 16],
    /// Claim token, from the order: shows that the sender of this holds the program.
    pub claim_token: [u8; 32],
    /// UID of the card as the reader or the card told it; proven only by the handshake.
    pub uid: [u8; 7],
    /// The card's encrypted challenge: its answer to the first handshake command, without status.
    pub handshake: [u8; 16],
}

impl fmt::Debug for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruction")
            .field("remittance", &self.remittance)
            .field("claim_token", &"[redacted]")
            .field("uid", &"[redacted]")
            .field("handshake", &self.handshake)
            .finish()
    }
}

/// The card's answers to the commands of a [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Id of the remittance, as in the instruction.
    pub remittance: [u8; 16],
    /// The ticket of the step that is answered, unread: `1..=TICKET_LEN_MAX` bytes.
    pub ticket: Option<Vec<u8>>,
    /// What the card answered, in order: `0..=ANSWERS_MAX` of `2..=ANSWER_LEN_MAX` bytes, each
    /// data then SW1 SW2. Fewer than commands after a stop; none if the card was gone at once.
    pub answers: Vec<Vec<u8>>,
}

/// What the issuer sends to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Commands for the card.
    Step(Step),
    /// The end: credited; a signed receipt, see [`crate::receipt`], `1..=RECEIPT_LEN_MAX` bytes.
    Receipt(Vec<u8>),
    /// The end: not credited by this run.
    Refusal(Refusal),
}

/// Commands to run on the card, and what to send back with their answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Sealed session state to send back unread: `1..=TICKET_LEN_MAX` bytes.
    pub ticket: Option<Vec<u8>>,
    /// When to stop before the last command.
    pub stop: StopRule,
    /// The commands, in order: `1..=APDUS_MAX` of `APDU_LEN_MIN..=APDU_LEN_MAX` bytes.
    pub apdus: Vec<Vec<u8>>,
}

/// How a batch of commands is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRule {
    /// In order. An answer that ends `91 AF` is continued with `90 AF 00 00 00`; its data parts
    /// are joined and the last status is kept. After the first answer whose final status is not
    /// `91 00` no further command runs; that answer is still sent.
    FirstFailure,
}

impl Request {
    /// The bytes of this request.
    ///
    /// # Errors
    /// [`DecodeError::Bounds`] and [`DecodeError::TooLong`] where a reader would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        if let Self::Answers(answers) = self {
            check_ticket(answers.ticket.as_deref())?;
            check_list("answers", &answers.answers, 0..=ANSWERS_MAX, ANSWER_LEN)?;
        }
        check_len(self.write(), REQUEST_LEN_MAX)
    }

    /// Reads a request: one array, deterministic, at most [`REQUEST_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// Each variant of [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(bytes, REQUEST_LEN_MAX, Self::read, Self::write)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = reader.array_within("request", 1..=8)?;
        reader.version(VERSION)?;
        match (reader.u16("request kind")?, len) {
            (TAG_INSTRUCTION, 6) => Ok(Self::Instruction(Instruction {
                remittance: reader.fixed("remittance")?,
                claim_token: reader.fixed("claim token")?,
                uid: reader.fixed("uid")?,
                handshake: reader.fixed("handshake")?,
            })),
            (TAG_ANSWERS, 5) => Ok(Self::Answers(Answers {
                remittance: reader.fixed("remittance")?,
                ticket: read_ticket(reader)?,
                answers: read_list(reader, "answers", 0..=ANSWERS_MAX, ANSWER_LEN)?,
            })),
            (_, _) => Err(DecodeError::Bounds {
                field: "request kind",
            }),
        }
    }

    fn write(&self) -> Vec<u8> {
        cbor::encode(|e| match self {
            Self::Instruction(instruction) => e
                .array(6)?
                .u64(VERSION)?
                .u16(TAG_INSTRUCTION)?
                .bytes(&instruction.remittance)?
                .bytes(&instruction.claim_token)?
                .bytes(&instruction.uid)?
                .bytes(&instruction.handshake)?
                .ok(),
            Self::Answers(answers) => {
                e.array(5)?
                    .u64(VERSION)?
                    .u16(TAG_ANSWERS)?
                    .bytes(&answers.remittance)?;
                write_ticket(e, answers.ticket.as_deref())?;
                write_list(e, &answers.answers)
            }
        })
    }
}

impl Reply {
    /// The bytes of this reply.
    ///
    /// # Errors
    /// [`DecodeError::Bounds`] and [`DecodeError::TooLong`] where a reader would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::Step(step) => {
                check_ticket(step.ticket.as_deref())?;
                check_list("commands", &step.apdus, 1..=APDUS_MAX, APDU_LEN)?;
            }
            Self::Receipt(receipt) => check_bounds("receipt", receipt.len(), &RECEIPT_LEN)?,
            Self::Refusal(_) => {}
        }
        check_len(self.write(), REPLY_LEN_MAX)
    }

    /// Reads a reply: one array, deterministic, at most [`REPLY_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// Each variant of [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(bytes, REPLY_LEN_MAX, Self::read, Self::write)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = reader.array_within("reply", 1..=8)?;
        reader.version(VERSION)?;
        match (reader.u16("reply kind")?, len) {
            (TAG_STEP, 5) => Ok(Self::Step(Step {
                ticket: read_ticket(reader)?,
                stop: match reader.u16("stop rule")? {
                    0 => StopRule::FirstFailure,
                    _ => return Err(DecodeError::Bounds { field: "stop rule" }),
                },
                apdus: read_list(reader, "commands", 1..=APDUS_MAX, APDU_LEN)?,
            })),
            (TAG_RECEIPT, 3) => Ok(Self::Receipt(
                reader.bytes("receipt", RECEIPT_LEN)?.to_vec(),
            )),
            (TAG_REFUSAL, 3) => Refusal::from_number(reader.u16("refusal")?)
                .map(Self::Refusal)
                .ok_or(DecodeError::Bounds { field: "refusal" }),
            (_, _) => Err(DecodeError::Bounds {
                field: "reply kind",
            }),
        }
    }

    fn write(&self) -> Vec<u8> {
        cbor::encode(|e| match self {
            Self::Step(step) => {
                e.array(5)?.u64(VERSION)?.u16(TAG_STEP)?;
                write_ticket(e, step.ticket.as_deref())?;
                e.u16(match step.stop {
                    StopRule::FirstFailure => 0,
                })?;
                write_list(e, &step.apdus)
            }
            Self::Receipt(receipt) => e
                .array(3)?
                .u64(VERSION)?
                .u16(TAG_RECEIPT)?
                .bytes(receipt)?
                .ok(),
            Self::Refusal(refusal) => e
                .array(3)?
                .u64(VERSION)?
                .u16(TAG_REFUSAL)?
                .u16(refusal.number())?
                .ok(),
        })
    }
}

const TICKET_LEN: RangeInclusive<usize> = 1..=TICKET_LEN_MAX;
const RECEIPT_LEN: RangeInclusive<usize> = 1..=RECEIPT_LEN_MAX;
const ANSWER_LEN: RangeInclusive<usize> = ANSWER_LEN_MIN..=ANSWER_LEN_MAX;
const APDU_LEN: RangeInclusive<usize> = APDU_LEN_MIN..=APDU_LEN_MAX;

fn read_ticket(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    reader.optional("ticket", |r| Ok(r.bytes("ticket", TICKET_LEN)?.to_vec()))
}

fn write_ticket(e: &mut Encoder, ticket: Option<&[u8]>) -> EncodeStep {
    match ticket {
        Some(ticket) => e.bytes(ticket)?.ok(),
        None => e.null()?.ok(),
    }
}

fn read_list(
    reader: &mut Reader<'_>,
    field: &'static str,
    count: RangeInclusive<usize>,
    len: RangeInclusive<usize>,
) -> Result<Vec<Vec<u8>>, DecodeError> {
    let (least, most) = count.into_inner();
    let found = reader.array_within(field, least as u64..=most as u64)?;
    (0..found)
        .map(|_| Ok(reader.bytes(field, len.clone())?.to_vec()))
        .collect()
}

fn write_list(e: &mut Encoder, items: &[Vec<u8>]) -> EncodeStep {
    e.array(items.len() as u64)?;
    for item in items {
        e.bytes(item)?;
    }
    Ok(())
}

fn check_bounds(
    field: &'static str,
    len: usize,
    bounds: &RangeInclusive<usize>,
) -> Result<(), DecodeError> {
    bounds
        .contains(&len)
        .then_some(())
        .ok_or(DecodeError::Bounds { field })
}

fn check_ticket(ticket: Option<&[u8]>) -> Result<(), DecodeError> {
    ticket.map_or(Ok(()), |ticket| {
        check_bounds("ticket", ticket.len(), &TICKET_LEN)
    })
}

fn check_list(
    field: &'static str,
    items: &[Vec<u8>],
    count: RangeInclusive<usize>,
    len: RangeInclusive<usize>,
) -> Result<(), DecodeError> {
    check_bounds(field, items.len(), &count)?;
    items
        .iter()
        .try_for_each(|item| check_bounds(field, item.len(), &len))
}

fn check_len(bytes: Vec<u8>, len_max: usize) -> Result<Vec<u8>, DecodeError> {
    if bytes.len() > len_max {
        return Err(DecodeError::TooLong { len_max });
    }
    Ok(bytes)
}
