//! A server that replies as it is told.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers.
    Send(String),
    /// Closes the connection.
    Drop,
    /// Does nothing.
    Silence,
}

/// A server that reads requests whole and replies from a list, over and over at its last entry.
pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn start(replies: impl Into<Vec<Reply>>) -> Self {
        let replies = replies.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, replies.clone(), Arc::clone(&seen)));
            }
        });
        Self { port, requests }
    }

    /// Requests as they arrived: headers in lower case, and the body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, replies: Vec<Reply>, requests: Arc<Mutex<Vec<String>>>) {
    let mut read = Vec::new();
    loop {
        let (head, length) = loop {
            let text = String::from_utf8_lossy(&read);
            if let Some(end) = text.find("\r\n\r\n") {
                let head = text[..end].to_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
                break (head, length.unwrap_or(0));
            }
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        };
        while read.len() < head.len() + 4 + length {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = read.split_off(head.len() + 4);
        read.clear();
        let nth = {
            let mut requests = requests.lock().unwrap();
            requests.push(format!("{head}\r\n\r\n{}", String::from_utf8_lossy(&body)));
            requests.len() - 1
        };
        match &replies[nth.min(replies.len() - 1)] {
            Reply::Send(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
            Reply::Drop => return,
            Reply::Silence => std::future::pending().await,
        }
    }
}

/// An answer.
pub fn answer(status: &str, headers: &str, body: &str) -> Reply {
    Reply::Send(format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// An answer that is an error of S3's kind.
pub fn error(status: &str, code: &str) -> Reply {
    let body = format!(
        "<Error><Code>{code}</Code><Message>as it is</Message><RequestId>1</RequestId></Error>"
    );
    answer(status, "Content-Type: application/xml\r\n", &body)
}
