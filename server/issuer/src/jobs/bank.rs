//! Asks the bank for what orders shall be paid with, until it has said yes or no, and for refunds
//! until it has acknowledged them.
//!
//! A row is leased, the question is noted in the ledger, and only then the bank is asked; a crash in
//! between asks again under the same reference, which the bank carries out once.

use super::pause;
use crate::{
    app::App,
    bank::{Bank, Debit, Refund, Standing},
};
use ledger::{BANK_REASON_CHARS_MAX, BankAnswer, BankTask, Command, Status, Timestamp};
use planted::Bug;
use std::{sync::Arc, time::Duration};
use store::ApplyError;
use tokio::{sync::watch, time::timeout};

/// Time between two looks when there was nothing to ask.
const PERIOD: Duration = Duration::from_millis(500);

/// How long one call to the bank is waited for; what it did all the same is asked for later.
const CALL: Duration = Duration::from_secs(3);

/// How long a leased question is left alone, in seconds: longer than the three calls that it may take.
const LEASE_S: i64 = 12;

/// Questions taken at once; they are asked at the same time.
const BATCH_MAX: u32 = 16;

/// How often a restored database hears that the bank has never heard of a debit before it believes it:
/// within five minutes what was on its way when the old server stopped has arrived.
const UNHEARD_TRIES: u32 = 8;

/// Longest wait between two attempts, in seconds: a person may be waiting for the answer.
const WAIT_MAX_S: i64 = 60;

/// Runs until the server stops.
pub async fn run(app: Arc<App>, bank: Arc<dyn Bank>, mut stopped: watch::Receiver<bool>) {
    while pause(&mut stopped, PERIOD).await {
        if let Err(error) = drain(&app, &bank).await {
            tracing::error!(error = %format!("{error:#}"), "the bank could not be asked");
        }
    }
}

/// Asks everything that is due; gives how many questions that were.
///
/// # Errors
/// The store is not available. A silent bank is no error: it is asked again later.
pub async fn drain(app: &Arc<App>, bank: &Arc<dyn Bank>) -> anyhow::Result<usize> {
    let mut asked = 0_usize;
    loop {
        let leased = lease(app).await?;
        if leased.is_empty() {
            return Ok(asked);
        }
        let mut calls = tokio::task::JoinSet::new();
        for task in leased {
            let (app, bank) = (Arc::clone(app), Arc::clone(bank));
            calls.spawn(async move { carry_out(&app, &*bank, &task).await });
        }
        while let Some(done) = calls.join_next().await {
            done??;
            asked = asked.saturating_add(1);
        }
    }
}

/// Takes the questions that are due; nobody else gets them for a while.
///
/// # Errors
/// The store is not available.
pub async fn lease(app: &App) -> anyhow::Result<Vec<BankTask>> {
    let now = app.office.ledger_now().await?;
    let until = now.plus_s(LEASE_S);
    Ok(app.office.store.lease_bank(now, until, BATCH_MAX).await?)
}

