//! Webhooks, told to a real receiver that verifies what it gets.

use crate::bench::{Answer, Bench, START_S};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Request, StatusCode, header},
    routing::post,
};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use issuer::{
    clock::{SystemRandom, id_parts},
    jobs::{
        sealer,
        webhooks::{JITTER, WAITS_S, drain},
    },
    webhooks::{
        address::Reach,
        secret_text,
        send::{HEAD_LEN_MAX, Message, Sender},
    },
};
use ledger::WebhookId;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{NewWebhook, SECRET_OVERLAP_S, WEBHOOKS_MAX};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

type Got = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A real server that keeps what it gets, and answers everything with this status.
struct Receiver {
    address: SocketAddr,
    got: Got,
}

impl Receiver {
    fn at(bench: &Bench, address: &str, status: StatusCode) -> Self {
        let got = Got::default();
        let kept = Arc::clone(&got);
        let take = move |headers: HeaderMap, body: Bytes| async move {
            kept.lock().unwrap().push((headers, body));
            (status, [(header::LOCATION, "http://127.0.0.1:9/elsewhere")])
        };
        let router = Router::new().route("/hook", post(take));
        let listener = bench.runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        bench
            .runtime
            .spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, got }
    }

    fn new(bench: &Bench) -> Self {
        Self::at(bench, "127.0.0.1:0", StatusCode::NO_CONTENT)
    }

    fn take(&self) -> Vec<(HeaderMap, Bytes)> {
        std::mem::take(&mut *self.got.lock().unwrap())
    }
}

/// An endpoint of the sender at loopback, which the office may register.
fn register(bench: &Bench, address: SocketAddr) -> WebhookId {
    let office = &bench.app.office;
    let now = office.clock.now();
    let (ms, bits) = id_parts(now, &SystemRandom);
    let webhook = NewWebhook {
        id: WebhookId::new(ms, bits),
        holder: bench.sender.id,
        url: format!("http://{address}/hook"),
        now,
    };
    let id = webhook.id;
    bench
        .runtime
        .block_on(office.store.add_webhook(webhook))
        .unwrap();
    id
}

fn sender() -> Sender {
    Sender::new(Reach::Everywhere).unwrap()
}

/// Seals, queues and sends what is due; gives how many attempts that took.
fn told(bench: &Bench, sender: &Sender) -> usize {
    bench.runtime.block_on(async {
        sealer::seal(&bench.app.office, [1; 16]).await.unwrap();
        drain(&bench.app, sender).await.unwrap()
    })
}

/// What a receiver does: the signature by this secret stands among those of the header.
fn verifies(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers[name].to_str().unwrap();
    let key = BASE64
        .decode(secret.strip_prefix("whsec_").unwrap().as_bytes())
        .unwrap();
    let mut mac = <Hmac<Sha256>>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).as_bytes());
    mac.update(body);
    let expected = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
    text("webhook-signature")
        .split(' ')
        .any(|one| one == expected)
}

fn id_of(headers: &HeaderMap) -> String {
    headers["webhook-id"].to_str().unwrap().to_owned()
}

