//! Named places at which a test ends the process that reaches them, as a power cut would.
//!
//! `crashpoint::reach!("store::settle::before-commit")` is nothing at all in what is shipped. Built
//! with the feature `failpoints`, a process reads `FAILPOINTS` from its environment at the first
//! place it reaches, in the form that the crate `fail` documents: `NAME=return` kills it there,
//! `NAME=2*off->return` the third time. Armed is who set the variable, so this crate does not
//! compile without debug assertions with its feature on (docs/adr/0008-failpoints.md).
//!
//! The names stand in one table, `tests/tests/crash/main.rs`, with the story that reaches each.

#![no_std]

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("failpoints are for tests; a release must not have them");

/// Ends the process with SIGKILL here, if a test armed this place.
///
/// Takes the name, a literal: `crate::what::when`.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! reach {
    ($name:literal) => {
        ()
    };
}

/// Ends the process with SIGKILL here, if a test armed this place.
///
/// Takes the name, a literal: `crate::what::when`.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! reach {
    ($name:literal) => {
        $crate::armed::reached($name)
    };
}

/// What [`reach!`] calls; for nobody else.
#[cfg(feature = "failpoints")]
pub mod armed {
    extern crate std;

    use fail::{FailScenario, fail_point};
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::Once;

    static ARMED: Once = Once::new();

    /// Ends this process if the environment armed the place `name`.
    pub fn reached(name: &'static str) {
        // Kept to the end of the process: dropping the scenario would disarm every place.
        ARMED.call_once(|| core::mem::forget(FailScenario::setup()));
        fail_point!(name, |_| die());
    }

    /// No handler, no destructor, no flush: what was not on the disk by now never was.
    fn die() -> ! {
        let sent = kill_process(getpid(), Signal::KILL);
        unreachable!("a process survived its own SIGKILL: {sent:?}")
    }
}
