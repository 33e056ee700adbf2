//! What belongs to no tenant: `bucket.json`, on which all the rest hangs.

use super::look::Look;
use crate::hybrid::bucket::BucketError;
use crate::hybrid::marker::{self, Marker};
use driftline_model::format::{BUCKET_KEY, Damage, Problem};
use driftline_model::integrity::{BucketFinding, Mend, Verdict};
use driftline_ports::{ErrorKind, Result};

/// What to do about an object that is larger than what a repair copies.
pub(super) fn to_move_by_hand(damage: &Damage) -> String {
    format!(
        "{}; a repair makes no copy of it: move {} away by hand, with the store's own tool, and a new repair mends what is left",
        damage.problem, damage.object
    )
}

/// What is wrong with it.
pub(super) async fn findings(look: &Look<'_>) -> Result<Vec<BucketFinding>> {
    let found = |verdict, detail, repair| {
        let object = BUCKET_KEY.to_owned();
        Ok(vec![BucketFinding {
            verdict,
            object,
            detail,
            repair,
        }])
    };
    let damaged = match marker::read(&look.bucket).await {
        // Where there is none, nothing says that this is the bucket at all: that is for `doctor` to tell.
        Ok(Marker::Whole(..) | Marker::Absent) => return Ok(Vec::new()),
        Ok(Marker::Damaged(damaged)) => damaged,
        Err(BucketError::Damage(damage)) => {
            let detail = match damage.problem {
                Problem::TooLarge { .. } => to_move_by_hand(&damage),
                _ => damage.problem.to_string(),
            };
            return found(Verdict::Malformed, detail, Mend::Inspect);
        }
        Err(error) => return Err(error.into()),
    };
    match damaged.proven(look.sides).await {
        Ok(_) => {
            let detail = damaged.damage.problem.to_string();
            found(Verdict::Malformed, detail, Mend::WriteBucket)
        }
        Err(error) if error.kind() == ErrorKind::Refused => {
            let detail = error.to_string();
            let detail = detail.trim_start_matches(BUCKET_KEY);
            let detail = detail.trim_start_matches(": ").to_owned();
            found(Verdict::Malformed, detail, Mend::Recover)
        }
        Err(error) => Err(error),
    }
}
