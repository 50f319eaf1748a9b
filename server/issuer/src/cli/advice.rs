//! What to do next about an error, for the person at the command line.

use card_reader::{CardFileError, ReaderError};
use ledger::Refusal;
use store::{AdminError, ApplyError, StoreError};

const BOUNDS: &str = "`--help` and docs/server.md name the bounds";
const CARDS: &str = "`tegata-server card list` shows the cards";
const HOLDERS: &str = "`tegata-server holder list` shows the holders";
const OFFICERS: &str =
    "`tegata-server officer list` shows the officers; each gives their own token";
const ORDERS: &str = "`tegata-server order list --sender ID` shows a sender's orders";
const SAME_AGAIN: &str = "give the same command again; it goes on where it stopped";

/// The next step about an error that has one.
#[must_use]
pub fn next_step(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let reader = cause.downcast_ref::<ReaderError>().map(of_reader);
        let store = || cause.downcast_ref::<StoreError>().map(of_store);
        let admin = || cause.downcast_ref::<AdminError>().map(of_admin);
        let refusal = || cause.downcast_ref::<Refusal>().copied().map(of_refusal);
        let applied = || cause.downcast_ref::<ApplyError>().map(of_apply);
        reader
            .or_else(store)
            .or_else(admin)
            .or_else(refusal)
            .or_else(applied)
    })
}

const fn of_reader(error: &ReaderError) -> &'static str {
    match error {
        ReaderError::NoReader => "connect a reader; pcsc:NAME names one, emulated:PATH needs none",
        ReaderError::SeveralCards => "leave one card on the readers, or name its reader: pcsc:NAME",
        ReaderError::NoCard => "put the card on the reader and give the same command again",
        ReaderError::Busy => "end the other program that uses the card",
        ReaderError::Service => "start pcscd and give the same command again",
        ReaderError::Removed | ReaderError::Timeout | ReaderError::Failed(_) => SAME_AGAIN,
        ReaderError::CardFile(CardFileError::Missing(_)) => "`tegata-card new PATH` makes one",
        ReaderError::CardFile(CardFileError::Exists(_)) => "name a file that does not exist",
        ReaderError::CardFile(CardFileError::Content { .. }) => {
            "name the file of a card; one that is damaged is a broken card: issue another"
        }
        ReaderError::CardFile(CardFileError::Io { .. }) => "look at the path and who may use it",
    }
}

const fn of_apply(error: &ApplyError) -> &'static str {
    match error {
        ApplyError::Refused(refusal) => of_refusal(*refusal),
        ApplyError::Store(error) => of_store(error),
    }
}

const fn of_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable { .. } => {
            "look at space and permissions of the data folder, then give the same command again"
        }
        StoreError::TooManyCommands => "this is a defect of the program: report it with this line",
        StoreError::SchemaTooNew { .. } => "use the newer tegata-server that wrote it",
        StoreError::NotOurs => "check --data",
        StoreError::Corrupt { .. } => {
            "stop the server, copy the folder and run `tegata-server audit`; docs/server.md"
        }
    }
}

fn of_admin(error: &AdminError) -> &'static str {
    match error {
        AdminError::Unknown { what: "holder" } => HOLDERS,
        AdminError::Unknown { what: "card" } => CARDS,
        AdminError::Unknown { what: "officer" } => OFFICERS,
        AdminError::Unknown { .. } => "check what you named",
        AdminError::Taken { .. } => "name another one: what is in use stays with whom it is",
        AdminError::WrongStatus => CARDS,
        AdminError::Disabled => "`tegata-server webhook enable ID` first, then send again",
        AdminError::OpenRemittances { .. } => {
            "wait until they have ended, or take them back: `tegata-server order cancel ID`"
        }
        AdminError::OutOfBounds { .. } => BOUNDS,
        AdminError::TwoPersonsNeeded => {
            "give --by NAME --and NAME --reason TEXT; `tegata-server officer list` shows them"
        }
        AdminError::TooFewOfficers => "add another one first: `tegata-server officer add`",
        AdminError::Refused(refusal) => of_refusal(*refusal),
        AdminError::Store(error) => of_store(error),
    }
}

