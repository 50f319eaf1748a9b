//! The runner without a process around it: scripted frames in, frames out.

use std::io::{Cursor, Result as IoResult};
use std::sync::{Arc, Mutex};

use super::*;
use crate::effects::encode_answer;

use crate::support::{Guest, component};

/// What the runner wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.0.lock().expect("one thread").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// One frame: kind and payload.
type Sent = (Kind, Vec<u8>);

/// Serves these frames and returns the runner's, each as kind and payload.
fn served(frames: &[Sent], budget: Budget) -> (Result<(), LinkLost>, Vec<Sent>) {
    let (result, mut sent) = served_raw(frames, budget);
    for (kind, payload) in &mut sent {
        // The fuel is in front of an outcome; one test looks at it.
        if *kind == Kind::Outcome {
            payload.drain(..Outcome::FUEL_LEN);
        }
    }
    (result, sent)
}

fn served_raw(frames: &[Sent], budget: Budget) -> (Result<(), LinkLost>, Vec<Sent>) {
    let mut input = Vec::new();
    for (kind, payload) in frames {
        frame::write(&mut input, *kind, payload).expect("within limits");
    }
    let written = Written::default();
    let link = Link {
        input: Box::new(Cursor::new(input)),
        output: Box::new(written.clone()),
    };
    let result = serve(link, Workshop::new(), budget);
    let bytes = written.0.lock().expect("one thread").clone();
    let mut rest = bytes.as_slice();
    let mut sent = Vec::new();
    while !rest.is_empty() {
        let frame = frame::read(&mut rest).expect("the runner writes whole frames");
        sent.push((frame.kind, frame.payload));
    }
    (result, sent)
}

fn program(bytes: Vec<u8>) -> Vec<Sent> {
    vec![(Kind::Program, bytes), (Kind::Go, vec![])]
}

#[track_caller]
fn ends_with(bytes: Vec<u8>, budget: Budget, outcome: Outcome) {
    let (result, sent) = served(&program(bytes), budget);
    assert_eq!(result, Ok(()));
    assert_eq!(sent.last(), Some(&(Kind::Outcome, outcome.body())));
}

#[test]
fn nothing_runs_before_go() {
    let call = "(call $exchange (i32.const 0) (i32.const 1) (i32.const 64)) (i32.const 64)";
    let bytes = Guest::new(call).standalone();
    let (result, sent) = served(&[(Kind::Program, bytes.clone())], Budget::default());
    assert_eq!((result, sent), (Err(LinkLost), vec![(Kind::Ready, vec![])]));

    let (_, sent) = served(&program(bytes), Budget::default());
    assert_eq!(
        sent[..2],
        [(Kind::Ready, vec![]), (Kind::Exchange, vec![0])]
    );
}

#[test]
fn answers_reach_the_program_as_the_terminal_gave_them() {
    let call = "(call $transmit (i32.const 0) (i32.const 3) (i32.const 64)) (i32.const 64)";
    let mut answers = vec![(Ok(vec![1, 2, 3]), Outcome::Receipt(vec![1, 2, 3]))];
    // The program returns what it got: an error is returned as the failure of the same number.
    for (error, failure) in [
        (ReaderError::NoCard, Failure::Order),
        (ReaderError::Removed, Failure::CardUnsupported),
        (ReaderError::Denied, Failure::Reader),
        (ReaderError::Limit, Failure::Network),
        (ReaderError::Timeout, Failure::Protocol),
        (ReaderError::Failed, Failure::Refused),
    ] {
        answers.push((Err(error), Outcome::Failure(failure)));
    }
    for (answer, outcome) in answers {
        let mut frames = program(Guest::new(call).standalone());
        frames.push((Kind::Answer, encode_answer(answer, &READER_ERRORS)));
        let (result, sent) = served(&frames, Budget::default());
        assert_eq!(result, Ok(()));
        let expected = [
            (Kind::Ready, vec![]),
            (Kind::Transmit, vec![0; 3]),
            (Kind::Outcome, outcome.body()),
        ];
        assert_eq!(sent, expected);
    }
}

#[test]
fn guest_time_is_limited_even_with_fuel_for_ever() {
    let budget = Budget {
        fuel: u64::MAX,
        ticks: 1,
    };
    let endless = Guest::new("(loop (br 0)) (unreachable)").standalone();
    ends_with(endless, budget, Outcome::Fault(Fault::Deadline));
}

#[test]
fn a_program_has_its_fuel_from_the_instantiation_on() {
    let endless = |text: &str| {
        let guest = Guest {
            library: text.to_owned(),
            ..Guest::done()
        };
        guest.standalone()
    };
    let start = endless("(func $s (loop (br 0))) (start $s)");
    ends_with(start, Budget::default(), Outcome::Fault(Fault::Fuel));
    let nothing = Budget {
        fuel: 0,
        ..Budget::default()
    };
    ends_with(
        Guest::done().standalone(),
        nothing,
        Outcome::Fault(Fault::Fuel),
    );
}

