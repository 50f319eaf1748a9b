//! The mail that carries a program: composed in the recipient's language, sent by one of two
//! transports.
//!
//! Nothing here reads the ledger or a key: the issuer hands in every fact. The mail gates nothing
//! (`docs/ledger.md`): a remittance can be picked up before we note that its mail went out.

mod code;
mod compose;
mod invite;
mod transport;

pub use code::{CodeMail, compose_code};
pub use compose::{ComposeError, Language, Party, ProgramMail, Purpose, compose, file_name};
pub use invite::{InviteMail, compose_invite};
pub use transport::{Delivery, SendError, SmtpConfig, SmtpTls, Transport, TransportError};
