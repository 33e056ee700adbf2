//! Requests to Discord's REST API: <https://docs.discord.com/developers/reference>.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use super::limits::Limits;
use crate::http::{self as web, Failure};
use crate::text::{EXCERPT, harmless};
use driftline_model::json;

/// The largest page of members.
const PAGE: usize = 1000;

/// An error's body is short.
const ERROR_LIMIT: u64 = 64 * 1024;

/// The API with a bot's token.
pub(super) struct Api {
    client: Client,
    base: String,
    headers: HeaderMap,
    limits: Limits,
}

/// The body of an error; of a 429 it says how long to wait, and whether that goes for all routes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    message: String,
    code: i64,
    retry_after: Option<f64>,
    global: bool,
}

/// A listing, and how many bytes it took.
struct Page {
    objects: Vec<Map<String, Value>>,
    bytes: u64,
}

impl Api {
    pub(super) fn new(client: Client, base: &Url, headers: HeaderMap) -> Self {
        Self {
            client,
            base: base.as_str().trim_end_matches('/').to_owned(),
            headers,
            limits: Limits::default(),
        }
    }

    /// The objects that a route lists.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: u64,
        timeout: Duration,
    ) -> Result<Vec<Map<String, Value>>, Failure> {
        let page = self.page(path, query, limit, timeout).await?;
        Ok(page.objects)
    }

    /// The objects that a route lists in pages, which `after` and `limit` choose. Pages end with one that is not full.
    pub(super) async fn pages(
        &self,
        path: &str,
        id: impl Fn(&Map<String, Value>) -> Option<String>,
        limit: u64,
        timeout: Duration,
    ) -> Result<Vec<Map<String, Value>>, Failure> {
        let begun = Instant::now();
        let size = PAGE.to_string();
        let (mut objects, mut left, mut after) = (Vec::new(), limit, 0);
        loop {
            let start = after.to_string();
            let query = [("limit", &*size), ("after", &*start)];
            let rest = timeout.saturating_sub(begun.elapsed());
            let page = self.page(path, &query, left, rest).await?;
            left = left.saturating_sub(page.bytes);
            let full = page.objects.len() >= PAGE;
            let ids = page.objects.iter().map(|object| id(object)?.parse().ok());
            let last: Option<u64> = ids.max().unwrap_or(Some(after));
            objects.extend(page.objects);
            if !full {
                return Ok(objects);
            }
            after = last
                .filter(|last| *last > after)
                .ok_or_else(|| Failure::new("the pages of the listing do not go on"))?;
        }
    }

    async fn page(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: u64,
        timeout: Duration,
    ) -> Result<Page, Failure> {
        let invalid = |error: url::ParseError| Failure::new(error.to_string());
        let url = format!("{}/{path}", self.base);
        let url = if query.is_empty() {
            Url::parse(&url).map_err(invalid)?
        } else {
            Url::parse_with_params(&url, query).map_err(invalid)?
        };
        web::repeat(timeout, || self.once(path, &url, limit, timeout)).await
    }

    async fn once(
        &self,
        path: &str,
        url: &Url,
        limit: u64,
        timeout: Duration,
    ) -> Result<Page, Failure> {
        self.limits.wait(path, timeout).await?;
        let request = self.client.get(url.clone()).headers(self.headers.clone());
        let answer = request.send().await.map_err(Failure::of)?;
        self.limits.learn(path, answer.headers());
        if answer.status() != StatusCode::OK {
            return Err(self.failed(path, answer).await);
        }
        let body = web::read(answer, limit).await?;
        let objects = serde_json::from_slice(&body).map_err(|error| {
            let error = harmless(&json::explain(&body, &error), EXCERPT);
            Failure::new(format!("the answer is no list of objects: {error}"))
        })?;
        Ok(Page {
            objects,
            bytes: body.len() as u64,
        })
    }

    /// What an answer that is an error means.
    async fn failed(&self, path: &str, answer: Response) -> Failure {
        let status = answer.status();
        let transient = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        let mut failure = Failure::answered(status, answer.headers(), transient);
        // What stands in front of the API answers in other forms.
        let body = web::read(answer, ERROR_LIMIT).await.unwrap_or_default();
        let body: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
        if !body.message.is_empty() {
            let message = harmless(&body.message, EXCERPT);
            failure.reason = format!("{}: {message} (code {})", failure.reason, body.code);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            // The header is rounded up to whole seconds.
            let asked = body.retry_after.and_then(web::wait);
            failure.retry_after = asked.or(failure.retry_after);
            if let Some(wait) = failure.retry_after {
                self.limits.refused(path, wait, body.global);
            }
        }
        failure
    }
}
