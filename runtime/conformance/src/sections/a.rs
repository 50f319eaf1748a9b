//! A: envelope, size, transport. Nothing of it is WebAssembly yet.

use program::{FILE_LEN_MAX, HEADER, RawProgram, TEMPLATE_LEN_MAX};

use super::mails::{bomb, brotli, gzip, mail, quoted, zip, zstd};
use crate::bench::{Bench, Input};
use crate::guest::Guest;
use crate::maker::{Maker, body, signed_again};
use crate::ride;
use crate::row::{Case, Check, Ran, Row, case, changed};
use crate::wasm;

const MEDIA_TYPE: &str = program::MEDIA_TYPE;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "A1",
        title: "an empty file, 1 byte, 7 bytes",
        check: Check::Open(|maker| {
            [0, 1, 7]
                .map(|len| {
                    let cut = maker.lawful()[..len].to_vec();
                    file(format!("{len} bytes"), cut, "E_FORMAT").mended(maker.lawful())
                })
                .to_vec()
        }),
    },
    Row {
        id: "A2",
        title: "the longest file and one byte more",
        check: Check::Open(sizes),
    },
    Row {
        id: "A3",
        title: "folder, device, named pipe, dangling link, endless pipe",
        check: Check::Script(no_files),
    },
    Row {
        id: "A4",
        title: "a core module in place of a component",
        check: Check::Open(|maker| {
            let module = wasm::component("(module (func (export \"run\")))");
            vec![file("module", module, "E_FORMAT").mended(maker.lawful())]
        }),
    },
    Row {
        id: "A5",
        title: "WebAssembly as text",
        check: Check::Open(|maker| {
            let text = b"(component)".to_vec();
            vec![file("text", text, "E_FORMAT").mended(maker.lawful())]
        }),
    },
    Row {
        id: "A6",
        title: "machine code: an ELF file, also behind a component's header",
        check: Check::Open(|maker| {
            let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\xf0\0".to_vec();
            let behind = [HEADER.as_slice(), &elf].concat();
            vec![
                file("ELF", elf, "E_FORMAT").mended(maker.lawful()),
                file("behind a header", behind, "E_SIG_FORM").mended(maker.lawful()),
            ]
        }),
    },
    Row {
        id: "A7",
        title: "gzip, zip, zstd, brotli, a gzip bomb: nothing is unpacked",
        check: Check::Open(|maker| {
            let program = maker.lawful();
            [
                ("gzip", gzip(&program)),
                ("zip", zip("order.tegata", &program)),
                ("zstd", zstd(&program)),
                ("brotli", brotli(&program)),
                ("bomb", bomb()),
            ]
            .map(|(name, bytes)| file(name, bytes, "E_FORMAT").mended(program.clone()))
            .into_iter()
            .map(|case| case.mended(maker.lawful()))
            .collect()
        }),
    },
    Row {
        id: "A8",
        title: "damage by mail: base64, quoted-printable, line ends, a newline more",
        check: Check::Open(damaged),
    },
    Row {
        id: "A9",
        title: "names and media types that lie",
        check: Check::Open(|maker| {
            let lying = mail(&[("order.tegata", MEDIA_TYPE, b"%PDF-1.7")]);
            let named = Input::File("program.wasm.exe".to_owned(), maker.lawful());
            let pdf = Input::File("order.tegata".to_owned(), b"%PDF-1.7 x".to_vec());
            vec![
                case("a PDF called .tegata", pdf, "E_FORMAT").mended_input(named),
                file("the same in a mail", lying, "E_NO_PROGRAM").mended(mail(&[(
                    "photo.jpg",
                    "image/jpeg",
                    &maker.lawful(),
                )])),
            ]
        }),
    },
    Row {
        id: "A10",
        title: "two programs in one mail; hostile attachment names",
        check: Check::Open(attachments),
    },
    Row {
        id: "A11",
        title: "a byte or a custom section behind the end",
        check: Check::Open(|maker| {
            let custom = wasm::custom("note", b"x");
            vec![
                changed(maker, "a byte", "E_SIG", |whole| [whole, b"\0"].concat()),
                changed(maker, "a section", "E_SIG", |whole| {
                    [whole, &custom].concat()
                }),
                changed(maker, "a section, signed", "E_MANIFEST", |whole| {
                    signed_again(&[body(whole), &custom].concat())
                }),
            ]
        }),
    },
    Row {
        id: "A12",
        title: "cut at every byte",
        check: Check::Script(|bench| cut_everywhere(bench).map(Ran::inputs)),
    },
    Row {
        id: "A13",
        title: "every single bit flipped",
        check: Check::Script(|bench| flipped_everywhere(bench).map(Ran::inputs)),
    },
];

