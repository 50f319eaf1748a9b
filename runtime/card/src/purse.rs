//! The purse: what its files hold, and the two batches of a credit.
//!
//! A credit adds to VALUE, writes a LOG record and sets STATE in one commit, so that the card itself remembers the last
//! remittance. [`read_state_and_value`] comes first, [`credit`] second; [`check_credit`] says whether the card has proved it.
//!
//! Source: `docs/card-protocol.md`, sections "Purse layout" and "Credit".

use crate::commands::{self, fixed};
use crate::error::CardError;
use crate::secure_messaging::{Mode, Session};
use alloc::vec::Vec;

/// Application number 0x314D45 as on the wire.
pub const AID: [u8; 3] = [0x45, 0x4D, 0x31];
/// Application number of the PICC level.
pub const AID_PICC: [u8; 3] = [0, 0, 0];

/// Key that personalises: held by the issuing office only.
pub const KEY_NO_MASTER: u8 = 0;
/// Key that credits and reads everything: held by the remittance server.
pub const KEY_NO_CREDIT: u8 = 1;
/// Key that debits and writes STATE and LOG: held by the payment server.
pub const KEY_NO_DEBIT: u8 = 2;

/// Value file of the balance.
pub const FILE_VALUE: u8 = 0x01;
/// Backup file of [`State`].
pub const FILE_STATE: u8 = 0x03;
/// Cyclic file of [`LogRecord`].
pub const FILE_LOG: u8 = 0x04;
/// Standard file of the card number.
pub const FILE_CARD_NUMBER: u8 = 0x05;

/// Most that the value file holds, in minor units of the currency: the last fence behind the server's own limits.
pub const VALUE_MAX: i32 = 1_000_000;
/// Length of [`State`] on the card.
pub const STATE_LEN: usize = 24;
/// Length of [`LogRecord`] on the card.
pub const LOG_RECORD_LEN: usize = 30;
/// Most records of the log that can be read: made for nine, the oldest is being overwritten.
pub const LOG_RECORDS_MAX: usize = 8;
/// Length of the card number on the card.
pub const CARD_NUMBER_LEN: usize = 16;

/// Format version in front of every log record.
const LOG_VERSION: u8 = 0x01;
/// [`STATE_LEN`] as a length on the wire.
pub(crate) const STATE_LEN_BYTE: u8 = 24;
/// [`CARD_NUMBER_LEN`] as a length on the wire.
pub(crate) const CARD_NUMBER_LEN_BYTE: u8 = 16;

/// What the card remembers of the last remittance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Id of the last remittance that was credited, zeros on a new card.
    pub id: [u8; 16],
    /// Remittances credited so far.
    pub remittance_seq: u32,
    /// Payments made so far.
    pub payment_seq: u32,
}

impl State {
    /// Id 16, remittance sequence 4, payment sequence 4, least significant byte first.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; STATE_LEN] {
        let mut parts = self
            .id
            .into_iter()
            .chain(self.remittance_seq.to_le_bytes())
            .chain(self.payment_seq.to_le_bytes());
        core::array::from_fn(|_| parts.next().unwrap_or_default())
    }

    /// Reads what [`State::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; STATE_LEN]) -> Self {
        let mut rest = bytes.iter().copied();
        let mut next = || rest.next().unwrap_or_default();
        Self {
            id: core::array::from_fn(|_| next()),
            remittance_seq: u32::from_le_bytes(core::array::from_fn(|_| next())),
            payment_seq: u32::from_le_bytes(core::array::from_fn(|_| next())),
        }
    }
}

/// What a log record says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LogKind {
    /// `01` a remittance was credited.
    Credit = 0x01,
    /// `02` a payment was debited.
    Debit = 0x02,
    /// `03` value was depreciated.
    Depreciation = 0x03,
}

impl LogKind {
    /// The byte of this kind in a record.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Credit => 0x01,
            Self::Debit => 0x02,
            Self::Depreciation => 0x03,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Credit),
            0x02 => Some(Self::Debit),
            0x03 => Some(Self::Depreciation),
            _ => None,
        }
    }
}

