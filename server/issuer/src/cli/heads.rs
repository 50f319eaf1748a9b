//! Whether the signed heads of the audit log are those of its segments; the books themselves hold the
//! chain against its records.

use crate::app::Office;
use audit_log::Head;
use ledger::{AuditCheck, AuditLine};
use store::LogSegment;
use wire::{descriptor::Purpose, signed::key_id};

/// Opens the head of every segment with the audit keys of this issuer, revoked ones too: a key that was
/// given up has signed what it signed. Gives a finding for each that does not fit.
///
/// # Errors
/// The store is not available.
pub(super) async fn findings(office: &Office) -> anyhow::Result<Vec<AuditLine>> {
    let signers = office.keys.signers.iter();
    let audit = signers.filter(|signer| signer.purpose == Purpose::Audit);
    let keys: Vec<[u8; 32]> = audit.map(|s| s.key.verifying_key().to_bytes()).collect();
    let mut found = Vec::new();
    let mut number = 1;
    while let Some(segment) = office.store.log_segment(number).await? {
        if let Err(detail) = fits(&segment, &office.config.issuer, &keys) {
            found.push(AuditLine {
                check: AuditCheck::LogIsChained,
                subject: format!("head {number}"),
                detail,
            });
        }
        number = number.saturating_add(1);
    }
    Ok(found)
}

fn fits(segment: &LogSegment, issuer: &str, keys: &[[u8; 32]]) -> Result<(), String> {
    let known = |id: &[u8; 12]| keys.iter().find(|key| key_id(key) == *id).copied();
    let head = Head::open(&segment.head, known).map_err(|error| error.to_string())?;
    let said = (
        head.issuer.as_str(),
        head.number,
        head.first,
        head.link.position,
        head.link.hash,
    );
    let link = &segment.link;
    if said
        == (
            issuer,
            segment.number,
            segment.first,
            link.position,
            link.hash,
        )
    {
        Ok(())
    } else {
        Err("it is signed for another segment".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_log::Link;
    use ed25519_dalek::SigningKey;

    #[test]
    fn a_head_of_another_key_or_another_segment_is_found() {
        let [ours, other] = [[1; 32], [2; 32]].map(|seed| SigningKey::from_bytes(&seed));
        let link = Link::START.next(b"a record");
        let head = Head {
            issuer: "money.example".to_owned(),
            number: 1,
            first: 1,
            link,
            sealed_at: 7,
        };
        let segment = |head: Vec<u8>| LogSegment {
            number: 1,
            first: 1,
            link,
            records: Vec::new(),
            head,
        };
        let keys = [ours.verifying_key().to_bytes()];
        let judge = |head: Vec<u8>| fits(&segment(head), "money.example", &keys);
        assert_eq!(judge(head.sign(&ours).unwrap()), Ok(()));
        assert!(judge(head.sign(&other).unwrap()).is_err());
        let mut cut = head.sign(&ours).unwrap();
        cut.pop();
        assert!(judge(cut).is_err());
        for wrong in [
            Head {
                issuer: "other.example".to_owned(),
                ..head.clone()
            },
            Head {
                number: 2,
                ..head.clone()
            },
            Head {
                link: link.next(b"one more"),
                ..head
            },
        ] {
            assert!(judge(wrong.sign(&ours).unwrap()).is_err(), "{wrong:?}");
        }
    }
}
