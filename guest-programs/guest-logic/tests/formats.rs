//! The guest's reader and writer against the issuer's: one format, written twice.

use guest_logic::testing::{
    self, CLAIM_TOKEN, Call, HANDSHAKE, REMITTANCE, ScriptedHost, UID, cases,
};
use guest_logic::{Failure, run};
use wire::exchange::{Instruction, Refusal, Reply, Request, Step, StopRule};

#[test]
fn every_request_of_every_case_is_one_that_the_issuer_reads() {
    for case in cases() {
        let mut host = ScriptedHost::new(case.script);
        let _ = run(&case.order, &mut host);
        let requests = host.calls().iter().filter_map(|call| match call {
            Call::Exchange(request) => Some(request),
            Call::Transmit(_) => None,
        });
        for (at, bytes) in requests.enumerate() {
            let request = Request::decode(bytes);
            let request = request.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            if at == 0 {
                let instruction = Instruction {
                    remittance: REMITTANCE,
                    claim_token: CLAIM_TOKEN,
                    uid: UID,
                    handshake: HANDSHAKE,
                };
                assert_eq!(request, Request::Instruction(instruction), "{}", case.name);
            }
        }
    }
}

/// A run in which `reply` is the issuer's first.
fn run_with(reply: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let mut script = cases().swap_remove(0).script;
    script.network.truncate(1);
    script.network[0] = Ok(reply);
    run(&testing::order(), &mut ScriptedHost::new(script))
}

#[test]
fn a_reply_is_understood_exactly_when_the_issuer_could_have_sent_it() {
    for case in cases() {
        let Some(Ok(reply)) = case.script.network.first() else {
            continue;
        };
        let understood = run_with(reply.clone()) != Err(Failure::Protocol);
        // A code that this program does not know is still a refusal to it.
        let expected = Reply::decode(reply).is_ok() || case.name.ends_with("unknown code");
        assert_eq!(understood, expected, "{}", case.name);
    }
}

#[test]
fn every_reply_that_the_issuer_writes_is_understood() {
    assert_eq!(
        run_with(Reply::Receipt(vec![5; 300]).encode().expect("valid")),
        Ok(vec![5; 300])
    );
    for refusal in Refusal::ALL {
        let reply = Reply::Refusal(refusal).encode().expect("valid");
        assert_eq!(run_with(reply), Err(Failure::Refused), "{refusal:?}");
    }
    for ticket in [None, Some(vec![1]), Some(vec![2; 300])] {
        let apdus = vec![vec![0x90, 0xaf, 0, 0], vec![0x90; 261]];
        let stop = StopRule::FirstFailure;
        let reply = Reply::Step(Step {
            ticket,
            stop,
            apdus,
        })
        .encode()
        .expect("valid");
        assert_eq!(run_with(reply), Err(Failure::Network), "the run goes on");
    }
}

#[test]
fn the_scripted_order_is_an_order() {
    let order = program::Order::decode(&testing::order()).expect("an order");
    assert_eq!(
        (order.remittance, order.claim_token),
        (REMITTANCE, CLAIM_TOKEN)
    );
}
