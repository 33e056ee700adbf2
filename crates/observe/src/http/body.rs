//! Bodies of bounded size.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use super::Failure;

/// The whole body, if it has at most `limit` bytes. What arrives is counted: the length that was announced, if there is one,
/// only ends it sooner.
pub(crate) async fn read(mut answer: Response, limit: u64) -> Result<Bytes, Failure> {
    let too_big = || Failure::new(format!("the answer is larger than {limit} bytes"));
    if answer.content_length().is_some_and(|length| length > limit) {
        return Err(too_big());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(Failure::of)? {
        if (body.len() as u64).saturating_add(chunk.len() as u64) > limit {
            return Err(too_big());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