fn file(name: impl Into<String>, bytes: Vec<u8>, codes: &'static str) -> Case {
    case(name, Input::file(bytes), codes)
}

fn sizes(maker: &Maker<'_>) -> Vec<Case> {
    // The longest template, filled up with a data segment that is never used.
    let filled = |len: usize| Guest::lawful().parts(format!("(data \"{}\")", "a".repeat(len)));
    let draft = maker.draft();
    let instruction = draft.instruction();
    let unfilled = filled(20_000).template(&instruction).len() - 20_000;
    let longest = filled(TEMPLATE_LEN_MAX - unfilled);
    assert_eq!(longest.template(&instruction).len(), TEMPLATE_LEN_MAX);
    let padded = |len: usize| {
        move |whole: &[u8]| {
            let mut bytes = whole.to_vec();
            bytes.resize(len, 0);
            bytes
        }
    };
    vec![
        file("the longest template", draft.file(maker, &longest), "ok"),
        changed(maker, "the longest file", "E_SIG", padded(FILE_LEN_MAX)),
        changed(maker, "one byte more", "E_SIZE", padded(FILE_LEN_MAX + 1)),
    ]
}

fn no_files(bench: &Bench) -> Result<Ran, String> {
    let link = bench.path("dangling");
    let lawful = bench.path("lawful");
    let to_lawful = bench.path("link");
    let io = |error: std::io::Error| error.to_string();
    std::os::unix::fs::symlink(bench.path("nowhere"), &link).map_err(io)?;
    std::os::unix::fs::symlink(&lawful, &to_lawful).map_err(io)?;
    std::fs::write(&lawful, bench.maker().lawful()).map_err(io)?;
    let header_then = |bytes: &[u8]| [HEADER.as_slice(), bytes].concat();
    let endless = 1 << 40;
    let cases = [
        ("folder", Input::Path(bench.path("")), "E_INPUT"),
        ("device", Input::Path("/dev/zero".into()), "E_INPUT"),
        ("dangling link", Input::Path(link), "E_INPUT"),
        (
            "endless zeros",
            Input::Pipe(Vec::new(), endless),
            "E_FORMAT",
        ),
        (
            "endless program",
            Input::Pipe(header_then(&[]), endless),
            "E_SIZE",
        ),
        (
            "endless mail",
            Input::Pipe(b"Subject: ".to_vec(), endless),
            "E_SIZE",
        ),
        ("link to a program", Input::Path(to_lawful), "ok"),
        (
            "program in a pipe",
            Input::Pipe(bench.maker().lawful(), 0),
            "ok",
        ),
    ];
    let count = cases.len();
    for (name, input, code) in cases {
        let opened = bench.open(&input).map_err(|e| format!("{name}: {e}"))?;
        if opened.code != code {
            return Err(format!("{name}: {} in place of {code}", opened.code));
        }
    }
    if named_pipe(bench)? {
        Ok(Ran::inputs(count + 1))
    } else {
        Ok(Ran::inputs(count).leaving_out("named pipe: no `mkfifo` here"))
    }
}

/// A named pipe that nobody writes to: opening it must not wait. Whether there could be one.
fn named_pipe(bench: &Bench) -> Result<bool, String> {
    let pipe = bench.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        return Ok(false);
    }
    let opened = bench.open(&Input::Path(pipe))?;
    match opened.code.as_str() {
        "E_INPUT" => Ok(true),
        code => Err(format!("named pipe: {code} in place of E_INPUT")),
    }
}

