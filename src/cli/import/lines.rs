//! The lines of an import, read ahead on a thread of their own.

use std::io::{BufRead, BufReader, Read};

use anyhow::Context as _;
use driftline::domain::content::{Content, ContentError};
use driftline::domain::{Digest, EntryMeta, ShortText, Timestamp, json};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{self, Receiver};

use crate::cli::Failure;
use crate::cli::input::Input;

/// How many lines are read ahead.
const AHEAD: usize = 4;
/// What a line may have beside its content, in bytes.
const ENVELOPE: usize = 64 * 1024;

/// One version to be.
#[derive(Debug)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The content, byte for byte as it was written: numbers keep their text.
    pub content: Vec<u8>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Who made it.
    pub by: Option<ShortText>,
    /// Why.
    pub message: Option<ShortText>,
    /// Of the whole line.
    pub digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
    created_at: Option<Timestamp>,
    by: Option<ShortText>,
    message: Option<ShortText>,
}

/// Opens the file, and starts reading it. Empty lines are passed over.
pub fn read(file: &Input, limit: usize) -> Result<Receiver<anyhow::Result<Line>>, Failure> {
    let mut reader = BufReader::with_capacity(256 * 1024, file.open()?);
    let (sender, receiver) = mpsc::channel(AHEAD);
    let file = file.clone();
    std::thread::spawn(move || {
        for number in 1.. {
            let line = match next(&mut reader, limit.saturating_add(ENVELOPE)) {
                Ok(Some(line)) if line.is_empty() => continue,
                Ok(Some(line)) => Line::parse(number, &line)
                    .with_context(|| format!("read {file}, line {number}")),
                Ok(None) => return,
                Err(error) => Err(file.unreadable(&error).into()),
            };
            let failed = line.is_err();
            // Nobody listens once the import has ended.
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    Ok(receiver)
}

/// The next line without its end; `None` after the last one.
fn next(reader: &mut impl BufRead, limit: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    if reader.take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() > limit && line.last() != Some(&b'\n') {
        return Err(std::io::Error::other(format!(
            "a line has more than the {limit} bytes that are allowed"
        )));
    }
    let end = line.trim_ascii_end().len();
    line.truncate(end);
    Ok(Some(line))
}

impl Line {
    fn parse(number: u64, line: &[u8]) -> anyhow::Result<Self> {
        if let Some(objection) = json::objection(line) {
            return Err(invalid(&objection).into());
        }
        let text = std::str::from_utf8(line).map_err(|error| {
            invalid(&format!(
                "it is not UTF-8 at byte {}",
                error.valid_up_to() + 1
            ))
        })?;
        let envelope: Envelope<'_> =
            serde_json::from_str(text).map_err(|error| invalid(&json::advise(line, &error)))?;
        Ok(Self {
            number,
            content: envelope.content.get().as_bytes().to_vec(),
            created_at: envelope.created_at,
            by: envelope.by,
            message: envelope.message,
            digest: Digest::of(line),
        })
    }

    /// How the line differs from a version that is there, if it does. What the line leaves open is not compared.
    pub fn difference(
        &self,
        meta: &EntryMeta,
        limit: usize,
    ) -> Result<Option<String>, ContentError> {
        let checksum = Content::parse_committed(&self.content, limit)?.checksum();
        let differs = |what: &str, line: &dyn std::fmt::Display, there: &dyn std::fmt::Display| {
            Some(format!("its {what} is {line}, but {there} is on record"))
        };
        let text = |text: Option<&ShortText>| text.map_or("none", ShortText::as_str).to_owned();
        Ok(if checksum != meta.checksum {
            differs("checksum", &checksum, &meta.checksum)
        } else if let Some(at) = self.created_at
            && at != meta.created_at
        {
            differs("createdAt", &at, &meta.created_at)
        } else if self.by.is_some() && self.by != meta.created_by {
            differs(
                "by",
                &text(self.by.as_ref()),
                &text(meta.created_by.as_ref()),
            )
        } else if self.message.is_some() && self.message != meta.message {
            differs(
                "message",
                &text(self.message.as_ref()),
                &text(meta.message.as_ref()),
            )
        } else {
            None
        })
    }
}

fn invalid(what: &str) -> Failure {
    Failure::new(crate::cli::Exit::Error, "invalid_input", what)
        .hint("a line is {\"content\": {…}, \"createdAt\"?, \"by\"?, \"message\"?}")
}
