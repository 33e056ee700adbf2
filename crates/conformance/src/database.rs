//! What every database must do.
//!
//! A case is `async fn(Arc<dyn Database>)` over a fresh, migrated, unclaimed database of its own. Cases take the time from the
//! store; those in `clocked` set it.

#[doc(hidden)]
pub mod append;
#[doc(hidden)]
pub mod clocked;
#[doc(hidden)]
pub mod concurrency;
#[doc(hidden)]
pub mod lease;
#[doc(hidden)]
pub mod lifecycle;
#[doc(hidden)]
pub mod reading;
#[doc(hidden)]
pub mod recovery;
#[doc(hidden)]
pub mod restore;
#[doc(hidden)]
pub mod shadowing;
#[doc(hidden)]
pub mod whereabouts;

/// Makes a test of every case, for the database that `open` opens: see [the crate](crate).
#[macro_export]
macro_rules! database_contract {
    ($open:ident) => {
        $crate::__cases! { database, $open,
            append: [
                numbers_are_dense_and_the_chain_is_valid_in_every_stream,
                commit_times_never_go_back,
                an_expected_version_is_compared,
                an_expected_checksum_is_compared,
                an_expected_chain_is_compared,
                an_expectation_is_about_the_manifests_whatever_the_stream,
                a_key_replays_the_entry_that_it_made,
                a_key_with_other_content_is_reused,
                keys_belong_to_a_stream_of_a_tenant,
                a_refused_append_uses_no_key,
                checks_happen_in_the_documented_order,
                unchanged_content_is_compared_with_the_active_version,
                only_manifests_are_skipped_as_unchanged,
                a_reference_is_a_number_and_a_chain,
                an_activation_lasts_until_the_next_version,
                an_activation_for_another_head_is_void,
                content_and_texts_come_back_as_they_were,
            ]
            concurrency: [
                concurrent_writers_get_distinct_and_dense_numbers,
                concurrent_first_writers_create_the_tenant_once,
                a_key_used_by_eight_at_once_makes_one_version,
                of_writers_that_expect_the_same_head_one_wins,
                history_is_consistent_while_writes_go_on,
                tenants_do_not_wait_for_each_other_in_vain,
            ]
            reading: [
                an_unknown_tenant_has_nothing,
                an_entry_comes_with_active_version_and_watermark,
                history_is_newest_first_below_before,
                latest_is_the_newest_committed_until_then,
                latest_apply_of_goes_by_the_version_number,
                tenants_are_paged_in_byte_order,
                tenants_are_isolated,
                ping_and_a_second_migration_change_nothing,
            ]
            lease: [
                only_pending_tenants_are_leased,
                a_leased_tenant_is_kept_from_other_workers,
                a_hold_for_longer_than_is_believed_keeps_other_workers_out,
                a_lease_is_renewed_by_whoever_has_it,
                what_is_handed_back_is_as_it_was,
                an_expired_lease_lets_another_worker_in,
                what_is_worked_on_still_is_not_leased_again,
                a_limit_is_respected_and_the_longest_waiting_comes_first,
                two_workers_at_once_never_share_a_tenant,
                a_failed_tenant_waits_and_counts,
                only_the_holder_gives_back,
                halted_and_awaiting_tenants_are_not_leased,
                backlog_counts_by_what_keeps_them,
            ]
            lifecycle: [
                a_retired_tenant_takes_nothing_but_its_reinstatement,
                a_restore_brings_a_retired_tenant_back_retired,
                removed_entries_give_their_numbers_and_keys_free,
                a_removal_that_is_not_committed_changes_nothing,
                keys_follow_entries_that_come_back_under_other_numbers,
                keys_of_entries_that_are_put_right_are_kept,
                a_proof_is_kept_until_the_bucket_changes,
                a_drill_that_refutes_takes_the_proof_away,
                what_a_newer_drill_said_stands,
                a_write_is_tried_and_taken_back,
            ]
            shadowing: [
                pending_is_a_dense_run_in_order,
                pending_stops_after_max_bytes_but_gives_one,
                a_watermark_moves_forward_only_with_the_right_chain,
                a_watermark_never_moves_back_by_advancing,
                a_watermark_of_another_bucket_stays,
                a_watermark_is_lowered_but_never_raised,
                another_bucket_starts_at_zero_and_so_does_coming_back,
                a_halt_is_stored_while_its_guard_holds,
                a_halt_is_not_stored_once_its_guard_fails,
                at_risk_covers_all_streams,
                status_is_paged_in_byte_order,
                a_probe_is_remembered_per_bucket,
            ]
            whereabouts: [
                a_write_may_name_the_server_that_it_is_meant_for,
                only_the_server_that_is_there_can_be_settled,
            ]
            recovery: [
                a_new_database_is_unclaimed_and_refuses,
                claiming_is_idempotent_and_keeps_the_newest_generation,
                a_new_tenant_starts_at_the_generation,
                an_awaiting_database_refuses_known_and_new_tenants,
                one_tenant_awaits_recovery_while_others_go_on,
                a_claim_leaves_awaiting_tenants_waiting,
                taking_a_generation_leaves_the_database_awaiting,
                a_restored_tenant_accepts_while_the_database_awaits,
                what_was_seen_of_another_state_changes_nothing,
                of_many_that_saw_the_same_one_decides,
            ]
            restore: [
                lost_entries_come_back_as_they_were,
                a_restored_tenant_goes_on_after_its_head,
                dropping_a_restore_undoes_everything,
                no_watermark_is_lowered_under_a_restore,
                an_existing_number_is_an_error_and_nothing_is_restored,
                a_number_given_twice_is_an_error,
                a_commit_sets_state_and_watermarks_and_clears_the_halt,
                a_commit_for_another_bucket_fails,
                missing_rows_are_absent_and_end_a_run,
                the_state_under_the_lock_is_the_newest,
                no_update_is_lost_to_a_concurrent_append,
                restored_applies_are_found_by_their_version,
            ]
        }
    };
    ($open:ident, clocked: $open_at:ident) => {
        $crate::database_contract!($open);
        $crate::__clocked_cases! { database, $open_at,
            an_idempotency_key_is_forgotten_after_its_window,
            a_clock_that_goes_back_does_not_take_commit_times_with_it,
            a_lease_ends_to_the_microsecond,
            a_failed_tenant_is_tried_again_on_time,
            a_clock_that_is_set_back_holds_no_tenant,
            nobody_holds_a_tenant_for_longer_than_is_believed,
        }
    };
}
