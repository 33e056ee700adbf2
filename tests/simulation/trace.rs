//! What happened, call by call: a digest that two runs of one seed share, and lines for people.

use driftline::domain::Digest;
use sha2::{Digest as _, Sha256};

#[derive(Debug)]
pub struct Trace {
    hasher: Sha256,
    lines: u64,
    shown: bool,
}

impl Trace {
    pub fn new(shown: bool) -> Self {
        Self {
            hasher: Sha256::new(),
            lines: 0,
            shown,
        }
    }

    pub fn line(&mut self, text: &str) {
        self.lines += 1;
        self.hasher.update(text);
        self.hasher.update("\n");
        if self.shown {
            println!("{text}");
        }
    }

    /// The digest of all lines so far, and how many there are.
    pub fn digest(&self) -> (Digest, u64) {
        let digest = self.hasher.clone().finalize();
        (Digest::from_bytes(digest.into()), self.lines)
    }
}
