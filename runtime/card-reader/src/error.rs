//! What can go wrong between us and a card.

use crate::card_file::CardFileError;

/// Why there is no card, or no answer from it.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// No reader is connected, or none of the given name.
    #[error("no card reader found")]
    NoReader,
    /// More than one reader holds a card.
    #[error("more than one card is on the readers")]
    SeveralCards,
    /// The reader is empty.
    #[error("no card on the reader")]
    NoCard,
    /// The card left the reader, or somebody reset it.
    #[error("the card was taken away")]
    Removed,
    /// Another program holds the card.
    #[error("another program is using the card")]
    Busy,
    /// The PC/SC service does not run or stopped.
    #[error("the smart card service is not available")]
    Service,
    /// The card did not answer in time.
    #[error("the card did not answer in time")]
    Timeout,
    /// Anything else; the text names the cause.
    #[error("the card reader failed: {0}")]
    Failed(String),
    /// The emulated card's file.
    #[error(transparent)]
    CardFile(#[from] CardFileError),
}

impl ReaderError {
    /// Stable code for messages, logs and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoReader => "E_READER_NONE",
            Self::SeveralCards => "E_READER_SEVERAL_CARDS",
            Self::NoCard => "E_READER_NO_CARD",
            Self::Removed => "E_READER_REMOVED",
            Self::Busy => "E_READER_BUSY",
            Self::Service => "E_READER_SERVICE",
            Self::Timeout => "E_READER_TIMEOUT",
            Self::Failed(_) => "E_READER_FAILED",
            Self::CardFile(error) => error.code(),
        }
    }
}