#[test]
fn the_host_answers_nobody_during_instantiation() {
    let call = "(func $s (call $exchange (i32.const 0) (i32.const 1) (i32.const 64))) (start $s)";
    let guest = Guest {
        parts: call.to_owned(),
        ..Guest::done()
    };
    let (result, sent) = served(&program(guest.standalone()), Budget::default());
    assert_eq!(result, Ok(()));
    let phase = Outcome::Fault(Fault::Phase).body();
    assert_eq!(sent, [(Kind::Ready, vec![]), (Kind::Outcome, phase)]);
}

#[test]
fn what_does_not_compile_or_link_ends_before_it_is_ready() {
    for (bytes, fault) in [
        (vec![], Fault::Compile),
        (b"(component)".to_vec(), Fault::Compile),
        (
            component("(component (import \"evil:x/y\" (func)))"),
            Fault::Instantiate,
        ),
    ] {
        let (result, sent) = served(&[(Kind::Program, bytes)], Budget::default());
        assert_eq!(result, Ok(()));
        assert_eq!(sent, [(Kind::Outcome, Outcome::Fault(fault).body())]);
    }
    let nothing = component("(component)");
    ends_with(
        nothing,
        Budget::default(),
        Outcome::Fault(Fault::Instantiate),
    );
}

#[test]
fn a_terminal_that_does_not_keep_to_the_protocol_is_left() {
    let call = "(call $transmit (i32.const 0) (i32.const 3) (i32.const 64)) (i32.const 64)";
    let calling = Guest::new(call).standalone();
    let go = (Kind::Go, vec![]);
    for frames in [
        vec![],
        vec![go.clone()],
        vec![(Kind::Program, calling.clone()), (Kind::Answer, vec![0])],
    ] {
        assert_eq!(served(&frames, Budget::default()).0, Err(LinkLost));
    }
    // In the middle of a run the outcome is still written, to whoever may be left to read it.
    for answer in [vec![], vec![7], vec![1, 1]] {
        let mut frames = program(calling.clone());
        frames.push((Kind::Answer, answer));
        let (_, sent) = served(&frames, Budget::default());
        let internal = Outcome::Fault(Fault::Internal).body();
        assert_eq!(sent.last(), Some(&(Kind::Outcome, internal)));
    }
}

#[test]
fn a_panic_is_a_fault() {
    let outcome = guarded::<()>(Fault::Internal, || panic!("a fault of ours"));
    assert_eq!(outcome, Err(Fault::Internal));
}

#[test]
fn a_memory_past_the_total_is_refused_at_instantiation() {
    let instances = |count: usize| {
        let instance = "(core instance (instantiate $m))".repeat(count);
        Guest {
            components: format!("(core module $m (memory 10 10)) {instance}"),
            ..Guest::done()
        }
    };
    // One page of the guest and thirty; a fourth instance passes 32.
    let done = Outcome::Receipt(b"done".to_vec());
    ends_with(instances(3).standalone(), Budget::default(), done);
    ends_with(
        instances(4).standalone(),
        Budget::default(),
        Outcome::Fault(Fault::Memory),
    );
}

/// The fuel that the runner says was used.
fn reported(guest: &Guest, fuel: u64) -> u64 {
    let budget = Budget {
        fuel,
        ..Budget::default()
    };
    let (_, sent) = served_raw(&program(guest.standalone()), budget);
    let (_, payload) = sent.last().expect("an outcome");
    Outcome::decode(payload).expect("an outcome").0
}

#[test]
fn the_same_program_uses_the_same_fuel() {
    // Exactly enough is found by bisection; one unit less stops the program.
    let runs = |fuel: u64| {
        let budget = Budget {
            fuel,
            ..Budget::default()
        };
        let (_, sent) = served(&program(Guest::done().standalone()), budget);
        sent.last() == Some(&(Kind::Outcome, Outcome::Receipt(b"done".to_vec()).body()))
    };
    let (mut low, mut high) = (0, 1_000);
    while low + 1 < high {
        let middle = (low + high) / 2;
        if runs(middle) {
            high = middle
        } else {
            low = middle
        }
    }
    assert!(runs(high) && !runs(high - 1), "{high}");
    assert!(high < 200, "{high}");

    // What is reported is what was used, whatever there was; all of it where it was too little. It is
    // more than the least budget: fuel is compared at loops and calls only.
    let used = reported(&Guest::done(), 200);
    assert!((high..200).contains(&used), "{used}");
    assert_eq!(reported(&Guest::done(), Budget::default().fuel), used);
    assert_eq!(
        reported(&Guest::new("(loop (br 0)) (unreachable)"), 500),
        500
    );
}
