//! The native build of the guest's logic against every scripted card and issuer.

use std::collections::BTreeSet;

use guest_logic::testing::{
    Call, Case, HANDSHAKE, RECEIPT, ScriptedHost, UID, answers, bytes, cases,
};
use guest_logic::{ATTEMPTS_MAX, EXCHANGES_MAX, Failure};

fn run(case: &Case) -> (Result<Vec<u8>, Failure>, ScriptedHost) {
    let mut host = ScriptedHost::new(case.script.clone());
    let outcome = guest_logic::run(&case.order, &mut host);
    (outcome, host)
}

fn case(name: &str) -> Case {
    cases()
        .into_iter()
        .find(|case| case.name == name)
        .expect("a case of this name")
}

#[test]
fn every_case_ends_as_it_must() {
    for case in cases() {
        let (outcome, host) = run(&case);
        assert_eq!(outcome, case.outcome, "{}", case.name);
        assert_eq!(host.transmits(), case.transmits, "commands: {}", case.name);
        assert_eq!(host.exchanges(), case.exchanges, "requests: {}", case.name);
    }
}

#[test]
fn no_two_cases_have_one_name() {
    let cases = cases();
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len());
}

#[test]
fn a_redemption_takes_eleven_commands_and_four_requests_in_this_order() {
    let case = case("everything goes well");
    let (_, host) = run(&case);
    let command = |at: usize| case.script.card[at].clone().expect("an answer");
    let instruction = [
        &[0x86, 1, 0][..],
        &bytes(&guest_logic::testing::REMITTANCE),
        &bytes(&guest_logic::testing::CLAIM_TOKEN),
        &bytes(&UID),
        &bytes(&HANDSHAKE),
    ]
    .concat();
    let requests: Vec<_> = host
        .calls()
        .iter()
        .filter_map(|call| match call {
            Call::Exchange(request) => Some(request.clone()),
            Call::Transmit(_) => None,
        })
        .collect();
    let expected = [
        instruction,
        answers(Some(&[0xa1; 180]), &[command(3)]),
        answers(Some(&[0xa2; 200]), &[command(4), command(5)]),
        answers(None, &(6..11).map(command).collect::<Vec<_>>()),
    ];
    assert_eq!(requests, expected);

    let commands: Vec<_> = host
        .calls()
        .iter()
        .filter_map(|call| match call {
            Call::Transmit(command) => Some(command.as_slice()),
            Call::Exchange(_) => None,
        })
        .collect();
    assert_eq!(commands[0], [0xff, 0xca, 0, 0, 0]);
    assert_eq!(commands[1], [0x90, 0x5a, 0, 0, 3, 0x45, 0x4d, 0x31, 0]);
    assert_eq!(commands[2], [0x90, 0x71, 0, 0, 2, 1, 0, 0]);
    let instructions: Vec<u8> = commands.iter().skip(3).map(|command| command[1]).collect();
    assert_eq!(
        instructions,
        [0xaf, 0xbd, 0x6c, 0x0c, 0x3b, 0x3d, 0xc7, 0x6c]
    );
}

#[test]
fn a_lost_request_is_repeated_byte_for_byte() {
    for case in cases().iter().filter(|case| case.exchanges > 4) {
        let (_, host) = run(case);
        let requests: Vec<_> = host
            .calls()
            .iter()
            .filter(|call| matches!(call, Call::Exchange(_)))
            .collect();
        let mut unanswered = None;
        for (request, reply) in requests.iter().zip(&case.script.network) {
            if let Some(unanswered) = unanswered {
                assert_eq!(*request, unanswered, "{}", case.name);
            }
            unanswered = reply.is_err().then_some(*request);
        }
    }
}

#[test]
fn parts_of_an_answer_are_joined_before_they_are_sent() {
    let (_, host) = run(&case("an answer in two parts"));
    let calls = host.calls();
    let more = Call::Transmit(vec![0x90, 0xaf, 0, 0, 0]);
    assert_eq!(calls.iter().filter(|call| **call == more).count(), 1);
    let joined = [0xbd, 0xbd, 0x91, 0x00].to_vec();
    let value = [&[0x6c; 12][..], &[0x91, 0x00]].concat();
    let request = Call::Exchange(answers(Some(&[0xa2; 200]), &[joined, value]));
    assert!(calls.contains(&request));
}

#[test]
fn what_a_lost_card_answered_is_still_sent() {
    let (outcome, host) = run(&case("Timeout instead of answer 10"));
    assert_eq!(
        outcome,
        Ok(RECEIPT.to_vec()),
        "the proof of the commit was enough"
    );
    let proofs: Vec<_> = (1..=4)
        .map(|proof| [&[proof; 8][..], &[0x91, 0x00]].concat())
        .collect();
    assert_eq!(
        host.calls().last(),
        Some(&Call::Exchange(answers(None, &proofs)))
    );
}

#[test]
fn the_last_answer_sent_is_the_one_that_stopped_the_step() {
    let (_, host) = run(&case("answer 7 ends [91, ae]"));
    let proof = [&[1; 8][..], &[0x91, 0x00]].concat();
    let request = answers(None, &[proof, vec![0x91, 0xae]]);
    assert_eq!(host.calls().last(), Some(&Call::Exchange(request)));
}

#[test]
fn attempts_stay_within_the_calls_that_a_host_grants() {
    const { assert!(EXCHANGES_MAX * ATTEMPTS_MAX <= 16) };
}

#[test]
fn a_reply_cut_at_any_byte_or_with_any_bit_flipped_ends_the_run_without_a_panic() {
    let plain = case("everything goes well");
    for (at, reply) in plain.script.network.iter().enumerate() {
        let reply = reply.as_ref().expect("a reply");
        let cut = (0..reply.len()).map(|len| reply[..len].to_vec());
        let flipped = (0..reply.len() * 8).map(|bit| {
            let mut reply = reply.clone();
            reply[bit / 8] ^= 1 << (bit % 8);
            reply
        });
        for bytes in cut.chain(flipped) {
            let mut case = plain.clone();
            let is_cut = bytes.len() < reply.len();
            case.script.network[at] = Ok(bytes);
            let (outcome, host) = run(&case);
            assert!(host.exchanges() <= 4 + ATTEMPTS_MAX);
            if is_cut {
                assert_eq!(outcome, Err(Failure::Protocol));
            }
        }
    }
}
