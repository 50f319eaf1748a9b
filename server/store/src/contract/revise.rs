//! New programs for open orders, and withdrawn templates.

use std::sync::Arc;

use ledger::{
    ClaimRef, Command, MailId, MailStatus, NewMail, Outcome, REVISION_MAX, Refusal, RemittanceId,
    Revise, rules,
};

use super::World;
use crate::error::AdminError;
use crate::traits::Store;

fn next(world: &World, remittance: RemittanceId, revision: u32) -> Revise {
    let seed = u8::try_from(revision).unwrap_or(u8::MAX);
    Revise {
        remittance,
        revision,
        order_bytes: vec![seed; 300],
        signature: [seed; 64],
        program_key: [0x21; 32],
        template_hash: [0x22; 32],
        claim: ClaimRef([seed; 32]),
        mail: NewMail {
            id: MailId::new(u64::from(revision), [seed; 10]),
            message_id: format!("{revision}@example.org"),
        },
        now: world.at(1),
    }
}

impl World {
    /// An order with a new program.
    pub async fn revised(&self, remittance: RemittanceId) {
        let answer = revise(self, next(self, remittance, 1)).await;
        assert_eq!(answer, Ok(Outcome::Revised));
    }
}

async fn revise(world: &World, revise: Revise) -> Result<Outcome, Refusal> {
    world.apply(Command::Revise(Box::new(revise))).await
}

/// Everything of the new program is stored, its mail goes to the address of now, and a session begun
/// with the earlier program has to start over.
pub async fn a_new_program_replaces_the_earlier_one_and_is_mailed(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 2_500).await;
    let first = world.store.lease_mail(world.at(0), world.at(9), 10).await;
    let first = first.unwrap().remove(0);
    world.store.mail_sent(first.id).await.unwrap();
    let old = world.store.standing(id).await.unwrap().unwrap();
    let email = Some("moved@example.org".to_owned());
    world.store.set_email(of.recipient, email).await.unwrap();
    let session = world.step(of.card, None, Some(id), world.at(1)).await;

    let new = next(&world, id, 1);
    assert_eq!(revise(&world, new.clone()).await, Ok(Outcome::Revised));
    let found = world.store.remittance(id).await.unwrap().unwrap();
    assert_eq!((found.revision, found.order_bytes), (1, new.order_bytes));
    assert_eq!(found.signature, new.signature);
    assert_eq!(
        (found.program_key, found.template_hash),
        (new.program_key, new.template_hash)
    );
    assert_eq!(found.mail, MailStatus::Queued);
    let by_claim = world.store.remittance_by_claim(new.claim).await.unwrap();
    assert_eq!(by_claim.map(|found| found.id), Some(id));
    let mails = world.store.lease_mail(world.at(1), world.at(9), 10).await;
    let mails = mails.unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!(
        (mails[0].id, mails[0].to.as_str(), mails[0].attempts),
        (new.mail.id, "moved@example.org", 1)
    );
    assert_eq!(world.run(session).await, Err(Refusal::Stale));
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.epoch, old.card.epoch + 1);
    assert_eq!(world.store.replaced(10).await.unwrap(), [(id, 1)]);
    world.holds(&of, id, [7_500, 2_500, 0]).await;

    assert_eq!(
        revise(&world, next(&world, id, 2)).await,
        Ok(Outcome::Revised)
    );
    assert_eq!(world.store.replaced(10).await.unwrap(), [(id, 2)]);
    world.sent(of.card, id).await;
    assert_eq!(world.store.replaced(10).await.unwrap(), []);
}

