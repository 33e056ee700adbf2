//! How to reach a bucket.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use driftline_ports::{Fault, Side, StoreError, StoreResult};

/// How to reach a bucket. What is not given comes from the standard `AWS_*` variables, profiles and instance metadata.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The URL of another store than Amazon's.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` when neither this nor the environment names one and there is an endpoint.
    pub region: Option<String>,
    /// Credentials; for tests, and programs that embed driftline.
    pub credentials: Option<StaticCredentials>,
    /// Whether the bucket's name goes in the path rather than in the host. By default it does when there is an endpoint
    /// (here, in `AWS_ENDPOINT_URL_S3` or in `AWS_ENDPOINT_URL`) whose host is not Amazon's.
    pub path_style: Option<bool>,
    /// How objects are to be encrypted; by default the bucket decides.
    pub encryption: Option<Encryption>,
    /// A file of CAs, in PEM, that are trusted beside the machine's; when it is not given, the one that `AWS_CA_BUNDLE` names.
    pub ca_file: Option<PathBuf>,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a request may take, from sending it to the end of the answer.
    pub request_timeout: Duration,
    /// How long a call may take, with its retries.
    pub operation_timeout: Duration,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            credentials: None,
            path_style: None,
            encryption: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(20),
            operation_timeout: Duration::from_mins(1),
        }
    }
}

/// A key and its secret.
#[derive(Clone)]
pub struct StaticCredentials {
    /// The access key's id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticCredentials(…)")
    }
}

/// Encryption at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With keys that the store keeps (`AES256`).
    SseS3,
    /// With a key of the key management service: its id, ARN or alias.
    Kms(String),
}

/// A bucket's name and what stands before every key: empty, or ending with a slash.
pub(super) fn parse_url(url: &str) -> StoreResult<(String, String)> {
    // The text is not shown: someone may have put credentials into it.
    let bad = |what: &str| {
        let message = format!("{what}; a bucket is named s3://BUCKET or s3://BUCKET/PREFIX");
        StoreError::new(Side::Bucket, Fault::Refused, message)
    };
    let rest = url
        .strip_prefix("s3://")
        .ok_or_else(|| bad("this is no S3 URL"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty() || !bucket.chars().all(in_name) {
        return Err(bad("the bucket's name is not valid"));
    }
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        return Ok((bucket.to_owned(), String::new()));
    }
    let in_prefix = |c: char| {
        in_name(c)
            || matches!(
                c,
                '!' | '*' | '\'' | '(' | ')' | '=' | '+' | ':' | ',' | '~'
            )
    };
    let valid =
        |part: &str| !part.is_empty() && part.chars().all(in_prefix) && !matches!(part, "." | "..");
    if !prefix.split('/').all(valid) {
        return Err(bad(
            "the bucket's prefix has an empty part or an unusual character",
        ));
    }
    Ok((bucket.to_owned(), format!("{prefix}/")))
}

/// Whether the bucket's name goes in the path, when nobody says.
pub(super) fn wants_path_style(endpoint: &str) -> bool {
    const AMAZON: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"];
    let url = url::Url::parse(endpoint).ok();
    let host = url
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or_default();
    !AMAZON.iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_with_a_slash_or_is_empty() {
        let parsed = |url| parse_url(url).unwrap();
        let pair = |bucket: &str, prefix: &str| (bucket.to_owned(), prefix.to_owned());
        assert_eq!(parsed("s3://b"), pair("b", ""));
        assert_eq!(parsed("s3://b/"), pair("b", ""));
        assert_eq!(parsed("s3://b/p"), pair("b", "p/"));
        assert_eq!(parsed("s3://b.c-d/p/q/"), pair("b.c-d", "p/q/"));
    }

    #[test]
    fn other_urls_are_refused_without_being_repeated() {
        for url in [
            "",
            "http://b/p",
            "s3://",
            "s3:///p",
            "s3://key:secret@b/p",
            "s3://b//p",
            "s3://b/p?secret",
            "s3://b/../p",
        ] {
            let error = parse_url(url).unwrap_err();
            assert_eq!(error.fault(), Fault::Refused);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_amazon_finds_buckets_by_host_name() {
        assert!(!wants_path_style("https://s3.eu-west-1.amazonaws.com"));
        assert!(!wants_path_style("https://s3.cn-north-1.amazonaws.com.cn"));
        assert!(wants_path_style("http://127.0.0.1:4566"));
        assert!(wants_path_style("https://amazonaws.example"));
    }

    #[test]
    fn credentials_are_not_shown() {
        let credentials = StaticCredentials {
            access_key_id: "id".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: Some("secret".to_owned()),
        };
        let options = S3Options {
            credentials: Some(credentials),
            ..S3Options::default()
        };
        assert!(!format!("{options:?}").contains("secret"));
    }
}
