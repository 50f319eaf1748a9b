//! One history: everything there is, and the scheduler that lets one thing happen at a time.

use crate::{
    bank::SimBank,
    base::{self, Base, CARDS, FUNDS, Machine, START, now, person_id},
    cards::Slot,
    cells::{Cells, DEBIT_PHASES},
    dice::Dice,
    gate::{SimClock, SimGate, SimRandom},
    ghost::Ghost,
    history::Stats,
    office::Plans,
    post::Post,
    restore::Backup,
    senders::Sender,
    server::Call,
    session::Opened,
    terminals::{Active, Terminal},
};
use anyhow::{Context as _, Result};
use issuer::app::App;
use ledger::{RemittanceId, Timestamp};
use mail_parser::MessageParser;
use mailer::Transport;
use program::{RawProgram, TrustedKey};
use relay::{
    journal::{Facts, Key},
    watch::Scope,
};
use std::{collections::BTreeMap, rc::Rc, sync::Arc};
use store::{SqlStore, Store as _};
use wire::exchange::Step;

/// Terminals of a history.
const TERMINALS: usize = 3;
/// Most faults of a history in what the office does: it does little, and does it again.
const OFFICE_FAULTS_MAX: usize = 7;
/// Orders of a history at most.
const WISHES_MAX: usize = 8;

/// How often things go wrong, in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) message: usize,
    pub(crate) store: usize,
    pub(crate) card: usize,
    pub(crate) lie: usize,
    pub(crate) terminal: usize,
    pub(crate) mail: usize,
    pub(crate) chaos: usize,
    pub(crate) bank: usize,
}

impl Rates {
    /// Nothing ever goes wrong.
    const fn is_calm(&self) -> bool {
        let Self {
            message,
            store,
            card,
            lie,
            terminal,
            mail,
            chaos,
            bank,
        } = *self;
        message + store + card + lie + terminal + mail + chaos + bank == 0
    }

    /// Histories from nothing at all to hardly anything works.
    ///
    /// Half of them have one kind of fault often and the others hardly ever: what is rare happens deep
    /// in a run only when nothing else ended the run before.
    fn draw(dice: &mut Dice) -> Self {
        const LEVELS: [usize; 4] = [0, 4, 15, 40];
        const OFTEN: [usize; 3] = [40, 90, 200];
        if dice.one_in(16) {
            return Self::default();
        }
        let focus = dice.roll(15);
        let mut level = |kind: usize| {
            let of: &[usize] = match (focus, kind == focus) {
                (_, true) => &OFTEN,
                (0..=7, false) => &[0, 0, 4],
                (_, false) => &LEVELS,
            };
            dice.pick(of).copied().unwrap_or(0)
        };
        // what is lied about deep in a run is lied about more often anyway
        let lie = 2 * level(3).max(2);
        Self {
            message: level(0),
            store: level(1) / 2,
            card: level(2),
            lie,
            terminal: level(4),
            mail: 3 * level(5),
            chaos: level(6),
            bank: 3 * level(7),
        }
    }
}

/// Everything there is.
pub(crate) struct World<'b> {
    pub(crate) base: &'b Base,
    pub(crate) dice: Dice,
    pub(crate) rates: Rates,
    /// Nothing fails any more.
    pub(crate) calm: bool,
    pub(crate) verbose: bool,
    pub(crate) trace: Vec<String>,
    pub(crate) broken: Option<String>,
    pub(crate) stats: Stats,
    pub(crate) cells: Cells,
    /// The books were written to since the last check.
    pub(crate) dirty: bool,
    /// A card has moved since then.
    pub(crate) moved: bool,
    pub(crate) floor: Timestamp,

    pub(crate) gate: Arc<SimGate>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) post: Arc<Post>,
    pub(crate) bank: Arc<SimBank>,
    pub(crate) store: Arc<SqlStore>,
    pub(crate) app: Arc<App>,
    pub(crate) transport: Transport,
    pub(crate) calls: Vec<Call>,

    pub(crate) cards: Vec<Slot>,
    pub(crate) terminals: Vec<Terminal>,
    pub(crate) senders: Vec<Sender>,
    pub(crate) wishes: usize,
    pub(crate) late_orders: Vec<(usize, usize)>,
    pub(crate) programs: Vec<Rc<Opened>>,
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) answers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) ghosts: BTreeMap<RemittanceId, Ghost>,
    keys: Vec<TrustedKey>,

    /// Whether card accounts are kept as one pool.
    pub(crate) pooled: bool,
    pub(crate) backup: Backup,
    pub(crate) plans: Plans,
    /// Faults that may still hit what the office does, also when nothing else fails any more.
    pub(crate) office_faults: usize,
    /// Orders of what is owed.
    pub(crate) payables: usize,
    /// What each of the people is owed, at the last look.
    pub(crate) owed: [i64; FUNDS.len()],
    /// Whether a card is blocked.
    pub(crate) blocks: bool,
    /// Whether there is a terminal without a program.
    pub(crate) liar: bool,
    pub(crate) liar_card: usize,
    pub(crate) liar_asked: [u8; 16],
    pub(crate) steps: Vec<([u8; 16], Step)>,
}

