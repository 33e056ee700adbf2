//! A store in front of the store that lets nothing but reads pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longer heads are nobody's.
const LONGEST_HEAD: usize = 64 * 1024;

/// Forwards GET and HEAD, answers everything else with 403, and counts. It goes with its value.
pub struct ReadOnlyProxy {
    pub endpoint: String,
    methods: Arc<Mutex<BTreeMap<String, u64>>>,
    task: JoinHandle<()>,
}

impl ReadOnlyProxy {
    /// A proxy for the store at `endpoint`, `http://HOST:PORT`.
    pub async fn start(endpoint: &str) -> Self {
        let upstream = endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let methods = Arc::new(Mutex::default());
        let counted = Arc::clone(&methods);
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (upstream, methods) = (upstream.clone(), Arc::clone(&counted));
                // A client that goes away is no failure.
                tokio::spawn(async move { serve(client, &upstream, &methods).await.ok() });
            }
        });
        Self {
            endpoint,
            methods,
            task,
        }
    }

    /// Requests so far, by method.
    pub fn methods(&self) -> BTreeMap<String, u64> {
        self.methods.lock().unwrap().clone()
    }
}

impl Drop for ReadOnlyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request; the connection ends with its answer.
async fn serve(
    mut client: TcpStream,
    upstream: &str,
    methods: &Mutex<BTreeMap<String, u64>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD {
            return Ok(());
        }
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let method = head.split(' ').next().unwrap_or_default();
    *methods
        .lock()
        .unwrap()
        .entry(method.to_owned())
        .or_default() += 1;
    if !matches!(method, "GET" | "HEAD") {
        let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        client.write_all(refusal.as_bytes()).await?;
        // Whoever still sends a body would lose the answer with the connection.
        client.shutdown().await?;
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
        return Ok(());
    }
    let lines = head.trim_end().split("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("connection")
    });
    let lines: Vec<&str> = lines.collect();
    let head = format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
    let mut store = TcpStream::connect(upstream).await?;
    store.write_all(head.as_bytes()).await?;
    tokio::io::copy(&mut store, &mut client).await?;
    client.shutdown().await
}
