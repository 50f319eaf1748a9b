//! What terminals fetch before anything else.

pub mod issuer;
