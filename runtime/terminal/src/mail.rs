//! The program inside a mail: found by content, never by its name or media type.
//!
//! Header fields are read by a mail library, the parts are walked here: libraries build the whole
//! tree of a mail, and one megabyte of mails inside mails made one of them take gigabytes.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{GetHeader as _, HeaderName, HeaderValue, MessageParser};

use crate::failure::Failure;
use crate::sniff::{self, Content};

/// Parts of one mail that are looked at, forwarded mails included.
///
/// Our own mail has five parts; gateways add a few. More than 100 is nobody's letter.
pub const PARTS_MAX: usize = 100;

/// Levels of parts inside parts that are looked into: each multipart and each mail is one.
///
/// Our own mail has two; a signature, a mailing list and a forward of a forward add two each.
pub const LEVELS_MAX: usize = 12;

/// The one program of a mail, and what came beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The program's bytes.
    pub program: Vec<u8>,
    /// Other attachments, of which nothing is used: parts that are named as such, or are no text.
    pub others: usize,
}

/// Returns the one program that `mail` holds.
///
/// Takes time and memory of at most [`LEVELS_MAX`] times the length of the mail.
///
/// # Errors
/// `E_FORMAT` if it has more than [`PARTS_MAX`] parts; `E_NO_PROGRAM`; `E_SEVERAL_PROGRAMS`, also
/// if all are alike, because the choice is the person's.
pub fn program(mail: &[u8]) -> Result<Found, Failure> {
    let mut search = Search::default();
    search.look_into(mail, false, 0)?;
    match search.programs.as_slice() {
        [] => Err(Failure::new("E_NO_PROGRAM")),
        [program] => Ok(Found {
            program: program.clone(),
            others: search.others,
        }),
        [_, _, ..] => Err(Failure::new("E_SEVERAL_PROGRAMS")),
    }
}

#[derive(Default)]
struct Search {
    programs: Vec<Vec<u8>>,
    others: usize,
    parts: usize,
}

impl Search {
    /// Looks into header and body of a mail or part; in a digest a part is a mail unless it says
    /// otherwise (RFC 2046 section 5.1.5).
    fn look_into(&mut self, entity: &[u8], in_digest: bool, level: usize) -> Result<(), Failure> {
        self.parts = self.parts.saturating_add(1);
        if self.parts > PARTS_MAX {
            return Err(Failure::new("E_FORMAT"));
        }
        if level > LEVELS_MAX {
            return Ok(());
        }
        let inner = level.saturating_add(1);
        match Entity::read(entity, in_digest) {
            Entity::Multipart {
                body,
                boundary,
                digest,
            } => parts(body, &boundary)
                .into_iter()
                .try_for_each(|part| self.look_into(part, digest, inner)),
            Entity::Mail(mail) => self.look_into(&mail, false, inner),
            Entity::Leaf { bytes, attached } => {
                if sniff::content(&bytes) == Content::Program {
                    self.programs.push(bytes);
                } else {
                    self.others = self.others.saturating_add(usize::from(attached));
                }
                Ok(())
            }
        }
    }
}

/// What a mail or part is by its header.
enum Entity<'a> {
    Multipart {
        body: &'a [u8],
        boundary: String,
        digest: bool,
    },
    /// A mail, decoded.
    Mail(Vec<u8>),
    /// Anything else, decoded; whether it is an attachment rather than the letter's own text.
    Leaf { bytes: Vec<u8>, attached: bool },
}

