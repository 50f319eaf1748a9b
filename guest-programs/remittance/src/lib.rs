//! The remittance program: the loop of `guest-logic` between the imports and the export of
//! `wit/terminal`, and the little that a program without a standard library needs.

#![no_std]

extern crate alloc;

mod memory;

use alloc::vec::Vec;

use guest_logic::{Failure, Host, NetworkError, ReaderError};

wit_bindgen::generate!({ path: "../../wit/terminal", world: "remittance-template" });

use exports::tegata::terminal::program::{self, Guest};
use tegata::terminal::{network, order, reader};

struct Program;

export!(Program);

impl Guest for Program {
    fn run() -> Result<Vec<u8>, program::Failure> {
        guest_logic::run(&order::bytes(), &mut Terminal).map_err(|failure| match failure {
            Failure::Order => program::Failure::Order,
            Failure::CardUnsupported => program::Failure::CardUnsupported,
            Failure::Reader => program::Failure::Reader,
            Failure::Network => program::Failure::Network,
            Failure::Protocol => program::Failure::Protocol,
            Failure::Refused => program::Failure::Refused,
        })
    }
}

/// The terminal that runs this program, behind its two imported interfaces.
struct Terminal;

impl Host for Terminal {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        reader::transmit(command).map_err(|error| match error {
            reader::ReaderError::NoCard => ReaderError::NoCard,
            reader::ReaderError::Removed => ReaderError::Removed,
            reader::ReaderError::Denied => ReaderError::Denied,
            reader::ReaderError::Limit => ReaderError::Limit,
            reader::ReaderError::Timeout => ReaderError::Timeout,
            reader::ReaderError::Failed => ReaderError::Failed,
        })
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        network::exchange(request).map_err(|error| match error {
            network::NetworkError::Offline => NetworkError::Offline,
            network::NetworkError::Denied => NetworkError::Denied,
            network::NetworkError::Limit => NetworkError::Limit,
            network::NetworkError::Timeout => NetworkError::Timeout,
            network::NetworkError::Failed => NetworkError::Failed,
        })
    }
}

/// Nothing in this program is meant to panic; if something does, the run traps without a word.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
