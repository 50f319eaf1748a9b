//! What the terminal reads: mails, and what a program runner and a program in it may send.

use terminal::log::{Head, Log, walk};
use terminal::origin::{Access, Origin};
use terminal::state::StateDir;
use terminal::told::Told;
use terminal::trust::Trusted;

use crate::{files, messages};

/// A mail or a program, as the recipient saved it: found, refused, but never more than a program.
pub fn mail(bytes: &[u8]) {
    if let Ok(program) = terminal::mail::program(bytes).map(|found| found.program) {
        assert!(program.len() <= program::FILE_LEN_MAX);
    }
    let _content = terminal::sniff::content(bytes);
}

/// A mail with a program, as the server writes it in shape.
#[must_use]
pub fn mail_seeds() -> Vec<Vec<u8>> {
    let base64 = data_encoding::BASE64_MIME.encode(&files::program());
    let mail = format!(
        "From: a@example.org\r\nTo: b@example.org\r\nSubject: =?UTF-8?B?44GC?=\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n\
         --x\r\nContent-Type: application/octet-stream; name=\"r.tegata\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"r.tegata\"\r\n\r\n{base64}\r\n--x--\r\n"
    );
    let forwarded = format!("Subject: fwd\r\nContent-Type: message/rfc822\r\n\r\n{mail}");
    vec![mail.into_bytes(), forwarded.into_bytes()]
}

/// What the terminal keeps of an issuer: its entry, and what it told. What is read can be written and read
/// again.
pub fn trust_file(bytes: &[u8]) {
    if let Ok(entry) = Trusted::from_file(bytes) {
        let written = entry.to_file().expect("what was read can be written");
        assert_eq!(Trusted::from_file(&written), Ok(entry));
    }
    if let Ok(told) = Told::from_file(bytes) {
        let written = told.to_file().expect("what was read can be written");
        assert_eq!(Told::from_file(&written), Ok(told));
    }
}

/// An issuer as just met, and what it told.
#[must_use]
pub fn trust_seeds() -> Vec<Vec<u8>> {
    let signed = messages::descriptor_seeds().swap_remove(0);
    let origin = Origin::parse(files::ISSUER, Access::Public).expect("a name");
    let entry = Trusted::first_contact(origin, signed, files::NOW).expect("a seed is accepted");
    let told = Told::default().heard(files::NOW, files::NOW);
    vec![
        entry.to_file().expect("it can be written"),
        told.to_file().expect("it can be written"),
    ]
}

/// A run log: each record that is given continues the chain, and the bytes before the first flaw are a whole
/// log.
pub fn run_log(bytes: &[u8]) {
    let mut given = 0;
    let mut rest = bytes;
    let (head, flaw) =
        walk(&mut rest, Head::START, |_| given += 1).expect("bytes in memory can be read");
    assert_eq!(given, head.count);
    let len = usize::try_from(head.len).expect("a length in memory");
    assert_eq!(flaw.is_none(), len == bytes.len());
    let mut whole = bytes.get(..len).expect("no longer than what was read");
    let again = walk(&mut whole, Head::START, |_| ()).expect("bytes in memory can be read");
    assert_eq!(again, (head, None));
}

/// A log of three records.
#[must_use]
pub fn run_log_seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("state");
    let log = Log::new(StateDir::open(&root).expect("a new folder"));
    for outcome in ["verified", "declined", "credited"] {
        let record = [("outcome".to_owned(), outcome.into())];
        log.append(record.into_iter().collect())
            .expect("a record can be added");
    }
    assert_eq!(log.verify(|_| ()), Ok(3), "a seed is accepted");
    vec![std::fs::read(root.join("log/runs.log")).expect("the log")]
}

/// A component under a good signature: admitted or refused with a code, in bounded time.
pub fn admission(bytes: &[u8]) {
    sandbox::foreign::admission(bytes);
    if let Some(body) = bytes.get(program::BODY_OFFSET..) {
        sandbox::foreign::admission(&program::seal(body, &files::key()));
    }
}

/// The mailed template, and the smallest components.
#[must_use]
pub fn admission_seeds() -> Vec<Vec<u8>> {
    vec![files::program(), program::seal(&[], &files::key())]
}

/// Frames of a runner that an attacker has taken over.
pub fn frames(bytes: &[u8]) {
    sandbox::foreign::frames(bytes);
}

/// A whole conversation.
#[must_use]
pub fn frame_seeds() -> Vec<Vec<u8>> {
    let walls: &[u8] = &[0x80, 2, 0, 0, 0, 0xFF, 0x1F];
    let ready: &[u8] = &[0x81, 0, 0, 0, 0];
    let transmit: &[u8] = &[0x82, 5, 0, 0, 0, 0xFF, 0xCA, 0, 0, 0];
    let exchange: &[u8] = &[0x83, 1, 0, 0, 0, 0x80];
    let outcome: &[u8] = &[0x84, 10, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 3];
    vec![[walls, ready, transmit, exchange, outcome].concat()]
}

/// Commands of a program against the policy: nothing reaches the card that is not in the table.
pub fn policy(bytes: &[u8]) {
    sandbox::foreign::policy(crate::chunks(bytes));
}