/// One question, from the ledger's note before it to the answer in the ledger.
///
/// # Errors
/// The store is not available; the question is asked again after its lease.
pub async fn carry_out(app: &App, bank: &dyn Bank, task: &BankTask) -> anyhow::Result<()> {
    let now = app.office.ledger_now().await?;
    let remittance = task.remittance;
    if let Status::Ordered | Status::FundingUnknown { .. } = task.status {
        // Also before it is asked again: whether the order is still wanted is judged by this instant, and
        // by no earlier one once the bank was told so.
        let note = Command::AskBank { remittance, now };
        match app.office.store.apply_one(note).await {
            Ok(_) => {}
            // taken back, expired or answered meanwhile: then this question is no longer asked
            Err(ApplyError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    let answers = match task.status {
        Status::Ordered => debit(bank, task, now).await,
        Status::FundingUnknown { .. }
        | Status::Recovering { .. }
        | Status::Refunding { .. }
        | Status::Open
        | Status::CommitSent { .. }
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. }
        | Status::Unfunded { .. } => ask_again(bank, task, now).await,
    };
    for answer in answers {
        note(app, task, answer, now).await?;
    }
    Ok(())
}

/// What the bank says of what it was asked before; nothing where there is nothing to ask.
async fn ask_again(bank: &dyn Bank, task: &BankTask, now: Timestamp) -> Vec<BankAnswer> {
    match task.status {
        // a restored database asks again what it has forgotten
        Status::Recovering { .. } => learn(bank, task, Unheard::Contradiction, now).await,
        Status::FundingUnknown {
            cancel_asked,
            recovering,
        } => {
            let wanted = !cancel_asked && now < task.expires;
            let unheard = match (wanted, recovering) {
                (true, _) => Unheard::Debit,
                (false, false) => Unheard::Refund,
                (false, true) if task.attempts > UNHEARD_TRIES => Unheard::Refund,
                (false, true) => Unheard::Ask,
            };
            learn(bank, task, unheard, now).await
        }
        Status::Refunding { .. } => refund(bank, task, now).await,
        Status::Ordered
        | Status::Open
        | Status::CommitSent { .. }
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. }
        | Status::Unfunded { .. } => Vec::new(),
    }
}

async fn note(
    app: &App,
    task: &BankTask,
    answer: BankAnswer,
    now: Timestamp,
) -> anyhow::Result<()> {
    let remittance = task.remittance;
    let command = Command::BankAnswered {
        remittance,
        answer: answer.clone(),
        now,
    };
    match app.office.store.apply_one(command).await {
        Ok(_) => {
            tracing::info!(remittance.id = %remittance, attempt = task.attempts, ?answer, "the bank's word");
            Ok(())
        }
        Err(ApplyError::Refused(refusal)) => {
            tracing::error!(remittance.id = %remittance, ?answer, %refusal, "the bank contradicts what it said before");
            let again = Command::BankAnswered {
                remittance,
                answer: silence("a contradiction", task, now),
                now,
            };
            app.office.store.apply_one(again).await?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

async fn debit(bank: &dyn Bank, task: &BankTask, now: Timestamp) -> Vec<BankAnswer> {
    let call = bank.debit(task.remittance, &task.account, task.amount);
    let answer = match timeout(CALL, call).await {
        Ok(Debit::Confirmed) => BankAnswer::Confirmed,
        Ok(Debit::Refused { reason }) => refused(&reason),
        Ok(Debit::Unknown { .. }) if planted::on(Bug::SilenceIsConsent) => BankAnswer::Confirmed,
        Ok(Debit::Unknown { reason }) => silence(&reason, task, now),
        Err(_) => silence("no answer in time", task, now),
    };
    vec![answer]
}

/// What follows where the bank has never heard of a debit.
#[derive(Clone, Copy)]
enum Unheard {
    /// It is sent again.
    Debit,
    /// It is made impossible.
    Refund,
    /// A restored database does not know what it said after the backup, so nothing is taken back on
    /// this word alone: the bank is asked again, [`UNHEARD_TRIES`] times.
    Ask,
    /// It was confirmed before: the same, and somebody has to look at it.
    Contradiction,
}

/// What became of an earlier debit.
async fn learn(
    bank: &dyn Bank,
    task: &BankTask,
    unheard: Unheard,
    now: Timestamp,
) -> Vec<BankAnswer> {
    let answer = match timeout(CALL, bank.status(task.remittance)).await {
        Ok(Standing::Confirmed) => BankAnswer::Confirmed,
        Ok(Standing::Refused { reason }) => refused(&reason),
        Ok(Standing::Refunded) => return vec![BankAnswer::Confirmed, BankAnswer::Refunded],
        Ok(Standing::Void) => BankAnswer::Void,
        Ok(Standing::NeverHeard) => match unheard {
            Unheard::Debit => return debit(bank, task, now).await,
            Unheard::Refund => return refund(bank, task, now).await,
            Unheard::Ask => silence("never heard of it", task, now),
            Unheard::Contradiction => {
                tracing::error!(remittance.id = %task.remittance, "the bank has never heard of a debit that it confirmed");
                silence("a contradiction", task, now)
            }
        },
        Ok(Standing::Pending) => silence("pending", task, now),
        Ok(Standing::Unknown { reason }) => silence(&reason, task, now),
        Err(_) => silence("no answer in time", task, now),
    };
    vec![answer]
}

async fn refund(bank: &dyn Bank, task: &BankTask, now: Timestamp) -> Vec<BankAnswer> {
    match timeout(CALL, bank.refund(task.remittance)).await {
        // confirmed between our question and this: the debit is entered before its refund
        Ok(Refund::Refunded) => vec![BankAnswer::Confirmed, BankAnswer::Refunded],
        Ok(Refund::Void) => vec![BankAnswer::Void],
        Ok(Refund::Unknown { reason }) => vec![silence(&reason, task, now)],
        Err(_) => vec![silence("no answer in time", task, now)],
    }
}

fn refused(reason: &str) -> BankAnswer {
    BankAnswer::Refused {
        reason: cut(reason),
    }
}

fn silence(reason: &str, task: &BankTask, now: Timestamp) -> BankAnswer {
    BankAnswer::Unknown {
        reason: cut(reason),
        retry_at: now.plus_s(wait_s(task.attempts)),
    }
}

fn cut(reason: &str) -> String {
    reason.chars().take(BANK_REASON_CHARS_MAX).collect()
}

/// Seconds to wait after the given number of attempts: 1, 2, 4 and so on, to at most a minute.
fn wait_s(attempts: u32) -> i64 {
    let doublings = attempts.saturating_sub(1).min(20);
    (1_i64 << doublings).min(WAIT_MAX_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{RemittanceId, ReturnReason};
    use money::{Amount, Currency};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Has never heard of anything; counts what it is told to do.
    #[derive(Default)]
    struct Deaf {
        debits: AtomicU32,
        refunds: AtomicU32,
    }

    #[async_trait::async_trait]
    impl Bank for Deaf {
        async fn debit(&self, _: RemittanceId, _: &str, _: Amount) -> Debit {
            self.debits.fetch_add(1, Ordering::Relaxed);
            Debit::Confirmed
        }

        async fn status(&self, _: RemittanceId) -> Standing {
            Standing::NeverHeard
        }

        async fn refund(&self, _: RemittanceId) -> Refund {
            self.refunds.fetch_add(1, Ordering::Relaxed);
            Refund::Void
        }
    }

    #[tokio::test]
    async fn nothing_is_refunded_because_a_bank_forgot_what_a_restored_database_asks_about() {
        let unknown = |cancel_asked, recovering| Status::FundingUnknown {
            cancel_asked,
            recovering,
        };
        let reason = ReturnReason::Cancelled;
        let late = UNHEARD_TRIES + 1;
        for (status, attempts, debits, refunds) in [
            (Status::Recovering { cancel_asked: true }, late, 0, 0),
            (unknown(true, true), 1, 0, 0),
            (unknown(true, true), UNHEARD_TRIES, 0, 0),
            (unknown(true, true), late, 0, 1),
            (unknown(false, true), 1, 1, 0),
            (unknown(false, false), 1, 1, 0),
            (unknown(true, false), 1, 0, 1),
            (Status::Refunding { reason }, 1, 0, 1),
        ] {
            let task = BankTask {
                remittance: RemittanceId::new(1, [1; 10]),
                account: "1".to_owned(),
                amount: Amount::new(5, Currency::Jpy).unwrap(),
                status,
                expires: Timestamp::from_unix_s(10),
                attempts,
            };
            let bank = Deaf::default();
            let answers = ask_again(&bank, &task, Timestamp::from_unix_s(5)).await;
            let told = [&bank.debits, &bank.refunds].map(|count| count.load(Ordering::Relaxed));
            assert_eq!(told, [debits, refunds], "{status:?}");
            let again = matches!(answers.as_slice(), [BankAnswer::Unknown { .. }]);
            assert_eq!(again, told == [0, 0], "{answers:?}");
        }
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits: Vec<_> = [1, 2, 3, 6, 7, u32::MAX].into_iter().map(wait_s).collect();
        assert_eq!(waits, [1, 2, 4, 32, WAIT_MAX_S, WAIT_MAX_S]);
    }

    #[test]
    fn a_banks_words_are_cut_to_what_the_ledger_keeps() {
        let words = "\u{8a9e}".repeat(BANK_REASON_CHARS_MAX + 1);
        assert_eq!(cut(&words).chars().count(), BANK_REASON_CHARS_MAX);
        assert_eq!(cut("no cover"), "no cover");
    }
}
