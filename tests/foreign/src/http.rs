//! Whole requests to the server: paths, headers, cookies, queries, forms and documents, through the
//! router that it serves, over a ledger in memory.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::Poll;

use card_sim::Card;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, header};
use issuer::app::{App, Office, Settings, token_hash};
use issuer::clock::{Clock, Random, id_parts};
use issuer::config::Config;
use issuer::issuing::{self, NewNumber};
use issuer::keys::Keys;
use ledger::{AccountRef, CARD_VALUE_MAX, Command, HolderId, Language, Timestamp, TransferId};
use money::{Amount, Currency};
use redemption::Incarnation;
use store::{Access, Gate, NewHolder, Side, SqlStore, StoreError};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::files::{ISSUER, NOW};

/// What the sender has at the beginning: more than inputs can order.
const FUNDS: i64 = 1_000_000_000;

/// No answer is longer: the longest is a page of orders.
const ANSWER_LEN_MAX: usize = 1 << 20;

/// Markup that no page of ours has, and that typed text must not become.
const FOREIGN_MARKUP: [&str; 4] = ["<script", "<img", "<iframe", "<svg"];

/// A clock that stands.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(i64::try_from(NOW).expect("this century"))
    }
}

/// The same numbers in every process, so that an input means the same each time.
struct Counted(Mutex<u64>);

impl Random for Counted {
    fn fill(&self, out: &mut [u8]) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in out.chunks_mut(8) {
            *count = count.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (*count ^ (*count >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).to_le_bytes();
            chunk.copy_from_slice(&mixed[..chunk.len()]);
        }
    }
}

/// Lets everything pass.
#[derive(Debug)]
struct Open;

impl Gate for Open {
    fn pass(&self, _: Access, _: Side) -> Poll<Result<(), StoreError>> {
        Poll::Ready(Ok(()))
    }
}

struct Desk {
    runtime: Runtime,
    app: Arc<App>,
    number: String,
}

static DESK: LazyLock<Mutex<Desk>> = LazyLock::new(|| Mutex::new(Desk::new()));

/// The sender's token.
fn token() -> String {
    format!("tgt_{}", BASE64URL_NOPAD.encode(&[7; 32]))
}

