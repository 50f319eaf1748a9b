//! Seals the audit log: chains what waits in the journal, signs the chain's end, and appends both.
//!
//! Each segment is one transaction that also takes its records out of the journal, and is accepted
//! only after the segment before it. So a crash at any point leaves the journal or a longer chain.

use super::pause;
use crate::{
    app::Office,
    clock::{random, unix_seconds},
};
use anyhow::Context;
use audit_log::Head;
use crashpoint::reach;
use std::{sync::Arc, time::Duration};
use store::{LogSegment, Logged, Seal, Unsealed};
use tokio::sync::watch;
use wire::descriptor::Purpose;

/// Time between two looks: what a commit changed is sealed within a second.
const PERIOD: Duration = Duration::from_millis(500);

/// How long nobody else seals after a segment, in seconds: many periods, and still soon enough
/// after a sealer that died.
const LEASE_S: i64 = 10;

/// Runs until the server stops, and seals the rest then.
pub async fn run(app: Arc<crate::app::App>, mut stopped: watch::Receiver<bool>) {
    let owner = random(&*app.office.random);
    loop {
        let going = pause(&mut stopped, PERIOD).await;
        let sealed = if going {
            waiting(&app.office, owner).await
        } else {
            seal(&app.office, owner).await.map(|_| ())
        };
        if let Err(error) = sealed {
            tracing::error!(error = %format!("{error:#}"), "the audit log could not be sealed");
        }
        if !going {
            return;
        }
    }
}

/// What one look at the journal sealed.
enum Sealed {
    /// Nothing waits, or another one leads.
    Nothing,
    /// So many records: all that waited.
    All(u64),
    /// So many records; more wait.
    Part(u64),
}

/// Seals what waits now. What comes meanwhile has time until the next look: a segment for each commit
/// would cost as much as the commits.
async fn waiting(office: &Office, owner: [u8; 16]) -> anyhow::Result<()> {
    while let Sealed::Part(_) = segment(office, owner).await? {}
    Ok(())
}

/// Seals everything; gives how many records.
///
/// # Errors
/// The store is not available, or there is no audit key that may sign now.
pub async fn seal(office: &Office, owner: [u8; 16]) -> anyhow::Result<u64> {
    let mut sealed = 0_u64;
    loop {
        match segment(office, owner).await? {
            Sealed::Nothing => return Ok(sealed),
            Sealed::All(records) | Sealed::Part(records) => {
                sealed = sealed.saturating_add(records);
            }
        }
    }
}

async fn segment(office: &Office, owner: [u8; 16]) -> anyhow::Result<Sealed> {
    let waiting = office.store.log_unsealed(0).await?;
    if waiting.records.is_empty() {
        return Ok(Sealed::Nothing);
    }
    let more = waiting.more;
    let seal = chain(office, owner, waiting)?;
    let records = u64::try_from(seal.segment.records.len()).unwrap_or(u64::MAX);
    if !office.store.log_append(seal).await? {
        return Ok(Sealed::Nothing);
    }
    reach!("issuer::log-append::after-commit");
    Ok(if more {
        Sealed::Part(records)
    } else {
        Sealed::All(records)
    })
}

/// The next segment, signed.
fn chain(office: &Office, owner: [u8; 16], waiting: Unsealed) -> anyhow::Result<Seal> {
    let now = office.clock.now();
    let at = unix_seconds(now);
    let signer = office
        .keys
        .signer(Purpose::Audit, at, at)
        .context("no audit key is valid: `tegata-server keys rotate audit`, then restart")?;
    let mut link = waiting.link;
    let mut records = Vec::with_capacity(waiting.records.len());
    for record in waiting.records {
        link = link.next(&record);
        let hash = link.hash;
        records.push(Logged { record, hash });
    }
    let head = Head {
        issuer: office.config.issuer.clone(),
        number: waiting.number.saturating_add(1),
        first: waiting.link.position.saturating_add(1),
        link,
        sealed_at: at,
    };
    Ok(Seal {
        owner,
        now,
        until: now.plus_s(LEASE_S),
        segment: LogSegment {
            number: head.number,
            first: head.first,
            link,
            records,
            head: head.sign(&signer.key)?,
        },
        through: waiting.through,
    })
}
