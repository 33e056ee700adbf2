//! What every record of audits must do.
//!
//! A case is `async fn(Arc<dyn AuditLog>)` over a fresh and migrated database of its own; that nobody claimed it for a bucket
//! must not matter. Cases that need a claim to expire wait for it, since nobody sets the clock of a server; those in `clocked`
//! set it.

#[doc(hidden)]
pub mod claims;
#[doc(hidden)]
pub mod clocked;
#[doc(hidden)]
pub mod events;
#[doc(hidden)]
pub mod fixture;
#[doc(hidden)]
pub mod reports;
#[doc(hidden)]
pub mod results;
#[doc(hidden)]
pub mod schedule;

/// Makes a test of every case, for the record that `open` opens: see [the crate](crate).
#[macro_export]
macro_rules! audit_log_contract {
    ($open:ident) => {
        $crate::__cases! { audit_log, $open,
            claims: [
                a_claim_keeps_other_workers_out,
                a_claim_for_longer_than_is_believed_keeps_other_workers_out,
                every_claim_raises_the_fence,
                an_expired_claim_is_taken_over_and_its_result_refused,
                an_expired_claim_that_nobody_took_still_ends,
                the_longest_overdue_come_first,
                a_worker_is_not_given_what_it_works_on,
                these_are_claimed_due_or_not_and_known_or_not,
                what_is_asked_for_by_name_is_given_again,
                two_workers_at_once_never_share_a_tenant,
                two_workers_that_name_the_same_never_share_one,
            ]
            results: [
                a_result_is_kept_whole,
                failures_are_counted_until_a_success,
                what_a_result_does_not_say_stays,
                finishing_again_answers_false_and_adds_nothing,
                of_a_batch_what_may_be_kept_is_kept,
                a_taken_identifier_keeps_nothing,
                hundreds_are_finished_at_once,
                finishing_at_once_keeps_each_result_once,
                texts_come_back_as_they_were,
            ]
            schedule: [
                enrolling_lowers_a_slot_and_never_raises_it,
                an_audit_that_nobody_scheduled_waits_for_a_schedule,
                hundreds_are_enrolled_at_once,
                tenants_are_listed_in_byte_order,
                a_tenant_becomes_stale_once,
                a_success_in_between_keeps_a_tenant_fresh,
                a_tenant_that_never_succeeded_becomes_stale,
            ]
            reports: [
                reports_are_listed_newest_first_in_pages,
                reports_of_one_time_are_ordered_by_identifier,
                only_what_drifts_can_be_listed,
                a_list_says_whose_live_state_was_of_no_time_that_counts,
                a_report_is_read_with_its_body,
                retention_by_time_keeps_the_newest_of_each_tenant,
                retention_by_number_keeps_so_many,
                either_rule_of_retention_removes,
                settled_events_go_with_retention,
            ]
            events: [
                an_event_is_claimed_once_until_its_time_is_over,
                an_event_that_is_held_for_longer_than_is_believed_is_held,
                the_oldest_events_come_first,
                a_delivered_event_is_settled_for_good,
                a_failed_event_waits_and_is_tried_again,
                a_given_up_event_is_never_tried_again,
                events_are_listed_newest_first,
                two_at_once_never_share_an_event,
            ]
        }
    };
    ($open:ident, clocked: $open_at:ident) => {
        $crate::audit_log_contract!($open);
        $crate::__clocked_cases! { audit_log, $open_at,
            a_clock_that_is_set_back_holds_no_audit,
            a_clock_that_is_set_back_holds_no_event,
            nobody_claims_for_longer_than_is_believed,
        }
    };
}
