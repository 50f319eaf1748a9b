//! Whether the process lives and can do its work.

pub mod livez;
pub mod readyz;
