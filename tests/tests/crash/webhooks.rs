//! Endpoints told of an order by a server that is killed around it: once or twice, under one id.

use crate::{AMOUNT, Desk, Story, Told, office_killed, points};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};
use store::{SqlStore, Store as _, Webhooks as _};
use tests::world::{World, text};

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// Id and order of an event.
type Event = (String, String);

/// The events that came, and a bell for those who wait for the next.
#[derive(Clone, Default)]
struct Receiver(Arc<(Mutex<Vec<Event>>, Condvar)>);

impl Receiver {
    /// A receiver at a port of its own that takes everything; its address.
    fn start(&self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let own = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // a server that dies in between has told nothing
                if let Ok(event) = take(stream) {
                    let (events, bell) = &*own.0;
                    events.lock().expect("no holder panics").push(event);
                    bell.notify_all();
                }
            }
        });
        Ok(format!("http://{address}/hook"))
    }

    /// Waits until as many events have come; gives all.
    fn wait_for(&self, count: usize) -> Result<Vec<Event>> {
        let (events, bell) = &*self.0;
        let events = events.lock().expect("no holder panics");
        let (events, waited) = bell
            .wait_timeout_while(events, PATIENCE, |events| events.len() < count)
            .expect("no holder panics");
        anyhow::ensure!(!waited.timed_out(), "{} of {count} events", events.len());
        Ok(events.clone())
    }
}

/// Reads one request and answers it; gives its id and its order. It counts once it was read.
fn take(stream: TcpStream) -> Result<Event> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut id, mut len) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim().split_once(": ") {
            Some(("webhook-id", value)) => value.clone_into(&mut id),
            Some(("content-length", value)) => len = value.parse()?,
            Some(_) => {}
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body)?;
    let order = body["data"]["order"]
        .as_str()
        .context("an order")?
        .to_owned();
    (&stream).write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    Ok((id, order))
}

/// Lets the leases of a dead server be over now instead of in a minute, as a clock would.
fn lease_is_over(world: &World) -> Result<()> {
    let store = SqlStore::open(&Path::new(&world.data).join("tegata.db"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let now = store.time_floor().await?;
        store.lease_deliveries(now.plus_s(600), now, 16).await?;
        Ok(())
    })
}

/// An endpoint is registered once or not at all, and can be registered then.
fn registered(world: &World, point: &str) -> Result<()> {
    let alice = &world.alice.id;
    let url = "https://shop.example/hook";
    let count = || -> Result<usize> {
        let list = world.admin(&["webhook", "list", alice])?;
        Ok(list["webhooks"].as_array().context("a list")?.len())
    };
    let add = ["webhook", "add", alice, "--url", url];
    office_killed(world, point, &add)?;
    let there = usize::from(point.ends_with("after-commit"));
    assert_eq!(count()?, there, "{point}");
    if there == 0 {
        world.admin(&add)?;
    }
    let list = world.admin(&["webhook", "list", alice])?;
    let id = text(&list["webhooks"][0], "webhook")?;
    // the answer with the secret was lost: another one is given out
    world.admin(&["webhook", "secret", &id])?;
    world.admin(&["webhook", "remove", &id])?;
    assert_eq!(count()?, 0, "{point}");
    Ok(())
}

#[test]
fn a_server_killed_around_a_webhook_tells_it_under_one_id() -> Result<()> {
    let mut desk = Desk::new()?;
    let allowed = ["--private-webhooks"];
    let restart = |desk: &mut Desk| -> Result<()> {
        desk.server = Some(desk.world.serve_with(&desk.address, &allowed)?);
        Ok(())
    };
    for (point, story) in points(Told::Webhook) {
        if story == Story::Register {
            registered(&desk.world, point)?;
        }
    }
    let receiver = Receiver::default();
    let url = receiver.start()?;
    let alice = desk.world.alice.id.clone();
    desk.world
        .admin(&["webhook", "add", &alice, "--url", &url])?;
    let (mut told, mut orders) = (0, BTreeSet::new());
    for (point, story) in points(Told::Webhook) {
        let count = match story {
            Story::Register => continue,
            Story::Webhook(count) => count,
            other => bail!("{point}: {other:?} is told elsewhere"),
        };
        drop(desk.server.take());
        let armed = format!("{point}=return");
        let server = desk
            .world
            .serve_armed_with(&desk.address, &armed, &allowed)?;
        // it may die before it takes the order, since other records are sealed too
        let _ = desk.world.order(&server, point, AMOUNT, None);
        server.wait_for_kill().with_context(|| point.to_owned())?;
        lease_is_over(&desk.world)?;
        restart(&mut desk)?;
        let order = text(&desk.order(point)?, "id")?;
        told += count;
        let events = receiver.wait_for(told)?;
        let of_order = events.iter().filter(|event| event.1 == order);
        let ids: BTreeSet<_> = of_order.clone().map(|event| &event.0).collect();
        assert_eq!((of_order.count(), ids.len()), (count, 1), "{point}");
        orders.insert(order);
        desk.adds_up(point)?;
    }
    // nothing more comes: an order of now is the next event
    let last = text(&desk.order("last")?, "id")?;
    let events = receiver.wait_for(told + 1)?;
    assert_eq!((events.len(), &events[told].1), (told + 1, &last));
    assert_eq!(orders.len(), 7);
    Ok(())
}
