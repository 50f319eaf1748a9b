//! What the end-to-end tests and the demo share: the shipped binaries started as processes, an SMTP
//! sink, a bad line between terminal and server, and the few HTTP calls a sender makes.

pub mod bank;
pub mod disk;
pub mod processes;
pub mod proxy;
pub mod recipient;
pub mod sink;
pub mod world;
