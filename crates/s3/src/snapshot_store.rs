//! The port on S3.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Config;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_sdk_s3::types::ServerSideEncryption;
use bytes::{Bytes, BytesMut};
use tracing::instrument;

use super::errors::{Answer, Call, Effect};
use super::inspect::Headers;
use super::options::{Encryption, S3Options, parse_url};
use super::{connect, inspect};
use driftline_model::Digest;
use driftline_ports::{
    BackendInfo, ETag, Fault, Folders, Inspection, Listed, Listing, Object, Oversize, Precondition,
    PutOutcome, SnapshotStore, StoreError, StoreResult,
};

/// How often a GET whose body breaks off is begun.
const BODY_ATTEMPTS: u32 = 3;

/// How many listings under way are remembered.
const LISTINGS: usize = 64;

/// A bucket on S3, seen from a prefix; see the [module](super). Clones share the connections.
#[derive(Clone)]
pub struct S3SnapshotStore {
    pub(super) client: Client,
    pub(super) bucket: Arc<str>,
    prefix: Arc<str>,
    encryption: Option<Encryption>,
    body_timeout: Duration,
    under_way: Arc<Mutex<VecDeque<UnderWay>>>,
}

/// A listing that goes on: with the store's own word for where it is. The key alone would do where keys are sorted by their
/// bytes, and some stores sort otherwise.
struct UnderWay {
    prefix: String,
    last: String,
    token: String,
}

impl fmt::Debug for S3SnapshotStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3SnapshotStore({})", self.url())
    }
}

impl S3SnapshotStore {
    /// The bucket at `url`, `s3://BUCKET` or `s3://BUCKET/PREFIX`. Nothing is sent to it yet.
    pub async fn connect(url: &str, options: &S3Options) -> StoreResult<Self> {
        let (bucket, prefix) = parse_url(url)?;
        Ok(Self {
            client: connect::client(options).await?,
            bucket: bucket.into(),
            prefix: prefix.into(),
            encryption: options.encryption.clone(),
            body_timeout: options.request_timeout,
            under_way: Arc::default(),
        })
    }

    /// Where the store said that the listing goes on after `last`.
    fn go_on(&self, prefix: &str, last: &str) -> Option<String> {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_it = |listing: &UnderWay| listing.last == last && listing.prefix == prefix;
        let place = under_way.iter().position(is_it)?;
        under_way.remove(place).map(|listing| listing.token)
    }

    fn remember(&self, listing: UnderWay) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if under_way.len() == LISTINGS {
            under_way.pop_front();
        }
        under_way.push_back(listing);
    }

    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(super) fn call<'a>(
        &'a self,
        verb: &'static str,
        what: &'a str,
        effect: Effect,
    ) -> Call<'a> {
        Call {
            verb,
            what,
            bucket: &self.bucket,
            effect,
        }
    }

    /// A PUT without its condition.
    pub(super) fn put_request(
        &self,
        key: &str,
        bytes: Bytes,
        digest: Digest,
    ) -> PutObjectFluentBuilder {
        let request = self
            .client
            .put_object()
            .bucket(&*self.bucket)
            .key(self.full(key))
            .content_type("application/json")
            .checksum_sha256(aws_smithy_types::base64::encode(digest.as_bytes()))
            .body(ByteStream::from(bytes));
        match &self.encryption {
            None => request,
            Some(Encryption::SseS3) => request.server_side_encryption(ServerSideEncryption::Aes256),
            Some(Encryption::Kms(key)) => request
                .server_side_encryption(ServerSideEncryption::AwsKms)
                .ssekms_key_id(key),
        }
    }

    /// One GET with its body; `Err(None)` when the body broke off.
    async fn get_once(&self, key: &str, most: u64) -> Result<Option<Object>, Option<StoreError>> {
        let call = self.call("read", key, Effect::Reads);
        let request = self
            .client
            .get_object()
            .bucket(&*self.bucket)
            .key(self.full(key));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if Answer::of(&error).is_some_and(|answer| answer.is_no_object()) => {
                return Ok(None);
            }
            Err(error) => return Err(Some(call.failed(&error))),
        };
        let Some(etag) = answer.e_tag.as_deref().map(unquoted) else {
            let cause = "the answer has no ETag".to_owned();
            return Err(Some(call.error(
                Fault::Refused,
                Some("this store cannot compare and set"),
                cause,
            )));
        };
        let length = answer
            .content_length
            .and_then(|length| u64::try_from(length).ok());
        let too_large = |size| {
            Some(StoreError::too_large(Oversize {
                key: key.to_owned(),
                size,
                most,
                etag: Some(etag.clone()),
            }))
        };
        if length.is_some_and(|length| length > most) {
            return Err(too_large(length));
        }
        let body =
            tokio::time::timeout(self.body_timeout, collect(answer.body, length, most)).await;
        let Some(bytes) = body.map_err(|_| None)?.map_err(|_| None)? else {
            return Err(too_large(None));
        };
        if length.is_some_and(|length| length != bytes.len() as u64) {
            return Err(None);
        }
        Ok(Some(Object { bytes, etag }))
    }
}

/// The whole of a body; `None` as soon as it has more than `most` bytes, whatever the answer's headers say.
async fn collect(
    mut body: ByteStream,
    length: Option<u64>,
    most: u64,
) -> Result<Option<Bytes>, ByteStreamError> {
    let length = length.and_then(|length| usize::try_from(length).ok());
    let mut bytes = BytesMut::with_capacity(length.unwrap_or_default());
    while let Some(part) = body.try_next().await? {
        if bytes.len() as u64 + part.len() as u64 > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Some(bytes.freeze()))
}

