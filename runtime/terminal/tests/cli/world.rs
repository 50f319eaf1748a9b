//! A scripted issuer on loopback, a personalised emulated card, and the binary under test.
//!
//! The issuer signs real programs, descriptors and receipts; what it answers to an exchange is
//! said by each test beforehand.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use card::key::Key;
use card::personalise::{Blank, CardKeys, Personalisation, Step as Personalising};
use card_sim::Card;
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use money::{Amount, Currency};
use program::{Kind, Order, Template};
use serde_json::Value;
use wire::descriptor::{Descriptor, KeyEntry, Purpose};
use wire::exchange::{Refusal, Reply, Step, StopRule};
use wire::receipt::Receipt;
use wire::status::StatusList;
use wire::succession::{Succession, write_list};

pub(crate) const ISSUER: &str = "pay.example.org";
pub(crate) const DAY_S: u64 = 86_400;

/// What the issuer answers to one exchange.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Reply(Vec<u8>),
    /// The request is read and the connection closed.
    Lost,
    /// This status, without a body.
    Status(u16),
    /// A reply under another media type.
    Mistyped(Vec<u8>),
}

impl Answer {
    pub(crate) fn refusal(refusal: Refusal) -> Self {
        Self::Reply(Reply::Refusal(refusal).encode().unwrap())
    }

    pub(crate) fn receipt(receipt: &[u8]) -> Self {
        Self::Reply(Reply::Receipt(receipt.to_vec()).encode().unwrap())
    }

    /// The step whose answers have no ticket: to the terminal, the one that moves money.
    pub(crate) fn last_step() -> Self {
        let apdus = vec![vec![0x90, 0x60, 0, 0, 0]];
        let step = Step {
            ticket: None,
            stop: StopRule::FirstFailure,
            apdus,
        };
        Self::Reply(Reply::Step(step).encode().unwrap())
    }
}

#[derive(Default)]
struct Shared {
    descriptor: Vec<u8>,
    status: Option<Vec<u8>>,
    succession: Option<Vec<u8>>,
    script: VecDeque<Answer>,
    requests: Vec<Vec<u8>>,
    /// For each request, whether the journal held its bytes when it arrived.
    journalled: Vec<bool>,
    journal: PathBuf,
}

/// A state folder, an emulated card and an issuer that answers as told.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) base: String,
    pub(crate) now: u64,
    shared: Arc<Mutex<Shared>>,
}

