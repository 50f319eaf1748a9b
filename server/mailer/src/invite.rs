//! The mail to a person without a card: what waits, and how to get a card for it.

use crate::compose::{AutoSubmitted, ComposeError, Party, check_text, mailbox, minute};
use askama::Template;
use lettre::{Message, message::header::ContentType};
use money::Money;
use std::time::SystemTime;

/// Everything that an invited person is told, in English and Japanese: nobody knows the reader's
/// language. The sender's note is left out, so that an invitation carries no words of a stranger but a
/// name.
#[derive(Clone)]
pub struct InviteMail {
    /// The issuer's mailbox; its domain is the one of the Message-ID.
    pub from: Party,
    /// The address that was named.
    pub to: String,
    /// Without angle brackets; the same for every try.
    pub message_id: String,
    /// Date header.
    pub date: SystemTime,
    /// The order's id.
    pub reference: String,
    /// Who sends.
    pub sender: String,
    /// How much.
    pub amount: Money,
    /// From when on it goes back, seconds since 1970-01-01 UTC.
    pub expires: i64,
    /// The issuer's DNS name.
    pub issuer: String,
    /// Where the code is entered that verifies the address.
    pub page_url: String,
}

impl core::fmt::Debug for InviteMail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("InviteMail")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

#[derive(Template)]
#[template(path = "invite.txt")]
struct Text<'a> {
    sender: &'a str,
    amount: &'a str,
    issuer: &'a str,
    page_url: &'a str,
    expires: &'a str,
    reference: &'a str,
}

/// Writes the mail: plain text.
///
/// # Errors
/// [`ComposeError`]; none is worth another try.
pub fn compose_invite(mail: &InviteMail) -> Result<Vec<u8>, ComposeError> {
    check_text(&[
        ("the issuer's mail name", &mail.from.name),
        ("the issuer's mail address", &mail.from.address),
        ("the sender's name", &mail.sender),
        ("the message id", &mail.message_id),
        ("the issuer", &mail.issuer),
        ("the page's address", &mail.page_url),
    ])?;
    let (amount, expires) = (mail.amount.to_string(), minute(mail.expires)?);
    let text = Text {
        sender: &mail.sender,
        amount: &amount,
        issuer: &mail.issuer,
        page_url: &mail.page_url,
        expires: &expires,
        reference: &mail.reference,
    };
    let to = Party {
        name: String::new(),
        address: mail.to.clone(),
    };
    let sender = &mail.sender;
    let message = Message::builder()
        .from(mailbox(&mail.from, "the sender address")?)
        .to(mailbox(&to, "the recipient address")?)
        .subject(format!(
            "{amount} from {sender} waits for you / {sender} 様から {amount}"
        ))
        .date(mail.date)
        .message_id(Some(format!("<{}>", mail.message_id)))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(text.render().map_err(|_| ComposeError::Build)?)
        .map_err(|_| ComposeError::Build)?;
    Ok(message.formatted())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;
    use money::Currency;

    fn mail() -> InviteMail {
        InviteMail {
            from: Party {
                name: "Town Pay".to_owned(),
                address: "pay@issuer.example".to_owned(),
            },
            to: "new@home.example".to_owned(),
            message_id: "019-1@issuer.example".to_owned(),
            date: SystemTime::UNIX_EPOCH,
            reference: "019-1".to_owned(),
            sender: "Alice <&> Co".to_owned(),
            amount: Money::new(2_500, Currency::Jpy),
            expires: 1_764_288_000,
            issuer: "issuer.example".to_owned(),
            page_url: "https://issuer.example/address".to_owned(),
        }
    }

    #[test]
    fn an_invitation_says_in_both_languages_how_to_get_a_card() {
        let bytes = compose_invite(&mail()).unwrap();
        let parsed = MessageParser::default().parse(&bytes).unwrap();
        let subject = "JPY 2,500 from Alice <&> Co waits for you / Alice <&> Co 様から JPY 2,500";
        assert_eq!(parsed.subject(), Some(subject));
        assert_eq!(parsed.message_id(), Some("019-1@issuer.example"));
        let to = parsed.to().and_then(|to| to.first()).unwrap();
        assert_eq!(to.address(), Some("new@home.example"));
        let text = parsed.body_text(0).unwrap();
        let (english, japanese) = text.split_once("----").unwrap();
        for part in [english, japanese] {
            for fact in [
                "Alice <&> Co",
                "JPY 2,500",
                "2025-11-28 00:00 UTC",
                "https://issuer.example/address",
                "issuer.example",
                "019-1",
            ] {
                assert!(part.contains(fact), "{fact} missing in {part}");
            }
        }
        assert!(english.contains("for a card") && japanese.contains("カードを申し込み"));
        assert!(parsed.attachment(0).is_none(), "nothing to open");
    }

    #[test]
    fn an_invitation_with_line_breaks_in_names_is_refused() {
        let mut forged = mail();
        forged.sender = "Eve\r\nBcc: all@victim.example".to_owned();
        let refused = compose_invite(&forged);
        let expected = ComposeError::ControlCharacter("the sender's name");
        assert_eq!(refused, Err(expected));
    }
}
