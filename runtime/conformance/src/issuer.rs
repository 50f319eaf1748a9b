//! A test issuer on loopback, made for one run of the suite: its keys, and a server that answers
//! exchanges as a case tells it to.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ed25519_dalek::SigningKey;
use wire::descriptor::{Descriptor, KeyEntry, Purpose};
use wire::exchange::{Instruction, MEDIA_TYPE, Refusal, Reply, Request};
use wire::status::StatusList;
use wire::succession::{Succession, write_list};

/// Name of the test issuer; a reserved top-level name that nobody can own.
pub(crate) const NAME: &str = "conformance.example";

const DAY: u64 = 86_400;
/// Longest request that is read; the terminal sends at most 4,096 bytes.
const BODY_LEN_MAX: usize = 64 << 10;

/// The keys of the test issuer, by what is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Root,
    Program,
    Receipt,
    Status,
    Revoked,
    Expired,
    NotYet,
    /// In nobody's list.
    Unknown,
}

impl Key {
    /// Fixed: what it signs is trusted in the temporary folder of a run and nowhere else.
    pub(crate) fn signing(self) -> SigningKey {
        SigningKey::from_bytes(&[0xC0 | self as u8; 32])
    }

    fn entry(self, now: u64) -> KeyEntry {
        let (from, until) = match self {
            Self::Expired => (now.saturating_sub(900 * DAY), now.saturating_sub(30 * DAY)),
            Self::NotYet => (now + 30 * DAY, now + 900 * DAY),
            _ => (now.saturating_sub(900 * DAY), now + 900 * DAY),
        };
        KeyEntry {
            purpose: match self {
                Self::Receipt => Purpose::Receipt,
                Self::Status => Purpose::Status,
                _ => Purpose::Program,
            },
            public: self.signing().verifying_key().to_bytes(),
            not_before: from,
            not_after: until,
            revoked_at: (self == Self::Revoked).then_some(now.saturating_sub(DAY)),
        }
    }
}

/// The neutral element: a public key under which a careless verifier takes any message.
pub(crate) const SMALL_ORDER: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

/// The list of keys, signed now by this root.
pub(crate) fn descriptor(now: u64, root: &SigningKey) -> Vec<u8> {
    descriptor_of(NAME, now, root)
}

/// The same list under another name.
pub(crate) fn descriptor_of(name: &str, now: u64, root: &SigningKey) -> Vec<u8> {
    let listed = [
        Key::Program,
        Key::Receipt,
        Key::Status,
        Key::Revoked,
        Key::Expired,
        Key::NotYet,
    ];
    let mut keys: Vec<_> = listed.into_iter().map(|key| key.entry(now)).collect();
    keys.push(KeyEntry {
        public: SMALL_ORDER,
        ..Key::Program.entry(now)
    });
    let descriptor = Descriptor {
        issuer: name.to_owned(),
        root: root.verifying_key().to_bytes(),
        issued_at: now,
        keys,
    };
    descriptor.sign(root).expect("within bounds")
}

/// The list of what is withdrawn, made now: nothing.
pub(crate) fn nothing_withdrawn(now: u64) -> StatusList {
    StatusList {
        issuer: NAME.to_owned(),
        issued_at: now,
        templates: Vec::new(),
        programs: Vec::new(),
    }
}

/// A status list as it is served.
pub(crate) fn signed(list: &StatusList, key: Key) -> Vec<u8> {
    list.sign(&key.signing()).expect("within bounds")
}

/// A root names the next one.
pub(crate) fn link(from: &SigningKey, to: &SigningKey, now: u64) -> Vec<u8> {
    let link = Succession {
        issuer: NAME.to_owned(),
        from: from.verifying_key().to_bytes(),
        to: to.verifying_key().to_bytes(),
        signed_at: now,
    };
    link.sign(from).expect("within bounds")
}

/// How an exchange is answered.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// With the receipt of the remittance that the request names.
    Receipt,
    /// With a refusal.
    Refuse(Refusal),
    /// With this reply.
    Reply(Reply),
    /// With these bytes in place of a whole HTTP answer, then silence on a closed connection.
    Raw(Vec<u8>),
}

/// Something to do once, between the arrival of an exchange and its answer.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// Remittance and handshake of an instruction: the handshake tells the orders of one number apart.
type Wanted = ([u8; 16], [u8; 16]);

struct Shared {
    descriptor: Vec<u8>,
    /// None: 404.
    succession: Option<Vec<u8>>,
    /// None: 503.
    status_list: Option<Vec<u8>>,
    receipts: HashMap<Wanted, Vec<u8>>,
    behaviour: Behaviour,
    exchanges: Vec<Vec<u8>>,
    heads: Vec<String>,
    meanwhile: Option<Meanwhile>,
    before_status: Option<Meanwhile>,
    stopped: bool,
}

