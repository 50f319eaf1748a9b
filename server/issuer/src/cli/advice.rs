//! What to do next about an error, for the person at the command line.

use card_reader::{CardFileError, ReaderError};
use ledger::Refusal;
use store::{AdminError, StoreError};

const HOLDERS: &str = "`tegata-server holder list` shows the holders";
const SAME_AGAIN: &str = "give the same command again; it goes on where it stopped";

/// The next step, where the error alone does not tell it.
#[must_use]
pub fn next_step(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let reader = cause.downcast_ref::<ReaderError>().and_then(of_reader);
        let store = || cause.downcast_ref::<StoreError>().and_then(of_store);
        let admin = || cause.downcast_ref::<AdminError>().and_then(of_admin);
        let refusal = || cause.downcast_ref::<Refusal>().and_then(of_refusal);
        let applied = || match cause.downcast_ref::<store::ApplyError>()? {
            store::ApplyError::Refused(refusal) => of_refusal(refusal),
            store::ApplyError::Store(error) => of_store(error),
            _ => None,
        };
        reader
            .or_else(store)
            .or_else(admin)
            .or_else(refusal)
            .or_else(applied)
    })
}

fn of_reader(error: &ReaderError) -> Option<&'static str> {
    Some(match error {
        ReaderError::NoReader => "connect a reader; pcsc:NAME names one, emulated:PATH needs none",
        ReaderError::SeveralCards => "leave one card on the readers, or name its reader: pcsc:NAME",
        ReaderError::NoCard => "put the card on the reader and give the same command again",
        ReaderError::Busy => "end the other program that uses the card",
        ReaderError::Service => "start pcscd and give the same command again",
        ReaderError::Removed | ReaderError::Timeout | ReaderError::Failed(_) => SAME_AGAIN,
        ReaderError::CardFile(CardFileError::Missing(_)) => "`tegata-card new PATH` makes one",
        _ => return None,
    })
}

fn of_store(error: &StoreError) -> Option<&'static str> {
    Some(match error {
        StoreError::Unavailable { .. } => {
            "look at space and permissions of the data folder, then give the same command again"
        }
        StoreError::SchemaTooNew { .. } => "use the newer tegata-server that wrote it",
        StoreError::NotOurs => "check --data",
        StoreError::Corrupt { .. } => {
            "stop the server, copy the folder and run `tegata-server audit`; docs/server.md"
        }
        _ => return None,
    })
}

fn of_admin(error: &AdminError) -> Option<&'static str> {
    match error {
        AdminError::Unknown { what: "holder" } => Some(HOLDERS),
        AdminError::TwoPersonsNeeded => {
            Some("give --by NAME --and NAME --reason TEXT; `tegata-server officer list` shows them")
        }
        AdminError::TooFewOfficers => Some("add another one first: `tegata-server officer add`"),
        AdminError::Refused(refusal) => of_refusal(refusal),
        AdminError::Store(error) => of_store(error),
        _ => None,
    }
}

fn of_refusal(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::HolderUnknown => Some(HOLDERS),
        Refusal::CardUnknown => Some("`tegata-server card list` shows the cards"),
        Refusal::SamePerson => Some("--by and --and are two different persons"),
        Refusal::OfficerUnknown => {
            Some("`tegata-server officer list` shows the officers; each gives their own token")
        }
        Refusal::CaseUnknown | Refusal::CaseClosed => {
            Some("`tegata-server reconcile` lists the open cases")
        }
        Refusal::CaseOpen => Some("decide its case first: `tegata-server reconcile resolve`"),
        Refusal::CardNotLost => Some("`tegata-server card lost` reports a card lost"),
        Refusal::CardPaidOut => {
            Some("its value was paid out: close the case with --block and keep the card")
        }
        Refusal::InDoubt | Refusal::Recovering => {
            Some("read the card once more, or close what is in doubt: `tegata-server reconcile`")
        }
        Refusal::TooEarly => Some("`tegata-server reconcile` says from when on"),
        Refusal::WrongCard => Some("what is owed goes to a card of that holder only"),
        Refusal::TransferConflict => {
            Some("that id stands for another transfer; leave --transfer out for a new one")
        }
        _ => None,
    }
}
