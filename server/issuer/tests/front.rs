//! Front and core as processes: what the front does without its core, and what it can not do at all.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use card_sim::Card;
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Looks of a wait, and the time between two: 30 s in all.
const POLLS: u32 = 1_500;
const POLL: Duration = Duration::from_millis(20);

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata-server"));
    command.args(args).current_dir(dir).env_clear();
    command
}

fn done(dir: &Path, args: &[&str]) -> Value {
    let all = [args, &["--data", "d", "--json"]].concat();
    let output = command(dir, &all).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {talk}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A running process, ended with SIGKILL.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process and waits for its ready file; gives what it says there.
fn start(dir: &Path, args: &[&str], ready: &str) -> (Running, String) {
    let _ = fs::remove_file(dir.join(ready));
    let mut command = command(dir, &[args, &["--ready-file", ready]].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut running = Running(child.unwrap());
    for _ in 0..POLLS {
        if let Ok(said) = fs::read_to_string(dir.join(ready)) {
            return (running, said.trim().to_owned());
        }
        assert!(
            running.0.try_wait().unwrap().is_none(),
            "{args:?} has ended"
        );
        std::thread::sleep(POLL);
    }
    panic!("{args:?} is not ready");
}

fn core(dir: &Path) -> Running {
    let args = [
        "core",
        "--data",
        "d",
        "--socket",
        "s/core",
        "--public-origin",
        "http://127.0.0.1:9",
        "--accept-emulated-cards",
    ];
    start(dir, &args, "core-ready").0
}

/// One request; gives status, head and body.
fn call(base: &str, head: &str, body: &str) -> (u16, String, String) {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// An issuer with money and a card.
struct Office {
    sender: String,
    token: String,
    /// Body of an order of JPY 100.
    order: String,
}

fn office(dir: &Path) -> Office {
    done(dir, &["init", "--issuer", "money.example"]);
    let add = |name: &str| {
        let email = format!("{name}@mail.example");
        let holder = done(dir, &["holder", "add", "--name", name, "--email", &email]);
        let text = |field: &str| holder[field].as_str().unwrap().to_owned();
        (text("holder"), text("token"))
    };
    let ((sender, token), (ben, _)) = (add("aiko"), add("ben"));
    done(
        dir,
        &["account", "fund", "--holder", &sender, "--amount", "1000"],
    );
    let card = Card::new([4, 1, 2, 3, 4, 5, 6], [1; 32]);
    card_reader::create(&dir.join("card"), &card).unwrap();
    let issue = [
        "card",
        "issue",
        "--reader",
        "emulated:card",
        "--holder",
        &ben,
    ];
    let issued = done(dir, &[&issue[..], &["--accept-emulated-cards"]].concat());
    let order = json!({
        "recipient_card": issued["number"], "amount_minor": 100, "currency": "JPY",
    });
    fs::create_dir(dir.join("s")).unwrap();
    Office {
        sender,
        token,
        order: order.to_string(),
    }
}

#[test]
fn a_front_without_its_core_answers_503_and_loses_no_order() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let Office {
        sender,
        token,
        order,
    } = office(dir);

    // the front runs in a folder that holds nothing, and is told of nothing but a socket
    let away = dir.join("away");
    fs::create_dir(&away).unwrap();
    let socket = dir.join("s/core");
    let front = ["front", "--core", socket.to_str().unwrap()];
    let (_front, base) = start(&away, &front, "ready");
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\nidempotency-key: one"
    );
    let (status, headers, body) = call(&base, &head, &order);
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &problem["code"]),
        (503, &json!("unavailable")),
        "{body}"
    );
    assert!(headers.contains("retry-after: 5"), "{headers}");
    assert_eq!(call(&base, "GET /livez HTTP/1.1", "").0, 200);
    assert_eq!(call(&base, "GET /readyz HTTP/1.1", "").0, 503);
    let (status, headers, body) = call(&base, "GET /orders HTTP/1.1", "");
    assert_eq!(status, 503, "{headers}");
    assert!(
        body.contains("Nothing was lost") && body.contains("失われて"),
        "{body}"
    );
    let written = fs::read_dir(&away).unwrap().count();
    assert_eq!(written, 1, "the ready file, nothing else");

    let first = core(dir);
    let mode = fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);
    let (status, _, body) = call(&base, &head, &order);
    assert_eq!(status, 201, "{body}");
    let placed: Value = serde_json::from_str(&body).unwrap();
    // the core dies; the answer to the repetition is the answer of before
    drop(first);
    assert_eq!(call(&base, &head, &order).0, 503);
    let _second = core(dir);
    let (status, _, body) = call(&base, &head, &order);
    let again: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &again["id"]), (201, &placed["id"]), "{body}");
    let orders = done(dir, &["order", "list", "--sender", &sender]);
    assert_eq!(orders["orders"].as_array().unwrap().len(), 1);
    assert_eq!(call(&base, "GET /readyz HTTP/1.1", "").0, 200);
    let (status, _, body) = call(&base, &head, &"x".repeat(4_097));
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &problem["code"]), (413, &json!("body-too-large")));
    assert!(done(dir, &["audit"])["balanced"] == true);
    // a second core does not take the socket from one that answers
    let args = [
        "core",
        "--data",
        "d",
        "--socket",
        "s/core",
        "--public-origin",
        "http://x",
    ];
    let other = command(dir, &[&args[..], &["--accept-emulated-cards"]].concat()).output();
    assert_eq!(other.unwrap().status.code(), Some(1));
}
