//! From the facts of a remittance to the bytes of a mail.

use askama::Template;
use jiff::{Timestamp, tz::TimeZone};
use lettre::{
    Address, Message,
    message::{
        Attachment, Mailbox, MultiPart,
        header::{ContentType, Header, HeaderName, HeaderValue},
    },
};
use money::Money;
use std::time::SystemTime;

/// Most characters of a display name or note in a mail; order bytes bound them tighter.
const TEXT_CHARS_MAX: usize = 200;

/// A language a mail can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Japanese.
    Ja,
}

/// A display name and an address of one end of a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Party {
    /// Shown name; no control characters.
    pub name: String,
    /// Mail address, RFC 5321 mailbox.
    pub address: String,
}

impl core::fmt::Debug for Party {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Party([redacted])")
    }
}

/// What a mailed program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Credits the card of whoever gets the mail.
    Credit,
    /// Takes the amount off the card of whoever gets the mail, for a remittance of theirs.
    Debit {
        /// The recipient's card number, all but the last four digits hidden.
        to_card: String,
    },
}

/// Everything that whoever gets a program is told, and the program itself.
#[derive(Clone, Debug)]
pub struct ProgramMail {
    /// The issuer's mailbox; its domain is the one of the Message-ID.
    pub from: Party,
    /// The holder of the card.
    pub to: Party,
    /// Language of the recipient.
    pub language: Language,
    /// Without angle brackets; the same for every try, so that a repeat is recognised.
    pub message_id: String,
    /// Date header.
    pub date: SystemTime,
    /// Remittance id, hyphenated.
    pub reference: String,
    /// The sender's display name.
    pub sender: String,
    /// What is sent.
    pub amount: Money,
    /// The sender's words; may be empty.
    pub note: String,
    /// Card number with all but the last four digits hidden.
    pub card_masked: String,
    /// What its program does with that card.
    pub purpose: Purpose,
    /// Pick-up limit, seconds since 1970-01-01 UTC.
    pub expires: i64,
    /// The issuer's DNS name.
    pub issuer: String,
    /// Where the claim code is entered.
    pub claim_url: String,
    /// Fetches the same bytes when a gateway removed the attachment.
    pub claim_code: String,
    /// The signed program.
    pub program: Vec<u8>,
}

/// Why a mail could not be written. None of these is worth a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// A field holds a control character such as a line break, which could forge a header.
    #[error("a line break or control character in {0}")]
    ControlCharacter(&'static str),
    /// A field is longer than a mail should carry.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// Not a mail address (RFC 5321).
    #[error("{0} is not a mail address")]
    Address(&'static str),
    /// The expiry is outside the years a calendar shows.
    #[error("the expiry is not a date")]
    Date,
    /// The message could not be put together; our bug.
    #[error("the message could not be built")]
    Build,
}

impl ComposeError {
    /// Stable code for logs and the order's mail status.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ControlCharacter(_) => "E_MAIL_CONTROL",
            Self::TooLong(_) => "E_MAIL_TOO_LONG",
            Self::Address(_) => "E_MAIL_ADDRESS",
            Self::Date => "E_MAIL_DATE",
            Self::Build => "E_MAIL_BUILD",
        }
    }
}

/// Texts of one mail, filled in once and rendered as text and as HTML, so that both say the same.
struct Facts<'a> {
    to_name: &'a str,
    sender: &'a str,
    amount: String,
    card: &'a str,
    to_card: &'a str,
    note: &'a str,
    expires: String,
    reference: &'a str,
    file: String,
    claim_url: &'a str,
    claim_code: &'a str,
    issuer: &'a str,
}

macro_rules! pages {
    ($($name:ident = $path:literal { $($field:ident),* })*) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            $($field: &'a str,)*
        }

        impl<'a> From<&'a Facts<'a>> for $name<'a> {
            fn from(facts: &'a Facts<'a>) -> Self {
                Self {
                    $($field: &facts.$field,)*
                }
            }
        }
    )*};
}

