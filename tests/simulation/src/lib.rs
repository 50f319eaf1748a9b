//! The money adds up, whatever fails: the whole system in one process under a seeded scheduler.
//!
//! What ships runs here: the issuer's own functions over its own store (SQLite in memory), its jobs
//! and mails, the rules of the terminal, the program's logic, the card. What is simulated is what lies
//! between: time, network, mail, power, the hands that hold the card, and terminals that lie. One seed
//! is one history. Source: docs/simulation.md.

mod bank;
mod base;
mod cards;
mod cells;
mod check;
mod debits;
mod dice;
mod gate;
mod ghost;
mod history;
mod liar;
mod office;
mod post;
mod restore;
mod senders;
mod server;
mod session;
mod settle;
mod terminals;
mod world;

pub use base::Base;
pub use cells::{Cells, TABLES, Table};
pub use history::{Outcome, Stats, Sum, many, run};
