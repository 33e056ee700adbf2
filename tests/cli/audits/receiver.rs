//! Somebody who is told.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

/// One delivery as it arrived.
#[derive(Debug, Clone)]
pub struct Delivery {
    head: Vec<String>,
    pub body: Vec<u8>,
}

impl Delivery {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (header, value) = line.split_once(':')?;
            header.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    got: Vec<Delivery>,
    /// How the next deliveries are answered, instead of with 204.
    answers: VecDeque<u16>,
    ended: bool,
}

/// A receiver on this machine. It goes with its value.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if shared.lock().unwrap().ended {
                    break;
                }
                // Whoever goes away half-way delivered nothing.
                let _ = take(stream, &shared);
            }
        });
        Self {
            address,
            state,
            thread: Some(thread),
        }
    }

    /// Where it is told; the path is what a real one would keep to itself.
    pub fn url(&self) -> String {
        format!("http://{}/hooks/t0p-s3cr3t", self.address)
    }

    /// Answers the next delivery with this status.
    pub fn answer_next(&self, status: u16) {
        self.state.lock().unwrap().answers.push_back(status);
    }

    /// What arrived since the last call.
    pub fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.state.lock().unwrap().got)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.state.lock().unwrap().ended = true;
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn take(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut delivery = Delivery {
        head,
        body: Vec::new(),
    };
    let length = delivery.header("content-length");
    let length = length.and_then(|length| length.parse().ok());
    delivery.body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut delivery.body)?;
    let status = {
        let mut state = state.lock().unwrap();
        state.got.push(delivery);
        state.answers.pop_front().unwrap_or(204)
    };
    let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes())
}
