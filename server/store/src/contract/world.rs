//! A small issuer for the cases: ids, holders, cards and orders with as little text as possible.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger::{
    Account, AccountRef, CardId, CardState, ClaimRef, Command, CommitOutcome, CommitSend,
    ContentHash, Decide, Decided, HolderId, IdempotencyKey, IdempotencyScope, InFlight, Language,
    MailId, NewMail, NumberRef, Operation, Outcome, Payment, PlaceOrder, Proven, Refusal,
    RemittanceId, Settle, Settlement, Status, Timestamp, TokenHash, TransferId, Uid,
};
use money::{Amount, Currency};

use crate::record::{NewCard, NewHolder};
use crate::traits::Store;

/// The instant at which every case begins: 2026-01-01 00:00 UTC.
const BEGIN: Timestamp = Timestamp::from_unix_s(1_767_225_600);

/// A store, a counter for ids, and short names for what the cases do.
#[expect(missing_debug_implementations, reason = "a store is not printed")]
pub struct World {
    /// The store under test.
    pub store: Arc<dyn Store>,
    next: AtomicU64,
}

/// A sender with funds and a recipient with an active card, in yen.
#[derive(Debug, Clone, Copy)]
pub struct Funded {
    /// Has `10_000`.
    pub sender: HolderId,
    /// Has a mail address and the card.
    pub recipient: HolderId,
    /// May hold `5_000`.
    pub card: CardId,
    /// Its number.
    pub number: NumberRef,
}

