//! The mail with the code that verifies an address.

use crate::compose::{AutoSubmitted, ComposeError, Language, Party, check_text, mailbox, minute};
use askama::Template;
use lettre::{Message, message::header::ContentType};
use std::time::SystemTime;

/// Everything that the reader of an address is told.
#[derive(Clone)]
pub struct CodeMail {
    /// The issuer's mailbox; its domain is the one of the Message-ID.
    pub from: Party,
    /// The holder at the address to be verified.
    pub to: Party,
    /// Language of the holder.
    pub language: Language,
    /// Without angle brackets; the same for every try.
    pub message_id: String,
    /// Date header.
    pub date: SystemTime,
    /// The issuer's DNS name.
    pub issuer: String,
    /// Where the code is entered.
    pub page_url: String,
    /// The code.
    pub code: String,
    /// Until when it counts, seconds since 1970-01-01 UTC.
    pub expires: i64,
}

impl core::fmt::Debug for CodeMail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CodeMail([redacted])")
    }
}

macro_rules! texts {
    ($($name:ident = $path:literal),*) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            to_name: &'a str,
            issuer: &'a str,
            page_url: &'a str,
            code: &'a str,
            expires: &'a str,
        }

        fn render(mail: &CodeMail, expires: &str) -> Result<String, ComposeError> {
            let text = $name {
                to_name: &mail.to.name,
                issuer: &mail.issuer,
                page_url: &mail.page_url,
                code: &mail.code,
                expires,
            };
            text.render().map_err(|_| ComposeError::Build)
        }
    )*};
}

mod en {
    use super::{CodeMail, ComposeError, Template};
    texts! { Text = "code.en.txt" }
    pub(super) fn text(mail: &CodeMail, expires: &str) -> Result<String, ComposeError> {
        render(mail, expires)
    }
}

mod ja {
    use super::{CodeMail, ComposeError, Template};
    texts! { Text = "code.ja.txt" }
    pub(super) fn text(mail: &CodeMail, expires: &str) -> Result<String, ComposeError> {
        render(mail, expires)
    }
}

/// Writes the mail: plain text, without a link that spends the code.
///
/// # Errors
/// [`ComposeError`]; none is worth another try.
pub fn compose_code(mail: &CodeMail) -> Result<Vec<u8>, ComposeError> {
    check_text(&[
        ("the issuer's mail name", &mail.from.name),
        ("the issuer's mail address", &mail.from.address),
        ("the recipient's name", &mail.to.name),
        ("the message id", &mail.message_id),
        ("the issuer", &mail.issuer),
        ("the page's address", &mail.page_url),
        ("the code", &mail.code),
    ])?;
    let expires = minute(mail.expires)?;
    let (text, subject) = match mail.language {
        Language::En => (
            en::text(mail, &expires)?,
            format!("Your code for {}", mail.issuer),
        ),
        Language::Ja => (
            ja::text(mail, &expires)?,
            format!("{} の確認コード", mail.issuer),
        ),
    };
    let message = Message::builder()
        .from(mailbox(&mail.from, "the sender address")?)
        .to(mailbox(&mail.to, "the recipient address")?)
        .subject(subject)
        .date(mail.date)
        .message_id(Some(format!("<{}>", mail.message_id)))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|_| ComposeError::Build)?;
    Ok(message.formatted())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;

    fn mail(language: Language) -> CodeMail {
        let party = |name: &str, address: &str| Party {
            name: name.to_owned(),
            address: address.to_owned(),
        };
        CodeMail {
            from: party("Town Pay", "pay@issuer.example"),
            to: party("佐藤 花子", "hanako@home.example"),
            language,
            message_id: "019-1@issuer.example".to_owned(),
            date: SystemTime::UNIX_EPOCH,
            issuer: "issuer.example".to_owned(),
            page_url: "https://issuer.example/address".to_owned(),
            code: "ABCD-EFGH".to_owned(),
            expires: 1_764_288_000,
        }
    }

    #[test]
    fn a_code_is_mailed_in_both_languages_with_its_page_and_end() {
        for (language, subject) in [
            (Language::En, "Your code for issuer.example"),
            (Language::Ja, "issuer.example の確認コード"),
        ] {
            let bytes = compose_code(&mail(language)).unwrap();
            let parsed = MessageParser::default().parse(&bytes).unwrap();
            assert_eq!(parsed.subject(), Some(subject));
            assert_eq!(parsed.message_id(), Some("019-1@issuer.example"));
            let text = parsed.body_text(0).unwrap();
            for fact in [
                "佐藤 花子",
                "ABCD-EFGH",
                "https://issuer.example/address",
                "2025-11-28 00:00 UTC",
            ] {
                assert!(text.contains(fact), "{fact} missing in {text}");
            }
            assert!(!text.contains("?"), "no link that spends the code: {text}");
        }
    }

    #[test]
    fn a_code_mail_with_line_breaks_in_names_is_refused() {
        let mut forged = mail(Language::En);
        forged.to.name = "Eve\r\nBcc: all@victim.example".to_owned();
        let refused = compose_code(&forged);
        assert_eq!(
            refused,
            Err(ComposeError::ControlCharacter("the recipient's name"))
        );
    }
}
