//! An issuer to be measured: holders, cards in this process, and orders, made by the issuer's own functions.

use crate::process;
use anyhow::{Context, Result};
use card_sim::Card;
use issuer::{
    app::{App, Office, Settings, new_token},
    clock::{SystemClock, SystemRandom, id_parts},
    http::problem::Refused,
    invitations::Ordered,
    issuing::{self, NewNumber, Order},
    orders::{self, NewOrder},
};
use ledger::{
    AccountRef, CARD_VALUE_MAX, Command, Holder, HolderId, IdempotencyKey, Language, TransferId,
};
use money::{Amount, Currency};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use store::NewHolder;
use tokio::runtime::Runtime;
use wire::api::{CreateOrder, FundFrom};

/// Cards of an issuer that are credited; half as many as it has remittances in the beginning.
pub(crate) const CARDS: usize = 500;
/// Senders: each may send 100 orders at once over HTTP before the limit holds him up.
pub(crate) const SENDERS: usize = 50;
/// What each sender begins with.
const FUNDS: i64 = 1_000_000_000;
/// Orders placed side by side: as many as share a commit well.
const AT_ONCE: usize = 250;
/// Mails taken at once.
const MAILS: u32 = 1_000;

/// A holder who sends.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) holder: Holder,
    pub(crate) token: String,
}

/// A card and its number.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) chip: Card,
    pub(crate) number: String,
}

/// An issuer's folder, opened beside the server that is measured.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) data: PathBuf,
    pub(crate) senders: Vec<Sender>,
    pub(crate) cards: Vec<Slot>,
    app: Arc<App>,
    runtime: Runtime,
    keys: usize,
}

impl Issuer {
    /// Makes one in `data`, with keys, senders with money, and personalised cards; its ledger in `data`, or
    /// in a new database of PostgreSQL.
    pub(crate) fn new(binary: &Path, data: &Path, database: Option<&str>) -> Result<Self> {
        let folder = data.to_str().context("a folder's name")?;
        let mut init = vec!["init", "--data", folder, "--issuer", "bench.tegata.example"];
        if let Some(url) = database {
            init.extend(["--database", url]);
        }
        process::run(binary, &init)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let office = Office::open(
            data,
            Arc::new(SystemClock::default()),
            Arc::new(SystemRandom),
        )?;
        let settings = Settings {
            public_origin: "http://127.0.0.1".to_owned(),
            trusted_hops: 0,
            requests_per_minute: 0,
            mail_from: "no-reply@bench.tegata.example".to_owned(),
            bank: false,
            require_standby: false,
            webhooks: issuer::webhooks::address::Reach::Public,
        };
        let app = Arc::new(runtime.block_on(App::new(office, settings))?);
        let mut issuer = Self {
            data: data.to_owned(),
            senders: Vec::new(),
            cards: Vec::new(),
            app,
            runtime,
            keys: 0,
        };
        for number in 0..SENDERS {
            let (holder, token) = issuer.holder(&format!("Sender {number}"))?;
            issuer.fund(holder.id)?;
            issuer.senders.push(Sender { holder, token });
        }
        for number in 0..CARDS {
            issuer.card(u16::try_from(number)?)?;
        }
        Ok(issuer)
    }

    fn holder(&self, name: &str) -> Result<(Holder, String)> {
        let office = &self.app.office;
        let (ms, bits) = id_parts(office.clock.now(), &*office.random);
        let id = HolderId::new(ms, bits);
        let (token, hash) = new_token(&*office.random);
        let new = NewHolder {
            id,
            name: name.to_owned(),
            email: Some("someone@bench.example".to_owned()),
            language: Language::En,
            currency: Currency::Jpy,
            token: Some(hash),
            now: office.clock.now(),
        };
        let found = self.runtime.block_on(async {
            office.store.add_holder(new).await?;
            anyhow::Ok(office.store.holder(id).await?)
        })?;
        Ok((found.context("a new holder")?, token.to_string()))
    }