pub(crate) fn delete(bench: &Bench, path: &str, token: &str) -> Answer {
    let request = Request::delete(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    bench.call(request.body(Body::empty()).unwrap())
}

#[test]
pub(crate) fn each_change_of_an_order_is_signed_and_told_once() {
    let bench = Bench::new();
    let receiver = Receiver::new(&bench);
    bench.order("before");
    let webhook = register(&bench, receiver.address);
    let secret = secret_text(&bench.app.office.keys, webhook, 0);
    let order = bench.order("first");
    assert_eq!(told(&bench, &sender()), 1);
    let got = receiver.take();
    let [(headers, body)] = got.as_slice() else {
        panic!("{got:?}")
    };
    assert!(verifies(&secret, headers, body));
    assert!(!verifies(&secret, headers, b"{}"));
    assert_eq!(headers["webhook-timestamp"], START_S.to_string());
    assert_eq!(headers["content-type"], "application/json");
    let document: Value = serde_json::from_slice(body).unwrap();
    let expected = json!({
        "type": "order.opened",
        "timestamp": "2027-01-15T08:00:00Z",
        "data": { "order": order, "amount_minor": 2_500, "currency": "JPY" },
    });
    assert_eq!(document, expected);
    let cancel = format!("/v1/orders/{order}/cancel");
    bench.post(&cancel, &bench.sender.token, "c", String::new());
    assert_eq!(told(&bench, &sender()), 1);
    let more = receiver.take();
    assert_eq!(more.len(), 1);
    let document: Value = serde_json::from_slice(&more[0].1).unwrap();
    assert_eq!(
        (&document["type"], &document["data"]["order"]),
        (&json!("order.cancelled"), &json!(order))
    );
    assert_ne!(id_of(&more[0].0), id_of(headers));
    // once
    assert_eq!(told(&bench, &sender()), 0);
    assert_eq!(receiver.take().len(), 0);
    bench.assert_balanced();
}

#[test]
pub(crate) fn the_example_of_the_page_verifies() {
    let page = include_str!("../../../../docs/webhooks.md");
    let (_, example) = page.split_once("POST /tegata HTTP/1.1\n").unwrap();
    let (head, rest) = example.split_once("\n\n").unwrap();
    let (body, rest) = rest.split_once("\n```").unwrap();
    let mut headers = HeaderMap::new();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let name: header::HeaderName = name.parse().unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    let secret = rest
        .split('`')
        .find(|word| word.starts_with("whsec_"))
        .unwrap();
    assert!(verifies(secret, &headers, body.as_bytes()));
    for what in store::OrderEvent::ALL {
        assert!(page.contains(&format!("`{}`", what.code())), "{what:?}");
    }
}

#[test]
pub(crate) fn what_nobody_takes_is_tried_by_the_table_and_can_be_sent_again() {
    let bench = Bench::new();
    // a port at which nobody listens
    let silent = bench
        .runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = silent.local_addr().unwrap();
    drop(silent);
    let webhook = register(&bench, address);
    bench.order("one");
    let mut now = START_S;
    assert_eq!(told(&bench, &sender()), 1);
    for wait in WAITS_S {
        bench.clock.set_s(now + wait - 1);
        assert_eq!(told(&bench, &sender()), 0, "{wait}");
        now += wait + wait / JITTER;
        bench.clock.set_s(now);
        assert_eq!(told(&bench, &sender()), 1, "{wait}");
    }
    bench.clock.set_s(now + 1_000_000);
    assert_eq!(told(&bench, &sender()), 0);
    let token = &bench.sender.token;
    let path = format!("/v1/webhooks/{webhook}");
    let view = bench.get(&path, token).json();
    assert_eq!((&view["queued"], &view["dead"]), (&json!(0), &json!(1)));
    let dead = bench.get(&format!("{path}/dead"), token).json();
    let letter = &dead["items"][0];
    assert_eq!(
        (&letter["type"], &letter["attempts"]),
        (&json!("order.opened"), &json!(12))
    );
    assert_eq!(letter["error"], "not connected: connection refused");
    assert_eq!(dead["next"], Value::Null);
    let event = letter["event"].as_str().unwrap();

    let receiver = Receiver::at(&bench, &address.to_string(), StatusCode::OK);
    let again = format!("{path}/dead/{event}");
    let answer = bench.post(&again, token, "", String::new());
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(
        bench.post(&again, token, "", String::new()).status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(told(&bench, &sender()), 1);
    let got = receiver.take();
    assert_eq!((got.len(), id_of(&got[0].0).as_str()), (1, event));
}

#[test]
pub(crate) fn two_processes_share_what_is_to_be_told() {
    let mut bench = Bench::new();
    let receiver = Receiver::new(&bench);
    register(&bench, receiver.address);
    let orders: BTreeSet<String> = (0..4).map(|n| bench.order(&format!("key-{n}"))).collect();
    let one = Arc::clone(&bench.app);
    bench.restart();
    let other = Arc::clone(&bench.app);
    let sender = sender();
    let attempts = bench.runtime.block_on(async {
        sealer::seal(&one.office, [1; 16]).await.unwrap();
        let both = tokio::join!(drain(&one, &sender), drain(&other, &sender));
        both.0.unwrap() + both.1.unwrap()
    });
    let got = receiver.take();
    assert_eq!((attempts, got.len()), (4, 4));
    let body = |body: &Bytes| serde_json::from_slice::<Value>(body).unwrap();
    let told: BTreeSet<String> = got
        .iter()
        .map(|(_, bytes)| body(bytes)["data"]["order"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, orders);
}

/// What a server that answers with these bytes, and then keeps the connection, is taken for.
fn answered(bench: &Bench, bytes: Vec<u8>) -> Result<u16, String> {
    bench.runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            // the other end may have heard enough before the end
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read(&mut request).await;
        });
        let message = Message {
            id: "evt".to_owned(),
            timestamp: 1,
            signature: "v1,x".to_owned(),
            body: b"{}".to_vec(),
        };
        let sender = sender().within(Duration::from_millis(500));
        sender
            .send(&format!("http://{address}/hook"), message)
            .await
    })
}

