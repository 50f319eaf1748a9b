//! One server process under load, with a database of several sizes.

use crate::{
    bench::{line, per_second},
    client::{Client, Terminal, all_among, all_at_once},
    office::{CARDS, Issuer, SENDERS, Sender},
    process::{self, Server},
    seed,
};
use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode, body::Bytes, header::AUTHORIZATION};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Callers at once.
const CALLERS: usize = 32;
/// Terminals that redeem at once: the ledger's commits are then as full as they get. Twice as many are not
/// faster, and 32 leave the commits of two processes half empty.
const TERMINALS: usize = 125;
/// Remittances of a database that only redemptions made; larger ones are copies of it.
const ORIGINAL: u64 = 1_000;
/// Orders of each sender in a round: five rounds stay below what a sender may send at once.
const ORDERS_EACH: usize = 18;

/// How much is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `tegata-server`, built for speed
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// Where the databases are made [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Sizes of the database, in remittances, beside an empty one; multiples of 1,000
    #[arg(long, value_delimiter = ',', default_value = "1000,100000,1000000")]
    sizes: Vec<u64>,
    /// Rounds; in each, every size has its turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Redemptions of a turn
    #[arg(long, default_value_t = 3_000)]
    redemptions: usize,
    /// Redemptions after which the memory is looked at; none without it
    #[arg(long, default_value_t = 0)]
    soak: usize,
}

/// An issuer of some size, and its server.
struct Place {
    /// Ends the names of its figures; nothing for the empty one.
    suffix: String,
    issuer: Issuer,
    server: Server,
    _folder: TempDir,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        args.rounds * ORDERS_EACH <= 100,
        "a sender may not send as many orders: at most 5 rounds"
    );
    let nothing = Server::nothing()?;
    let dir = args.dir.as_deref();
    let mut places = vec![open(&args.server, dir, None, 0)?];
    for size in &args.sizes {
        ensure!(
            size % ORIGINAL == 0 && *size > 0,
            "sizes are multiples of 1,000"
        );
        places.push(open(&args.server, dir, None, *size)?);
    }
    for round in 0..=args.rounds {
        // what is first done warms up
        let told = round > 0;
        http_alone(&nothing, told)?;
        for place in &mut places {
            redemptions(place, args.redemptions, told)?;
            reads(place, told)?;
        }
    }
    for _ in 0..args.rounds {
        for place in &places {
            orders(place)?;
        }
    }
    let empty = places.first_mut().context("the empty one")?;
    soak(empty, args.soak)?;
    let Some(last) = places.pop() else {
        return Ok(());
    };
    drop(places);
    offline(&args.server, last)
}

/// How a large database of PostgreSQL is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Large {
    /// `tegata-server`, built for speed
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// A new database, by a role that may do everything: `postgres://USER@HOST/NAME`
    #[arg(long, value_name = "URL")]
    database: String,
    /// Its size in remittances; a multiple of 1,000
    #[arg(long, default_value_t = 1_000_000)]
    size: u64,
    /// Rounds of all readings
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Readings of a large database in PostgreSQL.
pub(crate) fn large(args: &Large) -> Result<()> {
    let place = open(&args.server, None, Some(&args.database), args.size)?;
    while !seed::is_sealed(&args.database)? {
        std::thread::sleep(Duration::from_secs(1));
    }
    for round in 0..=args.rounds {
        reads(&place, round > 0)?;
    }
    let rss = place.server.rss_kib()? / 1_024;
    line(&format!("server_rss_mb{}", place.suffix), rss, "MB");
    drop(place.server);
    audit(&args.server, &place.issuer.data, &place.suffix)
}

/// Checks all books of a server that has ended.
fn audit(binary: &Path, data: &Path, suffix: &str) -> Result<()> {
    let data = data.to_str().context("a folder's name")?;
    let (spent, _) = process::run(binary, &["audit", "--data", data])?;
    line(&format!("audit_ms{suffix}"), spent.as_millis(), "ms");
    Ok(())
}

/// An issuer with its database in a file, or in PostgreSQL.
fn open(server: &Path, dir: Option<&Path>, url: Option<&str>, size: u64) -> Result<Place> {
    let folder = match dir {
        Some(dir) => TempDir::new_in(dir)?,
        None => TempDir::new()?,
    };
    let data = folder.path().join("issuer");
    let mut issuer = Issuer::new(server, &data, url)?;
    if size > 0 {
        let orders = issuer.place(usize::try_from(ORIGINAL)?)?;
        let original = Server::start(server, &data)?;
        redeem(&mut issuer, &original, &orders)?;
        drop(original);
        let begin = Instant::now();
        let copies = size / ORIGINAL - 1;
        match url {
            None => seed::multiply(&database(&data), copies)?,
            Some(url) => seed::multiply_in_postgresql(url, copies)?,
        }
        let s = begin.elapsed().as_secs();
        println!("a database of {size} remittances was made in {s} s");
    }
    let server = Server::start(server, &data)?;
    let on = url.map_or("", |_| "_pg");
    let suffix = match size {
        0 => on.to_owned(),
        size => format!("{on}_at_{size}"),
    };
    line(
        &format!("start_up_ms{suffix}"),
        server.ready.as_millis(),
        "ms",
    );
    let idle = server.rss_kib()? / 1_024;
    line(&format!("server_idle_mb{suffix}"), idle, "MB");
    Ok(Place {
        suffix,
        issuer,
        server,
        _folder: folder,
    })
}

