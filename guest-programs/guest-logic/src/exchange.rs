//! Requests written and replies read: the guest's half of `docs/exchange.md`.
//!
//! The issuer's half is `wire::exchange`. The two are not one codec because that one allocates
//! and explains its errors: with it, a guest has 21 KB more, twice the budget of a whole program.
//! The tests of this crate hold the two together.

use core::ops::RangeInclusive;

use crate::buffer::Buffer;
use crate::card::Challenge;
use crate::cbor::{ARRAY, BYTES, NULL, Reader, UINT};
use crate::order::Order;

/// Longest request that the issuer accepts.
const REQUEST_LEN_MAX: usize = 4096;
/// Commands in one step; below 24, so that a count of answers is one byte.
const APDUS: RangeInclusive<usize> = 1..=16;
/// A command: the header alone, up to header, Lc, 255 bytes of data, Le; ISO/IEC 7816-3, 12.1.
const APDU_LEN: RangeInclusive<usize> = 4..=261;
/// Sealed session.
const TICKET_LEN: RangeInclusive<usize> = 1..=1024;
/// Signed receipt.
const RECEIPT_LEN: RangeInclusive<usize> = 1..=2048;
/// Refusal codes have 16 bits. Any of them ends a run, known to this program or not.
const REFUSAL: RangeInclusive<usize> = 0..=0xffff;

const VERSION: u8 = 1;
const REQUEST_INSTRUCTION: u8 = 0;
const REQUEST_ANSWERS: u8 = 1;
const REPLY_STEP: u64 = 0;
const REPLY_RECEIPT: u64 = 1;
const REPLY_REFUSAL: u64 = 2;
/// The only stop rule: continue `91 AF`, stop after the first answer that is not `91 00`.
const STOP_FIRST_FAILURE: u64 = 0;

/// The request in hand, kept as bytes so that a repetition is the same bytes.
pub(crate) struct Request {
    bytes: Buffer<REQUEST_LEN_MAX>,
    /// Where the head of the list of answers stands, and how many follow it.
    answers_at: usize,
    answers: u8,
}

impl Request {
    /// `[1, 0, remittance, claim token, uid, handshake]`.
    pub(crate) fn instruction(order: &Order<'_>, challenge: &Challenge) -> Self {
        let mut request = Self {
            bytes: Buffer::new(),
            answers_at: 0,
            answers: 0,
        };
        request
            .bytes
            .push(&[ARRAY << 5 | 6, VERSION, REQUEST_INSTRUCTION]);
        request.bytes.push_bytes(order.remittance);
        request.bytes.push_bytes(order.claim_token);
        request.bytes.push_bytes(&challenge.uid);
        request.bytes.push_bytes(&challenge.handshake);
        request
    }

    /// `[1, 1, remittance, ticket or null, [answers]]`, still without an answer.
    pub(crate) fn begin_answers(&mut self, order: &Order<'_>, ticket: Option<&[u8]>) {
        self.bytes.clear();
        self.bytes.push(&[ARRAY << 5 | 5, VERSION, REQUEST_ANSWERS]);
        self.bytes.push_bytes(order.remittance);
        match ticket {
            Some(ticket) => self.bytes.push_bytes(ticket),
            None => self.bytes.push(&[NULL]),
        }
        self.answers = 0;
        self.answers_at = self.bytes.len();
        self.bytes.push(&[ARRAY << 5]);
    }

    /// Adds one answer, data followed by its status; no more than [`APDUS`] are asked for.
    pub(crate) fn add_answer(&mut self, data: &[u8], status: [u8; 2]) {
        self.bytes
            .push_head(BYTES, data.len().saturating_add(status.len()));
        self.bytes.push(data);
        self.bytes.push(&status);
        self.answers = self.answers.saturating_add(1);
        self.bytes.set(self.answers_at, ARRAY << 5 | self.answers);
    }

    /// The bytes to send, or `None` when the answers are longer than a request may be.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.bytes.bytes()
    }
}

/// What the issuer answered.
pub(crate) enum Reply<'a> {
    /// `[1, 0, ticket or null, stop rule, [commands]]`
    Step(Step<'a>),
    /// `[1, 1, receipt]`
    Receipt(&'a [u8]),
    /// `[1, 2, code]`; the terminal sees the reply too and explains the code.
    Refusal,
}

/// Commands for the card, to be run in order by the only stop rule there is.
pub(crate) struct Step<'a> {
    pub(crate) ticket: Option<&'a [u8]>,
    /// Stands before the first of `count` commands, which were all read once already.
    commands: Reader<'a>,
    count: usize,
}

impl<'a> Step<'a> {
    pub(crate) fn commands(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = self.commands;
        (0..self.count).map_while(move |_| reader.bytes(&APDU_LEN))
    }

    fn parse(reader: &mut Reader<'a>) -> Option<Self> {
        let ticket = if reader.null() {
            None
        } else {
            Some(reader.bytes(&TICKET_LEN)?)
        };
        if reader.head(UINT)? != STOP_FIRST_FAILURE {
            return None;
        }
        let count = reader.head_within(ARRAY, &APDUS)?;
        let commands = *reader;
        for _ in 0..count {
            reader.bytes(&APDU_LEN)?;
        }
        Some(Self {
            ticket,
            commands,
            count,
        })
    }
}

impl<'a> Reply<'a> {
    /// Reads a whole reply before anything of it is done; `None` when it has no known form.
    ///
    /// The length needs no limit of its own: what keeps the limits of its parts stays below the
    /// 8,192 bytes that the issuer sends at most.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let fields = reader.head(ARRAY)?;
        if reader.head(UINT)? != u64::from(VERSION) {
            return None;
        }
        let reply = match (reader.head(UINT)?, fields) {
            (REPLY_STEP, 5) => Self::Step(Step::parse(&mut reader)?),
            (REPLY_RECEIPT, 3) => Self::Receipt(reader.bytes(&RECEIPT_LEN)?),
            (REPLY_REFUSAL, 3) => {
                reader.head_within(UINT, &REFUSAL)?;
                Self::Refusal
            }
            _ => return None,
        };
        reader.end()?;
        Some(reply)
    }
}
