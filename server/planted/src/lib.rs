//! Defects that can be switched on, so that the simulation proves that it would find them.
//!
//! `planted::on(Bug::NoEpoch)` is `false` at compile time in what ships: no branch, no list. With the
//! feature `planted-bugs`, which only `.ci/failpoints` asks for and which a release refuses to be built
//! with, a thread has at most one defect at a time. Source: docs/simulation.md.
#![no_std]

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("planted bugs are for tests; a release must not have them");

macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// One defect, named after the rule that it breaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $($(#[doc = $doc])* $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

bugs! {
    /// The card's epoch is not compared with the ticket's: a kept-back STATE counts.
    NoEpoch,
    /// Only the conclusion "absent" is drawn from an older session.
    OldAbsent,
    /// The epoch is not raised when a commit is sent.
    EpochNotRaised,
    /// A commit is posted although VALUE was not read back.
    PostBeforeReadBack,
    /// A proof is refused once the ticket's time is over.
    TicketAtExchange4,
    /// A second commit may be in flight on a card.
    NoInFlightIndex,
    /// What is in flight expires.
    ExpiryInFlight,
    /// What is in flight is given back when the sender asks.
    CancelInFlight,
    /// A wish to cancel, noted in flight, is forgotten when the card proves absence.
    CancelForgotten,
    /// What has expired is still sent to the card.
    ExpiredCredited,
    /// Orders expire a minute early.
    ExpiryEarly,
    /// The receipt is not stored.
    ReceiptNotStored,
    /// A receipt is signed anew whenever it is asked for.
    ReceiptRemade,
    /// A proof that comes again is posted again.
    ProofPostedTwice,
    /// A cancellation that comes again is paid again.
    RefundTwice,
    /// An idempotency key is not looked up.
    KeyIgnored,
    /// A batch that is asked for again has other bytes.
    BatchRemade,
    /// The batch leaves before its row is committed.
    AnswerBeforeCommit,
    /// The receipt leaves before its row is committed.
    ReceiptBeforeCommit,
    /// Whatever card is presented is credited.
    WrongCard,
    /// A blocked card is credited.
    BlockedCard,
    /// The most that a card may hold is not looked at.
    CardLimit,
    /// Whoever knows an id may begin.
    ClaimToken,
    /// The ledger's time follows a clock that is set back.
    TimeBackwards,
    /// What leaves escrow does not reach the card's account.
    PostingForgotten,
    /// What the card says is compared by its number, not by the remittance's id.
    DecideBySeq,
    /// A restored backup is served as if nothing had happened since.
    RestoreWithoutRecovering,
    /// What nobody picked up goes to the card account, without the card's proof.
    ReturnToCard,
    /// The mail of an order is queued after the transaction that places it.
    OutboxOutside,
    /// An amount is taken from a balance that does not cover it.
    AmountUnchecked,
    /// A refund that the bank has not acknowledged counts as done.
    RefundUnacknowledged,
    /// A bank that does not answer has agreed.
    SilenceIsConsent,
    /// A debit is posted although nothing proves that the card gave it.
    DebitUnproven,
    /// An order that a card pays for opens when the debit is sent.
    OpenBeforeDebit,
    /// A debit whose proof comes again is taken again.
    DebitTwice,
    /// What a card paid goes back to its account, without the card's proof.
    ReturnToPayingCard,
    /// An order is taken back, and the debit that pays for it is not.
    OrderCancelledAlone,
    /// The terminal journals its last exchange after it was sent.
    JournalAfterSending,
    /// The terminal forgets its last exchange when the answer does not come.
    JournalDropped,
}

/// Whether this defect is switched on in this thread: never, in what ships.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn on(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
pub use armed::{on, plant};

#[cfg(feature = "planted-bugs")]
mod armed {
    extern crate std;

    use super::Bug;
    use core::{cell::Cell, hint::black_box};
    use std::thread_local;

    /// Stands in every binary that could switch a defect on, so that a test can look for it.
    const MARK: &str = "tegata:planted-bugs-can-be-switched-on";

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this defect is switched on in this thread.
    #[must_use]
    pub fn on(bug: Bug) -> bool {
        black_box(MARK);
        PLANTED.get() == Some(bug)
    }

    /// Switches one defect on in this thread, or all of them off.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}
