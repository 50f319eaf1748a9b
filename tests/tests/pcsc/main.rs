//! The real PC/SC stack: a private pcscd with the virtual reader of Debian's vsmartcard-vpcd, the
//! emulated card plugged into it, and the shipped terminal and server on the other side.

mod cards;
mod pulled;

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};
use tests::{
    processes::{Running, Server, binary, is_root, wait_until},
    proxy::{Fault, Proxy},
    world::{Balances, Opened, SENDER_START, World, text},
};

const AMOUNT: i64 = 2_500;
/// Where the package says which driver it installed.
const PACKAGE_CONFIG: &str = "/etc/reader.conf.d/vpcd";

/// A pcscd of our own: its socket is in a namespace of mounts, its two slots on two ports.
struct Service {
    running: Running,
    config: String,
    /// A configuration without a reader.
    none: String,
    port: u16,
}

impl Service {
    /// Starts it below `folder` on ports that are free now.
    fn start(folder: &std::path::Path) -> Result<Self> {
        let package = fs::read_to_string(PACKAGE_CONFIG)
            .with_context(|| format!("{PACKAGE_CONFIG}: is vsmartcard-vpcd installed?"))?;
        let driver = package
            .lines()
            .find(|line| line.starts_with("LIBPATH"))
            .context("the driver's path")?;
        let port = two_free_ports()?;
        let config = folder.join("reader.conf");
        let text = format!(
            "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:{port:#X}\n{driver}\nCHANNELID {port:#X}\n"
        );
        fs::write(&config, text)?;
        let config = config.to_string_lossy().into_owned();
        Ok(Self {
            running: Self::run(&config)?,
            config,
            none: folder.join("none.conf").to_string_lossy().into_owned(),
            port,
        })
    }

    fn run(config: &str) -> Result<Running> {
        let script = "mount -t tmpfs none /run && mkdir /run/pcscd && exec pcscd -f -c \"$0\"";
        Running::start(Command::new("unshare").args(["-m", "sh", "-c", script, config]))
    }

    /// Ends it at once, as a crash would.
    fn stop(&mut self) -> Result<()> {
        self.running.end()
    }

    /// Starts it again on the same ports.
    fn start_again(&mut self) -> Result<()> {
        self.running = Self::run(&self.config)?;
        Ok(())
    }

    /// Starts it again with its reader gone.
    fn start_without_reader(&mut self) -> Result<()> {
        fs::write(&self.none, "# no reader is connected\n")?;
        self.running = Self::run(&self.none)?;
        Ok(())
    }

    /// Where clients find it: its socket as seen in its own namespace.
    fn socket(&self) -> String {
        format!("/proc/{}/root/run/pcscd/pcscd.comm", self.running.pid())
    }

    /// Puts a card on a slot, 0 or 1, and waits until the service sees it.
    fn plug(&self, desk: &Desk, card: &str, slot: u16) -> Result<Running> {
        self.plug_as(Command::new(binary("tegata-card")?), desk, card, slot)
    }

    /// The same with another binary or environment.
    fn plug_as(&self, mut binary: Command, desk: &Desk, card: &str, slot: u16) -> Result<Running> {
        let port = (self.port + slot).to_string();
        let mut plugged = Running::start(binary.args(["vpcd", card, "--port", &port]))?;
        wait_until("the card on the reader", || {
            ensure!(plugged.ended()?.is_none(), "tegata-card vpcd ended");
            Ok(desk
                .slots()?
                .is_some_and(|slots| slots[usize::from(slot)])
                .then_some(()))
        })?;
        Ok(plugged)
    }

    /// Takes a card off and waits until the service sees that.
    fn unplug(&self, desk: &Desk, mut card: Running, slot: usize) -> Result<()> {
        card.end()?;
        wait_until("the reader without a card", || {
            Ok(desk
                .slots()?
                .is_some_and(|slots| !slots[slot])
                .then_some(()))
        })
    }
}

/// Two ports in a row on which nobody listens; the driver takes both. They are below the range
/// that systems give to outgoing connections, and no other test of this process gets them.
fn two_free_ports() -> Result<u16> {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 4_000)? * 2;
    wait_until("two free ports", || {
        let tried = TRIED.fetch_add(2, Ordering::Relaxed);
        let port = 20_000 + (start + tried) % 8_000;
        let free = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
        Ok((free(port) && free(port + 1)).then_some(port))
    })
}