const fn of_refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::OutOfBounds => BOUNDS,
        Refusal::SamePerson => "--by and --and are two different persons",
        Refusal::OfficerUnknown => OFFICERS,
        Refusal::IdempotencyConflict => "another order needs another --key",
        Refusal::TransferConflict => {
            "that id stands for another transfer; leave --transfer out for a new one"
        }
        Refusal::RemittanceTaken | Refusal::Stale => SAME_AGAIN,
        Refusal::RemittanceUnknown => ORDERS,
        Refusal::HolderUnknown => HOLDERS,
        Refusal::CardUnknown => CARDS,
        Refusal::CaseUnknown | Refusal::CaseClosed => {
            "`tegata-server reconcile` lists the open cases"
        }
        Refusal::CardIssuing => "`tegata-server card issue` given again finishes the card",
        Refusal::CardBlocked => "blocking is for good: issue the holder another card",
        Refusal::CardFrozen | Refusal::CaseOpen => {
            "decide its case first: `tegata-server reconcile` names it, `reconcile resolve` decides"
        }
        Refusal::CardNotLost => "`tegata-server card lost` reports a card lost",
        Refusal::CardPaidOut => {
            "its value was paid out: close the case with --block and keep the card"
        }
        Refusal::WrongCard => "what is owed goes to a card of that holder only",
        Refusal::SelfRemittance => "name the card of somebody else",
        Refusal::RecipientWithoutAddress => {
            "`tegata-server holder email ID --set ADDRESS` gives the card's holder an address"
        }
        Refusal::FundingUnavailable => {
            "`tegata-server holder bank ID --account NUMBER` names an account, `serve --bank` the bank"
        }
        Refusal::CurrencyMismatch => "holder, card and amount are of one currency: `account list`",
        Refusal::NotInFlight => {
            "only what is in doubt or recovering waits for this; `tegata-server order show ID` tells"
        }
        Refusal::Contradictory => {
            "read the card once more: `tegata-server card examine`; what no reading explains is closed \
             with --block"
        }
        Refusal::NotFunded => "its bank has not paid yet; `tegata-server order show ID` tells",
        Refusal::AlreadyCredited => "it is on its card: nothing is left to do",
        Refusal::Cancelled | Refusal::Expired => "its sender has it back: nothing is left to do",
        Refusal::Closed => "two persons closed it and its sender was paid: nothing is left to do",
        Refusal::NotExpired => "`tegata-server order cancel ID` takes it back before its time",
        Refusal::InDoubt => {
            "read the card once more, or close what is in doubt: `tegata-server reconcile`"
        }
        Refusal::Recovering => {
            "its card is to be read, or its bank has still to answer: `tegata-server reconcile` says which"
        }
        Refusal::TooEarly => "`tegata-server reconcile` says from when on",
        Refusal::AmountOverLimit => "send it in parts: --minor says how much",
        Refusal::CardFull => {
            "it shows more than a card may hold: keep it, and close the case with --block"
        }
        Refusal::CounterExhausted => {
            "this card can do no more: `tegata-server card block`, and issue another"
        }
        Refusal::InsufficientFunds => "`tegata-server account list` shows the balances",
        Refusal::BalanceOverLimit => "take less: an account holds at most 2^53 - 1 minor units",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where it comes wrapped, as commands give it.
    #[test]
    fn every_refusal_has_a_next_step() {
        for refusal in Refusal::ALL {
            let bare = anyhow::Error::new(refusal);
            let said = next_step(&bare).unwrap_or_default();
            assert!(said.len() > 10, "{refusal:?}: {said}");
            let wrapped = anyhow::Error::new(ApplyError::Refused(refusal)).context("the card");
            assert_eq!(next_step(&wrapped), Some(said));
        }
        assert_eq!(next_step(&anyhow::anyhow!("--minor: 1 to 5")), None);
    }
}
