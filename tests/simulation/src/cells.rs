//! How often each fault hit each step: a combination that no seed reaches is a hole in the proof.

use std::collections::BTreeMap;

/// One table: faults down, steps across.
#[derive(Debug)]
pub struct Table {
    /// What it is about.
    pub name: &'static str,
    /// Its rows.
    pub faults: &'static [&'static str],
    /// Its columns.
    pub steps: &'static [&'static str],
    /// Cells that can not be: fault, step, and why.
    pub impossible: &'static [(&'static str, &'static str, &'static str)],
}

/// The exchanges, and what a sender asks, as names of steps.
pub(crate) const EXCHANGES: [&str; 4] = ["exchange 1", "exchange 2", "exchange 3", "exchange 4"];
/// The same of a debit.
pub(crate) const DEBIT_EXCHANGES: [&str; 4] = ["debit 1", "debit 2", "debit 3", "debit 4"];

/// Every table.
pub const TABLES: &[Table] = &[
    Table {
        name: "messages",
        faults: &["request lost", "reply lost", "repeated", "late"],
        steps: &[
            "order",
            "cancel",
            "exchange 1",
            "exchange 2",
            "exchange 3",
            "exchange 4",
            "sent again",
            "debit 1",
            "debit 2",
            "debit 3",
            "debit 4",
            "debit again",
        ],
        impossible: &[
            ("late", "sent again", EQUAL_BYTES),
            ("late", "debit again", EQUAL_BYTES),
        ],
    },
    Table {
        name: "store",
        faults: &[
            "failed before",
            "killed before",
            "answer lost",
            "killed after",
        ],
        steps: &[
            "order read",
            "order apply",
            "card order read",
            "card order apply",
            "program read",
            "cancel apply",
            "exchange 1 read",
            "exchange 2 read",
            "exchange 3 read",
            "exchange 3 apply",
            "exchange 4 read",
            "exchange 4 apply",
            "debit 1 read",
            "debit 2 read",
            "debit 3 read",
            "debit 3 apply",
            "debit 4 read",
            "debit 4 apply",
            "expiry read",
            "expiry apply",
            "outbox read",
            "outbox write",
            "block apply",
            "bank read",
            "bank lease",
            "bank apply",
            "revise read",
            "revise apply",
            "lost apply",
            "payout apply",
            "owed read",
            "owed apply",
            "close apply",
            "receipt read",
            "receipt apply",
            "adopt read",
            "adopt apply",
        ],
        impossible: &[],
    },
    Table {
        name: "card",
        faults: CARD_FAULTS,
        steps: &[
            "uid",
            "select",
            "challenge",
            "handshake",
            "read state",
            "read value",
            "credit",
            "log",
            "write state",
            "commit",
            "read back",
        ],
        impossible: TORN,
    },
    Table {
        name: "debit card",
        faults: CARD_FAULTS,
        steps: &[
            "uid",
            "select",
            "challenge",
            "handshake",
            "read state",
            "read value",
            "debit",
            "log",
            "write state",
            "commit",
            "read back",
        ],
        impossible: TORN,
    },
    Table {
        name: "terminal",
        faults: &["killed before", "killed after"],
        steps: &["opened", "awaiting", "receipt", "settled", "sending"],
        impossible: &[(
            "killed after",
            "sending",
            "after sending is the wait for the reply: `killed waiting` of the races",
        )],
    },
    Table {
        name: "mail",
        faults: &[
            "lost",
            "repeated",
            "delayed",
            "taken, answer lost",
            "put off",
            "bounced",
        ],
        steps: &["handed over"],
        impossible: &[],
    },
    Table {
        name: "races",
        faults: RACES,
        steps: PHASES,
        impossible: &[
            (
                "restored",
                "recovering",
                "a history has one restore, and nothing recovers before it",
            ),
            ("mail bounced", "credited", "not counted: see `NOT_COUNTED`"),
        ],
    },
    Table {
        name: "debit races",
        faults: DEBIT_RACES,
        steps: DEBIT_PHASES,
        impossible: &[(
            "restored",
            "debit recovering",
            "a history has one restore, and nothing recovers before it",
        )],
    },
    Table {
        name: "funding",
        faults: FUNDING_RACES,
        steps: FUNDING,
        impossible: &[],
    },
    Table {
        name: "bank",
        faults: &["question lost", "answer lost", "late", "pending", "refused"],
        steps: &["debit", "status", "refund"],
        impossible: &[
            ("pending", "status", NO_DEBIT),
            ("pending", "refund", NO_DEBIT),
            ("refused", "status", NO_DEBIT),
            ("refused", "refund", NO_DEBIT),
        ],
    },
];

const EQUAL_BYTES: &str = "a late copy of it is one of exchange 4: the bytes are equal";

/// What a card, its reader and a lying terminal do to one command.
const CARD_FAULTS: &[&str] = &[
    "pulled before",
    "pulled after",
    "torn before commit",
    "torn after commit",
    "answer withheld",
    "error forged, not sent",
    "error forged, sent",
    "old answer",
    "other card",
];

/// What happens while a remittance is as far as it is.
const RACES: &[&str] = &[
    "cancelled",
    "expired",
    "card blocked",
    "second terminal",
    "clock ahead",
    "clock back",
    "server killed",
    "killed waiting",
    "restored",
    "revised",
    "card lost",
    "closed by two",
    "mail bounced",
];

