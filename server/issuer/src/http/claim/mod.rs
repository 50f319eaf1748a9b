//! The program by claim code.

pub mod post;
