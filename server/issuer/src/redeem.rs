//! The exchange, driven: reads rows, asks the core, writes what it decided, answers afterwards.

use crate::{
    app::{App, Office},
    clock::{random, unix_seconds},
};
use anyhow::Context as _;
use ledger::{
    Command, CommitOutcome, Decide, Decided, LoggedCredit, Outcome, REVISION_MAX, RemittanceId,
    Settlement, Timestamp, Uid,
};
use planted::Bug;
use redemption::{
    Accepted, BeginRows, Begun, CardAnswered, Context, DecideRows, Decision, Presented, ProgramKey,
    ProofAnswered, ProofRows, Proved, StateAnswered, accept, begin, wire_refusal,
};
use std::ops::Range;
use store::{ApplyError, Standing};
use wire::{
    descriptor::Purpose,
    exchange::{Answers, Instruction, Refusal, Reply, Request},
};

/// How often a decision is made anew when the card's row moved on between reading and writing.
/// Each time means that another session of the same card won; after a few, start over.
const TRIES_MAX: usize = 4;

/// Answers one exchange with the encoded reply.
///
/// # Errors
/// The store is not available, or no receipt key is valid; nothing is concluded then, and the same
/// bytes may be sent again.
pub async fn exchange(app: &App, request: Request) -> anyhow::Result<Vec<u8>> {
    let office = &app.office;
    match request {
        Request::Instruction(instruction) => encode(&instruct(office, &instruction).await?),
        Request::Answers(answers) => answer(office, answers).await,
    }
}

async fn answer(office: &Office, answers: Answers) -> anyhow::Result<Vec<u8>> {
    // read before the ticket is opened, which needs the time: one query for both
    let standing = standing(office, &answers.remittance).await?;
    // A clock set back would keep tickets open beyond their time: the ledger's floor holds it.
    let now = match &standing {
        Some(found) => office.now_of(Some(found)),
        None => office.ledger_now().await?,
    };
    let accepted = accept(office.context(now)?, answers);
    match accepted {
        Err(refusal) => encode(&Reply::Refusal(refusal)),
        Ok(Accepted::Card(card)) => encode(&read(office, card, now)?),
        Ok(Accepted::State(state)) => decide(office, &state, standing).await,
        Ok(Accepted::Proof(proof)) => encode(&prove(office, &proof, standing).await?),
    }
}

/// What each exchange reads, and the ledger's time with it; none where there is no such remittance.
async fn standing(office: &Office, remittance: &[u8; 16]) -> anyhow::Result<Option<Standing>> {
    Ok(match RemittanceId::from_bytes(*remittance) {
        Ok(id) => office.store.standing(id).await?,
        Err(_) => None,
    })
}

/// Exchange 1. The standing, and the card's epoch with it, is read before `RndA` is drawn.
async fn instruct(office: &Office, instruction: &Instruction) -> anyhow::Result<Reply> {
    let standing = standing(office, &instruction.remittance).await?;
    let revision = standing.as_ref().map_or(0, |s| s.remittance.revision);
    let claim_token = office.keys.claim_token(&instruction.remittance, revision);
    let tokens = |revisions: Range<u32>| -> Vec<[u8; 32]> {
        let token = |revision| office.keys.claim_token(&instruction.remittance, revision);
        revisions.map(token).collect()
    };
    let earlier = tokens(0..revision);
    let later = tokens(revision.saturating_add(1)..REVISION_MAX.saturating_add(1));
    let presented = presented(office, standing.as_ref(), instruction.uid).await?;
    let now = office.now_of(standing.as_ref());
    let rows = BeginRows {
        remittance: standing.as_ref().map(|s| (&s.remittance, &s.card)),
        claim_token: &claim_token,
        later_tokens: &later,
        earlier_tokens: &earlier,
        in_flight: standing.as_ref().and_then(|s| s.in_flight.as_ref()),
        presented,
        program_key: office.program_key(standing.as_ref()),
    };
    Ok(match begin(instruction, rows, now) {
        Begun::Receipt(receipt) => Reply::Receipt(receipt),
        Begun::Refused(refusal) => Reply::Refusal(refusal),
        Begun::Admitted(admitted) => {
            let key = office.keys.credit_key(&instruction.uid);
            let rnd_a = random(&*office.random);
            admitted.challenge(office.context(now)?, &key, rnd_a, &random(&*office.random))
        }
    })
}

