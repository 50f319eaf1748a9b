//! Readers behind one `transmit`: PC/SC, and an emulated card in a file or in another process.
//!
//! ```no_run
//! let spec: card_reader::ReaderSpec = "emulated:my.card".parse()?;
//! let mut card = card_reader::open(&spec)?;
//! let uid = card.transmit(&[0xFF, 0xCA, 0x00, 0x00, 0x00])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A connection holds its card alone until it is dropped. It knows nothing of what it carries.

mod card_file;
mod emulated;
mod error;
mod pcsc_reader;
mod socket;
mod spec;

pub use card_file::{CardFileError, create, load};
pub use emulated::EmulatedReader;
pub use error::ReaderError;
pub use pcsc_reader::ANSWER_TIMEOUT;
pub use spec::{ReaderSpec, ReaderSpecError};

use pcsc_reader::PcscConnection;
use socket::SocketReader;

/// A card in a reader, held exclusively.
#[derive(Debug)]
pub struct Connection(Kind);

#[derive(Debug)]
enum Kind {
    Emulated(Box<EmulatedReader>),
    Socket(SocketReader),
    Pcsc(PcscConnection),
}

/// A PC/SC reader that the service knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderInfo {
    /// Name that `pcsc:NAME` takes.
    pub name: String,
    /// A card is in it.
    pub card_present: bool,
}

/// Connects to the card that `spec` leads to.
///
/// With several PC/SC readers the one that holds a card is taken.
///
/// # Errors
///
/// [`ReaderError::NoReader`], [`ReaderError::NoCard`], [`ReaderError::SeveralCards`] when there
/// is not exactly one card to take; [`ReaderError::Busy`] when somebody else holds it;
/// [`ReaderError::Service`] when the PC/SC service cannot be reached; [`ReaderError::CardFile`]
/// for a file that cannot be read or holds no card.
pub fn open(spec: &ReaderSpec) -> Result<Connection, ReaderError> {
    Ok(Connection(match spec {
        ReaderSpec::Emulated(path) if socket::is_socket(path) => {
            Kind::Socket(SocketReader::open(path)?)
        }
        ReaderSpec::Emulated(path) => Kind::Emulated(Box::new(EmulatedReader::open(path)?)),
        ReaderSpec::Pcsc(name) => Kind::Pcsc(PcscConnection::open(name.as_deref())?),
    }))
}

/// The PC/SC readers of this machine, in the order of the service.
///
/// # Errors
///
/// [`ReaderError::Service`] when the PC/SC service cannot be reached. No reader is an empty list.
pub fn list() -> Result<Vec<ReaderInfo>, ReaderError> {
    pcsc_reader::list()
}

impl Connection {
    /// Sends one command APDU and waits for the answer: data and two status bytes.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Removed`] once the card is gone or was reset: open again.
    /// [`ReaderError::Timeout`] when the card does not answer; the connection is then dead.
    /// Whether the card did what the command said is unknown after any error.
    pub fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ReaderError> {
        match &mut self.0 {
            Kind::Emulated(reader) => reader.transmit(apdu),
            Kind::Socket(reader) => reader.transmit(apdu),
            Kind::Pcsc(reader) => reader.transmit(apdu),
        }
    }

    /// Name of the reader, for people; an emulated one is named by its file.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Kind::Emulated(reader) => reader.path().display().to_string(),
            Kind::Socket(reader) => reader.path().display().to_string(),
            Kind::Pcsc(reader) => reader.name().to_owned(),
        }
    }

    /// Whether the card is a test card without hardware.
    #[must_use]
    pub const fn is_emulated(&self) -> bool {
        matches!(self.0, Kind::Emulated(_) | Kind::Socket(_))
    }
}
