//! The sender's orders: list, form, confirmation, one order, cancelling.
//!
//! The form gets its idempotency key when it is first shown, and carries it through the
//! confirmation: sent twice, it is one order.

use super::{
    Frame, Trouble, page,
    session::{Visitor, notice},
    status_of, texts,
};
use crate::{
    app::App,
    clock,
    http::{
        orders::cancel as api_cancel,
        orders::create::{admit, admit_to},
        orders::list::PAGE_LEN,
        orders::program as api_program,
        orders::read::own,
        problem::Refused,
    },
    invitations::Ordered,
    orders::{self, NewOrder},
};
use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use data_encoding::BASE64URL_NOPAD;
use ledger::{Holder, IdempotencyKey, InvitationStatus, ReturnReason, Status, UnfundedReason};
use money::{Amount, AmountError};
use serde::Deserialize;
use std::sync::Arc;
use wire::api::{CreateOrder, FundFrom, ProblemCode};

/// One order as a page shows it.
struct Row {
    id: String,
    amount: String,
    recipient: String,
    note: String,
    created: String,
    expires: String,
    status: &'static str,
    mail: &'static str,
    cancellable: bool,
    /// A card of the sender pays.
    by_card: bool,
    /// That card has still to pay, by a program to be fetched here.
    program: bool,
}

impl Row {
    fn new(ordered: &Ordered, t: &'static texts::Texts) -> Self {
        let view = ordered.view();
        let by_card = view.fund_from == FundFrom::Card;
        let (status, cancellable) = match ordered {
            Ordered::Remittance(remittance) => Self::status(remittance.status, by_card, t),
            Ordered::Invitation(held) => match held.status {
                InvitationStatus::Invited => (t.invited, true),
                InvitationStatus::Recovering { cancel_asked } => (t.recovering, !cancel_asked),
                InvitationStatus::Bound { .. } => (t.open, true),
                InvitationStatus::Returned { at, reason } => {
                    Self::status(Status::Returned { at, reason }, by_card, t)
                }
            },
        };
        let mail = match view.mail.as_str() {
            "sent" => t.mail_sent,
            "failed" => t.mail_failed,
            _ => t.mail_queued,
        };
        Self {
            amount: ordered.amount().to_string(),
            recipient: view.recipient_masked,
            note: view.note.unwrap_or_default(),
            created: minute(&view.created_at),
            expires: minute(&view.expires_at),
            id: view.id,
            status,
            mail,
            cancellable,
            by_card,
            program: view.program.is_some(),
        }
    }

    /// What a status is called, and whether the sender is offered to cancel. `by_card`: a card of
    /// the sender pays.
    const fn status(
        status: Status,
        by_card: bool,
        t: &'static texts::Texts,
    ) -> (&'static str, bool) {
        match status {
            Status::Ordered if by_card => (t.card_ordered, true),
            Status::FundingUnknown { cancel_asked, .. } if by_card => {
                (t.card_unknown, !cancel_asked)
            }
            Status::Unfunded {
                reason: UnfundedReason::Refused,
                ..
            } if by_card => (t.card_failed, false),
            Status::Returned {
                reason: ReturnReason::Expired,
                ..
            } if by_card => (t.owed_expired, false),
            Status::Returned {
                reason: ReturnReason::Cancelled,
                ..
            } if by_card => (t.owed_cancelled, false),
            Status::Ordered => (t.ordered, true),
            Status::FundingUnknown { cancel_asked, .. } => (t.funding_unknown, !cancel_asked),
            Status::Refunding { .. } => (t.refunding, false),
            Status::Unfunded {
                reason: UnfundedReason::Refused,
                ..
            } => (t.funding_failed, false),
            Status::Unfunded {
                reason: UnfundedReason::Cancelled,
                ..
            } => (t.cancelled_unfunded, false),
            Status::Unfunded {
                reason: UnfundedReason::Expired,
                ..
            } => (t.expired_unfunded, false),
            Status::Open => (t.open, true),
            Status::CommitSent { .. } => (t.commit_sent, false),
            Status::Recovering { .. } => (t.recovering, false),
            Status::Held { .. } => (t.held, false),
            Status::Credited { .. } => (t.credited, false),
            Status::Returned {
                reason: ReturnReason::Expired,
                ..
            } => (t.returned_expired, false),
            Status::Returned {
                reason: ReturnReason::Cancelled,
                ..
            } => (t.returned_cancelled, false),
            Status::Returned {
                reason: ReturnReason::Closed,
                ..
            } => (t.held, false),
        }
    }
}

