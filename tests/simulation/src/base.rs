//! What every history begins with, made once: the issuer's keys and personalised cards.

use crate::{
    bank::account_of,
    cards::step_of,
    dice::Dice,
    gate::{SimClock, SimGate, SimRandom},
    office::OFFICERS,
    post::Post,
};
use anyhow::{Context, Result, anyhow};
use card_sim::Card as Chip;
use guest_logic::{Host, NetworkError, ReaderError};
use issuer::{
    app::{App, Office, Settings},
    config::Config,
    invitations::Ordered,
    issuing::{self, NewNumber, Order},
    jobs::outbox,
    keys::Keys,
    orders::{self, NewOrder},
    redeem,
};
use ledger::{
    AccountRef, CardAccounts, CardId, CardNumber, Command, HolderId, IdempotencyKey, Language,
    NumberRef, Officer, OfficerName, Timestamp, TokenHash, TransferId, Uid,
};
use mailer::Transport;
use money::{Amount, Currency};
use redemption::Incarnation;
use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
};
use store::{NewCard, NewHolder, Saved, SqlStore, Store as _};
use tokio::runtime::{Builder, Runtime};
use wire::{
    api::{CreateOrder, FundFrom},
    descriptor::Descriptor,
    exchange::Request,
};

/// The issuer of every history.
pub(crate) const ISSUER: &str = "money.example";
/// Its only currency.
pub(crate) const CURRENCY: Currency = Currency::Jpy;
/// When every history begins.
pub(crate) const START: Timestamp = Timestamp::from_unix_s(1_800_000_000);
/// Cards of a history: those of the recipient, and last that of the payer.
pub(crate) const CARDS: u8 = 4;
/// The payer's card.
pub(crate) const PAYERS_CARD: usize = 3;
/// What the payer's card holds when a history begins; all others are empty.
pub(crate) const CHARGED: i64 = 2_500;
/// The most one of them may hold: less than all orders of a history together, so that some are full.
pub(crate) const VALUE_MAX: i64 = 5_000;
/// What the accounts of the people begin with: the first sender has enough for everything, the other runs
/// out; [`PAYER`] and [`RECIPIENT`] have cards and nothing else.
pub(crate) const FUNDS: [i64; 4] = [100_000, 5_000, 0, 0];
/// Who has a card that holds something from the beginning.
pub(crate) const PAYER: usize = 2;
/// Who has all the other cards.
pub(crate) const RECIPIENT: usize = 3;
/// How long after its report a lost card is paid out: a history is short.
pub(crate) const SETTLE_WINDOW_S: u32 = 20;
/// From when on the signing keys are valid: before any clock is set back to.
const KEYS_FROM_S: u64 = 1_790_000_000;

/// A card as it leaves the issuing office.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) id: CardId,
    pub(crate) uid: [u8; 7],
    pub(crate) number: CardNumber,
    pub(crate) snapshot: Vec<u8>,
}

/// What is the same in every history.
#[derive(Debug)]
pub struct Base {
    keys: Keys,
    pub(crate) descriptor: Descriptor,
    pub(crate) cards: Vec<Made>,
    /// The payer's card, once it was charged.
    pub(crate) charged: Vec<u8>,
    /// What it answered then, by the names of the steps: somebody kept it.
    pub(crate) heard: Vec<(&'static str, Vec<u8>)>,
    /// Without it the time limits of the jobs can not even be set.
    pub(crate) runtime: Runtime,
    /// Where databases come from; none for memory.
    databases: Option<fn() -> String>,
    idle: Mutex<Vec<Machine>>,
}

/// A database and its gate. One history after another uses it: each begins with the same rows.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) gate: Arc<SimGate>,
    pub(crate) store: Arc<SqlStore>,
}

impl Machine {
    fn new(databases: Option<fn() -> String>) -> Result<Self> {
        let gate = Arc::new(SimGate::default());
        gate.set_open(true);
        let gated: Arc<dyn store::Gate> = Arc::clone(&gate) as Arc<dyn store::Gate>;
        let store = Arc::new(match databases {
            None => SqlStore::in_memory(gated)?,
            Some(new) => SqlStore::on_server(&new(), gated)?,
        });
        Ok(Self { gate, store })
    }
}

/// Runs a future that never waits for anything.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = core::task::Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the gate is open"),
    }
}

pub(crate) fn config() -> Config {
    Config {
        issuer: ISSUER.to_owned(),
        currency: CURRENCY,
        incarnation: Incarnation([1; 16]),
        invite: issuer::config::InvitePolicy::Refuse,
        database: None,
    }
}

impl Base {
    /// Makes keys and personalises the cards, by the issuing office's own functions.
    ///
    /// # Errors
    /// No room for the temporary key files, or a defect in personalisation.
    pub fn new() -> Result<Self> {
        Self::with(None)
    }

