//! The server through its router: the life of an order, and every way to be refused.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

mod address;
mod bank;
mod bench;
mod debit;
mod examples;
mod explained;
mod fuzz;
mod idempotency;
mod life;
mod limits;
mod lists;
mod openapi;
mod problems;
mod split;
mod tokens;
mod webhooks;
