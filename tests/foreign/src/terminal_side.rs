//! What the terminal reads: mails, and what a program runner and a program in it may send.

use crate::files;

/// A mail or a program, as the recipient saved it: found, refused, but never more than a program.
pub fn mail(bytes: &[u8]) {
    if let Ok(program) = terminal::mail::program(bytes) {
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
    let walls: &[u8] = &[0x80, 2, 0, 0, 0, 0xFF, 0x0F];
    let ready: &[u8] = &[0x81, 0, 0, 0, 0];
    let transmit: &[u8] = &[0x82, 5, 0, 0, 0, 0xFF, 0xCA, 0, 0, 0];
    let exchange: &[u8] = &[0x83, 1, 0, 0, 0, 0x80];
    let outcome: &[u8] = &[0x84, 2, 0, 0, 0, 1, 3];
    vec![[walls, ready, transmit, exchange, outcome].concat()]
}

/// Commands of a program against the policy: nothing reaches the card that is not in the table.
pub fn policy(bytes: &[u8]) {
    sandbox::foreign::policy(crate::chunks(bytes));
}