/// A world behind a proxy, and the reader service.
struct Desk {
    world: World,
    server: Server,
    proxy: Proxy,
    service: Service,
    // Last: the others are dropped before their folder.
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let world = World::new(dir.path())?;
        let server = world.serve()?;
        let proxy = Proxy::start(&server.base)?;
        world.trust_at(&proxy.base)?;
        let service = Service::start(dir.path())?;
        let desk = Self {
            world,
            server,
            proxy,
            service,
            dir,
        };
        desk.wait_for_service()?;
        Ok(desk)
    }

    fn wait_for_service(&self) -> Result<()> {
        wait_until("the reader service", || Ok(self.slots()?.map(drop)))
    }

    /// Whether a card is on each of the two slots; none while the service does not answer.
    fn slots(&self) -> Result<Option<[bool; 2]>> {
        let listed = self.run("tegata", &["cards", "--json", "--state", &self.world.state])?;
        let readers = listed.document["readers"].as_array().cloned();
        let Some([first, second]) = readers.as_deref() else {
            return Ok(None);
        };
        Ok(Some([first, second].map(|reader| reader["card"] == true)))
    }

    /// Runs a binary as a client of this service.
    fn run(&self, name: &str, args: &[&str]) -> Result<Opened> {
        Ok(Opened::of(&self.command(name, args)?.output()?))
    }

    fn command(&self, name: &str, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary(name)?);
        command
            .args(args)
            .env("PCSCLITE_CSOCK_NAME", self.service.socket())
            .stdin(Stdio::null());
        Ok(command)
    }

    /// `tegata open` on whichever reader holds a card, as a process that runs on.
    fn opening(&self, mail: &str) -> Result<Child> {
        let state = self.world.state.as_str();
        let args = [
            "open", mail, "--reader", "pcsc", "--yes", "--json", "--state", state,
        ];
        let mut command = self.command("tegata", &args)?;
        Ok(command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    }

    fn open(&self, mail: &str, reader: &str) -> Result<Opened> {
        let state = self.world.state.as_str();
        let args = [
            "open", mail, "--reader", reader, "--yes", "--json", "--state", state,
        ];
        self.run("tegata", &args)
    }

    fn ordered(&self, key: &str, count: usize) -> Result<String> {
        self.world.order(&self.server, key, AMOUNT, None)?;
        self.world.mail(count)
    }

    /// Requires `orders` credited; no card may be plugged in, since its file is read.
    fn credited(&self, orders: i64) -> Result<()> {
        let sum = orders * AMOUNT;
        let expected = Balances {
            on_card: sum,
            card_account: sum,
            sender: SENDER_START - sum,
        };
        assert_eq!(self.world.balances()?, expected);
        self.world.audit()?;
        Ok(())
    }
}

/// What a person is told of an outcome: exit status, code, what happened, what to do next.
const TOLD: &[(i32, &str, &str, &str)] = &[
    (
        1,
        "E_ALREADY_RUNNING",
        "already open in another window",
        "Finish there first",
    ),
    (
        6,
        "E_READER_NONE",
        "No card reader was found",
        "Connect a reader",
    ),
    (
        6,
        "E_READER_NO_CARD",
        "no card on the reader",
        "Place the card on the reader",
    ),
    (
        6,
        "E_READER_SEVERAL_CARDS",
        "More than one card",
        "Leave only the card",
    ),
    (
        6,
        "E_READER_REMOVED",
        "taken away too early",
        "Place the card on the reader",
    ),
    (
        6,
        "E_READER_BUSY",
        "Another program is using the card",
        "Close the other program",
    ),
    (
        6,
        "E_READER_SERVICE",
        "reader service of this computer does not answer",
        "Start the service",
    ),
    (
        6,
        "E_CARD_UNSUPPORTED",
        "cannot be used for remittances",
        "Use the card that the issuer gave you",
    ),
    (
        8,
        "E_WRONG_CARD",
        "for another card",
        "Place the card whose last digits are shown",
    ),
    (
        8,
        "E_CARD_UNKNOWN",
        "issuer does not know this card",
        "Use the card that the issuer gave you",
    ),
    (8, "E_CARD_BLOCKED", "card is blocked", "Ask the issuer"),
    (8, "E_CARD_FROZEN", "card is frozen", "Ask the issuer"),
    (
        9,
        "E_IN_DOUBT",
        "may have been credited",
        "same command again with the same card",
    ),
];

/// Requires this outcome with the words that belong to it.
fn assert_refused(opened: &Opened, code: &str) {
    let told = TOLD.iter().find(|told| told.1 == code);
    let &(exit, _, what, next) = told.expect("a row for each outcome");
    assert_eq!(opened.document["code"], code, "{opened:?}");
    assert_eq!(opened.exit, exit, "{opened:?}");
    let line = format!("code {code}");
    // The cause may follow after a colon.
    let is_code = |told: &&str| told.split(": ").next() == Some(line.as_str());
    let lines: Vec<&str> = opened.talk.lines().collect();
    let at = lines.iter().position(is_code);
    let at = at.expect("the code stands alone on its line");
    assert!(lines[at - 1].contains(what), "{opened:?}");
    assert!(lines[at + 1].contains(next), "{opened:?}");
}

/// Runs `during` while the reply to exchange `at` of opening this mail is held, and gives how the run
/// ended after it was let go.
fn opened_with_held(
    desk: &mut Desk,
    mail: &str,
    at: usize,
    during: impl FnOnce(&mut Desk) -> Result<()>,
) -> Result<Opened> {
    let hold = move |n| {
        if n == at {
            Fault::HoldReply
        } else {
            Fault::Deliver
        }
    };
    desk.proxy.rule(hold);
    let run = desk.opening(mail)?;
    ensure!(desk.proxy.wait_for_held(), "exchange {at} was not reached");
    during(desk)?;
    desk.proxy.release();
    let ended = Opened::of(&run.wait_with_output()?);
    desk.proxy.rule(|_| Fault::Deliver);
    Ok(ended)
}

