//! Events, delivered with POST.
//!
//! Headers of a delivery: `content-type: application/json`; `driftline-event`, the event's id, the same each time it is
//! delivered; `driftline-timestamp`, when this was sent, in seconds since 1970; and, if there is a secret,
//! `driftline-signature: v1=<hex>`, the HMAC-SHA256 of `<timestamp>.<body>` under it, which [`verify`] checks. Beside them go
//! those of the [Standard Webhooks](https://www.standardwebhooks.com), for which there are libraries: `webhook-id`, the same
//! id; `webhook-timestamp`, the same time; and, if there is a secret, `webhook-signature: v1,<base64>`, the HMAC-SHA256 of
//! `<id>.<timestamp>.<body>`. A secret written as `whsec_<base64>` is decoded for that one; any other is used byte for byte.
//!
//! One delivery is one request: whoever calls it tries again. Any 2xx means delivered. 408, 425, 429, every 5xx, and no
//! answer at all may pass; everything else stays as it is, redirects among it, which are not followed. The URL may be a
//! secret in itself, so only its host is ever shown.

mod signature;
mod slack;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use url::Url;

use crate::http::{self as web, Failure};
use driftline_net::misread::{Form, misread};
use driftline_ports::{Clock, DeliveryError, NewEvent, Notifier};

pub use signature::{Secret, verify};

/// What is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// The event as it is, `driftline.event.v1`.
    #[default]
    Event,
    /// A text in a form that Slack's incoming webhooks take, and others that imitate them.
    Slack,
}

/// How events are delivered.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// What deliveries are signed with; `None` leaves them unsigned.
    pub secret: Option<Secret>,
    /// What is sent.
    pub format: Format,
    /// How long a delivery may take.
    pub timeout: Duration,
    /// Whether link-local addresses and those of cloud metadata services may be told.
    pub allow_link_local: bool,
    /// A file of CAs, in PEM, that are trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
}

impl Default for WebhookOptions {
    /// Unsigned events, ten seconds, no link-local addresses.
    fn default() -> Self {
        Self {
            secret: None,
            format: Format::Event,
            timeout: Duration::from_secs(10),
            allow_link_local: false,
            ca_file: None,
        }
    }
}

/// A receiver behind a URL; see the [module](self).
pub struct WebhookNotifier {
    url: Url,
    options: WebhookOptions,
    clock: Arc<dyn Clock>,
    client: Client,
}

impl fmt::Debug for WebhookNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookNotifier({})", self.host())
    }
}

impl WebhookNotifier {
    /// The receiver at `url`, `http` or `https`. Nothing is sent yet.
    pub fn new(
        url: &str,
        options: WebhookOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DeliveryError> {
        let bad = |what: &str| lasting(format!("cannot use the URL of a webhook: {what}"));
        if let Some(why) = misread(url, Form::Web) {
            return Err(bad(why));
        }
        let url = Url::parse(url.trim()).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("http or https is expected"));
        }
        if !options.allow_link_local {
            web::check_literal(&url).map_err(|failure| bad(&failure.reason))?;
        }
        let client = web::client(
            USER_AGENT,
            options.allow_link_local,
            options.ca_file.as_deref(),
        )
        .map_err(|failure| bad(&failure.reason))?;
        Ok(Self {
            url,
            options,
            clock,
            client,
        })
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    async fn post(&self, event: &NewEvent) -> Result<(), Failure> {
        let body = match self.options.format {
            Format::Event => event.body.clone(),
            Format::Slack => slack::body(event),
        };
        let timestamp = self
            .clock
            .now()
            .as_micros()
            .div_euclid(1_000_000)
            .to_string();
        let id = event.id.to_string();
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("driftline-event", &id)
            .header("driftline-timestamp", &timestamp)
            .header("webhook-id", &id)
            .header("webhook-timestamp", &timestamp);
        if let Some(secret) = &self.options.secret {
            let standard = secret.sign_standard(&id, &timestamp, &body)?;
            request = request
                .header("driftline-signature", secret.sign(&timestamp, &body)?)
                .header("webhook-signature", standard);
        }
        let answer = request.body(body).send().await.map_err(Failure::of)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let transient = matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
        Err(Failure::answered(status, answer.headers(), transient))
    }
}

#[async_trait]
impl Notifier for WebhookNotifier {
    async fn deliver(&self, event: &NewEvent) -> Result<(), DeliveryError> {
        let timeout = self.options.timeout;
        let delivered = tokio::time::timeout(timeout, self.post(event)).await;
        let delivered = delivered.unwrap_or_else(|_| Err(Failure::late(timeout)));
        delivered.map_err(|failure| DeliveryError {
            message: format!("cannot deliver to {}: {}", self.host(), failure.reason),
            retryable: failure.transient,
            retry_after: failure.retry_after,
        })
    }
}

/// How deliveries introduce themselves.
const USER_AGENT: &str = concat!("driftline/", env!("CARGO_PKG_VERSION"));

fn lasting(message: String) -> DeliveryError {
    DeliveryError {
        message,
        retryable: false,
        retry_after: None,
    }
}