/// `2026-11-20T12:00:00Z` as `2026-11-20 12:00 UTC`.
fn minute(rfc3339: &str) -> String {
    let day = rfc3339.get(..10).unwrap_or(rfc3339);
    let time = rfc3339.get(11..16).unwrap_or_default();
    format!("{day} {time} UTC")
}

#[derive(Template)]
#[template(path = "orders.html")]
struct ListPage {
    t: &'static texts::Texts,
    frame: Frame,
    balance: String,
    orders: Vec<Row>,
    next: Option<String>,
}

/// Where a list goes on.
#[derive(Deserialize)]
pub(super) struct Cursor {
    cursor: Option<String>,
}

/// `GET /orders`: balance and orders, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Query(cursor): Query<Cursor>,
) -> Response {
    let holder = match visitor.signed_in() {
        Ok(holder) => holder,
        Err(redirect) => return redirect.into_response(),
    };
    let before = cursor.cursor.and_then(|text| text.parse().ok());
    match Ordered::list(&app.office, holder.id, before, PAGE_LEN).await {
        Ok((items, next)) => {
            let t = visitor.texts();
            let template = ListPage {
                t,
                frame: Frame::new(&app, true),
                balance: holder.balance.to_string(),
                orders: items.iter().map(|item| Row::new(item, t)).collect(),
                next: next.map(|id| id.to_string()),
            };
            page(&template, StatusCode::OK)
        }
        Err(_) => notice(ProblemCode::Unavailable, &visitor, &app),
    }
}

/// What the sender typed; kept through correction and confirmation.
#[derive(Clone, Default, Deserialize)]
pub(super) struct OrderForm {
    key: String,
    card: String,
    amount: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    from: FundFrom,
    #[serde(default)]
    from_card: String,
}

#[derive(Template)]
#[template(path = "order_new.html")]
struct FormPage {
    t: &'static texts::Texts,
    frame: Frame,
    currency: &'static str,
    bank: bool,
    form: OrderForm,
}

/// `GET /orders/new`: the empty form.
pub(super) async fn form(State(app): State<Arc<App>>, visitor: Visitor) -> Response {
    let holder = match visitor.signed_in() {
        Ok(holder) => holder,
        Err(redirect) => return redirect.into_response(),
    };
    let form = OrderForm {
        key: new_key(&app),
        ..OrderForm::default()
    };
    form_page(&app, &visitor, holder, form, None)
}

/// `POST /orders/new`: back from the confirmation, with everything as it was typed.
pub(super) async fn edit(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<OrderForm>,
) -> Response {
    match visitor.signed_in() {
        Ok(holder) => form_page(&app, &visitor, holder, form, None),
        Err(redirect) => redirect.into_response(),
    }
}

fn new_key(app: &App) -> String {
    BASE64URL_NOPAD.encode(&clock::random::<16>(&*app.office.random))
}

fn form_page(
    app: &App,
    visitor: &Visitor,
    holder: &Holder,
    form: OrderForm,
    refused: Option<&Refused>,
) -> Response {
    let error = refused.map(|refused| Trouble::new(refused.code, visitor.language));
    let status = refused.map_or(StatusCode::OK, |refused| status_of(refused.code));
    let currency = holder.balance.currency().code();
    let frame = Frame::new(app, true).with(error);
    page(
        &FormPage {
            t: visitor.texts(),
            frame,
            currency,
            bank: app.settings.bank,
            form,
        },
        status,
    )
}

