//! The tables, one file per section.

mod a;
mod b;
mod c;
mod d;
mod mails;

use crate::row::Row;

/// Letter and name of each section.
pub(crate) const NAMES: &[(char, &str)] = &[
    ('A', "Envelope, size, transport"),
    ('B', "Signature and trust"),
    ('C', "Static policy"),
    ('D', "Imports, exports, capabilities"),
];

/// Every row in order.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [a::ROWS, b::ROWS, c::ROWS, d::ROWS].into_iter().flatten()
}
