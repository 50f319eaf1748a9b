//! [`Store`] in SQL: each method picks the writer, a reader of its own, or what answers a few rows fastest.

use async_trait::async_trait;
use crashpoint::reach;
use ledger::{
    Account, Approval, AuditReport, BankTask, Card, CardAccounts, CardId, ClaimRef, Command,
    FreezeCase, Holder, HolderId, InFlight, Invitation, InvitationMail, MailId, MailStatus,
    NumberRef, Officer, OfficerName, OutboxMail, Outcome, Refusal, Remittance, RemittanceId,
    Timestamp, Transfer, TransferId, Uid,
};
use money::Money;
use planted::Bug;

use crate::error::{AdminError, StoreError};
use crate::record::{
    AddressEvent, AddressMail, AddressRequest, AnsweredPage, Decision, DoubtRow, Incarnated,
    LogKey, LogSegment, NewCard, NewHolder, OfficerRow, OrderPage, Payable, Seal, Standing,
    Unsealed,
};
use crate::sql::fault::Fault;
use crate::sql::{
    SqlStore, address, admin, audit, bank, debit, doubt, invitation, log, lost, officers, order,
    outbox, pool, read, recovery, revise, rows, schema,
};
use crate::traits::{LEASES_MAX, PAGE_MAX, Store};

pub(super) type Answer = Result<Outcome, Refusal>;

impl SqlStore {
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&crate::db::Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.writer
            .write(move |transaction| write(transaction).map_err(StoreError::from))
            .await
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn apply(&self, commands: Vec<Command>) -> Result<Vec<Answer>, StoreError> {
        if planted::on(Bug::OutboxOutside)
            && let [Command::PlaceOrder(order)] = commands.as_slice()
        {
            let late = order.clone();
            let answers = self.writer.apply(commands).await?;
            self.write(move |connection| order::queue_late(connection, &late))
                .await?;
            return Ok(answers);
        }
        self.writer.apply(commands).await
    }

    async fn time_floor(&self) -> Result<Timestamp, StoreError> {
        self.look(rows::time_floor).await
    }

    async fn balance(&self, account: Account) -> Result<Option<Money>, StoreError> {
        self.read(move |connection| read::balance(connection, account))
            .await
    }

    async fn synchronous_standbys(&self) -> Result<u64, StoreError> {
        self.read(schema::synchronous_standbys).await
    }

    async fn transfer(&self, id: TransferId) -> Result<Option<Transfer>, StoreError> {
        self.look(move |connection| rows::transfer(connection, id))
            .await
    }

    async fn audit(&self) -> Result<AuditReport, StoreError> {
        self.read(audit::audit).await
    }

    async fn card_accounts(&self) -> Result<CardAccounts, StoreError> {
        self.look(pool::setting).await
    }

