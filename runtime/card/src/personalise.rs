//! Makes a factory card a purse, or finishes what an earlier run began.
//!
//! A state machine without I/O: [`Personalisation::start`] gives the first command, [`Personalisation::next`] takes the
//! card's answer and gives the next one. Every run begins at the beginning and finds out from the card what is done already,
//! so a card that was pulled at any byte is simply started again.
//!
//! Run it only on a reader of the issuing office. The first keys are zeros, so whoever relays these bytes learns every key;
//! and because a card of zeros proves nothing about itself, the caller refuses a UID that is in use already.
//!
//! # The commands
//!
//! In this order; those in brackets only when the card needs them. Sessions are EV2 (71), each command in one has a MAC.
//!
//! 1. `5A` purse. [`A0`: `5A` PICC, `CA 454D31 0B 83`, `5A` purse.]
//! 2. `64 00`. `71 00`, `AF`: with our key when the version is 01, else with zeros; after `AE` once more with the other.
//! 3. `51` must be the UID, `45` must be `0B 83`, `6F`. [`CC`, `CB`, `C0`, `CD` for files 01, 03, 04, 05.] `F5` of each must
//!    be what we create.
//! 4. `64 01` [`C4 01`], `64 02` [`C4 02`], new keys with version 01. [`C4 00`.]
//! 5. `71 01`, `AF` with our key; `6C` file 01 must be 0, `BD` file 03 zeros. `BD` file 05. [Not the card number: `71 00`,
//!    `AF` with our key, `3D` file 05.] `71 02`, `AF`.
//! 6. `5A` PICC, `64 00`, `71 00`. If that is answered `AE` the key is still DES: `1A 00`, `AF`, `C4 80` in the old
//!    messaging of [`crate::legacy`]. Else `AF` as in step 2 and, if the key was zeros, `C4 80`. After either change once
//!    more `71 00`, `AF` with our key.
//!
//! Source: `docs/card-protocol.md`, section "Personalisation".

mod build;
mod files;

use crate::apdu::Status;
use crate::commands::{self, INS_CREATE_APPLICATION, INS_KEY_VERSION, KEY_TYPE_AES, open_done};
use crate::crypto::Block;
use crate::error::{CardError, data_of};
use crate::handshake::{self, Challenge, Pending};
use crate::key::{Key, UID_LEN, picc_key, purse_key};
use crate::purse::{self, AID, AID_PICC, CARD_NUMBER_LEN};
use crate::secure_messaging::{Mode, Session};
use crate::{apdu, legacy};
use alloc::vec::Vec;
use build::Build;
use core::fmt;

/// Version byte of every key that we write; factory keys have 00.
pub const KEY_VERSION: u8 = 0x01;

/// Key settings of the purse application: master key and settings may change, listing is free, creating and changing other
/// keys need the master key; three AES keys.
const KEY_SETTINGS: [u8; 2] = [0x0B, 0x83];

/// Why a card does not become a purse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersonaliseError {
    /// A command failed; a new run may continue where this one stopped.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The card's real UID is not the one that its keys were derived from.
    #[error("the card has another UID than the one announced")]
    OtherUid,
    /// A key is neither the factory's nor ours: this card belongs to someone else.
    #[error("key {key_no} of the {level:?} level is neither the factory's nor ours")]
    ForeignKey {
        /// Where the key is.
        level: Level,
        /// Its number.
        key_no: u8,
    },
    /// The purse application is there with other settings or files than ours.
    #[error("the application on the card is not our purse")]
    ForeignApplication,
    /// The purse is ours but not new: it holds a value or remembers a remittance. Its card number was left as it is.
    #[error("the purse is in use")]
    InUse,
}

/// The two places of a card that have keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The card itself.
    Picc,
    /// The purse application.
    Purse,
}

/// The keys of one card.
#[derive(Clone, Debug)]
pub struct CardKeys {
    /// Master key of the PICC level.
    pub picc: Key,
    /// Keys 0, 1 and 2 of the purse.
    pub purse: [Key; 3],
}

impl CardKeys {
    /// Derives a card's keys from the master keys of the PICC level and of each key number.
    #[must_use]
    pub fn derive(picc: &Key, [k0, k1, k2]: [&Key; 3], uid: &[u8; UID_LEN]) -> Self {
        Self {
            picc: picc_key(picc, uid),
            purse: [
                purse_key(k0, uid, 0),
                purse_key(k1, uid, 1),
                purse_key(k2, uid, 2),
            ],
        }
    }
}

