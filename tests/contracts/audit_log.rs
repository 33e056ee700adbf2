//! What every record of audits must do.
//!
//! A case is `async fn(Log)` over a fresh and migrated database of its own; that nobody claimed it for a bucket must not
//! matter. Cases that need a claim to expire wait for it, since nobody sets the clock of a server.

mod claims;
mod clocked;
mod events;
mod fixture;
mod reports;
mod results;
mod schedule;

macro_rules! audit_log_contract {
    ($open:ident) => {
        audit_log_contract! { @groups $open
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
    (@groups $open:ident $($group:ident: [$($case:ident),* $(,)?])*) => {
        $(
            mod $group {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        let (log, _guard) = super::$open().await;
                        crate::audit_log::$group::$case(log).await;
                    }
                )*
            }
        )*
    };
}

/// Instantiates the cases that need to set the time: `open` is given the clock.
macro_rules! audit_log_contract_with_clock {
    ($open:ident) => {
        audit_log_contract_with_clock! { @cases $open
            a_clock_that_is_set_back_holds_no_audit,
            a_clock_that_is_set_back_holds_no_event,
            nobody_claims_for_longer_than_is_believed,
        }
    };
    (@cases $open:ident $($case:ident),* $(,)?) => {
        mod clocked {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let clock = crate::database::clocked::TestClock::new();
                    let (log, _guard) = super::$open(clock.clone()).await;
                    crate::audit_log::clocked::$case(log, clock).await;
                }
            )*
        }
    };
}

mod memory {
    use std::sync::Arc;

    use driftline::adapters::memory::MemoryDatabase;
    use driftline::adapters::system::System;
    use driftline::ports::Clock;

    use super::fixture::Log;

    async fn open() -> (Log, ()) {
        open_at(Arc::new(System)).await
    }

    async fn open_at(clock: Arc<dyn Clock>) -> (Log, ()) {
        (Arc::new(MemoryDatabase::new(clock, Arc::new(System))), ())
    }

    audit_log_contract!(open);
    audit_log_contract_with_clock!(open_at);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::sync::Arc;

    use driftline::adapters::sqlite::SqliteDatabase;
    use driftline::adapters::system::System;
    use driftline::ports::{Clock, ManifestStore};

    use super::fixture::Log;

    async fn open() -> (Log, tempfile::TempDir) {
        open_at(Arc::new(System)).await
    }

    async fn open_at(clock: Arc<dyn Clock>) -> (Log, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("driftline.db");
        let database = SqliteDatabase::open(&path, clock, Arc::new(System))
            .await
            .expect("open");
        database.migrate().await.expect("migrate");
        (Arc::new(database), directory)
    }

    audit_log_contract!(open);
    audit_log_contract_with_clock!(open_at);
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::Arc;

    use super::fixture::Log;
    use crate::support::postgres::{Database as Guard, unclaimed};

    async fn open() -> (Log, Guard) {
        let (guard, database) = unclaimed().await;
        (Arc::new(database), guard)
    }

    audit_log_contract!(open);
}
