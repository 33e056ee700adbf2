//! A document behind a URL.

mod cache;
mod headers;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::{DEFAULT_LIMIT, document, lasting, template};
use crate::http::{self as web, Failure};
use crate::text::{EXCERPT, harmless};
use cache::{Cache, Cached};
use driftline_model::TenantId;
use driftline_model::drift::ActualState;
use driftline_net::misread::{Form, misread};
use driftline_ports::{ActualStateSource, ObserveRequest, SourceError};

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// How a document is fetched.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// A file with headers to send, one `Name: value` a line; empty lines and lines that begin with `#` are skipped. It is
    /// read for every observation, so that what is in it can be renewed.
    pub headers: Option<PathBuf>,
    /// The most bytes that a document may have. Documents that are kept for their ETags have as many together.
    pub limit: u64,
    /// How long an observation may take, from the look-up of the name to the end of the body, with all that is repeated.
    pub timeout: Duration,
    /// Whether link-local addresses and those of cloud metadata services may be asked.
    pub allow_link_local: bool,
    /// A file of CAs, in PEM, that are trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
}

impl Default for HttpOptions {
    /// No headers, [`DEFAULT_LIMIT`], 30 seconds, no link-local addresses.
    fn default() -> Self {
        Self {
            headers: None,
            limit: DEFAULT_LIMIT,
            timeout: Duration::from_secs(30),
            allow_link_local: false,
            ca_file: None,
        }
    }
}

/// A document behind an `http` or `https` URL.
///
/// It is asked for with GET. No connection, a broken one, 429, 502, 503 and 504 are tried again, as `Retry-After` says if the
/// server does. Redirects are followed on the same host and port only, or from `http` to `https` on the same host. The
/// ETag of a tenant's last document is sent along; 304 means that document, with the time that it states. Only 200 brings a
/// document. The environment's proxies are not used.
pub struct HttpSource {
    template: String,
    shown: String,
    options: HttpOptions,
    client: Client,
    cache: Cache,
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpSource({})", self.shown)
    }
}

enum Answer {
    Unchanged,
    New(Bytes, Option<(Url, HeaderValue)>),
}