/// What a card is to become.
pub struct Blank {
    /// UID as read from reader or `GetVersion`: 7 bytes, not all zero. The card confirms it before any key is written.
    pub uid: [u8; UID_LEN],
    /// Card number as 16 ASCII digits.
    pub card_number: [u8; CARD_NUMBER_LEN],
    /// The keys derived for this UID.
    pub keys: CardKeys,
}

impl fmt::Debug for Blank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blank [redacted]")
    }
}

/// A personalisation that awaits the answer to its last command.
pub struct Personalisation {
    blank: Blank,
    awaited: Awaited,
}

impl fmt::Debug for Personalisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Personalisation awaiting {}", self.step())
    }
}

/// What a personalisation wants next.
#[derive(Debug)]
pub enum Step {
    /// Send this command and give its answer to the machine.
    Transmit(Vec<u8>, Personalisation),
    /// The card is a purse: keys 1 and 2 and the PICC master key have authenticated, the files are empty.
    Done,
}

/// The answer that the machine waits for.
enum Awaited {
    Select(Selecting),
    Version(Level),
    Challenge(Login),
    Proof(Login, Pending),
    Build(Build),
    OwnKeyChanged(Level),
    NumberWritten(Session),
    Value(Session),
    State(Session),
    Number(Session),
    OldChallenge,
    OldProof(legacy::Pending),
}

#[derive(Clone, Copy)]
enum Selecting {
    /// The purse, if it exists.
    Purse,
    /// The PICC level, to create the purse there.
    ToCreate,
    /// The answer to its creation.
    Created,
    /// The purse that was just created.
    NewPurse,
    /// The PICC level, for its master key.
    Picc,
}

/// What an authentication is for.
#[derive(Clone, Copy)]
enum Purpose {
    Build,
    WriteNumber,
    ProveCredit,
    ProveDebit,
    Picc,
    ProvePicc,
}

/// Which of two keys a card may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Factory,
    Ours,
}

#[derive(Clone, Copy)]
struct Login {
    purpose: Purpose,
    holds: Holds,
    /// Whether the other key is still to be tried when the card refuses this one.
    other_left: bool,
}

impl Login {
    /// Tries what the version byte says, then the other.
    const fn by_version(purpose: Purpose, version: u8) -> Self {
        let holds = if version == KEY_VERSION {
            Holds::Ours
        } else {
            Holds::Factory
        };
        Self {
            purpose,
            holds,
            other_left: true,
        }
    }

    const fn ours(purpose: Purpose) -> Self {
        Self {
            purpose,
            holds: Holds::Ours,
            other_left: false,
        }
    }

    const fn other(self) -> Self {
        let holds = match self.holds {
            Holds::Factory => Holds::Ours,
            Holds::Ours => Holds::Factory,
        };
        Self {
            purpose: self.purpose,
            holds,
            other_left: false,
        }
    }

    const fn place(self) -> (Level, u8) {
        match self.purpose {
            Purpose::Build | Purpose::WriteNumber => (Level::Purse, purse::KEY_NO_MASTER),
            Purpose::ProveCredit => (Level::Purse, purse::KEY_NO_CREDIT),
            Purpose::ProveDebit => (Level::Purse, purse::KEY_NO_DEBIT),
            Purpose::Picc | Purpose::ProvePicc => (Level::Picc, 0),
        }
    }

    fn key(self, keys: &CardKeys) -> Key {
        let [master, credit, debit] = &keys.purse;
        match (self.holds, self.purpose) {
            (Holds::Factory, _) => Key::factory(),
            (Holds::Ours, Purpose::Build | Purpose::WriteNumber) => master.clone(),
            (Holds::Ours, Purpose::ProveCredit) => credit.clone(),
            (Holds::Ours, Purpose::ProveDebit) => debit.clone(),
            (Holds::Ours, Purpose::Picc | Purpose::ProvePicc) => keys.picc.clone(),
        }
    }

    const fn foreign(self) -> PersonaliseError {
        let (level, key_no) = self.place();
        PersonaliseError::ForeignKey { level, key_no }
    }

    fn begin(self) -> Move {
        let (_, key_no) = self.place();
        Move::Send(handshake::first(key_no), Awaited::Challenge(self))
    }
}

enum Move {
    Send(Vec<u8>, Awaited),
    Done,
}

type Moved = Result<Move, PersonaliseError>;

