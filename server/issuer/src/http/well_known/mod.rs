//! What terminals fetch before anything else.

pub mod issuer;
pub mod status;
pub mod succession;
