//! Programs of orders: compiled and signed, replaced, and put together again from what is stored.

use crate::{
    app::{App, Office},
    clock::{id_parts, unix_seconds},
    http::problem::Refused,
    orders::{AMOUNT_MAX, Bound, FIRST_REVISION, NewOrder, Paid},
};
use anyhow::Context;
use ledger::{
    ClaimRef, Command, Holder, IdempotencyKey, IdempotencyScope, MailId, NewDebit, NewMail,
    NumberRef, Operation, Outcome, Payment, PlaceOrder, Remittance, RemittanceId, Revise,
    Timestamp,
};
use program::{Kind, Order, OrderBytes, OrderError, Template};
use wire::{api::ProblemCode, descriptor::Purpose};

/// One program as the ledger stores it: what to rebuild it from, and its mail.
struct Signed {
    remittance: RemittanceId,
    programmed: Programmed,
    mail: NewMail,
}

/// What the programs of one order have in common.
struct Terms<'a> {
    app: &'a App,
    sender: &'a Holder,
    order: &'a NewOrder,
    now: Timestamp,
    created: u64,
    expires: u64,
}

impl Terms<'_> {
    /// Makes the ids, the order bytes and the signature of one program, bound to this card.
    fn sign(&self, kind: Kind, card: &Bound) -> Result<Signed, Refused> {
        let office = &self.app.office;
        let (ms, bits) = id_parts(self.now, &*office.random);
        let remittance = RemittanceId::new(ms, bits);
        let (ms, bits) = id_parts(self.now, &*office.random);
        let mail = MailId::new(ms, bits);
        let programmed = program_for(
            self.app,
            Order {
                kind,
                issuer: office.config.issuer.clone(),
                remittance: remittance.to_bytes(),
                revision: FIRST_REVISION,
                card_masked: card.masked.clone(),
                card_binding: office.keys.card_binding(remittance, &card.number_ref),
                amount: self.order.amount,
                sender: self.sender.name.clone(),
                note: self.order.note.clone(),
                created: self.created,
                expires: self.expires,
                template_hash: self.app.template.hash(),
                claim_token: office
                    .keys
                    .claim_token(remittance.as_bytes(), FIRST_REVISION),
            },
        )?;
        Ok(Signed {
            remittance,
            programmed,
            mail: NewMail {
                id: mail,
                message_id: format!("{mail}@{}", office.config.issuer),
            },
        })
    }

    /// Where the amount comes from; from a card, with the program of its debit.
    fn payment(&self) -> Result<Payment, Refused> {
        let number = match &self.order.paid {
            Paid::Account => return Ok(Payment::Account),
            Paid::Bank => return Ok(Payment::Bank),
            Paid::Payable => return Ok(Payment::Payable),
            Paid::Card(number) => number,
        };
        let own = Bound {
            number_ref: self.app.office.keys.number_ref(number),
            masked: number.masked(),
        };
        let signed = self.sign(Kind::Debit, &own)?;
        let programmed = signed.programmed;
        Ok(Payment::Card(Box::new(NewDebit {
            remittance: signed.remittance,
            card: NumberRef(own.number_ref),
            order_bytes: programmed.order_bytes,
            signature: programmed.signature,
            claim: programmed.claim,
            mail: signed.mail,
        })))
    }
}

/// Compiles and signs; touches no row.
pub(crate) fn compile(
    app: &App,
    sender: &Holder,
    key: IdempotencyKey,
    order: &NewOrder,
    bound: &Bound,
    now: Timestamp,
) -> Result<PlaceOrder, Refused> {
    let created = u64::try_from(now.unix_s()).unwrap_or(0);
    let expires = created.saturating_add(order.expires_in_s);
    let terms = Terms {
        app,
        sender,
        order,
        now,
        created,
        expires,
    };
    let signed = terms.sign(Kind::Credit, bound)?;
    let programmed = signed.programmed;
    let payment = terms.payment()?;
    Ok(PlaceOrder {
        scope: IdempotencyScope {
            principal: sender.id,
            operation: match &payment {
                Payment::Account | Payment::Bank | Payment::Card(_) => Operation::PlaceOrder,
                Payment::Payable => Operation::SendPayable,
            },
            key,
        },
        content: order.content_hash(&bound.number_ref, &payment),
        remittance: signed.remittance,
        sender: sender.id,
        sender_name: sender.name.clone(),
        card: NumberRef(bound.number_ref),
        payment,
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
        mail: signed.mail,
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
pub async fn revise(
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