/// In order of precedence; the last revision is accepted and the one past it is not.
pub async fn a_program_is_replaced_only_by_the_next_one_and_only_while_it_could_be_redeemed(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 100).await;
    let unknown = next(&world, world.remittance_id(), 1);
    assert_eq!(
        revise(&world, unknown).await,
        Err(Refusal::RemittanceUnknown)
    );
    let mut long = next(&world, id, 1);
    long.order_bytes = vec![0; rules::ORDER_LEN_MAX + 1];
    assert_eq!(revise(&world, long).await, Err(Refusal::OutOfBounds));
    world.store.set_email(of.recipient, None).await.unwrap();
    let nobody = revise(&world, next(&world, id, 1)).await;
    assert_eq!(nobody, Err(Refusal::RecipientWithoutAddress));
    let email = Some("a@example.org".to_owned());
    world.store.set_email(of.recipient, email).await.unwrap();
    for wrong in [0, 2] {
        assert_eq!(
            revise(&world, next(&world, id, wrong)).await,
            Err(Refusal::Stale)
        );
    }
    for right in 1..=REVISION_MAX {
        assert_eq!(
            revise(&world, next(&world, id, right)).await,
            Ok(Outcome::Revised)
        );
    }
    let past = revise(&world, next(&world, id, REVISION_MAX + 1)).await;
    assert_eq!(past, Err(Refusal::OutOfBounds));

    let late = world.placed(&of, 100).await;
    let mut due = next(&world, late, 1);
    due.now = world.at(3_600);
    due.claim = ClaimRef([0x77; 32]);
    assert_eq!(revise(&world, due).await, Err(Refusal::Expired));
    // The ledger's time has moved on with that: what is still open is given back and stays so.
    let cancel = Command::Cancel {
        remittance: late,
        sender: of.sender,
        now: world.at(3_600),
    };
    world.apply(cancel).await.unwrap();
    let ended = revise(&world, next(&world, late, 1)).await;
    assert_eq!(ended, Err(Refusal::Cancelled));
}

/// A program whose commit was sent stays the one that counts until the card is read.
pub async fn a_program_in_flight_is_not_replaced(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 100).await;
    world.sent(of.card, id).await;
    let refused = revise(&world, next(&world, id, 1)).await;
    assert_eq!(refused, Err(Refusal::InDoubt));
    let proof = world.proof(of.card).await;
    world.apply(Command::Settle(proof)).await.unwrap();
    let refused = revise(&world, next(&world, id, 1)).await;
    assert_eq!(refused, Err(Refusal::AlreadyCredited));
}

/// The epoch rises with it, past the one that the batch in flight was made under.
pub async fn a_new_program_beside_one_in_flight_leaves_the_books_balanced(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (sent, open) = (world.placed(&of, 100).await, world.placed(&of, 50).await);
    world.sent(of.card, sent).await;
    assert_eq!(
        revise(&world, next(&world, open, 1)).await,
        Ok(Outcome::Revised)
    );
    world.balanced().await;
    let proof = world.proof(of.card).await;
    world.apply(Command::Settle(proof)).await.unwrap();
    world.holds(&of, sent, [9_850, 0, 100]).await;
}

/// Who leased it before has to ask again, and does not send it.
pub async fn a_replaced_mail_does_not_wait_any_more(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 100).await;
    let leased = world.store.lease_mail(world.at(0), world.at(9), 10).await;
    let first = leased.unwrap().remove(0).id;
    assert_eq!(world.store.mail_waits(first).await, Ok(true));
    let new = next(&world, id, 1);
    let second = new.mail.id;
    assert_eq!(revise(&world, new).await, Ok(Outcome::Revised));
    assert_eq!(world.store.mail_waits(first).await, Ok(false));
    assert_eq!(world.store.mail_waits(second).await, Ok(true));
    world.store.mail_sent(second).await.unwrap();
    assert_eq!(world.store.mail_waits(second).await, Ok(false));
}

/// Withdrawing is for good, can be repeated, and shows in what an exchange reads.
pub async fn a_withdrawn_template_stays_withdrawn_and_is_named(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 100).await;
    let template = [10; 32];
    let unknown = world.store.withdraw_template(template, world.at(1)).await;
    assert_eq!(unknown, Err(AdminError::Unknown { what: "template" }));
    for hash in [[0xFF; 32], template] {
        world.store.put_template(hash, vec![1]).await.unwrap();
    }
    let standing = world.store.standing(id).await.unwrap().unwrap();
    assert!(!standing.template_withdrawn);
    for _ in 0..2 {
        for hash in [[0xFF; 32], template] {
            world
                .store
                .withdraw_template(hash, world.at(1))
                .await
                .unwrap();
        }
    }
    let named = world.store.withdrawn_templates().await.unwrap();
    assert_eq!(named, [template, [0xFF; 32]]);
    let standing = world.store.standing(id).await.unwrap().unwrap();
    assert!(standing.template_withdrawn);
}
