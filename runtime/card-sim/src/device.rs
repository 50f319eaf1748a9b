//! The card as a reader sees it: bytes in, bytes out, and power that can go away.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::{fmt, mem};

use card::apdu::{Command, INS_MORE, SW1_NATIVE};

use crate::factory::{self, FactoryHandshake, FactorySession};
use crate::fault::Fault;
use crate::file::Operation;
use crate::handshake::Handshake;
use crate::params::Params;
use crate::picc::{Aid, Application, Picc};
use crate::plan::{Ins, Plan, Setting};
use crate::random::Generator;
use crate::session::Session;
use crate::transaction::Transaction;

const INS_SELECT: u8 = 0x5A;
const INS_FIRST: u8 = 0x71;
const INS_FOLLOWING: u8 = 0x77;
const INS_FACTORY: u8 = 0x1A;
const STATUS_OK: u8 = 0x00;
/// Data bytes in one answer frame, as measured on EV3 cards.
const ANSWER_FRAME_LEN: usize = 48;
/// Length of the first two frames of GetVersion, hardware and software.
const VERSION_FRAME_LEN: usize = 7;
/// DF name of the PICC level.
const PICC_NAME: [u8; 7] = [0xD2, 0x76, 0x00, 0x00, 0x85, 0x01, 0x00];
/// ISO file identifier of the PICC level.
const PICC_FILE: [u8; 2] = [0x3F, 0x00];
/// The one historical byte of the ATS.
const HISTORICAL: u8 = 0x80;

/// An emulated purse card, DESFire EV2/EV3 messaging.
///
/// Holds the committed state, and what a real card keeps only while it has power: the selected
/// application, the session, the open transaction, half-sent messages.
pub struct Card {
    picc: Picc,
    random: Generator,
    field: Field,
    cut: Option<PowerCut>,
    answer_frame_len: usize,
    changed: bool,
}

/// Answer of [`Card::transmit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmitted {
    /// Data and two status bytes; empty when the card lost power before it could answer.
    pub answer: Vec<u8>,
    /// The committed state has changed: [`Card::snapshot`] gives other bytes than before, and
    /// must be stored before the answer is passed on.
    pub committed: bool,
}

/// Where a test takes the power away during the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PowerCut {
    Before,
    After,
}

/// What is forgotten without power.
#[derive(Default)]
struct Field {
    selected: Option<Aid>,
    session: Option<Session>,
    factory: Option<FactorySession>,
    transaction: Transaction,
    open: Open,
}

/// A message that is not complete.
#[derive(Default)]
enum Open {
    #[default]
    Nothing,
    Handshake(Handshake),
    Factory(FactoryHandshake),
    /// A command whose data come in several frames.
    Command {
        ins: u8,
        body: Vec<u8>,
    },
    /// Frames of an answer that were not fetched yet.
    Answer(VecDeque<Vec<u8>>),
}

/// Why a command gives no answer data.
#[derive(Debug)]
pub(crate) enum Halt {
    Fault(Fault),
    PowerLost,
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// One frame of an answer before its status bytes.
struct Frame {
    data: Vec<u8>,
    more: bool,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card([redacted])")
    }
}

impl Card {
    /// A card as the factory ships it, whose challenges come from `seed`.
    ///
    /// `uid`: 7 bytes, the first 04 on real cards. Nothing is on the card; applications can be
    /// created without a key.
    #[must_use]
    pub const fn new(uid: [u8; 7], seed: [u8; 32]) -> Self {
        Self::from_parts(Picc::factory(uid), Generator::new(seed))
    }

    pub(crate) const fn from_parts(picc: Picc, random: Generator) -> Self {
        Self {
            picc,
            random,
            field: Field {
                selected: None,
                session: None,
                factory: None,
                transaction: Transaction::new(),
                open: Open::Nothing,
            },
            cut: None,
            answer_frame_len: ANSWER_FRAME_LEN,
            changed: false,
        }
    }

