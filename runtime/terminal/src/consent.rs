//! The consent screen: what the person reads before anything runs.
//!
//! Every value comes from the order bytes that the guest will read, the issuer's name from the
//! person's own trust entry. Words of other people stand escaped and between quotes.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use program::{Kind, Order};

use crate::escape;
use crate::hex;
use crate::lang::Lang;
use crate::origin::Access;
use crate::trust::Trusted;

/// The lines of the consent screen, and the question under them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// Title and facts, in reading order.
    pub lines: Vec<String>,
    /// Ends with the possible answers; the default is no.
    pub question: &'static str,
}

/// Renders the consent screen of `order`, signed by `issuer`, with times in `zone`.
#[must_use]
pub fn screen(order: &Order, issuer: &Trusted, zone: &TimeZone, lang: Lang) -> Screen {
    let kind = match order.kind {
        Kind::Credit => lang.pick("credit to your card", "カードへの入金"),
    };
    let trusted = match issuer.origin.access() {
        Access::Public => issuer.name().to_owned(),
        Access::Dev => {
            format!(
                "{} {}",
                issuer.name(),
                lang.pick("(test issuer)", "(試験用の発行者)")
            )
        }
    };
    let note = if order.note.is_empty() {
        lang.pick("none", "なし").to_owned()
    } else {
        escape::quoted(&order.note)
    };
    let fact = |en, ja, value: &str| match lang {
        Lang::En => format!("  {en}: {value}"),
        Lang::Ja => format!("  {ja}: {value}"),
    };
    let title = lang.pick(
        "A remittance for your card; the issuer's signature is good.",
        "あなたのカードへの送金です。発行者の署名を確認しました。",
    );
    Screen {
        lines: vec![
            title.to_owned(),
            fact("Action", "内容", kind),
            fact("Amount", "金額", &order.amount.to_string()),
            fact(
                "Sender, as the issuer states",
                "送金者(発行者による)",
                &escape::quoted(&order.sender),
            ),
            fact("Note from the sender", "送金者のメモ", &note),
            fact("Card", "カード", &escape::shown(&order.card_masked)),
            fact("Receive by", "受取期限", &time(order.expires, zone)),
            fact("Issuer, as you trust it", "発行者(信頼済み)", &trusted),
            fact("Fingerprint", "フィンガープリント", &issuer.fingerprint()),
            fact("Remittance", "送金番号", &hex::id(&order.remittance)),
        ],
        question: question(lang),
    }
}

/// The question under the screen.
#[must_use]
pub fn question(lang: Lang) -> &'static str {
    lang.pick(
        "Run this program and credit the card on the reader? [y/N] ",
        "このプログラムを実行し、リーダー上のカードに入金しますか? [y/N] ",
    )
}

/// A Unix time as people read it, to the minute, with its offset from UTC.
///
/// A time that no calendar shows is given as its number.
#[must_use]
pub fn time(unix_s: u64, zone: &TimeZone) -> String {
    i64::try_from(unix_s)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(
            || unix_s.to_string(),
            |instant| {
                instant
                    .to_zoned(zone.clone())
                    .strftime("%Y-%m-%d %H:%M %:z")
                    .to_string()
            },
        )
}

/// A Unix time in UTC, as RFC 3339 writes it: for documents.
#[must_use]
pub fn utc(unix_s: u64) -> String {
    i64::try_from(unix_s)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| unix_s.to_string(), |instant| instant.to_string())
}

/// Whether the answer of a person means yes; the empty line and everything unknown mean no.
#[must_use]
pub fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "はい")
}