impl Personalisation {
    /// Begins, or begins again: the first command, and the machine that takes its answer.
    #[must_use]
    pub fn start(blank: Blank) -> (Vec<u8>, Self) {
        let awaited = Awaited::Select(Selecting::Purse);
        (commands::select(AID), Self { blank, awaited })
    }

    /// What the machine waits for, for a message to the person at the desk.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        match &self.awaited {
            Awaited::Select(_) => "selecting or creating the application",
            Awaited::Version(_) => "reading a key version",
            Awaited::Challenge(_) | Awaited::Proof(_, _) => "authenticating",
            Awaited::Build(build) => build.step(),
            Awaited::OwnKeyChanged(_) => "changing a master key",
            Awaited::NumberWritten(_) => "writing the card number",
            Awaited::Value(_) | Awaited::State(_) | Awaited::Number(_) => "checking the purse",
            Awaited::OldChallenge | Awaited::OldProof(_) => "leaving the factory key",
        }
    }

    /// Takes the answer to the last command, data and status word, and gives the next step.
    ///
    /// `random`: 16 fresh random bytes at every call; used when the answer is a challenge.
    ///
    /// # Errors
    /// Any [`PersonaliseError`]; the run is over. After [`PersonaliseError::Card`] a new run may succeed.
    pub fn next(self, answer: &[u8], random: Block) -> Result<Step, PersonaliseError> {
        let Self { blank, awaited } = self;
        let moved = match awaited {
            Awaited::Select(selecting) => selected(selecting, answer)?,
            Awaited::Version(level) => versioned(level, answer)?,
            Awaited::Challenge(login) => challenged(&blank, login, answer, random)?,
            Awaited::Proof(login, pending) => proved(&blank, login, pending, answer)?,
            Awaited::Build(build) => build.next(&blank, answer)?,
            Awaited::OwnKeyChanged(level) => own_key_changed(level, answer)?,
            Awaited::NumberWritten(mut session) => {
                nothing(&mut session, answer)?;
                Login::ours(Purpose::ProveDebit).begin()
            }
            Awaited::Value(session) => value_read(session, answer)?,
            Awaited::State(session) => state_read(session, answer)?,
            Awaited::Number(session) => number_read(&blank, session, answer)?,
            Awaited::OldChallenge => old_challenged(answer, random)?,
            Awaited::OldProof(pending) => old_proved(&blank, pending, answer)?,
        };
        Ok(match moved {
            Move::Send(apdu, awaited) => Step::Transmit(apdu, Self { blank, awaited }),
            Move::Done => Step::Done,
        })
    }
}

fn selected(selecting: Selecting, answer: &[u8]) -> Moved {
    let select = |aid, next| Move::Send(commands::select(aid), Awaited::Select(next));
    let version = |level| Move::Send(apdu::native(INS_KEY_VERSION, &[0]), Awaited::Version(level));
    match (selecting, open_done(answer)) {
        (Selecting::Purse, Err(CardError::Status(Status::ApplicationNotFound))) => {
            Ok(select(AID_PICC, Selecting::ToCreate))
        }
        (_, Err(error)) => Err(error.into()),
        (Selecting::ToCreate, Ok(())) => {
            let ([a0, a1, a2], [k1, k2]) = (AID, KEY_SETTINGS);
            let create = apdu::native(INS_CREATE_APPLICATION, &[a0, a1, a2, k1, k2]);
            Ok(Move::Send(create, Awaited::Select(Selecting::Created)))
        }
        (Selecting::Created, Ok(())) => Ok(select(AID, Selecting::NewPurse)),
        (Selecting::Purse | Selecting::NewPurse, Ok(())) => Ok(version(Level::Purse)),
        (Selecting::Picc, Ok(())) => Ok(version(Level::Picc)),
    }
}

fn versioned(level: Level, answer: &[u8]) -> Moved {
    let [version] = commands::fixed(data_of(answer, Status::Ok)?)?;
    let purpose = match level {
        Level::Purse => Purpose::Build,
        Level::Picc => Purpose::Picc,
    };
    Ok(Login::by_version(purpose, version).begin())
}

fn challenged(blank: &Blank, login: Login, answer: &[u8], random: Block) -> Moved {
    match (Challenge::parse(answer), login.purpose) {
        // The key is not an AES key: the card is as the factory made it.
        (Err(CardError::Status(Status::AuthenticationError)), Purpose::Picc) => {
            Ok(Move::Send(legacy::first(), Awaited::OldChallenge))
        }
        (challenge, _) => {
            let (apdu, pending) = challenge?.answer(&login.key(&blank.keys), random);
            Ok(Move::Send(apdu, Awaited::Proof(login, pending)))
        }
    }
}

