//! What the tests share: guests written as text, and programs made of them.

use ed25519_dalek::SigningKey;
use money::{Amount, Currency};
use program::{Kind, Order, RawProgram, Template, TrustedKey, VerifiedProgram};
use wire::descriptor::Purpose;

/// Some time within the validity of everything here, Unix seconds.
const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "issuer.example";

/// The template that programs are mailed with.
pub(crate) fn remittance() -> Vec<u8> {
    include_bytes!("../../../../guest-programs/prebuilt/remittance.wasm").to_vec()
}

/// Compiles, signs and verifies a program of this template.
pub(crate) fn verified(template: Vec<u8>) -> VerifiedProgram {
    signed(template).verify()
}

/// A program file and the key that it is verified with.
#[derive(Debug)]
pub(crate) struct Signed {
    file: Vec<u8>,
    trusted: TrustedKey,
}

impl Signed {
    pub(crate) fn verify(&self) -> VerifiedProgram {
        let raw = RawProgram::new(self.file.clone()).expect("short enough");
        program::verify(raw, std::slice::from_ref(&self.trusted), NOW).expect("just signed")
    }
}

/// Compiles and signs a program of this template.
pub(crate) fn signed(template: Vec<u8>) -> Signed {
    let template = Template::new(template).expect("headed as a component");
    let order = Order {
        kind: Kind::Credit,
        issuer: ISSUER.to_owned(),
        remittance: [1; 16],
        revision: 0,
        card_masked: "**** **** **** 1234".to_owned(),
        card_binding: [2; 32],
        amount: Amount::new(2_500, Currency::Jpy).expect("positive"),
        sender: "Tanaka".to_owned(),
        note: String::new(),
        created: NOW,
        expires: NOW + 86_400,
        template_hash: template.hash(),
        claim_token: [3; 32],
    };
    let key = SigningKey::from_bytes(&[7; 32]);
    let order = order.encode().expect("within bounds");
    let file = program::compile(&template, &order, &key).expect("of this template");
    let trusted = TrustedKey {
        public: key.verifying_key().to_bytes(),
        issuer: ISSUER.to_owned(),
        purpose: Purpose::Program,
        not_before: 0,
        not_after: NOW + 86_400,
        revoked_at: None,
    };
    Signed { file, trusted }
}

/// A template as text: the interface, an allocator, and the parts that a test varies.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// Parts of the module with the memory, besides memory and allocator.
    pub(crate) library: String,
    /// The memory, as in `(memory (export "memory") LIMITS)`.
    pub(crate) memory: String,
    /// Parts of the main module besides `run`.
    pub(crate) parts: String,
    /// Body of `run`; leaves the address of the result on the stack.
    pub(crate) run: String,
    /// Whole components before the wiring, and anything else at that level.
    pub(crate) components: String,
}

impl Guest {
    /// A guest whose `run` has this body; `$transmit` and `$exchange` take pointer, length and the
    /// address of the result; a result is a tag byte, and at 4 pointer and length, or the error.
    pub(crate) fn new(run: &str) -> Self {
        Self {
            library: String::new(),
            memory: "1 2".to_owned(),
            parts: String::new(),
            run: run.to_owned(),
            components: String::new(),
        }
    }

    /// A guest that returns the four bytes `done` at once.
    pub(crate) fn done() -> Self {
        Self::new(DONE)
    }

    fn text(&self, order: bool) -> String {
        let order_parts = if order { ORDER_PARTS } else { [""; 4] };
        let [order_import, order_lower, order_main, order_with] = order_parts;
        [
            ("{components}", self.components.as_str()),
            ("{library}", &self.library),
            ("{memory}", &self.memory),
            ("{parts}", &self.parts),
            ("{run}", &self.run),
            ("{order_import}", order_import),
            ("{order_lower}", order_lower),
            ("{order_main}", order_main),
            ("{order_with}", order_with),
        ]
        .into_iter()
        .fold(include_str!("guest.wat").to_owned(), |text, (from, to)| {
            text.replace(from, to)
        })
    }

    /// The component that a program is compiled from, without the custom sections that the text's
    /// names leave behind.
    pub(crate) fn template(&self) -> Vec<u8> {
        component(&self.template_text())
    }

    pub(crate) fn template_text(&self) -> String {
        self.text(true)
    }

    /// The same without the order: a component that imports and exports what a program does.
    pub(crate) fn standalone(&self) -> Vec<u8> {
        component(&self.standalone_text())
    }

    pub(crate) fn standalone_text(&self) -> String {
        self.text(false)
    }
}

/// What a template has more than a program: import, lowering, the main module's import, its wiring.
const ORDER_PARTS: [&str; 4] = [
    r#"(type $order (instance (type $bytes (list u8)) (type $call (func (result $bytes)))
    (export "bytes" (func (type $call)))))
  (import "tegata:terminal/order@0.1.0" (instance $order (type $order)))
  (alias export $order "bytes" (func $bytes))"#,
    "(core func $bytes (canon lower (func $bytes)
    (memory $memory) (realloc (core func $realloc))))",
    r#"(import "host" "bytes" (func $bytes (param i32)))"#,
    r#"(export "bytes" (func $bytes))"#,
];

/// Assembles a component and drops every custom section in it.
pub(crate) fn component(text: &str) -> Vec<u8> {
    let bytes = wat::parse_str(text).expect("the test's text is well formed");
    without_custom_sections(&bytes)
}

/// Body of a `run` that returns the four bytes `done`.
pub(crate) const DONE: &str = r"
      (i32.store (i32.const 1024) (i32.const 0x656e6f64))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 1024))
      (i32.store (i32.const 24) (i32.const 4))
      (i32.const 16)";

fn without_custom_sections(bytes: &[u8]) -> Vec<u8> {
    const HEADER_LEN: usize = 8;
    let is_component = bytes[4] == 0x0D;
    let mut out = bytes[..HEADER_LEN].to_vec();
    let mut rest = &bytes[HEADER_LEN..];
    while let [id, tail @ ..] = rest {
        let (len, tail) = leb(tail);
        let (content, tail) = tail.split_at(len);
        rest = tail;
        let content = match id {
            0 => continue,
            1 | 4 if is_component => without_custom_sections(content),
            _ => content.to_vec(),
        };
        out.push(*id);
        push_leb(&mut out, content.len());
        out.extend_from_slice(&content);
    }
    out
}

fn leb(bytes: &[u8]) -> (usize, &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| byte & 0x80 == 0)
        .expect("a length ends");
    let value = bytes[..=end]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 7 | usize::from(byte & 0x7F));
    (value, &bytes[end + 1..])
}

fn push_leb(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7F | 0x80).expect("eight bits"));
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}
