//! The tables, one file per section.

mod a;
mod b;
mod c;
mod counts;
mod d;
mod e;
mod f;
mod g;
mod h;
mod i;
mod j;
mod k;
mod l;
mod m;
mod mails;
mod n;
mod r;
mod s;

use crate::row::Row;

/// Asks the reader for the card's UID; the only command that needs nothing before it.
const UID: [u8; 5] = [0xFF, 0xCA, 0, 0, 0];

/// Letter and name of each section.
pub(crate) const NAMES: &[(char, &str)] = &[
    ('A', "Envelope, size, transport"),
    ('B', "Signature and trust"),
    ('C', "Static policy"),
    ('D', "Imports, exports, capabilities"),
    ('E', "Time"),
    ('F', "Memory"),
    ('G', "Call stack and tables"),
    ('H', "Calls to the host"),
    ('I', "Commands to the card"),
    ('J', "The channel to the issuer"),
    ('K', "Leakage and determinism"),
    ('L', "The component boundary"),
    ('M', "Several at once, ends in the middle"),
    ('N', "Display and log"),
    ('R', "A hostile guest in Rust"),
    ('S', "What the issuer has withdrawn"),
];

/// Every row in order.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [
        a::ROWS,
        b::ROWS,
        c::ROWS,
        d::ROWS,
        e::ROWS,
        f::ROWS,
        g::ROWS,
        h::ROWS,
        i::ROWS,
        j::ROWS,
        k::ROWS,
        l::ROWS,
        m::ROWS,
        n::ROWS,
        r::ROWS,
        s::ROWS,
    ]
    .into_iter()
    .flatten()
}