impl<'a> Entity<'a> {
    fn read(entity: &'a [u8], in_digest: bool) -> Self {
        let mut stream = MessageStream::new(entity);
        let mut fields = Vec::new();
        let has_body = stream.parse_headers(&MessageParser::default(), &mut fields);
        let body = entity.get(stream.offset()..).filter(|_| has_body);
        let body = body.unwrap_or_default();
        let media_type = fields
            .header_value(&HeaderName::ContentType)
            .and_then(HeaderValue::as_content_type);
        let is = |kind: &str, name: &str| {
            media_type.is_some_and(|media_type| {
                media_type.ctype().eq_ignore_ascii_case(kind)
                    && media_type
                        .subtype()
                        .is_some_and(|subtype| subtype.eq_ignore_ascii_case(name))
            })
        };
        let boundary = media_type
            .filter(|media_type| media_type.ctype().eq_ignore_ascii_case("multipart"))
            .and_then(|media_type| media_type.attribute("boundary"))
            .filter(|boundary| !boundary.is_empty());
        if let Some(boundary) = boundary {
            return Self::Multipart {
                body,
                boundary: boundary.to_owned(),
                digest: is("multipart", "digest"),
            };
        }
        let encoding = fields
            .header_value(&HeaderName::ContentTransferEncoding)
            .and_then(HeaderValue::as_text);
        let bytes = decoded(body, encoding.unwrap_or_default());
        let by_default = media_type.is_none() && in_digest;
        if by_default || is("message", "rfc822") || is("message", "global") {
            Self::Mail(bytes)
        } else {
            let named = fields
                .header_value(&HeaderName::ContentDisposition)
                .and_then(HeaderValue::as_content_type)
                .is_some_and(|kind| kind.ctype().eq_ignore_ascii_case("attachment"));
            let text = media_type.is_none_or(|kind| kind.ctype().eq_ignore_ascii_case("text"));
            Self::Leaf {
                bytes,
                attached: named || !text,
            }
        }
    }
}

/// Undoes the transfer encoding (RFC 2045 section 6); what is not in it is left as it is.
fn decoded(body: &[u8], encoding: &str) -> Vec<u8> {
    let decoded = if encoding.eq_ignore_ascii_case("base64") {
        base64_decode(body)
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        quoted_printable_decode(body)
    } else {
        None
    };
    decoded.unwrap_or_else(|| body.to_vec())
}

/// The parts between the lines `--boundary` (RFC 2046 section 5.1.1); a last part may be cut off.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut part_start = None;
    let mut line_start: usize = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let line_end = line_start.saturating_add(line.len());
        if let Some(is_last) = delimiter(line, boundary) {
            let part = part_start.and_then(|start| body.get(start..line_start));
            parts.extend(part.map(without_last_line_break));
            part_start = (!is_last).then_some(line_end);
            if is_last {
                break;
            }
        }
        line_start = line_end;
    }
    parts.extend(part_start.and_then(|start| body.get(start..)));
    parts
}

/// Whether `line` separates parts, and if so whether it ends them.
fn delimiter(line: &[u8], boundary: &str) -> Option<bool> {
    let rest = line
        .strip_prefix(b"--")?
        .strip_prefix(boundary.as_bytes())?;
    let rest = rest.trim_ascii_end();
    if rest.is_empty() {
        Some(false)
    } else {
        rest.starts_with(b"--").then_some(true)
    }
}

