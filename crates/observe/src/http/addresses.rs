//! Where a client may connect to.
//!
//! Link-local addresses, and those under which clouds hand out credentials, are refused, so that a URL from a configuration
//! (or a name that somebody else's DNS server answers for) cannot be used to read them. The check is made on what a name
//! resolves to, in the very look-up that the connection uses: a second answer cannot differ.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// An address that is not connected to.
#[derive(Debug)]
pub(super) struct Refused(IpAddr);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address) = self;
        write!(
            f,
            "{address} is a link-local or metadata address, which is not allowed"
        )
    }
}

impl std::error::Error for Refused {}

/// Whether an address is link-local or a cloud's metadata service.
fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_refused_v4(address),
        IpAddr::V6(address) => {
            is_refused_v6(address) || embedded(address).is_some_and(is_refused_v4)
        }
    }
}

fn is_refused_v4(address: Ipv4Addr) -> bool {
    const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    const ORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 192);
    address.is_link_local() || [ALIBABA, AZURE, ORACLE].contains(&address)
}

fn is_refused_v6(address: Ipv6Addr) -> bool {
    const GOOGLE: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);
    // Amazon keeps several services there; one of them hands out credentials.
    let is_amazon = matches!(address.segments(), [0xfd00, 0xec2, ..]);
    address.is_unicast_link_local() || is_amazon || address == GOOGLE
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let join = |at: usize| {
        let [high, low] = [parts[at], parts[at + 1]].map(u32::from);
        Ipv4Addr::from((high << 16) | low)
    };
    match parts {
        [0x2002, ..] => Some(join(1)),
        [0x64, 0xff9b, ..] | [0, 0, 0, 0, ..] => Some(join(6)),
        _ => None,
    }
}

/// Refuses a URL whose host is such an address itself: no name is looked up for it.
pub(crate) fn check_literal(url: &Url) -> Result<(), super::Failure> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    if is_refused(address) {
        return Err(super::Failure::new(Refused(address).to_string()));
    }
    Ok(())
}

/// Looks names up and leaves out what is refused.
pub(super) struct Guard {
    inner: Arc<dyn Resolve>,
}

impl Guard {
    pub(super) fn system() -> Self {
        Self {
            inner: Arc::new(System),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.inner.resolve(name);
        Box::pin(async move {
            let (refused, allowed): (Vec<_>, Vec<_>) =
                found.await?.partition(|address| is_refused(address.ip()));
            match refused.first() {
                Some(address) if allowed.is_empty() => Err(Refused(address.ip()).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// The machine's resolver.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Port 0 is replaced by the URL's.
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    struct Answers(Vec<&'static str>);

    impl Resolve for Answers {
        fn resolve(&self, _: Name) -> Resolving {
            let found: Vec<SocketAddr> = self
                .0
                .iter()
                .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0))
                .collect();
            Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    #[test]
    fn a_url_is_refused_however_it_writes_the_address() {
        for host in [
            "169.254.169.254",
            "169.254.169.254.",
            "2852039166",
            "0xa9.0xfe.0xa9.0xfe",
            "0251.0376.0251.0376",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "[fe80::1]",
            "[febf::1]",
            "[fd00:ec2::254]",
            "[fd00:ec2::23]",
            "[fd20:ce::254]",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
            "[2002:a9fe:a9fe::1]",
            "[::ffff:100.100.100.200]",
        ] {
            let url = Url::parse(&format!("http://{host}/latest")).unwrap();
            assert!(check_literal(&url).is_err(), "{host}");
        }
    }

    #[test]
    fn loopback_and_private_addresses_are_ordinary() {
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "100.100.100.201",
            "169.253.255.255",
            "[::1]",
            "[fd00::1]",
            "[fec0::1]",
            "[::ffff:127.0.0.1]",
            "a9fe.example",
        ] {
            let url = Url::parse(&format!("http://{host}/")).unwrap();
            assert!(check_literal(&url).is_ok(), "{host}");
        }
    }

    #[tokio::test]
    async fn a_name_that_means_such_an_address_is_refused() {
        let guard = |answers: &[&'static str]| Guard {
            inner: Arc::new(Answers(answers.to_vec())),
        };
        let name = || "metadata.example".parse().unwrap();
        let refused = guard(&["169.254.169.254", "::ffff:169.254.169.254"]);
        let error = refused.resolve(name()).await.err().unwrap();
        assert!(error.is::<Refused>());
        let mixed = guard(&["169.254.169.254", "10.1.2.3", "fe80::2"]);
        let left: Vec<_> = mixed.resolve(name()).await.unwrap().collect();
        assert_eq!(left, ["10.1.2.3:0".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_client_asks_the_guard_and_says_why_it_does_not_connect() {
        let guard = Guard {
            inner: Arc::new(Answers(vec!["169.254.169.254"])),
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(super::super::tls(None).unwrap())
            .no_proxy()
            .dns_resolver(guard)
            .build()
            .unwrap();
        let error = client.get("http://metadata.example/").send().await;
        let failure = super::super::Failure::of(error.unwrap_err());
        assert!(!failure.transient);
        assert!(failure.reason.contains("not allowed"), "{}", failure.reason);
    }
}
