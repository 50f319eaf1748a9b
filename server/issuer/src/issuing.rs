//! Issuing a card on a reader of this office.
//!
//! The row is written before the first command goes to the card, and becomes active only after
//! the new keys have authenticated; in between, the same command resumes. The number of a card is
//! derived from its UID unless one is given, so that a resumed issue finds the same one again
//! although no number is stored.

use crate::{
    app::Office,
    clock::{id_parts, random},
};
use anyhow::{Context, bail, ensure};
use card::personalise::{Blank, CardKeys, Personalisation, Step};
use ledger::{Card, CardId, CardNumber, CardStatus, HolderId, NumberRef, Uid};
use store::{AdminError, NewCard};

/// Most commands of one personalisation; the longest way takes about forty.
const COMMANDS_MAX: usize = 100;

/// How many numbers are tried for a UID before giving up: two equal ones among a million cards are
/// rare already.
const NUMBERS_MAX: u8 = 8;

/// Which number a new card gets.
#[derive(Clone, Debug)]
pub enum NewNumber {
    /// The one printed on it already.
    Given(CardNumber),
    /// One derived from its UID.
    Derived,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose card it will be.
    pub holder: HolderId,
    /// Its number.
    pub number: NewNumber,
    /// The most it may hold, minor units.
    pub value_max: i64,
}

/// A card in use.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Id of the card and its account.
    pub card: CardId,
    /// Its number, shown once.
    pub number: CardNumber,
}

impl Issued {
    /// The number as it is printed: four groups of four digits.
    #[must_use]
    pub fn number_text(&self) -> String {
        let groups: Vec<_> = self
            .number
            .digits()
            .chunks(4)
            .map(String::from_utf8_lossy)
            .collect();
        groups.join(" ")
    }
}

/// Personalises the card behind `transmit`.
///
/// # Errors
/// No 7-byte UID, a card that is in use already, an unknown holder, a number in use, what the
/// card or the reader says. After a failure of card or reader the same call resumes, and once it is done
/// the same call gives the same answer.
pub async fn issue(
    office: &Office,
    transmit: &mut (dyn FnMut(&[u8]) -> anyhow::Result<Vec<u8>> + Send),
    order: Order,
) -> anyhow::Result<Issued> {
    let uid = read_uid(transmit)?;
    let known = office.store.card_by_uid(Uid(uid)).await?;
    let card = match &known {
        Some(Card {
            status: CardStatus::Issuing,
            id,
            ..
        }) => *id,
        Some(card) => match answered(office, card, uid, &order).await? {
            Some(issued) => return Ok(issued),
            None => bail!("this card was issued already; `tegata-server card list` shows it"),
        },
        None => {
            let (ms, bits) = id_parts(office.clock.now(), &*office.random);
            CardId::new(ms, bits)
        }
    };
    let number = begin(office, card, uid, order).await?;
    let blank = Blank {
        uid,
        card_number: *number.digits(),
        keys: card_keys(office, &uid),
    };
    personalise(office, transmit, blank)
        .context("the card is not finished; put it back and give the same command again")?;
    office.store.finish_issue(card, office.clock.now()).await?;
    Ok(Issued { card, number })
}

/// What was answered to this very command before: a number that got lost on its way, in a crash after
/// the last step, is nowhere else to be found, and the card is not issued a second time.
async fn answered(
    office: &Office,
    card: &Card,
    uid: [u8; 7],
    order: &Order,
) -> anyhow::Result<Option<Issued>> {
    let same = card.holder == order.holder && card.value_max == order.value_max;
    if !same || card.status != CardStatus::Active {
        return Ok(None);
    }
    for attempt in 0..NUMBERS_MAX {
        let number = match &order.number {
            NewNumber::Given(number) => number.clone(),
            NewNumber::Derived => office.keys.derived_number(&uid, attempt)?,
        };
        let reference = NumberRef(office.keys.number_ref(&number));
        let found = office.store.card_by_number(reference).await?;
        if found.is_some_and(|found| found.id == card.id) {
            let card = card.id;
            return Ok(Some(Issued { card, number }));
        }
    }
    Ok(None)
}

/// Writes the row with the first number that is free.
async fn begin(
    office: &Office,
    card: CardId,
    uid: [u8; 7],
    order: Order,
) -> anyhow::Result<CardNumber> {
    for attempt in 0..NUMBERS_MAX {
        let (number, given) = match &order.number {
            NewNumber::Given(number) => (number.clone(), true),
            NewNumber::Derived => (office.keys.derived_number(&uid, attempt)?, false),
        };
        let row = NewCard {
            id: card,
            number_ref: NumberRef(office.keys.number_ref(&number)),
            masked: number.masked(),
            uid: Uid(uid),
            holder: order.holder,
            currency: office.config.currency,
            value_max: order.value_max,
            now: office.clock.now(),
        };
        match office.store.begin_issue(row).await {
            Ok(()) => return Ok(number),
            Err(AdminError::Taken { .. }) if !given => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("no free card number was found; give one with --number")
}

fn card_keys(office: &Office, uid: &[u8; 7]) -> CardKeys {
    let masters = office.keys.card_masters();
    let [picc, k0, k1, k2] = &masters;
    CardKeys::derive(picc, [k0, k1, k2], uid)
}

pub(crate) fn read_uid(
    transmit: &mut (dyn FnMut(&[u8]) -> anyhow::Result<Vec<u8>> + Send),
) -> anyhow::Result<[u8; 7]> {
    let answer = transmit(&[0xFF, 0xCA, 0x00, 0x00, 0x00])?;
    let uid = answer
        .strip_suffix(&[0x90, 0x00])
        .and_then(|uid| uid.try_into().ok());
    let uid: [u8; 7] = uid.context("the reader gives no UID of 7 bytes: card not supported")?;
    ensure!(uid != [0; 7], "the card hides its UID: card not supported");
    Ok(uid)
}

fn personalise(
    office: &Office,
    transmit: &mut (dyn FnMut(&[u8]) -> anyhow::Result<Vec<u8>> + Send),
    blank: Blank,
) -> anyhow::Result<()> {
    let (mut command, mut machine) = Personalisation::start(blank);
    for _ in 0..COMMANDS_MAX {
        let step = machine.step();
        let answer = transmit(&command).with_context(|| step)?;
        match machine
            .next(&answer, random(&*office.random))
            .with_context(|| step)?
        {
            Step::Transmit(next, waiting) => (command, machine) = (next, waiting),
            Step::Done => return Ok(()),
        }
    }
    bail!("the card never came to an end")
}
