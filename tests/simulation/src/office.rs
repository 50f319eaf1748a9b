//! The office: new programs, lost cards and what is owed for them, receipts that are shown, and what
//! two persons decide.

use crate::{
    base::{self, PAYER, RECIPIENT, owner_of, person_id},
    cells::{DEBIT_PHASES, PHASES},
    dice::Dice,
    server::{Call, Client, Out, What},
    world::World,
};
use anyhow::Context as _;
use card_sim::Card as Chip;
use issuer::{app::App, examine, orders, orders::NewOrder, programs, shown};
use ledger::{
    Approval, CardStatus, CloseInDoubt, Command, IdempotencyKey, Officer, OfficerName, Outcome,
    RemittanceId, Resolution, ResolveCase, Status, TokenHash, TransferId,
};
use std::sync::Arc;
use wire::api::{CreateOrder, FundFrom};

/// Two officers, by name and token.
pub(crate) const OFFICERS: [(&str, [u8; 32]); 2] = [("one", [1; 32]), ("two", [2; 32])];

fn officer(at: usize) -> Officer {
    let (name, token) = OFFICERS[at];
    Officer {
        name: OfficerName::new(name).unwrap_or_else(|_| unreachable!("a lawful name")),
        token: TokenHash(token),
    }
}

fn approval() -> Approval {
    Approval {
        first: officer(0),
        second: officer(1),
        reason: "simulated".to_owned(),
    }
}

/// What happens at the office in this history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plans {
    /// A card is reported lost.
    pub(crate) loses: bool,
    /// Two persons close what is in doubt.
    pub(crate) closes: bool,
    /// Programs are replaced.
    pub(crate) revises: bool,
    /// Recipients show receipts.
    pub(crate) shows: bool,
}

impl Plans {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        Self {
            loses: dice.one_in(2),
            closes: dice.one_in(4),
            revises: dice.one_in(2),
            shows: dice.one_in(2),
        }
    }
}

