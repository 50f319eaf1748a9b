//! Succession of roots: an issuer's root key names the one that takes its place.
//!
//! Served at `/.well-known/tegata-succession`, oldest first. A terminal that knows an older root
//! follows the links to the one that signs today; it never goes back. What this cannot do: a root
//! that is lost names nobody, and one that is stolen names the thief's.
//! Source: `docs/exchange.md`, section "Succession of roots".

use alloc::string::String;
use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

use crate::cbor::{self, DecodeError, Reader};
use crate::is_issuer_name;
use crate::receipt::TIME_MAX;
use crate::signed::{self, Label, SignedError};

/// Longest signed link in bytes: it takes below 450 with the longest issuer name.
pub const LINK_LEN_MAX: usize = 512;
/// Most links that an issuer serves: at one new root a year a terminal may sleep for sixteen.
pub const LINKS_MAX: usize = 16;
/// Longest list of links in bytes: all of them at their longest, with room.
pub const CHAIN_LEN_MAX: usize = LINKS_MAX * (LINK_LEN_MAX + 3) + 3;

const VERSION: u64 = 1;

/// What one link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Succession {
    /// DNS name of the issuer.
    pub issuer: String,
    /// The root until now, which signs this.
    pub from: [u8; 32],
    /// The root from now on; another one than `from`.
    pub to: [u8; 32],
    /// When this was signed, in Unix seconds, `0..=TIME_MAX`: for people, nothing is judged by it.
    pub signed_at: u64,
}

/// Why a succession is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SuccessionError {
    /// The list of links is malformed.
    #[error("list of roots: {0}")]
    List(DecodeError),
    /// A link's envelope or signature.
    #[error("succession of roots: {0}")]
    Signed(SignedError),
    /// A link's content.
    #[error("succession of roots: {0}")]
    Content(DecodeError),
    /// A link of another issuer.
    #[error("succession of another issuer's roots")]
    Issuer,
    /// A link does not begin where the one before it ends.
    #[error("the succession of roots has a gap")]
    Gap,
    /// A root comes twice.
    #[error("the succession of roots runs in a circle")]
    Circle,
    /// The links do not lead from the known root to the other one.
    #[error("no root that you trusted has named it")]
    NoPath,
}

impl Succession {
    /// The link, signed by the root until now; at most [`LINK_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// [`DecodeError::Bounds`] for a field outside its bounds, also for `from` if it is not the
    /// public half of `old_root`.
    pub fn sign(&self, old_root: &SigningKey) -> Result<Vec<u8>, DecodeError> {
        if old_root.verifying_key().to_bytes() != self.from {
            return Err(DecodeError::Bounds { field: "from" });
        }
        self.check()?;
        Ok(signed::seal(&self.write(), Label::Succession, old_root))
    }

    /// Opens a link with the root that it names as its own signer.
    ///
    /// Whether that root was ever anybody's, [`follow`] says.
    ///
    /// # Errors
    /// [`SuccessionError::Signed`], [`SuccessionError::Content`].
    pub fn verify(bytes: &[u8]) -> Result<Self, SuccessionError> {
        let payload = signed::payload_unverified(bytes, Label::Succession)
            .map_err(SuccessionError::Signed)?;
        let link = cbor::decode(payload, LINK_LEN_MAX, Self::read, Self::write)
            .map_err(SuccessionError::Content)?;
        signed::open(bytes, Label::Succession, |_| Some(link.from))
            .map_err(SuccessionError::Signed)?;
        Ok(link)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let bounds = |holds: bool, field| holds.then_some(()).ok_or(DecodeError::Bounds { field });
        bounds(is_issuer_name(&self.issuer), "issuer")?;
        bounds(self.from != self.to, "to")?;
        bounds(self.signed_at <= TIME_MAX, "signed at")
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("succession", 5)?;
        reader.version(VERSION)?;
        let link = Self {
            issuer: reader
                .text("issuer", 1..=crate::ISSUER_NAME_LEN_MAX)?
                .into(),
            from: reader.fixed("from")?,
            to: reader.fixed("to")?,
            signed_at: reader.u64("signed at")?,
        };
        link.check()?;
        Ok(link)
    }

    fn write(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(5)?
                .u64(VERSION)?
                .str(&self.issuer)?
                .bytes(&self.from)?
                .bytes(&self.to)?
                .u64(self.signed_at)?
                .ok()
        })
    }
}

/// Writes a list of signed links, oldest first, as it is served.
///
/// # Errors
/// [`DecodeError::Bounds`] for more than [`LINKS_MAX`] links, or one beyond [`LINK_LEN_MAX`] bytes.
pub fn write_list(links: &[Vec<u8>]) -> Result<Vec<u8>, DecodeError> {
    let holds = links.len() <= LINKS_MAX
        && links
            .iter()
            .all(|link| (1..=LINK_LEN_MAX).contains(&link.len()));
    if !holds {
        return Err(DecodeError::Bounds { field: "links" });
    }
    Ok(write(links))
}

/// Reads a list of signed links; none of them is verified yet.
///
/// # Errors
/// Each variant of [`DecodeError`].
pub fn read_list(bytes: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
    let read = |reader: &mut Reader<'_>| {
        let count = reader.array_within("links", 0..=LINKS_MAX as u64)?;
        (0..count)
            .map(|_| reader.bytes("link", 1..=LINK_LEN_MAX).map(<[u8]>::to_vec))
            .collect()
    };
    cbor::decode(bytes, CHAIN_LEN_MAX, read, |links: &Vec<Vec<u8>>| {
        write(links)
    })
}

fn write(links: &[Vec<u8>]) -> Vec<u8> {
    cbor::encode(|e| {
        e.array(links.len() as u64)?;
        links.iter().try_for_each(|link| e.bytes(link)?.ok())
    })
}

/// Verifies `links`, each where the one before it ends and no root twice.
///
/// # Errors
/// [`SuccessionError::Signed`], [`SuccessionError::Content`], [`SuccessionError::Issuer`],
/// [`SuccessionError::Gap`], [`SuccessionError::Circle`], at the first link that has one.
pub fn verify_all(links: &[Vec<u8>], issuer: &str) -> Result<Vec<Succession>, SuccessionError> {
    let mut verified: Vec<Succession> = Vec::new();
    for bytes in links {
        let link = Succession::verify(bytes)?;
        if link.issuer != issuer {
            return Err(SuccessionError::Issuer);
        }
        if verified.last().is_some_and(|last| last.to != link.from) {
            return Err(SuccessionError::Gap);
        }
        if verified.iter().any(|earlier| earlier.from == link.to) {
            return Err(SuccessionError::Circle);
        }
        verified.push(link);
    }
    Ok(verified)
}

/// The links of the served list `bytes` that lead from the root `known` to the root `new`.
///
/// # Errors
/// [`SuccessionError::List`]; as [`verify_all`]; [`SuccessionError::NoPath`].
pub fn follow(
    bytes: &[u8],
    issuer: &str,
    known: &[u8; 32],
    new: &[u8; 32],
) -> Result<Vec<Vec<u8>>, SuccessionError> {
    let links = read_list(bytes).map_err(SuccessionError::List)?;
    let verified = verify_all(&links, issuer)?;
    let first = verified.iter().position(|link| link.from == *known);
    let last = verified.iter().position(|link| link.to == *new);
    let path = first
        .zip(last)
        .and_then(|(first, last)| links.get(first..=last));
    // An end before the beginning is no range: a succession is never followed backwards.
    path.filter(|path| !path.is_empty())
        .map(<[_]>::to_vec)
        .ok_or(SuccessionError::NoPath)
}