#[derive(Template)]
#[template(path = "order_confirm.html")]
struct ConfirmPage {
    t: &'static texts::Texts,
    frame: Frame,
    recipient: String,
    masked: Option<String>,
    amount: String,
    from: &'static str,
    expires: String,
    form: OrderForm,
}

/// `POST /orders/confirm`: shows what would be sent, to whom (masked) and until when. Sends nothing.
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<OrderForm>,
) -> Response {
    let holder = match visitor.signed_in() {
        Ok(holder) => holder,
        Err(redirect) => return redirect.into_response(),
    };
    let admitted = admitted(&app, holder, &form);
    let preview = match admitted {
        Ok(order) => orders::preview(&app, holder, &order).await,
        Err(refused) => Err(refused),
    };
    match preview {
        Ok(preview) => {
            let template = ConfirmPage {
                t: visitor.texts(),
                frame: Frame::new(&app, true),
                recipient: match preview.card_masked {
                    Some(_) => masked_name(&preview.recipient),
                    None => preview.recipient,
                },
                masked: preview.card_masked,
                amount: preview.amount.to_string(),
                from: from_text(form.from, visitor.texts()),
                expires: minute(&clock::rfc3339(preview.expires)),
                form,
            };
            page(&template, StatusCode::OK)
        }
        Err(refused) => form_page(&app, &visitor, holder, form, Some(&refused)),
    }
}

/// `POST /orders`: the sender said yes.
pub(super) async fn place(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(mut form): Form<OrderForm>,
) -> Response {
    let holder = match visitor.signed_in() {
        Ok(holder) => holder,
        Err(redirect) => return redirect.into_response(),
    };
    let admitted = admitted(&app, holder, &form);
    let placed = match (admitted, IdempotencyKey::new(&form.key)) {
        (Ok(order), Ok(key)) => orders::place(&app, holder, key, order).await,
        (Err(refused), _) => Err(refused),
        (_, Err(_)) => Err(ProblemCode::IdempotencyKeyMissing.into()),
    };
    match placed {
        Ok(ordered) => Redirect::to(&format!("/orders/{}", ordered.id())).into_response(),
        Err(refused) => {
            // The ledger remembers its refusals under their key: corrected, it is another order. An
            // unknown outcome keeps its key, so that sending it again cannot pay twice; so does one try
            // too many, which may be the repeat of an unknown outcome.
            if !matches!(
                refused.code,
                ProblemCode::Unavailable | ProblemCode::RateLimited
            ) {
                form.key = new_key(&app);
            }
            form_page(&app, &visitor, holder, form, Some(&refused))
        }
    }
}

/// The typed texts as an order that is counted.
fn admitted(app: &App, holder: &Holder, form: &OrderForm) -> Result<NewOrder, Refused> {
    admit(app, holder.id)?;
    let order = check(app, holder, form)?;
    admit_to(app, holder.id, &order)?;
    Ok(order)
}

/// The typed texts as an order: the amount in major units of the holder's currency.
fn check(app: &App, holder: &Holder, form: &OrderForm) -> Result<NewOrder, Refused> {
    let currency = holder.balance.currency();
    let amount =
        Amount::parse(&ungrouped(form.amount.trim()), currency).map_err(|error| match error {
            AmountError::TooManyDigits { .. } => ProblemCode::AmountExponent,
            AmountError::TooLarge => ProblemCode::AmountOverLimit,
            _ => ProblemCode::AmountNotPositive,
        })?;
    let note = form.note.trim();
    // no card number holds an `@`
    let by_email = form.card.contains('@');
    let body = CreateOrder {
        recipient_card: (!by_email).then(|| form.card.clone()),
        recipient_email: by_email.then(|| form.card.clone()),
        amount_minor: amount.minor(),
        currency: currency.code().to_owned(),
        note: (!note.is_empty()).then(|| note.to_owned()),
        expires_in_s: None,
        fund_from: form.from,
        from_card: (form.from == FundFrom::Card).then(|| form.from_card.clone()),
    };
    NewOrder::check(app, body)
}

