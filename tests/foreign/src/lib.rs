//! Parsers that meet foreign bytes, each as a function over bytes that panics when a promise is
//! broken.
//!
//! The same functions are the bodies of the fuzz targets (`tests/fuzz`) and run under proptest with
//! every `make test`. What was fuzzed for how long and what it found: docs/fuzzing.md.

#![expect(
    clippy::missing_panics_doc,
    reason = "to panic at a broken promise is what these functions are for"
)]

pub mod cards;
pub mod files;
#[cfg(feature = "server")]
pub mod http;
pub mod messages;
pub mod server;
#[cfg(feature = "terminal")]
pub mod terminal_side;

/// One target: its body, and lawful inputs to start from.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the fuzz target.
    pub name: &'static str,
    /// Reads the bytes; panics when a promise is broken.
    pub body: fn(&[u8]),
    /// Inputs that are accepted, made by our own writers.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "program_file",
        body: files::program_file,
        seeds: files::program_seeds,
    },
    Target {
        name: "order_bytes",
        body: files::order_bytes,
        seeds: files::order_seeds,
    },
    Target {
        name: "journal_entry",
        body: files::journal_entry,
        seeds: files::journal_seeds,
    },
    Target {
        name: "exchange_request",
        body: messages::request,
        seeds: messages::request_seeds,
    },
    Target {
        name: "exchange_reply",
        body: messages::reply,
        seeds: messages::reply_seeds,
    },
    Target {
        name: "receipt",
        body: messages::receipt,
        seeds: messages::receipt_seeds,
    },
    Target {
        name: "descriptor",
        body: messages::descriptor,
        seeds: messages::descriptor_seeds,
    },
    Target {
        name: "status_list",
        body: messages::status_list,
        seeds: messages::status_seeds,
    },
    Target {
        name: "succession",
        body: messages::succession,
        seeds: messages::succession_seeds,
    },
    Target {
        name: "guest",
        body: messages::guest,
        seeds: messages::guest_seeds,
    },
    Target {
        name: "sealed_ticket",
        body: server::sealed_ticket,
        seeds: messages::request_seeds,
    },
    Target {
        name: "api_body",
        body: server::api_body,
        seeds: server::api_seeds,
    },
    Target {
        name: "card_answers",
        body: cards::answers,
        seeds: cards::answer_seeds,
    },
    Target {
        name: "card_commands",
        body: cards::commands,
        seeds: cards::command_seeds,
    },
    Target {
        name: "card_file",
        body: cards::snapshot,
        seeds: cards::snapshot_seeds,
    },
    Target {
        name: "audit_log",
        body: server::audit_log,
        seeds: server::audit_seeds,
    },
    #[cfg(feature = "server")]
    Target {
        name: "http_request",
        body: http::request,
        seeds: http::request_seeds,
    },
    #[cfg(feature = "terminal")]
    Target {
        name: "trust_file",
        body: terminal_side::trust_file,
        seeds: terminal_side::trust_seeds,
    },
    #[cfg(feature = "terminal")]
    Target {
        name: "run_log",
        body: terminal_side::run_log,
        seeds: terminal_side::run_log_seeds,
    },
    #[cfg(feature = "terminal")]
    Target {
        name: "mail",
        body: terminal_side::mail,
        seeds: terminal_side::mail_seeds,
    },
    #[cfg(feature = "terminal")]
    Target {
        name: "admission",
        body: terminal_side::admission,
        seeds: terminal_side::admission_seeds,
    },
    #[cfg(feature = "terminal")]
    Target {
        name: "runner_frames",
        body: terminal_side::frames,
        seeds: terminal_side::frame_seeds,
    },
    #[cfg(feature = "terminal")]
    Target {
        name: "apdu_policy",
        body: terminal_side::policy,
        seeds: cards::command_seeds,
    },
];

/// The body of the target of this name.
#[must_use]
pub fn body(name: &str) -> fn(&[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.expect("a target of this name").body
}

/// Splits bytes into chunks, each behind one byte that says its length; the last may be cut short.
///
/// How a fuzzer writes several messages in one input.
pub fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first()?;
        let (chunk, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        bytes = rest;
        Some(chunk)
    })
}

/// Reverse of [`chunks`] for messages of up to 255 bytes.
#[must_use]
pub fn joined<M: AsRef<[u8]>>(messages: &[M]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        let message = message.as_ref();
        bytes.push(u8::try_from(message.len()).expect("a short message"));
        bytes.extend_from_slice(message);
    }
    bytes
}
