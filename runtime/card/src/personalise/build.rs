//! The part of a personalisation that happens in the session of key 0: identity, settings, files, keys 1 and 2, key 0.

use super::files::{FILES, File};
use super::{
    Awaited, Blank, Holds, KEY_SETTINGS, KEY_VERSION, Level, Login, Move, Moved, PersonaliseError,
    Purpose, nothing,
};
use crate::commands::{self, INS_KEY_VERSION};
use crate::error::CardError;
use crate::key::Key;
use crate::purse::{KEY_NO_CREDIT, KEY_NO_DEBIT, KEY_NO_MASTER};
use crate::secure_messaging::{Mode, Session};
use alloc::vec::{self, Vec};
use core::slice;

/// INS of `GetKeySettings`.
const INS_KEY_SETTINGS: u8 = 0x45;
/// INS of `GetFileIDs`.
const INS_FILE_IDS: u8 = 0x6F;
/// INS of `GetFileSettings`.
const INS_FILE_SETTINGS: u8 = 0xF5;

/// Key 0's session and what it awaits.
pub(super) struct Build {
    session: Session,
    holds: Holds,
    stage: Stage,
}

enum Stage {
    Uid,
    KeySettings,
    FileIds,
    /// The answer to one creation, and the files still to be created.
    Created(vec::IntoIter<&'static File>),
    /// The settings of one file, and the files still to be checked.
    FileSettings(&'static File, slice::Iter<'static, File>),
    KeyVersion(u8),
    KeyChanged(u8),
}

impl Build {
    pub(super) const fn step(&self) -> &'static str {
        match self.stage {
            Stage::Uid => "confirming the UID",
            Stage::KeySettings | Stage::FileIds | Stage::FileSettings(_, _) => {
                "checking the application"
            }
            Stage::Created(_) => "creating the files",
            Stage::KeyVersion(_) | Stage::KeyChanged(_) => "changing a key",
        }
    }

    pub(super) fn begin(mut session: Session, holds: Holds) -> Moved {
        let apdu = commands::card_uid(&mut session)?;
        let build = Self {
            session,
            holds,
            stage: Stage::Uid,
        };
        Ok(Move::Send(apdu, Awaited::Build(build)))
    }

    pub(super) fn next(self, blank: &Blank, answer: &[u8]) -> Moved {
        let Self {
            mut session,
            holds,
            stage,
        } = self;
        let desk = |session| Desk { session, holds };
        match stage {
            Stage::Uid => {
                if commands::open_card_uid(&mut session, answer)? != blank.uid {
                    return Err(PersonaliseError::OtherUid);
                }
                desk(session).ask(INS_KEY_SETTINGS, &[], Stage::KeySettings)
            }
            Stage::KeySettings => {
                if session.response(answer, Mode::Mac)? != KEY_SETTINGS {
                    return Err(PersonaliseError::ForeignApplication);
                }
                desk(session).ask(INS_FILE_IDS, &[], Stage::FileIds)
            }
            Stage::FileIds => {
                let missing = missing(&session.response(answer, Mode::Mac)?)?;
                desk(session).create(missing)
            }
            Stage::Created(missing) => {
                nothing(&mut session, answer)?;
                desk(session).create(missing)
            }
            Stage::FileSettings(file, rest) => {
                if session.response(answer, Mode::Mac)? != file.settings {
                    return Err(PersonaliseError::ForeignApplication);
                }
                desk(session).check(rest)
            }
            Stage::KeyVersion(key_no) => {
                let version = session.response(answer, Mode::Mac)?;
                desk(session).set_key(blank, key_no, &version)
            }
            Stage::KeyChanged(key_no) => {
                nothing(&mut session, answer)?;
                desk(session).after_key(blank, key_no)
            }
        }
    }
}

/// The files that are not there; another file than ours is an error.
fn missing(present: &[u8]) -> Result<vec::IntoIter<&'static File>, PersonaliseError> {
    if present
        .iter()
        .any(|no| FILES.iter().all(|file| file.no != *no))
    {
        return Err(PersonaliseError::ForeignApplication);
    }
    let missing: Vec<&File> = FILES
        .iter()
        .filter(|file| !present.contains(&file.no))
        .collect();
    Ok(missing.into_iter())
}

/// The session between two commands.
struct Desk {
    session: Session,
    holds: Holds,
}

impl Desk {
    fn send(self, apdu: Vec<u8>, stage: Stage) -> Move {
        let Self { session, holds } = self;
        let build = Build {
            session,
            holds,
            stage,
        };
        Move::Send(apdu, Awaited::Build(build))
    }

    fn ask(mut self, ins: u8, header: &[u8], stage: Stage) -> Moved {
        let apdu = self.session.command(ins, header, &[], Mode::Mac)?;
        Ok(self.send(apdu, stage))
    }

    fn create(self, mut missing: vec::IntoIter<&'static File>) -> Moved {
        let Some(file) = missing.next() else {
            return self.check(FILES.iter());
        };
        let header = [&[file.no], file.parameters].concat();
        self.ask(file.ins, &header, Stage::Created(missing))
    }

    fn check(self, mut files: slice::Iter<'static, File>) -> Moved {
        match files.next() {
            Some(file) => self.ask(
                INS_FILE_SETTINGS,
                &[file.no],
                Stage::FileSettings(file, files),
            ),
            None => self.ask_version(KEY_NO_CREDIT),
        }
    }

    fn ask_version(self, key_no: u8) -> Moved {
        self.ask(INS_KEY_VERSION, &[key_no], Stage::KeyVersion(key_no))
    }

    /// Sets key 1 or 2 unless its version says that it is ours; whether it is, its own authentication shows later.
    fn set_key(mut self, blank: &Blank, key_no: u8, version: &[u8]) -> Moved {
        let [_, credit, debit] = &blank.keys.purse;
        let new = if key_no == KEY_NO_CREDIT {
            credit
        } else {
            debit
        };
        match version {
            [KEY_VERSION] => self.after_key(blank, key_no),
            [0] => {
                let apdu = commands::change_key(
                    &mut self.session,
                    key_no,
                    &Key::factory(),
                    new,
                    KEY_VERSION,
                )?;
                Ok(self.send(apdu, Stage::KeyChanged(key_no)))
            }
            [_] => Err(PersonaliseError::ForeignKey {
                level: Level::Purse,
                key_no,
            }),
            _ => Err(CardError::Form.into()),
        }
    }

    fn after_key(mut self, blank: &Blank, key_no: u8) -> Moved {
        if key_no == KEY_NO_CREDIT {
            return self.ask_version(KEY_NO_DEBIT);
        }
        match self.holds {
            Holds::Ours => Ok(Login::ours(Purpose::ProveCredit).begin()),
            Holds::Factory => {
                let [master, _, _] = &blank.keys.purse;
                let apdu = commands::change_own_key(
                    &mut self.session,
                    KEY_NO_MASTER,
                    master,
                    KEY_VERSION,
                )?;
                Ok(Move::Send(apdu, Awaited::OwnKeyChanged(Level::Purse)))
            }
        }
    }
}