fn proved(blank: &Blank, login: Login, pending: Pending, answer: &[u8]) -> Moved {
    let session = match pending.finish(&login.key(&blank.keys), answer) {
        Err(CardError::Status(Status::AuthenticationError)) if login.other_left => {
            return Ok(login.other().begin());
        }
        Err(CardError::Status(Status::AuthenticationError)) => return Err(login.foreign()),
        proved => proved?,
    };
    match (login.purpose, login.holds) {
        (Purpose::Build, holds) => Build::begin(session, holds),
        (Purpose::WriteNumber, _) => write_number(blank, session),
        (Purpose::ProveCredit, _) => read_value(session),
        (Purpose::ProveDebit, _) => Ok(Move::Send(
            commands::select(AID_PICC),
            Awaited::Select(Selecting::Picc),
        )),
        (Purpose::Picc, Holds::Factory) => {
            let mut session = session;
            let key = &blank.keys.picc;
            let apdu = commands::change_own_key(&mut session, KEY_TYPE_AES, key, KEY_VERSION)?;
            Ok(Move::Send(apdu, Awaited::OwnKeyChanged(Level::Picc)))
        }
        (Purpose::Picc, Holds::Ours) | (Purpose::ProvePicc, _) => Ok(Move::Done),
    }
}

fn own_key_changed(level: Level, answer: &[u8]) -> Moved {
    open_done(answer)?;
    Ok(Login::ours(match level {
        Level::Purse => Purpose::ProveCredit,
        Level::Picc => Purpose::ProvePicc,
    })
    .begin())
}

fn old_challenged(answer: &[u8], random: Block) -> Moved {
    let (rnd_a, _) = random.split_first_chunk().ok_or(CardError::Form)?;
    let (apdu, pending) = legacy::Challenge::parse(answer)?.answer(*rnd_a);
    Ok(Move::Send(apdu, Awaited::OldProof(pending)))
}

fn old_proved(blank: &Blank, pending: legacy::Pending, answer: &[u8]) -> Moved {
    let session = match pending.finish(answer) {
        Err(CardError::Status(Status::AuthenticationError)) => {
            return Err(Login::ours(Purpose::Picc).foreign());
        }
        proved => proved?,
    };
    let apdu = session.change_to_aes(&blank.keys.picc, KEY_VERSION);
    Ok(Move::Send(apdu, Awaited::OwnKeyChanged(Level::Picc)))
}

fn write_number(blank: &Blank, mut session: Session) -> Moved {
    let file = purse::FILE_CARD_NUMBER;
    let apdu = commands::write_data(&mut session, file, &blank.card_number)?;
    Ok(Move::Send(apdu, Awaited::NumberWritten(session)))
}

fn read_value(mut session: Session) -> Moved {
    let apdu = commands::value(&mut session, purse::FILE_VALUE)?;
    Ok(Move::Send(apdu, Awaited::Value(session)))
}

fn value_read(mut session: Session, answer: &[u8]) -> Moved {
    if commands::open_value(&mut session, answer)? != 0 {
        return Err(PersonaliseError::InUse);
    }
    let apdu = commands::read_data(&mut session, purse::FILE_STATE, purse::STATE_LEN_BYTE)?;
    Ok(Move::Send(apdu, Awaited::State(session)))
}

fn state_read(mut session: Session, answer: &[u8]) -> Moved {
    if purse::open_state(&mut session, answer)? != purse::State::default() {
        return Err(PersonaliseError::InUse);
    }
    let file = purse::FILE_CARD_NUMBER;
    let apdu = commands::read_data(&mut session, file, purse::CARD_NUMBER_LEN_BYTE)?;
    Ok(Move::Send(apdu, Awaited::Number(session)))
}

fn number_read(blank: &Blank, mut session: Session, answer: &[u8]) -> Moved {
    let number = session.response(answer, Mode::Full)?;
    // The file is written at once, so a card that was pulled may hold anything here; the purse is unused all the same.
    let purpose = if number == blank.card_number {
        Purpose::ProveDebit
    } else {
        Purpose::WriteNumber
    };
    Ok(Login::ours(purpose).begin())
}

/// An answer in a session that holds nothing but its MAC.
fn nothing(session: &mut Session, answer: &[u8]) -> Result<(), CardError> {
    match *session.response(answer, Mode::Mac)? {
        [] => Ok(()),
        [_, ..] => Err(CardError::Form),
    }
}