impl World<'_> {
    /// Something happens at the office.
    pub(crate) fn office(&mut self) {
        match self.dice.roll(12) {
            0..=2 => self.change_mind(),
            3 if self.blocks => self.block(),
            4 | 8 if self.plans.loses => self.lose(),
            5 => self.pay_out_some(),
            6 => self.send_some_payable(),
            7 if self.plans.revises => self.revise_some(),
            9 if self.plans.closes => self.close_some(),
            10 if self.plans.shows => self.show_some(),
            11 => self.adopt_some(),
            _ => {}
        }
    }

    fn some_remittance(&mut self) -> Option<RemittanceId> {
        let known = self.ghosts.iter().filter(|(_, ghost)| !ghost.forgotten);
        let known: Vec<_> = known.map(|(id, _)| *id).collect();
        self.dice.pick(&known).copied()
    }

    /// A command of the office, as its command line gives it.
    fn command(
        &mut self,
        what: What,
        command: impl FnOnce(ledger::Timestamp) -> Command + 'static,
    ) {
        let app = Arc::clone(&self.app);
        let future = async move {
            let command = command(app.office.clock.now());
            // A refusal is told to whoever gave it.
            let outcome = app.office.store.apply_one(command).await.ok();
            Out::Decided(outcome)
        };
        self.begin(what, Client::Nobody, Vec::new(), Box::pin(future));
    }

    fn revise_some(&mut self) {
        let debits = self
            .ghosts
            .iter()
            .filter(|(_, g)| g.is_debit() && !g.forgotten);
        let debits: Vec<_> = debits.map(|(id, _)| *id).collect();
        let chosen = match self.dice.pick(&debits).copied() {
            Some(id) if self.dice.one_in(3) => Some(id),
            _ => self.some_remittance(),
        };
        if let Some(id) = chosen {
            self.race("revised", id);
            self.serve_revise(id);
        }
    }

    fn serve_revise(&mut self, id: RemittanceId) {
        self.say(|| format!("server: a new program for {id}"));
        let app = Arc::clone(&self.app);
        let future = async move {
            if let Ok(Some(order)) = app.office.store.remittance(id).await {
                // Only what is open gets one.
                let _ = programs::revise(&app.office, &app.template, &order).await;
            }
            Out::Done
        };
        self.begin(What::Revise, Client::Nobody, Vec::new(), Box::pin(future));
    }

    /// A card that holds something.
    pub(crate) fn some_full_card(&mut self) -> Option<usize> {
        let full = (0..self.cards.len()).filter(|card| self.cards[*card].seen.1 > 0);
        let full: Vec<_> = full.collect();
        self.dice.pick(&full).copied()
    }

    fn lose(&mut self) {
        // Losing an empty card is no loss.
        let card = match self.some_full_card() {
            Some(card) => card,
            None if self.dice.one_in(6) => self.dice.roll(self.cards.len()),
            None => return,
        };
        self.plans.loses = self.dice.one_in(4);
        for id in self.of_card(card) {
            self.race("card lost", id);
        }
        self.say(|| format!("server: card {card} is lost"));
        let card = self.cards[card].id;
        self.command(What::Lost, move |now| Command::ReportLost { card, now });
    }

    fn pay_out_some(&mut self) {
        let card = self.dice.roll(self.cards.len());
        if self.cards[card].lost || self.dice.one_in(20) {
            self.pay_out(card);
        }
    }

    /// What a lost card held is owed to its holder from now on.
    pub(crate) fn pay_out(&mut self, card: usize) {
        self.say(|| format!("server: card {card} is paid out"));
        let card = self.cards[card].id;
        self.command(What::PayOut, move |now| Command::PayOut { card, now });
    }

    /// Some of what somebody is owed goes to a card of theirs.
    pub(crate) fn send_some_payable(&mut self) {
        let owed = |person: &usize| self.owed[*person] > 0;
        let owed: Vec<_> = [PAYER, RECIPIENT].into_iter().filter(owed).collect();
        match self.dice.pick(&owed).copied() {
            Some(person) => self.send_payable(person),
            // nobody is owed anything: that is refused
            None if self.dice.one_in(20) => self.send_payable(RECIPIENT),
            None => {}
        }
    }

    /// What is owed goes to a card of its holder.
    pub(crate) fn send_payable(&mut self, person: usize) {
        let live =
            |at: &usize| owner_of(*at) == person && self.cards[*at].status == CardStatus::Active;
        let live: Vec<_> = (0..self.cards.len()).filter(live).collect();
        let Some(card) = self.dice.pick(&live).copied() else {
            return;
        };
        self.payables += 1;
        let owed = usize::try_from(self.owed[person]).unwrap_or(0);
        let amount = match self.dice.roll(3) {
            0 if owed > 0 => owed,
            _ if owed > 0 => 1 + self.dice.roll(owed.min(500)),
            _ => 1,
        };
        let order = CreateOrder {
            recipient_card: Some(self.cards[card].number.clone()),
            recipient_email: None,
            amount_minor: i64::try_from(amount).unwrap_or(1),
            currency: base::CURRENCY.code().to_owned(),
            note: None,
            expires_in_s: Some(4_000),
            fund_from: FundFrom::Account,
            from_card: None,
        };
        self.say(|| format!("server: {amount} of what is owed goes to card {card}"));
        let (app, key) = (Arc::clone(&self.app), format!("owed-{}", self.payables));
        let future = async move {
            let _ = owed_goes(&app, person, &key, order).await;
            Out::Done
        };
        self.begin(What::Payable, Client::Nobody, Vec::new(), Box::pin(future));
    }

    fn close_some(&mut self) {
        let sent = self.ghosts.iter().filter(|(_, ghost)| {
            let sent = ["commit sent", "on the card", "credited"].contains(&ghost.phase);
            let taken = ["debit commit sent", "debited", "debit credited"].contains(&ghost.phase);
            !ghost.forgotten && (sent || taken)
        });
        let sent: Vec<_> = sent.map(|(id, _)| *id).collect();
        let chosen = match self.dice.pick(&sent).copied() {
            Some(id) if self.dice.one_in(2) => Some(id),
            _ => self.some_remittance(),
        };
        if let Some(id) = chosen {
            self.race("closed by two", id);
            self.close(id);
        }
    }

    /// Two persons close a remittance without its card, which is blocked for it.
    pub(crate) fn close(&mut self, id: RemittanceId) {
        self.say(|| format!("server: two persons close {id}"));
        self.command(What::Close, move |now| {
            Command::CloseInDoubt(Box::new(CloseInDoubt {
                remittance: id,
                approval: approval(),
                now,
            }))
        });
    }

    fn show_some(&mut self) {
        let receipts = self.terminals.iter().flat_map(|t| t.receipts.values());
        let receipts: Vec<_> = receipts.cloned().collect();
        if let Some(receipt) = self.dice.pick(&receipts).cloned() {
            self.show(receipt);
        }
    }

    /// A recipient brings a receipt.
    pub(crate) fn show(&mut self, receipt: Vec<u8>) {
        self.say(|| "server: a receipt is shown".to_owned());
        let app = Arc::clone(&self.app);
        let future = async move {
            // What contradicts the books, or is not in them, is told to whoever brought it.
            let _ = shown::take(&app.office, receipt).await;
            Out::Done
        };
        self.begin(What::Shown, Client::Nobody, Vec::new(), Box::pin(future));
    }

    fn adopt_some(&mut self) {
        let frozen = |slot: &crate::cards::Slot| slot.status == CardStatus::Frozen;
        if let Some(card) = self.cards.iter().position(frozen) {
            self.adopt(card);
        }
    }

    /// Two persons adopt what a frozen card says, which the office reads by itself.
    pub(crate) fn adopt(&mut self, card: usize) {
        self.say(|| format!("server: two persons adopt what card {card} says"));
        self.cards[card].remove();
        let app = Arc::clone(&self.app);
        // Reading changes nothing on it, so nobody has to look meanwhile.
        let spare = Chip::new([0; 7], [0; 32]);
        let mut chip = core::mem::replace(&mut self.cards[card].chip, spare);
        let mut transmit = |apdu: &[u8]| Ok(chip.transmit(apdu).answer);
        let said = examine::examine(&app.office, &mut transmit);
        chip.reset();
        self.cards[card].chip = chip;
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                self.broke(format!("the office cannot read card {card}: {error:#}"));
                return;
            }
        };
        let id = self.cards[card].id;
        let adjustment = TransferId::new(1, self.dice.bytes());
        let future = async move {
            let outcome = resolve(&app, id, &said, adjustment).await;
            Out::Decided(outcome.ok().flatten())
        };
        self.begin(What::Adopt, Client::Nobody, Vec::new(), Box::pin(future));
    }

    /// A call of the office ends.
    pub(crate) fn office_answered(&mut self, call: &Call, outcome: Option<Outcome>) {
        let what = call.what;
        self.say(|| format!("server: {what:?}: {outcome:?}"));
        if let Some(Outcome::PaidOut { minor, .. }) = outcome
            && minor > 0
        {
            self.stats.paid_out += 1;
        }
    }

    /// Remittances of a card.
    pub(crate) fn of_card(&self, card: usize) -> Vec<RemittanceId> {
        let of = self.ghosts.iter().filter(|(_, ghost)| ghost.card == card);
        of.map(|(id, _)| *id).collect()
    }

    /// Something happens while a remittance is as far as it is.
    pub(crate) fn race(&mut self, what: &'static str, id: RemittanceId) {
        let phase = self.ghosts.get(&id).map(|ghost| ghost.phase);
        if let Some(phase) = phase {
            self.race_in(what, phase);
        }
    }

    /// The same, by the phase.
    pub(crate) fn race_in(&mut self, what: &'static str, phase: &'static str) {
        if PHASES.contains(&phase) && (what, phase) != crate::cells::NOT_COUNTED {
            self.cells.hit("races", what, phase);
        }
        if DEBIT_PHASES.contains(&phase) && crate::cells::DEBIT_RACES.contains(&what) {
            self.cells.hit("debit races", what, phase);
        }
        if crate::cells::FUNDING.contains(&phase) && crate::cells::FUNDING_RACES.contains(&what) {
            self.cells.hit("funding", what, phase);
        }
    }

    /// Everything in doubt on cards that no session settles is closed; gives whether there was anything.
    pub(crate) fn close_what_is_in_doubt(&mut self) -> bool {
        let doubt = self.ghosts.iter().filter(|(_, ghost)| {
            let open = matches!(
                ghost.said.status,
                Status::CommitSent { .. } | Status::Recovering { .. }
            );
            open && !ghost.forgotten && self.cards[ghost.card].status != CardStatus::Active
        });
        let doubt: Vec<_> = doubt.map(|(id, _)| *id).collect();
        for id in &doubt {
            self.close(*id);
            self.finish();
        }
        !doubt.is_empty()
    }
}

