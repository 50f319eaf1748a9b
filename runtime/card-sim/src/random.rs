//! Where the card's challenges come from: a seeded generator that a test can script.

use alloc::collections::VecDeque;

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// SHA-256 in counter mode over a seed, behind a queue of scripted bytes.
///
/// Good enough for a test card, whose keys lie in a file next to it.
#[derive(Encode, Decode)]
pub(crate) struct Generator {
    #[cbor(n(0), with = "minicbor::bytes")]
    seed: [u8; 32],
    #[n(1)]
    counter: u64,
    #[cbor(skip)]
    scripted: VecDeque<u8>,
}

impl Generator {
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            counter: 0,
            scripted: VecDeque::new(),
        }
    }

    /// Bytes to hand out before any generated ones.
    pub(crate) fn script(&mut self, bytes: &[u8]) {
        self.scripted.extend(bytes);
    }

    /// Makes everything generated from now on depend on `entropy` too.
    pub(crate) fn mix(&mut self, entropy: &[u8; 32]) {
        let mixed: [u8; 32] = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.counter.to_le_bytes())
            .chain_update(entropy)
            .finalize()
            .into();
        self.seed = mixed;
        self.counter = 0;
    }

    pub(crate) fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(32) {
            let block = self.block();
            for (byte, generated) in chunk.iter_mut().zip(block) {
                *byte = self.scripted.pop_front().unwrap_or(generated);
            }
        }
        out
    }

    fn block(&mut self) -> [u8; 32] {
        self.counter = self.counter.wrapping_add(1);
        Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.counter.to_le_bytes())
            .finalize()
            .into()
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}
