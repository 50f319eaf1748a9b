//! Placing an order: everything slow (compile, sign) happens before the one transaction that
//! moves the money, stores the program and queues the mail.

use crate::{
    app::App,
    clock::rfc3339,
    config::InvitePolicy,
    http::problem::Refused,
    invitations::{self, Ordered},
    keys::Keys,
    programs::compile,
};
use anyhow::Context;
use ledger::{
    Account, CARD_VALUE_MAX, CardNumber, Command, ContentHash, Flow, Holder, HolderId,
    IdempotencyKey, MailStatus, NumberRef, Outcome, Payment, Refusal, Remittance, RemittanceId,
    Source, Status, Timestamp,
    rules::{self, OrderFacts, Payer, Recipient},
};
use money::{Amount, Currency};
use program::NOTE_CHARS_MAX;
use sha2::{Digest, Sha256};
use store::{ApplyError, canonical_email};
use wire::{
    api::{CreateOrder, FundFrom, OrderView, ProblemCode},
    text::is_deceiving,
};

/// Most minor units in one order: what a card can hold at all.
pub const AMOUNT_MAX: i64 = CARD_VALUE_MAX;

/// Shortest time to pick up, in seconds; tests and demonstrations want seconds, people days.
pub const EXPIRES_IN_MIN_S: u64 = 1;

/// Longest time to pick up, in seconds: a year. Money in escrow belongs to nobody who can use it.
pub const EXPIRES_IN_MAX_S: u64 = 366 * 86_400;

/// Time to pick up when the order names none, in seconds: 30 days.
pub const EXPIRES_IN_DEFAULT_S: u64 = 30 * 86_400;

/// The first program of a remittance.
pub(crate) const FIRST_REVISION: u32 = 0;

/// Stands for a card that is none: no keyed hash of a number has this value. An order to an address
/// that nobody has verified is put to the ledger with it, so that its key gets its first answer.
const NO_CARD: [u8; 32] = [0; 32];

/// Whom the sender named.
#[derive(Debug)]
enum Named {
    /// By card number.
    Card(CardNumber),
    /// By mail address, in its canonical form.
    Email(String),
}

/// The card that a recipient's name stands for at this moment: what the program is bound to.
pub(crate) struct Bound {
    pub(crate) number_ref: [u8; 32],
    pub(crate) masked: String,
}

/// An order whose every field is within its bounds.
#[derive(Debug)]
pub struct NewOrder {
    recipient: Named,
    pub(crate) amount: Amount,
    pub(crate) note: String,
    pub(crate) expires_in_s: u64,
    pub(crate) paid: Paid,
}

/// Where an order's amount comes from, as the sender says.
#[derive(Debug)]
pub(crate) enum Paid {
    /// The account here.
    Account,
    /// The account at the bank.
    Bank,
    /// What the issuer owes the sender.
    Payable,
    /// The sender's card of this number.
    Card(CardNumber),
}

fn malformed(pointer: &'static str) -> Refused {
    Refused::from(ProblemCode::CardNumberMalformed).at(pointer)
}

