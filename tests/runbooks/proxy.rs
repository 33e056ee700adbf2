//! The endpoint of S3 that a page sees: it can be taken away from the page alone.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread::spawn;

/// Forwards to `upstream`, `HOST:PORT`, as long as there is no file `closed`. It lives as long as the process.
pub fn start(upstream: String, closed: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    spawn(move || {
        for client in listener.incoming().flatten() {
            if !closed.exists()
                && let Ok(store) = TcpStream::connect(&upstream)
            {
                forward(client.try_clone().unwrap(), store.try_clone().unwrap());
                forward(store, client);
            }
        }
    });
    endpoint
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    spawn(move || {
        // Whoever goes away ends both.
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
