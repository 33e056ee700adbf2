//! URLs that a parser takes apart where their author did not. A password with a bare `?`, `#` or `/` in it ends the host's part
//! of a URL early, and what is behind it would be shown as a path, an option or a database.

/// How much of a URL may hold an `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A server and a name: an `@` stands in front of the server and nowhere else.
    Database,
    /// A document's or a service's: paths and queries may hold one.
    Web,
}

/// What a URL has that makes it ambiguous. Nothing of the URL is in the answer.
pub fn misread(url: &str, form: Form) -> Option<&'static str> {
    const CUT: &str =
        "it holds ?, # or / where a user or a password may be; write them as %3F, %23 and %2F";
    let (_, rest) = url.split_once("://")?;
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (server, behind) = rest.split_at(end);
    let ends_early = match behind.chars().next() {
        Some('?' | '#') => behind.contains('@'),
        Some(_) if form == Form::Database => {
            let path = behind.split('?').next().unwrap_or_default();
            // A query that no path precedes, or one that goes on like a server.
            path.contains('@') || (!server.contains('@') && behind.contains('@'))
        }
        _ => false,
    };
    if ends_early || (form == Form::Database && behind.contains('#')) {
        return Some(CUT);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_ends_the_server_early_is_found() {
        for url in [
            "postgres://ops:s3?cret@host/db",
            "postgres://ops:33?cret@host/db",
            "postgres://ops:33#cret@host/db",
            "postgres://ops:33/cret@host/db",
            "postgres://ops:p@33?cret@host/db",
            "postgres://ops:p@x/cret@host/db",
            "postgres://ops:p@host/db#x",
            "postgres://ops/33?cret@host/db",
        ] {
            assert!(misread(url, Form::Database).is_some(), "{url}");
        }
        for url in ["https://ops:33?cret@host/x", "https://ops:33#cret@host/x"] {
            assert!(misread(url, Form::Web).is_some(), "{url}");
        }
    }

    #[test]
    fn what_is_plain_passes() {
        for url in [
            "postgres://ops:s3%3Fcret@host:5432/db?application_name=a",
            "postgres://ops:p@ss@host/db",
            "postgres:///db?host=/var/run",
            "postgres://ops@host/db?application_name=me@home",
            "memory:",
        ] {
            assert_eq!(misread(url, Form::Database), None, "{url}");
        }
        for url in [
            "https://ops:s3@host:8443/a@b?mail=c@d#e",
            "https://host:8443/users/a@b",
            "https://host?x=1",
        ] {
            assert_eq!(misread(url, Form::Web), None, "{url}");
        }
    }
}
