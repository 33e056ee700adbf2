//! What stands between a client and a server: it can fall silent, as a network does that loses every packet.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Forwards connections. It lives as long as the process.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub port: u16,
    silent: Arc<AtomicBool>,
}

impl Relay {
    /// A relay to `upstream`, `HOST:PORT`.
    pub fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = Arc::new(AtomicBool::new(false));
        let (upstream, quiet) = (upstream.to_owned(), Arc::clone(&silent));
        spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&upstream) else {
                    continue;
                };
                forward(
                    client.try_clone().unwrap(),
                    server.try_clone().unwrap(),
                    Arc::clone(&quiet),
                );
                forward(server, client, Arc::clone(&quiet));
            }
        });
        Self { port, silent }
    }

    /// From now on nothing passes, in either direction; connections stay open.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// What was held back passes.
    pub fn speak(&self) {
        self.silent.store(false, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, silent: Arc<AtomicBool>) {
    spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            while silent.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(20));
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
