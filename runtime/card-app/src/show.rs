//! What lies on an emulated card, for people and for scripts.

use std::fmt;

use card::purse::{self, LogKind, LogRecord, State};
use card_sim::{Card, FileView};
use data_encoding::{HEXLOWER, HEXUPPER};
use jiff::Span;
use jiff::civil::{Date, date};
use serde::Serialize;

/// Version of the JSON document.
const VERSION: u32 = 1;

/// The document of `show --json`; fields may be added within a version.
#[derive(Debug, Serialize)]
pub(crate) struct Content {
    version: u32,
    uid: String,
    /// `null` for a card that was not personalised.
    purse: Option<Purse>,
}

#[derive(Debug, Serialize)]
struct Purse {
    /// 16 digits, `null` while the card was given none.
    card_number: Option<String>,
    /// Minor units; the card does not know its currency.
    value_minor: i32,
    /// `null` before the first one.
    last_remittance: Option<String>,
    remittance_seq: u32,
    payment_seq: u32,
    /// Newest first.
    log: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    kind: &'static str,
    id: String,
    amount_minor: i32,
    balance_after_minor: i32,
    date: String,
}

impl Content {
    pub(crate) fn of(card: &Card) -> Self {
        let applications = card.applications();
        let purse = applications
            .iter()
            .find(|application| application.aid == purse::AID);
        Self {
            version: VERSION,
            uid: HEXUPPER.encode(&card.uid()),
            purse: purse.and_then(|purse| Purse::of(&purse.files)),
        }
    }
}

impl Purse {
    fn of(files: &[(u8, FileView)]) -> Option<Self> {
        let file = |wanted| {
            files
                .iter()
                .find(|(number, _)| *number == wanted)
                .map(|(_, file)| file)
        };
        let FileView::Value(value_minor) = file(purse::FILE_VALUE)? else {
            return None;
        };
        let FileView::Data(state) = file(purse::FILE_STATE)? else {
            return None;
        };
        let state = State::from_bytes(state.first_chunk()?);
        let FileView::Records(records) = file(purse::FILE_LOG)? else {
            return None;
        };
        Some(Self {
            card_number: file(purse::FILE_CARD_NUMBER).and_then(card_number),
            value_minor: *value_minor,
            last_remittance: (state.id != [0; 16]).then(|| HEXLOWER.encode(&state.id)),
            remittance_seq: state.remittance_seq,
            payment_seq: state.payment_seq,
            log: records
                .iter()
                .rev()
                .filter_map(|record| Entry::of(record))
                .collect(),
        })
    }
}

fn card_number(file: &FileView) -> Option<String> {
    match file {
        FileView::Data(digits) if digits.iter().all(u8::is_ascii_digit) => {
            String::from_utf8(digits.clone()).ok()
        }
        _ => None,
    }
}

impl Entry {
    fn of(record: &[u8]) -> Option<Self> {
        let record = LogRecord::from_bytes(record.first_chunk()?)?;
        Some(Self {
            kind: match record.kind {
                LogKind::Credit => "credit",
                LogKind::Debit => "debit",
                LogKind::Depreciation => "depreciation",
            },
            id: HEXLOWER.encode(&record.id),
            amount_minor: record.amount,
            balance_after_minor: record.balance_after,
            date: day(record.day).map_or_else(|| record.day.to_string(), |day| day.to_string()),
        })
    }
}

/// The date of a day counted from 1970-01-01; `None` beyond the calendar's end.
fn day(days: u32) -> Option<Date> {
    date(1970, 1, 1)
        .checked_add(Span::new().try_days(days).ok()?)
        .ok()
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "UID              {}", self.uid)?;
        let Some(purse) = &self.purse else {
            return writeln!(f, "Purse            none, the card was not personalised");
        };
        let number = purse.card_number.as_deref().unwrap_or("none");
        writeln!(f, "Card number      {number}")?;
        writeln!(f, "Value            {} (minor units)", purse.value_minor)?;
        match &purse.last_remittance {
            None => writeln!(f, "Last remittance  none")?,
            Some(id) => writeln!(f, "Last remittance  {id} (number {})", purse.remittance_seq)?,
        }
        writeln!(f, "Payments         {}", purse.payment_seq)?;
        for entry in &purse.log {
            writeln!(
                f,
                "{}  {:<12} {:>9}  balance {:>9}  {}",
                entry.date, entry.kind, entry.amount_minor, entry.balance_after_minor, entry.id
            )?;
        }
        Ok(())
    }
}