    /// Takes one command APDU and gives the card's answer.
    ///
    /// Any bytes are allowed: what is no command is answered by a status, never by a panic.
    /// Source: docs/card-protocol.md, ISO/IEC 7816-4.
    pub fn transmit(&mut self, apdu: &[u8]) -> Transmitted {
        self.changed = false;
        let answer = match Command::parse(apdu) {
            Ok(command) if command.cla == 0xFF => self.answer_reader(&command),
            Ok(command) if command.cla == 0x00 => self.answer_iso(&command),
            Ok(command) => match command.native() {
                Some((ins, data)) => self.answer_native(ins, data),
                None if command.cla == card::apdu::CLA_NATIVE => alloc::vec![0x6A, 0x86],
                None => alloc::vec![0x6E, 0x00],
            },
            Err(_) if apdu.first() == Some(&card::apdu::CLA_NATIVE) => {
                self.end_session();
                alloc::vec![SW1_NATIVE, Fault::Length.status()]
            }
            Err(_) => alloc::vec![0x67, 0x00],
        };
        Transmitted {
            answer,
            committed: mem::take(&mut self.changed),
        }
    }

    /// Power off and on: only what was committed remains.
    pub fn reset(&mut self) {
        self.field = Field::default();
    }

    /// Takes the power away in the next commit, after its MAC was checked and before anything is
    /// written: no answer, old content.
    pub const fn stop_before_commit(&mut self) {
        self.cut = Some(PowerCut::Before);
    }

    /// Takes the power away in the next commit, after everything is written: no answer, new
    /// content.
    pub const fn lose_answer_after_commit(&mut self) {
        self.cut = Some(PowerCut::After);
    }

    /// Bytes that the next random draws consume in order: 16 for a challenge, 4 more for the
    /// transaction id of a first handshake. The generator goes on behind them.
    pub fn script_random(&mut self, bytes: &[u8]) {
        self.random.script(bytes);
    }

    /// Makes every later draw depend on `entropy` too.
    ///
    /// A card that was stored must not repeat its challenges: whoever loads it calls this with
    /// fresh random bytes.
    pub fn mix_entropy(&mut self, entropy: &[u8; 32]) {
        self.random.mix(entropy);
    }

    /// Cuts answers into frames of at most `len` data bytes, `1..=253`; other values count as the
    /// nearest of these.
    pub fn set_answer_frame_len(&mut self, len: usize) {
        self.answer_frame_len = len.clamp(1, 253);
    }

    fn answer_reader(&self, command: &Command<'_>) -> Vec<u8> {
        match (command.ins, command.p1, command.p2, command.data) {
            (0xCA, 0x00, 0x00, []) => [&self.picc.uid[..], &[0x90, 0x00]].concat(),
            (0xCA, 0x01, 0x00, []) => alloc::vec![HISTORICAL, 0x90, 0x00],
            _ => alloc::vec![0x6A, 0x81],
        }
    }

    /// Select by DF name or file identifier reaches the PICC level only; any select ends the
    /// session.
    fn answer_iso(&mut self, command: &Command<'_>) -> Vec<u8> {
        if command.ins != 0xA4 {
            return alloc::vec![0x6D, 0x00];
        }
        self.end_session();
        let picc = match command.p1 {
            0x04 => command.data == PICC_NAME,
            0x00 => command.data == PICC_FILE,
            _ => false,
        };
        if picc {
            self.field.selected = None;
            alloc::vec![0x90, 0x00]
        } else {
            alloc::vec![0x6A, 0x82]
        }
    }

    fn answer_native(&mut self, ins: u8, data: &[u8]) -> Vec<u8> {
        match self.native(ins, data) {
            Ok(Frame { mut data, more }) => {
                data.extend([SW1_NATIVE, if more { INS_MORE } else { STATUS_OK }]);
                data
            }
            Err(Halt::Fault(fault)) => {
                self.end_session();
                alloc::vec![SW1_NATIVE, fault.status()]
            }
            Err(Halt::PowerLost) => {
                self.reset();
                Vec::new()
            }
        }
    }

