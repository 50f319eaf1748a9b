//! What the audit log says of orders, their receipts and decisions, against the rows.

use audit_log::{Change, digest};
use ledger::{AuditCheck, CardId, HolderId, RemittanceId, Timestamp};
use money::Amount;

use super::Books;
use crate::sql::fault::Fault;
use crate::sql::rows;

/// A decision of two persons, as a record names it.
pub(super) struct Approved {
    /// Where the record stands.
    pub(super) place: String,
    /// Hash of both names and the reason.
    pub(super) approval: [u8; 32],
}

/// What the rows have of a remittance that a record may name.
#[derive(Debug)]
struct Kept {
    sender: HolderId,
    card: CardId,
    amount: Amount,
    expires: Timestamp,
    revision: u32,
    order: [u8; 32],
    program_key: [u8; 32],
    template: [u8; 32],
    credited: bool,
    receipt: Option<[u8; 32]>,
}

impl Kept {
    /// Whether the program of this revision is the one that counts; later ones have taken the place of
    /// earlier ones.
    fn has_program(&self, revision: u32, order: [u8; 32], program_key: [u8; 32]) -> bool {
        self.revision > revision
            || (self.revision, self.order, self.program_key) == (revision, order, program_key)
    }
}

impl Books<'_> {
    /// Compares one record with the rows that it was written with; gives the decision that it names.
    #[expect(clippy::too_many_lines, reason = "one line for each kind of record")]
    pub(super) fn record(
        &mut self,
        place: &str,
        change: &Change,
    ) -> Result<Option<Approved>, Fault> {
        let approval = match change {
            Change::Ordered {
                remittance,
                sender,
                card,
                amount,
                expires,
                revision,
                order,
                program_key,
            } => {
                self.compare_with(place, *remittance, "the order", |kept| {
                    (kept.sender, kept.card, kept.amount, kept.expires)
                        == (*sender, *card, *amount, *expires)
                        && kept.has_program(*revision, *order, *program_key)
                })?;
                None
            }
            Change::Revised {
                remittance,
                revision,
                order,
                program_key,
                template,
            } => {
                self.compare_with(place, *remittance, "its program", |kept| {
                    kept.has_program(*revision, *order, *program_key)
                        && (kept.revision > *revision || kept.template == *template)
                })?;
                None
            }
            Change::Credited {
                remittance,
                card,
                receipt,
                ..
            }
            | Change::ReceiptShown {
                remittance,
                card,
                receipt,
            }
            | Change::CreditedByLog {
                remittance,
                card,
                receipt,
            } => {
                self.compare_with(place, *remittance, "its credit or receipt", |kept| {
                    kept.credited && kept.card == *card && kept.receipt == Some(*receipt)
                })?;
                None
            }
            Change::ClosedInDoubt { approval, .. }
            | Change::CaseAdopted { approval, .. }
            | Change::CaseBlocked { approval, .. }
            | Change::InvitationClosed { approval, .. }
            | Change::Approved { approval, .. } => Some(*approval),
            Change::Invited { .. }
            | Change::Funded { .. }
            | Change::Returned { .. }
            | Change::Unfunded { .. }
            | Change::WebhookAdded { .. }
            | Change::Posted { .. }
            | Change::HolderAdded { .. }
            | Change::HolderAddress { .. }
            | Change::CardIssuing { .. }
            | Change::CardActive { .. }
            | Change::CardBlocked { .. }
            | Change::CardFrozen { .. }
            | Change::OrderRefused { .. }
            | Change::CommitSent { .. }
            | Change::CancelAsked { .. }
            | Change::ProvenAbsent { .. }
            | Change::TemplateKept { .. }
            | Change::MailSent { .. }
            | Change::MailFailed { .. }
            | Change::KeyAdded { .. }
            | Change::KeyRevoked { .. }
            | Change::Restored { .. }
            | Change::Recovering { .. }
            | Change::CardReread { .. }
            | Change::BankAccount { .. }
            | Change::BankAsked { .. }
            | Change::Refunding { .. }
            | Change::TemplateWithdrawn { .. }
            | Change::AccountsSwitched { .. }
            | Change::OfficerAdded { .. }
            | Change::OfficerWithdrawn { .. }
            | Change::CardLost { .. }
            | Change::PaidOut { .. }
            | Change::AddressAsked { .. }
            | Change::AddressTried { .. }
            | Change::AddressVerified { .. }
            | Change::AddressCard { .. }
            | Change::AddressRemoved { .. }
            | Change::SettleWindow { .. }
            | Change::TokenAdded { .. }
            | Change::TokenRevoked { .. }
            | Change::WebhookRemoved { .. }
            | Change::WebhookSecret { .. }
            | Change::WebhookSwitched { .. } => None,
        };
        Ok(approval.map(|approval| Approved {
            place: place.to_owned(),
            approval,
        }))
    }

    fn compare_with(
        &mut self,
        place: &str,
        remittance: RemittanceId,
        what: &str,
        same: impl FnOnce(&Kept) -> bool,
    ) -> Result<(), Fault> {
        let sql = "SELECT sender, card, amount, currency, expires, revision, order_bytes, \
                   program_key, template_hash, status, receipt FROM remittance WHERE id = ?1";
        let found = rows::one(self.connection, sql, [remittance.as_bytes()], |row| {
            let order: Vec<u8> = row.get(6)?;
            let receipt: Option<Vec<u8>> = row.get(10)?;
            Ok(Kept {
                sender: rows::id(row, 0, HolderId::from_bytes)?,
                card: rows::id(row, 1, CardId::from_bytes)?,
                amount: rows::amount(row, 2, 3)?,
                expires: rows::at(row, 4)?,
                revision: row.get(5)?,
                order: digest(&order),
                program_key: row.get(7)?,
                template: row.get(8)?,
                credited: row.text(9, "status")? == "credited",
                receipt: receipt.as_deref().map(digest),
            })
        });
        let found = match found {
            // a row that nobody can read says nothing; another check names it
            Err(Fault::Corrupt(_)) => None,
            found => found?,
        };
        if !found.as_ref().is_some_and(same) {
            let detail = format!("record {place} says otherwise of {what}: {found:?}");
            self.fail(AuditCheck::LogMatchesLedger, remittance, detail);
        }
        Ok(())
    }

    /// The decisions in the order in which they were made, against those that the log names.
    pub(super) fn decisions(&mut self, approved: &[Approved]) -> Result<(), Fault> {
        let mut named = approved.iter();
        let sql = "SELECT seq, first, second, reason FROM decision ORDER BY seq";
        self.each(sql, |books, row| {
            let seq: i64 = row.get(0)?;
            let [first, second, reason] = [row.get(1)?, row.get(2)?, row.get(3)?];
            let (first, second, reason): (String, String, String) = (first, second, reason);
            let kept = digest(format!("{first}\0{second}\0{reason}\0").as_bytes());
            let detail = match named.next() {
                Some(of) if of.approval == kept => return Ok(()),
                Some(of) => format!("record {} names another one", of.place),
                None => "not in the log".to_owned(),
            };
            books.fail(
                AuditCheck::LogMatchesLedger,
                format!("decision {seq}"),
                detail,
            );
            Ok(())
        })?;
        for of in named {
            let detail = "in the log, not in the books".to_owned();
            let subject = format!("decision of record {}", of.place);
            self.fail(AuditCheck::LogMatchesLedger, subject, detail);
        }
        Ok(())
    }
}