impl<'b> World<'b> {
    pub(crate) fn new(base: &'b Base, seed: u64, verbose: bool) -> Result<Self> {
        let mut dice = Dice::new(seed);
        let rates = Rates::draw(&mut dice);
        let pooled = dice.one_in(3);
        let Machine { gate, store } = base.machine(pooled)?;
        let clock = Arc::new(SimClock::new(START));
        let post = Arc::new(Post::new(Dice::new(dice.next()), rates.mail));
        let bank = Arc::new(SimBank::new(Dice::new(dice.next()), rates.bank));
        let random = SimRandom::new(Dice::new(dice.next()));
        let first = base::config().incarnation;
        let app = base.app(Arc::clone(&store), Arc::clone(&clock), random, first)?;
        let (backup, plans) = (Backup::draw(&mut dice), Plans::draw(&mut dice));
        let keys = base.descriptor.keys.iter();
        let keys = keys.map(|entry| TrustedKey::new(base::ISSUER, entry));
        let (liar, blocks) = (dice.one_in(3), dice.one_in(3));
        let mut world = Self {
            base,
            rates,
            calm: false,
            verbose,
            trace: Vec::new(),
            broken: None,
            stats: Stats::default(),
            cells: Cells::default(),
            dirty: true,
            moved: false,
            floor: Timestamp::EPOCH,
            gate,
            clock,
            transport: Transport::Other(Arc::clone(&post) as Arc<dyn mailer::Delivery>),
            post,
            bank,
            store,
            app: Arc::new(app),
            calls: Vec::new(),
            cards: Vec::new(),
            terminals: Vec::new(),
            senders: Vec::new(),
            wishes: 0,
            late_orders: Vec::new(),
            programs: Vec::new(),
            requests: Vec::new(),
            answers: base.heard.clone(),
            ghosts: BTreeMap::new(),
            keys: keys.collect(),
            pooled,
            backup,
            plans,
            office_faults: if rates.is_calm() {
                0
            } else {
                OFFICE_FAULTS_MAX
            },
            payables: 0,
            owed: [0; FUNDS.len()],
            blocks,
            liar,
            liar_card: 0,
            liar_asked: [0; 16],
            steps: Vec::new(),
            dice,
        };
        world.people()?;
        world.gate.set_open(false);
        Ok(world)
    }

    /// Who there is, with cards and terminals.
    fn people(&mut self) -> Result<()> {
        for (person, funded) in FUNDS.into_iter().enumerate() {
            let holder = now(self.store.holder(person_id(person)))?.context("a holder")?;
            self.senders.push(Sender {
                holder,
                funded,
                wishes: Vec::new(),
                cancels: Vec::new(),
            });
        }
        for n in 0..CARDS {
            let slot = Slot::new(self.base, usize::from(n), &mut self.dice);
            self.cards.push(slot.context("a card")?);
        }
        for n in 0..TERMINALS {
            let lying = n + 1 == TERMINALS || n + 2 == TERMINALS && self.dice.one_in(2);
            self.terminals.push(Terminal::new(lying));
        }
        Ok(())
    }

