//! What each kind of problem means and what to do next, in every language: a missing one does not compile.

use ledger::Language;
use wire::api::ProblemCode;

/// One kind of problem for whoever reads about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Explained {
    /// In a few words.
    pub(super) title: &'static str,
    /// What has happened.
    pub(super) meaning: &'static str,
    /// What to do about it.
    pub(super) next: &'static str,
}

macro_rules! explanations {
    ($($code:ident: $title:literal, $en:literal, $ja:literal, $en_next:literal, $ja_next:literal;)*) => {
        /// The words about a kind of problem. `$title` is Japanese; the English one is the code's own.
        pub(super) const fn explained(code: ProblemCode, language: Language) -> Explained {
            match (code, language) {
                $((ProblemCode::$code, Language::En) => Explained {
                    title: code.title(), meaning: $en, next: $en_next,
                },
                (ProblemCode::$code, Language::Ja) => Explained {
                    title: $title, meaning: $ja, next: $ja_next,
                },)*
            }
        }
    };
}

explanations! {
    NotFound: "見つかりません",
        "Nothing of this server is at the path.",
        "このパスには何もありません。",
        "Compare the path with the list of operations at /docs.",
        "/docs の一覧でパスをご確認ください。";
    MethodNotAllowed: "使えないメソッドです",
        "The path exists, but not with this method.",
        "パスはありますが、このメソッドには対応していません。",
        "Use a method that the header Allow names.",
        "Allow ヘッダーにあるメソッドをお使いください。";
    RequestTimeout: "時間切れです",
        "The request was not there and answered within ten seconds.",
        "リクエストの受信と処理が10秒以内に終わりませんでした。",
        "Send the same request again, with the same Idempotency-Key: it counts once.",
        "同じ Idempotency-Key で同じリクエストを再送してください。処理は一度だけです。";
    Unauthorized: "認証が必要です",
        "The request carries no token, or one that is unknown, revoked or over.",
        "トークンがないか、無効・失効・期限切れです。",
        "Send Authorization: Bearer with a token that the issuer's office gave out.",
        "窓口で発行されたトークンを Authorization: Bearer で送ってください。";
    ScopeMissing: "権限がありません",
        "The token is known, but was not given out for this.",
        "このトークンにはこの操作の権限がありません。",
        "Use a token with the scope that detail names, or have the office add one.",
        "detail に示された権限を持つトークンを使うか、窓口で発行を受けてください。";
    RateLimited: "回数が多すぎます",
        "More requests came than one caller may send in this time; this one was not carried out.",
        "一定時間内の回数を超えました。このリクエストは処理されていません。",
        "Wait for the seconds that Retry-After names, then send it again.",
        "Retry-After の秒数だけ待ってから再送してください。";
    MediaTypeUnsupported: "対応していない形式です",
        "The body's Content-Type is not the one that this operation takes.",
        "本文の Content-Type がこの操作のものではありません。",
        "Declare the media type that the operation names, mostly application/json.",
        "操作の説明にある形式（多くは application/json）を指定してください。";
    BodyTooLarge: "本文が大きすぎます",
        "The body is longer than any lawful one.",
        "本文が上限を超えています。",
        "Send at most 4,096 bytes.",
        "4,096バイト以内で送ってください。";
    BodyMalformed: "形式が正しくありません",
        "Body, query or path are not what this operation reads: no JSON, an unknown, missing or wrong member, a foreign cursor.",
        "本文・クエリ・パスを読み取れません。JSON でない、不明・不足・誤った項目、他のカーソルなどが考えられます。",
        "Read detail and pointer, compare with /docs, and send it corrected. Nothing was kept under the key.",
        "detail と pointer を確認し、/docs に合わせて修正してください。キーには何も記録されていません。";
    IdempotencyKeyMissing: "Idempotency-Key がありません",
        "A call that moves money or makes a secret came without a usable Idempotency-Key.",
        "資金を動かす、または秘密鍵を作る操作に Idempotency-Key がないか、正しくありません。",
        "Send exactly one key of 1 to 255 visible ASCII characters, a new one for each new wish, such as a UUID.",
        "1〜255文字の可視ASCII文字で、依頼ごとに新しいキー（UUIDなど）を一つだけ送ってください。";
    IdempotencyConflict: "キーは別の依頼で使用済みです",
        "The key already stands for another request of this principal; this one was not carried out.",
        "このキーは別の依頼に使われています。今回の依頼は処理されていません。",
        "Take a new key for a new request. To repeat the earlier one, send exactly what was sent then.",
        "新しい依頼には新しいキーを使ってください。前の依頼を繰り返す場合は同じ内容で送ってください。";
    CurrencyUnknown: "使えない通貨です",
        "The issuer does not keep this currency.",
        "この発行者ではこの通貨を扱っていません。",
        "Order in the issuer's own currency.",
        "発行者の通貨で依頼してください。";
    AmountNotPositive: "金額が正しくありません",
        "The amount is zero or less.",
        "金額が0以下です。",
        "Name at least one minor unit.",
        "最小単位で1以上を指定してください。";
    AmountExponent: "小数の桁が多すぎます",
        "The amount has decimals; it is counted in whole minor units.",
        "金額に小数があります。最小単位の整数で指定します。",
        "Multiply by the currency's factor and send a whole number.",
        "通貨の最小単位に直して整数で送ってください。";
    AmountOverLimit: "上限を超える金額です",
        "The amount is more than one order may have, or than the card can ever hold.",
        "一件の上限、またはカードの上限を超える金額です。",
        "Order less.",
        "金額を減らしてください。";
    NoteTooLong: "メッセージが長すぎます",
        "The note has more than 140 characters.",
        "メッセージが140文字を超えています。",
        "Shorten it.",
        "140文字以内にしてください。";
    ExpiryOutOfRange: "期限が範囲外です",
        "The time to pick up is shorter than a second or longer than 366 days.",
        "受取期限が1秒未満か、366日を超えています。",
        "Send expires_in_s from 1 to 31,622,400, or leave it out.",
        "expires_in_s を1〜31,622,400にするか、省略してください。";
    RecipientAmbiguous: "受取人を一つ指定してください",
        "The order names a card number and a mail address, or neither.",
        "カード番号とメールアドレスの両方があるか、どちらもありません。",
        "Send either recipient_card or recipient_email.",
        "recipient_card か recipient_email のどちらか一方を送ってください。";
    CardNumberMalformed: "カード番号に誤りがあります",
        "The number is not 16 digits with a right check digit.",
        "16桁でないか、検査数字が合いません。",
        "Compare it with the card.",
        "カードの番号をご確認ください。";
    RecipientUnknown: "受取人が見つかりません",
        "Nobody can be sent money by this mail address; why is not told.",
        "このメールアドレスには送金できません。理由はお知らせできません。",
        "Ask the recipient to confirm the address here, then order under a new key; or take the card number.",
        "受取人に確認手続きを依頼し、新しいキーで依頼するか、カード番号をお使いください。";
    CardUnknown: "カードが見つかりません",
        "No card of this number was issued here.",
        "この番号のカードは発行されていません。",
        "Ask the recipient for the number of a card of this issuer.",
        "受取人にこの発行者のカード番号をご確認ください。";
    CardBlocked: "カードは使えません",
        "The card is blocked, or frozen until it is examined.",
        "カードが停止中か、調査のため凍結されています。",
        "Ask the recipient for another card, and order under a new key.",
        "受取人に別のカードを確認し、新しいキーで依頼してください。";
    CardNotActive: "カードはまだ使えません",
        "The card was not given out yet.",
        "カードはまだ交付されていません。",
        "Order again under a new key once the recipient holds the card.",
        "受取人がカードを受け取ってから、新しいキーで依頼してください。";
    SelfRemittance: "ご自身への送金です",
        "Sender and recipient are the same holder.",
        "送金人と受取人が同じです。",
        "Name somebody else's card.",
        "別の方のカードを指定してください。";
    RecipientWithoutAddress: "受取人にメールアドレスがありません",
        "The card's holder has no mail address, so the program cannot be mailed.",
        "受取人のメールアドレスが登録されていないため、送信できません。",
        "Ask the recipient to have one entered at the office, then order under a new key.",
        "受取人に窓口での登録を依頼し、新しいキーで依頼してください。";
    FundingUnavailable: "この支払い元は使えません",
        "No bank is connected here, the sender has no account there, or the named card is no active card of the sender.",
        "銀行が接続されていないか、口座がないか、指定のカードがご自身の有効なカードではありません。",
        "Pay from the account here, or ask the office.",
        "こちらの口座から支払うか、窓口にお問い合わせください。";
    InsufficientFunds: "残高が不足しています",
        "The account or card that pays holds less than the amount.",
        "支払い元の残高が金額に足りません。",
        "Add funds or order less, under a new key: the refusal is kept under this one.",
        "入金するか金額を減らし、新しいキーで依頼してください。このキーでは同じ回答になります。";
    OrderUnknown: "送金が見つかりません",
        "No order of this holder has this id.",
        "この番号の送金はありません。",
        "Take the id from the order's own document; other holders' orders are not shown.",
        "ご自身の送金の id をご確認ください。他の方の送金は表示されません。";
    ProgramUnknown: "支払いファイルはありません",
        "No card pays for this order, or it has paid, or the order has ended.",
        "カード払いでないか、支払い済みか、送金が終了しています。",
        "Look at the order's status.",
        "送金の状態をご確認ください。";
    PreconditionFailed: "状態が変わっています",
        "The order is not what the tag in If-Match stands for any more; nothing was changed.",
        "If-Match のタグが示す状態から変わっています。何も変更されていません。",
        "Read the order again and decide anew; the key may be used again.",
        "送金を読み直して判断してください。同じキーを使えます。";
    NotCancellable: "取り消せません",
        "The order was credited, expired and was returned, or was closed by two persons.",
        "すでに受け取られたか、期限切れで返金されたか、発行者が終了させています。",
        "Read the order; a sender who wants credited money back asks the recipient.",
        "送金の状態をご確認ください。受取済みの金額は受取人にご相談ください。";
    WebhookUrlRefused: "通知先として使えません",
        "The address is not https, or its host is not a public one.",
        "https でないか、公開されたホストではありません。",
        "Read detail, and register an https address that anyone can reach.",
        "detail を確認し、外部から到達できる https のアドレスを登録してください。";
    WebhookTaken: "登録済みの通知先です",
        "This holder has registered the same address; nothing was added.",
        "同じアドレスが登録済みです。何も追加されていません。",
        "Use the endpoint that there is; a lost secret is replaced at its own address.",
        "登録済みの通知先をお使いください。秘密鍵は再発行できます。";
    WebhooksFull: "通知先が多すぎます",
        "This holder has as many endpoints as one may have.",
        "登録できる通知先の数に達しています。",
        "Remove one that is not used any more.",
        "使っていない通知先を削除してください。";
    WebhookUnknown: "通知先が見つかりません",
        "No endpoint of this holder has this id.",
        "この id の通知先はありません。",
        "List the endpoints; one that was removed is gone for good.",
        "一覧をご確認ください。削除したものは元に戻せません。";
    DeadLetterUnknown: "未達の通知が見つかりません",
        "The endpoint has no dead letter of this id: it was sent again, or is no event of this endpoint.",
        "この id の未達の通知はありません。再送済みか、別の通知先のものです。",
        "List the dead letters of the endpoint.",
        "その通知先の未達の一覧をご確認ください。";
    WebhookDisabled: "通知先は停止中です",
        "The endpoint was disabled since it did not answer for long; nothing is sent to it.",
        "長く応答がなかったため停止しています。通知は送られません。",
        "Enable it, then send the event again.",
        "再開してから再送してください。";
    WebhookSecretNotShown: "秘密鍵は再表示できません",
        "The secret that this key made is shown for a day, and only while no other was made; nothing was changed.",
        "このキーで作られた秘密鍵の再表示は24時間以内で、取り替えられるまでです。何も変更されていません。",
        "Take the secret that was made last, or make another under a new key.",
        "最新の秘密鍵を使うか、新しいキーで作り直してください。";
    ClaimUnknown: "引換コードが正しくありません",
        "No remittance waits under this claim code.",
        "この引換コードで受け取れる送金はありません。",
        "Compare it with the mail; once the order has ended its code opens nothing.",
        "メールのコードをご確認ください。終了した送金のコードは使えません。";
    AddressCodeWrong: "コードが正しくありません",
        "No verification of this address waits for this code: it is wrong, used, or older than a day.",
        "コードが違うか、使用済みか、1日以上前のものです。",
        "Compare it with the newest mail, or ask the office for a new one.",
        "最新のメールをご確認いただくか、窓口で再発行を受けてください。";
    AddressTaken: "登録済みのアドレスです",
        "Another holder has verified this address meanwhile; nothing has changed.",
        "このメールアドレスは別の方が確認済みです。何も変更されていません。",
        "Use another address, or ask the office.",
        "別のアドレスを使うか、窓口にお問い合わせください。";
    Unavailable: "現在応答できません",
        "The server cannot decide now. Whether the request was carried out is not known to the caller.",
        "現在処理できません。依頼が処理されたかどうかは確定していません。",
        "Send the same request with the same Idempotency-Key after Retry-After: it counts once.",
        "Retry-After の後に、同じ Idempotency-Key で同じ依頼を再送してください。処理は一度だけです。";
}
