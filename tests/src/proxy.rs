//! A bad line: an HTTP proxy between terminal and server that loses, delays and holds exchanges.

use anyhow::{Context, Result};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

/// Longest time that anything here waits: for bytes, for a release, for a client.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest head and longest body that pass.
const PART_LEN_MAX: usize = 64 * 1024;

/// What happens to one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    Deliver,
    /// It goes through, and its reply waits this long.
    Delay(Duration),
    /// The server never sees it; the connection breaks.
    LoseRequest,
    /// The server acts, its reply is lost; the connection breaks.
    LoseReply,
    /// The server never sees it; the connection stays open until [`Proxy::release`].
    HoldRequest,
    /// The server acts, its reply waits until [`Proxy::release`].
    HoldReply,
}

type Rule = Box<dyn FnMut(usize) -> Fault + Send>;

struct State {
    rule: Rule,
    requests: Vec<Vec<u8>>,
    held: bool,
    released: bool,
}

struct Shared {
    server: String,
    state: Mutex<State>,
    bell: Condvar,
}

/// The proxy; it listens until the test process ends.
#[derive(Clone)]
pub struct Proxy {
    /// `http://127.0.0.1:<port>`, what the terminal trusts.
    pub base: String,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to the server at `base`.
    ///
    /// # Errors
    /// The listener's error.
    pub fn start(base: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let shared = Arc::new(Shared {
            server: base
                .strip_prefix("http://")
                .context("an http address")?
                .to_owned(),
            state: Mutex::new(State {
                rule: Box::new(|_| Fault::Deliver),
                requests: Vec::new(),
                held: false,
                released: false,
            }),
            bell: Condvar::new(),
        });
        let base = format!("http://{}", listener.local_addr()?);
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                // A client or server that breaks off is a fault like the others.
                std::thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Ok(Self { base, shared })
    }

    /// From now on `rule` decides about each exchange by its number: from 1 since this call,
    /// repetitions counted. What is still held is let go; earlier requests are forgotten.
    pub fn rule(&self, rule: impl FnMut(usize) -> Fault + Send + 'static) {
        self.release();
        let mut state = self.shared.lock();
        state.rule = Box::new(rule);
        state.requests.clear();
        (state.held, state.released) = (false, false);
    }

    /// The exchanges since the last [`Proxy::rule`], oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.shared.lock().requests.clone()
    }

    /// Waits until an exchange is held, 30 s at most, and says whether one is.
    #[must_use]
    pub fn wait_for_held(&self) -> bool {
        self.shared.wait(|state| state.held)
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.shared.lock().released = true;
        self.shared.bell.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait(&self, until: impl Fn(&State) -> bool) -> bool {
        let waited = self
            .bell
            .wait_timeout_while(self.lock(), PATIENCE, |state| !until(state));
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    fn hold(&self) {
        self.lock().held = true;
        self.bell.notify_all();
        self.wait(|state| state.released);
    }

    fn decide(&self, request: &Message) -> Fault {
        if !request.head.starts_with("POST /v1/exchange ") {
            return Fault::Deliver;
        }
        let mut state = self.lock();
        state.requests.push(request.body.clone());
        let number = state.requests.len();
        (state.rule)(number)
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let request = Message::read(&mut client)?;
        let fault = self.decide(&request);
        match fault {
            Fault::LoseRequest => return Ok(()),
            Fault::HoldRequest => {
                self.hold();
                return Ok(());
            }
            Fault::Deliver | Fault::Delay(_) | Fault::LoseReply | Fault::HoldReply => {}
        }
        let mut server = TcpStream::connect(&self.server)?;
        server.set_read_timeout(Some(PATIENCE))?;
        request.write(&mut server)?;
        let mut reply = Vec::new();
        server.read_to_end(&mut reply)?;
        match fault {
            Fault::LoseReply => return Ok(()),
            Fault::HoldReply => self.hold(),
            Fault::Delay(time) => {
                // Nobody rings for this: the wait is the delay.
                let _ = self.bell.wait_timeout_while(self.lock(), time, |_| true);
            }
            Fault::Deliver | Fault::LoseRequest | Fault::HoldRequest => {}
        }
        client.write_all(&reply)?;
        client.shutdown(Shutdown::Write)
    }
}

/// One HTTP/1.1 request.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
            if head.len() > PART_LEN_MAX {
                return Err(bad("head too long"));
            }
        }
        let head = String::from_utf8(head).map_err(|_| bad("head is no text"))?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Ok(0), |(_, value)| value.trim().parse())
            .map_err(|_| bad("no length"))?;
        if length > PART_LEN_MAX {
            return Err(bad("body too long"));
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok(Self { head, body })
    }

    /// Sends it on, asking the server to close afterwards, so that the reply ends with the stream.
    fn write(&self, server: &mut TcpStream) -> io::Result<()> {
        let kept = self.head.lines().filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !line.is_empty() && !name.eq_ignore_ascii_case("connection")
        });
        let mut bytes = kept.map(|line| format!("{line}\r\n")).collect::<String>();
        bytes.push_str("connection: close\r\n\r\n");
        server.write_all(&[bytes.as_bytes(), &self.body].concat())
    }
}
