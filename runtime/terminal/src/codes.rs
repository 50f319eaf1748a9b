//! Every stable code that a person can meet, with its exit status and its two sentences: what
//! happened, and what to do next, in both languages. `docs/terminal.md` lists the same rows.

use crate::exit::Exit;
use crate::lang::Lang;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// The stable code, `E_…`.
    pub code: &'static str,
    /// The exit status that goes with it.
    pub exit: Exit,
    /// What happened: English, Japanese.
    what: [&'static str; 2],
    /// What to do next: English, Japanese.
    next: [&'static str; 2],
}

impl Explanation {
    /// One sentence: what happened.
    #[must_use]
    pub fn what(&self, lang: Lang) -> &'static str {
        let [en, ja] = self.what;
        lang.pick(en, ja)
    }

    /// One sentence: what to do next.
    #[must_use]
    pub fn next(&self, lang: Lang) -> &'static str {
        let [en, ja] = self.next;
        lang.pick(en, ja)
    }
}

/// The row of `code`, if this version knows it.
#[must_use]
pub fn explain(code: &str) -> Option<&'static Explanation> {
    TABLE.iter().find(|row| row.code == code)
}

/// All rows, in the order of the exit statuses.
#[must_use]
pub fn table() -> &'static [Explanation] {
    TABLE
}