/// `1,250.50` as `1250.50`. A comma that does not group thousands stays, and is then refused: whoever
/// means `12,50` must not order a hundred times as much.
fn ungrouped(typed: &str) -> String {
    let (major, decimals) = typed.split_at(typed.find('.').unwrap_or(typed.len()));
    let mut groups = major.split(',');
    let first = groups
        .next()
        .is_some_and(|group| (1..=3).contains(&group.len()));
    if first && groups.all(|group| group.len() == 3) {
        major.replace(',', "") + decimals
    } else {
        typed.to_owned()
    }
}

const fn from_text(from: FundFrom, t: &'static texts::Texts) -> &'static str {
    match from {
        FundFrom::Account => t.from_account,
        FundFrom::Bank => t.from_bank,
        FundFrom::Card => t.from_card,
    }
}

/// `Hanako Sato` as `H•••• S•••`: enough to recognise, not enough to learn.
fn masked_name(name: &str) -> String {
    let mask = |word: &str| -> String {
        word.chars()
            .enumerate()
            .map(|(i, c)| if i == 0 { c } else { '•' })
            .collect()
    };
    name.split_whitespace()
        .map(mask)
        .collect::<Vec<_>>()
        .join(" ")
}

#[derive(Template)]
#[template(path = "order_show.html")]
struct ShowPage {
    t: &'static texts::Texts,
    frame: Frame,
    order: Row,
}

/// `GET /orders/{id}`: one order.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Response {
    let holder = match visitor.signed_in() {
        Ok(holder) => holder,
        Err(redirect) => return redirect.into_response(),
    };
    match own(&app, holder.id, &id).await {
        Ok(ordered) => {
            let t = visitor.texts();
            let order = Row::new(&ordered, t);
            page(
                &ShowPage {
                    t,
                    frame: Frame::new(&app, true),
                    order,
                },
                StatusCode::OK,
            )
        }
        Err(refused) => notice(refused.code, &visitor, &app),
    }
}

/// `GET /orders/{id}/program`: the file by which the sender's card pays.
pub(super) async fn program(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Response {
    let holder = match visitor.signed_in() {
        Ok(holder) => holder,
        Err(redirect) => return redirect.into_response(),
    };
    match api_program::download(&app, holder.id, &id).await {
        Ok(file) => file,
        Err(refused) => notice(refused.code, &visitor, &app),
    }
}

/// `POST /orders/{id}/cancel`: takes an order back.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Response {
    let holder = match visitor.signed_in() {
        Ok(holder) => holder.clone(),
        Err(redirect) => return redirect.into_response(),
    };
    let back = Redirect::to(&format!("/orders/{id}"));
    let taken_back = match own(&app, holder.id, &id).await {
        Ok(order) => api_cancel::take_back(&app, holder.id, &order).await,
        Err(refused) => Err(refused),
    };
    match taken_back {
        Ok(_) => back.into_response(),
        Err(refused) => notice(refused.code, &visitor, &app),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_initials_only() {
        assert_eq!(masked_name("Hanako  Sato"), "H••••• S•••");
        assert_eq!(masked_name("佐藤 花子"), "佐• 花•");
        assert_eq!(masked_name(""), "");
    }

    #[test]
    fn a_comma_groups_thousands_or_is_refused() {
        for (typed, read) in [
            ("1,250", Some(125_000)),
            ("12,345,678.90", Some(1_234_567_890)),
            ("1250", Some(125_000)),
            ("12,50", None),
            ("1,2", None),
            (",250", None),
            ("1250,000", None),
            ("1.250,00", None),
            ("12.3,4", None),
        ] {
            let amount = Amount::parse(&ungrouped(typed), money::Currency::Usd);
            assert_eq!(amount.ok().map(Amount::minor), read, "{typed}");
        }
    }

    #[test]
    fn a_time_is_shown_to_the_minute() {
        assert_eq!(minute("2026-11-20T12:34:56.789Z"), "2026-11-20 12:34 UTC");
    }
}
