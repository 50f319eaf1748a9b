//! Orders: what a sender asks for and watches.

pub mod cancel;
pub mod create;
pub mod list;
pub mod program;
pub mod read;