#[test]
pub(crate) fn slow_and_huge_answers_are_bounded_and_nobody_is_followed() {
    let bench = Bench::new();
    let head = |headers: usize| {
        let lines = "x: y\r\n".repeat(headers);
        format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes()
    };
    assert_eq!(answered(&bench, head(64)), Ok(200));
    assert!(answered(&bench, head(65)).is_err());
    let long = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
        "y".repeat(2 * HEAD_LEN_MAX)
    );
    assert!(answered(&bench, long.into_bytes()).is_err());
    // of a body nothing is waited for
    let endless = b"HTTP/1.1 201 Created\r\ncontent-length: 1000000000\r\n\r\nx".to_vec();
    assert_eq!(answered(&bench, endless), Ok(201));
    let late = Err("no answer in time".to_owned());
    assert_eq!(answered(&bench, b"HTTP/1.1 200 OK\r\n".to_vec()), late);

    let elsewhere = Receiver::at(&bench, "127.0.0.1:0", StatusCode::TEMPORARY_REDIRECT);
    register(&bench, elsewhere.address);
    bench.order("moved");
    assert_eq!(told(&bench, &sender()), 1);
    assert_eq!(elsewhere.take().len(), 1);
    let rows = bench.app.office.store.webhooks(bench.sender.id);
    let rows = bench.runtime.block_on(rows).unwrap();
    assert_eq!((rows[0].queued, rows[0].dead), (1, 0));
}

#[test]
pub(crate) fn a_private_address_is_refused_at_each_attempt() {
    let bench = Bench::new();
    let receiver = Receiver::new(&bench);
    // registered while the operator allowed it
    register(&bench, receiver.address);
    bench.order("one");
    assert_eq!(told(&bench, &Sender::new(Reach::Public).unwrap()), 1);
    assert_eq!(receiver.take().len(), 0);
    let message = Message {
        id: "evt".to_owned(),
        timestamp: 1,
        signature: "v1,x".to_owned(),
        body: b"{}".to_vec(),
    };
    // a name that leads to this machine
    let url = format!("https://localhost:{}/hook", receiver.address.port());
    let public = Sender::new(Reach::Public).unwrap();
    let sent = bench.runtime.block_on(public.send(&url, message));
    assert_eq!(sent, Err("its host has no public address".to_owned()));
}

/// A certificate for `localhost` and its key, of this test alone; valid until 2126.
const CERTIFICATE: &str = "MIIBtTCCAVygAwIBAgIUWLdLcXtXcP+Piqj/B6PV9eWO0T0wCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9j\
    YWxob3N0MCAXDTI2MTEyMTE5NTQzMloYDzIxMjYxMDI4MTk1NDMyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3Qw\
    WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAS7A68WI5mHGLPl+qRUTpU/auqZTmfUTwjZ/ND5v2UoTk1edTNK\
    evfPpAJmUafuYfmLVZtTpImgKLcicsC5SJB6o4GJMIGGMB0GA1UdDgQWBBQymxzBC8ZKLdGHIf1ZVD6Wtr1U\
    4zAfBgNVHSMEGDAWgBQymxzBC8ZKLdGHIf1ZVD6Wtr1U4zAUBgNVHREEDTALgglsb2NhbGhvc3QwDAYDVR0T\
    AQH/BAIwADALBgNVHQ8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwEwCgYIKoZIzj0EAwIDRwAwRAIgSpZf\
    WH3f9n1Ntj6/ZKNYm4CHGWqKfIgyZo7KPJ0TwXMCIETj1MjaelR94gZBVtBNZCLUmk2FeZKgKQr270Tp3kHI";
const CERTIFIED: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg36f2vx6hpEceeqcQFGk8CcPFaafcm+DO2/R1\
    hM1G5GKhRANCAAS7A68WI5mHGLPl+qRUTpU/auqZTmfUTwjZ/ND5v2UoTk1edTNKevfPpAJmUafuYfmLVZtT\
    pImgKLcicsC5SJB6";

