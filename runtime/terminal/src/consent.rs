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
        Kind::Debit => lang.pick("pays out of your card", "カードからの支払い"),
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
    let title = match order.kind {
        Kind::Credit => lang.pick(
            "A remittance for your card; the issuer's signature is good.",
            "あなたのカードへの送金です。発行者の署名を確認しました。",
        ),
        Kind::Debit => lang.pick(
            "A payment out of your card; the issuer's signature is good.",
            "あなたのカードからの支払いです。発行者の署名を確認しました。",
        ),
    };
    let until = match order.kind {
        Kind::Credit => ("Receive by", "受取期限"),
        Kind::Debit => ("Pay by", "支払期限"),
    };
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
            fact(until.0, until.1, &time(order.expires, zone)),
            fact("Issuer, as you trust it", "発行者(信頼済み)", &trusted),
            fact("Fingerprint", "フィンガープリント", &issuer.fingerprint()),
            fact("Remittance", "送金番号", &hex::id(&order.remittance)),
        ],
        question: question(order.kind, lang),
    }
}

/// The question under the screen.
#[must_use]
pub fn question(kind: Kind, lang: Lang) -> &'static str {
    match kind {
        Kind::Credit => lang.pick(
            "Run this program and credit the card on the reader? [y/N] ",
            "このプログラムを実行し、リーダー上のカードに入金しますか? [y/N] ",
        ),
        Kind::Debit => lang.pick(
            "Run this program and take the amount off the card on the reader? [y/N] ",
            "このプログラムを実行し、リーダー上のカードから金額を引き落としますか? [y/N] ",
        ),
    }
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

#[cfg(test)]
mod tests {
    use super::{is_yes, question, screen, time, utc};
    use crate::lang::Lang;
    use crate::origin::{Access, Origin};
    use crate::trust::Trusted;
    use ed25519_dalek::SigningKey;
    use jiff::tz::TimeZone;
    use money::{Amount, Currency};
    use program::{Kind, Order};
    use wire::descriptor::Descriptor;

    const NINE_HOURS_EAST: &str = "Asia/Tokyo";

    fn issuer(access: Access) -> Trusted {
        let root = SigningKey::from_bytes(&[1; 32]);
        let descriptor = Descriptor {
            issuer: "pay.example.org".to_owned(),
            root: root.verifying_key().to_bytes(),
            issued_at: 0,
            keys: Vec::new(),
        };
        let address = match access {
            Access::Public => "pay.example.org",
            Access::Dev => "http://localhost:8080",
        };
        let origin = Origin::parse(address, access).unwrap();
        Trusted::first_contact(origin, descriptor.sign(&root).unwrap(), 0).unwrap()
    }

    fn order() -> Order {
        Order {
            kind: Kind::Credit,
            issuer: "pay.example.org".to_owned(),
            remittance: [0x1f; 16],
            revision: 1,
            card_masked: "**** **** **** 1234".to_owned(),
            card_binding: [0; 32],
            amount: Amount::new(2500, Currency::Jpy).unwrap(),
            sender: "山田 太郎".to_owned(),
            note: "昼食代".to_owned(),
            created: 1_790_000_000,
            expires: 1_790_604_800,
            template_hash: [0; 32],
            claim_token: [0; 32],
        }
    }

    fn lines(order: &Order, access: Access, lang: Lang) -> Vec<String> {
        let zone = TimeZone::get(NINE_HOURS_EAST).unwrap();
        screen(order, &issuer(access), &zone, lang).lines
    }

    #[test]
    fn the_english_screen_says_who_sends_how_much_to_which_card_until_when() {
        assert_eq!(
            lines(&order(), Access::Public, Lang::En),
            [
                "A remittance for your card; the issuer's signature is good.",
                "  Action: credit to your card",
                "  Amount: JPY 2,500",
                "  Sender, as the issuer states: \"山田 太郎\"",
                "  Note from the sender: \"昼食代\"",
                "  Card: **** **** **** 1234",
                "  Receive by: 2026-09-28 23:13 +09:00",
                "  Issuer, as you trust it: pay.example.org",
                "  Fingerprint: GR2Q-7GF5-LH6P-ZFDN",
                "  Remittance: 1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f",
            ]
        );
    }

    #[test]
    fn the_japanese_screen_says_the_same() {
        assert_eq!(
            lines(&order(), Access::Dev, Lang::Ja),
            [
                "あなたのカードへの送金です。発行者の署名を確認しました。",
                "  内容: カードへの入金",
                "  金額: JPY 2,500",
                "  送金者(発行者による): \"山田 太郎\"",
                "  送金者のメモ: \"昼食代\"",
                "  カード: **** **** **** 1234",
                "  受取期限: 2026-09-28 23:13 +09:00",
                "  発行者(信頼済み): pay.example.org (試験用の発行者)",
                "  フィンガープリント: GR2Q-7GF5-LH6P-ZFDN",
                "  送金番号: 1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f",
            ]
        );
    }

    #[test]
    fn a_debit_says_in_every_line_that_the_card_pays() {
        let debit = Order {
            kind: Kind::Debit,
            ..order()
        };
        let english = lines(&debit, Access::Public, Lang::En);
        assert_eq!(
            english[..3],
            [
                "A payment out of your card; the issuer's signature is good.",
                "  Action: pays out of your card",
                "  Amount: JPY 2,500",
            ]
        );
        assert!(english.contains(&"  Pay by: 2026-09-28 23:13 +09:00".to_owned()));
        let japanese = lines(&debit, Access::Public, Lang::Ja);
        assert_eq!(japanese[1], "  内容: カードからの支払い");
        for lang in [Lang::En, Lang::Ja] {
            assert_ne!(question(Kind::Credit, lang), question(Kind::Debit, lang));
        }
    }

    #[test]
    fn a_hostile_note_stays_on_its_line_between_its_quotes() {
        let note = "x\" \r\n  Amount: JPY 1\n\u{1b}[2JRun? [y/N] y\u{202e}".to_owned();
        let hostile = Order { note, ..order() };
        let lines = lines(&hostile, Access::Public, Lang::En);
        assert_eq!(lines.len(), 10);
        assert_eq!(
            lines[4],
            "  Note from the sender: \"x\\\" \\u{d}\\u{a}  Amount: JPY 1\\u{a}\\u{1b}[2JRun? \
             [y/N] y\\u{202e}\""
        );
    }

    #[test]
    fn only_a_spoken_yes_is_one() {
        for (answer, yes) in [
            ("y\n", true),
            (" YES ", true),
            ("はい\n", true),
            ("", false),
            ("\n", false),
            ("n", false),
            ("yy", false),
            ("ok", false),
        ] {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }

    #[test]
    fn times_that_no_calendar_shows_are_numbers() {
        assert_eq!(time(u64::MAX, &TimeZone::UTC), u64::MAX.to_string());
        assert_eq!(utc(u64::MAX), u64::MAX.to_string());
        assert_eq!(utc(1_790_000_000), "2026-09-21T14:13:20Z");
    }
}
