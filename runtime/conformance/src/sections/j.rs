//! J: the channel to the issuer.

use sandbox::limits;
use wire::exchange::{MEDIA_TYPE, REPLY_LEN_MAX, REQUEST_LEN_MAX, Reply};

use super::UID;
use crate::bench::{Bench, Input};
use crate::guest::{Guest, floods, sends};
use crate::issuer::{Behaviour, ok};
use crate::ride::Ride;
use crate::row::{Check, Ran, Row, guest};

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "J1",
        title: "no request chooses its destination: fixed host and path, fixed headers",
        check: Check::Script(|bench| destination(bench).map(Ran::inputs)),
    },
    Row {
        id: "J2",
        title: "requests too long, empty, too many",
        check: Check::Run(|| {
            let of_len = |len: usize| {
                Guest::returns(format!(
                    "(call $exchange (i32.const 8192) (i32.const {len}) (i32.const 64)) (i32.const 64)"
                ))
            };
            let max = limits::NETWORK_CALLS_MAX;
            vec![
                // `denied` is the second word of the network, `limit` the third.
                Ride::new(
                    "one byte too long",
                    of_len(REQUEST_LEN_MAX + 1),
                    "E_PROGRAM_CARD_UNSUPPORTED",
                )
                .mended(of_len(REQUEST_LEN_MAX)),
                Ride::new("empty", of_len(0), "E_PROGRAM_CARD_UNSUPPORTED").mended(of_len(1)),
                Ride::new(
                    "too many",
                    floods("exchange", b"x", max + 1),
                    "E_PROGRAM_READER",
                )
                .reaching(0, max)
                .mended(floods("exchange", b"x", max - 1)),
            ]
        }),
    },
    Row {
        id: "J3",
        title: "replies too long, compressed, chunked without end, cut short",
        check: Check::Script(|bench| replies(bench).map(Ran::inputs)),
    },
    Row {
        id: "J4",
        title: "redirects to other hosts, to http, to this computer",
        check: Check::Script(|bench| redirects(bench).map(Ran::inputs)),
    },
    Row {
        id: "J5",
        title: "a captive portal's page, another media type, an error page",
        check: Check::Script(|bench| portals(bench).map(Ran::inputs)),
    },
    Row {
        id: "J6",
        title: "nothing is sent before consent",
        check: Check::Script(|bench| no_consent(bench).map(Ran::inputs)),
    },
    Row {
        id: "J7",
        title: "a reply of another remittance",
        check: Check::Script(|bench| foreign_reply(bench).map(Ran::inputs)),
    },
    Row {
        id: "J8",
        title: "the channel used to carry something else out",
        check: Check::Open(|maker| {
            let lawful = maker.draft().instruction();
            let longer = [lawful.as_slice(), b"4 bytes of a card"].concat();
            [
                ("the card's UID", UID.to_vec()),
                ("a lawful request of another order", lawful),
                ("bytes behind a request", longer),
                ("CBOR of its own", vec![0x82, 0x01, 0x42, 1, 2]),
            ]
            .map(|(name, bytes)| {
                guest(
                    maker,
                    name,
                    &sends("exchange", &bytes),
                    "E_POLICY",
                    &Guest::lawful(),
                )
            })
            .to_vec()
        }),
    },
    Row {
        id: "J9",
        title: "the connection breaks: a clean failure, and the same program runs later",
        check: Check::Script(|bench| broken(bench).map(Ran::inputs)),
    },
];

/// Opens a program while the issuer behaves like this, then again while it behaves.
fn misbehaves(
    bench: &Bench,
    name: &str,
    behaviour: Behaviour,
    codes: &[&str],
) -> Result<(), String> {
    let input = Input::file(bench.maker().lawful());
    bench.issuer.behaves(behaviour);
    let opened = bench.open(&input);
    bench.issuer.behaves(Behaviour::Receipt);
    let opened = opened.map_err(|error| format!("{name}: {error}"))?;
    if !codes.contains(&opened.code.as_str()) || opened.exchanges != 1 {
        let (code, exchanges) = (opened.code, opened.exchanges);
        return Err(format!(
            "{name}: {code} in place of {codes:?}, {exchanges} exchanges"
        ));
    }
    let again = bench
        .open(&input)
        .map_err(|error| format!("{name}: {error}"))?;
    match again.code.as_str() {
        "ok" => Ok(()),
        code => Err(format!("{name}: then {code}")),
    }
}

fn destination(bench: &Bench) -> Result<usize, String> {
    let opened = bench.open(&Input::file(bench.maker().lawful()))?;
    let (body, head) = bench.issuer.last().ok_or("no request arrived")?;
    let host = bench.issuer.origin().replace("http://", "");
    let mut names: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()))
        .collect();
    names.sort();
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    ];
    let first = head.lines().next().unwrap_or_default();
    let to_host = head
        .lines()
        .any(|line| line.eq_ignore_ascii_case(&format!("host: {host}")));
    if opened.code != "ok" || first != "POST /v1/exchange HTTP/1.1" || !to_host || names != expected
    {
        return Err(format!("{}: {first}, {names:?}", opened.code));
    }
    // Bytes that are a head themselves are no request of an order, and stay here.
    let count = bench.issuer.exchanges();
    let smuggled = b"\r\n\r\nPOST /v1/orders HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let both = [body.as_slice(), smuggled].concat();
    for bytes in [smuggled.as_slice(), &both] {
        let file = bench.maker().file(&sends("exchange", bytes));
        let opened = bench.open(&Input::file(file))?;
        if opened.code != "E_POLICY" || bench.issuer.exchanges() != count {
            return Err(format!("a head in the body: {}", opened.code));
        }
    }
    Ok(3)
}