    /// The same with each ledger in a new database of PostgreSQL.
    ///
    /// # Errors
    /// As [`Base::new`].
    pub fn on_servers(databases: fn() -> String) -> Result<Self> {
        Self::with(Some(databases))
    }

    fn with(databases: Option<fn() -> String>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let random = SimRandom::new(Dice::new(1));
        Keys::create(&dir.path().join("keys"), KEYS_FROM_S, &random)?;
        let keys = Keys::load(&dir.path().join("keys"))?;
        let descriptor = keys.descriptor(ISSUER, KEYS_FROM_S);
        let mut base = Self {
            keys,
            descriptor,
            cards: Vec::new(),
            charged: Vec::new(),
            heard: Vec::new(),
            runtime: Builder::new_current_thread().enable_time().build()?,
            databases,
            idle: Mutex::new(Vec::new()),
        };
        let machine = Machine::new(None)?;
        let app = base.app(
            Arc::clone(&machine.store),
            Arc::new(SimClock::new(START)),
            SimRandom::new(Dice::new(2)),
            config().incarnation,
        )?;
        let holder = HolderId::new(1, [0; 10]);
        now(machine.store.add_holder(new_holder(holder, "Office")))?;
        for n in 0..CARDS {
            base.cards.push(make(&app, holder, n)?);
        }
        let (machine, charged) = base.prepared()?;
        (base.charged, base.heard) = charged;
        base.give_back(machine);
        Ok(base)
    }

    /// A database with what every history begins with.
    pub(crate) fn machine(&self, pooled: bool) -> Result<Machine> {
        let idle = self.idle().pop();
        let machine = match idle {
            Some(machine) => machine,
            None => self.prepared()?.0,
        };
        machine.gate.clear();
        machine.store.go_back(Saved::Beginning)?;
        if pooled {
            now(machine.store.set_card_accounts(CardAccounts::Pooled, START))?;
        }
        Ok(machine)
    }

    /// A database with what every history begins with, and the payer's card, charged by an ordinary
    /// remittance; both the same every time.
    fn prepared(&self) -> Result<(Machine, Charged)> {
        let machine = Machine::new(self.databases)?;
        self.people(&machine.store)?;
        let clock = Arc::new(SimClock::new(START));
        let store = Arc::clone(&machine.store);
        let random = SimRandom::new(Dice::new(3));
        let app = self.app(store, clock, random, config().incarnation)?;
        let charged = self.charge(&app)?;
        machine.store.save(Saved::Beginning)?;
        Ok((machine, charged))
    }