fn assert_credited(opened: &Opened) {
    assert_eq!(opened.exit, 0, "{opened:?}");
    assert_eq!(opened.document["outcome"], "credited", "{opened:?}");
}

#[test]
fn a_card_issued_and_credited_through_the_service() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let mut desk = Desk::new()?;
    let card = desk
        .dir
        .path()
        .join("issued.card")
        .to_string_lossy()
        .into_owned();
    desk.world.new_card(&card)?;
    let plugged = desk.service.plug(&desk, &card, 0)?;
    let holder = desk.world.hanako.id.as_str();
    let args = ["card", "issue", "--reader", "pcsc", "--holder", holder];
    let data = ["--data", &desk.world.data, "--json"];
    let issued = desk.run("tegata-server", &[&args[..], &data].concat())?;
    ensure!(issued.exit == 0, "{issued:?}");
    desk.world.number = text(&issued.document, "number")?;
    desk.world.card = card;

    let mail = desk.ordered("one", 1)?;
    let opened = desk.open(&mail, "pcsc")?;
    assert_credited(&opened);
    assert_eq!(opened.document["exchanges"], 4);
    let apdus = opened.document["apdus"].as_u64();
    assert!(apdus.is_some_and(|apdus| apdus <= 12), "{opened:?}");
    let again = desk.open(&mail, "pcsc")?;
    assert_eq!(again.document["outcome"], "already-credited");
    assert_eq!(again.document["receipt"], opened.document["receipt"]);
    desk.service.unplug(&desk, plugged, 0)?;
    desk.credited(1)
}

#[test]
fn no_card_and_two_cards_have_outcomes_of_their_own() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let desk = Desk::new()?;
    let mail = desk.ordered("one", 1)?;
    assert_refused(&desk.open(&mail, "pcsc")?, "E_READER_NO_CARD");
    let unknown = desk.open(&mail, "pcsc:No such reader")?;
    assert_refused(&unknown, "E_READER_NONE");
    let first = desk.service.plug(&desk, &desk.world.card, 1)?;
    let other = desk
        .dir
        .path()
        .join("other.card")
        .to_string_lossy()
        .into_owned();
    desk.world.new_card(&other)?;
    let second = desk.service.plug(&desk, &other, 0)?;
    assert_refused(&desk.open(&mail, "pcsc")?, "E_READER_SEVERAL_CARDS");
    assert_eq!(desk.proxy.requests().len(), 0, "nothing was sent");
    // Named, the one reader is enough.
    assert_credited(&desk.open(&mail, "pcsc:Virtual PCD 00 01")?);
    desk.service.unplug(&desk, second, 0)?;
    desk.service.unplug(&desk, first, 1)?;
    desk.credited(1)
}

#[test]
fn a_card_in_use_is_not_shared() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let desk = Desk::new()?;
    let first = desk.ordered("one", 1)?;
    let second = desk.ordered("two", 2)?;
    let plugged = desk.service.plug(&desk, &desk.world.card, 0)?;
    desk.proxy.rule(|n| {
        if n == 2 {
            Fault::HoldReply
        } else {
            Fault::Deliver
        }
    });
    std::thread::scope(|scope| -> Result<()> {
        let run = scope.spawn(|| desk.open(&first, "pcsc"));
        ensure!(desk.proxy.wait_for_held(), "exchange 2 was not reached");
        assert_refused(&desk.open(&second, "pcsc")?, "E_READER_BUSY");
        desk.proxy.release();
        assert_credited(&run.join().ok().context("the run panicked")??);
        Ok(())
    })?;
    assert_credited(&desk.open(&second, "pcsc")?);
    desk.service.unplug(&desk, plugged, 0)?;
    desk.credited(2)
}

#[test]
fn a_service_restarted_between_two_runs_is_used_again() -> Result<()> {
    if !is_root("a private pcscd")? {
        return Ok(());
    }
    let mut desk = Desk::new()?;
    let first = desk.ordered("one", 1)?;
    let second = desk.ordered("two", 2)?;
    let plugged = desk.service.plug(&desk, &desk.world.card, 0)?;
    assert_credited(&desk.open(&first, "pcsc")?);
    desk.service.stop()?;
    assert_refused(&desk.open(&second, "pcsc")?, "E_READER_SERVICE");
    // The driver hung up, so the card is off the reader, too.
    drop(plugged);
    desk.service.start_again()?;
    desk.wait_for_service()?;
    let plugged = desk.service.plug(&desk, &desk.world.card, 0)?;
    assert_credited(&desk.open(&second, "pcsc")?);
    desk.service.unplug(&desk, plugged, 0)?;
    desk.credited(2)
}