    fn native(&mut self, ins: u8, data: &[u8]) -> Result<Frame, Halt> {
        let open = mem::take(&mut self.field.open);
        let factory = self.field.factory.take();
        if let (factory::INS_CHANGE_KEY, Some(session)) = (ins, factory) {
            self.change_factory_key(&session, data)?;
            return Ok(Frame {
                data: Vec::new(),
                more: false,
            });
        }
        match ins {
            INS_MORE => match open {
                Open::Nothing => Err(Fault::IllegalCommand.into()),
                Open::Handshake(handshake) => {
                    let data = self.finish_handshake(handshake, data)?;
                    Ok(Frame { data, more: false })
                }
                Open::Factory(handshake) => {
                    let data = self.finish_factory(&handshake, data)?;
                    Ok(Frame { data, more: false })
                }
                Open::Command { ins, mut body } => {
                    body.extend(data);
                    self.collect(ins, body)
                }
                Open::Answer(frames) if data.is_empty() => Ok(self.next_frame(frames)),
                Open::Answer(_) => Err(Fault::Length.into()),
            },
            INS_SELECT => {
                self.select(data)?;
                Ok(Frame {
                    data: Vec::new(),
                    more: false,
                })
            }
            INS_FACTORY => Ok(Frame {
                data: self.begin_factory(data)?,
                more: true,
            }),
            INS_FIRST => Ok(Frame {
                data: self.begin_first(data)?,
                more: true,
            }),
            INS_FOLLOWING => Ok(Frame {
                data: self.begin_following(data)?,
                more: true,
            }),
            _ => self.collect(ins, data.to_vec()),
        }
    }

    /// Carries a command out once all of it is there, else asks for more.
    fn collect(&mut self, ins_byte: u8, body: Vec<u8>) -> Result<Frame, Halt> {
        let ins = Ins::parse(ins_byte)?;
        let setting = Setting {
            picc: &self.picc,
            selected: self.field.selected,
            session_key: self.session_key(),
        };
        let header_here = !ins.takes_frames() || body.len() >= Plan::WRITE_HEADER_LEN;
        let plan = if header_here {
            Some(setting.plan(ins, &body)?)
        } else {
            None
        };
        let missing = plan.is_none_or(|plan| body.len() < plan.body_len());
        if missing && ins.takes_frames() && !body.is_empty() {
            self.field.open = Open::Command {
                ins: ins_byte,
                body,
            };
            return Ok(Frame {
                data: Vec::new(),
                more: true,
            });
        }
        let plan = plan
            .filter(|plan| body.len() == plan.body_len())
            .ok_or(Fault::Length)?;
        let answer = self.carry_out(ins, ins_byte, &body, plan)?;
        Ok(self.next_frame(frames(ins, &answer, self.answer_frame_len)))
    }

    fn carry_out(&mut self, ins: Ins, byte: u8, body: &[u8], plan: Plan) -> Result<Vec<u8>, Halt> {
        let opened = match &mut self.field.session {
            Some(session) => session.open(byte, body, plan.header_len, plan.request)?,
            None => body.to_vec(),
        };
        if opened.len() != plan.header_len.saturating_add(plan.data_len) {
            return Err(Fault::Integrity.into());
        }
        let answer = self.perform(ins, byte, Params::new(&opened))?;
        Ok(match &self.field.session {
            Some(session) => session.seal(&answer, plan.response),
            None => answer,
        })
    }

    fn perform(&mut self, ins: Ins, byte: u8, params: Params<'_>) -> Result<Vec<u8>, Halt> {
        Ok(match ins {
            Ins::GetVersion => self.get_version(),
            Ins::GetCardUid => self.picc.uid.to_vec(),
            Ins::FreeMemory => self.free_memory(),
            Ins::GetApplicationIds => self.application_ids()?,
            Ins::GetFileIds => self.file_ids()?,
            Ins::GetKeySettings => self.key_settings()?,
            Ins::GetKeyVersion => self.key_version(params)?,
            Ins::GetFileSettings => self.file_settings(params)?,
            Ins::CreateApplication => self.create_application(params)?,
            Ins::DeleteApplication => self.delete_application(params)?,
            Ins::Format => self.format()?,
            Ins::CreateFile(kind) => self.create_file(kind, params)?,
            Ins::ChangeKey => self.change_key(params)?,
            Ins::ChangeKeySettings => self.change_key_settings(params)?,
            Ins::ChangeFileSettings => self.change_file_settings(params)?,
            Ins::GetValue => self.get_value(byte, params)?,
            Ins::Credit => self.change_value(Operation::Credit, byte, params)?,
            Ins::Debit => self.change_value(Operation::Debit, byte, params)?,
            Ins::ReadData => self.read_data(byte, params)?,
            Ins::WriteData => self.write_data(byte, params)?,
            Ins::ReadRecords => self.read_records(byte, params)?,
            Ins::WriteRecord => self.write_record(byte, params)?,
            Ins::Commit => self.commit(params)?,
            Ins::Abort => self.abort()?,
        })
    }

