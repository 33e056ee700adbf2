//! What everything that speaks HTTP shares: a client that goes only where it may, bounded bodies, and repeated reads.
//!
//! The client follows no redirect and uses no proxy: a proxy would look up the names itself, and connect to whatever they
//! mean to it. Nothing here puts a URL into a message.

mod addresses;
mod body;
mod failure;
mod repeat;

use std::path::Path;
use std::sync::Arc;

use reqwest::{Client, redirect, retry};
use rustls::{ClientConfig, RootCertStore};

use addresses::Guard;
pub(crate) use addresses::check_literal;
pub(crate) use body::read;
pub(crate) use failure::{Failure, seconds, wait};
pub(crate) use repeat::repeat;

/// A client. With `allow_link_local` it may also connect to link-local and metadata addresses. The CAs in `ca_file` are
/// trusted as well.
pub(crate) fn client(
    user_agent: &str,
    allow_link_local: bool,
    ca_file: Option<&Path>,
) -> Result<Client, Failure> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls(ca_file)?)
        .user_agent(user_agent)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy();
    if !allow_link_local {
        builder = builder.dns_resolver(Guard::system());
    }
    builder
        .build()
        .map_err(|error| Failure::of(error).lasting())
}

/// Trusts what the machine trusts, and what the operator does. A machine without certificates can still speak plain HTTP.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of this machine cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = ca_file {
        let (_, own) = driftline_net::tls::certificates(path).map_err(Failure::new)?;
        roots.add_parsable_certificates(own);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
