//! What an error advises: codes with data. The words are the command's.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Side;
use driftline_model::{Seq, Stream, TenantId};

/// What may be done about an error. Codes are stable; whoever shows one finds the words for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "code",
    content = "data",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Hint {
    /// Nothing changed: the same call may succeed later.
    TryAgain,
    /// The outcome is unknown: the same call under the same idempotency key finds out.
    TryAgainWithTheKey,
    /// The idempotency key has been used up: new content takes a new one.
    UseNewKey,
    /// The expectation does not hold: read, decide anew, and expect what was read.
    ReadAndDecideAgain,
    /// A side refuses us: its URL, the credentials or the permissions are not right.
    CheckAccess {
        /// Which side refuses.
        side: Side,
    },
    /// What recovery rests on is damaged in the bucket: only a copy of the object helps.
    PutBack,
    /// The database, or its schema, is not there: somebody has to make it.
    MakeDatabase,
    /// The database has to see its bucket once before it takes writes.
    ReachBucketFirst,
    /// Look whether these are the right bucket and prefix.
    CheckBucketUrl,
    /// The same, or a recovery takes the bucket over for this database.
    CheckBucketUrlOrMove,
    /// The same, or everything is shadowed to a new bucket.
    CheckBucketUrlOrFill {
        /// There is nothing yet; otherwise the bucket names this database.
        empty: bool,
    },
    /// The same, or a recovery of all tenants puts a lost `bucket.json` back.
    CheckBucketUrlOrRecover,
    /// `bucket.json` is damaged: a repair writes it anew, or a recovery where the database is lost.
    MendBucket,
    /// A newer build wrote it: use that one.
    UseNewerBuild,
    /// Look whose bucket it is.
    FindOwner,
    /// Another recovery, repair or replicator is at work: wait for it.
    WaitForOthers,
    /// See what the bucket's store keeps of its promises. Nothing was removed.
    TestStore,
    /// This store lacks what snapshots rest on: use another.
    ChangeStore,
    /// See which tenants there are.
    ListTenants,
    /// See which tenants the database has, as neither side knows this one.
    ListTenantsOfDatabase,
    /// The same, when the bucket was meant to know it.
    ListTenantsOrCheckBucketUrl,
    /// See which tenants there are; a recovery brings what only the bucket knows.
    ListTenantsOrRecover,
    /// See which tenants are retired.
    ListRetiredTenants,
    /// See which versions there are.
    ListVersions {
        /// Whose versions, where that is not plain.
        tenant: Option<TenantId>,
    },
    /// See when versions were committed: times mean `committedAt`.
    ListCommitTimes,
    /// The retirement of a tenant can be taken back.
    Reinstate {
        /// The tenant.
        tenant: TenantId,
        /// What was tried would retire it once more.
        again: bool,
    },
    /// Recover a retired tenant without a target.
    RecoverWithoutTarget {
        /// The tenant.
        tenant: TenantId,
    },
    /// Recover what the bucket knows and the database does not.
    Recover {
        /// The tenant, or all of them.
        tenant: Option<TenantId>,
        /// Only to see what the bucket has.
        dry_run: bool,
    },
    /// The database is a copy, or has moved: if it takes the place of the original, that has to be said.
    Adopt,
    /// What the bucket has beyond the database comes back with a recovery, or is given up.
    RecoverOrAdopt,
    /// If it is the database's bucket, a recovery writes its lost `bucket.json` anew.
    RecoverIdentity,
    /// A recovery brings back what the bucket has, and the database lacks.
    RecoverMissing {
        /// The tenant.
        tenant: TenantId,
    },
    /// What nothing proves can be restored all the same.
    AcceptUnverified,
    /// A row cannot be read: a recovery shows what the bucket has.
    RecoverRow,
    /// Damage was found, and nothing was served or changed: a recovery shows what the bucket still proves.
    RecoverProven,
    /// The recovery of a whole database ended early: a recovery of all tenants says why, tenant by tenant.
    RecoverToSee,
    /// Something moved during the recovery: run it again.
    RecoverAgain,
    /// All is restored, but a newer version was created meanwhile: run the recovery again to choose.
    RecoverAgainToChoose,
    /// Two histories disagree: a recovery keeps both.
    ResolveDivergence {
        /// The tenant.
        tenant: TenantId,
    },
    /// Entries behind a damaged object cannot be reached: put it back, or move it away to give them up.
    PutBackOrGiveUp {
        /// The object's key.
        object: String,
    },
    /// An entry is valid, and nothing leads to it any more: a repair brings back what the rows still hold; or move it away to
    /// give it up.
    RepairOrGiveUp {
        /// The tenant.
        tenant: TenantId,
        /// The object's key.
        object: String,
    },
    /// Rows are lost or damaged that only a backup of the database has.
    RestoreBackup {
        /// The bucket was not changed either.
        nothing_changed: bool,
    },
    /// A row is damaged that only a backup of the database has; without one it can be given up.
    RestoreBackupOrAcceptLoss {
        /// The tenant.
        tenant: TenantId,
        /// The stream of the row.
        stream: Stream,
        /// Its number.
        seq: Seq,
    },
    /// A recovery plan is stale: make a new one.
    PlanRecoveryAgain {
        /// No tenant was changed yet.
        nothing_changed: bool,
    },
    /// A repair plan is stale: make a new one.
    PlanRepairAgain {
        /// No tenant was changed yet.
        nothing_changed: bool,
    },
    /// A repair mends it.
    Repair {
        /// The tenant.
        tenant: TenantId,
    },
    /// An index is lost, damaged or overwritten: a repair makes it anew.
    RepairIndex {
        /// The tenant.
        tenant: TenantId,
    },
    /// See where two histories disagree.
    FindDivergence {
        /// The tenant.
        tenant: TenantId,
    },
    /// See what is damaged or lost.
    Verify {
        /// The tenant.
        tenant: TenantId,
    },
    /// A loss was accepted before: see by which decision.
    ListAccepted,
    /// Nothing has been shadowed yet, so there is nothing to prove.
    NothingToProve,
    /// A drill needs an empty database of its own.
    UseEmptyDatabase,
    /// An audit's report cannot be read: make a new one.
    AuditAgain {
        /// The tenant.
        tenant: TenantId,
    },
    /// Each resource has an external id of its own.
    ExternalIdsDiffer,
    /// A record of an apply names what its version does not have: correct it, or allow what is to be deleted.
    RecordWhatVersionHas,
    /// How a JSON pointer looks.
    PointerForm,
    /// How a checksum is made.
    ChecksumForm,
}