impl Desk {
    /// An issuer with a sender who has money, and a recipient who has a card.
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let dir = tempfile::tempdir().expect("a folder");
        let random = Arc::new(Counted(Mutex::new(1)));
        Keys::create(&dir.path().join("keys"), NOW, &*random).expect("keys");
        let office = Office::over(
            Config {
                issuer: ISSUER.to_owned(),
                currency: Currency::Jpy,
                incarnation: Incarnation([1; 16]),
                invite: issuer::config::InvitePolicy::Refuse,
                database: None,
            },
            Keys::load(&dir.path().join("keys")).expect("keys"),
            Arc::new(SqlStore::in_memory(Arc::new(Open)).expect("memory")),
            Arc::new(Standing),
            random,
        );
        let settings = Settings {
            public_origin: format!("http://{ISSUER}"),
            trusted_hops: 0,
            requests_per_minute: 0,
            mail_from: format!("no-reply@{ISSUER}"),
            bank: true,
            require_standby: false,
            webhooks: issuer::webhooks::address::Reach::Public,
        };
        let app = runtime
            .block_on(App::new(office, settings))
            .expect("an issuer");
        let mut desk = Self {
            runtime,
            app: Arc::new(app),
            number: String::new(),
        };
        let sender = desk.holder("Aiko Sato", token_hash(&token()));
        let recipient = desk.holder("Ben", None);
        desk.fund(sender);
        let mut chip = Card::new([4, 1, 2, 3, 4, 5, 6], [1; 32]);
        let mut transmit = |apdu: &[u8]| Ok(chip.transmit(apdu).answer);
        let order = issuing::Order {
            holder: recipient,
            number: NewNumber::Derived,
            value_max: CARD_VALUE_MAX,
        };
        let issue = issuing::issue(&desk.app.office, &mut transmit, order);
        let issued = desk.runtime.block_on(issue).expect("a card");
        desk.number = issued.number_text();
        desk
    }

    fn holder(&self, name: &str, token: Option<ledger::TokenHash>) -> HolderId {
        let office = &self.app.office;
        let (ms, bits) = id_parts(office.clock.now(), &*office.random);
        let id = HolderId::new(ms, bits);
        let holder = NewHolder {
            id,
            name: name.to_owned(),
            email: Some(format!("{}@mail.example", name.len())),
            language: Language::En,
            currency: Currency::Jpy,
            token,
            now: office.clock.now(),
        };
        let added = self.runtime.block_on(office.store.add_holder(holder));
        added.expect("a holder");
        id
    }

    fn fund(&self, holder: HolderId) {
        let office = &self.app.office;
        let (ms, bits) = id_parts(office.clock.now(), &*office.random);
        let command = Command::Transfer {
            id: TransferId::new(ms, bits),
            from: AccountRef::Float,
            to: AccountRef::Holder(holder),
            amount: Amount::new(FUNDS, Currency::Jpy).expect("an amount"),
            now: office.clock.now(),
        };
        let applied = self.runtime.block_on(office.store.apply_one(command));
        applied.expect("a transfer");
    }

    /// Hands one request to the router and looks at the answer; its status.
    fn serve(&self, request: Request<Full<Bytes>>) -> u16 {
        let reads = request.method().is_safe();
        let (parts, body) = self.runtime.block_on(async {
            let answer = issuer::http::router(Arc::clone(&self.app)).oneshot(request);
            let (parts, body) = answer.await.expect("infallible").into_parts();
            let body = body.collect().await.expect("a whole answer").to_bytes();
            (parts, body)
        });
        // A panic is caught by the server and answered so; nothing else fails here.
        assert!(parts.status.as_u16() < 500, "{}", parts.status);
        assert!(body.len() <= ANSWER_LEN_MAX);
        let value = |name| parts.headers.get(name).map(header::HeaderValue::as_bytes);
        assert_eq!(value(header::CACHE_CONTROL), Some(&b"no-store"[..]));
        assert_eq!(value(header::X_CONTENT_TYPE_OPTIONS), Some(&b"nosniff"[..]));
        let kind = value(header::CONTENT_TYPE).unwrap_or_default();
        if kind.starts_with(b"text/html") {
            assert!(value(header::CONTENT_SECURITY_POLICY).is_some());
            let page = core::str::from_utf8(&body).expect("a page is text");
            let page = page.to_ascii_lowercase();
            for markup in FOREIGN_MARKUP {
                assert!(!page.contains(markup), "{markup}");
            }
        }
        if kind.starts_with(b"application/problem+json") {
            let problem: wire::api::Problem = serde_json::from_slice(&body).expect("a problem");
            assert_eq!(problem.status, parts.status.as_u16());
        }
        if !reads && (parts.status.is_success() || parts.status.is_redirection()) {
            let audit = self.runtime.block_on(self.app.office.store.audit());
            assert!(audit.expect("a store").is_balanced());
        }
        parts.status.as_u16()
    }
}

/// One request as text: method and path, a header a line, an empty line, the body. What is no request
/// never reaches a router.
fn parse(bytes: &[u8]) -> Option<Request<Full<Bytes>>> {
    let at = bytes.windows(2).position(|two| two == b"\n\n")?;
    let (head, body) = (bytes.get(..at)?, bytes.get(at + 2..)?);
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = core::str::from_utf8(lines.next()?).ok()?;
    let (method, path) = first.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(path);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line.get(colon + 1..)?.trim_ascii();
        request = request.header(line.get(..colon)?, value);
    }
    request
        .body(Full::new(Bytes::copy_from_slice(body)))
        .ok()
        // As the server's own reader of connections has it.
        .filter(|request| request.uri().path().starts_with('/'))
}

/// A request: answered, never with a fault of the server; no page shows it as markup, and the books
/// agree afterwards.
pub fn request(bytes: &[u8]) {
    if let Some(request) = parse(bytes) {
        // A broken promise panics with the lock held: the next input begins where this one left off.
        let desk = DESK.lock().unwrap_or_else(PoisonError::into_inner);
        desk.serve(request);
    }
}

