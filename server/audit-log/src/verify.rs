//! The verifier: line by line, in bounded memory, to the first thing that is not as it was sealed.
//!
//! A line that does not continue the chain is kept in mind while the rest is read: what follows
//! tells whether a record was altered, taken out, put in or moved.

use alloc::string::String;
use alloc::vec::Vec;

use wire::signed::{KEY_ID_LEN, SignedError};

use crate::chain::{Head, Link};
use crate::lines::{HEADER, Item, parse};

/// What is thought of the key that signed a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The issuer's key for this.
    Accepted([u8; 32]),
    /// It was, and was revoked: its heads fit into the chain and seal nothing.
    Revoked([u8; 32]),
    /// Not a key of this issuer for this.
    Unknown,
}

/// A head that is known from elsewhere, such as yesterday's: the chain must contain it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known(Head);

impl Known {
    /// Opens a signed head.
    ///
    /// # Errors
    /// The envelope's; [`SignedError::KeyUnknown`] also for a revoked key.
    pub fn open(
        bytes: &[u8],
        lookup: impl Fn(&[u8; KEY_ID_LEN]) -> Standing,
    ) -> Result<Self, SignedError> {
        let accepted = |id: &[u8; KEY_ID_LEN]| match lookup(id) {
            Standing::Accepted(key) => Some(key),
            Standing::Revoked(_) | Standing::Unknown => None,
        };
        Head::open(bytes, accepted).map(Self)
    }
}

/// What happened to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Other bytes stand in its place.
    Altered,
    /// It is gone.
    Removed,
    /// It stands elsewhere, or another one in its place.
    Reordered,
    /// Something stands before it that was never sealed there.
    Inserted,
    /// A genuine head covers other records than these: records before it were exchanged and their
    /// hashes made anew, or the chain was forked.
    Rewritten,
}

impl What {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
            Self::Inserted => "inserted",
            Self::Rewritten => "rewritten",
        }
    }
}

/// What it happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The first line.
    Header,
    /// The record of this position.
    Record(u64),
    /// The head of this number.
    Head(u64),
}

/// The first thing that is not as it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What happened.
    pub what: What,
    /// To what.
    pub subject: Subject,
    /// The line where it shows, from 1.
    pub line: u64,
}

/// What a log was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The first fault; nothing where the log is whole.
    pub finding: Option<Finding>,
    /// Records that continue the chain.
    pub records: u64,
    /// Heads that fit, those of revoked keys included.
    pub heads: u64,
    /// Heads of revoked keys.
    pub revoked_heads: u64,
    /// The last head that seals.
    pub head: Option<Head>,
    /// Records after it: chained, and sealed by nobody yet.
    pub unsealed: u64,
}

enum Shape {
    Broken { head_like: bool },
    Record { record: Vec<u8>, link: Link },
    Head { head: Head, revoked: bool },
}

/// A line that did not continue the chain.
struct Doubt {
    shape: Shape,
    line: u64,
    /// The chain before it.
    before: Link,
    /// Whether the chain went on after it.
    resumed: bool,
}

/// Reads a log line by line.
pub struct Verifier<L> {
    lookup: L,
    known: Option<Head>,
    lines: u64,
    link: Link,
    heads: u64,
    revoked_heads: u64,
    /// Where the last head ended, sealing or not.
    covered: u64,
    head: Option<Head>,
    issuer: Option<String>,
    doubt: Option<Doubt>,
    finding: Option<Finding>,
}

impl<L> core::fmt::Debug for Verifier<L> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Verifier")
            .field("lines", &self.lines)
            .field("finding", &self.finding)
            .finish_non_exhaustive()
    }
}

impl<L: Fn(&[u8; KEY_ID_LEN]) -> Standing> Verifier<L> {
    /// Begins. `lookup` tells what is thought of a key; `known` must be part of the chain.
    pub fn new(lookup: L, known: Option<Known>) -> Self {
        let known = known.map(|known| known.0);
        Self {
            lookup,
            issuer: known.as_ref().map(|head| head.issuer.clone()),
            known,
            lines: 0,
            link: Link::START,
            heads: 0,
            revoked_heads: 0,
            covered: 0,
            head: None,
            doubt: None,
            finding: None,
        }
    }

