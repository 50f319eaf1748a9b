//! The exported file: text, one record or head per line, each line in one spelling.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use data_encoding::HEXLOWER;
use wire::signed::Label;

use crate::chain::Link;
use crate::change::RECORD_LEN_MAX;

/// The first line.
pub const HEADER: &str = "tegata-audit-log 1";

/// Longest line in bytes, without its end: a record with its position and hash, with room.
pub const LINE_LEN_MAX: usize = 2 * RECORD_LEN_MAX + 128;

/// What a line holds. Nothing of it is checked but its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `record POSITION RECORD HASH`
    Record {
        /// The record.
        record: Vec<u8>,
        /// Where it stands in the chain, and the chain's hash with it.
        link: Link,
    },
    /// `head ENVELOPE`
    Head(Vec<u8>),
}

/// The line of a record, without its end.
#[must_use]
pub fn record_line(record: &[u8], link: Link) -> String {
    format!(
        "record {} {} {}",
        link.position,
        HEXLOWER.encode(record),
        HEXLOWER.encode(&link.hash)
    )
}

/// The line of a signed head, without its end.
#[must_use]
pub fn head_line(envelope: &[u8]) -> String {
    format!("head {}", HEXLOWER.encode(envelope))
}

/// Reads a line, without its end; nothing where it is not the one spelling of an item.
#[must_use]
pub fn parse(line: &[u8]) -> Option<Item> {
    let text = core::str::from_utf8(line).ok()?;
    let mut words = text.split(' ');
    let item = match words.next()? {
        "record" => {
            let position = words.next()?;
            let record = hex(words.next()?, RECORD_LEN_MAX)?;
            let hash = hex(words.next()?, 32)?.try_into().ok()?;
            let number: u64 = position.parse().ok()?;
            if format!("{number}") != position {
                return None;
            }
            let link = Link {
                position: number,
                hash,
            };
            Item::Record { record, link }
        }
        "head" => Item::Head(hex(words.next()?, Label::AuditHead.len_max())?),
        _ => return None,
    };
    words.next().is_none().then_some(item)
}

fn hex(text: &str, len_max: usize) -> Option<Vec<u8>> {
    HEXLOWER
        .decode(text.as_bytes())
        .ok()
        .filter(|bytes| (1..=len_max).contains(&bytes.len()))
}
