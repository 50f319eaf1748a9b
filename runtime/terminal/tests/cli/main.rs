//! The binary as its users meet it: arguments in, exit status, one document and talk out.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test stops where it fails; the binary under test reads the real clock, too"
)]

mod commands;
mod doctor;
mod documents;
mod hostile;
mod log;
mod open;
mod person;
mod receipts;
mod trust;
mod world;
