//! Headers from a file, so that a secret stands neither on a command line nor in a configuration.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::sources::lasting;
use driftline_ports::SourceError;

/// More is no file with headers.
const LIMIT: u64 = 64 * 1024;

/// Headers that say how the message is to be read, or what the source itself decides.
const RESERVED: [&str; 9] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "if-none-match",
    "range",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Reads a file with one `Name: value` a line. Nothing of it is repeated in an error but a line's number.
pub(super) fn read(path: &Path) -> Result<HeaderMap, SourceError> {
    let failed = |what: &str| {
        let path = path.display();
        lasting(format!("cannot read the headers in `{path}`: {what}"))
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text));
    read.map_err(|error| failed(&error.to_string()))?;
    if text.len() as u64 > LIMIT {
        return Err(failed(&format!("it is larger than {LIMIT} bytes")));
    }
    let mut headers = HeaderMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |what: &str| failed(&format!("line {}: {what}", number + 1));
        let parsed = line.split_once(':').and_then(|(name, value)| {
            let name: HeaderName = name.trim_end().parse().ok()?;
            let mut value: HeaderValue = value.trim().parse().ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        let (name, value) = parsed.ok_or_else(|| at("`Name: value` is expected"))?;
        if RESERVED.contains(&name.as_str()) {
            return Err(at("this header is not for you to set"));
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// Tells that everybody on this machine can read the file.
pub(super) fn warn_if_public(path: &Path) {
    let mode = path
        .metadata()
        .map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0) {
        let path = path.display();
        tracing::warn!(%path, "everybody can read the file with headers: chmod 600 it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<HeaderMap, SourceError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        read(file.path())
    }

    #[test]
    fn a_line_is_a_header() {
        let text =
            b"# who we are\nAuthorization: Bearer a:b\r\n\n  X-Two:  spaced out \nX-Two:again\n";
        let headers = parse(text).unwrap();
        assert_eq!(headers.get("authorization").unwrap(), "Bearer a:b");
        assert!(headers["authorization"].is_sensitive());
        let two: Vec<_> = headers.get_all("x-two").iter().collect();
        assert_eq!(two, ["spaced out", "again"]);
    }

    #[test]
    fn errors_name_the_line_and_repeat_nothing() {
        for text in [
            &b"# ok\nsecret"[..],
            b"# ok\nX secret: 1",
            b"# ok\n: secret",
            b"# ok\nX: secret\x07",
            b"# ok\nTransfer-Encoding: secret",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message.contains("line 2"), "{error}");
            assert!(!error.message.contains("secret"), "{error}");
        }
        assert!(parse(b"X: \xff").is_err());
        assert!(parse(&vec![b'#'; 70_000]).is_err());
        assert!(read(Path::new("/nowhere/headers")).is_err());
    }
}
