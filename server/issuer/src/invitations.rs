//! Orders to addresses that stand for no card yet, and what an order is to its sender: a remittance,
//! or an invitation that waits to become one.

use crate::{
    app::{App, Office},
    clock::{id_parts, rfc3339, unix_seconds},
    http::problem::Refused,
    orders::{self, FIRST_REVISION, Preview},
    programs::program_for,
};
use ledger::{
    BindInvitation, Card, Command, Flow, Holder, HolderId, Invitation, InvitationStatus, Invite,
    InviteFacts, MailId, MailStatus, NewMail, Outcome, PlaceOrder, Refusal, Remittance,
    RemittanceId, Timestamp,
};
use money::Amount;
use program::{Kind, Order};
use store::{ApplyError, OrderRow, PAGE_MAX, StoreError};
use wire::api::{FundFrom, OrderView};

/// An order as it is stored.
#[derive(Debug)]
pub enum Ordered {
    /// Bound to a card.
    Remittance(Box<Remittance>),
    /// Held until its address stands for a card.
    Invitation(Box<Invitation>),
}

impl From<OrderRow> for Ordered {
    fn from(row: OrderRow) -> Self {
        match row {
            OrderRow::Remittance(remittance) => Self::Remittance(remittance),
            OrderRow::Invitation(invitation) => Self::Invitation(invitation),
        }
    }
}

/// An invitation as its sender sees it.
fn view(held: &Invitation) -> OrderView {
    OrderView {
        id: held.id.to_string(),
        status: held.status.code().to_owned(),
        fund_from: FundFrom::Account,
        amount_minor: held.amount.minor(),
        currency: held.amount.currency().code().to_owned(),
        recipient_masked: held.email.clone(),
        created_at: rfc3339(held.created),
        expires_at: rfc3339(held.expires),
        note: (!held.note.is_empty()).then(|| held.note.clone()),
        mail: held.mail.code().to_owned(),
        program: None,
    }
}

impl Ordered {
    /// The order of this id.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn find(office: &Office, id: RemittanceId) -> Result<Option<Self>, StoreError> {
        // in this order: an invitation becomes a remittance, never the other way
        let invitation = office.store.invitation(id).await?;
        Ok(match office.store.remittance(id).await? {
            Some(remittance) => Some(Self::Remittance(Box::new(remittance))),
            None => invitation.map(|invitation| Self::Invitation(Box::new(invitation))),
        })
    }

    /// A sender's orders, newest first, and where the next page begins. `limit`: cut to below
    /// [`PAGE_MAX`].
    ///
    /// # Errors
    /// The store is not available.
    pub async fn list(
        office: &Office,
        sender: HolderId,
        before: Option<RemittanceId>,
        limit: u32,
    ) -> Result<(Vec<Self>, Option<RemittanceId>), StoreError> {
        let limit = limit.min(PAGE_MAX - 1);
        let held = office.store.invitations(sender, before, limit + 1).await?;
        let page = office.store.orders(sender, before, limit).await?;
        let mut more = page.next.is_some();
        let mut items: Vec<Self> = page
            .items
            .into_iter()
            .map(|r| Self::Remittance(r.into()))
            .collect();
        let known: Vec<RemittanceId> = items.iter().map(Self::id).collect();
        // one that became a remittance between the two readings is shown once
        let held = held.into_iter().filter(|held| !known.contains(&held.id));
        items.extend(held.map(|held| Self::Invitation(held.into())));
        items.sort_by_key(|item| core::cmp::Reverse(item.id()));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        more |= items.len() > limit;
        items.truncate(limit);
        let next = items.last().map(Self::id).filter(|_| more);
        Ok((items, next))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RemittanceId {
        match self {
            Self::Remittance(remittance) => remittance.id,
            Self::Invitation(invitation) => invitation.id,
        }
    }

    /// Who ordered it.
    #[must_use]
    pub fn sender(&self) -> HolderId {
        match self {
            Self::Remittance(remittance) => remittance.sender,
            Self::Invitation(invitation) => invitation.sender,
        }
    }

    /// The name shown to its recipient.
    #[must_use]
    pub fn sender_name(&self) -> &str {
        match self {
            Self::Remittance(remittance) => &remittance.sender_name,
            Self::Invitation(invitation) => &invitation.sender_name,
        }
    }

    /// Whether it is the debit that pays for an order, and no order of its own.
    #[must_use]
    pub fn is_debit(&self) -> bool {
        match self {
            Self::Remittance(remittance) => matches!(remittance.flow, Flow::Debit { .. }),
            Self::Invitation(_) => false,
        }
    }

    /// How much.
    #[must_use]
    pub fn amount(&self) -> Amount {
        match self {
            Self::Remittance(remittance) => remittance.amount,
            Self::Invitation(invitation) => invitation.amount,
        }
    }

    /// What its sender sees.
    #[must_use]
    pub fn view(&self) -> OrderView {
        match self {
            Self::Remittance(remittance) => orders::view(remittance),
            Self::Invitation(held) => view(held),
        }
    }

    /// What its sender was told when it was placed: the same for ever, whatever has become of it.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn as_placed(&self, office: &Office) -> Result<OrderView, StoreError> {
        let invited = |held: &Invitation| {
            view(&Invitation {
                status: InvitationStatus::Invited,
                mail: MailStatus::Queued,
                ..held.clone()
            })
        };
        Ok(match self {
            Self::Invitation(held) => invited(held),
            Self::Remittance(remittance) => match office.store.invitation(remittance.id).await? {
                Some(held) => invited(&held),
                None => orders::as_placed(remittance),
            },
        })
    }
}

