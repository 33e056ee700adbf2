//! What every reader of a database must do.
//!
//! A case is given a fresh, migrated, unclaimed database to write with, and a reader of it. A database reads itself; where an
//! adapter has a handle that can do nothing else, the cases are for that one, too.

#[doc(hidden)]
pub mod cases;

/// Makes a test of every case, for the database and the reader that `open` opens: see [the crate](crate).
#[macro_export]
macro_rules! state_reader_contract {
    ($open:ident) => {
        $crate::__cases! { state_reader, $open,
            cases: [
                names_are_paged_in_byte_order,
                unknown_tenants_are_left_out_and_the_order_is_kept,
                nothing_asked_is_nothing_read,
                documents_are_what_is_active_applied_and_decided,
                an_applied_active_version_is_in_both_places,
                a_tenant_without_applies_or_decisions_has_none,
                only_the_newest_apply_counts,
                a_lost_active_row_is_absent,
                a_lost_apply_leaves_the_one_before,
                the_applied_row_is_given_whatever_its_chain,
                an_apply_of_a_version_that_is_not_there_is_void,
                max_bytes_ends_a_page_but_gives_one,
                a_version_that_is_active_and_applied_counts_once,
                only_decisions_that_are_not_known_are_read,
                many_tenants_are_read_at_once,
                an_entry_is_found_by_its_number,
                the_session_cannot_write,
            ]
        }
    };
}
