//! Orders to an address that nobody has verified, held until it stands for a card.

use std::sync::Arc;

use ledger::{
    BindInvitation, CardId, ClaimRef, Command, HolderId, InvitationStatus, Invite, MailId,
    MailStatus, NewMail, Outcome, Refusal, RemittanceId, ReturnReason, Status, Timestamp,
};
use money::{Amount, Currency};

use super::{Funded, World};
use crate::record::{AddressRequest, INVITATION_MAILS_MAX};
use crate::traits::Store;

const EMAIL: &str = "new@cards.example";
const CODE: [u8; 32] = [21; 32];

impl World {
    /// An invitation of the usual sender to [`EMAIL`], until an hour from the begin.
    fn inviting(&self, of: &Funded, minor: i64) -> Invite {
        let order = self.order(of.sender, of.number, minor);
        Invite {
            scope: order.scope,
            content: order.content,
            remittance: order.remittance,
            sender: of.sender,
            sender_name: order.sender_name,
            email: EMAIL.to_owned(),
            amount: order.amount,
            amount_max: order.amount_max,
            note: order.note,
            expires: order.expires,
            message_id: order.mail.message_id,
            now: order.now,
        }
    }

    async fn invite(&self, invite: &Invite) -> Result<Outcome, Refusal> {
        self.apply(Command::Invite(Box::new(invite.clone()))).await
    }

    pub(super) async fn invited(&self, of: &Funded, minor: i64) -> RemittanceId {
        let invite = self.inviting(of, minor);
        let remittance = invite.remittance;
        assert_eq!(
            self.invite(&invite).await,
            Ok(Outcome::Placed { remittance })
        );
        remittance
    }

    /// [`EMAIL`] verified for this holder.
    async fn verified(&self, holder: HolderId) {
        let request = MailId::from_bytes(self.remittance_id().to_bytes()).unwrap();
        let asked = AddressRequest {
            holder,
            email: EMAIL.to_owned(),
            request,
            code_hash: CODE,
            now: self.at(1),
        };
        self.store.request_address(asked).await.unwrap();
        let email = EMAIL.to_owned();
        let verified = self.store.verify_address(email, CODE, self.at(2)).await;
        assert_eq!(verified, Ok(Some(holder)));
    }

    async fn binding(&self, id: RemittanceId, card: CardId, now: Timestamp) -> BindInvitation {
        let number = self.store.card(card).await.unwrap().unwrap().number_ref;
        let order = self.order(self.holder_id(), number, 1);
        BindInvitation {
            remittance: id,
            card: number,
            revision: 0,
            order_bytes: vec![7; 300],
            signature: [8; 64],
            program_key: [9; 32],
            template_hash: [10; 32],
            claim: ClaimRef(order.claim.0),
            mail: NewMail {
                id: order.mail.id,
                message_id: order.mail.message_id,
            },
            now,
        }
    }

    async fn bind(&self, id: RemittanceId, card: CardId, s: i64) -> Result<Outcome, Refusal> {
        let bind = self.binding(id, card, self.at(s)).await;
        self.apply(Command::BindInvitation(Box::new(bind))).await
    }

    async fn answered(&self, s: i64) -> Vec<(RemittanceId, CardId)> {
        let page = self.store.answered_invitations(None, 10, self.at(s)).await;
        let items = page.unwrap().items;
        let pair =
            |(invitation, card, _): (ledger::Invitation, ledger::Card, _)| (invitation.id, card.id);
        items.into_iter().map(pair).collect()
    }

    async fn stands(&self, id: RemittanceId) -> InvitationStatus {
        self.store.invitation(id).await.unwrap().unwrap().status
    }

    async fn cancelled(&self, of: &Funded, id: RemittanceId, s: i64) -> Result<Outcome, Refusal> {
        let (sender, now) = (of.sender, self.at(s));
        self.apply(Command::Cancel {
            remittance: id,
            sender,
            now,
        })
        .await
    }

    async fn expire_at(&self, id: RemittanceId, s: i64) -> Result<Outcome, Refusal> {
        let now = self.at(s);
        self.apply(Command::Expire {
            remittance: id,
            now,
        })
        .await
    }
}

const fn returned(at: Timestamp, reason: ReturnReason) -> Outcome {
    Outcome::Invitation(InvitationStatus::Returned { at, reason })
}