#[test]
pub(crate) fn an_endpoint_has_to_prove_its_name() {
    let bytes = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
    let certificate = CertificateDer::from(bytes(CERTIFICATE));
    let key = PrivateKeyDer::Pkcs8(bytes(CERTIFIED).into());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let bench = Bench::new();
    let listener = bench
        .runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    bench.runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // refused, it is the other end that hears why
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
            stream.flush().await.unwrap();
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let trusting = Sender::trusting(Reach::Everywhere, Arc::new(config.with_no_client_auth()));
    let send = |sender: &Sender, host: &str| {
        let url = format!("https://{host}:{port}/hook");
        let message = Message {
            id: "evt".to_owned(),
            timestamp: 1,
            signature: "v1,x".to_owned(),
            body: b"{}".to_vec(),
        };
        bench.runtime.block_on(sender.send(&url, message))
    };
    assert_eq!(send(&trusting, "localhost"), Ok(204));
    // another name, and a certificate that nobody vouches for
    for refused in [send(&trusting, "127.0.0.1"), send(&sender(), "localhost")] {
        let why = refused.unwrap_err();
        assert!(why.starts_with("no TLS: invalid peer certificate"), "{why}");
    }
}

#[test]
pub(crate) fn a_new_secret_signs_beside_the_one_before_for_a_day() {
    let bench = Bench::new();
    let receiver = Receiver::new(&bench);
    let webhook = register(&bench, receiver.address);
    let first = secret_text(&bench.app.office.keys, webhook, 0);
    let path = format!("/v1/webhooks/{webhook}/secret");
    let answer = bench.post(&path, &bench.sender.token, "next", String::new());
    let second = answer.json()["secret"].as_str().unwrap().to_owned();
    assert!(second != first.as_str() && answer.json()["before_until"].is_string());
    let overlap_ends = START_S + SECRET_OVERLAP_S;
    for (at, key, both) in [(overlap_ends - 1, "a", true), (overlap_ends, "b", false)] {
        bench.clock.set_s(at);
        bench.order(key);
        assert_eq!(told(&bench, &sender()), 1);
        let (headers, body) = receiver.take().remove(0);
        assert!(verifies(&second, &headers, &body));
        assert_eq!(verifies(&first, &headers, &body), both, "{key}");
    }
}

