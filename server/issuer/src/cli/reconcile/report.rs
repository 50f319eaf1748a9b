//! What was issued against where it is, and what does not agree.

use super::super::{Common, Output, evidence::Evidence, open, output::table, payable};
use super::open_cases;
use crate::{app::Office, clock::rfc3339, orders::AMOUNT_MAX};
use ledger::{
    AuditReport, Card, CardStatus, CaseKind, Flow, FreezeCase, Invitation, Refusal, Status,
    Timestamp,
};
use serde_json::{Value, json};
use std::process::ExitCode;
use store::{DoubtRow, PAGE_MAX};

/// From when on a commit without proof is named, in seconds: a session takes seconds, and a recipient
/// who was interrupted tries again within the hour.
const DOUBT_AFTER_S: i64 = 3_600;

/// Two persons, as they stand in a command.
const TWO: &str = "--by NAME --and NAME --reason TEXT";

/// Something that a person has to see to.
struct Item {
    code: String,
    what: String,
    evidence: Value,
    next: String,
}

impl Item {
    fn lines(&self) -> [String; 3] {
        [
            format!("{}  {}", self.code, self.what),
            format!("    evidence  {}", self.evidence),
            format!("    next      {}", self.next),
        ]
    }

    fn document(&self) -> Value {
        json!({
            "code": self.code,
            "what": self.what,
            "evidence": self.evidence,
            "next": self.next,
        })
    }
}

