//! What the end-to-end tests and the demo share: the shipped binaries started as processes, an SMTP
//! sink, and the few HTTP calls a sender makes.

pub mod processes;
pub mod recipient;
pub mod sink;
pub mod world;
