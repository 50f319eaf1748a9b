//! `reconcile`.

use crate::app::Office;
use ledger::FreezeCase;
use store::PAGE_MAX;

/// The cases that nobody has decided, in order of their numbers.
pub(super) async fn open_cases(office: &Office) -> anyhow::Result<Vec<FreezeCase>> {
    let (mut open, mut after) = (Vec::new(), 0);
    loop {
        let page = office.store.cases(after, PAGE_MAX).await?;
        let Some(last) = page.last() else {
            return Ok(open);
        };
        after = last.number;
        open.extend(page.into_iter().filter(|case| case.closed.is_none()));
    }
}