fn database(data: &Path) -> PathBuf {
    issuer::config::Config::database(data)
}

/// Callers that post nothing.
fn http_alone(server: &Server, told: bool) -> Result<()> {
    const EACH: u64 = 2_000;
    let begin = Instant::now();
    let done = all_at_once(server.address, 0..CALLERS, |client, _| {
        for _ in 0..EACH {
            client.send(Method::POST, "/", &[], Vec::new())?;
        }
        Ok(EACH)
    })?;
    if told {
        let per_s = per_second(done, begin.elapsed().as_micros());
        line("axum_post_per_s", per_s, "1/s");
    }
    Ok(())
}

fn redeem(issuer: &mut Issuer, server: &Server, orders: &[Vec<Vec<u8>>]) -> Result<u64> {
    redeem_among(issuer, &[server.address], orders)
}

/// Carries out orders, each on its card, through several servers; gives how many.
pub(crate) fn redeem_among(
    issuer: &mut Issuer,
    servers: &[SocketAddr],
    orders: &[Vec<Vec<u8>>],
) -> Result<u64> {
    let each = CARDS.div_ceil(TERMINALS);
    let parts = issuer.cards.chunks_mut(each).zip(orders.chunks(each));
    all_among(servers, parts, |client, (slots, orders)| {
        let mut done = 0;
        let longest = orders.iter().map(Vec::len).max().unwrap_or(0);
        for turn in 0..longest {
            for (slot, orders) in slots.iter_mut().zip(orders) {
                if let Some(order) = orders.get(turn) {
                    let chip = &mut slot.chip;
                    Terminal { client, chip }.redeem(order)?;
                    done += 1;
                }
            }
        }
        Ok(done)
    })
}

/// Whole redemptions per second, and what one costs the server's processors.
fn redemptions(place: &mut Place, count: usize, told: bool) -> Result<()> {
    let orders = place.issuer.place(count)?;
    let own = process::cpu_us(std::process::id())?;
    let cpu = place.server.cpu_us()?;
    let begin = Instant::now();
    let done = redeem(&mut place.issuer, &place.server, &orders)?;
    let spent = begin.elapsed().as_micros();
    let cpu = place.server.cpu_us()? - cpu;
    let own = process::cpu_us(std::process::id())? - own;
    ensure!(done == u64::try_from(count)?, "{done} of {count} redeemed");
    if told {
        let suffix = &place.suffix;
        let per_s = per_second(done, spent);
        line(&format!("redeem_per_s{suffix}"), per_s, "1/s");
        line(&format!("redeem_cpu_us{suffix}"), cpu / done, "us");
        line(&format!("redeem_driver_cpu_us{suffix}"), own / done, "us");
    }
    Ok(())
}

/// What is read: its figures' name, its address, and whether a browser reads it.
const READS: [(&str, &str, bool); 6] = [
    ("list", "/v1/orders", false),
    ("list_next", "/v1/orders?cursor=", false),
    ("order_read", "/v1/orders/", false),
    ("issuer", "/.well-known/tegata-issuer", false),
    ("status", "/.well-known/tegata-status", false),
    ("page", "/orders", true),
];

/// A sender's reads over the API and as a page: how many a second, what one costs, how long the slowest
/// of a hundred is waited for while all callers ask.
fn reads(place: &Place, told: bool) -> Result<()> {
    const EACH: u64 = 20;
    let suffix = &place.suffix;
    for (name, address, page) in READS {
        let waits = Mutex::new(Vec::new());
        let cpu = place.server.cpu_us()?;
        let begin = Instant::now();
        let parts = place.issuer.senders.chunks(SENDERS.div_ceil(CALLERS));
        let done = all_at_once(place.server.address, parts, |client, senders| {
            let mut own = Vec::new();
            for sender in senders {
                let Some(path) = address_of(client, address, sender)? else {
                    continue;
                };
                for _ in 0..EACH {
                    let asked = Instant::now();
                    get(client, &path, sender, page)?;
                    own.push(asked.elapsed());
                }
            }
            let done = u64::try_from(own.len())?;
            waits
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(own);
            Ok(done)
        })?;
        let spent = begin.elapsed().as_micros();
        let cpu = place.server.cpu_us()? - cpu;
        let waits = waits.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(p99)) = (told, slowest_of_100(waits)) {
            let per_s = per_second(done, spent);
            line(&format!("{name}_per_s{suffix}"), per_s, "1/s");
            line(&format!("{name}_cpu_us{suffix}"), cpu / done, "us");
            line(&format!("{name}_p99_us{suffix}"), p99.as_micros(), "us");
        }
    }
    Ok(())
}

