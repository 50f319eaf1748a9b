//! The audit: every promise of the books against all rows, at one instant.

mod debit;
mod invitation;
mod log;
mod records;

use std::collections::{BTreeMap, HashMap};

use crate::db::Connection;
use ledger::{
    Account, AuditCheck, AuditLine, AuditReport, AuditTotals, CardAccounts, CardId, CardStatus,
    Escrow, Flow, HolderId, Language, Leg, MailId, RemittanceId, ReturnReason, Source, Status,
    Transfer,
};
use money::Currency;

use crate::sql::fault::Fault;
use crate::sql::pool;
use crate::sql::rows::{self, transfer_select};

struct Books<'c> {
    connection: &'c Connection,
    report: AuditReport,
    /// Sum of transfers per holder and card.
    by_transfers: HashMap<Account, i128>,
    /// Sum of the payouts per card, by transfers.
    paid_out: HashMap<CardId, i128>,
    /// Sum of the debits per card that were proven after a payout had paid their amount too.
    overtaken: HashMap<CardId, i64>,
    /// Sum of transfers per currency: bank, float, loss, written off, escrow.
    bank: BTreeMap<Currency, i128>,
    float: BTreeMap<Currency, i128>,
    loss: BTreeMap<Currency, i128>,
    written_off: BTreeMap<Currency, i128>,
    escrow: BTreeMap<Currency, i128>,
    /// Sum of rows per currency: holders, what is owed, cards, remittances that hold escrow, and those
    /// of them in doubt and held.
    holders: BTreeMap<Currency, i128>,
    payable: BTreeMap<Currency, i128>,
    cards: BTreeMap<Currency, i128>,
    open: BTreeMap<Currency, i128>,
    in_doubt: BTreeMap<Currency, i128>,
    held: BTreeMap<Currency, i128>,
}

pub(super) fn audit(connection: &Connection) -> Result<AuditReport, Fault> {
    let mut books = Books {
        connection,
        report: AuditReport::default(),
        by_transfers: HashMap::new(),
        bank: BTreeMap::new(),
        paid_out: HashMap::new(),
        overtaken: HashMap::new(),
        float: BTreeMap::new(),
        loss: BTreeMap::new(),
        written_off: BTreeMap::new(),
        escrow: BTreeMap::new(),
        holders: BTreeMap::new(),
        payable: BTreeMap::new(),
        cards: BTreeMap::new(),
        open: BTreeMap::new(),
        in_doubt: BTreeMap::new(),
        held: BTreeMap::new(),
    };
    books.transfers()?;
    books.closed_debits()?;
    books.accounts()?;
    books.remittances()?;
    books.invitations()?;
    books.in_flight()?;
    books.pools()?;
    books.payouts()?;
    books.outbox()?;
    books.log()?;
    books.totals();
    let mut report = books.report;
    report
        .failures
        .sort_by(|a, b| (a.check, &a.subject).cmp(&(b.check, &b.subject)));
    Ok(report)
}

