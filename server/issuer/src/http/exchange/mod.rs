//! The exchange between a program and this server.

pub mod post;