/// The ninety-ninth of a hundred waits, shortest first.
fn slowest_of_100(mut waits: Vec<Duration>) -> Option<Duration> {
    waits.sort_unstable();
    let at = (waits.len() * 99).div_ceil(100);
    waits.get(at.checked_sub(1)?).copied()
}

/// The address with what stands open in it, from the sender's newest page; `None` where he has no such thing.
fn address_of(client: &mut Client, address: &str, sender: &Sender) -> Result<Option<String>> {
    let field = match address {
        "/v1/orders/" => "/items/0/id",
        "/v1/orders?cursor=" => "/next",
        whole => return Ok(Some(whole.to_owned())),
    };
    let page: serde_json::Value =
        serde_json::from_slice(&get(client, "/v1/orders", sender, false)?)?;
    let found = page.pointer(field).and_then(serde_json::Value::as_str);
    Ok(found.map(|found| format!("{address}{found}")))
}

fn get(client: &mut Client, path: &str, sender: &Sender, page: bool) -> Result<Bytes> {
    let cookie = format!("tegata={}", sender.token);
    let bearer = format!("Bearer {}", sender.token);
    let known = match page {
        true => ("cookie", cookie.as_str()),
        false => (AUTHORIZATION.as_str(), bearer.as_str()),
    };
    let (status, body) = client.send(Method::GET, path, &[known], Vec::new())?;
    ensure!(
        status == StatusCode::OK && body.len() > 20,
        "{path}: {status}"
    );
    Ok(body)
}

/// Orders over HTTP: compiled, signed, paid for and queued for mailing.
fn orders(place: &Place) -> Result<()> {
    let cards: Vec<_> = place.issuer.cards.iter().map(|slot| &slot.number).collect();
    let begin = Instant::now();
    let parts = place.issuer.senders.chunks(SENDERS.div_ceil(CALLERS));
    let parts = parts.zip(cards.chunks(ORDERS_EACH));
    let done = all_at_once(place.server.address, parts, |client, (senders, cards)| {
        let mut done = 0;
        for (card, sender) in cards
            .iter()
            .flat_map(|c| senders.iter().map(move |s| (c, s)))
        {
            order(client, sender, card)?;
            done += 1;
        }
        Ok(done)
    })?;
    let per_s = per_second(done, begin.elapsed().as_micros());
    line(&format!("order_per_s{}", place.suffix), per_s, "1/s");
    Ok(())
}

fn order(client: &mut Client, sender: &Sender, card: &str) -> Result<()> {
    let body = serde_json::json!({ "recipient_card": card, "amount_minor": 1, "currency": "JPY" });
    let nanos = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
    let (bearer, key) = (format!("Bearer {}", sender.token), format!("http-{nanos}"));
    let headers = [
        (AUTHORIZATION.as_str(), bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key.as_str()),
    ];
    let body = body.to_string().into_bytes();
    let (status, said) = client.send(Method::POST, "/v1/orders", &headers, body)?;
    ensure!(status == StatusCode::CREATED, "{status}: {said:?}");
    Ok(())
}

/// The server's memory after so many redemptions, and what the second half of them added.
fn soak(place: &mut Place, count: usize) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let mut half = 0;
    for _ in 0..2 {
        half = place.server.rss_kib()?;
        let orders = place.issuer.place(count / 2)?;
        redeem(&mut place.issuer, &place.server, &orders)?;
    }
    let end = place.server.rss_kib()?;
    line("server_rss_mb", end / 1_024, "MB");
    line(
        "server_rss_growth_mb",
        end.saturating_sub(half) / 1_024,
        "MB",
    );
    Ok(())
}

/// What the office does with a database of the last size: audit, backup, restore; and its bytes.
fn offline(binary: &Path, place: Place) -> Result<()> {
    let Place {
        suffix,
        issuer,
        server,
        _folder: folder,
    } = place;
    line(
        &format!("server_rss_mb{suffix}"),
        server.rss_kib()? / 1_024,
        "MB",
    );
    let data = issuer.data.clone();
    drop((server, issuer));
    let folder = folder.path();
    let name = |path: &Path| path.to_string_lossy().into_owned();
    let (data_name, copy) = (name(&data), name(&folder.join("copy")));
    let bytes = fs::metadata(database(&data))?.len();
    let held = seed::remittances(&database(&data))?;
    line(
        &format!("db_bytes_per_remittance{suffix}"),
        bytes / held.max(1),
        "bytes",
    );
    let tell = |what: &str, spent: Duration| {
        line(&format!("{what}_ms{suffix}"), spent.as_millis(), "ms");
    };
    audit(binary, &data, &suffix)?;
    let (spent, _) = process::run(binary, &["backup", &copy, "--data", &data_name])?;
    tell("backup", spent);
    let (spent, _) = process::run(binary, &["restore", &copy, "--data", &data_name])?;
    tell("restore", spent);
    Ok(())
}