impl Books<'_> {
    fn fail(&mut self, check: AuditCheck, subject: impl ToString, detail: String) {
        self.report.failures.push(AuditLine {
            check,
            subject: subject.to_string(),
            detail,
        });
    }

    /// Runs `each` over all rows without keeping them.
    fn each(
        &mut self,
        sql: &str,
        mut each: impl FnMut(&mut Self, &crate::db::Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.connection.each(sql, [], |row| {
            match each(self, row) {
                Err(Fault::Corrupt(what)) => {
                    let subject = match row.get::<[u8; 16]>(0) {
                        Ok(id) => ledger::TransferId::from_stored(id).to_string(),
                        Err(_) => format!("{:?}", row.value(0)?),
                    };
                    let detail = format!("unreadable {what}");
                    self.fail(AuditCheck::RowsAreReadable, subject, detail);
                }
                done => done?,
            }
            Ok(true)
        })
    }

    fn transfers(&mut self) -> Result<(), Fault> {
        self.each(transfer_select!(), |books, row| {
            let transfer = rows::read_transfer(row)?;
            let amount = i128::from(transfer.amount.minor());
            books.report.transfers += 1;
            books.count(transfer.from, transfer.amount.currency(), -amount);
            books.count(transfer.to, transfer.amount.currency(), amount);
            if let (Account::Card(card), Account::Payable(_)) = (transfer.from, transfer.to) {
                *books.paid_out.entry(card).or_default() += amount;
            }
            Ok(())
        })
    }

    fn count(&mut self, account: Account, currency: Currency, amount: i128) {
        *match account {
            Account::Float(currency) => self.float.entry(currency).or_default(),
            Account::Bank(currency) => self.bank.entry(currency).or_default(),
            Account::Loss(currency) => self.loss.entry(currency).or_default(),
            Account::WrittenOff(currency) => self.written_off.entry(currency).or_default(),
            Account::Escrow(_) => self.escrow.entry(currency).or_default(),
            Account::Holder(_) | Account::Card(_) | Account::Pool(_) | Account::Payable(_) => {
                self.by_transfers.entry(account).or_default()
            }
        } += amount;
    }

    fn accounts(&mut self) -> Result<(), Fault> {
        // a receipt moved the account, and the card has not been read yet
        let sql = "SELECT account.id, kind, account.currency, balance, \
                   card.proven_value - card.paid_out + coalesce((SELECT \
                   CAST(sum(CASE flow WHEN 'debit' THEN -amount ELSE amount END) AS BIGINT) FROM receipt_shown \
                   JOIN remittance ON remittance.id = receipt_shown.remittance \
                   WHERE receipt_shown.card = card.id), 0) \
                   FROM account LEFT JOIN card ON card.id = account.id";
        self.each(sql, |books, row| {
            let currency = rows::currency(row, 2)?;
            let balance: i64 = row.get(3)?;
            let mut proven: Option<i64> = row.get(4)?;
            let account = match row.get::<i64>(1)? {
                rows::KIND_CARD => {
                    let card = rows::id(row, 0, CardId::from_bytes)?;
                    let overtaken = books.overtaken.get(&card).copied().unwrap_or(0);
                    proven = proven.and_then(|proven| proven.checked_add(overtaken));
                    Account::Card(card)
                }
                rows::KIND_PAYABLE => Account::Payable(rows::id(row, 0, HolderId::from_payable)?),
                rows::KIND_HOLDER => Account::Holder(rows::id(row, 0, HolderId::from_bytes)?),
                _ => return Err(Fault::Corrupt("account kind")),
            };
            books.account(account, currency, balance, proven);
            Ok(())
        })?;
        let orphans: Vec<_> = self
            .by_transfers
            .drain()
            .filter(|(_, sum)| *sum != 0)
            .collect();
        for (account, sum) in orphans {
            let detail = format!("transfers {sum}, but no account");
            self.fail(AuditCheck::AccountIsItsTransfers, name(account), detail);
        }
        Ok(())
    }

    fn account(&mut self, account: Account, currency: Currency, balance: i64, proven: Option<i64>) {
        let transfers = self.by_transfers.remove(&account).unwrap_or_default();
        if transfers != i128::from(balance) {
            let detail = format!("balance {balance}, transfers {transfers}");
            self.fail(AuditCheck::AccountIsItsTransfers, name(account), detail);
        }
        if balance < 0 {
            let detail = format!("balance {balance}");
            self.fail(AuditCheck::NoAccountBelowZero, name(account), detail);
        }
        let totals = match account {
            Account::Card(_) => {
                if proven != Some(balance) {
                    let detail = format!("balance {balance}, proven {proven:?}");
                    self.fail(AuditCheck::CardIsProvenValue, name(account), detail);
                }
                &mut self.cards
            }
            Account::Payable(_) => &mut self.payable,
            Account::Holder(_)
            | Account::Float(_)
            | Account::Bank(_)
            | Account::Pool(_)
            | Account::Loss(_)
            | Account::WrittenOff(_)
            | Account::Escrow(_) => &mut self.holders,
        };
        *totals.entry(currency).or_default() += i128::from(balance);
    }

    fn remittances(&mut self) -> Result<(), Fault> {
        self.each(
            "SELECT id, held IS NOT NULL FROM remittance",
            |books, row| {
                let id = rows::id(row, 0, RemittanceId::from_bytes)?;
                let escrow = rows::escrow(books.connection, id)?;
                books.remittance(&escrow.ok_or(Fault::Corrupt("remittance"))?)?;
                books.held(&escrow.ok_or(Fault::Corrupt("remittance"))?, row.get(1)?)
            },
        )
    }

    fn remittance(&mut self, escrow: &Escrow) -> Result<(), Fault> {
        if escrow.holds() {
            let open = self.open.entry(escrow.amount.currency()).or_default();
            *open += i128::from(escrow.amount.minor());
        }
        let part = match escrow.status {
            Status::CommitSent { .. } => Some(&mut self.in_doubt),
            Status::Held { .. } => Some(&mut self.held),
            Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Unfunded { .. }
            | Status::Refunding { .. }
            | Status::Open
            | Status::Recovering { .. }
            | Status::Credited { .. }
            | Status::Returned { .. } => None,
        };
        if let (Some(part), true) = (part, escrow.holds()) {
            let part = part.entry(escrow.amount.currency()).or_default();
            *part += i128::from(escrow.amount.minor());
        }
        let held = Account::Escrow(escrow.remittance);
        let source = match escrow.flow {
            Flow::Credit(Source::Account) => Account::Holder(escrow.sender),
            Flow::Credit(Source::Payable) => Account::Payable(escrow.sender),
            Flow::Credit(Source::Bank) => Account::Bank(escrow.amount.currency()),
            Flow::Credit(Source::Card) => match self.paying_card(escrow)? {
                Some(card) => Account::Card(card),
                None => return Ok(()),
            },
            Flow::Debit { funds } => return self.debit(escrow, funds),
        };
        let funding = escrow.status.is_funded().then_some((source, held));
        self.leg(escrow, Leg::Funding, funding)?;
        let end = match escrow.status {
            Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Unfunded { .. }
            | Status::Refunding { .. }
            | Status::Held { .. }
            | Status::Open
            | Status::CommitSent { .. }
            | Status::Recovering { .. } => None,
            Status::Credited { .. } => Some(Account::Card(escrow.card)),
            Status::Returned {
                reason: ReturnReason::Expired | ReturnReason::Cancelled,
                ..
            } => Some(escrow.home()),
            Status::Returned {
                reason: ReturnReason::Closed,
                ..
            } => Some(Account::Loss(escrow.amount.currency())),
        };
        let end = end.map(|to| (held, to));
        self.leg(escrow, Leg::End, end)?;
        self.waits_for_its_card(escrow)
    }

    /// What was sent is in flight, and what a restore forgot is to be read.
    fn waits_for_its_card(&mut self, escrow: &Escrow) -> Result<(), Fault> {
        let sent = matches!(escrow.status, Status::CommitSent { .. });
        let row = rows::in_flight(self.connection, escrow.card)?;
        if sent && row.is_none_or(|row| row.remittance != escrow.remittance) {
            let detail = "commit sent, but not in flight".to_owned();
            self.fail(AuditCheck::InFlightIsCommitSent, escrow.remittance, detail);
        }
        if matches!(escrow.status, Status::Recovering { .. }) {
            let card = rows::card(self.connection, escrow.card)?;
            if !card.is_some_and(|card| card.reread) {
                let detail = format!("its card {} is not to be read again", escrow.card);
                self.fail(
                    AuditCheck::RecoveringAwaitsItsCard,
                    escrow.remittance,
                    detail,
                );
            }
        }
        Ok(())
    }

    /// Closed in doubt: the sender was paid from `loss:in-doubt`, once, and the card is blocked.
    fn held(&mut self, escrow: &Escrow, held: bool) -> Result<(), Fault> {
        let currency = escrow.amount.currency();
        let sender = escrow.paid_from_loss();
        let found = rows::transfer(self.connection, Leg::Loss.transfer_of(escrow.remittance))?;
        // what a debit may have taken is in the card account
        let paid = held && !matches!(escrow.flow, Flow::Debit { .. });
        let expected = paid.then_some((Account::Loss(currency), sender, escrow.amount));
        if found.map(|found| (found.from, found.to, found.amount)) != expected {
            let detail = format!("closed in doubt {held}, transfer {found:?}");
            self.fail(AuditCheck::Held, escrow.remittance, detail);
        }
        let card = rows::card(self.connection, escrow.card)?;
        if held && card.is_none_or(|card| card.status != CardStatus::Blocked) {
            let detail = format!("its card {} is not blocked", escrow.card);
            self.fail(AuditCheck::Held, escrow.remittance, detail);
        }
        Ok(())
    }

    fn payouts(&mut self) -> Result<(), Fault> {
        self.each("SELECT id FROM card", |books, row| {
            let id = rows::id(row, 0, CardId::from_bytes)?;
            let card = rows::card(books.connection, id)?.ok_or(Fault::Corrupt("card"))?;
            let posted = books.paid_out.remove(&id).unwrap_or_default();
            if posted != i128::from(card.paid_out) || card.payouts > 0 && card.lost.is_none() {
                let detail = format!("paid out {}, transfers {posted}", card.paid_out);
                books.fail(AuditCheck::PayoutHasItsTransfers, id, detail);
            }
            Ok(())
        })
    }

    /// Mails have no figures; that each can be read is all there is to check.
    fn outbox(&mut self) -> Result<(), Fault> {
        self.each("SELECT id, remittance, language FROM outbox", |_, row| {
            rows::id(row, 0, MailId::from_bytes)?;
            rows::id(row, 1, RemittanceId::from_bytes)?;
            rows::coded(row, 2, Language::from_code, "language")?;
            Ok(())
        })
    }

    fn leg(
        &mut self,
        escrow: &Escrow,
        leg: Leg,
        expected: Option<(Account, Account)>,
    ) -> Result<(), Fault> {
        let found = rows::transfer(self.connection, leg.transfer_of(escrow.remittance))?;
        let same = |found: &Transfer| {
            found.amount == escrow.amount && expected == Some((found.from, found.to))
        };
        if found.as_ref().map(same) != expected.map(|_| true) {
            let detail = format!("{leg:?} transfer: {found:?}");
            self.fail(
                AuditCheck::RemittanceHasItsTransfers,
                escrow.remittance,
                detail,
            );
        }
        Ok(())
    }

    /// The pool against its sub-records; it is empty while each card has its own account.
    fn pools(&mut self) -> Result<(), Fault> {
        let setting = pool::setting(self.connection)?;
        for currency in Currency::ALL {
            let cards = self.cards.get(&currency).copied().unwrap_or_default();
            let expected = match setting {
                CardAccounts::Individual => 0,
                CardAccounts::Pooled => cards,
            };
            let found = pool::balance(self.connection, currency)?.minor();
            if i128::from(found) != expected {
                let detail = format!("pool {found}, sub-records {expected}");
                self.fail(AuditCheck::PoolIsItsCards, currency.code(), detail);
            }
        }
        Ok(())
    }

    fn in_flight(&mut self) -> Result<(), Fault> {
        self.each("SELECT card FROM in_flight", |books, row| {
            let id = rows::id(row, 0, CardId::from_bytes)?;
            let sent = rows::in_flight(books.connection, id)?;
            let card = rows::card(books.connection, id)?;
            let (Some(sent), Some(card)) = (sent, card) else {
                return Err(Fault::Corrupt("in-flight row"));
            };
            let escrow = rows::escrow(books.connection, sent.remittance)?;
            let matching = escrow.filter(|escrow| {
                escrow.card == id
                    && match escrow.status {
                        Status::CommitSent { .. }
                        | Status::Recovering { .. }
                        | Status::Held { .. } => true,
                        Status::Ordered
                        | Status::FundingUnknown { .. }
                        | Status::Unfunded { .. }
                        | Status::Refunding { .. }
                        | Status::Open
                        | Status::Credited { .. }
                        | Status::Returned { .. } => false,
                    }
            });
            if matching.is_none() {
                let detail = format!("of {}", sent.remittance);
                books.fail(AuditCheck::InFlightIsCommitSent, id, detail);
            }
            let next = card.proven.remittance_seq.checked_add(1) == Some(sent.seq)
                && card.proven.payment_seq == sent.payment_seq
                && card.proven.value == sent.balance_before
                // a new program for another remittance of the card raises the epoch too
                && sent.epoch < card.epoch;
            if !next {
                let detail = format!("in flight {}, proven {:?}", sent.seq, card.proven);
                books.fail(AuditCheck::InFlightIsNextInSequence, id, detail);
            }
            Ok(())
        })
    }

    fn totals(&mut self) {
        for currency in Currency::ALL {
            let sum = |map: &BTreeMap<Currency, i128>| map.get(&currency).copied();
            let maps = [
                &self.holders,
                &self.payable,
                &self.cards,
                &self.open,
                &self.bank,
                &self.in_doubt,
                &self.held,
                &self.loss,
                &self.written_off,
                &self.float,
                &self.escrow,
            ];
            if maps.into_iter().all(|map| sum(map).is_none()) {
                continue;
            }
            let [
                holders,
                payable,
                cards,
                escrow,
                bank,
                in_doubt,
                held,
                loss,
                written_off,
                float,
                by_transfers,
            ] = maps.map(|map| sum(map).unwrap_or_default());
            let totals = AuditTotals {
                currency,
                holders,
                payable,
                cards,
                escrow,
                bank,
                in_doubt,
                held,
                loss,
                written_off,
                float,
            };
            if holders + payable + cards + escrow + bank + loss + written_off + float != 0 {
                let detail = format!("{totals:?}");
                self.fail(AuditCheck::SumIsZero, currency.code(), detail);
            }
            if by_transfers != escrow {
                let detail = format!("open remittances {escrow}, transfers {by_transfers}");
                self.fail(AuditCheck::EscrowIsOpenRemittances, currency.code(), detail);
            }
            self.report.totals.push(totals);
        }
    }
}

fn name(account: Account) -> String {
    match account {
        Account::Float(currency)
        | Account::Bank(currency)
        | Account::Pool(currency)
        | Account::Loss(currency)
        | Account::WrittenOff(currency) => currency.code().to_owned(),
        Account::Payable(id) => format!("payable:{id}"),
        Account::Holder(id) => id.to_string(),
        Account::Card(id) => id.to_string(),
        Account::Escrow(id) => id.to_string(),
    }
}
