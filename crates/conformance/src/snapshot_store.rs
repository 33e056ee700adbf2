//! What every bucket must do.

use std::sync::Arc;

use driftline_ports::SnapshotStore;

#[doc(hidden)]
pub mod bounds;
#[doc(hidden)]
pub mod concurrency;
#[doc(hidden)]
pub mod fixture;
#[doc(hidden)]
pub mod listing;
#[doc(hidden)]
pub mod writing;

/// A bucket of a case's own, empty, and seen in three ways.
#[derive(Debug, Clone)]
pub struct Buckets {
    /// The bucket.
    pub store: Arc<dyn SnapshotStore>,
    /// The same objects, as another process would open them.
    pub twin: Arc<dyn SnapshotStore>,
    /// The same bucket under another prefix, of which this one's is the beginning.
    pub beside: Arc<dyn SnapshotStore>,
}

/// Makes a test of every case, for the bucket that `open` opens: see [the crate](crate).
#[macro_export]
macro_rules! snapshot_store_contract {
    ($open:ident) => {
        $crate::__cases! { snapshot_store, $open,
            writing: [
                a_write_is_read_back,
                what_is_absent_is_none,
                creating_what_exists_fails_and_leaves_it_alone,
                comparing_with_an_absent_object_fails,
                comparing_with_a_stale_etag_fails_and_leaves_the_object_alone,
                an_etag_names_what_is_there,
                removing_twice_succeeds,
            ]
            concurrency: [
                one_of_many_creators_wins,
                compare_and_set_loses_no_update,
                a_reader_sees_whole_objects_only,
            ]
            listing: [
                a_listing_is_in_byte_order,
                a_listing_comes_in_parts,
                a_listing_can_begin_anywhere,
                folders_are_named_to_the_end,
            ]
            bounds: [
                prefixes_are_apart,
                objects_may_be_empty_or_large,
                what_exceeds_its_readers_bound_is_an_error_and_not_read,
                the_store_tells_what_it_is,
            ]
        }
    };
}