/// The line break before a delimiter belongs to the delimiter.
fn without_last_line_break(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::{LEVELS_MAX, PARTS_MAX, program};
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
        let found = program(mail(parts).as_bytes()).map(|found| found.program);
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
    fn what_comes_beside_the_program_is_counted_and_not_used() {
        let program_part = attachment("a.tegata", "application/octet-stream", PROGRAM);
        let signature = attachment("a.tegata.sig", "application/octet-stream", b"x");
        let text = "--b\r\nContent-Type: text/html\r\n\r\n<p>hello\r\n".to_owned();
        let key = "--b\r\nContent-Type: application/pgp-keys\r\n\r\nx\r\n".to_owned();
        for (parts, others) in [
            (vec![program_part.clone()], 0),
            (vec![text.clone(), program_part.clone()], 0),
            (vec![program_part.clone(), signature.clone()], 1),
            (vec![signature, text, program_part, key], 2),
        ] {
            let found = program(mail(&parts).as_bytes()).unwrap();
            assert_eq!((found.program.as_slice(), found.others), (PROGRAM, others));
        }
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

    /// `depth` mails inside each other, the program in the innermost.
    fn nested(depth: usize) -> Vec<u8> {
        let mut mail = "Content-Type: message/rfc822\r\n\r\n".repeat(depth);
        mail.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
        mail.push_str(&BASE64.encode(PROGRAM));
        mail.into_bytes()
    }

    #[test]
    fn levels_are_counted_and_one_too_many_is_not_looked_into() {
        assert_eq!(program(&nested(LEVELS_MAX)).unwrap().program, PROGRAM);
        let deeper = program(&nested(LEVELS_MAX + 1)).unwrap_err();
        assert_eq!(deeper.code, "E_NO_PROGRAM");
    }

    #[test]
    fn a_mail_of_nothing_but_mails_costs_neither_stack_nor_memory() {
        let mails = "Content-Type:message/rfc822\n\n".repeat(36_000);
        let multiparts = "Content-Type:multipart/mixed;boundary=b\n\n--b\n".repeat(23_000);
        for (mail, code) in [(mails, "E_NO_PROGRAM"), (multiparts, "E_FORMAT")] {
            let encoded = BASE64.encode(&mail.as_bytes()[..mail.len() / 4 * 3]);
            let encoding = "Content-Type:message/rfc822\nContent-Transfer-Encoding:";
            for mail in [
                format!("{encoding}base64\n\n{encoded}"),
                format!("{encoding}quoted-printable\n\n{mail}").replace("=b", "=3Db"),
                mail,
            ] {
                assert_eq!(program(mail.as_bytes()).unwrap_err().code, code);
            }
        }
    }

    #[test]
    fn every_transfer_encoding_gives_the_same_bytes() {
        let quoted: String = PROGRAM.iter().map(|byte| format!("={byte:02X}")).collect();
        for (encoding, body) in [
            ("base64", BASE64.encode(PROGRAM).into_bytes()),
            ("BASE64", b"AGFz\r\nbQ0A\r\nAQAgdGhlIHJlc3Q=".to_vec()),
            ("quoted-printable", quoted.into_bytes()),
            ("binary", PROGRAM.to_vec()),
        ] {
            for end in ["\r\n--b--\r\n", "\n--b\n\nx\n--b-- \n", "\n--b--", ""] {
                let head = format!(
                    "Content-Type: multipart/mixed; boundary=\"b\"\n\nno part\n--b\n\
                     Content-Transfer-Encoding: {encoding}\n\n"
                );
                let mail = [head.as_bytes(), &body, end.as_bytes()].concat();
                let found = program(&mail).map(|found| found.program);
                let found = found.map_err(|failure| failure.code);
                assert_eq!(found.as_deref(), Ok(PROGRAM), "{encoding} {end:?}");
            }
        }
    }

    #[test]
    fn a_digest_holds_mails() {
        let inner = mail(&[attachment("a", "application/octet-stream", PROGRAM)])
            .replace("boundary=b", "boundary=inner")
            .replace("--b", "--inner");
        let digest = format!(
            "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n{inner}\r\n--d--"
        );
        assert_eq!(program(digest.as_bytes()).unwrap().program, PROGRAM);
    }

    #[test]
    fn soup_of_mail_never_panics() {
        const WORDS: [&str; 24] = [
            "Content-Type:",
            "multipart/mixed",
            "message/rfc822",
            ";boundary=b",
            "\n--b",
            "--b--",
            "\r\n",
            "\n",
            "\n\n",
            "Content-Transfer-Encoding:",
            "base64",
            "quoted-printable",
            "=?utf-8?B?",
            "?=",
            "=",
            "\r",
            " ",
            "\"",
            "(",
            "\0asm",
            "é",
            ";",
            "A",
            "*0*=utf-8''%",
        ];
        let mut seed: u64 = 1;
        for _ in 0..20_000 {
            let mut soup = String::new();
            while soup.len() < 400 {
                // The generator of Knuth's MMIX; its high bits are the good ones.
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                match usize::try_from(seed >> 33).unwrap() % (WORDS.len() + 2) {
                    index if index < WORDS.len() => soup.push_str(WORDS[index]),
                    _ => break,
                }
            }
            let _ = program(soup.as_bytes());
        }
    }
}