#[test]
pub(crate) fn a_secret_asked_for_again_is_the_same_until_another_is_made() {
    let mut bench = Bench::new();
    let webhook = register(&bench, "127.0.0.1:1".parse().unwrap());
    let elsewhere = json!({ "url": "https://shop.example/" }).to_string();
    let elsewhere = bench.post("/v1/webhooks", &bench.sender.token, "", elsewhere);
    let elsewhere = elsewhere.json()["id"].as_str().unwrap().to_owned();
    let make = |bench: &Bench, webhook: &str, key: &str| {
        let path = format!("/v1/webhooks/{webhook}/secret");
        bench.post(&path, &bench.sender.token, key, String::new())
    };
    let id = &webhook.to_string();
    let count = |bench: &Bench, id: &str| {
        let row = bench.app.office.store.webhook(id.parse().unwrap());
        bench.runtime.block_on(row).unwrap().unwrap().secret
    };
    for key in ["", "a b", &"k".repeat(256)] {
        let refused = make(&bench, id, key);
        assert_eq!(refused.json()["code"], "idempotency-key-missing", "{key}");
    }
    assert_eq!(count(&bench, id), 0);
    let first = make(&bench, id, "first");
    assert_eq!(first.status, StatusCode::OK);
    let secret = secret_text(&bench.app.office.keys, webhook, 1);
    assert_eq!(first.json()["secret"], secret.as_str());
    // later, after a restart, and with the key as the draft writes it
    bench.clock.set_s(START_S + 1_000);
    bench.restart();
    for key in ["first", "\"first\""] {
        let again = make(&bench, id, key);
        assert_eq!((again.status, &again.body), (StatusCode::OK, &first.body));
    }
    assert_eq!(count(&bench, id), 1);
    let conflict = make(&bench, &elsewhere, "first");
    assert_eq!(conflict.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(conflict.json()["code"], "idempotency-conflict");
    assert_eq!(count(&bench, &elsewhere), 0);
    let second = make(&bench, id, "second");
    assert_eq!(second.status, StatusCode::OK);
    assert_ne!(second.body, first.body);
    // what counts no more is not shown any more
    let not_shown = make(&bench, id, "first");
    assert_eq!(not_shown.status, StatusCode::CONFLICT);
    assert_eq!(not_shown.json()["code"], "webhook-secret-not-shown");
    assert!(!not_shown.json().to_string().contains("whsec_"));
    assert_eq!(make(&bench, id, "second").body, second.body);
    bench.clock.set_s(START_S + 1_000 + SECRET_OVERLAP_S);
    assert_eq!(make(&bench, id, "second").status, 409);
    bench.clock.set_s(START_S + 1_000);
    assert_eq!(count(&bench, id), 2);
    // new keys are counted, and old ones are not
    let refused = |n: &u32| make(&bench, id, &n.to_string()).status == 429;
    assert!((0..400_u32).any(|n| refused(&n)));
    let code = make(&bench, id, "second").json()["code"].clone();
    assert_eq!(code, "webhook-secret-not-shown");
}

#[test]
pub(crate) fn a_clock_that_was_put_back_makes_no_wait_shorter() {
    let bench = Bench::new();
    let receiver = Receiver::at(&bench, "127.0.0.1:0", StatusCode::BAD_GATEWAY);
    bench.clock.set_s(START_S + 10_000);
    register(&bench, receiver.address);
    bench.order("ahead");
    bench.clock.set_s(START_S);
    assert_eq!(told(&bench, &sender()), 1);
    assert_eq!(told(&bench, &sender()), 0);
    assert_eq!(receiver.take().len(), 1);
}

#[test]
pub(crate) fn an_endpoint_that_is_gone_hears_nothing_until_it_is_enabled() {
    let bench = Bench::new();
    let receiver = Receiver::at(&bench, "127.0.0.1:0", StatusCode::GONE);
    let webhook = register(&bench, receiver.address);
    bench.order("one");
    assert_eq!(told(&bench, &sender()), 1);
    bench.order("two");
    assert_eq!(told(&bench, &sender()), 0);
    let token = &bench.sender.token;
    let path = format!("/v1/webhooks/{webhook}");
    let view = bench.get(&path, token).json();
    assert_eq!(
        (&view["disabled"], &view["dead"]),
        (&json!("gone"), &json!(1))
    );
    let enabled = bench.post(&format!("{path}/enable"), token, "", String::new());
    assert_eq!(
        (enabled.status, &enabled.json()["disabled"]),
        (StatusCode::OK, &Value::Null)
    );
    bench.order("three");
    assert_eq!(told(&bench, &sender()), 1);
    assert_eq!(receiver.take().len(), 2);
}

#[test]
pub(crate) fn endpoints_are_registered_listed_and_forgotten_by_their_holder() {
    let bench = Bench::new();
    let token = &bench.sender.token;
    let add = |token: &str, url: &str| {
        let body = json!({ "url": url }).to_string();
        bench.post("/v1/webhooks", token, "", body)
    };
    let url = "https://shop.example/hook";
    let added = add(token, url);
    assert_eq!(added.status, StatusCode::CREATED);
    let id = added.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/webhooks/{id}");
    assert_eq!(added.headers["location"], path.as_str());
    let secret = added.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(
        secret,
        secret_text(&bench.app.office.keys, id.parse().unwrap(), 0).as_str()
    );
    let code = |answer: &Answer| answer.json()["code"].as_str().unwrap().to_owned();
    assert_eq!(code(&add(token, url)), "webhook-taken");
    for bad in [
        "http://shop.example/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://u@a/",
    ] {
        assert_eq!(code(&add(token, bad)), "webhook-url-refused", "{bad}");
    }
    for number in 1..WEBHOOKS_MAX {
        assert_eq!(
            add(token, &format!("{url}/{number}")).status,
            StatusCode::CREATED
        );
    }
    assert_eq!(code(&add(token, "https://one.more/")), "webhooks-full");
    // of others nothing is seen and nothing is changed
    let other = &bench.recipient.token;
    assert_eq!(
        bench.get("/v1/webhooks", other).json(),
        json!({ "items": [] })
    );
    let calls = [
        bench.get(&path, other),
        bench.get(&format!("{path}/dead"), other),
        bench.post(&format!("{path}/secret"), other, "key", String::new()),
        bench.post(&format!("{path}/enable"), other, "", String::new()),
        bench.post(
            &format!("{path}/dead/evt_{}", "0".repeat(32)),
            other,
            "",
            String::new(),
        ),
        delete(&bench, &path, other),
    ];
    for answer in calls {
        assert_eq!(code(&answer), "webhook-unknown");
    }
    let listed = bench.get("/v1/webhooks", token).json();
    assert_eq!(
        listed["items"].as_array().unwrap().len(),
        WEBHOOKS_MAX as usize
    );
    // the secret is shown once
    assert!(!listed.to_string().contains(&secret[6..]));
    assert_eq!(delete(&bench, &path, token).status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&bench, &path, token).status, StatusCode::NOT_FOUND);
    assert_eq!(add(token, "https://one.more/").status, StatusCode::CREATED);
}