    /// Takes the next line without its end. `ended`: whether a line feed followed it. A line
    /// longer than [`crate::LINE_LEN_MAX`] may be given cut.
    ///
    /// Gives the record, where the line holds the next one of the chain.
    pub fn line(&mut self, bytes: &[u8], ended: bool) -> Option<Vec<u8>> {
        self.lines = self.lines.saturating_add(1);
        if self.finding.is_some() {
            return None;
        }
        if self.lines == 1 {
            if bytes != HEADER.as_bytes() || !ended {
                self.found(What::Altered, Subject::Header, 1);
            }
            return None;
        }
        let shape = self.shape(bytes, ended);
        if self.fits(&shape) {
            self.accept(shape)
        } else {
            self.stumble(shape);
            None
        }
    }

    /// The verdict, after the last line.
    #[must_use]
    pub fn finish(mut self) -> Verdict {
        if self.lines == 0 {
            self.found(What::Altered, Subject::Header, 1);
        }
        if self.finding.is_none() {
            self.settle_at_end();
        }
        if let (None, Some(known)) = (self.finding, &self.known) {
            let (number, position) = (known.number, known.link.position);
            let next = self.lines.saturating_add(1);
            if self.link.position < position {
                let missing = Subject::Record(self.link.position.saturating_add(1));
                self.found(What::Removed, missing, next);
            } else if self.heads < number {
                self.found(What::Removed, self.next_head(), next);
            }
        }
        let sealed = self.head.as_ref().map_or(0, |head| head.link.position);
        Verdict {
            finding: self.finding,
            records: self.link.position,
            heads: self.heads,
            revoked_heads: self.revoked_heads,
            unsealed: self.link.position.saturating_sub(sealed),
            head: self.head,
        }
    }

    fn found(&mut self, what: What, subject: Subject, line: u64) {
        self.finding.get_or_insert(Finding {
            what,
            subject,
            line,
        });
    }

    fn next_head(&self) -> Subject {
        Subject::Head(self.heads.saturating_add(1))
    }

    fn shape(&self, bytes: &[u8], ended: bool) -> Shape {
        let broken = || Shape::Broken {
            head_like: bytes.starts_with(b"head"),
        };
        if !ended {
            return broken();
        }
        match parse(bytes) {
            None => broken(),
            Some(Item::Record { record, link }) => Shape::Record { record, link },
            Some(Item::Head(envelope)) => {
                let mut revoked = false;
                let opened = Head::open(&envelope, |id| match (self.lookup)(id) {
                    Standing::Accepted(key) => Some(key),
                    Standing::Revoked(key) => {
                        revoked = true;
                        Some(key)
                    }
                    Standing::Unknown => None,
                });
                opened.map_or_else(|_| broken(), |head| Shape::Head { head, revoked })
            }
        }
    }