/// The order that would have been placed, held for an address instead.
pub(crate) fn invite(order: PlaceOrder, email: &str) -> Invite {
    Invite {
        scope: order.scope,
        content: order.content,
        remittance: order.remittance,
        sender: order.sender,
        sender_name: order.sender_name,
        email: email.to_owned(),
        amount: order.amount,
        amount_max: order.amount_max,
        note: order.note,
        expires: order.expires,
        message_id: order.mail.message_id,
        now: order.now,
    }
}

/// Decides an invitation by the ledger's own rule without holding anything.
pub(crate) fn preview(
    sender: &Holder,
    order: PlaceOrder,
    email: &str,
    now: Timestamp,
) -> Result<Preview, Refusal> {
    let invite = invite(order, email);
    let facts = InviteFacts {
        taken: false,
        sender: Some(sender.balance),
    };
    ledger::invite(&invite, facts, now)?;
    Ok(Preview {
        recipient: invite.email,
        card_masked: None,
        amount: invite.amount,
        expires: invite.expires,
    })
}

/// Makes remittances of all invitations whose address stands for a card by now; gives how many. One
/// that cannot be bound does not keep the others waiting.
///
/// # Errors
/// The store is not available.
pub async fn bind_answered(app: &App) -> anyhow::Result<usize> {
    let office = &app.office;
    let (mut after, mut bound) = (None, 0_usize);
    loop {
        let now = office.ledger_now().await?;
        let page = office
            .store
            .answered_invitations(after, PAGE_MAX, now)
            .await?;
        for (invitation, card, _) in &page.items {
            let id = invitation.id;
            let command = match bind(app, invitation, card, now) {
                Ok(command) => Command::BindInvitation(Box::new(command)),
                Err(refused) => {
                    let error = format!("{:#}", refused.into_error());
                    tracing::error!(remittance.id = %id, error, "an invitation cannot be bound");
                    continue;
                }
            };
            match office.store.apply_one(command).await {
                Ok(Outcome::Bound) => {
                    tracing::info!(remittance.id = %id, "an invitation became a remittance");
                    bound = bound.saturating_add(1);
                }
                Ok(other) => anyhow::bail!("an invitation was answered by {other:?}"),
                // cancelled, expired or with another card meanwhile: the next turn sees it
                Err(ApplyError::Refused(refusal)) => {
                    tracing::info!(remittance.id = %id, %refusal, "an invitation was not bound");
                }
                Err(error) => return Err(error.into()),
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(bound),
        }
    }
}

fn bind(
    app: &App,
    invitation: &Invitation,
    card: &Card,
    now: Timestamp,
) -> Result<BindInvitation, Refused> {
    let office = &app.office;
    let id = invitation.id;
    let created = unix_seconds(now);
    let expires = unix_seconds(invitation.expires);
    let programmed = program_for(
        app,
        Order {
            kind: Kind::Credit,
            issuer: office.config.issuer.clone(),
            remittance: id.to_bytes(),
            revision: FIRST_REVISION,
            card_masked: card.masked.clone(),
            card_binding: office.keys.card_binding(id, &card.number_ref.0),
            amount: invitation.amount,
            sender: invitation.sender_name.clone(),
            note: invitation.note.clone(),
            created,
            expires,
            template_hash: app.template.hash(),
            claim_token: office.keys.claim_token(id.as_bytes(), FIRST_REVISION),
        },
    )?;
    let (ms, bits) = id_parts(now, &*office.random);
    let mail = MailId::new(ms, bits);
    Ok(BindInvitation {
        remittance: id,
        card: card.number_ref,
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
