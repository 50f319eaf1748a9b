//! The succession of roots: signed by the old one, followed forward only.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use ed25519_dalek::SigningKey;
use wire::cbor::DecodeError;
use wire::receipt::TIME_MAX;
use wire::signed::{Label, SignedError, seal};
use wire::succession::{
    CHAIN_LEN_MAX, LINK_LEN_MAX, LINKS_MAX, Succession, SuccessionError, follow, read_list,
    write_list,
};

const ISSUER: &str = "pay.example";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn says(from: u8, to: u8) -> Succession {
    Succession {
        issuer: ISSUER.to_owned(),
        from: public(from),
        to: public(to),
        signed_at: 1_790_000_000,
    }
}

fn link(from: u8, to: u8) -> Vec<u8> {
    says(from, to).sign(&key(from)).unwrap()
}

#[track_caller]
fn check(links: &[Vec<u8>], known: u8, new: u8, expected: Result<&[Vec<u8>], SuccessionError>) {
    let list = write_list(links).unwrap();
    let followed = follow(&list, ISSUER, &public(known), &public(new));
    assert_eq!(followed.as_deref(), expected.as_ref().map(|links| *links));
}

#[test]
fn a_root_follows_the_known_one_over_one_link_or_several() {
    let links = [link(1, 2), link(2, 3), link(3, 4)];
    check(&links, 1, 2, Ok(&links[..1]));
    check(&links, 1, 3, Ok(&links[..2]));
    check(&links, 1, 4, Ok(&links));
    check(&links, 3, 4, Ok(&links[2..]));
}

#[test]
fn nothing_leads_back_in_a_circle_over_a_gap_or_from_a_stranger() {
    let two = [link(1, 2), link(2, 3)];
    check(&two, 2, 1, Err(SuccessionError::NoPath));
    check(&two, 3, 2, Err(SuccessionError::NoPath));
    check(&two, 1, 1, Err(SuccessionError::NoPath));
    check(&two, 1, 9, Err(SuccessionError::NoPath));
    check(&two, 9, 3, Err(SuccessionError::NoPath));
    check(&[], 1, 2, Err(SuccessionError::NoPath));
    let circle = [link(1, 2), link(2, 1)];
    check(&circle, 1, 2, Err(SuccessionError::Circle));
    check(&circle, 2, 1, Err(SuccessionError::Circle));
    let longer = [link(1, 2), link(2, 3), link(3, 2)];
    check(&longer, 1, 3, Err(SuccessionError::Circle));
    let gap = [link(1, 2), link(3, 4)];
    check(&gap, 1, 2, Err(SuccessionError::Gap));
}

#[test]
fn only_the_old_root_names_the_new_one() {
    // A stranger who says that the known root is followed by his own.
    let forged = says(9, 2).sign(&key(9)).unwrap();
    let list = write_list(&[forged]).unwrap();
    let refused = follow(&list, ISSUER, &public(1), &public(2));
    assert_eq!(refused, Err(SuccessionError::NoPath));
    assert_eq!(
        says(1, 2).sign(&key(2)),
        Err(DecodeError::Bounds { field: "from" })
    );
    let good = link(1, 2);
    for bit in 0..good.len() * 8 {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Succession::verify(&changed).is_err(), "bit {bit}");
    }
    // The same words under the label of another kind, and of another issuer.
    let payload = wire::signed::payload_unverified(&good, Label::Succession).unwrap();
    let as_list = seal(payload, Label::Status, &key(1));
    assert_eq!(
        Succession::verify(&as_list),
        Err(SuccessionError::Signed(SignedError::Signature))
    );
    let elsewhere = write_list(&[good]).unwrap();
    assert_eq!(
        follow(&elsewhere, "other.example", &public(1), &public(2)),
        Err(SuccessionError::Issuer)
    );
}

#[test]
fn the_longest_list_is_read_and_one_link_more_is_not() {
    let longest = |from: u8| {
        let says = Succession {
            issuer: "a.".repeat(126) + "a",
            signed_at: TIME_MAX,
            ..says(from, from + 1)
        };
        says.sign(&key(from)).unwrap()
    };
    assert!(longest(1).len() <= LINK_LEN_MAX);
    let mut links: Vec<_> = (1..=u8::try_from(LINKS_MAX).unwrap())
        .map(longest)
        .collect();
    let list = write_list(&links).unwrap();
    assert!(list.len() <= CHAIN_LEN_MAX);
    assert_eq!(read_list(&list).unwrap(), links);
    links.push(longest(200));
    let refused = Err(DecodeError::Bounds { field: "links" });
    assert_eq!(write_list(&links), refused);
    let full = vec![vec![1; LINK_LEN_MAX]; LINKS_MAX];
    let list = write_list(&full).unwrap();
    assert_eq!(read_list(&list), Ok(full));
    assert_eq!(write_list(&[vec![1; LINK_LEN_MAX + 1]]), refused);
    for (says, field) in [
        (
            Succession {
                to: public(1),
                ..says(1, 2)
            },
            "to",
        ),
        (
            Succession {
                signed_at: TIME_MAX + 1,
                ..says(1, 2)
            },
            "signed at",
        ),
        (
            Succession {
                issuer: "x/y".to_owned(),
                ..says(1, 2)
            },
            "issuer",
        ),
    ] {
        assert_eq!(says.sign(&key(1)), Err(DecodeError::Bounds { field }));
    }
}
