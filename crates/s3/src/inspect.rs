//! What only S3 itself can tell.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{BucketVersioningStatus, ObjectLockEnabled};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;

use super::S3SnapshotStore;
use super::errors::{Answer, Effect};
use super::snapshot_store::once;
use driftline_model::{Digest, Timestamp};
use driftline_ports::{BackendInfo, Inspection, StoreResult, Verdict};

/// Headers of the last answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    server: Option<String>,
    date: Option<String>,
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Headers {
    fn name(&self) -> &'static str {
        "Headers"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        let header = |name: &str| headers.get(name).map(str::to_owned);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen {
            server: header("server"),
            date: header("date"),
        };
        Ok(())
    }
}

impl Headers {
    pub(super) fn backend(&self) -> BackendInfo {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seen.date.as_deref().and_then(|date| {
            let date = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
            Timestamp::from_micros(date.secs().checked_mul(1_000_000)?)
        });
        let version = seen
            .server
            .as_ref()
            .map_or_else(|| "S3".to_owned(), |server| format!("S3 ({server})"));
        BackendInfo { version, now }
    }
}

pub(super) async fn all(store: &S3SnapshotStore, scratch: &str) -> StoreResult<Vec<Inspection>> {
    // What the store answers to one question is no reason not to ask the others.
    Ok(vec![
        told("checksums-enforced", checksums(store, scratch).await),
        told("versioning", versioning(store).await),
        told("object-lock", object_lock(store).await),
        told("encryption", encryption(store).await),
    ])
}

fn told(name: &'static str, found: StoreResult<Inspection>) -> Inspection {
    found.unwrap_or_else(|error| Inspection {
        name,
        verdict: Verdict::Unknown,
        detail: error.report(),
    })
}

/// Sends a body that its checksum does not fit.
async fn checksums(store: &S3SnapshotStore, scratch: &str) -> StoreResult<Inspection> {
    let body = Bytes::from_static(b"what arrives");
    let request = store.put_request(scratch, body, Digest::of(b"what was sent"));
    let answer = request.customize().config_override(once()).send().await;
    let (verdict, detail) = match answer {
        Ok(_) => (
            Verdict::Warn,
            "a body that does not fit its SHA-256 was stored; damage shows on reading only"
                .to_owned(),
        ),
        Err(error) => match Answer::of(&error) {
            Some(answer) if answer.status == 400 => (
                Verdict::Pass,
                "a body that does not fit its SHA-256 is refused".to_owned(),
            ),
            Some(answer) if answer.status < 500 => (Verdict::Unknown, answer.to_string()),
            _ => return Err(store.call("write", scratch, Effect::Writes).failed(&error)),
        },
    };
    Ok(Inspection {
        name: "checksums-enforced",
        verdict,
        detail,
    })
}

async fn versioning(store: &S3SnapshotStore) -> StoreResult<Inspection> {
    let answer = store
        .client
        .get_bucket_versioning()
        .bucket(&*store.bucket)
        .send()
        .await;
    verdict(store, "versioning", answer, |answer| match answer.status {
        Some(BucketVersioningStatus::Enabled) => (
            Verdict::Pass,
            "on: what is overwritten or removed can be had back".to_owned(),
        ),
        _ => (
            Verdict::Warn,
            "off: an index that is overwritten or removed by mistake is gone".to_owned(),
        ),
    })
}

async fn object_lock(store: &S3SnapshotStore) -> StoreResult<Inspection> {
    let answer = store
        .client
        .get_object_lock_configuration()
        .bucket(&*store.bucket)
        .send()
        .await;
    if let Err(error) = &answer
        && let Some(answer) = Answer::of(error)
        && answer.code.as_deref() == Some("ObjectLockConfigurationNotFoundError")
    {
        return Ok(Inspection {
            name: "object-lock",
            verdict: Verdict::Info,
            detail: "off".to_owned(),
        });
    }
    verdict(store, "object-lock", answer, |answer| {
        let lock = answer.object_lock_configuration;
        let on =
            lock.is_some_and(|lock| lock.object_lock_enabled == Some(ObjectLockEnabled::Enabled));
        (Verdict::Info, if on { "on" } else { "off" }.to_owned())
    })
}

async fn encryption(store: &S3SnapshotStore) -> StoreResult<Inspection> {
    let answer = store
        .client
        .get_bucket_encryption()
        .bucket(&*store.bucket)
        .send()
        .await;
    if let Err(error) = &answer
        && let Some(answer) = Answer::of(error)
        && answer.code.as_deref() == Some("ServerSideEncryptionConfigurationNotFoundError")
    {
        return Ok(Inspection {
            name: "encryption",
            verdict: Verdict::Info,
            detail: "no default".to_owned(),
        });
    }
    verdict(store, "encryption", answer, |answer| {
        let rules = answer
            .server_side_encryption_configuration
            .map(|found| found.rules)
            .unwrap_or_default();
        let names: Vec<_> = rules
            .iter()
            .filter_map(|rule| {
                Some(
                    rule.apply_server_side_encryption_by_default
                        .as_ref()?
                        .sse_algorithm
                        .as_str(),
                )
            })
            .collect();
        (
            Verdict::Info,
            if names.is_empty() {
                "no default".to_owned()
            } else {
                names.join(", ")
            },
        )
    })
}

/// An answer as a verdict: the store may refuse to tell, or not know the question.
fn verdict<T, E>(
    store: &S3SnapshotStore,
    name: &'static str,
    answer: Result<T, SdkError<E, HttpResponse>>,
    judge: impl FnOnce(T) -> (Verdict, String),
) -> StoreResult<Inspection>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (verdict, detail) = match answer {
        Ok(answer) => judge(answer),
        // Some stores answer questions that they do not know with whatever comes to hand.
        Err(error)
            if error
                .raw_response()
                .is_some_and(|answer| answer.status().is_success()) =>
        {
            (Verdict::Unknown, "the answer makes no sense".to_owned())
        }
        Err(error) => match Answer::of(&error) {
            Some(answer) if answer.status < 500 || answer.status == 501 => {
                (Verdict::Unknown, answer.to_string())
            }
            _ => return Err(store.call("inspect", name, Effect::Reads).failed(&error)),
        },
    };
    Ok(Inspection {
        name,
        verdict,
        detail,
    })
}
