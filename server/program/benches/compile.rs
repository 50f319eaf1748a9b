//! The cost of one program: order component, wrapper and signature, for an order of 256 bytes.
//!
//! Prints lines `BENCH name value unit`, which `make bench` collects. Ours, the floor and the
//! reference run in turn, batch by batch; each figure is the median over the batches.
//!
//! - floor: SHA-256 and Ed25519 signature of the same body, nothing else;
//! - reference: wac-graph plugs the finished order component into a graph in which the template
//!   is registered already, without validating its output; wasmsign2 signs. Both are spared what
//!   ours does not do either.
#![expect(
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reads the clock, divides times and stops at the first error"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::{key, order, remittance};
use ed25519_dalek::Signer;
use program::{BODY_OFFSET, HEADER, OrderBytes, Template, body, compile};
use sha2::{Digest, Sha256};
use wac_graph::{CompositionGraph, EncodeOptions, PackageId, plug, types::Package};
use wasmparser::{Parser, Payload};
use wasmsign2::{Module, SecretKey};

const BATCHES: usize = 60;
const RUNS_PER_BATCH: u32 = 50;
const ORDER_LEN: usize = 256;

fn order_of_256_bytes(template: &Template) -> OrderBytes {
    let mut order = order(template.hash());
    let missing = ORDER_LEN - order.encode().unwrap().as_bytes().len();
    // From 24 characters on, the length of a note takes a second byte.
    order.note = "n".repeat(missing - 1);
    let bytes = order.encode().unwrap();
    assert_eq!(bytes.as_bytes().len(), ORDER_LEN);
    bytes
}

/// Microseconds per run of one batch.
fn batch(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..RUNS_PER_BATCH {
        run();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(RUNS_PER_BATCH)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The reference: a graph that knows the template, the order component, and the signing key.
struct Reference {
    graph: CompositionGraph,
    template: PackageId,
    order: Vec<u8>,
    key: SecretKey,
}

impl Reference {
    fn new(template: &Template, file: &[u8]) -> Self {
        let nested = Parser::new(0).parse_all(file);
        let order = nested
            .filter_map(|payload| match payload.unwrap() {
                Payload::ComponentSection {
                    unchecked_range, ..
                } => Some(unchecked_range),
                _ => None,
            })
            .last();
        let mut graph = CompositionGraph::new();
        let package =
            Package::from_bytes("t:t", None, template.as_bytes(), graph.types_mut()).unwrap();
        let template = graph.register_package(package).unwrap();
        let secret = [&[0x81], key().to_keypair_bytes().as_slice()].concat();
        Self {
            graph,
            template,
            order: file[order.unwrap()].to_vec(),
            key: SecretKey::from_bytes(&secret).unwrap(),
        }
    }

    fn compile(&self) -> Vec<u8> {
        let mut graph = self.graph.clone();
        let order = self.order.as_slice();
        let package = Package::from_bytes("t:o", None, order, graph.types_mut()).unwrap();
        let order = graph.register_package(package).unwrap();
        plug(&mut graph, vec![order], self.template).unwrap();
        let options = EncodeOptions {
            validate: false,
            ..EncodeOptions::default()
        };
        let component = graph.encode(options).unwrap();
        let module = Module::deserialize(&mut component.as_slice()).unwrap();
        let mut file = Vec::new();
        let signed = self.key.sign(module, None).unwrap();
        signed.serialize(&mut file).unwrap();
        file
    }
}

fn main() {
    let template = remittance();
    let order = order_of_256_bytes(&template);
    let signing_key = key();
    let file = compile(&template, &order, &signing_key).unwrap();
    let body = body(&template, &order);
    assert_eq!(file[BODY_OFFSET..], body);
    let reference = Reference::new(&template, &file);
    assert!(reference.compile().starts_with(&HEADER));

    let (mut ours, mut floor, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        ours.push(batch(|| {
            drop(black_box(compile(
                black_box(&template),
                black_box(&order),
                &signing_key,
            )));
        }));
        floor.push(batch(|| {
            let hash = Sha256::digest(black_box(&body));
            black_box(signing_key.sign(&hash));
        }));
        theirs.push(batch(|| drop(black_box(reference.compile()))));
    }
    let (ours, floor, theirs) = (median(ours), median(floor), median(theirs));
    println!("BENCH compile_us {ours:.2} us");
    println!("BENCH compile_floor_us {floor:.2} us");
    println!("BENCH compile_vs_floor {:.3} ratio", ours / floor);
    println!("BENCH compile_vs_wac {:.3} ratio", ours / theirs);
    println!("BENCH program_bytes {} bytes", file.len());
}