/// Whether a card other than the bound one is ours; the bound one needs no further look.
async fn presented(
    office: &Office,
    standing: Option<&Standing>,
    uid: [u8; 7],
) -> anyhow::Result<Presented> {
    let bound = standing.is_none_or(|standing| standing.card.uid == Uid(uid));
    if bound || office.store.card_by_uid(Uid(uid)).await?.is_some() {
        Ok(Presented::Known)
    } else {
        Ok(Presented::Unknown)
    }
}

/// Exchange 2: nothing is decided or written; of what was read it needs the time alone.
fn read(office: &Office, card: CardAnswered, now: Timestamp) -> anyhow::Result<Reply> {
    let key = office.keys.credit_key(&card.uid());
    let read = card.read(office.context(now)?, &key, &random(&*office.random));
    Ok(read.unwrap_or_else(Reply::Refusal))
}

/// Exchange 3: one transaction, decided again when its facts had moved on.
async fn decide(
    office: &Office,
    state: &StateAnswered,
    mut found: Option<Standing>,
) -> anyhow::Result<Vec<u8>> {
    for _ in 0..TRIES_MAX {
        let Some(standing) = found else {
            return encode(&Reply::Refusal(Refusal::RemittanceUnknown));
        };
        let other = match &standing.in_flight {
            Some(f) if f.remittance != standing.remittance.id => {
                let other = office.store.remittance(f.remittance).await?;
                Some(other.context("what is in flight has no remittance")?)
            }
            Some(_) | None => None,
        };
        let flying = other.as_ref().unwrap_or(&standing.remittance);
        let now = office.now_of(Some(&standing));
        let rows = DecideRows {
            remittance: &standing.remittance,
            card: &standing.card,
            in_flight: standing.in_flight.as_ref().map(|f| (f, flying)),
            recovering: &standing.recovering,
            program_key: office.program_key(Some(&standing)),
        };
        let nonce = random(&*office.random);
        let verdict = match state.decide(office.context(now)?, rows, &nonce) {
            Decision::Answer(bytes) => return Ok(bytes),
            Decision::Write(verdict) => verdict,
            Decision::Show { certain, answer } => {
                show(office, certain).await?;
                return Ok(answer);
            }
        };
        if let (true, Some(commit)) = (
            planted::on(Bug::AnswerBeforeCommit),
            &verdict.command.commit,
        ) {
            return Ok(commit.batch.clone());
        }
        let command = Command::Decide(verdict.command.clone());
        match office.store.apply_one(command).await {
            Ok(Outcome::Decided(decided)) => {
                note(&verdict.command, &decided);
                return Ok(verdict.answer(decided));
            }
            Ok(other) => anyhow::bail!("a decision was answered by {other:?}"),
            Err(ApplyError::Refused(ledger::Refusal::Stale)) => {
                found = office.store.standing(state.remittance()).await?;
            }
            Err(ApplyError::Refused(refusal)) => {
                return encode(&Reply::Refusal(wire_refusal(refusal)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    encode(&Reply::Refusal(Refusal::Restart))
}

/// Posts what a card's log proves while the card waits for another. Nothing lies between two of them that a
/// crash could tear: what is not posted is posted by the card's next session.
async fn show(office: &Office, certain: Vec<LoggedCredit>) -> anyhow::Result<()> {
    for logged in certain {
        let remittance = logged.remittance;
        let command = Command::ShowReceipt {
            remittance,
            receipt: logged.receipt,
            now: office.clock.now(),
        };
        match office.store.apply_one(command).await {
            Ok(_) => {
                tracing::info!(remittance.id = %remittance, "posted, by the log of a card that waits for another");
            }
            // the account does not cover a debit yet, or another session was faster
            Err(ApplyError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What a decision did, for the log.
fn note(command: &Decide, decided: &Decided) {
    let card = command.card;
    if let (Some(remittance), Some(status)) = (command.expect_in_flight, decided.settled) {
        let status = status.code();
        tracing::info!(remittance.id = %remittance, card.id = %card, status, "settled, by the card's record");
    }
    match &command.settle {
        Some(Settlement::Freeze { .. }) => {
            tracing::warn!(card.id = %card, "card frozen: its record can not be explained");
        }
        Some(Settlement::Reread { credited, .. }) => {
            let credits = credited.len();
            tracing::info!(card.id = %card, credits, "card read for the first time since the restore");
        }
        Some(Settlement::Credited { .. } | Settlement::Absent) | None => {}
    }
    if let (Some(commit), CommitOutcome::Sent { .. }) = (&command.commit, decided.commit) {
        tracing::info!(remittance.id = %commit.remittance, card.id = %card, "commit sent");
    }
}

/// Exchange 4: accepted whenever it comes.
async fn prove(
    office: &Office,
    proof: &ProofAnswered,
    standing: Option<Standing>,
) -> anyhow::Result<Reply> {
    let now = office.now_of(standing.as_ref());
    let rows = ProofRows {
        remittance: standing.as_ref().map(|s| &s.remittance),
        in_flight: standing.as_ref().and_then(|s| s.in_flight.as_ref()),
    };
    let settle = match proof.settle(office.context(now)?, rows) {
        Proved::Answer(reply) => return Ok(reply),
        Proved::Write(settle) => settle,
    };
    if planted::on(Bug::ReceiptBeforeCommit) {
        return Ok(Reply::Receipt(settle.receipt));
    }
    match office.store.apply_one(Command::Settle(settle)).await {
        Ok(Outcome::Settled { receipt }) => {
            tracing::info!(remittance.id = %proof.remittance(), "credited, by its proof");
            Ok(Reply::Receipt(receipt))
        }
        Ok(other) => anyhow::bail!("a proof was answered by {other:?}"),
        // somebody else settled it in between: say what has become of it
        Err(ApplyError::Refused(ledger::Refusal::NotInFlight)) => {
            Ok(Reply::Refusal(Refusal::Restart))
        }
        Err(ApplyError::Refused(refusal)) => Ok(Reply::Refusal(wire_refusal(refusal))),
        Err(error) => Err(error.into()),
    }
}

fn encode(reply: &Reply) -> anyhow::Result<Vec<u8>> {
    reply.encode().context("a reply is over its limits")
}

impl Office {
    /// The ledger's time, where a reading of the ledger brought its floor along.
    fn now_of(&self, standing: Option<&Standing>) -> Timestamp {
        let clock = self.clock.now();
        standing.map_or(clock, |s| clock.max(s.time_floor))
    }

    /// Programs of a revoked key or a withdrawn template are refused here too: a terminal may not have
    /// heard of it yet.
    fn program_key(&self, standing: Option<&Standing>) -> ProgramKey {
        let revoked =
            |s: &Standing| s.template_withdrawn || self.keys.is_revoked(&s.remittance.program_key);
        if standing.is_some_and(revoked) {
            ProgramKey::Revoked
        } else {
            ProgramKey::Honoured
        }
    }

    pub(crate) fn context(&self, now: Timestamp) -> anyhow::Result<Context<'_>> {
        let at = unix_seconds(now);
        let signer = self.keys.signer(Purpose::Receipt, at, at);
        Ok(Context {
            issuer: &self.config.issuer,
            seal_key: &self.keys.ticket,
            receipt_key: &signer.context("no receipt key is valid now")?.key,
            incarnation: self.config.incarnation,
            now,
        })
    }
}
