//! The program inside a mail: found by content, never by its name or media type.

use mail_parser::{Message, MessageParser, MessagePart, PartType};

use crate::failure::Failure;
use crate::sniff::{self, Content};

/// Parts of one mail that are looked at, forwarded mails included.
///
/// Our own mail has five parts; gateways add a few. More than 100 is nobody's letter.
pub const PARTS_MAX: usize = 100;

/// Mails inside mails that are looked into (a forward of a forward).
pub const NESTING_MAX: usize = 3;

/// Returns the one program that `mail` holds.
///
/// # Errors
/// `E_FORMAT` if it is no mail or has more than [`PARTS_MAX`] parts; `E_NO_PROGRAM`;
/// `E_SEVERAL_PROGRAMS`, also if all are alike, because the choice is the person's.
pub fn program(mail: &[u8]) -> Result<Vec<u8>, Failure> {
    let message = MessageParser::default()
        .parse(mail)
        .ok_or(Failure::new("E_FORMAT"))?;
    let mut found = Found::default();
    found.search(&message, 0)?;
    match found.programs.as_slice() {
        [] => Err(Failure::new("E_NO_PROGRAM")),
        [program] => Ok(program.clone()),
        [_, _, ..] => Err(Failure::new("E_SEVERAL_PROGRAMS")),
    }
}

#[derive(Default)]
struct Found {
    programs: Vec<Vec<u8>>,
    parts: usize,
}

impl Found {
    fn search(&mut self, message: &Message<'_>, depth: usize) -> Result<(), Failure> {
        for part in &message.parts {
            self.parts = self.parts.saturating_add(1);
            if self.parts > PARTS_MAX {
                return Err(Failure::new("E_FORMAT"));
            }
            self.look_at(part, depth)?;
        }
        Ok(())
    }

    fn look_at(&mut self, part: &MessagePart<'_>, depth: usize) -> Result<(), Failure> {
        match &part.body {
            PartType::Message(inner) if depth < NESTING_MAX => {
                self.search(inner, depth.saturating_add(1))
            }
            PartType::Message(_) | PartType::Multipart(_) => Ok(()),
            PartType::Text(_)
            | PartType::Html(_)
            | PartType::Binary(_)
            | PartType::InlineBinary(_) => {
                let bytes = part.contents();
                if sniff::content(bytes) == Content::Program {
                    self.programs.push(bytes.to_vec());
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PARTS_MAX, program};
    use data_encoding::BASE64;

    const PROGRAM: &[u8] = b"\0asm\x0d\0\x01\0 the rest";

    fn attachment(name: &str, media_type: &str, bytes: &[u8]) -> String {
        format!(
            "--b\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{}\r\n",
            BASE64.encode(bytes)
        )
    }

    fn mail(parts: &[String]) -> String {
        format!(
            "From: issuer@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nhello\r\n{}--b--\r\n",
            parts.concat()
        )
    }

    fn check(parts: &[String], expected: Result<&[u8], &str>) {
        let found = program(mail(parts).as_bytes());
        assert_eq!(found.as_deref().map_err(|failure| failure.code), expected);
    }

    #[test]
    fn the_program_is_found_by_content_whatever_it_is_called() {
        for (name, media_type) in [
            ("order.tegata", "application/vnd.tegata.program+wasm"),
            ("photo.jpg", "image/jpeg"),
            ("../../etc/passwd", "application/octet-stream"),
            ("\u{202e}gnp.tegata", "text/plain"),
        ] {
            check(&[attachment(name, media_type, PROGRAM)], Ok(PROGRAM));
        }
    }

    #[test]
    fn a_name_alone_makes_no_program() {
        check(
            &[attachment(
                "order.tegata",
                "application/vnd.tegata.program+wasm",
                b"%PDF",
            )],
            Err("E_NO_PROGRAM"),
        );
        check(&[], Err("E_NO_PROGRAM"));
    }

    #[test]
    fn of_two_programs_none_is_chosen() {
        let one = attachment("a.tegata", "application/octet-stream", PROGRAM);
        check(&[one.clone(), one], Err("E_SEVERAL_PROGRAMS"));
    }

    #[test]
    fn a_program_in_a_forwarded_mail_is_found() {
        let inner = mail(&[attachment("a.tegata", "application/octet-stream", PROGRAM)])
            .replace("boundary=b", "boundary=inner")
            .replace("--b", "--inner");
        let forward = format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n");
        check(&[forward], Ok(PROGRAM));
    }

    #[test]
    fn parts_are_counted_and_one_too_many_is_refused() {
        // The multipart itself and its text are two parts.
        let other = attachment("x", "application/octet-stream", b"x");
        let mut parts = vec![other; PARTS_MAX - 3];
        parts.push(attachment("a", "application/octet-stream", PROGRAM));
        check(&parts, Ok(PROGRAM));
        parts.push(attachment("y", "application/octet-stream", b"y"));
        check(&parts, Err("E_FORMAT"));
    }
}