    /// Selects an application, or with zeros the PICC level; the session ends in any case.
    fn select(&mut self, data: &[u8]) -> Result<(), Fault> {
        self.end_session();
        let mut params = Params::new(data);
        let aid = params.take()?;
        params.end()?;
        self.field.selected = match aid {
            [0, 0, 0] => None,
            aid if self.picc.application(aid).is_some() => Some(aid),
            _ => return Err(Fault::ApplicationNotFound),
        };
        Ok(())
    }

    fn next_frame(&mut self, mut frames: VecDeque<Vec<u8>>) -> Frame {
        let data = frames.pop_front().unwrap_or_default();
        let more = !frames.is_empty();
        if more {
            self.field.open = Open::Answer(frames);
        }
        Frame { data, more }
    }

    pub(crate) const fn picc(&self) -> &Picc {
        &self.picc
    }

    pub(crate) const fn random(&self) -> &Generator {
        &self.random
    }

    /// The one way to the committed state; whoever takes it writes without failing half-way.
    pub(crate) const fn picc_mut(&mut self) -> &mut Picc {
        self.changed = true;
        &mut self.picc
    }

    pub(crate) const fn selected(&self) -> Option<Aid> {
        self.field.selected
    }

    /// The selected application; [`Fault::PermissionDenied`] at the PICC level.
    pub(crate) fn application(&self) -> Result<&Application, Fault> {
        let aid = self.field.selected.ok_or(Fault::PermissionDenied)?;
        self.picc.application(aid).ok_or(Fault::PermissionDenied)
    }

    pub(crate) fn session_key(&self) -> Option<u8> {
        self.field.session.as_ref().map(Session::key_no)
    }

    pub(crate) fn start_session(&mut self, session: Session) {
        self.field.session = Some(session);
    }

    pub(crate) const fn take_session(&mut self) -> Option<Session> {
        self.field.session.take()
    }

    /// Forgets keys, transaction and half-sent messages; the selected application stays.
    pub(crate) fn end_session(&mut self) {
        self.field = Field {
            selected: self.field.selected,
            ..Field::default()
        };
    }

    pub(crate) fn open_handshake(&mut self, handshake: Handshake) {
        self.field.open = Open::Handshake(handshake);
    }

    pub(crate) fn open_factory(&mut self, handshake: FactoryHandshake) {
        self.field.open = Open::Factory(handshake);
    }

    pub(crate) fn start_factory(&mut self, session: FactorySession) {
        self.field.factory = Some(session);
    }

    pub(crate) fn draw<const N: usize>(&mut self) -> [u8; N] {
        self.random.draw()
    }

    pub(crate) const fn transaction(&self) -> &Transaction {
        &self.field.transaction
    }

    pub(crate) const fn transaction_mut(&mut self) -> &mut Transaction {
        &mut self.field.transaction
    }

    pub(crate) fn take_transaction(&mut self) -> Transaction {
        mem::take(&mut self.field.transaction)
    }

    pub(crate) fn power_before_commit(&mut self) -> Result<(), Halt> {
        self.power(PowerCut::Before)
    }

    pub(crate) fn power_after_commit(&mut self) -> Result<(), Halt> {
        self.power(PowerCut::After)
    }

    fn power(&mut self, here: PowerCut) -> Result<(), Halt> {
        if self.cut.take_if(|cut| *cut == here).is_some() {
            Err(Halt::PowerLost)
        } else {
            Ok(())
        }
    }
}

/// Frames of an answer; GetVersion has its own three, the last with all that is left.
fn frames(ins: Ins, answer: &[u8], len: usize) -> VecDeque<Vec<u8>> {
    if ins == Ins::GetVersion {
        let (hardware, rest) = answer
            .split_at_checked(VERSION_FRAME_LEN)
            .unwrap_or((answer, &[]));
        let (software, rest) = rest
            .split_at_checked(VERSION_FRAME_LEN)
            .unwrap_or((rest, &[]));
        return [hardware, software, rest].map(<[u8]>::to_vec).into();
    }
    answer.chunks(len.max(1)).map(<[u8]>::to_vec).collect()
}