fn damaged(maker: &Maker<'_>) -> Vec<Case> {
    let as_mail = |bytes: &[u8]| mail(&[("order.tegata", MEDIA_TYPE, bytes)]);
    let plain = maker.lawful();
    let sent = as_mail(&plain);
    // A character in the middle of the attachment becomes another one of the alphabet.
    let mut changed = sent.clone();
    let middle = sent.len() - 400;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let mut soft = quoted(&plain);
    let digit = soft.len() - 200;
    let digit = digit
        + soft[digit..]
            .iter()
            .position(|b| *b == b'=')
            .expect("quoted")
        + 1;
    soft[digit] = if soft[digit] == b'0' { b'1' } else { b'0' };
    let plain_lines = maker.lawful();
    let crlf: Vec<u8> = plain_lines
        .iter()
        .flat_map(|byte| match byte {
            b'\n' => b"\r\n".to_vec(),
            other => vec![*other],
        })
        .collect();
    let newline = [plain.as_slice(), b"\n"].concat();
    vec![
        file("base64", changed, "E_SIG").mended(sent),
        file("quoted-printable", soft, "E_SIG").mended(quoted(&maker.lawful())),
        // Where the first line end is, the hash or the form of the signature section breaks.
        file(
            "line ends",
            as_mail(&crlf),
            "E_SIG E_SIG_FORM E_KEY_UNKNOWN",
        )
        .mended(as_mail(&plain_lines)),
        file("a newline more", as_mail(&newline), "E_SIG").mended(as_mail(&maker.lawful())),
    ]
}

fn attachments(maker: &Maker<'_>) -> Vec<Case> {
    let (one, two) = (maker.lawful(), maker.lawful());
    let several = mail(&[
        ("a.tegata", MEDIA_TYPE, &one),
        ("b.tegata", MEDIA_TYPE, &two),
    ]);
    let single = mail(&[
        ("a.tegata", MEDIA_TYPE, &one),
        ("b.txt", "text/plain", b"b"),
    ]);
    let long = "x".repeat(4_096);
    let mut cases = vec![file("two", several, "E_SEVERAL_PROGRAMS").mended(single)];
    for name in [
        "../../../etc/passwd",
        "a\0b.tegata",
        "\u{202e}atag.exe",
        &long,
    ] {
        let bytes = mail(&[(name, MEDIA_TYPE, &maker.lawful())]);
        let shown: String = name.chars().take(12).collect();
        cases.push(file(format!("{:?}", shown), bytes, "ok"));
    }
    cases
}

/// A small program: what is tried at every byte is tried a thousand times.
fn small(bench: &Bench) -> Vec<u8> {
    bench.maker().lawful()
}

fn must_fail(bench: &Bench, bytes: Vec<u8>) -> Result<(), String> {
    RawProgram::new(bytes.clone()).map_err(|error| error.to_string())?;
    match ride::verified(bench.options.now, bytes) {
        Err(code) if code.starts_with("E_") => Ok(()),
        Err(code) => Err(format!("{code} is no code")),
        Ok(_) => Err("verified".to_owned()),
    }
}

fn cut_everywhere(bench: &Bench) -> Result<usize, String> {
    let whole = small(bench);
    for len in 0..whole.len() {
        must_fail(bench, whole[..len].to_vec()).map_err(|e| format!("at {len}: {e}"))?;
    }
    // Some of them through the whole terminal.
    for (len, code) in [
        (8, "E_SIG_FORM"),
        (139, "E_SIG_FORM"),
        (whole.len() - 1, "E_SIG"),
    ] {
        let opened = bench.open(&Input::file(whole[..len].to_vec()))?;
        if opened.code != code {
            return Err(format!("{len} bytes: {} in place of {code}", opened.code));
        }
    }
    credited(bench, whole.clone())?;
    Ok(whole.len())
}

fn flipped_everywhere(bench: &Bench) -> Result<usize, String> {
    let whole = small(bench);
    for place in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[place / 8] ^= 1 << (place % 8);
        must_fail(bench, bytes).map_err(|e| format!("bit {place}: {e}"))?;
    }
    credited(bench, whole.clone())?;
    Ok(whole.len() * 8)
}

/// The whole file is the lawful neighbour of all its damaged copies.
fn credited(bench: &Bench, whole: Vec<u8>) -> Result<(), String> {
    let opened = bench.open(&Input::file(whole))?;
    match opened.code.as_str() {
        "ok" => Ok(()),
        code => Err(format!("the whole file: {code}")),
    }
}
