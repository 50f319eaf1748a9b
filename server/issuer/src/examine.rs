//! Reading a card at the office: STATE, VALUE and the log, in a session that both sides have proven.
//!
//! The commands and their answers go through this process only, so what is read is the card's own word:
//! nobody between can leave out, repeat or change anything without breaking the session's MAC.

use crate::{app::Office, clock::random, issuing};
use anyhow::{Context, ensure};
use card::{
    apdu, commands, handshake,
    purse::{self, LOG_RECORD_LEN, LOG_RECORDS_MAX, LogKind, LogRecord},
};
use ledger::{Card, CardState, LoggedCredit, Proven, Remittance};

/// What a card said.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The chip.
    pub uid: [u8; 7],
    /// STATE.
    pub state: CardState,
    /// VALUE, minor units.
    pub value: i32,
    /// The log as it stands on the card, oldest record first.
    pub log: Vec<[u8; LOG_RECORD_LEN]>,
}

/// Reads the card behind `transmit`.
///
/// # Errors
/// No card of this issuer, or what the card or the reader says.
pub fn examine(
    office: &Office,
    transmit: &mut (dyn FnMut(&[u8]) -> anyhow::Result<Vec<u8>> + Send),
) -> anyhow::Result<Examined> {
    let uid = issuing::read_uid(transmit)?;
    let selected = transmit(&commands::select(purse::AID))?;
    ensure!(
        selected.ends_with(&[0x91, 0x00]),
        "this card has no purse of ours"
    );
    let challenge =
        handshake::Challenge::parse(&transmit(&handshake::first(purse::KEY_NO_CREDIT))?)
            .context("the card does not begin a session")?;
    let key = office.keys.credit_key(&uid);
    let (command, pending) = challenge.answer(&key, random(&*office.random));
    let mut session = pending
        .finish(&key, &transmit(&command)?)
        .context("this is no card of this issuer")?;
    let mut answers = Vec::with_capacity(2);
    for command in purse::read_state_and_value(&mut session)? {
        answers.push(whole(transmit, &command)?);
    }
    let (state, value) = purse::open_state_and_value(&mut session, &answers)?;
    let state = CardState {
        id: state.id,
        remittance_seq: state.remittance_seq,
        payment_seq: state.payment_seq,
    };
    let log = if state == CardState::default() {
        Vec::new()
    } else {
        let command = purse::read_log(&mut session)?;
        purse::open_log(&mut session, &whole(transmit, &command)?).context("the card's log")?
    };
    Ok(Examined {
        uid,
        state,
        value,
        log,
    })
}

/// Most parts of one answer: the log takes five.
const PARTS_MAX: usize = 16;

/// One command, with the parts of its answer joined.
fn whole(
    transmit: &mut (dyn FnMut(&[u8]) -> anyhow::Result<Vec<u8>> + Send),
    command: &[u8],
) -> anyhow::Result<Vec<u8>> {
    let mut parts = vec![transmit(command)?];
    while parts
        .last()
        .is_some_and(|part| part.ends_with(&[0x91, 0xAF]))
    {
        ensure!(parts.len() < PARTS_MAX, "the card's answer never ends");
        parts.push(transmit(&apdu::native(apdu::INS_MORE, &[]))?);
    }
    Ok(apdu::join(&parts)?)
}

impl Examined {
    /// STATE and VALUE as the ledger keeps them.
    #[must_use]
    pub fn proven(&self) -> Proven {
        Proven::from_state(self.state, i64::from(self.value))
    }

    /// All that was read, in the form of a case's evidence.
    #[must_use]
    pub fn evidence(&self) -> Vec<u8> {
        redemption::encode_evidence(self.state, self.value, &self.log)
    }

    /// The log in words; `None` for a record of no known kind.
    #[must_use]
    pub fn records(&self) -> Vec<Option<LogRecord>> {
        self.log.iter().map(LogRecord::from_bytes).collect()
    }

    /// Which of the card's undecided remittances it shows as credited.
    ///
    /// Absence is concluded from the log too, so the log has to reach back to what the card last
    /// proved.
    ///
    /// # Errors
    /// A record of no known kind; a log that no longer reaches back.
    pub fn credited(&self, card: &Card, undecided: &[Remittance]) -> anyhow::Result<Vec<usize>> {
        let block = "nothing can be told from it: close the case with --block";
        let records: Option<Vec<LogRecord>> = self.records().into_iter().collect();
        let records =
            records.with_context(|| format!("the log has an unreadable record; {block}"))?;
        // a debit of ours raises the number too; what else took value off the card does not
        let ours = |record: &&LogRecord| {
            let mut waiting = undecided.iter();
            record.kind == LogKind::Credit
                || record.kind == LogKind::Debit
                    && waiting.any(|remittance| remittance.id.to_bytes() == record.id)
        };
        let credits = || records.iter().filter(ours);
        let whole = self.log.len() < LOG_RECORDS_MAX;
        let first = u32::try_from(credits().count())
            .ok()
            .and_then(|count| self.state.remittance_seq.checked_sub(count));
        let reaches = whole || first.is_some_and(|first| first <= card.proven.remittance_seq);
        ensure!(
            reaches || undecided.is_empty(),
            "the log no longer reaches back to what the card last proved; {block}"
        );
        let shown = |remittance: &Remittance| {
            let id = remittance.id.to_bytes();
            self.state.id == id || credits().any(|record| record.id == id)
        };
        let all = undecided.iter().enumerate();
        Ok(all
            .filter(|(_, remittance)| shown(remittance))
            .map(|(at, _)| at)
            .collect())
    }
}

/// Receipts for what a card shows as credited.
///
/// # Errors
/// No receipt key is valid now.
pub fn receipts(
    office: &Office,
    now: ledger::Timestamp,
    undecided: &[Remittance],
    credited: &[usize],
) -> anyhow::Result<Vec<LoggedCredit>> {
    let context = office.context(now)?;
    let of = |at: &usize| undecided.get(*at);
    Ok(credited
        .iter()
        .filter_map(of)
        .map(|remittance| LoggedCredit {
            remittance: remittance.id,
            receipt: context.receipt(remittance),
        })
        .collect())
}