impl NewOrder {
    /// Checks what can be checked without the ledger.
    ///
    /// # Errors
    /// In this order: `body-malformed` for a paying card without `fund_from` `card` or the other way
    /// round, `currency-unknown`, `amount-not-positive`, `amount-over-limit`, `note-too-long`,
    /// `body-malformed` for line breaks and deceiving characters in the note, `expiry-out-of-range`,
    /// `recipient-ambiguous`, `card-number-malformed` or `recipient-unknown`, `card-number-malformed`
    /// of the paying card, `funding-unavailable` without a bank.
    pub fn check(app: &App, order: CreateOrder) -> Result<Self, Refused> {
        if (order.fund_from == FundFrom::Card) != order.from_card.is_some() {
            return Err(Refused::with(
                ProblemCode::BodyMalformed,
                "from_card names the card that pays; it goes with fund_from card and with nothing else",
            )
            .at("#/from_card"));
        }
        let currency = Currency::from_code(&order.currency)
            .ok()
            .filter(|currency| *currency == app.office.config.currency)
            .ok_or(ProblemCode::CurrencyUnknown)?;
        let amount = Amount::new(order.amount_minor, currency)
            .map_err(|_| ProblemCode::AmountNotPositive)?;
        if amount.minor() > AMOUNT_MAX {
            return Err(ProblemCode::AmountOverLimit.into());
        }
        let note = order.note.unwrap_or_default();
        if note.chars().count() > NOTE_CHARS_MAX {
            return Err(ProblemCode::NoteTooLong.into());
        }
        if note.chars().any(is_deceiving) {
            let detail = "the note holds line breaks, or characters that hide or turn text";
            return Err(Refused::with(ProblemCode::BodyMalformed, detail).at("#/note"));
        }
        let expires_in_s = order.expires_in_s.unwrap_or(EXPIRES_IN_DEFAULT_S);
        if !(EXPIRES_IN_MIN_S..=EXPIRES_IN_MAX_S).contains(&expires_in_s) {
            return Err(ProblemCode::ExpiryOutOfRange.into());
        }
        let recipient = match (order.recipient_card, order.recipient_email) {
            (Some(number), None) => {
                Named::Card(CardNumber::parse(&number).map_err(|_| malformed("#/recipient_card"))?)
            }
            (None, Some(email)) => {
                Named::Email(canonical_email(&email).ok_or(ProblemCode::RecipientUnknown)?)
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(ProblemCode::RecipientAmbiguous.into());
            }
        };
        let own = order.from_card.as_deref().map(CardNumber::parse);
        let own = own.transpose().map_err(|_| malformed("#/from_card"))?;
        if order.fund_from == FundFrom::Bank && !app.settings.bank {
            return Err(Refused::with(
                ProblemCode::FundingUnavailable,
                "no bank is connected here",
            ));
        }
        Ok(Self {
            recipient,
            amount,
            note,
            expires_in_s,
            paid: match (order.fund_from, own) {
                (FundFrom::Bank, _) => Paid::Bank,
                (FundFrom::Account | FundFrom::Card, None) => Paid::Account,
                (FundFrom::Account | FundFrom::Card, Some(own)) => Paid::Card(own),
            },
        })
    }

    /// The address that this order would be held for: it stands for no card, the issuer's policy is to
    /// invite, and the amount is here.
    fn held_for(&self, app: &App, bound: &Bound) -> Option<&str> {
        match (&self.recipient, &self.paid, app.office.config.invite) {
            (Named::Email(email), Paid::Account, InvitePolicy::Hold)
                if bound.number_ref == NO_CARD =>
            {
                Some(email)
            }
            (
                Named::Email(_) | Named::Card(_),
                Paid::Account | Paid::Bank | Paid::Payable | Paid::Card(_),
                InvitePolicy::Hold | InvitePolicy::Refuse,
            ) => None,
        }
    }

    /// A hash that names the recipient as the sender did, for counting.
    pub(crate) fn recipient_key(&self, keys: &Keys) -> [u8; 32] {
        match &self.recipient {
            Named::Card(number) => keys.number_ref(number),
            Named::Email(email) => Sha256::digest(email).into(),
        }
    }

    /// SHA-256 over what the caller asked for: the same order sent again has the same hash.
    ///
    /// An address counts as it was asked for, not the card that it stands for: that may change, and
    /// the order keeps the card of its first time.
    pub(crate) fn content_hash(&self, number_ref: &[u8; 32], payment: &Payment) -> ContentHash {
        let mut hash = Sha256::new();
        match &self.recipient {
            Named::Card(_) => {
                hash.update(b"tegata-order-v1");
                hash.update(number_ref);
            }
            Named::Email(email) => {
                hash.update(b"tegata-order-email-v1");
                hash.update(Sha256::digest(email));
            }
        }
        hash.update(self.amount.minor().to_be_bytes());
        hash.update(self.amount.currency().code().as_bytes());
        hash.update(self.expires_in_s.to_be_bytes());
        hash.update(self.note.as_bytes());
        // An account is what every order was paid from before there was a choice: its hashes stay.
        match payment {
            Payment::Account => {}
            Payment::Payable => hash.update(b"\0payable"),
            Payment::Bank => hash.update(b"\0bank"),
            Payment::Card(debit) => {
                hash.update(b"\0card");
                hash.update(debit.card.0);
            }
        }
        ContentHash(hash.finalize().into())
    }
}