    fn fund(&self, holder: HolderId) -> Result<()> {
        let office = &self.app.office;
        let (ms, bits) = id_parts(office.clock.now(), &*office.random);
        let command = Command::Transfer {
            id: TransferId::new(ms, bits),
            from: AccountRef::Float,
            to: AccountRef::Holder(holder),
            amount: Amount::new(FUNDS, Currency::Jpy)?,
            now: office.clock.now(),
        };
        self.runtime.block_on(office.store.apply_one(command))?;
        Ok(())
    }

    fn card(&mut self, number: u16) -> Result<()> {
        let (holder, _) = self.holder(&format!("Recipient {number}"))?;
        let [high, low] = number.to_be_bytes();
        let mut chip = Card::new([0x04, 0x10, 0x20, 0x30, 0x40, high, low], [low; 32]);
        let order = Order {
            holder: holder.id,
            number: NewNumber::Derived,
            value_max: CARD_VALUE_MAX,
        };
        let mut transmit = |apdu: &[u8]| Ok(chip.transmit(apdu).answer);
        let issued = issuing::issue(&self.app.office, &mut transmit, order);
        let issued = self.runtime.block_on(issued)?;
        let number = String::from_utf8_lossy(issued.number.digits()).into_owned();
        self.cards.push(Slot { chip, number });
        Ok(())
    }

    /// Places `count` orders, from each sender to each card in turn; gives, for each card, the order
    /// bytes of its programs. Their mails are taken for sent.
    pub(crate) fn place(&mut self, count: usize) -> Result<Vec<Vec<Vec<u8>>>> {
        let mut placed = vec![Vec::new(); self.cards.len()];
        let numbers: Vec<_> = (0..count).collect();
        for part in numbers.chunks(AT_ONCE) {
            let mut tasks = Vec::new();
            for number in part {
                self.keys += 1;
                let slot = number % self.cards.len();
                let sender = self.senders[number % self.senders.len()].holder.clone();
                let (app, key) = (Arc::clone(&self.app), format!("placed-{}", self.keys));
                let card = self.cards[slot].number.clone();
                tasks.push((slot, self.runtime.spawn(place(app, sender, key, card))));
            }
            for (slot, task) in tasks {
                placed[slot].push(self.runtime.block_on(task)??);
            }
        }
        self.runtime.block_on(self.mails_sent())?;
        Ok(placed)
    }

    async fn mails_sent(&self) -> Result<()> {
        let office = &self.app.office;
        loop {
            let now = office.ledger_now().await?;
            let mails = office.store.lease_mail(now, now.plus_s(60), MAILS).await?;
            if mails.is_empty() {
                return Ok(());
            }
            let marks = mails.into_iter().map(|mail| {
                let store = Arc::clone(&office.store);
                tokio::spawn(async move { store.mail_sent(mail.id).await })
            });
            for mark in marks.collect::<Vec<_>>() {
                mark.await??;
            }
        }
    }
}

async fn place(app: Arc<App>, sender: Holder, key: String, card: String) -> Result<Vec<u8>> {
    let order = CreateOrder {
        recipient_card: Some(card),
        recipient_email: None,
        amount_minor: 1,
        currency: Currency::Jpy.code().to_owned(),
        note: Some("measured".to_owned()),
        expires_in_s: None,
        fund_from: FundFrom::Account,
        from_card: None,
    };
    let order = NewOrder::check(&app, order).map_err(Refused::into_error)?;
    let key = IdempotencyKey::new(&key).context("a key of letters")?;
    let placed = orders::place(&app, &sender, key, order).await;
    match placed.map_err(Refused::into_error)? {
        Ordered::Remittance(remittance) => Ok(remittance.order_bytes),
        Ordered::Invitation(_) => anyhow::bail!("an order to a card is held"),
    }
}