/// One line of the card's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// What happened.
    pub kind: LogKind,
    /// Id of the remittance or payment.
    pub id: [u8; 16],
    /// Amount in minor units.
    pub amount: i32,
    /// Balance after it in minor units.
    pub balance_after: i32,
    /// Days since 1970-01-01.
    pub day: u32,
}

impl LogRecord {
    /// Version 1, kind 1, id 16, amount 4, balance after 4, day 4, least significant byte first.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LOG_RECORD_LEN] {
        let mut parts = [LOG_VERSION, self.kind.byte()]
            .into_iter()
            .chain(self.id)
            .chain(self.amount.to_le_bytes())
            .chain(self.balance_after.to_le_bytes())
            .chain(self.day.to_le_bytes());
        core::array::from_fn(|_| parts.next().unwrap_or_default())
    }

    /// Reads what [`LogRecord::to_bytes`] wrote, or `None` for another version or kind.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LOG_RECORD_LEN]) -> Option<Self> {
        let ([version, kind], rest) = bytes.split_first_chunk()?;
        if *version != LOG_VERSION {
            return None;
        }
        let mut rest = rest.iter().copied();
        let mut next = || rest.next().unwrap_or_default();
        Some(Self {
            kind: LogKind::from_byte(*kind)?,
            id: core::array::from_fn(|_| next()),
            amount: i32::from_le_bytes(core::array::from_fn(|_| next())),
            balance_after: i32::from_le_bytes(core::array::from_fn(|_| next())),
            day: u32::from_le_bytes(core::array::from_fn(|_| next())),
        })
    }
}

/// The batch that reads STATE and then VALUE.
///
/// # Errors
/// [`CardError::CounterUsedUp`].
pub fn read_state_and_value(session: &mut Session) -> Result<[Vec<u8>; 2], CardError> {
    Ok([
        commands::read_data(session, FILE_STATE, STATE_LEN_BYTE)?,
        commands::value(session, FILE_VALUE)?,
    ])
}

/// Opens the answers to [`read_state_and_value`]: STATE and the committed balance.
///
/// `answers`: exactly two, each joined with its status word.
///
/// # Errors
/// [`CardError::Form`] for another number of answers or another length; those of [`Session::response`].
pub fn open_state_and_value<A: AsRef<[u8]>>(
    session: &mut Session,
    answers: &[A],
) -> Result<(State, i32), CardError> {
    match answers {
        [state, value] => {
            let state = open_state(session, state.as_ref())?;
            Ok((state, commands::open_value(session, value.as_ref())?))
        }
        // The run stopped at a failure: say which.
        [only] => {
            open_state(session, only.as_ref())?;
            Err(CardError::Form)
        }
        _ => Err(CardError::Form),
    }
}

/// The command that reads the whole log, oldest record first; a card without records answers `BE`.
///
/// # Errors
/// [`CardError::CounterUsedUp`].
pub fn read_log(session: &mut Session) -> Result<Vec<u8>, CardError> {
    commands::read_all_records(session, FILE_LOG)
}

/// Opens the answer to [`read_log`]: 1 to [`LOG_RECORDS_MAX`] records as they stand on the card,
/// oldest first; [`LogRecord::from_bytes`] reads each.
///
/// # Errors
/// [`CardError::Form`] for any other length; those of [`Session::response`].
pub fn open_log(
    session: &mut Session,
    answer: &[u8],
) -> Result<Vec<[u8; LOG_RECORD_LEN]>, CardError> {
    let bytes = session.response(answer, Mode::Full)?;
    let (records, []) = bytes.as_chunks::<LOG_RECORD_LEN>() else {
        return Err(CardError::Form);
    };
    if (1..=LOG_RECORDS_MAX).contains(&records.len()) {
        Ok(records.to_vec())
    } else {
        Err(CardError::Form)
    }
}

pub(crate) fn open_state(session: &mut Session, answer: &[u8]) -> Result<State, CardError> {
    Ok(State::from_bytes(&fixed(
        &session.response(answer, Mode::Full)?,
    )?))
}

