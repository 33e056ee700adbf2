//! What TLS has to say about a connection that it does not let come to be: nothing that passes by itself.

use std::error::Error;
use std::io;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, Error as Tls};

/// The certificates in a file of PEM, at least one; otherwise what is wrong with it, with its name.
pub fn certificates(path: &Path) -> Result<(Vec<u8>, Vec<CertificateDer<'static>>), String> {
    let wrong = |what: &str| {
        format!(
            "the CA's certificate {} cannot be used: {what}",
            path.display()
        )
    };
    let text = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => Err(wrong("it holds no certificate in PEM")),
        Ok(all) => {
            let mut roots = rustls::RootCertStore::empty();
            if let (0, _) = roots.add_parsable_certificates(all.iter().cloned()) {
                return Err(wrong("what is in it is no certificate"));
            }
            Ok((text, all))
        }
        Err(_) => Err(wrong("what is in it is no certificate in PEM")),
    }
}

/// The error of TLS among an error and its causes, wherever an error of the network hides it.
pub fn fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Tls> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<Tls>() {
            return Some(found);
        }
        // What is inside of an io::Error is not its source: the source is that of what is inside.
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    None
}

/// What it means; `trust` says where a CA is named.
pub fn advice(fault: &Tls, trust: &str) -> String {
    match fault {
        Tls::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => {
                format!("the server's certificate is of an issuer that is not trusted: {trust}")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: is this machine's clock right?"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another host name than the one in the URL"
                    .to_owned()
            }
            CertificateError::Revoked => "the server's certificate was revoked".to_owned(),
            CertificateError::BadSignature => {
                format!("the server's certificate is not signed by the CA that is trusted: {trust}")
            }
            _ => "the server's certificate will not do".to_owned(),
        },
        Tls::AlertReceived(_) => {
            "the server ended the TLS handshake: does it ask for a client's certificate?".to_owned()
        }
        Tls::InvalidMessage(_) => "the server does not speak TLS there".to_owned(),
        Tls::PeerIncompatible(_) => "the server's TLS is too old".to_owned(),
        _ => "no connection with TLS came to be".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        for (text, words) in [
            (None, "No such file"),
            (Some(""), "holds no certificate in PEM"),
            (
                Some("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"),
                "no certificate",
            ),
        ] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let error = certificates(&path).unwrap_err();
            assert!(error.contains(words) && error.contains("ca.pem"), "{error}");
        }
    }

    #[test]
    fn it_is_found_inside_of_errors_of_the_network() {
        let tls = Tls::InvalidCertificate(CertificateError::UnknownIssuer);
        let inner = io::Error::new(io::ErrorKind::InvalidData, tls.clone());
        let outer = io::Error::other(inner);
        assert_eq!(fault(&outer), Some(&tls));
        assert_eq!(fault(&io::Error::other("no")), None);
        assert!(advice(&tls, "name its CA").ends_with("not trusted: name its CA"));
    }
}
