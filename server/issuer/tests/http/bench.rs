//! One issuer in a temporary folder, spoken to through its router, with a clock in hand.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    response::Response,
};
use card_sim::Card as Chip;
use guest_logic::{Host, NetworkError, ReaderError};
use issuer::{
    app::{App, Office, Settings, new_token},
    clock::{Clock, Random, SystemRandom, id_parts},
    config::Config,
    http::router,
    issuing::{self, NewNumber},
    jobs::sealer,
    keys::Keys,
};
use ledger::{
    AccountRef, CARD_VALUE_MAX, CardId, Command, HolderId, Language, Timestamp, TransferId,
};
use money::{Amount, Currency};
use redemption::Incarnation;
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use store::{Attempt, EventId, NewDelivery, NewHolder, OrderEvent};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

pub(crate) const START_S: i64 = 1_800_000_000;
pub(crate) const FUNDS: i64 = 10_000;
pub(crate) const UID: [u8; 7] = [0x04, 1, 2, 3, 4, 5, 6];

thread_local! {
    /// Whether the servers of this test are front and core.
    pub(crate) static SPLIT: Cell<bool> = const { Cell::new(false) };
}

#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn set_s(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(self.0.load(Ordering::Relaxed))
    }
}

/// A holder with a token.
pub(crate) struct Person {
    pub(crate) id: HolderId,
    pub(crate) token: String,
}

/// An answer, with its body read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) app: Arc<App>,
    pub(crate) chip: Chip,
    pub(crate) number: String,
    pub(crate) card: CardId,
    pub(crate) sender: Person,
    pub(crate) recipient: Person,
    /// Start the server anew before each exchange of a program.
    pub(crate) restarts: bool,
    /// Send each request of a program twice at once, and compare the replies from the third on.
    pub(crate) twice: bool,
    /// Every request that a program sent.
    pub(crate) requests: Vec<Vec<u8>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            issuer: "money.example".to_owned(),
            currency: Currency::Jpy,
            incarnation: Incarnation([1; 16]),
            invite: issuer::config::InvitePolicy::Refuse,
            database: None,
        };
        config.create(dir.path()).unwrap();
        let start = u64::try_from(START_S).unwrap();
        Keys::create(&Config::keys_dir(dir.path()), start, &SystemRandom).unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(START_S)));
        let app = open(&runtime, &dir, &clock);
        let sender = add_holder(&runtime, &app, "Aiko Sato", None);
        let recipient = add_holder(&runtime, &app, "Ben", Some("ben@mail.example"));
        fund(&runtime, &app, sender.id, FUNDS);
        let mut chip = Chip::new(UID, [1; 32]);
        let order = issuing::Order {
            holder: recipient.id,
            number: NewNumber::Derived,
            value_max: CARD_VALUE_MAX,
        };
        let mut transmit = |apdu: &[u8]| Ok(chip.transmit(apdu).answer);
        let issued = runtime
            .block_on(issuing::issue(&app.office, &mut transmit, order))
            .unwrap();
        Self {
            runtime,
            dir,
            clock,
            app,
            chip,
            number: issued.number_text(),
            card: issued.card,
            sender,
            recipient,
            restarts: false,
            twice: false,
            requests: Vec::new(),
        }
    }

    /// Ends the server and starts it again on the same folder.
    pub(crate) fn restart(&mut self) {
        self.app = open(&self.runtime, &self.dir, &self.clock);
    }

    /// The server, or a front of it that reaches it over a socket.
    pub(crate) fn router(&self) -> Router {
        let server = router(Arc::clone(&self.app));
        if SPLIT.get() {
            crate::split::front_of(server, self.dir.path(), &self.runtime)
        } else {
            server
        }
    }

    pub(crate) fn call(&self, request: Request<Body>) -> Answer {
        self.call_of(self.router(), request)
    }

    /// What this router answers.
    pub(crate) fn call_of(&self, router: Router, request: Request<Body>) -> Answer {
        self.runtime.block_on(async {
            let response = router.oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX)
                .await
                .unwrap()
                .to_vec();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            }
        })
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Answer {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.call(request.body(Body::empty()).unwrap())
    }

    /// A call of the sender with these headers.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let token = format!("Bearer {}", self.sender.token);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, token)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(Body::from(body)).unwrap())
    }

    pub(crate) fn post(&self, path: &str, token: &str, key: &str, body: String) -> Answer {
        let mut request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        self.call(request.body(Body::from(body)).unwrap())
    }

    pub(crate) fn order_body(&self) -> Value {
        json!({ "recipient_card": self.number, "amount_minor": 2_500, "currency": "JPY" })
    }

    /// Orders JPY 2,500; gives the id.
    pub(crate) fn order(&self, key: &str) -> String {
        let answer = self.post(
            "/v1/orders",
            &self.sender.token,
            key,
            self.order_body().to_string(),
        );
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn status_of(&self, id: &str) -> String {
        let answer = self.get(&format!("/v1/orders/{id}"), &self.sender.token);
        answer.json()["status"].as_str().unwrap().to_owned()
    }

    pub(crate) fn balance(&self, holder: HolderId) -> i64 {
        let account = ledger::Account::Holder(holder);
        let balance = self
            .runtime
            .block_on(self.app.office.store.balance(account))
            .unwrap();
        balance.unwrap().minor()
    }

    pub(crate) fn order_bytes(&self, id: &str) -> Vec<u8> {
        let id = id.parse().unwrap();
        let remittance = self
            .runtime
            .block_on(self.app.office.store.remittance(id))
            .unwrap();
        remittance.unwrap().order_bytes
    }

    /// Runs the program's logic for an order, as a terminal would.
    pub(crate) fn run(&mut self, id: &str) -> Result<Vec<u8>, guest_logic::Failure> {
        let order = self.order_bytes(id);
        guest_logic::run(&order, self)
    }

    pub(crate) fn exchange(&self, bytes: Vec<u8>) -> Answer {
        let request = Request::post("/v1/exchange")
            .header(header::CONTENT_TYPE, wire::exchange::MEDIA_TYPE)
            .body(Body::from(bytes));
        self.call(request.unwrap())
    }

    fn exchange_twice(&self, request: &[u8]) -> Vec<u8> {
        let post = || {
            let request = Request::post("/v1/exchange")
                .header(header::CONTENT_TYPE, wire::exchange::MEDIA_TYPE)
                .body(Body::from(request.to_vec()));
            self.router().oneshot(request.unwrap())
        };
        self.runtime.block_on(async {
            let (one, two) = tokio::join!(post(), post());
            let body = |response: Response| axum::body::to_bytes(response.into_body(), usize::MAX);
            let one = body(one.unwrap()).await.unwrap();
            let two = body(two.unwrap()).await.unwrap();
            if self.requests.len() > 2 {
                assert_eq!(one, two, "exchange {}", self.requests.len());
            }
            two.to_vec()
        })
    }

    pub(crate) fn add_holder(&self, name: &str, email: Option<&str>) -> Person {
        add_holder(&self.runtime, &self.app, name, email)
    }

    /// Lets an endpoint be gone when it is told of this event.
    pub(crate) fn dead_letter(&self, webhook: &str, event: EventId) {
        let office = &self.app.office;
        let (webhook, at) = (webhook.parse().unwrap(), office.clock.now());
        self.runtime.block_on(async {
            sealer::seal(office, [1; 16]).await.unwrap();
            let of = office.store.order_changes().await.unwrap().unwrap();
            let new = NewDelivery {
                webhook,
                event,
                what: OrderEvent::Opened,
                body: Vec::new(),
                at,
            };
            office.store.queue_deliveries(of, vec![new]).await.unwrap();
            let gone = Attempt::Gone;
            office.store.attempted(webhook, event, gone).await.unwrap();
        });
    }

    pub(crate) fn assert_balanced(&self) {
        let report = self
            .runtime
            .block_on(self.app.office.store.audit())
            .unwrap();
        assert!(report.is_balanced(), "{:?}", report.failures);
    }
}