pub(super) async fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let office = open(common)?;
    let now = office.ledger_now().await?;
    let audit = office.store.audit().await?;
    let (cards, doubts) = (cards(&office).await?, doubts(&office).await?);
    let mut queue: Vec<Item> = audit.failures.iter().map(books).collect();
    let of = |id| cards.iter().find(|card| card.id == id);
    let cases = open_cases(&office).await?;
    queue.extend(cases.iter().map(|open| case(open, of(open.card))));
    let of = |row: &DoubtRow| of(row.escrow.card);
    queue.extend(doubts.iter().filter_map(|row| doubt(row, of(row), now)));
    let held_for = invitations(&office).await?;
    queue.extend(held_for.iter().map(invitation));
    queue.extend(bank(&office).await?);
    let todo = todo(&office, &cards, now).await?;
    let held: Vec<Value> = doubts.iter().filter_map(held).collect();

    let mut lines = totals(&audit);
    lines.push(String::new());
    lines.push(card_table(&cards, &doubts));
    for (title, items) in [("Disagreements", &queue), ("To do", &todo)] {
        lines.push(format!("\n{title}: {}", items.len()));
        lines.extend(items.iter().flat_map(Item::lines));
    }
    let document = json!({
        "agrees": queue.is_empty(),
        "totals": totals_document(&audit),
        "cards": cards.iter().map(|card| card_document(card, &doubts)).collect::<Vec<_>>(),
        "held": held,
        "queue": queue.iter().map(Item::document).collect::<Vec<_>>(),
        "todo": todo.iter().map(Item::document).collect::<Vec<_>>(),
    });
    Output { json: common.json }.print(&lines.join("\n"), document)?;
    Ok(if queue.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn cards(office: &Office) -> anyhow::Result<Vec<Card>> {
    let mut cards: Vec<Card> = Vec::new();
    loop {
        let after = cards.last().map(|card| card.id);
        let page = office.store.cards(after, PAGE_MAX).await?;
        if page.is_empty() {
            return Ok(cards);
        }
        cards.extend(page);
    }
}

async fn doubts(office: &Office) -> anyhow::Result<Vec<DoubtRow>> {
    let mut rows: Vec<DoubtRow> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.escrow.remittance);
        let page = office.store.in_doubt(after, PAGE_MAX).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

/// Per currency: issued = where it is. The two last figures are negative where the issuer bears them.
fn totals(audit: &AuditReport) -> Vec<String> {
    let lines = audit.totals.iter().map(|t| {
        let open = t.escrow - t.in_doubt - t.held;
        format!(
            "{}  issued {} = holders {} + payable {} + cards {} + escrow {open} + in doubt {} + held {} \
             + bank {} + loss:in-doubt {} + written-off {}",
            t.currency.code(),
            -t.float,
            t.holders,
            t.payable,
            t.cards,
            t.in_doubt,
            t.held,
            t.bank,
            t.loss,
            t.written_off
        )
    });
    lines.collect()
}

fn totals_document(audit: &AuditReport) -> Vec<Value> {
    let documents = audit.totals.iter().map(|t| {
        json!({
            "currency": t.currency.code(),
            "issued": (-t.float).to_string(),
            "holders": t.holders.to_string(),
            "payable": t.payable.to_string(),
            "cards": t.cards.to_string(),
            "escrow": (t.escrow - t.in_doubt - t.held).to_string(),
            "in_doubt": t.in_doubt.to_string(),
            "held": t.held.to_string(),
            "bank": t.bank.to_string(),
            "loss_in_doubt": t.loss.to_string(),
            "written_off": t.written_off.to_string(),
        })
    });
    documents.collect()
}

/// What waits on a card, minor units.
fn flying(card: &Card, doubts: &[DoubtRow]) -> i64 {
    let own = doubts.iter().filter(|row| row.escrow.card == card.id);
    own.map(|row| row.escrow.amount.minor()).sum()
}

/// Account by the books: what the card proved, less what was paid out of it.
const fn account(card: &Card) -> i64 {
    card.proven.value.saturating_sub(card.paid_out)
}

fn card_table(cards: &[Card], doubts: &[DoubtRow]) -> String {
    let row = |card: &Card| {
        vec![
            card.id.to_string(),
            card.masked.clone(),
            card.status.code().to_owned(),
            account(card).to_string(),
            card.proven.value.to_string(),
            flying(card, doubts).to_string(),
            card.paid_out.to_string(),
        ]
    };
    let rows: Vec<_> = cards.iter().map(row).collect();
    table(
        &[
            "card",
            "number",
            "status",
            "account",
            "proven",
            "undecided",
            "paid out",
        ],
        &rows,
    )
}

fn card_document(card: &Card, doubts: &[DoubtRow]) -> Value {
    json!({
        "card": card.id.to_string(),
        "masked": card.masked,
        "status": card.status.code(),
        "account_minor": account(card),
        "proven_minor": card.proven.value,
        "undecided_minor": flying(card, doubts),
        "paid_out_minor": card.paid_out,
        "currency": card.currency.code(),
        "lost_at": card.lost.map(rfc3339),
    })
}

fn books(line: &ledger::AuditLine) -> Item {
    Item {
        code: format!("books-{}-{}", line.check.name(), line.subject),
        what: "the books contradict themselves".to_owned(),
        evidence: json!({ "found": line.detail }),
        next:
            "stop the server, copy its folder, then `tegata-server audit`; change nothing by hand"
                .to_owned(),
    }
}

fn case(case: &FreezeCase, card: Option<&Card>) -> Item {
    let evidence = Evidence::of(case);
    let mut document = json!({
        "at": rfc3339(case.at),
        "card": case.card.to_string(),
        "in_flight": case.in_flight.map(|id| id.to_string()),
    });
    if let Some(mut said) = evidence.card_says() {
        said["log"] = evidence.card_log();
        document["card_says"] = said;
    } else {
        document["found"] = evidence.line().into();
    }
    let what = match case.kind {
        CaseKind::Unexplained => "a card and its record disagree; this card alone is frozen",
        CaseKind::OldCardSeen => {
            "a lost card that was paid out was presented; nothing was sent to it"
        }
        CaseKind::BooksDisagree => "the audit found this card's account wrong; it alone is frozen",
    };
    let number = case.number;
    let resolve = |how| format!("tegata-server reconcile resolve case-{number} {how} {TWO}");
    let adopt = "--adopt --reader pcsc";
    let next = if card.is_some_and(|card| card.payouts > 0) {
        // what it held was paid out: it is adopted never
        resolve("--block")
    } else if card.is_some_and(|card| card.lost.is_some()) {
        format!("{}; if the card was found: {adopt}", resolve("--block"))
    } else {
        resolve(adopt)
    };
    Item {
        code: format!("case-{number}"),
        what: format!("{}: {what}", case.kind.code()),
        evidence: document,
        next,
    }
}

fn doubt(row: &DoubtRow, card: Option<&Card>, now: Timestamp) -> Option<Item> {
    let (id, escrow) = (row.escrow.remittance, &row.escrow);
    let blocked = card.is_some_and(|card| card.status == CardStatus::Blocked);
    let old = row
        .since
        .is_none_or(|since| since.plus_s(DOUBT_AFTER_S) <= now);
    let kind = match escrow.status {
        Status::CommitSent { .. } if old || blocked => "in-doubt",
        Status::Recovering { .. } => "recovering",
        Status::CommitSent { .. }
        | Status::Ordered
        | Status::FundingUnknown { .. }
        | Status::Unfunded { .. }
        | Status::Refunding { .. }
        | Status::Open
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. } => return None,
    };
    Some(Item {
        code: format!("{kind}-{id}"),
        what: match escrow.flow {
            Flow::Credit(_) => "whether the card holds it is not known".to_owned(),
            Flow::Debit { funds } => {
                format!("whether the card has paid it, for order {funds}, is not known")
            }
        },
        evidence: json!({
            "card": escrow.card.to_string(),
            "amount_minor": escrow.amount.minor(),
            "since": row.since.map(rfc3339),
            "expires_at": rfc3339(escrow.expires),
            "bank_asked": row.bank_asked,
        }),
        next: doubt_next(row, card.map(|card| card.status)),
    })
}

