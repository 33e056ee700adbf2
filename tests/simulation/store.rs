//! The bucket as one process reaches it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use driftline::ports::{
    BackendInfo, Fault, Inspection, Listing, Object, Precondition, PutOutcome, Side, SnapshotStore,
    StoreError, StoreResult,
};
use tokio::time::sleep;

use crate::process::Process;
use crate::weather::Flaw;
use crate::world::{World, now};

#[derive(Debug)]
pub struct SimStore(pub Arc<Process>);

fn error(fault: Fault, what: &str) -> StoreError {
    StoreError::new(Side::Bucket, fault, format!("the bucket: {what}"))
}

fn lost() -> StoreError {
    error(Fault::OutcomeUnknown, "the answer was lost")
}

/// The probe asks whether the store is sound; flaws there would be an answer.
fn flaw(key: &str, flaw: Option<Flaw>) -> Option<Flaw> {
    flaw.filter(|_| !key.starts_with("_driftline/probe/"))
}

/// Carries out a PUT, and lets the model see it.
fn put(
    world: &World,
    process: &Process,
    key: &str,
    bytes: &Bytes,
    condition: Precondition,
) -> PutOutcome {
    let before = now(world.bucket.get(key, u64::MAX)).expect("a bucket in memory never fails");
    let outcome = now(world.bucket.put(key, bytes.clone(), condition));
    let outcome = outcome.expect("a bucket in memory never fails");
    if let PutOutcome::Written(_) = outcome {
        world.written(
            process,
            key,
            before.as_ref().map(|object| &object.bytes),
            bytes,
        );
    }
    outcome
}

impl SimStore {
    fn defer(&self, key: &str, bytes: Bytes, condition: Precondition, late: std::time::Duration) {
        let (process, key) = (Arc::clone(&self.0), key.to_owned());
        let bucket = self.0.world.bucket_number();
        self.0.world.spawn(async move {
            sleep(late).await;
            let world = &process.world;
            // A request does not outlive the bucket that it was sent to.
            if world.bucket_number() == bucket && !world.has_failed() {
                let outcome = put(world, &process, &key, &bytes, condition);
                process.say(&format!("PUT {key} arrives late: {}", word(&outcome)));
            }
        });
    }
}

fn word(outcome: &PutOutcome) -> &'static str {
    match outcome {
        PutOutcome::Written(_) => "written",
        PutOutcome::PreconditionFailed => "412",
        PutOutcome::Conflict => "409",
    }
}

#[async_trait]
impl SnapshotStore for SimStore {
    fn prefix(&self) -> &str {
        self.0.world.bucket.prefix()
    }

    fn url(&self) -> String {
        "simulated:".to_owned()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        let course = self.0.leave().await;
        let flaw = flaw(key, course.flaw);
        let may_tear = (self.0).may_tear(key, matches!(flaw, Some(Flaw::TornBody)));
        let answer = match flaw {
            Some(Flaw::TornBody) if !may_tear => Err(error(Fault::Unavailable, "unavailable")),
            Some(Flaw::Unavailable) => Err(error(Fault::Unavailable, "unavailable")),
            Some(Flaw::TornBody) => now(self.0.world.bucket.get(key, most)).map(|found| {
                found.map(|object| Object {
                    bytes: object.bytes.slice(..object.bytes.len() / 2),
                    ..object
                })
            }),
            _ => now(self.0.world.bucket.get(key, most)),
        };
        self.0.say(&match &answer {
            Ok(Some(object)) => {
                format!("GET {key}: {} bytes, {}", object.bytes.len(), object.etag.0)
            }
            Ok(None) => format!("GET {key}: none"),
            Err(error) => format!("GET {key}: {:?}", error.fault()),
        });
        self.0.come_back(course).await;
        answer
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        self.0.writes(key);
        let course = self.0.leave().await;
        let how = match &condition {
            Precondition::Absent => "if none".to_owned(),
            Precondition::Matches(etag) => format!("if {}", etag.0),
        };
        let write = || put(&self.0.world, &self.0, key, &bytes, condition.clone());
        let answer = match flaw(key, course.flaw) {
            Some(Flaw::Unavailable) => Err(error(Fault::Unavailable, "unavailable")),
            Some(Flaw::DroppedUnknown) => Err(lost()),
            Some(Flaw::Conflict) => Ok(PutOutcome::Conflict),
            Some(Flaw::AppliedUnknown) => {
                write();
                Err(lost())
            }
            Some(Flaw::OwnWrite) => {
                write();
                Ok(PutOutcome::PreconditionFailed)
            }
            Some(Flaw::DeferredUnknown(late)) => {
                self.defer(key, bytes, condition, late);
                Err(lost())
            }
            Some(Flaw::TornBody) | None => Ok(write()),
        };
        self.0.say(&match &answer {
            Ok(outcome) => format!("PUT {key} {how}: {}", word(outcome)),
            Err(error) => format!("PUT {key} {how}: {:?} ({:?})", error.fault(), course.flaw),
        });
        self.0.come_back(course).await;
        answer
    }

    /// The answer is what was there when the request arrived, and takes its time: by then newer objects are missing in it.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        let course = self.0.leave().await;
        // Small pages, so that a listing is put together from several moments.
        let answer = match flaw(prefix, course.flaw) {
            Some(Flaw::Unavailable) => Err(error(Fault::Unavailable, "unavailable")),
            _ => now(self.0.world.bucket.list(prefix, after, limit.min(40))),
        };
        self.0.say(&match &answer {
            Ok(listing) => format!("LIST {prefix} after {after:?}: {}", listing.objects.len()),
            Err(error) => format!("LIST {prefix} after {after:?}: {:?}", error.fault()),
        });
        self.0.come_back(course).await;
        answer
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.0.writes(key);
        let course = self.0.leave().await;
        let flaw = flaw(key, course.flaw);
        let lost = matches!(flaw, Some(Flaw::AppliedUnknown | Flaw::OwnWrite));
        let answer = match flaw {
            Some(Flaw::Unavailable) => Err(error(Fault::Unavailable, "unavailable")),
            Some(Flaw::DroppedUnknown) => Err(self::lost()),
            _ => {
                self.0.world.deleted(key);
                now(self.0.world.bucket.delete(key))
            }
        };
        let answer = if lost { Err(self::lost()) } else { answer };
        let how = answer.as_ref().map_err(StoreError::fault);
        self.0.say(&format!("DELETE {key}: {how:?}"));
        self.0.come_back(course).await;
        answer
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        let course = self.0.leave().await;
        self.0.come_back(course).await;
        now(self.0.world.bucket.ping())
    }

    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        let course = self.0.leave().await;
        self.0.come_back(course).await;
        now(self.0.world.bucket.inspect(scratch))
    }
}
