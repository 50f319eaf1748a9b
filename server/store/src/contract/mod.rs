//! What every [`Store`](crate::Store) has to do, as a list of cases: `contract_tests!` makes one test of each.
//!
//! A case gets an empty store. It calls the trait only, so the same list holds for each database.
#![expect(
    clippy::unwrap_used,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "the cases are tests that live in a library, so that each store can run them"
)]

mod address;
mod bank;
mod beside;
mod cancel;
mod closing;
mod debit;
mod debit_ends;
mod decisive;
mod doubt;
mod invitation;
mod lost;
mod money;
mod order;
mod pool;
mod recovery;
mod restored;
mod revise;
mod token;
mod webhook;
mod world;

pub use address::*;
pub use bank::*;
pub use beside::*;
pub use cancel::*;
pub use closing::*;
pub use debit::*;
pub use debit_ends::*;
pub use decisive::*;
pub use doubt::*;
pub use invitation::*;
pub use lost::*;
pub use money::*;
pub use order::*;
pub use pool::*;
pub use recovery::*;
pub use restored::*;
pub use revise::*;
pub use token::*;
pub use webhook::*;
pub use world::{Funded, World};

/// Makes a test of each case.
///
/// `$open`: an async function without arguments that gives an `Arc<dyn Store>` with no rows in it,
/// and whatever has to live as long.
#[macro_export]
macro_rules! contract_tests {
    ($open:path) => {
        $crate::contract_tests! { $open:
            funding_moves_value_from_the_float_to_a_holder
            a_repeated_transfer_changes_nothing
            a_transfer_repeated_from_an_empty_account_is_not_refused
            a_transfer_is_refused_in_order_of_precedence
            an_account_is_funded_up_to_its_limit_and_not_past_it
            time_never_runs_backwards
            a_call_of_too_many_commands_is_refused
            a_hot_account_serves_a_whole_batch
            an_order_moves_funds_to_escrow_with_its_program_and_mail
            an_order_is_refused_in_order_of_precedence
            an_order_up_to_the_limit_is_accepted_and_not_past_it
            an_idempotency_key_gets_its_first_answer_for_ever
            equal_keys_in_one_batch_collapse
            the_key_of_a_cancel_stands_for_one_order
            a_cancel_has_its_first_answer_for_ever
            an_order_that_changed_before_its_cancel_is_left_alone
            the_answer_to_a_cancel_is_bounded
            a_key_belongs_to_its_principal
            a_remittance_id_is_used_once
            parts_of_a_command_beyond_their_limit_are_refused
            parts_of_a_session_beyond_their_limit_are_refused
            a_cancelled_order_returns_to_its_sender_once
            an_order_expires_at_its_instant_and_returns_once
            orders_are_listed_newest_first_in_pages
            a_proof_credits_the_card_once_with_one_receipt
            the_next_session_settles_and_sends_in_one_step
            an_absent_commit_reopens_or_returns_the_remittance
            a_stale_session_concludes_nothing
            a_card_has_one_operation_in_flight
            a_commit_is_refused_in_order_of_precedence
            a_commit_that_contradicts_the_record_is_refused
            a_settlement_that_contradicts_the_record_is_refused
            a_proof_that_contradicts_the_record_is_refused
            a_frozen_card_keeps_its_evidence_and_concludes_nothing
            a_blocked_card_still_settles_but_sends_nothing
            a_return_waits_for_the_proof
            two_persons_close_what_is_in_doubt_and_a_late_proof_still_counts
            a_closed_remittance_that_its_card_denies_makes_the_loss_good
            a_decision_needs_two_known_persons_and_a_reason
            only_what_is_in_doubt_can_be_closed
            from_the_third_officer_on_two_have_to_approve
            a_case_is_decided_by_the_cards_truth
            an_adjustment_goes_both_ways
            a_case_can_be_closed_by_blocking_its_card
            a_case_is_refused_in_order_of_precedence
            cases_are_listed_in_pages
            a_lost_card_is_paid_out_after_its_window_and_once
            a_payout_is_refused_in_order_of_precedence
            a_late_proof_of_a_lost_card_is_paid_out_too
            what_is_payable_goes_to_an_own_card_and_returns_there
            a_paid_out_card_that_comes_back_is_a_case
            an_expired_remittance_is_not_sent_though_nobody_swept_it
            a_restored_database_sends_and_returns_nothing_before_its_cards_are_read
            a_card_that_knows_more_than_a_restored_database_is_believed
            a_card_that_is_unchanged_since_the_backup_opens_or_returns_what_waits
            a_proof_that_comes_after_a_restore_still_counts
            a_receipt_that_is_shown_credits_and_the_card_has_to_confirm_it
            a_first_reading_that_does_not_add_up_concludes_nothing
            what_a_bank_paid_is_never_open_again_after_a_restore
            a_second_restore_asks_the_bank_again
            what_the_bank_has_back_is_not_in_flight_any_more
            what_turns_out_to_be_funded_after_the_first_reading_needs_another
            a_lost_card_is_not_paid_out_before_what_a_restore_forgot_is_known
            the_pool_holds_what_its_cards_hold_and_is_empty_without_it
            card_accounts_are_switched_only_while_nothing_is_open
            what_is_held_or_not_in_escrow_does_not_stop_a_switch
            a_card_whose_books_disagree_is_frozen_alone
            holders_are_found_by_id_and_token
            a_holder_has_own_ids_and_bounded_texts
            a_token_opens_its_scopes_until_it_ends
            tokens_are_bounded_and_of_one_holder
            an_endpoint_hears_of_each_change_since_it_was_added_once
            a_delivery_is_leased_to_one_and_given_up_until_it_is_sent_again
            endpoints_take_turns
            an_endpoint_has_so_many_events_and_no_more
            an_endpoint_is_disabled_when_it_is_gone_or_full_of_dead_letters
            webhooks_are_bounded_and_get_new_secrets
            a_key_makes_one_secret_of_one_endpoint
            a_secret_of_a_key_is_shown_for_a_day
            a_card_is_issued_in_two_steps_and_can_resume
            a_card_has_its_own_number_and_chip
            an_address_is_verified_by_its_code_once
            a_code_has_so_many_tries
            a_code_counts_for_a_day_and_only_the_last_one_does
            a_verified_address_belongs_to_one_holder
            an_address_stands_for_one_active_card
            addresses_are_bounded
            a_code_is_mailed_until_it_went_out
            an_invitation_becomes_a_remittance_once_its_address_has_a_card
            an_invitation_returns_to_its_sender_once
            an_invitation_shares_its_key_with_the_order_that_it_would_be
            an_invitation_is_refused_in_order_of_precedence
            an_invitation_is_bound_only_to_a_card_that_can_take_it
            a_restored_invitation_waits_for_two_persons
            an_invitation_is_mailed_until_it_went_out_or_ended
            an_address_is_invited_by_a_few_mails_a_day
            a_template_is_kept_as_it_was
            a_bank_order_is_mailed_and_sent_only_once_the_bank_has_confirmed
            a_refused_bank_order_ends_without_a_transfer
            an_order_of_unknown_funding_waits_for_the_bank
            a_bank_that_confirms_too_late_gets_its_refund_entry
            an_open_bank_order_is_returned_to_the_bank
            a_bank_order_that_was_never_asked_for_ends_at_once
            what_the_bank_is_not_asked_for_is_refused
            a_silent_bank_is_named_after_so_many_questions
            a_card_pays_for_an_order_once_its_debit_is_proven
            an_order_of_a_card_is_refused_in_order_of_precedence
            a_debit_beyond_its_limits_is_refused
            a_debit_that_its_card_denies_can_be_tried_again
            an_order_of_a_card_ends_with_its_debit_and_nothing_has_moved
            a_debit_in_flight_keeps_its_order_until_the_card_has_spoken
            what_a_card_paid_goes_to_what_is_payable_and_to_a_card_by_an_order
            a_debit_and_the_order_that_it_pays_for_are_listed_as_one
            a_debit_that_two_persons_closed_is_paid_out_with_its_card
            a_closed_debit_that_is_proven_late_is_owed_to_its_holder
            a_closed_debit_that_its_card_denies_ends
            a_card_that_paid_since_the_backup_is_believed
            a_card_that_was_credited_and_paid_since_the_backup_is_believed
            a_card_that_did_not_pay_since_the_backup_can_pay_still
            a_receipt_of_a_debit_waits_for_what_the_card_had_then
            a_case_of_a_card_that_paid_is_decided_by_its_truth
            a_withdrawn_template_stays_withdrawn_and_is_named
            a_new_program_replaces_the_earlier_one_and_is_mailed
            a_program_in_flight_is_not_replaced
            a_new_program_beside_one_in_flight_leaves_the_books_balanced
            a_replaced_mail_does_not_wait_any_more
            a_program_is_replaced_only_by_the_next_one_and_only_while_it_could_be_redeemed
            a_mail_is_leased_to_one_and_retried_with_its_message_id
        }
    };
    ($open:path: $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (store, _guard) = $open().await;
                $crate::contract::$case(store).await;
            }
        )*
    };
}
