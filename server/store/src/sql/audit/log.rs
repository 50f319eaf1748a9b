//! The audit log against the books: whether it is chained, and whether its transfers, replayed from
//! the first, give the accounts as they stand.

use std::collections::HashMap;

use audit_log::{Change, Link, Record, Side};
use ledger::AuditCheck;

use super::Books;
use super::records::Approved;
use crate::sql::fault::Fault;
use crate::sql::journal::{self, Noted};
use crate::sql::log;

#[derive(Default)]
struct Replay {
    transfers: u64,
    balances: HashMap<(i64, [u8; 16]), i128>,
    approved: Vec<Approved>,
}

impl Books<'_> {
    pub(super) fn log(&mut self) -> Result<(), Fault> {
        let mut replay = Replay::default();
        let mut link = Link::START;
        let mut number = 1;
        while let Some(segment) = log::segment(self.connection, number)? {
            for logged in &segment.records {
                link = link.next(&logged.record);
                if link.hash != logged.hash {
                    let detail = format!("segment {number}: the record has another hash");
                    self.fail(AuditCheck::LogIsChained, link.position, detail);
                    link.hash = logged.hash;
                }
                self.replay(
                    &mut replay,
                    link.position,
                    Record::decode(&logged.record).ok(),
                )?;
            }
            if link != segment.link {
                let detail = format!("ends at {}, not as it was sealed", link.position);
                self.fail(
                    AuditCheck::LogIsChained,
                    format!("segment {number}"),
                    detail,
                );
                link = segment.link;
            }
            number += 1;
        }
        self.tail(&mut replay)?;
        self.decisions(&replay.approved)?;
        self.compare(&replay)
    }

    /// What is not sealed yet.
    fn tail(&mut self, replay: &mut Replay) -> Result<(), Fault> {
        let connection = self.connection;
        let mut both = (self, replay);
        journal::each(
            connection,
            0,
            &mut both,
            |_| true,
            |(books, replay), noted| {
                let record = match noted {
                    Noted::Record(record) => Record::decode(&record).ok(),
                    Noted::Transfer(id) => match journal::transfer_record(connection, id)? {
                        Some(record) => Some(record),
                        None => {
                            let detail = "in the journal, not in the books".to_owned();
                            books.fail(AuditCheck::LogMatchesLedger, id, detail);
                            return Ok(());
                        }
                    },
                };
                books.replay(replay, "journal", record)
            },
        )?;
        Ok(())
    }

    fn replay(
        &mut self,
        replay: &mut Replay,
        place: impl ToString,
        record: Option<Record>,
    ) -> Result<(), Fault> {
        let Some(record) = record else {
            let detail = "not a record of this version".to_owned();
            self.fail(AuditCheck::LogIsChained, place, detail);
            return Ok(());
        };
        let Change::Posted {
            transfer,
            from,
            to,
            amount,
        } = record.change
        else {
            let approved = self.record(&place.to_string(), &record.change)?;
            replay.approved.extend(approved);
            return Ok(());
        };
        if journal::transfer_record(self.connection, transfer)? != Some(record) {
            let place = place.to_string();
            let detail = format!("record {place} says otherwise: {:?}", record.change);
            self.fail(AuditCheck::LogMatchesLedger, transfer, detail);
        }
        replay.transfers += 1;
        let minor = i128::from(amount.minor());
        for (side, minor) in [(from, -minor), (to, minor)] {
            if let Side { kind, id: Some(id) } = side {
                *replay.balances.entry((kind.into(), id)).or_default() += minor;
            }
        }
        Ok(())
    }

    fn compare(&mut self, replay: &Replay) -> Result<(), Fault> {
        let posted = self.report.transfers;
        if replay.transfers != posted {
            let detail = format!("{posted} transfers, {} in the log", replay.transfers);
            self.fail(AuditCheck::LogMatchesLedger, "transfers", detail);
        }
        self.each("SELECT id, kind, balance FROM account", |books, row| {
            let (id, kind): ([u8; 16], i64) = (row.get(0)?, row.get(1)?);
            let balance: i64 = row.get(2)?;
            let replayed = replay
                .balances
                .get(&(kind, id))
                .copied()
                .unwrap_or_default();
            if replayed != i128::from(balance) {
                let detail = format!("balance {balance}, replayed {replayed}");
                let name = ledger::TransferId::from_stored(id);
                books.fail(AuditCheck::LogMatchesLedger, name, detail);
            }
            Ok(())
        })
    }
}
