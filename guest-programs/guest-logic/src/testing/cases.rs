//! What a card and an issuer may do to a program, and how each run must end.

mod card;
mod issuer;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeBounds;

use super::{HANDSHAKE, RECEIPT, Script, UID, order, receipt, step};
use crate::Failure;

/// One run: what it is given, and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What happens, unique among the cases.
    pub name: String,
    /// The order bytes.
    pub order: Vec<u8>,
    /// Card and issuer.
    pub script: Script,
    /// How the run ends.
    pub outcome: Result<Vec<u8>, Failure>,
    /// How many commands the card is sent.
    pub transmits: usize,
    /// How many requests the issuer is sent.
    pub exchanges: usize,
}

impl Case {
    /// The redemption in which nothing goes wrong, but for `change`.
    fn new(name: impl Into<String>, change: impl FnOnce(&mut Script)) -> Self {
        let mut script = redemption();
        change(&mut script);
        Self {
            name: name.into(),
            order: order(),
            script,
            outcome: Ok(RECEIPT.to_vec()),
            transmits: COMMANDS,
            exchanges: REQUESTS,
        }
    }

    fn fails(self, failure: Failure) -> Self {
        Self {
            outcome: Err(failure),
            ..self
        }
    }

    fn after(self, transmits: usize, exchanges: usize) -> Self {
        Self {
            transmits,
            exchanges,
            ..self
        }
    }
}

/// Every case. The first is the redemption in which nothing goes wrong.
#[must_use]
pub fn cases() -> Vec<Case> {
    let plain = vec![Case::new("everything goes well", |_| {})];
    [plain, orders(), card::cases(), issuer::cases()].concat()
}

/// Commands of a plain redemption, and requests.
const COMMANDS: usize = 11;
const REQUESTS: usize = 4;

const DONE: [u8; 2] = [0x91, 0x00];
const MORE: [u8; 2] = [0x91, 0xaf];

fn redemption() -> Script {
    let card = [
        answer(&UID, [0x90, 0x00]),
        answer(&[], DONE),
        answer(&HANDSHAKE, MORE),
        answer(&[0x71; 32], DONE),
        answer(&[0xbd; 40], DONE),
        answer(&[0x6c; 12], DONE),
        answer(&[0x01; 8], DONE),
        answer(&[0x02; 8], DONE),
        answer(&[0x03; 8], DONE),
        answer(&[0x04; 8], DONE),
        answer(&[0x6c; 12], DONE),
    ];
    let read = [command(0xbd, 15), command(0x6c, 9)];
    let credit = [
        command(0x0c, 13),
        command(0x3b, 45),
        command(0x3d, 39),
        command(0xc7, 9),
        command(0x6c, 9),
    ];
    let network = [
        step(Some(&[0xa1; 180]), &[command(0xaf, 32)]),
        step(Some(&[0xa2; 200]), &read),
        step(None, &credit),
        receipt(&RECEIPT),
    ];
    Script {
        card: card.into_iter().map(Ok).collect(),
        network: network.into_iter().map(Ok).collect(),
    }
}

fn answer(data: &[u8], status: [u8; 2]) -> Vec<u8> {
    [data, &status].concat()
}

/// A wrapped native command with `len` bytes of data.
fn command(ins: u8, len: u8) -> Vec<u8> {
    let data = vec![ins; usize::from(len)];
    [&[0x90, ins, 0, 0, len], data.as_slice(), &[0]].concat()
}

/// Puts `with` in the place of the script's entries `range`.
fn replace<E>(
    list: &mut Vec<Result<Vec<u8>, E>>,
    range: impl RangeBounds<usize>,
    with: impl IntoIterator<Item = Vec<u8>>,
) {
    list.splice(range, with.into_iter().map(Ok));
}

fn orders() -> Vec<Case> {
    let good = order();
    let with = |at: usize, value: u8| {
        let mut order = good.clone();
        order[at] = value;
        order
    };
    let orders = [
        ("empty", Vec::new()),
        ("of another version", with(1, 2)),
        ("to read", with(2, 2)),
        ("of a kind as text", with(2, 0x60)),
        ("with a field too few", with(0, 0x8d)),
        ("with a field too many", [with(0, 0x8f), vec![0]].concat()),
        ("with a byte behind", [good.clone(), vec![0]].concat()),
        ("cut short", good[..good.len() - 1].to_vec()),
    ];
    let case = |(name, order)| {
        let case = Case::new(format!("an order {name}"), |_| {})
            .fails(Failure::Order)
            .after(0, 0);
        Case { order, ..case }
    };
    let debit = Case {
        order: with(2, 1),
        ..Case::new("an order to debit", |_| {})
    };
    orders.into_iter().map(case).chain([debit]).collect()
}