/// Looks up whom the sender named. Who is unknown, unverified or without a card is no card.
async fn bind(app: &App, order: &NewOrder) -> Result<Bound, Refused> {
    match &order.recipient {
        Named::Card(number) => Ok(Bound {
            number_ref: app.office.keys.number_ref(number),
            masked: number.masked(),
        }),
        Named::Email(email) => {
            let card = app.office.store.card_of_address(email.clone()).await?;
            Ok(card.map_or_else(
                || Bound {
                    number_ref: NO_CARD,
                    masked: "**** **** **** ****".to_owned(),
                },
                |card| Bound {
                    number_ref: card.number_ref.0,
                    masked: card.masked,
                },
            ))
        }
    }
}

/// The problem of a refused order. Of an address it is never told why nobody is reached there.
fn problem_for(order: &NewOrder, refusal: Refusal) -> Refused {
    let of_card = matches!(
        refusal,
        Refusal::CardUnknown
            | Refusal::CardIssuing
            | Refusal::CardBlocked
            | Refusal::CardFrozen
            | Refusal::RecipientWithoutAddress
    );
    match &order.recipient {
        Named::Email(_) if of_card => ProblemCode::RecipientUnknown.into(),
        Named::Email(_) | Named::Card(_) => problem_of(refusal),
    }
}

/// Places an order and gives it as it is stored: the new one, or the one of the first time when
/// the key was used before with the same content.
///
/// # Errors
/// The ledger's refusal as a problem; `unavailable`.
pub async fn place(
    app: &App,
    sender: &Holder,
    key: IdempotencyKey,
    order: NewOrder,
) -> Result<Ordered, Refused> {
    let now = app.office.ledger_now().await?;
    let bound = bind(app, &order).await?;
    let command = compile(app, sender, key, &order, &bound, now)?;
    let command = match order.held_for(app, &bound) {
        Some(email) => Command::Invite(Box::new(invitations::invite(command, email))),
        None => Command::PlaceOrder(Box::new(command)),
    };
    let placed = match app.office.store.apply_one(command).await {
        Ok(Outcome::Placed { remittance }) => remittance,
        Ok(other) => return Err(anyhow::anyhow!("an order was answered by {other:?}").into()),
        Err(ApplyError::Refused(refusal)) => return Err(problem_for(&order, refusal)),
        Err(error) => return Err(anyhow::Error::from(error).into()),
    };
    let stored = Ordered::find(&app.office, placed).await?;
    Ok(stored.context("a placed order is not stored")?)
}

/// Places an order that is paid by what the issuer owes its sender, to a card of the sender; by an
/// administrator. What [`place`] says of keys holds here too, under an operation of its own.
///
/// # Errors
/// The ledger's refusal; the store is not available.
pub async fn send_payable(
    app: &App,
    sender: &Holder,
    key: IdempotencyKey,
    order: NewOrder,
) -> anyhow::Result<Remittance> {
    let order = NewOrder {
        paid: Paid::Payable,
        ..order
    };
    let now = app.office.ledger_now().await?;
    let bound = bind(app, &order).await.map_err(Refused::into_error)?;
    let command = compile(app, sender, key, &order, &bound, now).map_err(Refused::into_error)?;
    let command = Command::PlaceOrder(Box::new(command));
    let Outcome::Placed { remittance } = app.office.store.apply_one(command).await? else {
        anyhow::bail!("an order was answered by something else");
    };
    let stored = app.office.store.remittance(remittance).await?;
    stored.context("a placed order is not stored")
}

/// What an order would do, for its sender to confirm.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Display name of the recipient; the address where there is no card yet.
    pub recipient: String,
    /// The recipient's card number without its middle; none for an order that would be held.
    pub card_masked: Option<String>,
    /// What would be sent.
    pub amount: Amount,
    /// Until when it could be picked up, if it were ordered now.
    pub expires: Timestamp,
}

