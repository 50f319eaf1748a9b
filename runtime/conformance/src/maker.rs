//! Makes programs: an order with a number of its own, a guest, a signature.

use std::sync::atomic::{AtomicU32, Ordering};

use money::{Amount, Currency};
use program::{Kind, Order, Template};
use wire::exchange::{Instruction, Request};
use wire::receipt::Receipt;

use crate::guest::Guest;
use crate::issuer::{Issuer, Key, NAME};

/// What the orders credit, in yen.
const AMOUNT: i64 = 2_500;

/// Makes programs of the test issuer, each for a remittance of its own unless told otherwise.
#[derive(Debug)]
pub(crate) struct Maker<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) now: u64,
    next: &'a AtomicU32,
}

/// What differs between orders; the rest is the same in all.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) order: Order,
    pub(crate) key: Key,
}

impl<'a> Maker<'a> {
    pub(crate) const fn new(issuer: &'a Issuer, now: u64, next: &'a AtomicU32) -> Self {
        Self { issuer, now, next }
    }

    /// A lawful order for a remittance that nobody has seen, signed by the right key.
    pub(crate) fn draft(&self) -> Draft {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut remittance = [0xC0; 16];
        remittance[..4].copy_from_slice(&number.to_be_bytes());
        let order = Order {
            kind: Kind::Credit,
            issuer: NAME.to_owned(),
            remittance,
            revision: 1,
            card_masked: "**** **** **** 1234".to_owned(),
            card_binding: [2; 32],
            amount: Amount::new(AMOUNT, Currency::Jpy).expect("positive"),
            sender: "Tanaka".to_owned(),
            note: String::new(),
            created: self.now.saturating_sub(60),
            expires: self.now + 3_600,
            template_hash: [0; 32],
            claim_token: [3; 32],
        };
        Draft {
            order,
            key: Key::Program,
        }
    }

    /// The file of this guest for a remittance of its own.
    pub(crate) fn file(&self, guest: &Guest) -> Vec<u8> {
        self.draft().file(self, guest)
    }

    /// The file of a lawful guest.
    pub(crate) fn lawful(&self) -> Vec<u8> {
        self.file(&Guest::lawful())
    }
}

impl Draft {
    /// Signed by another key.
    pub(crate) fn by(self, key: Key) -> Self {
        Self { key, ..self }
    }

    /// With a changed order.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Order)) -> Self {
        change(&mut self.order);
        self
    }

    /// The request that a lawful guest sends first.
    pub(crate) fn instruction(&self) -> Vec<u8> {
        let request = Request::Instruction(self.request());
        request.encode().expect("within bounds")
    }

    fn request(&self) -> Instruction {
        // Orders of one number differ in what they say, and so here.
        let order = &self.order;
        let mut handshake = [0; 16];
        handshake[..4].copy_from_slice(&order.revision.to_be_bytes());
        handshake[4..12].copy_from_slice(&order.amount.minor().to_be_bytes());
        handshake[12..].copy_from_slice(&order.expires.to_be_bytes()[4..]);
        Instruction {
            remittance: order.remittance,
            claim_token: order.claim_token,
            uid: [4; 7],
            handshake,
        }
    }

    /// The program with this guest.
    pub(crate) fn file(self, maker: &Maker<'_>, guest: &Guest) -> Vec<u8> {
        let template = guest.template(&self.instruction());
        self.file_of(maker, template)
    }

    /// The program with this template. The issuer owes its receipt from now on.
    pub(crate) fn file_of(mut self, maker: &Maker<'_>, template: Vec<u8>) -> Vec<u8> {
        let template = Template::new(template).expect("headed as a component");
        self.order.template_hash = template.hash();
        let bytes = self.order.encode().expect("within bounds");
        let receipt = Receipt {
            issuer: self.order.issuer.clone(),
            remittance: self.order.remittance,
            revision: self.order.revision,
            order_hash: bytes.hash(),
            amount: self.order.amount,
            card_masked: self.order.card_masked.clone(),
            sender: self.order.sender.clone(),
            credited_at: maker.now,
        };
        let receipt = receipt
            .sign(&Key::Receipt.signing())
            .expect("within bounds");
        maker.issuer.owes(&self.request(), receipt);
        program::compile(&template, &bytes, &self.key.signing()).expect("of this template")
    }
}

/// The same body under a new signature of the program key.
pub(crate) fn signed_again(body: &[u8]) -> Vec<u8> {
    program::seal(body, &Key::Program.signing())
}

/// The signed part of a file.
pub(crate) fn body(file: &[u8]) -> &[u8] {
    file.get(program::BODY_OFFSET..).expect("a whole program")
}