/// The running test issuer; it ends when dropped.
pub(crate) struct Issuer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Issuer {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn start(now: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared {
            descriptor: descriptor(now, &Key::Root.signing()),
            succession: None,
            status_list: Some(signed(&nothing_withdrawn(now), Key::Status)),
            receipts: HashMap::new(),
            behaviour: Behaviour::Receipt,
            exchanges: Vec::new(),
            heads: Vec::new(),
            meanwhile: None,
            before_status: None,
            stopped: false,
        }));
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("test-issuer".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    if lock(&served).stopped {
                        return;
                    }
                    // A connection that breaks is the client's matter.
                    let _served = stream.and_then(|stream| serve(&stream, &served));
                }
            })?;
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has a receipt ready for an instruction.
    pub(crate) fn owes(&self, instruction: &Instruction, receipt: Vec<u8>) {
        lock(&self.shared)
            .receipts
            .insert(wanted(instruction), receipt);
    }

    pub(crate) fn behaves(&self, behaviour: Behaviour) {
        lock(&self.shared).behaviour = behaviour;
    }

    /// Does this before the next exchange is answered.
    pub(crate) fn before_answering(&self, meanwhile: impl FnOnce() + Send + 'static) {
        lock(&self.shared).meanwhile = Some(Box::new(meanwhile));
    }

    /// Serves this list of keys.
    pub(crate) fn serves_keys(&self, descriptor: Vec<u8>) {
        lock(&self.shared).descriptor = descriptor;
    }

    /// Serves these links between its roots.
    pub(crate) fn serves_roots(&self, links: Option<&[Vec<u8>]>) {
        let list = links.map(|links| write_list(links).expect("within bounds"));
        lock(&self.shared).succession = list;
    }

    /// Serves this status list, or none.
    pub(crate) fn serves_status(&self, list: Option<Vec<u8>>) {
        lock(&self.shared).status_list = list;
    }

    /// Does this before the status list is given out next.
    pub(crate) fn before_status(&self, meanwhile: impl FnOnce() + Send + 'static) {
        lock(&self.shared).before_status = Some(Box::new(meanwhile));
    }

    /// Requests that arrived so far.
    pub(crate) fn exchanges(&self) -> usize {
        lock(&self.shared).exchanges.len()
    }

    /// The request that arrived last, and the head of the HTTP request around it.
    pub(crate) fn last(&self) -> Option<(Vec<u8>, String)> {
        let shared = lock(&self.shared);
        Some((
            shared.exchanges.last()?.clone(),
            shared.heads.last()?.clone(),
        ))
    }
}

impl core::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Issuer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        lock(&self.shared).stopped = true;
        // Wakes the thread, which then sees that it is over.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

const fn wanted(instruction: &Instruction) -> Wanted {
    (instruction.remittance, instruction.handshake)
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request and closes.
fn serve(mut stream: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut body_len = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body_len = value.trim().parse().unwrap_or(0).min(BODY_LEN_MAX);
        }
        head.push_str(&line);
    }
    let mut body = vec![0; body_len];
    reader.read_exact(&mut body)?;
    let answer = if head.starts_with("GET /.well-known/tegata-issuer ") {
        ok("application/cbor", &lock(shared).descriptor)
    } else if head.starts_with("GET /.well-known/tegata-status ") {
        let (meanwhile, list) = {
            let mut shared = lock(shared);
            (shared.before_status.take(), shared.status_list.clone())
        };
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        list.map_or_else(
            || empty("503 Service Unavailable"),
            |list| ok("application/cbor", &list),
        )
    } else if head.starts_with("GET /.well-known/tegata-succession ") {
        let list = lock(shared).succession.clone();
        list.map_or_else(
            || empty("404 Not Found"),
            |list| ok("application/cbor", &list),
        )
    } else if head.starts_with("POST /v1/exchange ") {
        exchange(&mut lock(shared), head, body)
    } else {
        empty("404 Not Found")
    };
    stream.write_all(&answer)?;
    stream.flush()
}

fn exchange(shared: &mut Shared, head: String, body: Vec<u8>) -> Vec<u8> {
    let receipt = match Request::decode(&body) {
        Ok(Request::Instruction(instruction)) => shared.receipts.get(&wanted(&instruction)),
        Ok(Request::Answers(_)) | Err(_) => None,
    };
    let receipt = receipt.cloned();
    if let Some(meanwhile) = shared.meanwhile.take() {
        meanwhile();
    }
    shared.exchanges.push(body);
    shared.heads.push(head);
    let reply = match shared.behaviour.clone() {
        Behaviour::Raw(bytes) => return bytes,
        Behaviour::Refuse(refusal) => Reply::Refusal(refusal),
        Behaviour::Reply(reply) => reply,
        Behaviour::Receipt => {
            receipt.map_or(Reply::Refusal(Refusal::RemittanceUnknown), Reply::Receipt)
        }
    };
    ok(MEDIA_TYPE, &reply.encode().expect("within bounds"))
}

/// A whole HTTP answer without a body.
fn empty(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

/// A whole HTTP answer.
pub(crate) fn ok(media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
