//! The emulated card as a reader: one file, one user at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use card_sim::Card;
use crashpoint::reach;

use crate::card_file;
use crate::error::ReaderError;

/// An emulated card with power, locked against other users of its file.
///
/// Every committed change is on disk before its answer is given. Deleting or moving the file away
/// is taking the card off the reader.
#[derive(Debug)]
pub struct EmulatedReader {
    path: PathBuf,
    card: Option<Card>,
    _lock: File,
}

impl EmulatedReader {
    /// Locks and loads the card in `path`, with fresh challenges.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Busy`] when another process or connection holds it; [`ReaderError::CardFile`]
    /// when the file is missing, unreadable or no card; [`ReaderError::Failed`] when the system
    /// has no random bytes.
    pub fn open(path: &Path) -> Result<Self, ReaderError> {
        if !path.exists() {
            return Err(card_file::CardFileError::Missing(path.to_owned()).into());
        }
        let lock = card_file::lock(path)?.ok_or(ReaderError::Busy)?;
        let mut card = card_file::load(path)?;
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(|error| ReaderError::Failed(error.to_string()))?;
        card.mix_entropy(&entropy);
        Ok(Self {
            path: path.to_owned(),
            card: Some(card),
            _lock: lock,
        })
    }

    /// Sends one command APDU to the card.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Removed`] when the file is gone or the card lost power;
    /// [`ReaderError::CardFile`] when a change could not be stored. Both end the connection: the
    /// card is then as its file says.
    pub fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let mut card = self.card.take().ok_or(ReaderError::Removed)?;
        if !self.path.exists() {
            return Err(ReaderError::Removed);
        }
        let sent = card.transmit(apdu);
        if sent.committed {
            reach!("card-reader::commit::before-write");
            card_file::replace(&self.path, &card)?;
            reach!("card-reader::commit::after-write");
        }
        if sent.answer.is_empty() {
            return Err(ReaderError::Removed);
        }
        self.card = Some(card);
        Ok(sent.answer)
    }

    /// Power off and on: ends the card's session; the committed state stays.
    pub fn power_cycle(&mut self) {
        if let Some(card) = &mut self.card {
            card.reset();
        }
    }

    /// The card's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
