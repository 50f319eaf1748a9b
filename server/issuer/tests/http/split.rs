//! The same stories with the server in two: a front, and a core behind a Unix socket.

use crate::{bench::SPLIT, debit, idempotency, life, lists, problems};
use axum::Router;
use issuer::{
    connections::{self, Limits},
    front::{self, Front},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{net::UnixListener, runtime::Runtime};

/// Serves a core on a socket of its own, and gives a front of it.
pub(crate) fn front_of(core: Router, dir: &Path, runtime: &Runtime) -> Router {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let socket = dir.join(format!("core-{number}"));
    let listener = {
        let _inside = runtime.enter();
        UnixListener::bind(&socket).unwrap()
    };
    runtime.spawn(connections::serve(
        listener,
        core,
        Limits::SERVER,
        std::future::pending(),
    ));
    front::router(Arc::new(Front::new(socket, 1)))
}

fn behind_a_front(stories: &[fn()]) {
    SPLIT.set(true);
    for story in stories {
        story();
    }
    SPLIT.set(false);
}

#[test]
fn the_life_of_an_order_is_the_same_behind_a_front() {
    behind_a_front(&[
        life::an_order_is_credited_once_and_its_receipt_is_kept,
        life::a_server_restarted_between_any_two_exchanges_credits_once,
        life::every_request_may_come_twice,
        life::every_request_may_come_twice_at_once,
        life::a_card_pulled_at_the_commit_is_settled_at_its_next_contact,
        life::the_same_key_and_order_is_one_order,
        life::a_cancelled_order_is_returned_and_can_not_be_redeemed,
        life::a_cancel_in_flight_is_noted_and_the_card_decides,
        life::what_expired_is_returned_by_the_sweep_once,
        life::the_claim_code_of_the_mail_gives_the_verified_program_until_the_end,
        life::orders_are_listed_newest_first_in_pages,
        idempotency::an_order_asked_for_again_gets_its_first_answer_to_the_byte,
        idempotency::a_cancel_needs_a_key_of_its_own,
        idempotency::an_order_that_has_changed_is_not_taken_back_unseen,
        lists::what_was_seen_is_not_sent_again_until_it_changes,
        debit::a_card_pays_for_an_order_by_a_program_that_its_sender_fetches,
    ]);
}

#[test]
fn refusals_are_the_same_behind_a_front() {
    behind_a_front(&[
        problems::every_problem_code_is_met_by_its_request,
        problems::bounds_are_reached_exactly,
        problems::a_refused_order_is_refused_again_under_its_key_and_moves_nothing,
    ]);
}