/// The amount is in escrow from the order on; with a card it is a remittance like any other.
pub async fn an_invitation_becomes_a_remittance_once_its_address_has_a_card(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.invited(&of, 1_000).await;
    world.holds(&of, id, [9_000, 1_000, 0]).await;
    assert_eq!(world.stands(id).await, InvitationStatus::Invited);
    assert_eq!(world.store.remittance(id).await, Ok(None));
    assert_eq!(world.answered(3).await, []);
    let unverified = world.bind(id, of.card, 3).await;
    assert_eq!(unverified, Err(Refusal::CardUnknown));
    let listed = world.store.invitations(of.sender, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|i| i.id).collect::<Vec<_>>(), [id]);

    world.verified(of.recipient).await;
    assert_eq!(world.answered(3).await, [(id, of.card)]);
    // the program was made for a card that the address no longer stands for
    let mut other = world.binding(id, of.card, world.at(3)).await;
    other.card.0[0] ^= 1;
    let stale = world.apply(Command::BindInvitation(Box::new(other))).await;
    assert_eq!(stale, Err(Refusal::Stale));
    for _ in 0..2 {
        assert_eq!(world.bind(id, of.card, 3).await, Ok(Outcome::Bound));
    }
    assert_eq!(world.status(id).await, Status::Open);
    assert_eq!(world.answered(3).await, []);
    assert_eq!(
        world.store.invitations(of.sender, None, 10).await,
        Ok(vec![])
    );
    world.holds(&of, id, [9_000, 1_000, 0]).await;
    let mails = world
        .store
        .lease_mail(world.at(3), world.at(9), 10)
        .await
        .unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].remittance, mails[0].to.as_str()), (id, EMAIL));

    world.sent(of.card, id).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    world.holds(&of, id, [9_000, 0, 1_000]).await;
}

/// By cancel at once, by its instant, and once; what has become a remittance is cancelled as one.
pub async fn an_invitation_returns_to_its_sender_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.invited(&of, 1_000).await;
    let stranger = world.apply(Command::Cancel {
        remittance: id,
        sender: of.recipient,
        now: world.at(1),
    });
    assert_eq!(stranger.await, Err(Refusal::RemittanceUnknown));
    assert_eq!(world.expire_at(id, 3_599).await, Err(Refusal::NotExpired));
    let early = world.store.expirable(world.at(3_599), 10).await;
    assert_eq!(early, Ok(vec![]));
    for _ in 0..2 {
        let at = world.at(3_599);
        let expected = Ok(returned(at, ReturnReason::Cancelled));
        assert_eq!(world.cancelled(&of, id, 5).await, expected);
    }
    world.holds(&of, id, [10_000, 0, 0]).await;
    assert_eq!(world.expire_at(id, 4_000).await, Err(Refusal::Cancelled));
    world.verified(of.recipient).await;
    assert_eq!(world.bind(id, of.card, 6).await, Err(Refusal::Cancelled));

    // due from its very instant on, also for what would bind it
    let mut invite = world.inviting(&of, 700);
    invite.expires = world.at(5_000);
    let due = invite.remittance;
    assert!(world.invite(&invite).await.is_ok());
    assert_eq!(world.answered(4_999).await, [(due, of.card)]);
    assert_eq!(world.answered(5_000).await, []);
    assert_eq!(world.bind(due, of.card, 5_000).await, Err(Refusal::Expired));
    let sweep = world.store.expirable(world.at(5_000), 10).await;
    assert_eq!(sweep, Ok(vec![due]));
    for _ in 0..2 {
        let expected = Ok(returned(world.at(5_000), ReturnReason::Expired));
        assert_eq!(world.expire_at(due, 5_000).await, expected);
    }
    world.holds(&of, due, [10_000, 0, 0]).await;

    let mut invite = world.inviting(&of, 300);
    invite.expires = world.at(9_000);
    let bound = invite.remittance;
    assert!(world.invite(&invite).await.is_ok());
    assert_eq!(world.bind(bound, of.card, 5_001).await, Ok(Outcome::Bound));
    let cancelled = world.cancelled(&of, bound, 5_002).await;
    assert!(
        matches!(cancelled, Ok(Outcome::CancelNoted(_))),
        "{cancelled:?}"
    );
    world.holds(&of, bound, [10_000, 0, 0]).await;
}