/// Decides an order by the ledger's own rule without placing it. The answer may change until the
/// order is placed; only that decides.
///
/// # Errors
/// As [`place`].
pub async fn preview(app: &App, sender: &Holder, order: &NewOrder) -> Result<Preview, Refused> {
    let now = app.office.ledger_now().await?;
    let key = IdempotencyKey::new("preview").context("a key of letters")?;
    let bound = bind(app, order).await?;
    let command = compile(app, sender, key, order, &bound, now)?;
    if let Some(email) = order.held_for(app, &bound) {
        return invitations::preview(sender, command, email, now).map_err(problem_of);
    }
    let card = app.office.store.card_by_number(command.card).await?;
    let holder = match &card {
        Some(card) => app.office.store.holder(card.holder).await?,
        None => None,
    };
    let facts = OrderFacts {
        remittance_taken: false,
        sender: Some(sender.balance),
        bank_account: app.office.store.bank_account(sender.id).await?.is_some(),
        payer: match &command.payment {
            Payment::Card(debit) => payer(app, debit.card).await?,
            Payment::Account | Payment::Bank | Payment::Payable => None,
        },
        recipient: card.as_ref().map(|card| Recipient {
            holder: card.holder,
            status: card.status,
            currency: card.currency,
            value_max: card.value_max,
            has_address: holder.as_ref().is_some_and(|holder| holder.email.is_some()),
        }),
    };
    rules::place_order(&command, &facts, now).map_err(|refusal| problem_for(order, refusal))?;
    let (Some(card), Some(holder)) = (card, holder) else {
        return Err(ProblemCode::CardUnknown.into());
    };
    Ok(Preview {
        recipient: holder.name,
        card_masked: Some(card.masked),
        amount: order.amount,
        expires: command.expires,
    })
}

/// The card that shall pay, as the ledger's rule wants to know it.
async fn payer(app: &App, number: NumberRef) -> Result<Option<Payer>, Refused> {
    let store = &app.office.store;
    let Some(card) = store.card_by_number(number).await? else {
        return Ok(None);
    };
    let balance = store.balance(Account::Card(card.id)).await?;
    Ok(balance.map(|balance| Payer {
        holder: card.holder,
        status: card.status,
        balance,
    }))
}

/// The debit by which a card of the sender pays for this order, while it can.
///
/// # Errors
/// `program-unknown` for an order that no card pays for, or whose debit has ended; `unavailable`.
pub async fn debit(app: &App, order: RemittanceId) -> Result<Remittance, Refused> {
    let found = app.office.store.debit_of(order).await?;
    let waiting = found.filter(|debit| match debit.status {
        Status::Open | Status::CommitSent { .. } | Status::Recovering { .. } => true,
        Status::Ordered
        | Status::FundingUnknown { .. }
        | Status::Unfunded { .. }
        | Status::Refunding { .. }
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. } => false,
    });
    waiting.ok_or_else(|| ProblemCode::ProgramUnknown.into())
}

