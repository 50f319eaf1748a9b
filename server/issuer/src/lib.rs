//! The issuer: keys, orders, redemption over HTTP, mails, and the command line of its office.
//!
//! Money is decided in `ledger` and `redemption`, kept in `store`; this crate hands them rows,
//! time, randomness and keys, and speaks HTTP. What is absent: WebAssembly engines, SQL, SMTP.

pub mod app;
pub mod backup;
pub mod bank;
pub mod caller;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connections;
pub mod examine;
pub mod files;
pub mod front;
pub mod http;
pub mod invitations;
pub mod issuing;
pub mod jobs;
pub mod keys;
pub mod limit;
pub mod orders;
pub mod pages;
pub mod programs;
pub mod redeem;
pub mod roots;
pub mod shown;
pub mod webhooks;