/// The same key is the same order, whether it was invited or placed first.
pub async fn an_invitation_shares_its_key_with_the_order_that_it_would_be(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let invite = world.inviting(&of, 1_000);
    let first = invite.remittance;
    let placed = Ok(Outcome::Placed { remittance: first });
    assert_eq!(world.invite(&invite).await, placed);
    let mut again = world.inviting(&of, 1_000);
    (again.scope, again.content) = (invite.scope.clone(), invite.content);
    assert_eq!(world.invite(&again).await, placed);
    // verified meanwhile: the caller now sends an order
    let mut order = world.order(of.sender, of.number, 1_000);
    (order.scope, order.content) = (invite.scope.clone(), invite.content);
    assert_eq!(world.place(&order).await, placed);
    again.content.0[0] ^= 1;
    let conflict = world.invite(&again).await;
    assert_eq!(conflict, Err(Refusal::IdempotencyConflict));
    // and an id is used once, by whichever of the two
    let mut same = world.inviting(&of, 1_000);
    same.remittance = first;
    assert_eq!(world.invite(&same).await, Err(Refusal::RemittanceTaken));
    let mut order = world.order(of.sender, of.number, 1_000);
    order.remittance = first;
    assert_eq!(world.place(&order).await, Err(Refusal::RemittanceTaken));
    world.holds(&of, first, [9_000, 1_000, 0]).await;
}

/// In the order of precedence, each with all later ones present.
pub async fn an_invitation_is_refused_in_order_of_precedence(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let yen = |minor| Amount::new(minor, Currency::Jpy).unwrap();
    let mut bad = world.inviting(&of, 1_000);
    let all = |bad: &mut Invite| {
        bad.sender = world.holder_id();
        bad.amount = Amount::new(1_000_001, Currency::Usd).unwrap();
        bad.expires = world.at(0);
    };
    all(&mut bad);
    bad.scope = world.inviting(&of, 1).scope;
    assert_eq!(world.invite(&bad).await, Err(Refusal::HolderUnknown));
    let fresh = |bad: &mut Invite| bad.scope = world.inviting(&of, 1).scope;
    bad.sender = of.sender;
    fresh(&mut bad);
    assert_eq!(world.invite(&bad).await, Err(Refusal::CurrencyMismatch));
    bad.amount = yen(1_000_001);
    fresh(&mut bad);
    assert_eq!(world.invite(&bad).await, Err(Refusal::Expired));
    bad.expires = world.at(1);
    fresh(&mut bad);
    assert_eq!(world.invite(&bad).await, Err(Refusal::AmountOverLimit));
    bad.amount = yen(10_001);
    fresh(&mut bad);
    assert_eq!(world.invite(&bad).await, Err(Refusal::InsufficientFunds));
    bad.amount = yen(10_000);
    fresh(&mut bad);
    assert!(world.invite(&bad).await.is_ok());
    for (email, accepted) in [("a@", false), ("a@b", true)] {
        let mut bounded = world.inviting(&of, 1);
        bounded.email = email.to_owned();
        let refusal = if accepted {
            Refusal::InsufficientFunds
        } else {
            Refusal::OutOfBounds
        };
        assert_eq!(world.invite(&bounded).await, Err(refusal), "{email}");
    }
    let longest = format!("{}@b", "a".repeat(ledger::INVITED_LEN_MAX - 2));
    for (email, refusal) in [
        (longest.clone(), Refusal::InsufficientFunds),
        (format!("a{longest}"), Refusal::OutOfBounds),
    ] {
        let mut bounded = world.inviting(&of, 1);
        bounded.email = email;
        assert_eq!(world.invite(&bounded).await, Err(refusal));
    }
    world.balanced().await;
}

/// An own card, a smaller card, and no card at all: it waits, and lapses.
pub async fn an_invitation_is_bound_only_to_a_card_that_can_take_it(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let large = world.invited(&of, 5_001).await;
    world.verified(of.recipient).await;
    assert_eq!(world.answered(3).await, []);
    let refused = world.bind(large, of.card, 3).await;
    assert_eq!(refused, Err(Refusal::AmountOverLimit));
    let fits = world.invited(&of, 4_999).await;
    assert_eq!(world.answered(3).await, [(fits, of.card)]);
    let email = EMAIL.to_owned();
    let removed = world.store.remove_address(of.recipient, email, world.at(4));
    removed.await.unwrap();
    assert_eq!(world.answered(4).await, []);
    let (own, _) = world.card(of.sender, Currency::Jpy, 9_000).await;
    world.verified(of.sender).await;
    assert_eq!(world.answered(5).await, []);
    assert_eq!(world.bind(fits, own, 5).await, Err(Refusal::SelfRemittance));
    world.balanced().await;
}