impl Hint {
    /// The stable word for programs, and its data if it has any.
    pub fn parts(&self) -> (Value, Option<Value>) {
        let mut whole = serde_json::to_value(self).unwrap_or_default();
        let mut take = |name| whole.get_mut(name).map(Value::take);
        (take("code").unwrap_or_default(), take("data"))
    }
}

/// Why something is not done, and what may be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What is the matter.
    pub message: String,
    /// What to do next, if there is something to say.
    pub hint: Option<Hint>,
}

impl Reason {
    /// A reason that somebody can do something about.
    pub fn new(message: impl Into<String>, hint: Hint) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint),
        }
    }
}

impl From<String> for Reason {
    fn from(message: String) -> Self {
        Self {
            message,
            hint: None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hint_is_a_code_with_data() {
        assert_eq!(Hint::TryAgain.parts(), (json!("try_again"), None));
        let tenant: TenantId = "acme".parse().unwrap();
        assert_eq!(
            Hint::ResolveDivergence { tenant }.parts(),
            (
                json!("resolve_divergence"),
                Some(json!({ "tenant": "acme" }))
            )
        );
        let side = Side::Bucket;
        assert_eq!(
            Hint::CheckAccess { side }.parts(),
            (json!("check_access"), Some(json!({ "side": "bucket" })))
        );
    }
}
