//! What stands between a client and S3 as a key does that may read and no more.

use std::io::{BufRead as _, BufReader, Read as _, Write as _, copy};
use std::net::{TcpListener, TcpStream};
use std::thread::spawn;

const DENIED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";

/// An endpoint that hands reads on to `upstream`, `HOST:PORT`, and denies everything else. It lives as long as the process.
pub fn start(upstream: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let upstream = upstream.to_owned();
    spawn(move || {
        for client in listener.incoming().flatten() {
            let upstream = upstream.clone();
            // Whoever goes away ends only its own request.
            spawn(move || drop(answer(client, &upstream)));
        }
    });
    endpoint
}

/// One request; the connection ends with it.
fn answer(mut client: TcpStream, upstream: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    if !head.starts_with("GET ") && !head.starts_with("HEAD ") {
        copy(&mut reader.take(length), &mut std::io::sink())?;
        return write!(
            client,
            "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{DENIED}",
            DENIED.len()
        );
    }
    let mut server = TcpStream::connect(upstream)?;
    write!(server, "{head}Connection: close\r\n\r\n")?;
    copy(&mut server, &mut client).map(drop)
}