/// Who can end a doubt; two persons can not while the bank has not answered, or a case is open.
fn doubt_next(row: &DoubtRow, card: Option<CardStatus>) -> String {
    let id = row.escrow.remittance;
    if row.bank_asked {
        return "wait for the bank, which is asked until it answers; see `serve --bank` and the log"
            .to_owned();
    }
    match card {
        Some(CardStatus::Blocked) => format!("tegata-server reconcile close {id} {TWO}"),
        Some(CardStatus::Frozen) => "decide the open case of its card first".to_owned(),
        Some(CardStatus::Issuing | CardStatus::Active) | None => format!(
            "the holder runs any program with this card again; if it is lost: tegata-server card lost {}",
            row.escrow.card
        ),
    }
}

/// From this many questions on the bank's silence is named: with the waits between them, more than ten
/// minutes, which no payment takes.
const ATTEMPTS_NAMED: u32 = 8;

/// What the bank was asked again and again. It is asked on, at most six times a day, and nothing is paid,
/// sent or refunded on its silence.
async fn bank(office: &Office) -> anyhow::Result<Vec<Item>> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let page = office.store.bank_unanswered(ATTEMPTS_NAMED, after).await?;
        let Some(last) = page.last() else {
            return Ok(items);
        };
        after = Some(last.remittance);
        items.extend(page.iter().map(|task| Item {
            code: format!("bank-{}", task.remittance),
            what: "the bank does not say what became of its part".to_owned(),
            evidence: json!({
                "status": task.status.code(),
                "amount_minor": task.amount.minor(),
                "asked": task.attempts,
                "expires_at": rfc3339(task.expires),
            }),
            next: format!(
                "have the bank look for reference {}, and answer; the server asks it on",
                task.remittance
            ),
        }));
    }
}

/// What a restore has left without a card that could be asked.
async fn invitations(office: &Office) -> anyhow::Result<Vec<Invitation>> {
    let mut rows: Vec<Invitation> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.id);
        let page = office.store.recovering_invitations(after).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

fn invitation(held: &Invitation) -> Item {
    let id = held.id;
    Item {
        code: format!("recovering-{id}"),
        what: "since the backup it may have become a remittance to a card".to_owned(),
        evidence: json!({
            "address": held.email,
            "amount_minor": held.amount.minor(),
            "created_at": rfc3339(held.created),
            "expires_at": rfc3339(held.expires),
        }),
        next: format!(
            "look for a card that shows it (ask who reads {}; examine or decide that card first); if none does: \
             tegata-server reconcile close {id} {TWO}",
            held.email
        ),
    }
}

fn held(row: &DoubtRow) -> Option<Value> {
    let Status::Held { at } = row.escrow.status else {
        return None;
    };
    Some(json!({
        "remittance": row.escrow.remittance.to_string(),
        "card": row.escrow.card.to_string(),
        "amount_minor": row.escrow.amount.minor(),
        "closed_at": rfc3339(at),
    }))
}

/// Lost cards to pay out, and what is owed.
async fn todo(office: &Office, cards: &[Card], now: Timestamp) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    let window_s = office.store.settle_window().await?;
    for card in cards {
        let Some(lost) = card.lost else { continue };
        if card.payouts > 0 && account(card) == 0 {
            continue;
        }
        let payout = office.store.payout(card.id, now).await?;
        let Some(next) = payout_next(card, payout.err()) else {
            continue;
        };
        items.push(Item {
            code: format!("lost-{}", card.id),
            what: "a lost card is to be paid out".to_owned(),
            evidence: json!({
                "account_minor": account(card),
                "lost_at": rfc3339(lost),
                "due_at": rfc3339(lost.plus_s(i64::from(window_s))),
            }),
            next,
        });
    }
    for row in payable::all(office).await? {
        let (holder, owed) = (row.holder, row.balance.minor());
        let part = if owed > AMOUNT_MAX {
            format!(" --minor {AMOUNT_MAX}")
        } else {
            String::new()
        };
        items.push(Item {
            code: format!("payable-{holder}"),
            what: "a holder is owed the value of a lost card".to_owned(),
            evidence: json!({
                "balance_minor": owed,
                "currency": row.balance.currency().code(),
            }),
            next: format!("tegata-server payable send {holder} --to CARD{part}"),
        });
    }
    Ok(items)
}

/// What can be done about a lost card; nothing where the queue names what comes first.
fn payout_next(card: &Card, refused: Option<Refusal>) -> Option<String> {
    let payout = format!("tegata-server card payout {}", card.id);
    match refused {
        None => Some(payout),
        Some(Refusal::TooEarly) => Some(format!("from then on: {payout}")),
        Some(Refusal::CaseOpen | Refusal::InDoubt) => None,
        Some(Refusal::Recovering) => Some(
            "what it holds is not known since a backup was restored: what the queue says of it comes \
             first; else, if it is found, its holder runs any program with it"
                .to_owned(),
        ),
        Some(refusal) => Some(format!("{refusal}: it can not be paid out")),
    }
}