/// The same of a debit. A mail that bounces moves nothing, whatever it carries: the races above have it.
pub(crate) const DEBIT_RACES: &[&str] = &[
    "cancelled",
    "expired",
    "card blocked",
    "second terminal",
    "clock ahead",
    "clock back",
    "server killed",
    "killed waiting",
    "restored",
    "revised",
    "card lost",
    "closed by two",
];

/// One that is not counted: what was credited is mailed no more, and a mail that was under way meanwhile
/// is too rare to be demanded of 5,000 histories.
pub(crate) const NOT_COUNTED: (&str, &str) = ("mail bounced", "credited");

const NO_DEBIT: &str = "only a debit is put off or refused";

/// How far the money of an order is that a bank pays.
pub(crate) const FUNDING: &[&str] = &["ordered", "bank asked", "refunding"];

/// What happens meanwhile.
pub(crate) const FUNDING_RACES: &[&str] = &[
    "cancelled",
    "expired",
    "card blocked",
    "card lost",
    "closed by two",
    "revised",
    "clock ahead",
    "clock back",
    "server killed",
    "restored",
];

/// How far a remittance has come.
pub(crate) const PHASES: &[&str] = &[
    "open",
    "challenged",
    "state asked",
    "commit sent",
    "on the card",
    "credited",
    "recovering",
];

/// The same of a debit, in the same order.
pub(crate) const DEBIT_PHASES: &[&str] = &[
    "debit open",
    "debit challenged",
    "debit state asked",
    "debit commit sent",
    "debited",
    "debit credited",
    "debit recovering",
];

const NOT_WRITTEN: &str = "only a commit writes, so nothing can tear";

const TORN: &[(&str, &str, &str)] = &[
    ("torn before commit", "uid", NOT_WRITTEN),
    ("torn before commit", "select", NOT_WRITTEN),
    ("torn before commit", "challenge", NOT_WRITTEN),
    ("torn before commit", "handshake", NOT_WRITTEN),
    ("torn before commit", "read state", NOT_WRITTEN),
    ("torn before commit", "read value", NOT_WRITTEN),
    ("torn before commit", "credit", NOT_WRITTEN),
    ("torn before commit", "debit", NOT_WRITTEN),
    ("torn before commit", "log", NOT_WRITTEN),
    ("torn before commit", "write state", NOT_WRITTEN),
    ("torn before commit", "read back", NOT_WRITTEN),
    ("torn after commit", "uid", NOT_WRITTEN),
    ("torn after commit", "select", NOT_WRITTEN),
    ("torn after commit", "challenge", NOT_WRITTEN),
    ("torn after commit", "handshake", NOT_WRITTEN),
    ("torn after commit", "read state", NOT_WRITTEN),
    ("torn after commit", "read value", NOT_WRITTEN),
    ("torn after commit", "credit", NOT_WRITTEN),
    ("torn after commit", "debit", NOT_WRITTEN),
    ("torn after commit", "log", NOT_WRITTEN),
    ("torn after commit", "write state", NOT_WRITTEN),
    ("torn after commit", "read back", NOT_WRITTEN),
];

type Cell = (&'static str, &'static str, &'static str);

/// Hits per table, fault and step.
#[derive(Clone, Debug, Default)]
pub struct Cells(BTreeMap<Cell, u64>);

impl Cells {
    /// Counts one.
    pub(crate) fn hit(&mut self, table: &'static str, fault: &'static str, step: &'static str) {
        let hits = self.0.entry((table, fault, step)).or_default();
        *hits = hits.saturating_add(1);
    }

    /// Adds those of another history.
    pub fn add(&mut self, other: &Self) {
        for (cell, hits) in &other.0 {
            let sum = self.0.entry(*cell).or_default();
            *sum = sum.saturating_add(*hits);
        }
    }

    /// Hits of one cell.
    #[must_use]
    pub fn get(&self, table: &'static str, fault: &'static str, step: &'static str) -> u64 {
        self.0.get(&(table, fault, step)).copied().unwrap_or(0)
    }

    /// Cells that should have been reached and were not, and cells that were counted although no
    /// table has them or although they can not be.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut left = self.0.clone();
        for table in TABLES {
            for fault in table.faults {
                for step in table.steps {
                    let hits = left.remove(&(table.name, fault, step)).unwrap_or(0);
                    let impossible = table
                        .impossible
                        .iter()
                        .any(|(f, s, _)| f == fault && s == step);
                    let what = match (impossible, hits) {
                        (true, 1..) => "can not be, and was",
                        (false, 0) => "never reached",
                        (true, 0) | (false, 1..) => continue,
                    };
                    wrong.push(format!("{what}: {}: {fault} x {step}: {hits}", table.name));
                }
            }
        }
        wrong.extend(left.keys().map(|cell| format!("no such cell: {cell:?}")));
        wrong
    }

    /// The tables as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for table in TABLES {
            text.push_str(&format!("\n{:<24}", table.name));
            for step in table.steps {
                text.push_str(&format!(" {step:>16}"));
            }
            text.push('\n');
            for fault in table.faults {
                text.push_str(&format!("{fault:<24}"));
                for step in table.steps {
                    let impossible = table
                        .impossible
                        .iter()
                        .any(|(f, s, _)| f == fault && s == step);
                    let hits = self.get(table.name, fault, step);
                    let shown = if impossible && hits == 0 {
                        "-".to_owned()
                    } else {
                        hits.to_string()
                    };
                    text.push_str(&format!(" {shown:>16}"));
                }
                text.push('\n');
            }
        }
        text
    }
}