/// A restored database does not know what became of it, nor on which card: two persons decide.
pub async fn a_restored_invitation_waits_for_two_persons(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let known = world.invited(&of, 1_000).await;
    let lost = world.invited(&of, 500).await;
    let begun = world
        .store
        .begin_incarnation([0xA5; 16], world.at(10))
        .await;
    assert_eq!(begun.unwrap().invitations, 2);
    for id in [known, lost] {
        assert_eq!(world.expire_at(id, 9_000).await, Err(Refusal::Recovering));
    }
    assert_eq!(world.store.expirable(world.at(9_000), 10).await, Ok(vec![]));
    let noted = InvitationStatus::Recovering { cancel_asked: true };
    let cancelled = world.cancelled(&of, lost, 9_000).await;
    assert_eq!(cancelled, Ok(Outcome::Invitation(noted)));
    world.holds(&of, lost, [8_500, 500, 0]).await;

    // in the lost life the address may have stood for another card, which holds it by now
    world.verified(of.recipient).await;
    assert_eq!(world.answered(9_001).await, []);
    for id in [known, lost] {
        let refused = world.bind(id, of.card, 9_001).await;
        assert_eq!(refused, Err(Refusal::Recovering));
    }
    let waiting = world.store.recovering_invitations(None).await.unwrap();
    let waiting: Vec<_> = waiting.iter().map(|i| i.id).collect();
    assert_eq!(waiting, [known, lost]);
    let approval = world.approval().await;
    for _ in 0..2 {
        let closed = world.close(lost, approval.clone()).await;
        let expected = returned(world.at(9_001), ReturnReason::Closed);
        assert_eq!(closed, Ok(expected));
    }
    world.holds(&of, lost, [9_000, 0, 0]).await;
    world.holds(&of, known, [9_000, 1_000, 0]).await;
    let decisions = world.store.decisions(0, 10).await.unwrap();
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0].subject, lost.to_string());
    // what waits for nothing is not closed
    let mut open = world.inviting(&of, 100);
    open.expires = world.at(20_000);
    assert!(world.invite(&open).await.is_ok());
    let refused = world.close(open.remittance, approval).await;
    assert_eq!(refused, Err(Refusal::NotInFlight));
}

/// As a program's mail: leased to one, tried again, and never after the invitation has ended.
pub async fn an_invitation_is_mailed_until_it_went_out_or_ended(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.invited(&of, 100).await;
    let lease = |s: i64| {
        let (now, until) = (world.at(s), world.at(s + 100));
        world.store.lease_invitation_mail(now, until, 10)
    };
    let first = lease(1).await.unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].invitation.id, first[0].attempts), (id, 1));
    assert_eq!(lease(100).await, Ok(vec![]));
    let done = |done, s| {
        let again = world.at(s);
        world.store.invitation_mail_done(id, done, Some(again))
    };
    done(MailStatus::Queued, 150).await.unwrap();
    assert_eq!(lease(149).await, Ok(vec![]));
    let second = lease(150).await.unwrap();
    assert_eq!(
        (second[0].attempts, &second[0].message_id),
        (2, &first[0].message_id)
    );
    done(MailStatus::Sent, 160).await.unwrap();
    done(MailStatus::Failed, 160).await.unwrap();
    assert_eq!(lease(900).await, Ok(vec![]));
    let mail = world.store.invitation(id).await.unwrap().unwrap().mail;
    assert_eq!(mail, MailStatus::Sent);
    let ended = world.invited(&of, 100).await;
    assert!(world.cancelled(&of, ended, 901).await.is_ok());
    assert_eq!(lease(902).await, Ok(vec![]));
}

/// Ordered and taken back again and again, it is still a few mails a day to one address.
pub async fn an_address_is_invited_by_a_few_mails_a_day(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    for _ in 0..=INVITATION_MAILS_MAX {
        world.invited(&of, 10).await;
    }
    let day = 86_400;
    let leased = async |s: i64| {
        let (now, until) = (world.at(s), world.at(s + 1));
        let found = world
            .store
            .lease_invitation_mail(now, until, 10)
            .await
            .unwrap();
        for mail in &found {
            let done = (mail.invitation.id, MailStatus::Sent, None);
            let noted = world.store.invitation_mail_done(done.0, done.1, done.2);
            noted.await.unwrap();
        }
        found.len()
    };
    assert_eq!(
        leased(1).await,
        usize::try_from(INVITATION_MAILS_MAX).unwrap()
    );
    assert_eq!(leased(100).await, 0);
    assert_eq!(leased(day + 100).await, 1);
    world.balanced().await;
}