pages! {
    TextEn = "program.en.txt"
        { to_name, sender, amount, card, note, expires, reference, file, claim_url, claim_code, issuer }
    TextJa = "program.ja.txt"
        { to_name, sender, amount, card, note, expires, reference, file, claim_url, claim_code, issuer }
    HtmlEn = "program.en.html"
        { to_name, sender, amount, card, note, expires, reference, file, claim_url, claim_code, issuer }
    HtmlJa = "program.ja.html"
        { to_name, sender, amount, card, note, expires, reference, file, claim_url, claim_code, issuer }
    DebitTextEn = "debit.en.txt"
        { to_name, amount, card, to_card, note, expires, reference, file, claim_url, claim_code, issuer }
    DebitTextJa = "debit.ja.txt"
        { to_name, amount, card, to_card, note, expires, reference, file, claim_url, claim_code, issuer }
    DebitHtmlEn = "debit.en.html"
        { to_name, amount, card, to_card, note, expires, reference, file, claim_url, claim_code, issuer }
    DebitHtmlJa = "debit.ja.html"
        { to_name, amount, card, to_card, note, expires, reference, file, claim_url, claim_code, issuer }
}

/// `Auto-Submitted: auto-generated` (RFC 3834 section 5), so that holiday replies stay away.
#[derive(Clone)]
pub(crate) struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

/// ASCII name of the attachment: `tegata-` and the last eight digits of the reference.
///
/// The tail of a time-ordered id is its random part, so names of one day differ.
#[must_use]
pub fn file_name(reference: &str) -> String {
    let tail: String = reference
        .chars()
        .rev()
        .filter(char::is_ascii_alphanumeric)
        .take(8)
        .collect();
    format!("tegata-{}.tegata", tail.chars().rev().collect::<String>())
}

/// Writes the mail: multipart/mixed of an alternative (text, then HTML with the same facts) and
/// the program as a base64 attachment (RFC 2045, RFC 2046).
///
/// # Errors
/// [`ComposeError`]; the caller marks the outbox row as failed for good.
pub fn compose(mail: &ProgramMail) -> Result<Vec<u8>, ComposeError> {
    check_text(&[
        ("the issuer's mail name", &mail.from.name),
        ("the issuer's mail address", &mail.from.address),
        ("the recipient's name", &mail.to.name),
        ("the recipient's address", &mail.to.address),
        ("the message id", &mail.message_id),
        ("the reference", &mail.reference),
        ("the sender's name", &mail.sender),
        ("the note", &mail.note),
        ("the card number", &mail.card_masked),
        ("the issuer", &mail.issuer),
        ("the claim address", &mail.claim_url),
        ("the claim code", &mail.claim_code),
    ])?;
    let facts = facts(mail)?;
    check_text(&[("the recipient's card number", facts.to_card)])?;
    let (text, html, subject) = match (&mail.purpose, mail.language) {
        (Purpose::Debit { .. }, Language::En) => (
            DebitTextEn::from(&facts).render(),
            DebitHtmlEn::from(&facts).render(),
            format!("Pay {} with your card", facts.amount),
        ),
        (Purpose::Debit { .. }, Language::Ja) => (
            DebitTextJa::from(&facts).render(),
            DebitHtmlJa::from(&facts).render(),
            format!("カードでのお支払い {}", facts.amount),
        ),
        (Purpose::Credit, Language::En) => (
            TextEn::from(&facts).render(),
            HtmlEn::from(&facts).render(),
            format!("{} from {}", facts.amount, facts.sender),
        ),
        (Purpose::Credit, Language::Ja) => (
            TextJa::from(&facts).render(),
            HtmlJa::from(&facts).render(),
            format!("{} 様から {}", facts.sender, facts.amount),
        ),
    };
    let text = text.map_err(|_| ComposeError::Build)?;
    let html = html.map_err(|_| ComposeError::Build)?;
    let media_type = ContentType::parse("application/vnd.tegata.program+wasm")
        .map_err(|_| ComposeError::Build)?;
    let message = Message::builder()
        .from(mailbox(&mail.from, "the sender address")?)
        .to(mailbox(&mail.to, "the recipient address")?)
        .subject(subject)
        .date(mail.date)
        .message_id(Some(format!("<{}>", mail.message_id)))
        .header(AutoSubmitted)
        .multipart(
            MultiPart::mixed()
                .multipart(MultiPart::alternative_plain_html(text, html))
                .singlepart(
                    Attachment::new(facts.file.clone()).body(mail.program.clone(), media_type),
                ),
        )
        .map_err(|_| ComposeError::Build)?;
    Ok(message.formatted())
}

