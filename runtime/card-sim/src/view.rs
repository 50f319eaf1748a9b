//! A look at the committed content, as only an emulated card allows.

use alloc::vec::Vec;

use crate::device::Card;
use crate::file::Body;

/// An application and its files, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationView {
    /// Application identifier as sent, least significant byte first.
    pub aid: [u8; 3],
    /// Number and committed content of each file.
    pub files: Vec<(u8, FileView)>,
}

/// Committed content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileView {
    /// Standard or backup file.
    Data(Vec<u8>),
    /// Value file, in the unit that the issuer chose.
    Value(i32),
    /// Record file, oldest record first.
    Records(Vec<Vec<u8>>),
    /// Transaction counter.
    TransactionMac(u32),
}

impl Card {
    /// The card's number in the field, 7 bytes.
    #[must_use]
    pub const fn uid(&self) -> [u8; 7] {
        self.picc().uid
    }

    /// Every application with its committed content.
    #[must_use]
    pub fn applications(&self) -> Vec<ApplicationView> {
        let view = |body: &Body| match body {
            Body::Standard(content) | Body::Backup(content) => FileView::Data(content.to_vec()),
            Body::Value(body) => FileView::Value(body.value),
            Body::Records(body) => {
                FileView::Records(body.records.iter().map(|record| record.to_vec()).collect())
            }
            Body::TransactionMac(body) => FileView::TransactionMac(body.counter),
        };
        let applications = self.picc().applications.iter();
        applications
            .map(|application| ApplicationView {
                aid: application.aid,
                files: application
                    .files
                    .iter()
                    .map(|(number, file)| (*number, view(&file.body)))
                    .collect(),
            })
            .collect()
    }

    /// Committed amount of every value file: application, file number, amount.
    #[must_use]
    pub fn balances(&self) -> Vec<([u8; 3], u8, i32)> {
        let applications = self.picc().applications.iter();
        applications
            .flat_map(|application| {
                application
                    .files
                    .iter()
                    .filter_map(|(number, file)| match &file.body {
                        Body::Value(body) => Some((application.aid, *number, body.value)),
                        Body::Standard(_)
                        | Body::Backup(_)
                        | Body::Records(_)
                        | Body::TransactionMac(_) => None,
                    })
            })
            .collect()
    }
}