pub(crate) struct Ended {
    pub(crate) exit: i32,
    pub(crate) document: Value,
    pub(crate) talk: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared::default()));
        shared.lock().unwrap().journal = dir.path().join("state/journal").join(ISSUER);
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &served);
            }
        });
        card_reader::create(&dir.path().join("card"), &personalised()).unwrap();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let world = Self {
            dir,
            base,
            now,
            shared,
        };
        world.publish(&world.descriptor(1));
        world.withdraw(Some(&world.status(world.now, &[])));
        world
    }

    /// A world whose terminal trusts the issuer.
    pub(crate) fn trusting() -> Self {
        let world = Self::new();
        assert_eq!(
            world
                .run(&["trust", "add", "--dev", &world.base, "--yes"])
                .exit,
            0
        );
        world
    }

    pub(crate) fn publish(&self, descriptor: &[u8]) {
        self.shared.lock().unwrap().descriptor = descriptor.to_vec();
    }

    /// What the issuer gives as its status list; `None`: 503.
    pub(crate) fn withdraw(&self, list: Option<&[u8]>) {
        self.shared.lock().unwrap().status = list.map(<[u8]>::to_vec);
    }

    /// How the issuer's roots follow each other, as pairs of seeds; `None`: 404.
    pub(crate) fn succeed(&self, roots: Option<&[(u8, u8)]>) {
        let link = |(from, to): &(u8, u8)| {
            let says = Succession {
                issuer: ISSUER.to_owned(),
                from: signing(*from).verifying_key().to_bytes(),
                to: signing(*to).verifying_key().to_bytes(),
                signed_at: self.now,
            };
            says.sign(&signing(*from)).unwrap()
        };
        let list = |roots: &[(u8, u8)]| {
            let links: Vec<_> = roots.iter().map(link).collect();
            write_list(&links).unwrap()
        };
        self.shared.lock().unwrap().succession = roots.map(list);
    }

    /// A status list that withdraws these templates.
    pub(crate) fn status(&self, issued_at: u64, templates: &[[u8; 32]]) -> Vec<u8> {
        StatusList {
            issuer: ISSUER.to_owned(),
            issued_at,
            templates: templates.to_vec(),
            programs: Vec::new(),
        }
        .sign(&signing(13))
        .unwrap()
    }

    /// The descriptor of root key `root`, made now.
    pub(crate) fn descriptor(&self, root: u8) -> Vec<u8> {
        let key = |seed, purpose| KeyEntry {
            purpose,
            public: signing(seed).verifying_key().to_bytes(),
            not_before: self.now - 30 * DAY_S,
            not_after: self.now + 30 * DAY_S,
            revoked_at: None,
        };
        let keys = vec![
            key(10, Purpose::Program),
            key(11, Purpose::Receipt),
            key(13, Purpose::Status),
        ];
        self.signed_descriptor(root, keys, self.now)
    }

    pub(crate) fn signed_descriptor(
        &self,
        root: u8,
        keys: Vec<KeyEntry>,
        issued_at: u64,
    ) -> Vec<u8> {
        let root = signing(root);
        let issuer = ISSUER.to_owned();
        let public = root.verifying_key().to_bytes();
        Descriptor {
            issuer,
            root: public,
            issued_at,
            keys,
        }
        .sign(&root)
        .unwrap()
    }

    pub(crate) fn order(&self) -> Order {
        Order {
            kind: Kind::Credit,
            issuer: ISSUER.to_owned(),
            remittance: [0x11; 16],
            revision: 1,
            card_masked: "**** **** **** 1234".to_owned(),
            card_binding: [3; 32],
            amount: Amount::new(2500, Currency::Jpy).unwrap(),
            sender: "Alice".to_owned(),
            note: "for lunch".to_owned(),
            created: self.now - 60,
            expires: self.now + DAY_S,
            template_hash: template().hash(),
            claim_token: [5; 32],
        }
    }

    /// Writes the program of `order`, signed by the key made from `seed`.
    pub(crate) fn program(&self, name: &str, order: &Order, seed: u8) -> PathBuf {
        let bytes = program::compile(&template(), &order.encode().unwrap(), &signing(seed));
        let path = self.dir.path().join(name);
        fs::write(&path, bytes.unwrap()).unwrap();
        path
    }

    pub(crate) fn receipt(&self, order: &Order) -> Vec<u8> {
        self.receipt_by(order, 11)
    }

    /// The receipt of `order`, signed by the key made from `seed`.
    pub(crate) fn receipt_by(&self, order: &Order, seed: u8) -> Vec<u8> {
        let receipt = Receipt {
            issuer: order.issuer.clone(),
            remittance: order.remittance,
            revision: order.revision,
            order_hash: order.encode().unwrap().hash(),
            amount: order.amount,
            card_masked: order.card_masked.clone(),
            sender: order.sender.clone(),
            credited_at: self.now,
        };
        receipt.sign(&signing(seed)).unwrap()
    }

    /// What the issuer answers from now on, in this order; then it loses everything.
    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut shared = self.shared.lock().unwrap();
        shared.script = answers.into_iter().collect();
        shared.requests.clear();
        shared.journalled.clear();
    }

    /// The exchange requests since the last script.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.shared.lock().unwrap().requests.clone()
    }

    /// For each of [`Self::requests`], whether the journal held it when it arrived.
    pub(crate) fn journalled(&self) -> Vec<bool> {
        self.shared.lock().unwrap().journalled.clone()
    }

    pub(crate) fn open(&self, file: &Path) -> Ended {
        let reader = format!("emulated:{}", self.dir.path().join("card").display());
        self.run(&["open", file.to_str().unwrap(), "--reader", &reader, "--yes"])
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Runs the binary with `--json` on this world's state folder.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let output = assert_cmd::Command::cargo_bin("tegata")
            .unwrap()
            .args(args)
            .args([
                "--json",
                "--lang",
                "en",
                "--state",
                self.state().to_str().unwrap(),
            ])
            .output()
            .unwrap();
        Ended {
            exit: output.status.code().unwrap(),
            document: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            talk: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Requires exit status and code, and the three sentences on stderr.
    #[track_caller]
    pub(crate) fn expect(&self, exit: i32, code: &str) {
        assert_eq!(
            (self.exit, &self.document["code"]),
            (exit, &code.into()),
            "{}",
            self.talk
        );
        assert_eq!(self.document["exit"], exit);
        assert!(self.talk.contains(&format!("code {code}")), "{}", self.talk);
    }

    #[track_caller]
    pub(crate) fn expect_outcome(&self, outcome: &str) {
        assert_eq!(
            (self.exit, &self.document["outcome"]),
            (0, &outcome.into()),
            "{}",
            self.talk
        );
    }
}

pub(crate) fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn template() -> Template {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../guest-programs/prebuilt/remittance.wasm"
    );
    Template::new(fs::read(path).unwrap()).unwrap()
}

