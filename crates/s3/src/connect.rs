//! A client from options and the environment.

use std::path::PathBuf;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

use super::options::{S3Options, wants_path_style};
use driftline_net::misread::{Form, misread};
use driftline_net::tls::certificates;
use driftline_ports::{Fault, Side, StoreError, StoreResult};

/// Makes a client. Nothing is sent to the store yet.
pub(super) async fn client(options: &S3Options) -> StoreResult<Client> {
    let endpoint = options
        .endpoint
        .clone()
        .or_else(|| from_environment("AWS_ENDPOINT_URL_S3"));
    let tls = trust(options)?;
    let config = load(
        options,
        tls,
        endpoint.is_some() || from_environment("AWS_ENDPOINT_URL").is_some(),
    )
    .await;
    if config.region().is_none() {
        let message = "no region for the bucket: set AWS_REGION";
        return Err(StoreError::new(Side::Bucket, Fault::Refused, message));
    }
    let mut builder = Builder::from(&config)
        // Trailing checksums, which the SDK adds by default, are refused by some stores; ours is in a header.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        // Every byte that is read is checked against a digest from elsewhere.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &endpoint {
        let is_plain = misread(endpoint, Form::Web).is_none();
        let valid = url::Url::parse(endpoint).is_ok_and(|url| {
            is_plain
                && matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
        });
        if !valid {
            let message = "the endpoint must be an http or https URL without credentials";
            return Err(StoreError::new(Side::Bucket, Fault::Refused, message));
        }
        builder = builder.endpoint_url(endpoint);
    }
    let endpoint = endpoint.as_deref().or_else(|| config.endpoint_url());
    let path_style = options
        .path_style
        .unwrap_or_else(|| endpoint.is_some_and(wants_path_style));
    Ok(Client::from_conf(
        builder.force_path_style(path_style).build(),
    ))
}

/// Trusts what the machine trusts, and what the operator does.
fn trust(options: &S3Options) -> StoreResult<TlsContext> {
    let refused = |message: String| StoreError::new(Side::Bucket, Fault::Refused, message);
    let named = options
        .ca_file
        .clone()
        .or_else(|| from_environment("AWS_CA_BUNDLE").map(PathBuf::from));
    let mut store = TrustStore::default();
    if let Some(path) = named {
        let (text, _) = certificates(&path).map_err(refused)?;
        store.add_pem_certificate(text);
    }
    let context = TlsContext::builder().with_trust_store(store).build();
    context.map_err(|error| refused(format!("TLS cannot be set up: {error}")))
}

async fn load(options: &S3Options, tls: TlsContext, has_endpoint: bool) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(options.connect_timeout)
        .operation_attempt_timeout(options.request_timeout)
        .operation_timeout(options.operation_timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        // The time-outs above bound what this would watch.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    } else if has_endpoint {
        // Most other stores do not care. The default chain would ask instance metadata that is not there, slowly.
        let named = match EnvironmentVariableRegionProvider::new().region().await {
            None => ProfileFileRegionProvider::new().region().await,
            some => some,
        };
        loader = loader.region(named.unwrap_or(Region::from_static("us-east-1")));
    }
    if let Some(given) = &options.credentials {
        loader = loader.credentials_provider(Credentials::new(
            given.access_key_id.clone(),
            given.secret_access_key.clone(),
            given.session_token.clone(),
            None,
            "driftline",
        ));
    }
    loader.load().await
}

fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