impl World {
    /// A world over an empty store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            next: AtomicU64::new(1),
        }
    }

    /// The instant of the case's begin, moved by seconds.
    #[must_use]
    pub const fn at(&self, seconds: i64) -> Timestamp {
        BEGIN.plus_s(seconds)
    }

    fn count(&self) -> (u64, [u8; 10]) {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let [a, b, c, d, e, f, g, h] = count.to_be_bytes();
        (1_767_225_600_000 + count, [0, 0, a, b, c, d, e, f, g, h])
    }

    fn bytes<const N: usize>(&self, mark: u8) -> [u8; N] {
        let (count, _) = self.count();
        let mut bytes = [mark; N];
        bytes
            .iter_mut()
            .zip(count.to_le_bytes())
            .for_each(|(place, byte)| *place = byte);
        bytes
    }

    /// A fresh remittance id.
    #[must_use]
    pub fn remittance_id(&self) -> RemittanceId {
        let (ms, random) = self.count();
        RemittanceId::new(ms, random)
    }

    /// A fresh transfer id.
    #[must_use]
    pub fn transfer_id(&self) -> TransferId {
        let (ms, random) = self.count();
        TransferId::new(ms, random)
    }

    /// A fresh holder id.
    #[must_use]
    pub fn holder_id(&self) -> HolderId {
        let (ms, random) = self.count();
        HolderId::new(ms, random)
    }

    /// A fresh card id.
    #[must_use]
    pub fn card_id(&self) -> CardId {
        let (ms, random) = self.count();
        CardId::new(ms, random)
    }

    /// The record of a holder who is not added yet.
    #[must_use]
    pub fn new_holder(&self, currency: Currency, email: Option<&str>) -> NewHolder {
        NewHolder {
            id: self.holder_id(),
            name: "Hana Sato".to_owned(),
            email: email.map(str::to_owned),
            language: Language::Ja,
            currency,
            token: Some(TokenHash(self.bytes(1))),
            now: self.at(0),
        }
    }

    /// A holder with this balance.
    pub async fn holder(&self, currency: Currency, minor: i64) -> HolderId {
        let holder = self.new_holder(currency, Some("hana@example.org"));
        let id = holder.id;
        self.store.add_holder(holder).await.unwrap();
        if minor > 0 {
            let funding = self.transfer(AccountRef::Float, AccountRef::Holder(id), minor, currency);
            assert_eq!(self.apply(funding).await, Ok(Outcome::Transferred));
        }
        id
    }

    /// The record of a card that is not being issued yet.
    #[must_use]
    pub fn new_card(&self, holder: HolderId, currency: Currency, value_max: i64) -> NewCard {
        NewCard {
            id: self.card_id(),
            number_ref: NumberRef(self.bytes(2)),
            masked: "**** **** **** 1234".to_owned(),
            uid: Uid(self.bytes(4)),
            holder,
            currency,
            value_max,
            now: self.at(0),
        }
    }

    /// An active card.
    pub async fn card(
        &self,
        holder: HolderId,
        currency: Currency,
        value_max: i64,
    ) -> (CardId, NumberRef) {
        let card = self.new_card(holder, currency, value_max);
        let (id, number) = (card.id, card.number_ref);
        self.store.begin_issue(card).await.unwrap();
        self.store.finish_issue(id, self.at(0)).await.unwrap();
        (id, number)
    }

    /// The usual two.
    pub async fn funded(&self) -> Funded {
        let sender = self.holder(Currency::Jpy, 10_000).await;
        let recipient = self.holder(Currency::Jpy, 0).await;
        let (card, number) = self.card(recipient, Currency::Jpy, 5_000).await;
        Funded {
            sender,
            recipient,
            card,
            number,
        }
    }

    /// A transfer with a fresh id.
    #[must_use]
    pub fn transfer(
        &self,
        from: AccountRef,
        to: AccountRef,
        minor: i64,
        currency: Currency,
    ) -> Command {
        let amount = Amount::new(minor, currency).unwrap();
        Command::Transfer {
            id: self.transfer_id(),
            from,
            to,
            amount,
            now: self.at(0),
        }
    }

    /// An order in yen with a fresh id and key; it expires after an hour.
    #[must_use]
    pub fn order(&self, sender: HolderId, card: NumberRef, minor: i64) -> PlaceOrder {
        let (ms, random) = self.count();
        let key = format!("key-{ms}");
        PlaceOrder {
            scope: IdempotencyScope {
                principal: sender,
                operation: Operation::PlaceOrder,
                key: IdempotencyKey::new(&key).unwrap(),
            },
            content: ContentHash(self.bytes(3)),
            remittance: RemittanceId::new(ms, random),
            sender,
            sender_name: "Taro Suzuki".to_owned(),
            card,
            payment: Payment::Account,
            amount: Amount::new(minor, Currency::Jpy).unwrap(),
            amount_max: 1_000_000,
            note: "for the tickets".to_owned(),
            expires: self.at(3_600),
            revision: 0,
            order_bytes: vec![7; 300],
            signature: [8; 64],
            program_key: [9; 32],
            template_hash: [10; 32],
            claim: ClaimRef(self.bytes(5)),
            mail: NewMail {
                id: MailId::new(ms, random),
                message_id: format!("{ms}@example.org"),
            },
            now: self.at(0),
        }
    }

    /// Places an order of the usual two that must succeed.
    pub async fn placed(&self, of: &Funded, minor: i64) -> RemittanceId {
        let order = self.order(of.sender, of.number, minor);
        let remittance = order.remittance;
        let answer = self.apply(Command::PlaceOrder(Box::new(order))).await;
        assert_eq!(answer, Ok(Outcome::Placed { remittance }));
        remittance
    }

    /// Places an order.
    pub async fn place(&self, order: &PlaceOrder) -> Result<Outcome, Refusal> {
        self.apply(Command::PlaceOrder(Box::new(order.clone())))
            .await
    }

    /// Carries out one command on a store that must be available.
    pub async fn apply(&self, command: Command) -> Result<Outcome, Refusal> {
        self.store.apply(vec![command]).await.unwrap().remove(0)
    }

    /// A decisive step against the card's record as it is now.
    pub async fn decide(
        &self,
        card: CardId,
        settle: Option<Settlement>,
        commit: Option<RemittanceId>,
        now: Timestamp,
    ) -> Result<Decided, Refusal> {
        let step = self.step(card, settle, commit, now).await;
        self.run(step).await
    }

    /// The command of [`World::decide`], to be changed before it is sent.
    pub async fn step(
        &self,
        card: CardId,
        settle: Option<Settlement>,
        commit: Option<RemittanceId>,
        now: Timestamp,
    ) -> Decide {
        let found = self.store.card(card).await.unwrap().unwrap();
        let in_flight = self.in_flight(card, commit).await;
        let proven = match &settle {
            Some(Settlement::Credited {
                value_after, state, ..
            }) => Proven::from_state(*state, *value_after),
            Some(Settlement::Reread { value, state, .. }) => Proven::from_state(*state, *value),
            Some(Settlement::Absent | Settlement::Freeze { .. }) | None => found.proven,
        };
        let commit = commit.map(|remittance| CommitSend {
            remittance,
            seq: proven.remittance_seq + 1,
            balance_before: proven.value,
            session: vec![11; 96],
            batch: remittance.to_bytes().repeat(12),
        });
        let (expect_epoch, expect_in_flight) = (found.epoch, in_flight);
        Decide {
            card,
            expect_epoch,
            expect_in_flight,
            settle,
            commit,
            now,
        }
    }

    /// What is in flight on the card of any of its remittances.
    async fn in_flight(&self, card: CardId, hint: Option<RemittanceId>) -> Option<RemittanceId> {
        if let Some(remittance) = hint
            && let Some(standing) = self.store.standing(remittance).await.unwrap()
            && standing.card.id == card
        {
            return standing.in_flight.map(|sent| sent.remittance);
        }
        self.store
            .in_flight(card)
            .await
            .unwrap()
            .map(|sent| sent.remittance)
    }

    /// Sends a decisive step.
    pub async fn run(&self, step: Decide) -> Result<Decided, Refusal> {
        match self.apply(Command::Decide(step)).await? {
            Outcome::Decided(decided) => Ok(decided),
            other => panic!("a decisive step was answered with {other:?}"),
        }
    }

    /// Sends the commit of a remittance, which must be accepted.
    pub async fn sent(&self, card: CardId, remittance: RemittanceId) {
        let decided = self
            .decide(card, None, Some(remittance), self.at(1))
            .await
            .unwrap();
        assert_eq!(decided.settled, None);
        assert!(
            matches!(decided.commit, CommitOutcome::Sent { .. }),
            "{decided:?}"
        );
    }

    async fn value_after(&self, sent: &InFlight) -> i64 {
        let remittance = self.store.remittance(sent.remittance).await;
        let remittance = remittance.unwrap().unwrap();
        let (flow, minor) = (remittance.flow, remittance.amount.minor());
        flow.value_after(sent.balance_before, minor).unwrap()
    }

    /// What the card shows once its operation in flight is committed.
    pub async fn credited(&self, card: CardId) -> Settlement {
        let sent = self.store.in_flight(card).await.unwrap().unwrap();
        let value_after = self.value_after(&sent).await;
        Settlement::Credited {
            receipt: b"receipt by the next session".to_vec(),
            value_after,
            state: CardState {
                id: sent.remittance.to_bytes(),
                remittance_seq: sent.seq,
                payment_seq: sent.payment_seq,
            },
        }
    }

    /// The proof of exchange 4 of what is in flight on the card.
    pub async fn proof(&self, card: CardId) -> Settle {
        let sent = self.store.in_flight(card).await.unwrap().unwrap();
        let value_after = self.value_after(&sent).await;
        Settle {
            remittance: sent.remittance,
            card,
            seq: sent.seq,
            value_after,
            receipt: b"receipt by exchange 4".to_vec(),
            now: self.at(2),
        }
    }

    /// Status of a remittance.
    pub async fn status(&self, remittance: RemittanceId) -> Status {
        self.store
            .remittance(remittance)
            .await
            .unwrap()
            .unwrap()
            .status
    }

    /// Balance of an account in minor units.
    pub async fn minor(&self, account: Account) -> i64 {
        self.store.balance(account).await.unwrap().unwrap().minor()
    }

    /// The books balance, and the float, the usual two and one remittance hold exactly this.
    pub async fn holds(&self, of: &Funded, remittance: RemittanceId, expected: [i64; 3]) {
        let found = [
            self.minor(Account::Holder(of.sender)).await,
            self.minor(Account::Escrow(remittance)).await,
            self.minor(Account::Card(of.card)).await,
        ];
        assert_eq!(found, expected, "sender, escrow, card");
        self.balanced().await;
    }

    /// The books balance.
    pub async fn balanced(&self) {
        let report = self.store.audit().await.unwrap();
        assert!(report.is_balanced(), "{report:#?}");
    }
}