/// Takes an order of this sender back, or notes the wish while it is in flight.
///
/// # Errors
/// `not-cancellable` once it was credited or has expired; `order-unknown`; `unavailable`.
pub async fn cancel(app: &App, sender: HolderId, remittance: RemittanceId) -> Result<(), Refused> {
    let now = app.office.clock.now();
    let command = Command::Cancel {
        remittance,
        sender,
        now,
    };
    match app.office.store.apply_one(command).await {
        Ok(_) => Ok(()),
        Err(ApplyError::Refused(refusal)) => Err(not_cancelled(refusal)),
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

/// The problem of an order that the ledger does not take back.
#[must_use]
pub fn not_cancelled(refusal: Refusal) -> Refused {
    let why = match refusal {
        Refusal::AlreadyCredited => "it was credited",
        Refusal::Expired => "it expired and was returned",
        Refusal::Closed => "two persons closed it",
        _ => return ProblemCode::OrderUnknown.into(),
    };
    Refused::with(ProblemCode::NotCancellable, why)
}

/// An order as its sender sees it.
#[must_use]
pub fn view(remittance: &Remittance) -> OrderView {
    OrderView {
        id: remittance.id.to_string(),
        status: remittance.status.code().to_owned(),
        fund_from: match remittance.flow {
            Flow::Credit(Source::Bank) => FundFrom::Bank,
            Flow::Credit(Source::Card) | Flow::Debit { .. } => FundFrom::Card,
            Flow::Credit(Source::Account | Source::Payable) => FundFrom::Account,
        },
        amount_minor: remittance.amount.minor(),
        currency: remittance.amount.currency().code().to_owned(),
        recipient_masked: remittance.card_masked.clone(),
        created_at: rfc3339(remittance.created),
        expires_at: rfc3339(remittance.expires),
        note: (!remittance.note.is_empty()).then(|| remittance.note.clone()),
        mail: remittance.mail.code().to_owned(),
        program: waits_for_its_card(remittance)
            .then(|| format!("/v1/orders/{}/program", remittance.id)),
    }
}

/// An order as its sender was told of it when it was placed.
#[must_use]
pub fn as_placed(remittance: &Remittance) -> OrderView {
    let status = match remittance.flow {
        Flow::Credit(Source::Account | Source::Payable) | Flow::Debit { .. } => Status::Open,
        Flow::Credit(Source::Bank | Source::Card) => Status::Ordered,
    };
    view(&Remittance {
        status,
        mail: MailStatus::Queued,
        ..remittance.clone()
    })
}

/// Whether the sender's card has still to pay for it.
#[must_use]
pub const fn waits_for_its_card(remittance: &Remittance) -> bool {
    match (remittance.flow, remittance.status) {
        (Flow::Credit(Source::Card), Status::Ordered | Status::FundingUnknown { .. }) => true,
        (
            Flow::Credit(Source::Account | Source::Bank | Source::Card | Source::Payable)
            | Flow::Debit { .. },
            _,
        ) => false,
    }
}

/// The problem that a sender is told for a refusal of the ledger.
#[must_use]
pub fn problem_of(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::IdempotencyConflict => ProblemCode::IdempotencyConflict.into(),
        Refusal::CardUnknown => ProblemCode::CardUnknown.into(),
        Refusal::CardIssuing => ProblemCode::CardNotActive.into(),
        Refusal::CardBlocked | Refusal::CardFrozen => ProblemCode::CardBlocked.into(),
        Refusal::SelfRemittance => ProblemCode::SelfRemittance.into(),
        Refusal::RecipientWithoutAddress => ProblemCode::RecipientWithoutAddress.into(),
        Refusal::FundingUnavailable => ProblemCode::FundingUnavailable.into(),
        Refusal::CurrencyMismatch => ProblemCode::CurrencyUnknown.into(),
        Refusal::AmountOverLimit | Refusal::CardFull => ProblemCode::AmountOverLimit.into(),
        Refusal::InsufficientFunds => ProblemCode::InsufficientFunds.into(),
        Refusal::RemittanceUnknown => ProblemCode::OrderUnknown.into(),
        Refusal::AlreadyCredited | Refusal::Cancelled | Refusal::Expired | Refusal::Closed => {
            ProblemCode::NotCancellable.into()
        }
        Refusal::OutOfBounds
        | Refusal::SamePerson
        | Refusal::OfficerUnknown
        | Refusal::CaseUnknown
        | Refusal::CaseClosed
        | Refusal::CaseOpen
        | Refusal::CardNotLost
        | Refusal::CardPaidOut
        | Refusal::TooEarly
        | Refusal::TransferConflict
        | Refusal::RemittanceTaken
        | Refusal::HolderUnknown
        | Refusal::WrongCard
        | Refusal::Stale
        | Refusal::Contradictory
        | Refusal::NotFunded
        | Refusal::NotInFlight
        | Refusal::NotExpired
        | Refusal::InDoubt
        | Refusal::Recovering
        | Refusal::CounterExhausted
        | Refusal::BalanceOverLimit => {
            anyhow::anyhow!("the ledger refused an order: {refusal}").into()
        }
    }
}