    /// Whether something goes wrong here.
    pub(crate) fn fault(&mut self, permille: usize) -> bool {
        !self.calm && permille > 0 && self.dice.permille(permille)
    }

    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.verbose {
            self.trace.push(line());
        }
    }

    /// Notes the first thing that must not be.
    pub(crate) fn broke(&mut self, what: String) {
        self.say(|| format!("BROKEN {what}"));
        self.broken.get_or_insert(what);
    }

    /// The card that a program is for.
    pub(crate) fn card_of(&self, opened: &Opened) -> usize {
        let id = RemittanceId::from_bytes(opened.key.remittance).ok();
        id.and_then(|id| self.ghosts.get(&id))
            .map_or(0, |ghost| ghost.card)
    }

    /// Phases of the remittances there are.
    pub(crate) fn phases(&self) -> Vec<&'static str> {
        self.ghosts.values().map(|ghost| ghost.phase).collect()
    }

    /// Mails that arrived are opened by somebody: verified as every terminal does.
    pub(crate) fn mails_arrive(&mut self) {
        for (fate, bounced) in self.post.take_fates() {
            if let Some(name) = fate.name() {
                self.cells.hit("mail", name, "handed over");
            }
            let of = bounced.and_then(|mail| self.verified(&mail).ok());
            let of = of.and_then(|opened| RemittanceId::from_bytes(opened.key.remittance).ok());
            if let Some(id) = of {
                self.race("mail bounced", id);
            }
        }
        for mail in self.post.take() {
            match self.verified(&mail) {
                Ok(opened) => self.programs.push(Rc::new(opened)),
                Err(error) => self.broke(format!("a mail without its program: {error:#}")),
            }
        }
    }

    /// A program that was fetched is opened: the same as in the mail.
    pub(crate) fn program_arrives(&mut self, file: Vec<u8>) {
        match self.verified_file(file) {
            Ok(opened) => {
                let same = |other: &Rc<Opened>| {
                    let revision = other.facts.revision == opened.facts.revision;
                    other.key == opened.key && revision && other.hash != opened.hash
                };
                if self.programs.iter().any(same) {
                    self.broke("two programs of one remittance and revision".to_owned());
                }
                self.programs.push(Rc::new(opened));
            }
            Err(error) => self.broke(format!("what was fetched is no program: {error:#}")),
        }
    }

    fn verified(&self, mail: &[u8]) -> Result<Opened> {
        let parsed = MessageParser::default().parse(mail).context("no mail")?;
        let mut parts = parsed.parts.iter().map(mail_parser::MessagePart::contents);
        let file = parts.find(|part| part.starts_with(b"\0asm"));
        self.verified_file(file.context("no program")?.to_vec())
    }

    fn verified_file(&self, file: Vec<u8>) -> Result<Opened> {
        let raw = RawProgram::new(file)?;
        let at = u64::try_from(self.clock.raw() / 1_000_000)?;
        let program = program::verify(raw, &self.keys, at)?;
        let order = program.order();
        Ok(Opened {
            key: Key {
                issuer: order.issuer.clone(),
                remittance: order.remittance,
            },
            facts: Facts {
                revision: order.revision,
                order_sha256: program.order_bytes().hash(),
                amount_minor: order.amount.minor(),
                currency: order.amount.currency().code().to_owned(),
            },
            hash: program.hash(),
            scope: Scope {
                remittance: order.remittance,
                claim_token: order.claim_token,
            },
            order: program.order_bytes().as_bytes().to_vec(),
            kind: order.kind,
        })
    }

    /// One event, and the check behind it.
    pub(crate) fn event(&mut self) {
        self.stats.events += 1;
        self.pass_time();
        if self.backup_is_due() {
            self.backup();
        }
        match self.dice.roll(100) {
            0..=36 => self.some_call(),
            37..=71 => self.some_terminal(),
            72..=78 => self.somebody_opens(),
            79..=83 => self.somebody_sends(),
            84..=86 => self.serve_outbox_once(),
            87 => self.serve_expiry(),
            88 => self.serve_bank_once(),
            89 | 90 => self.bank_works(),
            91 | 92 => self.office(),
            93..=95 if self.liar => self.lie(),
            93 => self.late_request_maybe(),
            94 => self.late_copies(),
            _ => self.chaos(),
        }
        self.check();
    }

    fn pass_time(&mut self) {
        let micros = i64::try_from(self.dice.roll(300_000)).unwrap_or(0);
        self.clock.shift(micros);
        self.note_expiries();
    }

    fn note_expiries(&mut self) {
        let (at, mut expired) = (self.clock.raw(), Vec::new());
        for ghost in self.ghosts.values_mut() {
            if !ghost.expiry_seen && ghost.expires.micros() <= at {
                ghost.expiry_seen = true;
                expired.push(ghost.phase);
            }
        }
        for phase in expired {
            self.race_in("expired", phase);
        }
    }

    pub(crate) fn some_call(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let at = self.dice.roll(self.calls.len());
        self.step_call(at);
    }

    pub(crate) fn some_terminal(&mut self) {
        let first = self.dice.roll(self.terminals.len());
        for n in 0..self.terminals.len() {
            let at = (first + n) % self.terminals.len();
            let Some(active) = &self.terminals[at].run else {
                continue;
            };
            if active.is_ready() {
                return self.drive(at);
            }
            if active.is_sending() {
                return self.send(at);
            }
        }
        self.some_call();
    }

    fn somebody_opens(&mut self) {
        let at = self.dice.roll(self.terminals.len());
        if self.terminals[at].run.is_some() {
            return;
        }
        let program = match self.dice.roll(3) {
            // what pays for an order has to come before it, and has the order's time only
            0 => self.some_open_debit(),
            _ => None,
        };
        let program = program.or_else(|| self.dice.pick(&self.programs).cloned());
        let Some(opened) = program else {
            return;
        };
        let mut card = self.card_of(&opened);
        if self.fault(self.rates.chaos) {
            card = self.dice.roll(self.cards.len());
        }
        self.start_run(at, Some((opened, card)));
    }

    /// A program that has still to take something off its card, which is on no reader.
    fn some_open_debit(&mut self) -> Option<Rc<Opened>> {
        let runs = self.terminals.iter().filter_map(|t| t.run.as_ref());
        let held: Vec<_> = runs.filter_map(Active::card).collect();
        let open = |opened: &&Rc<Opened>| {
            if held.contains(&self.card_of(opened)) {
                return false;
            }
            let phase = self.phase_of(opened.key.remittance);
            let phase = phase.and_then(|phase| DEBIT_PHASES.iter().position(|of| *of == phase));
            phase.is_some_and(|phase| DEBIT_PHASES[phase] != "debit credited")
        };
        let open: Vec<_> = self.programs.iter().filter(open).cloned().collect();
        self.dice.pick(&open).cloned()
    }

    fn somebody_sends(&mut self) {
        if self.dice.one_in(6) {
            return self.fetch_some();
        }
        if !self.send_wish() && self.wishes < WISHES_MAX {
            self.wish();
            self.send_wish();
        }
    }

    fn serve_bank_once(&mut self) {
        let busy = self.calls.iter();
        let busy = busy.filter(|call| call.what == crate::server::What::Lease);
        // a turn with nothing to ask only takes the place of others
        let waits = self.ghosts.values().any(|ghost| {
            let asked = matches!(ghost.phase, "ordered" | "bank asked" | "refunding");
            ghost.is_banks() && (asked || ghost.phase == "recovering")
        });
        if busy.count() < 2 && (waits || self.dice.one_in(8)) {
            self.serve_bank();
        }
    }

    /// The bank does something by itself.
    pub(crate) fn bank_works(&mut self) {
        self.bank.tick();
        for (fault, question) in self.bank.take_hits() {
            self.cells.hit("bank", fault, question);
        }
    }

    fn serve_outbox_once(&mut self) {
        let busy = self.calls.iter();
        let busy = busy.filter(|call| call.what == crate::server::What::Outbox);
        let arrived = |id: &RemittanceId| {
            let id = id.to_bytes();
            self.programs
                .iter()
                .any(|program| program.key.remittance == id)
        };
        let waits = self.post.has_denied() || !self.ghosts.keys().all(arrived);
        if busy.count() < 2 && (waits || self.dice.one_in(4)) {
            self.serve_outbox();
        }
    }

    fn late_copies(&mut self) {
        if self.dice.one_in(2) {
            self.late_order();
        } else {
            self.late_cancel();
        }
    }

    fn late_request_maybe(&mut self) {
        if self.fault(500) {
            self.late_request();
        }
    }

    /// What happens to the whole at once.
    fn chaos(&mut self) {
        if !self.fault(self.rates.chaos.saturating_mul(5)) {
            return;
        }
        match self.dice.roll(10) {
            0 => self.kill_server(),
            1 | 2 => {
                let at = self.dice.roll(self.terminals.len());
                self.kill_terminal(at);
            }
            3 => self.jump("clock ahead", 1),
            4 => {
                self.jump("clock back", -1);
                if self.dice.one_in(2) {
                    self.kill_server();
                }
            }
            5 => {
                let card = self.dice.roll(self.cards.len());
                self.cards[card].remove();
            }
            _ => self.late_request(),
        }
    }

    fn jump(&mut self, name: &'static str, way: i64) {
        const JUMPS_S: [i64; 4] = [5, 150, 1_800, 7_200];
        let seconds = self.dice.pick(&JUMPS_S).copied().unwrap_or(5);
        for phase in self.phases() {
            self.race_in(name, phase);
        }
        self.say(|| format!("{name} by {seconds} s"));
        self.clock.shift(way * seconds * 1_000_000);
        self.note_expiries();
    }

    pub(crate) fn block(&mut self) {
        self.blocks = false;
        let card = match self.some_full_card() {
            Some(card) if self.dice.one_in(2) => card,
            _ => self.dice.roll(self.cards.len()),
        };
        for id in self.of_card(card) {
            self.race("card blocked", id);
        }
        self.serve_block(card);
    }
}
