//! Receipts that recipients show: what a restored database has forgotten, they prove.

use crate::{app::Office, clock::unix_seconds};
use anyhow::{Context, ensure};
use ledger::{Command, Refusal, Remittance, RemittanceId};
use sha2::{Digest, Sha256};
use store::ApplyError;
use wire::{exchange::RECEIPT_LEN_MAX, receipt::Receipt};

/// Takes in a receipt of ours, byte for byte; gives the remittance that it is for.
///
/// # Errors
/// It is none of ours, its order is not in this database or another one, or no restore has made that
/// order wait; the store is not available.
pub async fn take(office: &Office, bytes: Vec<u8>) -> anyhow::Result<RemittanceId> {
    let (order, id) = order_of(office, &bytes).await?;
    let order = order.context(
        "this issuer signed it, and the database does not hold its order, which came after the backup; \
         keep the receipt: its card is frozen at its next visit, and two persons decide",
    )?;
    let shown = office
        .store
        .apply_one(Command::ShowReceipt {
            remittance: id,
            receipt: bytes,
            now: office.clock.now(),
        })
        .await;
    match shown {
        Err(ApplyError::Refused(Refusal::NotInFlight)) => anyhow::bail!(
            "the order is {}, and no restore has made it wait: this receipt contradicts the books; \
             keep it, and compare with the card",
            order.status.code()
        ),
        other => other?,
    };
    Ok(id)
}

/// The order that a genuine receipt is for; none where this database does not hold it.
async fn order_of(
    office: &Office,
    bytes: &[u8],
) -> anyhow::Result<(Option<Remittance>, RemittanceId)> {
    ensure!(bytes.len() <= RECEIPT_LEN_MAX, "too long for a receipt");
    let issuer = &office.config.issuer;
    let now = unix_seconds(office.clock.now());
    let receipt = Receipt::verify(bytes, &office.keys.descriptor(issuer, now).keys)
        .context("no receipt that this issuer signed")?;
    ensure!(receipt.issuer == *issuer, "a receipt of {}", receipt.issuer);
    let id = RemittanceId::from_bytes(receipt.remittance).context("its remittance id")?;
    let order = office.store.remittance(id).await?;
    let fits = |order: &Remittance| {
        let hash: [u8; 32] = Sha256::digest(&order.order_bytes).into();
        (receipt.revision, receipt.order_hash, receipt.amount)
            == (order.revision, hash, order.amount)
    };
    ensure!(
        order.as_ref().is_none_or(fits),
        "it is for another order with the same id"
    );
    Ok((order, id))
}