fn personalised() -> Card {
    let uid = [4, 1, 2, 3, 4, 5, 6];
    let mut card = Card::new(uid, [9; 32]);
    let master = Key::new([7; 16]);
    let keys = CardKeys::derive(&master, [&master, &master, &master], &uid);
    let blank = Blank {
        uid,
        card_number: *b"4000000000000002",
        keys,
    };
    let (mut command, mut machine) = Personalisation::start(blank);
    loop {
        let answer = card.transmit(&command).answer;
        match machine.next(&answer, [8; 16]).unwrap() {
            Personalising::Transmit(next, then) => (command, machine) = (next, then),
            Personalising::Done => return card,
        }
    }
}

fn serve(stream: TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut len) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).unwrap();
    let mut shared = shared.lock().unwrap();
    let (status, media_type, answer) = if first.starts_with("GET /.well-known/tegata-issuer ") {
        (200, "application/cbor", shared.descriptor.clone())
    } else if first.starts_with("GET /.well-known/tegata-status ") {
        let status = if shared.status.is_some() { 200 } else { 503 };
        let list = shared.status.clone().unwrap_or_default();
        (status, "application/cbor", list)
    } else if first.starts_with("GET /.well-known/tegata-succession ") {
        let status = if shared.succession.is_some() {
            200
        } else {
            404
        };
        let list = shared.succession.clone().unwrap_or_default();
        (status, "application/cbor", list)
    } else if first.starts_with("POST /v1/exchange ") {
        let kept = is_journalled(&shared.journal, &body);
        shared.journalled.push(kept);
        shared.requests.push(body);
        match shared.script.pop_front().unwrap_or(Answer::Lost) {
            Answer::Reply(reply) => (200, wire::exchange::MEDIA_TYPE, reply),
            Answer::Mistyped(reply) => (200, "text/html", reply),
            Answer::Status(status) => (status, "text/plain", Vec::new()),
            Answer::Lost => return,
        }
    } else {
        (404, "text/plain", Vec::new())
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
         Location: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    let mut stream = reader.into_inner();
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&answer));
}

fn is_journalled(journal: &Path, request: &[u8]) -> bool {
    let hex = HEXLOWER.encode(request);
    let entries = fs::read_dir(journal).into_iter().flatten().flatten();
    entries
        .map(|entry| fs::read_to_string(entry.path()).unwrap())
        .any(|text| text.contains(&hex))
}
