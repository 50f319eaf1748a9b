//! Verified mail addresses, and the cards that they stand for.

use std::sync::Arc;

use ledger::{CardId, CardStatus, Command, HolderId, MailId, Timestamp};
use money::Currency;

use super::World;
use crate::error::AdminError;
use crate::record::{
    ADDRESS_TRIES, ADDRESSES_MAX, AddressRequest, CODE_LIFETIME_S, EMAIL_LEN_MAX, canonical_email,
};
use crate::traits::Store;

const EMAIL: &str = "hana@cards.example";
const RIGHT: [u8; 32] = [1; 32];
const WRONG: [u8; 32] = [2; 32];
const TAKEN: AdminError = AdminError::Taken {
    what: "mail address",
};
const UNKNOWN: AdminError = AdminError::Unknown {
    what: "mail address",
};
/// The right code of a second holder.
const OTHER: [u8; 32] = [3; 32];

impl World {
    async fn ask_code(
        &self,
        holder: HolderId,
        email: &str,
        code_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<MailId, AdminError> {
        let id = self.remittance_id().to_bytes();
        let request = MailId::from_bytes(id).unwrap();
        let asked = AddressRequest {
            holder,
            email: email.to_owned(),
            request,
            code_hash,
            now,
        };
        self.store.request_address(asked).await.map(|()| request)
    }

    async fn enter(
        &self,
        email: &str,
        code: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<HolderId>, AdminError> {
        self.store.verify_address(email.to_owned(), code, now).await
    }

    async fn stands_for(&self, email: &str) -> Option<CardId> {
        let found = self.store.card_of_address(email.to_owned()).await.unwrap();
        found.map(|card| card.id)
    }

    async fn choose(&self, holder: HolderId, card: Option<CardId>) -> Result<(), AdminError> {
        let (email, now) = (EMAIL.to_owned(), self.at(9));
        self.store.set_default_card(holder, email, card, now).await
    }

    async fn history(&self, holder: HolderId) -> Vec<(String, Option<CardId>)> {
        let events = self.store.address_history(holder, 100).await.unwrap();
        assert!(events.windows(2).all(|pair| pair[0].at >= pair[1].at));
        let events = events.into_iter().rev();
        events.map(|event| (event.what, event.card)).collect()
    }
}

/// Nothing stands for a card before its code was entered; the code counts once.
pub async fn an_address_is_verified_by_its_code_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    world
        .ask_code(of.recipient, EMAIL, RIGHT, world.at(0))
        .await
        .unwrap();
    assert_eq!(world.stands_for(EMAIL).await, None);
    assert_eq!(
        world.enter("other@cards.example", RIGHT, world.at(1)).await,
        Ok(None)
    );
    assert_eq!(
        world.enter(EMAIL, RIGHT, world.at(1)).await,
        Ok(Some(of.recipient))
    );
    assert_eq!(world.enter(EMAIL, RIGHT, world.at(2)).await, Ok(None));
    assert_eq!(world.stands_for(EMAIL).await, Some(of.card));
    let holder = world.store.holder(of.recipient).await.unwrap().unwrap();
    assert_eq!(holder.email.as_deref(), Some(EMAIL));
    assert_eq!(
        world.history(of.recipient).await,
        [("asked".to_owned(), None), ("verified".to_owned(), None)]
    );
    world.balanced().await;
}

/// The last try counts and the one after it does not; a new request begins anew.
pub async fn a_code_has_so_many_tries(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    for (wrong, expected) in [
        (ADDRESS_TRIES - 1, Some(of.recipient)),
        (ADDRESS_TRIES, None),
    ] {
        world
            .ask_code(of.recipient, EMAIL, RIGHT, world.at(0))
            .await
            .unwrap();
        for _ in 0..wrong {
            assert_eq!(world.enter(EMAIL, WRONG, world.at(1)).await, Ok(None));
        }
        assert_eq!(world.enter(EMAIL, RIGHT, world.at(1)).await, Ok(expected));
        let email = EMAIL.to_owned();
        world
            .store
            .remove_address(of.recipient, email, world.at(2))
            .await
            .unwrap();
    }
    let tried = world.history(of.recipient).await;
    let tried = tried.iter().filter(|event| event.0 == "wrong-code").count();
    assert_eq!(tried, 2 * ADDRESS_TRIES as usize - 1);
}

/// A code counts until its instant; a second one takes the place of the first.
pub async fn a_code_counts_for_a_day_and_only_the_last_one_does(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    world
        .ask_code(of.recipient, EMAIL, RIGHT, world.at(0))
        .await
        .unwrap();
    let late = world.enter(EMAIL, RIGHT, world.at(CODE_LIFETIME_S)).await;
    assert_eq!(late, Ok(None));
    let again = world.at(CODE_LIFETIME_S);
    world
        .ask_code(of.recipient, EMAIL, RIGHT, again)
        .await
        .unwrap();
    world
        .ask_code(of.recipient, EMAIL, OTHER, again)
        .await
        .unwrap();
    let last = world.at(2 * CODE_LIFETIME_S - 1);
    assert_eq!(world.enter(EMAIL, RIGHT, last).await, Ok(None));
    assert_eq!(
        world.enter(EMAIL, OTHER, last).await,
        Ok(Some(of.recipient))
    );
}

/// Whoever verifies first has it, until it is removed.
pub async fn a_verified_address_belongs_to_one_holder(store: Arc<dyn Store>) {
    let world = World::new(store);
    let (one, two) = (world.funded().await, world.funded().await);
    world
        .ask_code(one.recipient, EMAIL, RIGHT, world.at(0))
        .await
        .unwrap();
    world
        .ask_code(two.recipient, EMAIL, OTHER, world.at(0))
        .await
        .unwrap();
    assert_eq!(
        world.enter(EMAIL, RIGHT, world.at(1)).await,
        Ok(Some(one.recipient))
    );
    assert_eq!(world.enter(EMAIL, OTHER, world.at(2)).await, Err(TAKEN));
    for holder in [one.recipient, two.recipient] {
        let again = world.ask_code(holder, EMAIL, OTHER, world.at(3)).await;
        assert_eq!(again.map(|_| ()), Err(TAKEN));
    }
    assert_eq!(world.stands_for(EMAIL).await, Some(one.card));
    let email = || EMAIL.to_owned();
    world
        .store
        .remove_address(one.recipient, email(), world.at(4))
        .await
        .unwrap();
    assert_eq!(world.stands_for(EMAIL).await, None);
    assert_eq!(
        world.enter(EMAIL, OTHER, world.at(5)).await,
        Ok(Some(two.recipient))
    );
    assert_eq!(world.stands_for(EMAIL).await, Some(two.card));
    let gone = world
        .store
        .remove_address(one.recipient, email(), world.at(6))
        .await;
    assert_eq!(gone, Err(UNKNOWN));
}

/// One active card needs no choice, several do, and a chosen card that is blocked no longer counts.
pub async fn an_address_stands_for_one_active_card(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    assert_eq!(
        world.choose(of.recipient, Some(of.card)).await,
        Err(UNKNOWN)
    );
    world
        .ask_code(of.recipient, EMAIL, RIGHT, world.at(0))
        .await
        .unwrap();
    assert_eq!(
        world.choose(of.recipient, Some(of.card)).await,
        Err(UNKNOWN)
    );
    world.enter(EMAIL, RIGHT, world.at(1)).await.unwrap();
    let (second, _) = world.card(of.recipient, Currency::Jpy, 5_000).await;
    assert_eq!(world.stands_for(EMAIL).await, None);
    let (foreign, _) = world.card(of.sender, Currency::Jpy, 5_000).await;
    let begun = world.new_card(of.recipient, Currency::Jpy, 5_000);
    world.store.begin_issue(begun.clone()).await.unwrap();
    for (card, error) in [
        (foreign, AdminError::Unknown { what: "card" }),
        (world.card_id(), AdminError::Unknown { what: "card" }),
        (begun.id, AdminError::WrongStatus),
    ] {
        assert_eq!(world.choose(of.recipient, Some(card)).await, Err(error));
    }
    world.choose(of.recipient, Some(second)).await.unwrap();
    assert_eq!(world.stands_for(EMAIL).await, Some(second));
    world.choose(of.recipient, None).await.unwrap();
    assert_eq!(world.stands_for(EMAIL).await, None);
    world.choose(of.recipient, Some(second)).await.unwrap();
    let now = world.at(10);
    world
        .apply(Command::BlockCard { card: second, now })
        .await
        .unwrap();
    assert_eq!(world.stands_for(EMAIL).await, Some(of.card));
    let card = of.card;
    world.apply(Command::BlockCard { card, now }).await.unwrap();
    assert_eq!(world.stands_for(EMAIL).await, None);
    let found = world.store.card(card).await.unwrap().unwrap();
    assert_eq!(found.status, CardStatus::Blocked);
    let chosen = world.history(of.recipient).await.into_iter().skip(2);
    let chosen: Vec<_> = chosen.map(|event| event.1).collect();
    assert_eq!(chosen, [Some(second), None, Some(second)]);
}

/// Length, form and number, exactly and one past.
pub async fn addresses_are_bounded(store: Arc<dyn Store>) {
    let world = World::new(store);
    let holder = world.holder(Currency::Jpy, 0).await;
    let longest = format!("a@{}", "b".repeat(EMAIL_LEN_MAX - 2));
    let past = format!("{longest}b");
    let what = "mail address";
    for bad in [
        "Hana@cards.example",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        " a@b",
        "a@b\r\nBcc: c@d",
        &past,
    ] {
        let refused = world.ask_code(holder, bad, RIGHT, world.at(0)).await;
        assert_eq!(refused, Err(AdminError::OutOfBounds { what }), "{bad}");
    }
    assert_eq!(
        canonical_email(" Hana@Cards.example ").as_deref(),
        Some(EMAIL)
    );
    assert_eq!(canonical_email(&past), None);
    let stranger = world
        .ask_code(world.holder_id(), EMAIL, RIGHT, world.at(0))
        .await;
    assert_eq!(stranger, Err(AdminError::Unknown { what: "holder" }));
    world
        .ask_code(holder, &longest, RIGHT, world.at(0))
        .await
        .unwrap();
    for at in 1..ADDRESSES_MAX {
        world
            .ask_code(holder, &format!("a{at}@b"), RIGHT, world.at(0))
            .await
            .unwrap();
    }
    let what = "number of mail addresses";
    let past = world.ask_code(holder, "past@b", RIGHT, world.at(0)).await;
    assert_eq!(past, Err(AdminError::OutOfBounds { what }));
    world
        .ask_code(holder, &longest, RIGHT, world.at(1))
        .await
        .unwrap();
}

/// A code is leased to one, again when its lease runs out, and no more once it went out or counts no more.
pub async fn a_code_is_mailed_until_it_went_out(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let request = world
        .ask_code(of.recipient, EMAIL, RIGHT, world.at(0))
        .await
        .unwrap();
    let lease = async |now, until| {
        let (now, until) = (world.at(now), world.at(until));
        world
            .store
            .lease_address_mail(now, until, 10)
            .await
            .unwrap()
    };
    let first = lease(0, 60).await;
    assert_eq!((first[0].request, first[0].to.as_str()), (request, EMAIL));
    assert_eq!((first.len(), first[0].attempts), (1, 1));
    assert_eq!(lease(59, 120).await, []);
    assert_eq!(lease(60, 120).await[0].attempts, 2);
    let retry = Some(world.at(600));
    world.store.address_mail_done(request, retry).await.unwrap();
    assert_eq!(lease(599, 700).await, []);
    assert_eq!(lease(600, 700).await[0].attempts, 3);
    world.store.address_mail_done(request, None).await.unwrap();
    world.store.address_mail_done(request, retry).await.unwrap();
    assert_eq!(lease(9_999, 10_000).await, []);
    let late = world
        .ask_code(of.recipient, EMAIL, RIGHT, world.at(10_000))
        .await
        .unwrap();
    assert_eq!(lease(10_000 + CODE_LIFETIME_S, 200_000).await, []);
    world.store.address_mail_done(late, retry).await.unwrap();
    world.enter(EMAIL, RIGHT, world.at(10_001)).await.unwrap();
    assert_eq!(lease(10_002, 20_000).await, []);
}
