//! Placing an order: everything slow (compile, sign) happens before the one transaction that
//! moves the money, stores the program and queues the mail.

use crate::{
    app::{App, Office},
    clock::{id_parts, rfc3339, unix_seconds},
    config::InvitePolicy,
    http::problem::Refused,
    invitations::{self, Ordered},
};
use anyhow::Context;
use ledger::{
    CARD_VALUE_MAX, CardNumber, ClaimRef, Command, ContentHash, Flow, Holder, HolderId,
    IdempotencyKey, IdempotencyScope, MailId, NewMail, NumberRef, Operation, Outcome, Payment,
    PlaceOrder, Refusal, Remittance, RemittanceId, Revise, Source, Timestamp,
    rules::{self, OrderFacts, Recipient},
};
use money::{Amount, Currency};
use program::{Kind, NOTE_CHARS_MAX, Order, OrderBytes, OrderError, Template};
use sha2::{Digest, Sha256};
use store::{ApplyError, canonical_email};
use wire::{
    api::{CreateOrder, FundFrom, OrderView, ProblemCode},
    descriptor::Purpose,
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
struct Bound {
    number_ref: [u8; 32],
    masked: String,
}

/// An order whose every field is within its bounds.
#[derive(Debug)]
pub struct NewOrder {
    recipient: Named,
    amount: Amount,
    note: String,
    expires_in_s: u64,
    payment: Payment,
}

impl NewOrder {
    /// Checks what can be checked without the ledger.
    ///
    /// # Errors
    /// In this order: `currency-unknown`, `amount-not-positive`, `amount-over-limit`,
    /// `note-too-long`, `body-malformed` for line breaks and deceiving characters in the note,
    /// `expiry-out-of-range`, `recipient-ambiguous`, `card-number-malformed` or `recipient-unknown`,
    /// `funding-unavailable` without a bank.
    pub fn check(app: &App, order: CreateOrder) -> Result<Self, Refused> {
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
            return Err(Refused::with(ProblemCode::BodyMalformed, detail));
        }
        let expires_in_s = order.expires_in_s.unwrap_or(EXPIRES_IN_DEFAULT_S);
        if !(EXPIRES_IN_MIN_S..=EXPIRES_IN_MAX_S).contains(&expires_in_s) {
            return Err(ProblemCode::ExpiryOutOfRange.into());
        }
        let recipient = match (order.recipient_card, order.recipient_email) {
            (Some(number), None) => Named::Card(
                CardNumber::parse(&number).map_err(|_| ProblemCode::CardNumberMalformed)?,
            ),
            (None, Some(email)) => {
                Named::Email(canonical_email(&email).ok_or(ProblemCode::RecipientUnknown)?)
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(ProblemCode::RecipientAmbiguous.into());
            }
        };
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
            payment: match order.fund_from {
                FundFrom::Account => Payment::Account,
                FundFrom::Bank => Payment::Bank,
            },
        })
    }

    /// The address that this order would be held for: it stands for no card, the issuer's policy is to
    /// invite, and the amount is here.
    fn held_for(&self, app: &App, bound: &Bound) -> Option<&str> {
        match (&self.recipient, &self.payment, app.office.config.invite) {
            (Named::Email(email), Payment::Account, InvitePolicy::Hold)
                if bound.number_ref == NO_CARD =>
            {
                Some(email)
            }
            (
                Named::Email(_) | Named::Card(_),
                Payment::Account | Payment::Bank | Payment::Payable | Payment::Card(_),
                InvitePolicy::Hold | InvitePolicy::Refuse,
            ) => None,
        }
    }

    /// SHA-256 over what the caller asked for: the same order sent again has the same hash.
    ///
    /// An address counts as it was asked for, not the card that it stands for: that may change, and
    /// the order keeps the card of its first time.
    fn content_hash(&self, number_ref: &[u8; 32]) -> ContentHash {
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
        match &self.payment {
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
        payment: Payment::Payable,
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
        payer: None,
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
        Err(ApplyError::Refused(Refusal::AlreadyCredited)) => Err(Refused::with(
            ProblemCode::NotCancellable,
            "it was credited",
        )),
        Err(ApplyError::Refused(Refusal::Expired)) => Err(Refused::with(
            ProblemCode::NotCancellable,
            "it expired and was returned",
        )),
        Err(ApplyError::Refused(_)) => Err(ProblemCode::OrderUnknown.into()),
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

/// Compiles and signs; touches no row.
fn compile(
    app: &App,
    sender: &Holder,
    key: IdempotencyKey,
    order: &NewOrder,
    bound: &Bound,
    now: Timestamp,
) -> Result<PlaceOrder, Refused> {
    let office = &app.office;
    let (ms, bits) = id_parts(now, &*office.random);
    let remittance = RemittanceId::new(ms, bits);
    let (ms, bits) = id_parts(now, &*office.random);
    let mail = MailId::new(ms, bits);
    let number_ref = bound.number_ref;
    let created = u64::try_from(now.unix_s()).unwrap_or(0);
    let expires = created.saturating_add(order.expires_in_s);
    let programmed = program_for(
        app,
        Order {
            kind: Kind::Credit,
            issuer: office.config.issuer.clone(),
            remittance: remittance.to_bytes(),
            revision: FIRST_REVISION,
            card_masked: bound.masked.clone(),
            card_binding: office.keys.card_binding(remittance, &number_ref),
            amount: order.amount,
            sender: sender.name.clone(),
            note: order.note.clone(),
            created,
            expires,
            template_hash: app.template.hash(),
            claim_token: office
                .keys
                .claim_token(remittance.as_bytes(), FIRST_REVISION),
        },
    )?;
    Ok(PlaceOrder {
        scope: IdempotencyScope {
            principal: sender.id,
            operation: match order.payment {
                Payment::Account | Payment::Bank | Payment::Card(_) => Operation::PlaceOrder,
                Payment::Payable => Operation::SendPayable,
            },
            key,
        },
        content: order.content_hash(&number_ref),
        remittance,
        sender: sender.id,
        sender_name: sender.name.clone(),
        card: NumberRef(number_ref),
        payment: order.payment.clone(),
        amount: order.amount,
        amount_max: AMOUNT_MAX,
        note: order.note.clone(),
        expires: Timestamp::from_unix_s(i64::try_from(expires).unwrap_or(i64::MAX)),
        revision: FIRST_REVISION,
        order_bytes: programmed.order_bytes,
        signature: programmed.signature,
        program_key: programmed.program_key,
        template_hash: app.template.hash(),
        claim: programmed.claim,
        mail: NewMail {
            id: mail,
            message_id: format!("{mail}@{}", office.config.issuer),
        },
        now,
    })
}

/// The first program of a remittance, without its template.
pub(crate) struct Programmed {
    pub(crate) order_bytes: Vec<u8>,
    pub(crate) signature: [u8; 64],
    pub(crate) program_key: [u8; 32],
    pub(crate) claim: ClaimRef,
}

/// Writes and signs the first program of an order.
pub(crate) fn program_for(app: &App, order: Order) -> Result<Programmed, Refused> {
    let keys = &app.office.keys;
    let remittance = RemittanceId::from_bytes(order.remittance).context("an order's id")?;
    let signer = keys
        .signer(Purpose::Program, order.created, order.expires)
        .context("no program key is valid until this order expires")?;
    let bytes = order.encode().map_err(|e| order_problem(&e))?;
    let code = keys.claim_code(remittance, FIRST_REVISION);
    let claim = keys.claim_code_ref(&code);
    Ok(Programmed {
        signature: program::sign(&program::body(&app.template, &bytes), &signer.key),
        order_bytes: bytes.as_bytes().to_vec(),
        program_key: signer.key.verifying_key().to_bytes(),
        claim: ClaimRef(claim.context("our own claim code is read back")?),
    })
}

/// A new program for an open order, mailed to where the card's holder gets mail now: after a corrected
/// address, or when key or template of the present one were given up. The earlier ones are honoured no more.
///
/// # Errors
/// The ledger's refusal; a stored order that cannot be read; no valid program key.
pub(crate) async fn revise(
    office: &Office,
    template: &Template,
    remittance: &Remittance,
) -> anyhow::Result<()> {
    let now = office.ledger_now().await?;
    let revision = remittance.revision.saturating_add(1);
    let stored = OrderBytes::new(remittance.order_bytes.clone()).context("stored order bytes")?;
    let order = Order::decode(stored.as_bytes()).context("stored order bytes")?;
    let bytes = Order {
        revision,
        template_hash: template.hash(),
        claim_token: office.keys.claim_token(remittance.id.as_bytes(), revision),
        ..order
    };
    let signer = office
        .keys
        .signer(Purpose::Program, unix_seconds(now), bytes.expires)
        .context("no program key is valid until this order expires")?;
    let bytes = bytes.encode().context("the order's next bytes")?;
    let code = office.keys.claim_code(remittance.id, revision);
    let claim = office.keys.claim_code_ref(&code);
    let (ms, bits) = id_parts(now, &*office.random);
    let mail = MailId::new(ms, bits);
    let command = Command::Revise(Box::new(Revise {
        remittance: remittance.id,
        revision,
        signature: program::sign(&program::body(template, &bytes), &signer.key),
        order_bytes: bytes.as_bytes().to_vec(),
        program_key: signer.key.verifying_key().to_bytes(),
        template_hash: template.hash(),
        claim: ClaimRef(claim.context("our own claim code is read back")?),
        mail: NewMail {
            id: mail,
            message_id: format!("{mail}@{}", office.config.issuer),
        },
        now,
    }));
    match office.store.apply_one(command).await? {
        Outcome::Revised => Ok(()),
        other => anyhow::bail!("a revision was answered by {other:?}"),
    }
}

/// Why order bytes could not be written: name and note of the widest characters together pass the
/// limit of the order, although each alone is within its own.
fn order_problem(error: &OrderError) -> Refused {
    match error {
        OrderError::TooLong { .. } => ProblemCode::NoteTooLong.into(),
        other => anyhow::anyhow!("order bytes: {other}").into(),
    }
}

/// The signed program of a stored order, byte for byte as it was when ordered.
///
/// # Errors
/// The stored parts do not make a program; the store is not available.
pub async fn program_of(app: &App, remittance: &Remittance) -> anyhow::Result<Vec<u8>> {
    let template = app.template(remittance.template_hash).await?;
    let order = OrderBytes::new(remittance.order_bytes.clone()).context("stored order bytes")?;
    program::assemble(
        &template,
        &order,
        &remittance.program_key,
        &remittance.signature,
    )
    .context("a stored program")
}

/// An order as its sender sees it.
#[must_use]
pub fn view(remittance: &Remittance) -> OrderView {
    OrderView {
        id: remittance.id.to_string(),
        status: remittance.status.code().to_owned(),
        fund_from: match remittance.flow {
            Flow::Credit(Source::Bank) => FundFrom::Bank,
            Flow::Credit(Source::Account | Source::Payable | Source::Card) | Flow::Debit { .. } => {
                FundFrom::Account
            }
        },
        amount_minor: remittance.amount.minor(),
        currency: remittance.amount.currency().code().to_owned(),
        recipient_masked: remittance.card_masked.clone(),
        created_at: rfc3339(remittance.created),
        expires_at: rfc3339(remittance.expires),
        note: (!remittance.note.is_empty()).then(|| remittance.note.clone()),
        mail: remittance.mail.code().to_owned(),
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