impl Host for Bench {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let answer = self.chip.transmit(command).answer;
        if answer.is_empty() {
            Err(ReaderError::Removed)
        } else {
            Ok(answer)
        }
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        if self.restarts {
            self.restart();
        }
        self.requests.push(request.to_vec());
        if self.twice {
            return Ok(self.exchange_twice(request));
        }
        let answer = Self::exchange(self, request.to_vec());
        if answer.status == StatusCode::OK {
            Ok(answer.body)
        } else {
            Err(NetworkError::Failed)
        }
    }
}

fn open(runtime: &Runtime, dir: &TempDir, clock: &Arc<TestClock>) -> Arc<App> {
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(clock);
    let office = Office::open(dir.path(), clock, Arc::new(SystemRandom)).unwrap();
    let settings = Settings {
        public_origin: "https://money.example".to_owned(),
        trusted_hops: 0,
        requests_per_minute: issuer::limit::REQUESTS_PER_MINUTE,
        mail_from: "no-reply@money.example".to_owned(),
        bank: true,
        require_standby: false,
        webhooks: issuer::webhooks::address::Reach::Public,
    };
    Arc::new(runtime.block_on(App::new(office, settings)).unwrap())
}

fn random() -> Arc<dyn Random> {
    Arc::new(SystemRandom)
}

fn add_holder(runtime: &Runtime, app: &App, name: &str, email: Option<&str>) -> Person {
    let now = app.office.clock.now();
    let (ms, bits) = id_parts(now, &*random());
    let (token, hash) = new_token(&*random());
    let id = HolderId::new(ms, bits);
    let holder = NewHolder {
        id,
        name: name.to_owned(),
        email: email.map(str::to_owned),
        language: Language::En,
        currency: app.office.config.currency,
        token: Some(hash),
        now,
    };
    runtime
        .block_on(app.office.store.add_holder(holder))
        .unwrap();
    Person {
        id,
        token: token.to_string(),
    }
}

fn fund(runtime: &Runtime, app: &App, holder: HolderId, minor: i64) {
    let (ms, bits) = id_parts(app.office.clock.now(), &*random());
    let command = Command::Transfer {
        id: TransferId::new(ms, bits),
        from: AccountRef::Float,
        to: AccountRef::Holder(holder),
        amount: Amount::new(minor, Currency::Jpy).unwrap(),
        now: app.office.clock.now(),
    };
    runtime
        .block_on(app.office.store.apply_one(command))
        .unwrap();
}