/// The batch that credits: Credit VALUE, write LOG, write STATE, commit, read VALUE.
///
/// `amount`: minor units, `1..=VALUE_MAX`. `balance_before`: as read in this session, `0..=VALUE_MAX`. `state`: what STATE
/// shall hold afterwards, with this remittance's id. `day`: days since 1970-01-01.
///
/// # Errors
/// [`CardError::OutOfRange`] when amount, balance or their sum is out of range; [`CardError::CounterUsedUp`]. Drop the
/// session after an error.
pub fn credit(
    session: &mut Session,
    amount: i32,
    balance_before: i32,
    state: State,
    day: u32,
) -> Result<[Vec<u8>; 5], CardError> {
    let balance_after = balance_before
        .checked_add(amount)
        .filter(|after| amount > 0 && balance_before >= 0 && *after <= VALUE_MAX)
        .ok_or(CardError::OutOfRange)?;
    let value = commands::credit(session, FILE_VALUE, amount)?;
    let record = LogRecord {
        kind: LogKind::Credit,
        id: state.id,
        amount,
        balance_after,
        day,
    };
    finish(session, value, &record, &state)
}

/// The batch that debits: the same with Debit in the place of Credit.
///
/// `amount`: minor units, `1..=balance_before`. `balance_before`: as read in this session, `0..=VALUE_MAX`. `state`: what
/// STATE shall hold afterwards, with this debit's id. `day`: days since 1970-01-01.
///
/// # Errors
/// [`CardError::OutOfRange`] when amount or balance is out of range, or the card holds less; [`CardError::CounterUsedUp`].
/// Drop the session after an error.
pub fn debit(
    session: &mut Session,
    amount: i32,
    balance_before: i32,
    state: State,
    day: u32,
) -> Result<[Vec<u8>; 5], CardError> {
    let balance_after = balance_before
        .checked_sub(amount)
        .filter(|after| amount > 0 && *after >= 0 && balance_before <= VALUE_MAX)
        .ok_or(CardError::OutOfRange)?;
    let value = commands::debit(session, FILE_VALUE, amount)?;
    let record = LogRecord {
        kind: LogKind::Debit,
        id: state.id,
        amount,
        balance_after,
        day,
    };
    finish(session, value, &record, &state)
}

/// What follows the change of VALUE in either batch.
fn finish(
    session: &mut Session,
    value: Vec<u8>,
    record: &LogRecord,
    state: &State,
) -> Result<[Vec<u8>; 5], CardError> {
    Ok([
        value,
        commands::write_record(session, FILE_LOG, &record.to_bytes())?,
        commands::write_data(session, FILE_STATE, &state.to_bytes())?,
        commands::commit(session)?,
        commands::value(session, FILE_VALUE)?,
    ])
}

/// What the answers to a credit or debit batch prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitProof {
    /// The card has committed the batch.
    Committed {
        /// The balance that the card read back afterwards; `None` when that answer is missing or not authentic.
        value_after: Option<i32>,
    },
    /// Nothing is proved: the card may or may not have committed, and only its next session tells.
    Unproven,
}

/// Checks the answers to [`credit`] or [`debit`] against the session as it was *before* that batch.
///
/// `answers`: four or five, in the order of the batch, each joined with its status word. Every answer up to the commit's must
/// carry the card's MAC and nothing else; the card gives the commit's only once everything before it was accepted.
#[must_use]
pub fn check_credit<A: AsRef<[u8]>>(session_before_batch: &Session, answers: &[A]) -> CommitProof {
    let mut session = session_before_batch.clone();
    session.expect_answers(5);
    let mut done = |answer: &A, mode| {
        session
            .response(answer.as_ref(), mode)
            .is_ok_and(|data| data.is_empty())
    };
    let (credit, record, state, commit, value) = match answers {
        [credit, record, state, commit] => (credit, record, state, commit, None),
        [credit, record, state, commit, value] => (credit, record, state, commit, Some(value)),
        _ => return CommitProof::Unproven,
    };
    let committed = done(credit, Mode::Full)
        && done(record, Mode::Full)
        && done(state, Mode::Full)
        && done(commit, Mode::Mac);
    if !committed {
        return CommitProof::Unproven;
    }
    let value_after =
        value.and_then(|answer| commands::open_value(&mut session, answer.as_ref()).ok());
    CommitProof::Committed { value_after }
}
