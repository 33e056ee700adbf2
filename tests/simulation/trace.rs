//! What happened, call by call: a digest that two runs of one seed share, and lines for people.

use driftline::domain::Digest;

#[derive(Debug)]
pub struct Trace {
    digest: Digest,
    lines: u64,
    shown: bool,
}

impl Trace {
    pub fn new(shown: bool) -> Self {
        Self {
            digest: Digest::of(b"trace"),
            lines: 0,
            shown,
        }
    }

    pub fn line(&mut self, text: &str) {
        self.lines += 1;
        self.digest = Digest::of_parts(&[self.digest.as_bytes(), text.as_bytes()]);
        if self.shown {
            println!("{text}");
        }
    }

    /// The digest of all lines so far, and how many there are.
    pub fn digest(&self) -> (Digest, u64) {
        (self.digest, self.lines)
    }
}