    /// Takes back what a history no longer needs.
    pub(crate) fn give_back(&self, machine: Machine) {
        self.idle().push(machine);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Machine>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holders, their money and their cards.
    fn people(&self, store: &SqlStore) -> Result<()> {
        for (person, funded) in FUNDS.into_iter().enumerate() {
            let id = person_id(person);
            now(store.add_holder(new_holder(
                id,
                ["Sender", "Sender", "Payer", "Recipient"][person],
            )))?;
            if funded > 0 {
                fund(store, id, funded)?;
                let account = Some(account_of(person));
                now(store.set_bank_account(id, account))?;
            }
        }
        // Before there are officers nobody has to approve.
        now(store.set_settle_window(SETTLE_WINDOW_S, None, START))?;
        for (name, token) in OFFICERS {
            let officer = Officer {
                name: OfficerName::new(name)?,
                token: TokenHash(token),
            };
            now(store.add_officer(officer, None, START))?;
        }
        for (at, made) in self.cards.iter().enumerate() {
            now(store.begin_issue(NewCard {
                id: made.id,
                number_ref: NumberRef(self.number_ref(made)),
                masked: made.number.masked(),
                uid: Uid(made.uid),
                holder: person_id(owner_of(at)),
                currency: CURRENCY,
                value_max: VALUE_MAX,
                now: START,
            }))?;
            now(store.finish_issue(made.id, START))?;
        }
        Ok(())
    }

    /// Puts value on the payer's card as anybody would; gives the card.
    fn charge(&self, app: &App) -> Result<Charged> {
        let made = self.cards.get(PAYERS_CARD).context("the payer's card")?;
        let id = HolderId::new(1, [77; 10]);
        now(app.office.store.add_holder(new_holder(id, "Counter")))?;
        fund(&*app.office.store, id, CHARGED)?;
        let counter = now(app.office.store.holder(id))?.context("a holder")?;
        let order = CreateOrder {
            recipient_card: Some(String::from_utf8_lossy(made.number.digits()).into_owned()),
            recipient_email: None,
            amount_minor: CHARGED,
            currency: CURRENCY.code().to_owned(),
            note: None,
            expires_in_s: None,
            fund_from: FundFrom::Account,
            from_card: None,
        };
        let refused = |refused| anyhow!("{refused:?}");
        let order = NewOrder::check(app, order).map_err(refused)?;
        let key = IdempotencyKey::new("charge")?;
        let Ordered::Remittance(placed) =
            now(orders::place(app, &counter, key, order)).map_err(refused)?
        else {
            return Err(anyhow!("an order for a card is held"));
        };
        let chip = Chip::restore(&made.snapshot).map_err(|e| anyhow!("{e:?}"))?;
        let mut desk = Desk {
            app,
            chip,
            committed: false,
            heard: Vec::new(),
        };
        guest_logic::run(&placed.order_bytes, &mut desk).map_err(|e| anyhow!("{e:?}"))?;
        // its mail is not part of any history
        let nobody = Transport::Other(Arc::new(Post::new(Dice::new(4), 0)));
        now(outbox::drain(app, &nobody))?;
        desk.chip.reset();
        Ok((desk.chip.snapshot(), desk.heard))
    }

    /// An issuer over `store`.
    pub(crate) fn app(
        &self,
        store: Arc<SqlStore>,
        clock: Arc<SimClock>,
        random: SimRandom,
        incarnation: Incarnation,
    ) -> Result<App> {
        let random = Arc::new(random);
        let config = Config {
            incarnation,
            ..config()
        };
        let office = Office::over(config, self.keys.clone(), store, clock, random);
        let settings = Settings {
            public_origin: format!("https://{ISSUER}"),
            trusted_hops: 0,
            requests_per_minute: 0,
            mail_from: format!("no-reply@{ISSUER}"),
            bank: true,
            require_standby: false,
            webhooks: issuer::webhooks::address::Reach::Public,
        };
        now(App::new(office, settings))
    }

    /// The keyed hash of a card's number.
    pub(crate) fn number_ref(&self, made: &Made) -> [u8; 32] {
        self.keys.number_ref(&made.number)
    }
}

/// A card that was charged, and its answers on the way.
type Charged = (Vec<u8>, Vec<(&'static str, Vec<u8>)>);

/// A terminal at which nothing goes wrong.
struct Desk<'a> {
    app: &'a App,
    chip: Chip,
    committed: bool,
    heard: Vec<(&'static str, Vec<u8>)>,
}

impl Host for Desk<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let answer = self.chip.transmit(command).answer;
        let step = step_of(command, self.committed);
        self.committed |= step == "commit";
        self.heard.push((step, answer.clone()));
        Ok(answer)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        let request = Request::decode(request).map_err(|_| NetworkError::Failed)?;
        now(redeem::exchange(self.app, request)).map_err(|_| NetworkError::Failed)
    }
}

/// The people, counted from 0.
pub(crate) fn person_id(person: usize) -> HolderId {
    let mark = u8::try_from(person).unwrap_or(u8::MAX);
    HolderId::new(1, [mark.wrapping_add(1); 10])
}

/// Whose a card is.
pub(crate) const fn owner_of(card: usize) -> usize {
    if card == PAYERS_CARD {
        PAYER
    } else {
        RECIPIENT
    }
}

fn fund(store: &dyn store::Store, holder: HolderId, minor: i64) -> Result<()> {
    let random = holder.to_bytes();
    let random = random.last_chunk().copied().context("an id")?;
    now(store.apply_one(Command::Transfer {
        id: TransferId::new(1, random),
        from: AccountRef::Float,
        to: AccountRef::Holder(holder),
        amount: Amount::new(minor, CURRENCY)?,
        now: START,
    }))?;
    Ok(())
}

pub(crate) fn new_holder(id: HolderId, name: &str) -> NewHolder {
    NewHolder {
        id,
        name: name.to_owned(),
        email: Some(format!("{}@mail.example", name.to_lowercase())),
        language: Language::En,
        currency: CURRENCY,
        token: None,
        now: START,
    }
}

fn make(app: &App, holder: HolderId, n: u8) -> Result<Made> {
    let uid = [0x04, 0x11, 0x22, 0x33, 0x44, 0x55, n];
    let mut chip = Chip::new(uid, [n; 32]);
    let order = Order {
        holder,
        number: NewNumber::Derived,
        value_max: VALUE_MAX,
    };
    let mut transmit = |apdu: &[u8]| Ok(chip.transmit(apdu).answer);
    let issued = now(issuing::issue(&app.office, &mut transmit, order)).context("a card")?;
    Ok(Made {
        id: CardId::new(1, [n + 50; 10]),
        uid,
        number: issued.number,
        snapshot: chip.snapshot(),
    })
}
