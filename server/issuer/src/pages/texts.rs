//! Every word of the pages, in every language: a missing one does not compile.

use ledger::Language;
use wire::api::ProblemCode;

/// The best of ours for an `Accept-Language` value (RFC 9110 section 12.5.4, order of listing).
pub(super) fn from_accept(value: &str) -> Language {
    let ours = |part: &str| part.trim().get(..2).and_then(Language::from_code);
    value.split(',').find_map(ours).unwrap_or_default()
}

/// The words in a language.
pub(super) const fn texts(language: Language) -> &'static Texts {
    match language {
        Language::En => &EN,
        Language::Ja => &JA,
    }
}

macro_rules! texts {
    ($($key:ident: $en:literal, $ja:literal;)*) => {
        /// The words of one language.
        #[derive(Debug)]
        pub(super) struct Texts { $(pub(super) $key: &'static str,)* }
        const EN: Texts = Texts { $($key: $en,)* };
        const JA: Texts = Texts { $($key: $ja,)* };
    };
}

texts! {
    lang: "en", "ja";
    skip: "Skip to the content", "本文へ移動";
    language: "Language", "言語";
    sign_in: "Sign in", "ログイン";
    sign_out: "Sign out", "ログアウト";
    token: "Your token", "トークン";
    token_hint: "The issuer's office gave it to you with your account.", "口座開設時に発行窓口でお渡ししたものです。";
    token_wrong: "This token is not known.", "このトークンは登録されていません。";
    token_wrong_next: "Check it for missing characters, or ask the office for a new one.", "文字の抜けがないか確かめるか、窓口で再発行を受けてください。";
    claim_link: "Your mail came without its attachment? Enter the claim code here.", "添付ファイルが届かなかった方は、こちらで引換コードを入力してください。";
    orders: "Your remittances", "送金一覧";
    balance: "Balance", "残高";
    new_order: "Send money", "送金する";
    no_orders: "You have not sent anything yet.", "まだ送金はありません。";
    created: "Ordered", "受付日時";
    recipient: "Recipient", "受取人";
    pay_from: "Pay from", "支払い元";
    from_account: "Your account here", "こちらの口座";
    from_bank: "Your bank account", "銀行口座";
    from_card: "Your own card", "ご自身のカード";
    own_card: "Your card's number", "ご自身のカード番号";
    own_card_hint: "Only if your own card pays. You then get a file to open on your Tegata terminal, which takes the amount off the card.", "ご自身のカードで支払う場合のみ。Tegata 端末で開くファイルをお渡しし、そのカードから金額を引き落とします。";
    pay_by_card: "Pay with your card", "カードで支払う";
    pay_by_card_how: "Put your card on the reader of your Tegata terminal and open this file. The recipient gets the mail once your card has paid.", "カードを Tegata 端末のリーダーに置き、このファイルを開いてください。カードでの支払いが済むと受取人にメールが届きます。";
    pay_by_card_file: "Fetch the payment file", "支払いファイルを受け取る";
    how_to_cancel_card: "You can cancel until the recipient picks it up. What your card has paid by then is owed to you and put on a card of yours by the office; if it has paid nothing, nothing is taken.", "受け取られる前であれば取り消せます。すでにカードから支払われた金額はお預かりし、窓口からお客様のカードへ戻します。未払いの場合は引き落とされません。";
    recipient_card: "Recipient's card number or mail address", "受取人のカード番号またはメールアドレス";
    card_hint: "16 digits, as printed on the card, or an address that the recipient has confirmed here.", "カードに記載された16桁の番号、または受取人が確認済みのメールアドレスです。";
    amount: "Amount", "金額";
    note: "Message to the recipient", "受取人へのメッセージ";
    note_hint: "Optional, at most 140 characters.", "任意、140文字まで。";
    status: "Status", "状態";
    older: "Older ones", "以前のもの";
    continue_: "Continue", "次へ";
    back: "Back", "戻る";
    back_to_orders: "Back to your remittances", "送金一覧へ戻る";
    confirm: "Is this right?", "内容の確認";
    fee: "Fee", "手数料";
    no_fee: "none", "なし";
    expires: "Pick up by", "受取期限";
    how_to_cancel: "You can cancel until the recipient picks it up; the money then comes back at once. If nobody picks it up in time, it comes back by itself.", "受け取られる前であれば取り消せ、金額はすぐに戻ります。期限までに受け取られない場合も自動的に戻ります。";
    no_change: "No, change it", "いいえ、修正する";
    yes_send: "Yes, send", "はい、送金する";
    order: "Remittance", "送金";
    mail: "Mail", "メール";
    reference: "Reference", "受付番号";
    cancel: "Cancel this remittance", "この送金を取り消す";
    open: "Waiting to be picked up", "受取待ち";
    invited: "Waiting for the recipient to get a card and confirm the address", "受取人のカード取得とアドレス確認待ち";
    will_invite: "Nobody has confirmed this address with a card yet. The amount is held, and a mail tells the person how to get a card; it is sent on by itself then.", "このメールアドレスはまだカードと結び付いていません。金額をお預かりし、カードの取得方法をメールでご案内します。手続きが済みしだい自動的に送金されます。";
    ordered: "The payment is being fetched from your bank", "銀行からの支払いを手配しています";
    funding_unknown: "Your bank has not answered yet; nothing is sent before it has", "銀行の回答を待っています。確認できるまで送金は行われません";
    funding_failed: "Your bank refused the payment; nothing was taken", "銀行で支払いが拒否されました。引き落としはありません";
    cancelled_unfunded: "Cancelled; nothing was taken", "取り消されました。引き落としはありません";
    expired_unfunded: "Too late; nothing was taken", "期限切れです。引き落としはありません";
    card_ordered: "Your card has not paid yet; open the payment file on your terminal", "カードでの支払い待ちです。端末で支払いファイルを開いてください";
    card_unknown: "It is not known yet whether your card has paid; open the payment file again with that card", "カードで支払われたか確認できていません。同じカードで支払いファイルをもう一度開いてください";
    card_failed: "Closed by the office; what is on your card stays yours", "窓口で終了しました。カードの残高はお客様のものです";
    owed_expired: "Not picked up in time; the amount is owed to you and put on a card of yours", "期限切れです。金額はお預かりし、お客様のカードへ戻します";
    owed_cancelled: "Cancelled; the amount is owed to you and put on a card of yours", "取り消されました。金額はお預かりし、お客様のカードへ戻します";
    refunding: "On its way back to your bank", "銀行へ返金しています";
    commit_sent: "Being picked up", "受取処理中";
    recovering: "Waiting for the recipient's card", "受取人のカードの確認待ち";
    credited: "Received", "受取済み";
    held: "Closed by the office; the money came back", "窓口で終了し返金済み";
    returned_expired: "Not picked up in time; the money came back", "期限切れのため返金済み";
    returned_cancelled: "Cancelled; the money came back", "取消により返金済み";
    mail_queued: "waiting to be sent", "送信待ち";
    mail_sent: "sent", "送信済み";
    mail_failed: "could not be delivered; give the recipient the claim code or ask the office", "配送できませんでした。窓口にお問い合わせください";
    claim: "Fetch your file", "ファイルの受け取り";
    claim_code: "Claim code", "引換コード";
    claim_hint: "It stands in the mail.", "メールに記載されています。";
    address: "Confirm your mail address", "メールアドレスの確認";
    address_email: "Mail address", "メールアドレス";
    address_code: "Code", "確認コード";
    address_verify: "Confirm", "確認する";
    address_done: "Done. Money can now be sent to you by this address.", "確認できました。このメールアドレス宛に送金を受け取れます。";
    fetch: "Fetch the file", "ファイルを受け取る";
    problems: "Problems", "エラーの一覧";
    problems_how: "Every refusal of the API has one of these codes; they never change.", "API の応答にあるエラーコードです。コードは変わりません。";
    problem_code: "Code", "コード";
    problem_status: "HTTP status", "HTTP ステータス";
    problem_meaning: "What it means", "意味";
    problem_next: "What to do next", "対処";
    api: "The API", "API";
    api_how: "What programs can ask of this server. As an OpenAPI document:", "プログラムから利用できる機能です。OpenAPI 文書:";
    api_token: "wants a token", "トークンが必要";
    api_takes: "Takes", "入力";
    api_answers: "Answers", "応答";
    api_required: "required", "必須";
    api_bodies: "Bodies", "本文";
    notice: "That did not work", "処理できませんでした";
    unknown_next: "It is not known whether this went through. Send the same form again: it cannot pay twice.", "処理結果が確認できません。同じ画面からもう一度送信してください。二重に支払われることはありません。";
    code_next: "Compare it with the mail and try again.", "メールの内容をご確認のうえ、もう一度お試しください。";
    nothing_next: "Nothing was changed.", "何も変更されていません。";
    refused_next: "Nothing was sent. Correct it and try again.", "送金は行われていません。修正してもう一度お試しください。";
}

/// What is wrong, in a sentence that a sender can act on.
#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn problem(code: ProblemCode, language: Language) -> &'static str {
    let (en, ja) = match code {
        ProblemCode::Unauthorized => ("Please sign in again.", "もう一度ログインしてください。"),
        ProblemCode::ScopeMissing => (
            "This token may not do this.",
            "このトークンではこの操作はできません。",
        ),
        ProblemCode::RateLimited => (
            "Too many tries. Wait a minute.",
            "回数が多すぎます。1分ほどお待ちください。",
        ),
        ProblemCode::NotFound | ProblemCode::MethodNotAllowed => {
            ("There is no such page.", "このページはありません。")
        }
        ProblemCode::RequestTimeout => (
            "The form took too long to arrive.",
            "送信に時間がかかりすぎました。",
        ),
        ProblemCode::MediaTypeUnsupported
        | ProblemCode::BodyTooLarge
        | ProblemCode::BodyMalformed => (
            "The form was not complete.",
            "入力が正しく送られませんでした。",
        ),
        ProblemCode::IdempotencyKeyMissing => (
            "The form is too old. Begin again.",
            "画面が古くなっています。最初からやり直してください。",
        ),
        ProblemCode::IdempotencyConflict => (
            "This form was already sent with other contents. Begin again.",
            "この画面は別の内容で送信済みです。最初からやり直してください。",
        ),
        ProblemCode::CurrencyUnknown => ("This currency is not offered.", "この通貨は使えません。"),
        ProblemCode::AmountNotPositive => (
            "The amount must be a number above zero.",
            "金額は0より大きい数で入力してください。",
        ),
        ProblemCode::AmountExponent => (
            "The amount has too many decimals.",
            "金額の小数の桁が多すぎます。",
        ),
        ProblemCode::AmountOverLimit => (
            "This is more than a card can hold.",
            "カードの上限を超える金額です。",
        ),
        ProblemCode::NoteTooLong => (
            "The message has more than 140 characters.",
            "メッセージは140文字までです。",
        ),
        ProblemCode::ExpiryOutOfRange => ("The expiry is out of range.", "期限が範囲外です。"),
        ProblemCode::CardNumberMalformed => (
            "This card number has a typing error.",
            "カード番号に誤りがあります。",
        ),
        ProblemCode::RecipientAmbiguous => (
            "Name the recipient by card number or by mail address.",
            "カード番号かメールアドレスのどちらかで受取人を指定してください。",
        ),
        ProblemCode::RecipientUnknown => (
            "Nobody can be reached by this mail address. Ask the recipient to confirm it, or take the card number.",
            "このメールアドレスには送金できません。受取人に確認手続きを依頼するか、カード番号をお使いください。",
        ),
        ProblemCode::AddressCodeWrong => (
            "This code is wrong, used or too old.",
            "コードが違うか、使用済みか、期限切れです。",
        ),
        ProblemCode::AddressTaken => (
            "This address belongs to another holder. Ask the office.",
            "このメールアドレスは別の方が登録済みです。窓口にお問い合わせください。",
        ),
        ProblemCode::CardUnknown => (
            "This card is not known.",
            "このカードは登録されていません。",
        ),
        ProblemCode::CardBlocked | ProblemCode::CardNotActive => (
            "This card cannot receive money at present.",
            "このカードは現在受け取れません。",
        ),
        ProblemCode::SelfRemittance => (
            "This is your own card.",
            "ご自身のカードには送金できません。",
        ),
        ProblemCode::RecipientWithoutAddress => (
            "The holder of this card has no mail address.",
            "受取人のメールアドレスが登録されていません。",
        ),
        ProblemCode::FundingUnavailable => (
            "You cannot pay from there. Choose another, or ask the office.",
            "この支払い元は使えません。別のものを選ぶか、窓口にお問い合わせください。",
        ),
        ProblemCode::InsufficientFunds => ("Your balance is not enough.", "残高が不足しています。"),
        ProblemCode::OrderUnknown => ("There is no such remittance.", "該当する送金はありません。"),
        ProblemCode::ProgramUnknown => (
            "There is no payment file: no card pays for this remittance, it has paid, or the remittance has ended.",
            "支払いファイルはありません。カード払いでないか、支払い済みか、送金が終了しています。",
        ),
        ProblemCode::PreconditionFailed => (
            "The remittance has changed meanwhile. Look at it again.",
            "送金の状態が変わりました。もう一度ご確認ください。",
        ),
        ProblemCode::NotCancellable => (
            "It can no longer be cancelled.",
            "この送金はもう取り消せません。",
        ),
        // of no page
        ProblemCode::WebhookUrlRefused
        | ProblemCode::WebhookTaken
        | ProblemCode::WebhooksFull
        | ProblemCode::WebhookUnknown
        | ProblemCode::DeadLetterUnknown
        | ProblemCode::WebhookDisabled
        | ProblemCode::WebhookSecretNotShown => (
            "The webhook cannot be changed like this.",
            "このWebhookは変更できません。",
        ),
        ProblemCode::ClaimUnknown => (
            "This code is not known, or its remittance has ended.",
            "コードが違うか、送金が終了しています。",
        ),
        ProblemCode::Unavailable => (
            "The service does not answer. Try again later.",
            "現在応答できません。後でお試しください。",
        ),
    };
    match language {
        Language::En => en,
        Language::Ja => ja,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_of_ours_wins() {
        for (value, language) in [
            ("ja-JP,ja;q=0.9,en;q=0.8", Language::Ja),
            ("de, en;q=0.7, ja;q=0.3", Language::En),
            ("fr", Language::En),
            ("", Language::En),
            ("é", Language::En),
        ] {
            assert_eq!(from_accept(value), language, "{value}");
        }
    }
}