fn head(more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {MEDIA_TYPE}\r\n{more}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn replies(bench: &Bench) -> Result<usize, String> {
    let chunk = [b"1000\r\n".as_slice(), &[0; 0x1000], b"\r\n"].concat();
    let cases = [
        ("too long", ok(MEDIA_TYPE, &vec![0; REPLY_LEN_MAX + 1])),
        ("a megabyte", ok(MEDIA_TYPE, &vec![0; 1 << 20])),
        ("no reply", ok(MEDIA_TYPE, b"")),
        ("no CBOR", ok(MEDIA_TYPE, b"hello")),
        (
            "chunked",
            head("Transfer-Encoding: chunked", &chunk.repeat(64)),
        ),
        (
            "gzip",
            head(
                "Content-Encoding: gzip\r\nContent-Length: 23",
                b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0\0\0\0",
            ),
        ),
        ("cut short", head("Content-Length: 400", &[0; 40])),
    ];
    for (name, bytes) in &cases {
        let codes = ["E_SERVER_REPLY", "E_NETWORK_TIMEOUT"];
        misbehaves(bench, name, Behaviour::Raw(bytes.clone()), &codes)?;
    }
    Ok(cases.len())
}

fn redirects(bench: &Bench) -> Result<usize, String> {
    let mut count = 0;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        for to in [
            "http://evil.example/v1/exchange",
            "http://127.0.0.1:1/",
            "/v1/other",
        ] {
            let answer = format!(
                "HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let behaviour = Behaviour::Raw(answer.into_bytes());
            misbehaves(bench, to, behaviour, &["E_SERVER_REPLY"])?;
            count += 1;
        }
    }
    Ok(count)
}

fn portals(bench: &Bench) -> Result<usize, String> {
    let page = b"<html>Sign in to the network</html>";
    let error = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let busy = b"HTTP/1.1 429 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let missing = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let cases = [
        ("portal", ok("text/html", page), "E_SERVER_REPLY"),
        (
            "plain CBOR",
            ok("application/cbor", b"\x83\x01\x02\x01"),
            "E_SERVER_REPLY",
        ),
        ("503", error.to_vec(), "E_SERVER_UNAVAILABLE"),
        ("429", busy.to_vec(), "E_SERVER_UNAVAILABLE"),
        ("404", missing.to_vec(), "E_SERVER_REPLY"),
    ];
    for (name, bytes, code) in &cases {
        misbehaves(bench, name, Behaviour::Raw(bytes.clone()), &[code])?;
    }
    Ok(cases.len())
}

fn no_consent(bench: &Bench) -> Result<usize, String> {
    let path = bench.path("unasked.tegata");
    std::fs::write(&path, bench.maker().lawful()).map_err(|error| error.to_string())?;
    let asked = bench.open_with(&path, &bench.reader(), &[], None)?;
    if asked.code != "E_NO_CONSENT" || asked.exchanges != 0 || asked.commands != 0 {
        return Err(format!("without consent: {}", asked.code));
    }
    let opened = bench.open(&Input::Path(path))?;
    match (opened.code.as_str(), opened.exchanges) {
        ("ok", 1) => Ok(1),
        (code, _) => Err(format!("with consent: {code}")),
    }
}

fn foreign_reply(bench: &Bench) -> Result<usize, String> {
    // The receipt of another remittance, well signed.
    let other = bench.open(&Input::file(bench.maker().lawful()))?;
    let receipt = other.document["receipt"].as_str().unwrap_or_default();
    let receipt = data_encoding::HEXLOWER
        .decode(receipt.as_bytes())
        .map_err(|error| error.to_string())?;
    let behaviour = Behaviour::Reply(Reply::Receipt(receipt));
    misbehaves(bench, "another receipt", behaviour, &["E_RECEIPT"])?;
    let behaviour = Behaviour::Reply(Reply::Receipt(vec![0; 200]));
    misbehaves(bench, "no receipt", behaviour, &["E_RECEIPT"])?;
    Ok(2)
}

fn broken(bench: &Bench) -> Result<usize, String> {
    misbehaves(
        bench,
        "closed",
        Behaviour::Raw(Vec::new()),
        &["E_OFFLINE", "E_NETWORK_TIMEOUT"],
    )?;
    let half = b"HTTP/1.1 200 OK\r\nContent-".to_vec();
    misbehaves(
        bench,
        "half a head",
        Behaviour::Raw(half),
        &["E_OFFLINE", "E_SERVER_REPLY"],
    )?;
    Ok(2)
}
