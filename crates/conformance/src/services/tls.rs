//! Certificates of a CA of one's own, and TLS in front of a server that has none.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A CA that nobody trusts by itself.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one.
    #[expect(clippy::new_without_default, reason = "it runs a program")]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = Self { directory };
        made.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=Test -days 30",
        );
        made
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for a subject's alternative name, like `IP:127.0.0.1`.
    pub fn issue(&self, name: &str, alternative: &str) -> Issued {
        let path = |end: &str| self.directory.path().join(format!("{name}.{end}"));
        std::fs::write(path("ext"), format!("subjectAltName={alternative}\n")).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile {name}.ext -out {name}.pem"
        ));
        Issued {
            certificate: path("pem"),
            key: path("key"),
        }
    }

    fn openssl(&self, line: &str) {
        let done = Command::new("openssl")
            .args(line.split(' '))
            .current_dir(self.directory.path())
            .output()
            .expect("openssl runs; it comes with the PostgreSQL server");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "openssl {line}: {said}");
    }
}

/// Ends TLS before `upstream`, `HOST:PORT`, and returns the port. It lives as long as the runtime of the caller.
pub async fn terminate(issued: &Issued, upstream: String) -> u16 {
    let read = |path: &Path| std::fs::read(path).unwrap();
    let certificates = CertificateDer::pem_slice_iter(&read(&issued.certificate))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read(&issued.key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
            tokio::spawn(async move {
                // A client that does not trust us goes away.
                let mut client = acceptor.accept(client).await.ok()?;
                let mut server = TcpStream::connect(upstream).await.ok()?;
                tokio::io::copy_bidirectional(&mut client, &mut server)
                    .await
                    .ok()
            });
        }
    });
    port
}
