//! LocalStack's S3: one a test process, started when the first test asks, gone with the process; a bucket a test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::service::{Service, free_port};

/// A running LocalStack.
#[derive(Debug)]
pub struct LocalStack {
    service: Service,
    port: u16,
    buckets: AtomicUsize,
}

/// The LocalStack of this process.
///
/// `DRIFTLINE_TEST_LOCALSTACK` names a script that runs an installed one, given a port and a directory for its data; without
/// it the one of driftline's checkout is installed first.
pub fn localstack() -> &'static LocalStack {
    static RUNNING: OnceLock<LocalStack> = OnceLock::new();
    RUNNING.get_or_init(|| LocalStack::start(free_port()))
}

impl LocalStack {
    /// One of a test's own, which it may stop and kill. It goes with its value.
    pub fn start(port: u16) -> Self {
        let script =
            std::env::var_os("DRIFTLINE_TEST_LOCALSTACK").map_or_else(installed, PathBuf::from);
        let service = Service::start("localstack", |directory| {
            let data = directory.join("data");
            [script, port.to_string().into(), data]
                .map(|part| part.display().to_string())
                .to_vec()
        });
        // It says that it is well before its S3 is loaded, which answers 501 until then.
        service.wait_until("LocalStack", || {
            let is = |path, wanted| request(port, "GET", path).is_ok_and(|it| it == wanted);
            is("/_localstack/health", 200) && is("/not-there", 404)
        });
        Self {
            service,
            port,
            buckets: AtomicUsize::new(0),
        }
    }

    /// Stops it where it stands: connections stay open, and nothing answers.
    pub fn pause(&self) {
        self.service.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.service.signal(Signal::CONT);
    }

    /// Kills it, with everything that it holds.
    pub fn kill(&self) {
        self.service.signal(Signal::KILL);
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket that no other test uses, and returns its name.
    pub fn fresh_bucket(&self) -> String {
        let bucket = format!("test-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        let status = request(self.port, "PUT", &format!("/{bucket}")).expect("LocalStack answers");
        assert_eq!(status, 200, "LocalStack makes the bucket");
        bucket
    }

    /// Puts an object as no client would: the connection ends before so many bytes if the body does. The status of the answer,
    /// or 0 without one.
    pub fn put(&self, path: &str, headers: &str, body: &str, length: usize) -> u16 {
        let headers = format!("{headers}\r\nContent-Length: {length}");
        let mut stream = begin(self.port, "PUT", path, &headers).expect("LocalStack takes it");
        stream.write_all(body.as_bytes()).expect("it reads on");
        if body.len() < length {
            stream.shutdown(Shutdown::Write).expect("it is open");
        }
        status(&mut stream).unwrap_or(0)
    }
}

fn installed() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../localstack");
    let setup = directory.join("setup.sh");
    assert!(
        setup.exists(),
        "LocalStack is not here: name a script that runs it in DRIFTLINE_TEST_LOCALSTACK"
    );
    let status = Command::new(setup)
        .status()
        .expect("localstack/setup.sh runs");
    assert!(status.success(), "localstack/setup.sh installs LocalStack");
    directory.join("start.sh")
}

/// Sends a request without a body, and returns the status of the answer.
fn request(port: u16, method: &str, path: &str) -> std::io::Result<u16> {
    let mut stream = begin(port, method, path, "Content-Length: 0")?;
    status(&mut stream)
}

/// Sends everything of a request but its body.
fn begin(port: u16, method: &str, path: &str, headers: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // Neither date nor signature is looked at; the scope is what sends the request to S3.
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {scope}\r\n{headers}\r\n\
         Connection: close\r\n\r\n"
    )?;
    Ok(stream)
}

/// The status of the answer, or 0 if there is none.
fn status(stream: &mut TcpStream) -> std::io::Result<u16> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let status = String::from_utf8_lossy(&answer)
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(status.unwrap_or(0))
}