    /// Whether the line is what comes next.
    fn fits(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Broken { .. } => false,
            Shape::Record { record, link } => self.link.next(record) == *link,
            Shape::Head { head, .. } => {
                head.link == self.link
                    && head.number == self.heads.saturating_add(1)
                    && head.first == self.covered.saturating_add(1)
                    && self.issuer.as_ref().is_none_or(|name| *name == head.issuer)
            }
        }
    }

    fn accept(&mut self, shape: Shape) -> Option<Vec<u8>> {
        self.went_on(&shape);
        match shape {
            Shape::Broken { .. } => None,
            Shape::Record { record, link } => {
                self.link = link;
                let known = self.known.as_ref().map(|known| (known.number, known.link));
                if let Some((number, expected)) = known
                    && expected.position == link.position
                    && expected != link
                {
                    self.found(What::Rewritten, Subject::Head(number), self.lines);
                }
                Some(record)
            }
            Shape::Head { head, revoked } => {
                self.heads = head.number;
                self.covered = head.link.position;
                self.issuer.get_or_insert_with(|| head.issuer.clone());
                if revoked {
                    self.revoked_heads = self.revoked_heads.saturating_add(1);
                } else {
                    self.head = Some(head);
                }
                None
            }
        }
    }

    /// The chain goes on with `next`: what does that say about a line that did not fit?
    fn went_on(&mut self, next: &Shape) {
        let Some(doubt) = &mut self.doubt else { return };
        doubt.resumed = true;
        let (line, place) = (doubt.line, doubt.before.position.saturating_add(1));
        let extra = match (&doubt.shape, next) {
            // a head came with the next number: no head is missing
            (Shape::Broken { .. }, Shape::Head { .. }) => true,
            (Shape::Broken { .. }, Shape::Record { .. } | Shape::Broken { .. }) => false,
            (Shape::Record { link, .. }, Shape::Record { link: now, .. }) => {
                link.position <= place || link.position == now.position
            }
            (Shape::Record { link, .. }, Shape::Head { .. }) => link.position <= place,
            (Shape::Head { head, .. }, Shape::Head { head: now, .. }) => head.number == now.number,
            (
                Shape::Head { .. } | Shape::Record { .. },
                Shape::Broken { .. } | Shape::Record { .. },
            ) => false,
        };
        if extra {
            self.found(What::Inserted, Subject::Record(place), line);
        }
    }

    /// The line is not what comes next.
    fn stumble(&mut self, shape: Shape) {
        match self.doubt.take() {
            None => self.first_stumble(shape),
            Some(doubt) if doubt.resumed => self.second_stumble(&doubt, &shape),
            // what follows a doubtful line tells nothing until the chain goes on
            Some(doubt) => self.doubt = Some(doubt),
        }
    }

    fn first_stumble(&mut self, shape: Shape) {
        let (line, place) = (self.lines, self.link.position.saturating_add(1));
        let known = match &shape {
            Shape::Broken { .. } => None,
            // only its position was changed
            Shape::Record { record, link } => (self.link.next(record).hash == link.hash)
                .then_some((What::Altered, Subject::Record(place))),
            Shape::Head { head, .. } => self.stray_head(head),
        };
        match known {
            Some((what, subject)) => self.found(what, subject, line),
            None => {
                self.doubt = Some(Doubt {
                    shape,
                    line,
                    before: self.link,
                    resumed: false,
                });
            }
        }
    }

    /// A genuine head where it does not belong, if that alone tells what happened.
    fn stray_head(&self, head: &Head) -> Option<(What, Subject)> {
        let next = self.next_head();
        let place = Subject::Record(self.link.position.saturating_add(1));
        if head.number <= self.heads {
            Some((What::Inserted, place))
        } else if head.link.position > self.link.position {
            None
        } else if head.link == self.link && Subject::Head(head.number) != next {
            Some((What::Removed, next))
        } else if head.link.position < self.link.position {
            Some((What::Reordered, next))
        } else {
            Some((What::Rewritten, Subject::Head(head.number)))
        }
    }

    /// The chain went on after a doubtful line, and now breaks again.
    fn second_stumble(&mut self, doubt: &Doubt, shape: &Shape) {
        let place = Subject::Record(doubt.before.position.saturating_add(1));
        let (what, subject) = match &doubt.shape {
            Shape::Broken { head_like: first } => match shape {
                Shape::Head { head, .. } if head.link == self.link => {
                    (What::Altered, self.next_head())
                }
                // such as every head, where the key is another one
                Shape::Broken { head_like } if *first && *head_like => {
                    (What::Altered, self.next_head())
                }
                Shape::Head { .. } | Shape::Broken { .. } | Shape::Record { .. } => {
                    (What::Inserted, place)
                }
            },
            Shape::Record { .. } => (What::Reordered, place),
            Shape::Head { head, .. } => (What::Reordered, Subject::Head(head.number)),
        };
        self.found(what, subject, doubt.line);
    }

    /// Nothing follows that could explain a doubtful line.
    fn settle_at_end(&mut self) {
        let Some(doubt) = self.doubt.take() else {
            return;
        };
        let place = doubt.before.position.saturating_add(1);
        let record = Subject::Record(place);
        let missing = self
            .known
            .as_ref()
            .is_some_and(|known| known.number > self.heads && known.link == self.link);
        let (what, subject) = match &doubt.shape {
            Shape::Broken { head_like } if *head_like || missing => {
                (What::Altered, self.next_head())
            }
            Shape::Broken { .. } if doubt.resumed => (What::Inserted, record),
            Shape::Broken { .. } => (What::Altered, record),
            Shape::Record { .. } if doubt.resumed => (What::Reordered, record),
            Shape::Record { link, .. } if link.position == place => (What::Altered, record),
            Shape::Record { link, .. } if link.position < place => (What::Inserted, record),
            Shape::Record { .. } => (What::Removed, record),
            Shape::Head { head, .. } if doubt.resumed => {
                (What::Reordered, Subject::Head(head.number))
            }
            Shape::Head { .. } => (What::Removed, record),
        };
        self.found(what, subject, doubt.line);
    }
}