async fn owed_goes(app: &App, person: usize, key: &str, order: CreateOrder) -> anyhow::Result<()> {
    let holder = app.office.store.holder(person_id(person)).await?;
    let order = NewOrder::check(app, order).map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let holder = holder.context("a holder")?;
    orders::send_payable(app, &holder, IdempotencyKey::new(key)?, order).await?;
    Ok(())
}

/// As `tegata-server reconcile` does.
async fn resolve(
    app: &App,
    card: ledger::CardId,
    said: &examine::Examined,
    adjustment: TransferId,
) -> anyhow::Result<Option<Outcome>> {
    let store = &app.office.store;
    let cases = store.cases(0, 100).await?;
    let open = |case: &&ledger::FreezeCase| case.card == card && case.closed.is_none();
    let Some(case) = cases.iter().find(open) else {
        return Ok(None);
    };
    let row = store.card(card).await?.context("a card")?;
    let undecided = store.undecided(card).await?;
    let now = app.office.clock.now();
    let resolution = match said.credited(&row, &undecided) {
        Ok(credited) => Resolution::Adopt {
            credited: examine::receipts(&app.office, now, &undecided, &credited)?,
            state: said.state,
            value: i64::from(said.value),
            evidence: said.evidence(),
            adjustment,
        },
        Err(_) => Resolution::Block,
    };
    let command = Command::ResolveCase(Box::new(ResolveCase {
        case: case.number,
        resolution,
        approval: approval(),
        now,
    }));
    Ok(Some(store.apply_one(command).await?))
}