/// Each page and each endpoint, with a session where one is needed.
#[must_use]
pub fn request_seeds() -> Vec<Vec<u8>> {
    let number = {
        let desk = DESK.lock().unwrap_or_else(PoisonError::into_inner);
        desk.number.replace(' ', "+")
    };
    let cookie = format!("cookie: tegata={}; lang=ja", token());
    let form = format!("{cookie}\ncontent-type: application/x-www-form-urlencoded\n\n");
    let bearer = format!("authorization: Bearer {}", token());
    let json = format!("{bearer}\ncontent-type: application/json\nidempotency-key: k3\n\n");
    let typed =
        format!("key=k1&card={number}&amount=2%2C500&note=%E3%81%82+%3Cimg%3E&from=account");
    let id = "01900000-0000-7000-8000-000000000000";
    let mut seeds = vec![
        format!("POST /sign-in\n{form}token={}", token()),
        format!("POST /sign-out\n{form}"),
        format!("POST /orders/new\n{form}{typed}"),
        format!("POST /orders/confirm\n{form}{typed}"),
        format!("POST /orders\n{form}{typed}"),
        format!("POST /orders/{id}/cancel\n{form}key=k2"),
        format!("POST /claim\n{form}code=ABCD-EFGH-JKMN"),
        format!("POST /address\n{form}code=ABCD-EFGH"),
        format!(
            "POST /v1/orders\n{json}{{\"recipient_card\":\"{}\",\"amount_minor\":2500,\"currency\":\"JPY\",\"note\":\"x\"}}",
            number.replace('+', " ")
        ),
        format!("POST /v1/orders/{id}/cancel\n{json}{{}}"),
        format!("POST /v1/claim\n{json}{{\"claim_code\":\"ABCD-EFGH\"}}"),
        format!("POST /v1/address/verify\n{json}{{\"code\":\"ABCD-EFGH\"}}"),
        format!("GET /v1/orders?limit=2&cursor={id}\n{bearer}\n\n"),
        format!("GET /v1/orders/{id}\n{bearer}\n\n"),
        format!("GET /orders?cursor={id}\n{cookie}\n\n"),
        "GET /?lang=ja\naccept-language: ja,en;q=0.5\n\n".to_owned(),
        "GET /.well-known/tegata-issuer\n\n".to_owned(),
        "GET /.well-known/tegata-status\n\n".to_owned(),
        "GET /.well-known/tegata-succession\n\n".to_owned(),
        "GET /readyz\n\n".to_owned(),
    ];
    seeds.extend(
        ["/orders/new", "/claim", "/address"].map(|page| format!("GET {page}\n{cookie}\n\n")),
    );
    let media_type = wire::exchange::MEDIA_TYPE;
    let head = format!("POST /v1/exchange\ncontent-type: {media_type}\n\n");
    let exchanges = crate::messages::request_seeds();
    let exchanges = exchanges
        .iter()
        .map(|body| [head.as_bytes(), body].concat());
    seeds
        .into_iter()
        .map(String::into_bytes)
        .chain(exchanges)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lawful_inputs_are_requests_that_the_server_takes() {
        let seeds = request_seeds();
        let desk = DESK.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statuses = std::collections::BTreeMap::new();
        for seed in &seeds {
            let status = desk.serve(parse(seed).expect("a request"));
            let line = seed.split(|byte| *byte == b'\n').next().expect("a line");
            let line = String::from_utf8(line.to_vec()).expect("text");
            statuses.insert(line, status);
        }
        for (line, status) in [
            ("POST /sign-in", 303),
            ("POST /sign-out", 303),
            ("POST /orders/new", 200),
            ("POST /orders/confirm", 200),
            ("POST /orders", 303),
            ("POST /v1/orders", 201),
            ("POST /v1/exchange", 200),
            ("GET /orders/new", 200),
            ("GET /claim", 200),
            ("GET /address", 200),
            ("GET /.well-known/tegata-issuer", 200),
        ] {
            assert_eq!(statuses.get(line), Some(&status), "{line}: {statuses:?}");
        }
    }
}