    async fn set_card_accounts(&self, to: CardAccounts, now: Timestamp) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| pool::switch(connection, to, now))
            .await
    }

    async fn freeze_card(
        &self,
        card: CardId,
        found: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| admin::freeze_card(connection, card, &found, now))
            .await
    }

    async fn incarnation(&self) -> Result<Option<[u8; 16]>, StoreError> {
        self.look(recovery::incarnation).await
    }

    async fn begin_incarnation(
        &self,
        incarnation: [u8; 16],
        now: Timestamp,
    ) -> Result<Incarnated, StoreError> {
        self.write(move |connection| recovery::begin(connection, incarnation, now))
            .await
    }

    async fn remittance(&self, id: RemittanceId) -> Result<Option<Remittance>, StoreError> {
        self.look(move |connection| read::remittance(connection, id))
            .await
    }

    async fn debit_of(&self, order: RemittanceId) -> Result<Option<Remittance>, StoreError> {
        self.look(move |connection| debit::of_order(connection, order))
            .await
    }

    async fn remittance_by_claim(&self, claim: ClaimRef) -> Result<Option<Remittance>, StoreError> {
        self.look(move |connection| read::remittance_by_claim(connection, claim))
            .await
    }

    async fn standing(&self, id: RemittanceId) -> Result<Option<Standing>, StoreError> {
        self.look(move |connection| read::standing(connection, id))
            .await
    }

    async fn orders(
        &self,
        sender: HolderId,
        before: Option<RemittanceId>,
        limit: u32,
    ) -> Result<OrderPage, StoreError> {
        self.page(move |connection| read::orders(connection, sender, before, limit))
            .await
    }

    async fn expirable(&self, now: Timestamp, limit: u32) -> Result<Vec<RemittanceId>, StoreError> {
        self.read(move |connection| read::expirable(connection, now, limit))
            .await
    }

    async fn add_holder(&self, holder: NewHolder) -> Result<(), AdminError> {
        let added = self.writer.write(move |connection| {
            admin::add_holder(connection, &holder)?;
            reach!("store::add-holder::before-commit");
            Ok(())
        });
        added
            .await
            .inspect(|()| reach!("store::add-holder::after-commit"))
    }

    async fn set_email(&self, holder: HolderId, email: Option<String>) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| admin::set_email(connection, holder, email.as_ref()))
            .await
    }

    async fn holder(&self, id: HolderId) -> Result<Option<Holder>, StoreError> {
        self.look(move |connection| read::holder(connection, id))
            .await
    }

    async fn holders(
        &self,
        after: Option<HolderId>,
        limit: u32,
    ) -> Result<Vec<Holder>, StoreError> {
        self.read(move |connection| read::holders(connection, after, limit))
            .await
    }

    async fn begin_issue(&self, card: NewCard) -> Result<(), AdminError> {
        let begun = self.writer.write(move |connection| {
            admin::begin_issue(connection, &card)?;
            reach!("store::begin-issue::before-commit");
            Ok(())
        });
        begun
            .await
            .inspect(|()| reach!("store::begin-issue::after-commit"))
    }

    async fn finish_issue(&self, card: CardId, now: Timestamp) -> Result<(), AdminError> {
        let finished = self.writer.write(move |connection| {
            admin::finish_issue(connection, card, now)?;
            reach!("store::finish-issue::before-commit");
            Ok(())
        });
        finished
            .await
            .inspect(|()| reach!("store::finish-issue::after-commit"))
    }

    async fn card(&self, id: CardId) -> Result<Option<Card>, StoreError> {
        self.look(move |connection| rows::card(connection, id))
            .await
    }

    async fn card_by_number(&self, number: NumberRef) -> Result<Option<Card>, StoreError> {
        self.look(move |connection| read::card_by_number(connection, number))
            .await
    }

    async fn card_by_uid(&self, uid: Uid) -> Result<Option<Card>, StoreError> {
        self.look(move |connection| read::card_by_uid(connection, uid))
            .await
    }

    async fn cards(&self, after: Option<CardId>, limit: u32) -> Result<Vec<Card>, StoreError> {
        self.read(move |connection| read::cards(connection, after, limit))
            .await
    }

    async fn in_flight(&self, card: CardId) -> Result<Option<InFlight>, StoreError> {
        self.look(move |connection| rows::in_flight(connection, card))
            .await
    }

    async fn cases(&self, after: u64, limit: u32) -> Result<Vec<FreezeCase>, StoreError> {
        self.read(move |connection| doubt::cases(connection, after, limit))
            .await
    }

    async fn case(&self, number: u64) -> Result<Option<FreezeCase>, StoreError> {
        self.read(move |connection| doubt::case(connection, number))
            .await
    }

    async fn in_doubt(
        &self,
        after: Option<RemittanceId>,
        limit: u32,
    ) -> Result<Vec<DoubtRow>, StoreError> {
        self.read(move |connection| doubt::in_doubt(connection, after, limit))
            .await
    }

    async fn undecided(&self, card: CardId) -> Result<Vec<Remittance>, StoreError> {
        self.read(move |connection| recovery::remittances(connection, card))
            .await
    }

    async fn payout(
        &self,
        card: CardId,
        now: Timestamp,
    ) -> Result<Result<i64, Refusal>, StoreError> {
        self.read(move |connection| lost::payout(connection, card, now))
            .await
    }

    async fn payables(
        &self,
        after: Option<HolderId>,
        limit: u32,
    ) -> Result<Vec<Payable>, StoreError> {
        self.read(move |connection| lost::payables(connection, after, limit))
            .await
    }

    async fn add_officer(
        &self,
        officer: Officer,
        approval: Option<Approval>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let done = self.writer.write(move |connection| {
            officers::add(connection, &officer, approval.as_ref(), now)?;
            reach!("store::add-officer::before-commit");
            Ok(())
        });
        done.await
            .inspect(|()| reach!("store::add-officer::after-commit"))
    }

    async fn withdraw_officer(
        &self,
        name: OfficerName,
        approval: Option<Approval>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let done = self.writer.write(move |connection| {
            officers::withdraw(connection, &name, approval.as_ref(), now)?;
            reach!("store::withdraw-officer::before-commit");
            Ok(())
        });
        done.await
            .inspect(|()| reach!("store::withdraw-officer::after-commit"))
    }

    async fn settle_window(&self) -> Result<u32, StoreError> {
        self.read(officers::settle_window).await
    }

    async fn set_settle_window(
        &self,
        seconds: u32,
        approval: Option<Approval>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let done = self.writer.write(move |connection| {
            officers::set_settle_window(connection, seconds, approval.as_ref(), now)?;
            reach!("store::settle-window::before-commit");
            Ok(())
        });
        done.await
            .inspect(|()| reach!("store::settle-window::after-commit"))
    }

    async fn officers(&self) -> Result<Vec<OfficerRow>, StoreError> {
        self.read(officers::officers).await
    }

    async fn decisions(&self, after: u64, limit: u32) -> Result<Vec<Decision>, StoreError> {
        self.read(move |connection| officers::decisions(connection, after, limit))
            .await
    }

    async fn request_address(&self, request: AddressRequest) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| address::request(connection, &request))
            .await
    }

    async fn verify_address(
        &self,
        email: String,
        code_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<HolderId>, AdminError> {
        self.writer
            .write(move |connection| address::verify(connection, &email, code_hash, now))
            .await
    }

    async fn set_default_card(
        &self,
        holder: HolderId,
        email: String,
        card: Option<CardId>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| address::set_default(connection, holder, &email, card, now))
            .await
    }

    async fn remove_address(
        &self,
        holder: HolderId,
        email: String,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| address::remove(connection, holder, &email, now))
            .await
    }

    async fn card_of_address(&self, email: String) -> Result<Option<Card>, StoreError> {
        self.look(move |connection| address::card(connection, &email))
            .await
    }

    async fn address_history(
        &self,
        holder: HolderId,
        limit: u32,
    ) -> Result<Vec<AddressEvent>, StoreError> {
        self.read(move |connection| address::history(connection, holder, limit.min(PAGE_MAX)))
            .await
    }

    async fn lease_address_mail(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<AddressMail>, StoreError> {
        let limit = limit.min(LEASES_MAX);
        self.lease(now, move |c| address::lease(c, now, until, limit))
            .await
    }

    async fn address_mail_done(
        &self,
        request: MailId,
        retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| address::mail_done(connection, request, retry_at))
            .await
    }

    async fn invitation(&self, id: RemittanceId) -> Result<Option<Invitation>, StoreError> {
        self.look(move |connection| invitation::invitation(connection, id))
            .await
    }

    async fn invitations(
        &self,
        sender: HolderId,
        before: Option<RemittanceId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError> {
        self.read(move |connection| invitation::of_sender(connection, sender, before, limit))
            .await
    }

    async fn recovering_invitations(
        &self,
        after: Option<RemittanceId>,
    ) -> Result<Vec<Invitation>, StoreError> {
        self.read(move |connection| invitation::recovering(connection, after))
            .await
    }

    async fn answered_invitations(
        &self,
        after: Option<RemittanceId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<AnsweredPage, StoreError> {
        self.read(move |connection| invitation::answered(connection, after, limit, now))
            .await
    }

    async fn lease_invitation_mail(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<InvitationMail>, StoreError> {
        self.lease(now, move |c| invitation::lease(c, now, until, limit))
            .await
    }

    async fn invitation_mail_done(
        &self,
        id: RemittanceId,
        done: MailStatus,
        retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| invitation::mail_done(connection, id, done, retry_at))
            .await
    }

    async fn set_bank_account(
        &self,
        holder: HolderId,
        account: Option<String>,
    ) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| bank::set_account(connection, holder, account.as_ref()))
            .await
    }

    async fn bank_account(&self, holder: HolderId) -> Result<Option<String>, StoreError> {
        self.look(move |connection| bank::account(connection, holder))
            .await
    }

    async fn lease_bank(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<BankTask>, StoreError> {
        let limit = limit.min(LEASES_MAX);
        self.lease(now, move |c| bank::lease(c, now, until, limit))
            .await
    }

    async fn bank_unanswered(
        &self,
        attempts: u32,
        after: Option<RemittanceId>,
    ) -> Result<Vec<BankTask>, StoreError> {
        self.read(move |connection| bank::unanswered(connection, attempts, after))
            .await
    }

    async fn put_template(&self, hash: [u8; 32], bytes: Vec<u8>) -> Result<(), AdminError> {
        let put = self.writer.write(move |connection| {
            admin::put_template(connection, hash, &bytes)?;
            reach!("store::put-template::before-commit");
            Ok(())
        });
        put.await
            .inspect(|()| reach!("store::put-template::after-commit"))
    }

    async fn template(&self, hash: [u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |connection| read::template(connection, hash))
            .await
    }

    async fn withdraw_template(&self, hash: [u8; 32], now: Timestamp) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| revise::withdraw_template(connection, hash, now))
            .await
    }

    async fn withdrawn_templates(&self) -> Result<Vec<[u8; 32]>, StoreError> {
        self.read(revise::withdrawn_templates).await
    }

    async fn replaced(&self, limit: u32) -> Result<Vec<(RemittanceId, u32)>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        self.read(move |connection| revise::replaced(connection, limit))
            .await
    }

    async fn lease_mail(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxMail>, StoreError> {
        let limit = limit.min(LEASES_MAX);
        let leased = self.lease(now, move |connection| {
            let leased = outbox::lease(connection, now, until, limit)?;
            if !leased.is_empty() {
                reach!("store::lease-mail::before-commit");
            }
            Ok(leased)
        });
        let leased: Vec<OutboxMail> = leased.await?;
        if !leased.is_empty() {
            reach!("store::lease-mail::after-commit");
        }
        Ok(leased)
    }

    async fn mail_waits(&self, id: MailId) -> Result<bool, StoreError> {
        self.look(move |connection| outbox::waits(connection, id))
            .await
    }

    async fn mail_sent(&self, id: MailId) -> Result<(), StoreError> {
        let noted = self.write(move |connection| {
            outbox::sent(connection, id)?;
            reach!("store::mail-sent::before-commit");
            Ok(())
        });
        noted.await?;
        reach!("store::mail-sent::after-commit");
        Ok(())
    }

    async fn mail_failed(
        &self,
        id: MailId,
        retry_at: Option<Timestamp>,
        error: String,
    ) -> Result<(), StoreError> {
        let noted = self.write(move |connection| {
            outbox::failed(connection, id, retry_at, &error)?;
            reach!("store::mail-failed::before-commit");
            Ok(())
        });
        noted.await?;
        reach!("store::mail-failed::after-commit");
        Ok(())
    }

    async fn log_unsealed(&self, after: i64) -> Result<Unsealed, StoreError> {
        self.read(move |connection| log::unsealed(connection, after))
            .await
    }

    async fn log_append(&self, seal: Seal) -> Result<bool, StoreError> {
        self.write(move |connection| log::append(connection, &seal))
            .await
    }

    async fn log_segment(&self, number: u64) -> Result<Option<LogSegment>, StoreError> {
        self.read(move |connection| log::segment(connection, number))
            .await
    }

    async fn log_last(&self) -> Result<Option<LogSegment>, StoreError> {
        self.read(log::last_segment).await
    }

    async fn note_keys(&self, keys: Vec<LogKey>, now: Timestamp) -> Result<(), AdminError> {
        self.writer
            .write(move |connection| log::note_keys(connection, &keys, now))
            .await
    }
}