/// An ETag as it is kept and sent: see the [module](super).
fn unquoted(etag: &str) -> ETag {
    ETag(etag.trim_matches('"').to_owned())
}

/// Requests that change something are sent once.
pub(super) fn once() -> aws_sdk_s3::config::Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

#[async_trait]
impl SnapshotStore for S3SnapshotStore {
    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    #[instrument(name = "s3.get", level = "debug", skip(self))]
    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        for _ in 0..BODY_ATTEMPTS {
            match self.get_once(key, most).await {
                Ok(object) => return Ok(object),
                Err(Some(error)) => return Err(error),
                Err(None) => tracing::debug!("the body broke off"),
            }
        }
        Err(self
            .call("read", key, Effect::Reads)
            .absurd("its body breaks off, or comes too slowly"))
    }

    #[instrument(name = "s3.put", level = "debug", skip(self, bytes), fields(bytes = bytes.len()))]
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        let call = self.call("write", key, Effect::Writes);
        let digest = Digest::of(&bytes);
        let request = self.put_request(key, bytes, digest);
        let request = match &condition {
            Precondition::Absent => request.if_none_match("*"),
            Precondition::Matches(etag) => request.if_match(&etag.0),
        };
        let error = match request.customize().config_override(once()).send().await {
            Ok(answer) => {
                let etag = answer.e_tag.as_deref().map(unquoted);
                return etag
                    .map(PutOutcome::Written)
                    .ok_or_else(|| call.absurd("the answer has no ETag"));
            }
            Err(error) => error,
        };
        match Answer::of(&error) {
            Some(answer) if answer.status == 412 => Ok(PutOutcome::PreconditionFailed),
            Some(answer) if answer.status == 409 => Ok(PutOutcome::Conflict),
            // An object that is to be replaced, and is not there.
            Some(answer) if answer.is_no_object() && condition != Precondition::Absent => {
                Ok(PutOutcome::PreconditionFailed)
            }
            _ => Err(call.failed(&error)),
        }
    }

    #[instrument(name = "s3.list", level = "debug", skip(self))]
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        let call = self.call("list", prefix, Effect::Reads);
        let request = self
            .client
            .list_objects_v2()
            .bucket(&*self.bucket)
            .prefix(self.full(prefix))
            .max_keys(i32::try_from(limit.clamp(1, 1000)).unwrap_or(1000));
        let token = after.and_then(|after| self.go_on(prefix, after));
        let request = match token {
            Some(token) => request.continuation_token(token),
            None => request.set_start_after(after.map(|after| self.full(after))),
        };
        let answer = request.send().await.map_err(|error| call.failed(&error))?;
        let more = answer.is_truncated.unwrap_or(false);
        let mut objects = Vec::new();
        for object in answer.contents.unwrap_or_default() {
            let key = object
                .key
                .as_deref()
                .and_then(|key| key.strip_prefix(&*self.prefix));
            let size = object.size.and_then(|size| u64::try_from(size).ok());
            let (Some(key), Some(size)) = (key, size) else {
                return Err(call
                    .absurd("the listing names an object outside the prefix, or without a size"));
            };
            objects.push(Listed {
                key: key.to_owned(),
                size,
            });
        }
        if let (true, Some(last), Some(token)) =
            (more, objects.last(), answer.next_continuation_token)
        {
            self.remember(UnderWay {
                prefix: prefix.to_owned(),
                last: last.key.clone(),
                token,
            });
        }
        Ok(Listing {
            objects,
            more,
            ..Listing::default()
        })
    }

    #[instrument(name = "s3.folders", level = "debug", skip(self))]
    async fn folders(&self, from: Option<&str>) -> StoreResult<Folders> {
        let call = self.call("list the folders of", &self.prefix, Effect::Reads);
        let request = self
            .client
            .list_objects_v2()
            .bucket(&*self.bucket)
            .prefix(&*self.prefix)
            .delimiter("/")
            .set_continuation_token(from.map(str::to_owned));
        let answer = request.send().await.map_err(|error| call.failed(&error))?;
        let folders = answer.common_prefixes.unwrap_or_default();
        let names = folders.iter().filter_map(|folder| {
            let name = folder.prefix.as_deref()?.strip_prefix(&*self.prefix)?;
            Some(name.trim_end_matches('/').to_owned())
        });
        let names = names.collect();
        let next = match (answer.is_truncated, answer.next_continuation_token) {
            (Some(true), None) => return Err(call.absurd("the answer does not say how to go on")),
            (Some(true), next) => next,
            _ => None,
        };
        Ok(Folders { names, next })
    }

    #[instrument(name = "s3.delete", level = "debug", skip(self))]
    async fn delete(&self, key: &str) -> StoreResult<()> {
        let request = self
            .client
            .delete_object()
            .bucket(&*self.bucket)
            .key(self.full(key));
        match request.customize().config_override(once()).send().await {
            Ok(_) => Ok(()),
            Err(error) if Answer::of(&error).is_some_and(|answer| answer.is_no_object()) => Ok(()),
            Err(error) => Err(self.call("remove", key, Effect::Writes).failed(&error)),
        }
    }

    #[instrument(name = "s3.ping", level = "debug", skip(self))]
    async fn ping(&self) -> StoreResult<BackendInfo> {
        let headers = Headers::default();
        let request = self.client.head_bucket().bucket(&*self.bucket);
        let answer = request
            .customize()
            .interceptor(headers.clone())
            .send()
            .await;
        answer.map_err(|error| {
            self.call("reach", &self.prefix, Effect::Reads)
                .failed(&error)
        })?;
        Ok(headers.backend())
    }

    #[instrument(name = "s3.inspect", level = "debug", skip(self))]
    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        inspect::all(self, scratch).await
    }
}