/// Seconds since 1970 as `2026-11-20 12:00 UTC`.
pub(crate) fn minute(seconds: i64) -> Result<String, ComposeError> {
    let at = Timestamp::from_second(seconds).map_err(|_| ComposeError::Date)?;
    let zoned = at.to_zoned(TimeZone::UTC);
    Ok(zoned.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn facts(mail: &ProgramMail) -> Result<Facts<'_>, ComposeError> {
    let expires = minute(mail.expires)?;
    Ok(Facts {
        to_name: &mail.to.name,
        sender: &mail.sender,
        amount: mail.amount.to_string(),
        card: &mail.card_masked,
        to_card: match &mail.purpose {
            Purpose::Credit => "",
            Purpose::Debit { to_card } => to_card,
        },
        note: &mail.note,
        expires,
        reference: &mail.reference,
        file: file_name(&mail.reference),
        claim_url: &mail.claim_url,
        claim_code: &mail.claim_code,
        issuer: &mail.issuer,
    })
}

/// Holds each named text against what a mail may carry.
pub(crate) fn check_text(fields: &[(&'static str, &str)]) -> Result<(), ComposeError> {
    for (name, text) in fields.iter().copied() {
        if text.chars().any(char::is_control) {
            return Err(ComposeError::ControlCharacter(name));
        }
        if text.chars().count() > TEXT_CHARS_MAX {
            return Err(ComposeError::TooLong(name));
        }
    }
    Ok(())
}

pub(crate) fn mailbox(party: &Party, what: &'static str) -> Result<Mailbox, ComposeError> {
    let address: Address = party
        .address
        .parse()
        .map_err(|_| ComposeError::Address(what))?;
    let name = (!party.name.is_empty()).then(|| party.name.clone());
    Ok(Mailbox::new(name, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders};
    use money::Currency;

    fn mail(language: Language) -> ProgramMail {
        ProgramMail {
            from: Party {
                name: "Town Pay".into(),
                address: "pay@issuer.example".into(),
            },
            to: Party {
                name: "佐藤 花子".into(),
                address: "hanako@home.example".into(),
            },
            language,
            message_id: "019-1@issuer.example".into(),
            date: SystemTime::UNIX_EPOCH,
            reference: "01930000-0000-7000-8000-0000deadbeef".into(),
            sender: "Alice <&> Co".into(),
            amount: Money::new(2_500, Currency::Jpy),
            note: "for lunch".into(),
            card_masked: "**** **** **** 1234".into(),
            purpose: Purpose::Credit,
            expires: 1_764_288_000,
            issuer: "issuer.example".into(),
            claim_url: "https://issuer.example/claim".into(),
            claim_code: "ABCD-EFGH-IJKL".into(),
            program: vec![0, 0x61, 0x73, 0x6d, 0xff, 0x0a],
        }
    }

    fn check(language: Language, subject: &str, text_has: &[&str]) {
        let bytes = compose(&mail(language)).unwrap();
        let parsed = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(parsed.subject(), Some(subject));
        assert_eq!(parsed.message_id(), Some("019-1@issuer.example"));
        assert_eq!(
            parsed.header_raw("Auto-Submitted").map(str::trim),
            Some("auto-generated")
        );
        let text = parsed.body_text(0).unwrap();
        let html = parsed.body_html(0).unwrap();
        for fact in text_has {
            assert!(text.contains(fact), "{fact} missing in {text}");
        }
        for fact in [
            "JPY 2,500",
            "**** **** **** 1234",
            "for lunch",
            "2025-11-28 00:00 UTC",
            "ABCD-EFGH-IJKL",
        ] {
            assert!(text.contains(fact), "{fact} missing in {text}");
            assert!(html.contains(fact), "{fact} missing in {html}");
        }
        assert!(!html.contains("<&>"), "names are escaped in HTML");
        let attachment = parsed.attachment(0).unwrap();
        assert_eq!(attachment.attachment_name(), Some("tegata-deadbeef.tegata"));
        let kind = attachment.content_type().unwrap();
        assert_eq!(
            (kind.ctype(), kind.subtype()),
            ("application", Some("vnd.tegata.program+wasm"))
        );
        assert_eq!(attachment.contents(), &mail(language).program[..]);
    }

    #[test]
    fn an_english_mail_tells_every_fact_in_text_and_html() {
        check(
            Language::En,
            "JPY 2,500 from Alice <&> Co",
            &["sends you JPY 2,500", "say yes"],
        );
    }

    #[test]
    fn a_japanese_mail_tells_every_fact_in_text_and_html() {
        check(
            Language::Ja,
            "Alice <&> Co 様から JPY 2,500",
            &["佐藤 花子 様", "受取期限"],
        );
    }

    #[test]
    fn a_mail_of_a_debit_says_in_either_language_whose_card_pays_for_what() {
        for (language, subject, says) in [
            (
                Language::En,
                "Pay JPY 2,500 with your card",
                "taken off your card",
            ),
            (Language::Ja, "カードでのお支払い JPY 2,500", "引き落とし"),
        ] {
            let mut mail = mail(language);
            mail.purpose = Purpose::Debit {
                to_card: "**** **** **** 9876".into(),
            };
            let bytes = compose(&mail).unwrap();
            let parsed = MessageParser::default().parse(&bytes).unwrap();
            assert_eq!(parsed.subject(), Some(subject));
            let (text, html) = (parsed.body_text(0).unwrap(), parsed.body_html(0).unwrap());
            for fact in [
                says,
                "JPY 2,500",
                "**** **** **** 1234",
                "**** **** **** 9876",
                "for lunch",
                "2025-11-28 00:00 UTC",
                "ABCD-EFGH-IJKL",
            ] {
                assert!(text.contains(fact), "{fact} missing in {text}");
                assert!(html.contains(fact), "{fact} missing in {html}");
            }
            let attachment = parsed.attachment(0).unwrap();
            assert_eq!(attachment.contents(), &mail.program[..]);
            mail.purpose = Purpose::Debit {
                to_card: "1\n2".into(),
            };
            assert_eq!(
                compose(&mail).map_err(ComposeError::code),
                Err("E_MAIL_CONTROL")
            );
        }
    }

    #[test]
    fn an_empty_note_leaves_no_row() {
        let mut mail = mail(Language::En);
        mail.note = String::new();
        let bytes = compose(&mail).unwrap();
        let parsed = MessageParser::default().parse(&bytes).unwrap();
        assert!(!parsed.body_text(0).unwrap().contains("Message"));
    }

    #[test]
    fn line_breaks_in_names_are_refused() {
        for name in [
            "Eve\r\nBcc: all@victim.example",
            "Eve\nX: y",
            "Eve\u{0}",
            "Eve\u{85}",
        ] {
            let mut forged = mail(Language::En);
            forged.sender = name.into();
            assert_eq!(
                compose(&forged),
                Err(ComposeError::ControlCharacter("the sender's name"))
            );
            let mut forged = mail(Language::En);
            forged.to.name = name.into();
            assert_eq!(
                compose(&forged).map_err(ComposeError::code),
                Err("E_MAIL_CONTROL")
            );
        }
    }

    #[test]
    fn the_length_limit_is_exact() {
        let mut long = mail(Language::En);
        long.note = "あ".repeat(TEXT_CHARS_MAX);
        assert!(compose(&long).is_ok());
        long.note.push('あ');
        assert_eq!(compose(&long), Err(ComposeError::TooLong("the note")));
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let mut wrong = mail(Language::En);
        wrong.to.address = "not an address".into();
        assert_eq!(
            compose(&wrong),
            Err(ComposeError::Address("the recipient address"))
        );
    }

    #[test]
    fn the_same_facts_give_the_same_facts_again_under_one_message_id() {
        let first = compose(&mail(Language::En)).unwrap();
        let again = compose(&mail(Language::En)).unwrap();
        let id = |bytes: &[u8]| {
            MessageParser::default()
                .parse(bytes)
                .unwrap()
                .message_id()
                .map(str::to_owned)
        };
        assert_eq!(id(&first), id(&again));
    }
}
