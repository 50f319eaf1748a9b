//! A hostile guest in Rust: the last 32 bytes of its order are the claim token, and the first of
//! these says which misbehaviour this run shows. 0 is lawful.
//!
//! The list is that of `runtime/conformance/src/sections/r.rs`.

#![no_std]

extern crate alloc;

mod memory;

use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

wit_bindgen::generate!({ path: "../../wit/terminal", world: "remittance-template" });

use exports::tegata::terminal::program::{Failure, Guest};
use tegata::terminal::{network, order, reader};

struct Program;

export!(Program);

/// Asks the reader for the card's UID.
const UID: [u8; 5] = [0xFF, 0xCA, 0, 0, 0];
/// Selects the purse.
const SELECT: [u8; 9] = [0x90, 0x5A, 0, 0, 3, 0x45, 0x4D, 0x31, 0];

impl Guest for Program {
    fn run() -> Result<Vec<u8>, Failure> {
        let order = order::bytes();
        let mode = order.len().checked_sub(32).and_then(|at| order.get(at));
        misbehave(*mode.ok_or(Failure::Order)?)
    }
}

fn misbehave(mode: u8) -> Result<Vec<u8>, Failure> {
    match mode {
        0 => {
            transmit(&UID)?;
            exchange(b"lawful")?;
            return Ok(b"done".to_vec());
        }
        1 => transmit(&[]),
        2 => transmit(&[0x00, 0xA4, 0x04, 0x00, 0x00]),
        3 => transmit(&[0x90, 0x5A, 0, 0, 3, 1, 2, 3, 0]),
        4 => transmit(&[0xFF, 0x00, 0x00, 0x00, 0x00]),
        5 => transmit(&[0x90, 0xAF, 0, 0, 0]),
        6 => {
            transmit(&SELECT)?;
            transmit(&wrapped(0x0C, 25))
        }
        7 => {
            transmit(&SELECT)?;
            transmit(&wrapped(0xC7, 8))
        }
        8 => transmit(&vec![0x90; 262]),
        9 => loop {
            let _ignored = transmit(&UID);
        },
        10 => exchange(&[]),
        11 => exchange(&vec![0; 4_097]),
        12 => loop {
            let _ignored = exchange(b"x");
        },
        13 => exchange(&vec![0; 16_385]),
        14 => loop {
            black_box(mode);
        },
        15 => return Ok(vec![deep(u64::from(mode)) as u8]),
        16 => core::arch::wasm32::unreachable(),
        17 => {
            let (list, at) = (black_box([1_u8, 2, 3]), black_box(usize::from(mode)));
            return Ok(vec![list[at]]);
        }
        18 => return Ok(vec![black_box(100_u32) as u8 / black_box(mode - 18)]),
        19 => return Ok(vec![0; 2_049]),
        20 => loop {
            black_box(vec![0_u8; 4_096]);
        },
        21 => {
            // SAFETY: none; an address far outside is what this run is about.
            return Ok(vec![unsafe {
                black_box(usize::MAX as *const u8).read_volatile()
            }]);
        }
        22 => return Err(Failure::Refused),
        _ => return Err(Failure::Order),
    }?;
    Ok(b"done".to_vec())
}

/// `90 INS 00 00 Lc data 00`.
fn wrapped(instruction: u8, data_len: u8) -> Vec<u8> {
    let mut command = vec![0x90, instruction, 0, 0, data_len];
    command.resize(5 + usize::from(data_len) + 1, 0);
    command
}

/// Recursion that ends nowhere near the end of the stack.
#[expect(unconditional_recursion, reason = "this run is about just that")]
fn deep(level: u64) -> u64 {
    let frame = black_box([level; 16]);
    frame[0].wrapping_add(deep(level.wrapping_add(frame[15])))
}

fn transmit(command: &[u8]) -> Result<(), Failure> {
    match reader::transmit(command) {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::Reader),
    }
}

fn exchange(request: &[u8]) -> Result<(), Failure> {
    match network::exchange(request) {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::Network),
    }
}

/// What panics here traps without a word.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