const fn row(
    code: &'static str,
    exit: Exit,
    what: [&'static str; 2],
    next: [&'static str; 2],
) -> Explanation {
    Explanation {
        code,
        exit,
        what,
        next,
    }
}

const ASK_ISSUER: [&str; 2] = [
    "Ask the issuer what happened to this order.",
    "発行者に、この送金がどうなったかお問い合わせください。",
];
const ASK_SENDER: [&str; 2] = ["Ask the sender about it.", "送金者にお問い合わせください。"];
const DO_NOT_TRUST: [&str; 2] = [
    "Do not use this file; fetch the program again from the mail or by its claim code.",
    "このファイルは使わず、メールまたは受取コードから取り直してください。",
];
const RUN_AGAIN: [&str; 2] = [
    "Run the same command again; nothing is credited twice.",
    "同じコマンドをもう一度実行してください。二重に入金されることはありません。",
];
const RUN_AGAIN_LATER: [&str; 2] = [
    "Check the connection and run the same command again; the program is not used up.",
    "接続を確認して、同じコマンドをもう一度実行してください。プログラムは何度でも使えます。",
];
const SAME_CARD_AGAIN: [&str; 2] = [
    "Run the same command again with the same card; it settles the matter and credits at most once.",
    "同じカードで同じコマンドをもう一度実行してください。結果が確定し、入金は一度だけです。",
];
const CARD_AGAIN: [&str; 2] = [
    "Place the card on the reader, keep it there, and run the same command again.",
    "カードをリーダーに置いたまま、同じコマンドをもう一度実行してください。",
];
const CHECK_STATE: [&str; 2] = [
    "Check free space and permissions of the state folder, then run the command again.",
    "状態フォルダーの空き容量と権限を確認して、もう一度実行してください。",
];

static TABLE: &[Explanation] = &[
    // 1: this computer
    row(
        "E_INPUT",
        Exit::Failed,
        [
            "The file could not be read.",
            "ファイルを読み取れませんでした。",
        ],
        [
            "Check the path; a pipe is read with `-`.",
            "パスを確認してください。パイプは `-` で読み込みます。",
        ],
    ),
    row(
        "E_STATE",
        Exit::Failed,
        [
            "The terminal's own records could not be read or written.",
            "端末の記録を読み書きできませんでした。",
        ],
        CHECK_STATE,
    ),
    row(
        "E_STATE_OWNER",
        Exit::Failed,
        [
            "The state folder belongs to another user, or others may write to it.",
            "状態フォルダーが別のユーザーのものであるか、他のユーザーが書き込める状態です。",
        ],
        [
            "Make the folder your own with mode 0700, or name another one with `--state`.",
            "フォルダーの所有者を自分にしてモード 0700 にするか、`--state` で別のフォルダーを指定してください。",
        ],
    ),
    row(
        "E_LOG",
        Exit::Failed,
        [
            "The run log was altered, or records are missing.",
            "実行ログが変更されたか、記録が欠けています。",
        ],
        [
            "Keep the log folder as it is and find out who changed it; opening programs still works.",
            "ログのフォルダーをそのまま保管し、変更した人を確認してください。プログラムを開くことはできます。",
        ],
    ),
    row(
        "E_ALREADY_RUNNING",
        Exit::Failed,
        [
            "This program is already open in another window.",
            "このプログラムは別のウィンドウで実行中です。",
        ],
        [
            "Finish there first, then run the command again.",
            "そちらを終えてから、もう一度実行してください。",
        ],
    ),
    row(
        "E_RUNNER",
        Exit::Failed,
        [
            "The sandbox process could not be started or died.",
            "サンドボックスのプロセスを開始できないか、異常終了しました。",
        ],
        RUN_AGAIN,
    ),
    row(
        "E_WALLS",
        Exit::Failed,
        [
            "This system lacks walls around the sandbox that you require.",
            "必須と指定されたサンドボックスの壁が、このシステムに欠けています。",
        ],
        [
            "`tegata doctor` says which; `--walls accept` runs behind those that there are.",
            "`tegata doctor` で欠けている壁を確認できます。`--walls accept` なら現在ある壁だけで実行します。",
        ],
    ),
    row(
        "E_RECEIPT",
        Exit::Failed,
        [
            "The program ended without a receipt that this issuer signed for this order.",
            "この送金に対する発行者の署名付き受領証なしにプログラムが終了しました。",
        ],
        RUN_AGAIN,
    ),
    row(
        "E_RECEIPT_UNKNOWN",
        Exit::Failed,
        [
            "No such receipt is stored here.",
            "その受領証はここにありません。",
        ],
        [
            "`tegata receipt` lists the stored ones.",
            "`tegata receipt` で一覧を表示できます。",
        ],
    ),
    row(
        "E_RECEIPT_AMBIGUOUS",
        Exit::Failed,
        [
            "Receipts of several issuers with this number are stored here.",
            "同じ番号の受領証が複数の発行者のものとして保存されています。",
        ],
        [
            "Name the file in `receipts/` of the state folder, or list all with `tegata receipt`.",
            "状態フォルダーの `receipts/` にあるファイルを指定するか、`tegata receipt` で一覧を表示してください。",
        ],
    ),
    row(
        "E_PROGRAM_FAILED",
        Exit::Failed,
        [
            "The program ended without a result.",
            "プログラムは結果を出さずに終了しました。",
        ],
        RUN_AGAIN,
    ),
    row(
        "E_CONFORMANCE",
        Exit::Failed,
        [
            "A case of the conformance suite did not end as it must.",
            "適合試験のいずれかが、定められた結果になりませんでした。",
        ],
        [
            "Do not open programs with this terminal; report the named cases to whoever gave it to you.",
            "この端末でプログラムを開かず、示された試験番号を提供元にお知らせください。",
        ],
    ),
    row(
        "E_FAILED",
        Exit::Failed,
        ["The command failed.", "コマンドは失敗しました。"],
        RUN_AGAIN,
    ),
    // 2: command line
    row(
        "E_READER_SPEC",
        Exit::Usage,
        [
            "The reader is not named in a form this terminal knows.",
            "リーダーの指定形式が正しくありません。",
        ],
        [
            "Write `emulated:PATH`, `pcsc` or `pcsc:NAME`.",
            "`emulated:パス`、`pcsc`、`pcsc:名前` のいずれかで指定してください。",
        ],
    ),
    row(
        "E_ORIGIN",
        Exit::Usage,
        [
            "This is not an address at which an issuer can be trusted.",
            "発行者として信頼できるアドレスではありません。",
        ],
        [
            "Give a DNS name or its https address; plain http works only on this computer, with --dev.",
            "DNS 名か https のアドレスを指定してください。http は、このコンピューター上でのみ --dev を付けて使えます。",
        ],
    ),
    // 3: consent
    row(
        "E_DECLINED",
        Exit::Declined,
        [
            "You declined; nothing was sent and nothing ran.",
            "辞退されました。何も送信も実行もしていません。",
        ],
        [
            "Open the program again if you change your mind, until it expires.",
            "気が変わったら、有効期限までにもう一度開いてください。",
        ],
    ),
    row(
        "E_NO_CONSENT",
        Exit::Declined,
        [
            "Consent is needed and there is no terminal to ask on.",
            "同意が必要ですが、確認できる端末がありません。",
        ],
        [
            "Run it in a terminal window, or add --yes.",
            "端末ウィンドウで実行するか、--yes を付けてください。",
        ],
    ),
    // 4: not a program that may run
    row(
        "E_SIZE",
        Exit::NotValid,
        [
            "The file is larger than a program or mail may be.",
            "ファイルが大きすぎます。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_FORMAT",
        Exit::NotValid,
        [
            "The file is neither a remittance program nor a mail.",
            "ファイルは送金プログラムでもメールでもありません。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_NO_PROGRAM",
        Exit::NotValid,
        [
            "The mail holds no remittance program.",
            "メールに送金プログラムが添付されていません。",
        ],
        [
            "A mail gateway may have removed it; fetch it by the claim code in the mail.",
            "メールの経路で削除された可能性があります。メールの受取コードで取得してください。",
        ],
    ),
    row(
        "E_SEVERAL_PROGRAMS",
        Exit::NotValid,
        [
            "The mail holds several programs, and none is chosen for you.",
            "メールに複数のプログラムがあり、自動では選びません。",
        ],
        [
            "Save the one you mean and open that file.",
            "目的のものを保存して、そのファイルを開いてください。",
        ],
    ),
    row(
        "E_SIG_FORM",
        Exit::NotValid,
        [
            "The signature section does not have the only form that is accepted.",
            "署名部の形式が正しくありません。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_SIG",
        Exit::NotValid,
        [
            "The file is not what the issuer signed.",
            "ファイルは発行者が署名した内容と一致しません。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_KEY_UNKNOWN",
        Exit::NotValid,
        [
            "The program is signed by a key that no trusted issuer lists.",
            "信頼済みの発行者の鍵で署名されていません。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_KEY_PURPOSE",
        Exit::NotValid,
        [
            "The signing key is not meant for programs.",
            "署名鍵はプログラム用ではありません。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_KEY_REVOKED",
        Exit::NotValid,
        [
            "The issuer has revoked the key that signed this program.",
            "署名鍵は発行者により失効されています。",
        ],
        ASK_SENDER,
    ),
    row(
        "E_KEY_TIME",
        Exit::NotValid,
        [
            "The signing key is not valid today.",
            "署名鍵は現在有効ではありません。",
        ],
        [
            "Check this computer's clock; if it is right, ask the sender.",
            "時計を確認し、正しければ送金者にお問い合わせください。",
        ],
    ),
    row(
        "E_ORDER_FORM",
        Exit::NotValid,
        [
            "The order inside the program is malformed.",
            "プログラム内の送金内容の形式が正しくありません。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_MANIFEST",
        Exit::NotValid,
        [
            "The order inside the program breaks the rules for orders.",
            "プログラム内の送金内容が規則に反しています。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_ISSUER",
        Exit::NotValid,
        [
            "The program names another issuer than the one whose key signed it.",
            "プログラムに書かれた発行者と署名した発行者が異なります。",
        ],
        DO_NOT_TRUST,
    ),
    row(
        "E_VERSION",
        Exit::NotValid,
        [
            "The program is of a version that this terminal does not know.",
            "この端末が対応していない版のプログラムです。",
        ],
        ["Update the terminal.", "端末を更新してください。"],
    ),
    row(
        "E_KIND",
        Exit::NotValid,
        [
            "The program wants something else than to credit a card, and this terminal does not do that.",
            "カードへの入金以外を行うプログラムで、この端末は対応していません。",
        ],
        ["Update the terminal.", "端末を更新してください。"],
    ),
    row(
        "E_TIME",
        Exit::NotValid,
        [
            "By this computer's clock the program has expired or is not valid yet, by more than a day.",
            "この端末の時計では、プログラムは期限切れか、まだ有効ではありません(一日以上の差)。",
        ],
        [
            "Check the clock; an expired amount has gone back to the sender.",
            "時計を確認してください。期限切れの金額は送金者に戻されています。",
        ],
    ),
    row(
        "E_ORDER_CONFLICT",
        Exit::NotValid,
        [
            "Another program with the same order number and revision was opened here before.",
            "同じ番号・同じ改訂の別のプログラムが以前に開かれています。",
        ],
        [
            "Open the first one, or ask the issuer which one is right.",
            "最初のものを開くか、発行者にお問い合わせください。",
        ],
    ),
    row(
        "E_POLICY",
        Exit::NotValid,
        [
            "The program breaks the rules of the sandbox; it was stopped or never started.",
            "プログラムがサンドボックスの規則に反したため、開始しないか停止しました。",
        ],
        DO_NOT_TRUST,
    ),
    // 5: trust
    row(
        "E_ISSUER_UNTRUSTED",
        Exit::Untrusted,
        [
            "You have not yet said that you trust the issuer this program names.",
            "このプログラムの発行者はまだ信頼されていません。",
        ],
        [
            "If you know this issuer, run `tegata trust add` with its name and compare the fingerprint.",
            "発行者をご存じなら `tegata trust add` に名前を付けて実行し、フィンガープリントを照合してください。",
        ],
    ),
    row(
        "E_FINGERPRINT",
        Exit::Untrusted,
        [
            "The issuer's fingerprint is not the one you gave.",
            "発行者のフィンガープリントが一致しません。",
        ],
        [
            "Compare again with the card or leaflet; if it still differs, do not trust this address.",
            "カードや案内書と照合し、それでも異なる場合は信頼しないでください。",
        ],
    ),
    row(
        "E_ROOT_CHANGED",
        Exit::Untrusted,
        [
            "The issuer now presents another root key than the one you trusted.",
            "発行者の根の鍵が、信頼したものと異なります。",
        ],
        [
            "Ask the issuer by another way before you trust anything new.",
            "新たに信頼する前に、別の手段で発行者に確認してください。",
        ],
    ),
    row(
        "E_NOT_TRUSTED",
        Exit::Untrusted,
        [
            "No issuer of this name is trusted here.",
            "この名前の発行者は信頼済みではありません。",
        ],
        [
            "See the names with `tegata trust list`.",
            "`tegata trust list` で名前を確認してください。",
        ],
    ),
    row(
        "E_DESCRIPTOR",
        Exit::Untrusted,
        [
            "The issuer's list of keys is malformed, not signed by its root, or names someone else.",
            "発行者の鍵一覧が不正です。",
        ],
        [
            "Check the address; if it is right, tell the issuer.",
            "アドレスを確認し、正しければ発行者にお知らせください。",
        ],
    ),
    // 6: card and reader
    row(
        "E_READER_NONE",
        Exit::Card,
        [
            "No card reader was found.",
            "カードリーダーが見つかりません。",
        ],
        [
            "Connect a reader, or name one with --reader.",
            "リーダーを接続するか、--reader で指定してください。",
        ],
    ),
    row(
        "E_READER_NO_CARD",
        Exit::Card,
        [
            "There is no card on the reader.",
            "リーダーにカードがありません。",
        ],
        CARD_AGAIN,
    ),
    row(
        "E_READER_SEVERAL_CARDS",
        Exit::Card,
        [
            "More than one card is on the readers.",
            "複数のカードが検出されました。",
        ],
        [
            "Leave only the card that is to be credited, and run the command again.",
            "入金するカードだけを残して、もう一度実行してください。",
        ],
    ),
    row(
        "E_READER_REMOVED",
        Exit::Card,
        [
            "The card was taken away too early; nothing was credited.",
            "カードが途中で離れました。入金は行われていません。",
        ],
        CARD_AGAIN,
    ),
    row(
        "E_READER_BUSY",
        Exit::Card,
        [
            "Another program is using the card.",
            "カードは別のプログラムで使用中です。",
        ],
        [
            "Close the other program and run the command again.",
            "別のプログラムを終了して、もう一度実行してください。",
        ],
    ),
    row(
        "E_READER_SERVICE",
        Exit::Card,
        [
            "The card reader service of this computer does not answer.",
            "カードリーダーサービスが応答しません。",
        ],
        [
            "Start the service (pcscd) and run the command again.",
            "サービス(pcscd)を開始して、もう一度実行してください。",
        ],
    ),
    row(
        "E_READER_TIMEOUT",
        Exit::Card,
        [
            "The card did not answer in time.",
            "カードが時間内に応答しませんでした。",
        ],
        CARD_AGAIN,
    ),
    row(
        "E_READER_FAILED",
        Exit::Card,
        [
            "The card reader failed.",
            "カードリーダーでエラーが発生しました。",
        ],
        CARD_AGAIN,
    ),
    row(
        "E_CARD_FILE_MISSING",
        Exit::Card,
        [
            "There is no emulated card at this path.",
            "このパスに試験用カードがありません。",
        ],
        [
            "Make one with `tegata-card new`, or correct --reader.",
            "`tegata-card new` で作成するか、--reader を確認してください。",
        ],
    ),
    row(
        "E_CARD_UNSUPPORTED",
        Exit::Card,
        [
            "This card cannot be used for remittances.",
            "このカードは送金に使えません。",
        ],
        [
            "Use the card that the issuer gave you.",
            "発行者から受け取ったカードを使ってください。",
        ],
    ),
    // 7: network and server
    row(
        "E_OFFLINE",
        Exit::Unavailable,
        [
            "The issuer's server cannot be reached.",
            "発行者のサーバーに接続できません。",
        ],
        RUN_AGAIN_LATER,
    ),
    row(
        "E_NETWORK_TIMEOUT",
        Exit::Unavailable,
        [
            "The issuer's server did not answer in time.",
            "発行者のサーバーが時間内に応答しませんでした。",
        ],
        RUN_AGAIN_LATER,
    ),
    row(
        "E_STATUS_STALE",
        Exit::Unavailable,
        [
            "The issuer's list of withdrawn programs is older than a day and could not be renewed.",
            "発行者の取り消し一覧が 1 日以上前のもので、更新できませんでした。",
        ],
        RUN_AGAIN_LATER,
    ),
    row(
        "E_SERVER_UNAVAILABLE",
        Exit::Unavailable,
        [
            "The issuer's server cannot serve requests at the moment.",
            "発行者のサーバーは現在利用できません。",
        ],
        RUN_AGAIN_LATER,
    ),
    row(
        "E_SERVER_REPLY",
        Exit::Unavailable,
        [
            "The issuer's server gave an answer that this terminal does not understand.",
            "発行者のサーバーの応答を解釈できません。",
        ],
        RUN_AGAIN_LATER,
    ),
    // 8: refused by the issuer
    row(
        "E_REMITTANCE_UNKNOWN",
        Exit::Refused,
        [
            "The issuer's server does not know this remittance at the moment.",
            "発行者のサーバーにこの送金の記録がありません。",
        ],
        [
            "Keep the mail and ask the issuer.",
            "メールを保管して、発行者にお問い合わせください。",
        ],
    ),
    row(
        "E_NOT_IN_DATABASE",
        Exit::Refused,
        [
            "The issuer's records were restored from an older copy, which does not hold this remittance.",
            "発行者の記録は古い控えから復元されたもので、この送金が含まれていません。",
        ],
        [
            "Keep the mail and the card, and tell the issuer: the mail shows that it is owed.",
            "メールとカードを保管して、発行者にご連絡ください。メールが送金の証拠になります。",
        ],
    ),
    row(
        "E_CLAIM_TOKEN_WRONG",
        Exit::Refused,
        [
            "The program does not carry the right to this remittance.",
            "プログラムにこの送金を受け取る権利がありません。",
        ],
        ASK_SENDER,
    ),
    row(
        "E_CARD_UNKNOWN",
        Exit::Refused,
        [
            "The issuer does not know this card.",
            "発行者に登録のないカードです。",
        ],
        [
            "Use the card that the issuer gave you.",
            "発行者から受け取ったカードを使ってください。",
        ],
    ),
    row(
        "E_WRONG_CARD",
        Exit::Refused,
        [
            "The remittance is for another card.",
            "この送金は別のカード宛てです。",
        ],
        [
            "Place the card whose last digits are shown, and run the command again.",
            "表示された下四桁のカードを置いて、もう一度実行してください。",
        ],
    ),
    row(
        "E_CARD_BLOCKED",
        Exit::Refused,
        ["The card is blocked.", "カードは利用停止中です。"],
        ASK_ISSUER,
    ),
    row(
        "E_CARD_FROZEN",
        Exit::Refused,
        [
            "The card is frozen until the issuer has looked into its records.",
            "記録の確認が済むまで、カードは一時停止中です。",
        ],
        ASK_ISSUER,
    ),
    row(
        "E_CARD_FULL",
        Exit::Refused,
        [
            "The amount does not fit on the card.",
            "カードの上限額を超えるため入金できません。",
        ],
        [
            "Spend some of the value, then run the command again before the program expires.",
            "残高を使ってから、有効期限までにもう一度実行してください。",
        ],
    ),
    row(
        "E_CARD_SHORT",
        Exit::Refused,
        [
            "The card holds less than the amount.",
            "カードの残高が不足しています。",
        ],
        [
            "Put value on the card, then run the command again before the program expires.",
            "カードに入金してから、有効期限までにもう一度実行してください。",
        ],
    ),
    row(
        "E_EXPIRED",
        Exit::Refused,
        [
            "The remittance has expired; the amount goes back to the sender.",
            "送金は期限切れです。金額は送金者に戻されます。",
        ],
        ASK_SENDER,
    ),
    row(
        "E_CANCELLED",
        Exit::Refused,
        [
            "The sender has cancelled the remittance.",
            "送金は送金者により取り消されました。",
        ],
        ASK_SENDER,
    ),
    row(
        "E_RETURNED",
        Exit::Refused,
        [
            "The amount has gone back to the sender.",
            "金額は送金者に戻されました。",
        ],
        ASK_SENDER,
    ),
    row(
        "E_SUPERSEDED",
        Exit::Refused,
        [
            "The issuer has replaced this program by a newer one.",
            "このプログラムは新しいものに置き換えられています。",
        ],
        [
            "Open the newest mail about this remittance.",
            "この送金に関する最新のメールを開いてください。",
        ],
    ),
    row(
        "E_NOT_YET_VALID",
        Exit::Refused,
        [
            "The remittance cannot be received yet.",
            "この送金はまだ受け取れません。",
        ],
        [
            "Run the command again later.",
            "後でもう一度実行してください。",
        ],
    ),
    row(
        "E_PROGRAM_REVOKED",
        Exit::Refused,
        [
            "The issuer has withdrawn this program.",
            "発行者がこのプログラムを取り下げました。",
        ],
        [
            "Wait for a new mail, or ask the issuer.",
            "新しいメールを待つか、発行者にお問い合わせください。",
        ],
    ),
    row(
        "E_CARD_NOT_GENUINE",
        Exit::Refused,
        [
            "The card could not prove that it is the issuer's card.",
            "カードが発行者のものであると確認できませんでした。",
        ],
        ASK_ISSUER,
    ),
    row(
        "E_CARD_STOPPED",
        Exit::Refused,
        [
            "The card ended the session with an error.",
            "カードがエラーで処理を終了しました。",
        ],
        CARD_AGAIN,
    ),
    row(
        "E_CARD_BUSY",
        Exit::Refused,
        [
            "Another operation on this card is not finished.",
            "このカードの別の処理が完了していません。",
        ],
        [
            "Wait a moment and run the same command again.",
            "少し待って、同じコマンドをもう一度実行してください。",
        ],
    ),
    row(
        "E_RESTART",
        Exit::Refused,
        [
            "The server asks to start again from the beginning.",
            "サーバーが最初からのやり直しを求めています。",
        ],
        RUN_AGAIN,
    ),
    row(
        "E_TICKET_INVALID",
        Exit::Refused,
        [
            "The server did not recognise the session.",
            "サーバーがセッションを認識できませんでした。",
        ],
        RUN_AGAIN,
    ),
    row(
        "E_TICKET_EXPIRED",
        Exit::Refused,
        [
            "The session took too long.",
            "セッションの時間が切れました。",
        ],
        RUN_AGAIN,
    ),
    // 9: in doubt
    row(
        "E_IN_DOUBT",
        Exit::InDoubt,
        [
            "The card may have been credited, but the proof has not reached the issuer.",
            "入金された可能性がありますが、証明が発行者に届いていません。",
        ],
        SAME_CARD_AGAIN,
    ),
    row(
        "E_RECOVERING",
        Exit::InDoubt,
        [
            "The issuer's records were restored from an older copy: only the card can say whether it was credited.",
            "発行者の記録は古い控えから復元されたため、入金されたかどうかはカードだけが示せます。",
        ],
        SAME_CARD_AGAIN,
    ),
];

#[cfg(test)]
mod tests {
    use super::{explain, table};
    use crate::lang::Lang;

    #[test]
    fn every_code_stands_once_and_says_what_and_next_in_both_languages() {
        for (index, row) in table().iter().enumerate() {
            assert!(row.code.starts_with("E_"), "{}", row.code);
            assert!(
                table()
                    .iter()
                    .skip(index + 1)
                    .all(|other| other.code != row.code)
            );
            assert!(row.exit.status() > 0);
            for (lang, stop) in [(Lang::En, '.'), (Lang::Ja, '。')] {
                assert!(row.what(lang).ends_with(stop), "{}", row.code);
                assert!(row.next(lang).ends_with(stop), "{}", row.code);
            }
        }
    }

    #[test]
    fn rows_stand_in_the_order_of_their_exit_status() {
        assert!(table().is_sorted_by_key(|row| row.exit.status()));
    }

    #[test]
    fn an_unknown_code_has_no_row() {
        assert!(explain("E_NOT_A_CODE").is_none());
    }
}