impl HttpSource {
    /// The document at `url`, with `{tenant}` for the tenant in its path or query. A user and a password in it are sent as
    /// basic authentication, and shown nowhere. Nothing is sent yet; the file with headers is read, to see that it can be.
    pub fn new(url: &str, options: HttpOptions) -> Result<Self, SourceError> {
        let bad = |what: &str| lasting(format!("cannot use the URL of the actual state: {what}"));
        // Hosts know no case, tenants do: two of them would be shown the same.
        let authority = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '\\', '?', '#']).next();
        if authority.is_some_and(|authority| authority.contains(template::TENANT)) {
            return Err(bad("the tenant may stand in its path or query only"));
        }
        // The parser's error holds nothing of the text.
        if let Some(why) = misread(url, Form::Web) {
            return Err(bad(why));
        }
        let parsed = Url::parse(url).map_err(|error| bad(&error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad("http or https is expected"));
        }
        if let Some(path) = &options.headers {
            headers::read(path)?;
            headers::warn_if_public(path);
        }
        let client = web::client(
            USER_AGENT,
            options.allow_link_local,
            options.ca_file.as_deref(),
        )
        .map_err(|failure| bad(&failure.reason))?;
        Ok(Self {
            template: url.to_owned(),
            shown: without_secrets(&parsed),
            cache: Cache::new(options.limit),
            options,
            client,
        })
    }

    async fn headers(&self) -> Result<HeaderMap, SourceError> {
        let Some(path) = self.options.headers.clone() else {
            return Ok(HeaderMap::new());
        };
        tokio::task::spawn_blocking(move || headers::read(&path))
            .await
            .map_err(|error| lasting(format!("cannot read the file with headers: {error}")))?
    }

    /// One attempt: a request, and those that redirects ask for.
    async fn fetch(
        &self,
        url: &Url,
        headers: &HeaderMap,
        cached: Option<&Cached>,
    ) -> Result<Answer, Failure> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            if !self.options.allow_link_local {
                web::check_literal(&url)?;
            }
            let mut request = self.client.get(url.clone()).headers(headers.clone());
            // An ETag means nothing elsewhere.
            let known = cached.filter(|cached| cached.url == url);
            if let Some(cached) = known {
                request = request.header(IF_NONE_MATCH, cached.etag.clone());
            }
            let answer = request.send().await.map_err(Failure::of)?;
            match answer.status() {
                StatusCode::OK => {
                    let etag = answer.headers().get(ETAG).cloned();
                    let document = web::read(answer, self.options.limit).await?;
                    return Ok(Answer::New(document, etag.map(|etag| (url, etag))));
                }
                StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Answer::Unchanged),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = redirected(&url, &answer)?,
                status => {
                    let transient = matches!(status.as_u16(), 429 | 502 | 503 | 504);
                    return Err(Failure::answered(status, answer.headers(), transient));
                }
            }
        }
        Err(Failure::new(format!(
            "it redirects more than {REDIRECTS} times"
        )))
    }

    async fn document(&self, tenant: &TenantId) -> Result<Fetched, SourceError> {
        let failed = |failure: Failure| SourceError {
            message: format!("cannot read {}: {}", self.shown, failure.reason),
            retryable: failure.transient
                || failure
                    .status
                    .is_some_and(|status| status.is_server_error() || status.as_u16() == 408),
        };
        let url = Url::parse(&template::fill(&self.template, tenant))
            .map_err(|error| failed(Failure::new(error.to_string())))?;
        let headers = self.headers().await?;
        let cached = self.cache.get(tenant);
        let fetch = || self.fetch(&url, &headers, cached.as_ref());
        let answer = web::repeat(self.options.timeout, fetch)
            .await
            .map_err(failed)?;
        match (answer, cached) {
            (Answer::New(document, tag), _) => Ok(Fetched {
                keep: tag.map(|(url, etag)| Cached {
                    url,
                    etag,
                    document: document.clone(),
                }),
                document,
            }),
            (Answer::Unchanged, Some(cached)) => Ok(Fetched {
                document: cached.document.clone(),
                keep: Some(cached),
            }),
            // Only a known ETag makes 304 an answer.
            (Answer::Unchanged, None) => Err(failed(Failure::new("it answered 304 unasked"))),
        }
    }
}

struct Fetched {
    document: Bytes,
    keep: Option<Cached>,
}

#[async_trait]
impl ActualStateSource for HttpSource {
    fn name(&self) -> String {
        self.shown.clone()
    }

    async fn observe(&self, request: ObserveRequest<'_>) -> Result<ActualState, SourceError> {
        let fetched = self.document(request.tenant).await?;
        let state = document::parse(&self.shown, fetched.document).await?;
        // What is no document is asked for again as if it had no ETag.
        self.cache.set(request.tenant, fetched.keep);
        Ok(state)
    }
}

/// How requests introduce themselves.
const USER_AGENT: &str = concat!("driftline/", env!("CARGO_PKG_VERSION"));

/// Where a redirect leads, if it may: headers and credentials go along.
fn redirected(from: &Url, answer: &Response) -> Result<Url, Failure> {
    let refused = |what: &str| Failure::new(format!("it redirects {what}"));
    let location = answer.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let mut to = location
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| refused("to no URL"))?;
    let same_port = from.port_or_known_default() == to.port_or_known_default();
    let allowed = match (from.scheme(), to.scheme()) {
        (from, to) if from == to => same_port,
        ("http", "https") => true,
        _ => return Err(refused("from https to something else")),
    };
    if from.host() != to.host() || !allowed {
        return Err(refused("to another host or port, which is not followed"));
    }
    let kept = to
        .set_username(from.username())
        .and_then(|()| to.set_password(from.password()));
    kept.map_err(|()| refused("to no URL"))?;
    to.set_fragment(None);
    Ok(to)
}

/// A URL for messages. A query may hold a key.
fn without_secrets(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    let path = url.path().replace("%7Btenant%7D", template::TENANT);
    let query = if url.query().is_some() { "?…" } else { "" };
    let shown = format!(
        "{}://{host}{}{path}{query}",
        url.scheme(),
        port.unwrap_or_default()
    );
    harmless(&shown, EXCERPT)
}
