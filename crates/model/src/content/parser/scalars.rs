//! The grammar of what holds no other values: strings, keys, numbers and literals.

use super::super::error::{Failure, Parsed};
use super::super::order::Key;
use super::super::{number, string};
use super::Parser;

impl Parser<'_> {
    pub(super) fn literal(&self, at: usize, literal: &[u8]) -> Parsed<usize> {
        if self.raw[at..].starts_with(literal) {
            return Ok(at + literal.len());
        }
        let known = self.raw[at..]
            .iter()
            .zip(literal)
            .take_while(|(found, wanted)| found == wanted)
            .count();
        Err(Failure::syntax("`true`, `false` or `null`", at + known))
    }

    /// Reads a string after its quotation mark.
    #[inline]
    pub(super) fn string(&mut self, at: usize) -> Parsed<usize> {
        let stop = string::run_end(self.raw, at);
        if self.raw.get(stop) == Some(&b'"') {
            Ok(stop + 1)
        } else {
            self.string_from(stop)
        }
    }

    /// Reads a string from the end of its first plain run, which is not the end of the string.
    fn string_from(&mut self, mut stop: usize) -> Parsed<usize> {
        loop {
            let next = match self.raw.get(stop) {
                Some(b'"') => return Ok(stop + 1),
                Some(b'\\') => match self.raw.get(stop + 1) {
                    Some(byte) if string::is_canonical_escape(*byte) => stop + 2,
                    _ => self.rewritten_escape(stop)?,
                },
                Some(_) => {
                    return Err(Failure::syntax(
                        "control characters to be escaped in a string",
                        stop,
                    ));
                }
                None => return Err(Failure::syntax("the end of a string", stop)),
            };
            stop = string::run_end(self.raw, next);
        }
    }

    fn rewritten_escape(&mut self, at: usize) -> Parsed<usize> {
        let (char, end) = string::escape(self.raw, at)?;
        self.flush(at);
        string::push_canonical(&mut self.out, char);
        self.run = end;
        Ok(end)
    }

    pub(super) fn key_text(&mut self, start: usize) -> Parsed<(Key, usize)> {
        const NOT_ASCII: u64 = 0x8080_8080_8080_8080;
        if let Some(word) = string::word(self.raw, start) {
            let marks = string::run_ends(word);
            let len = string::first_mark(marks);
            if marks != 0
                && self.raw[start + len] == b'"'
                && word & NOT_ASCII & !(u64::MAX << (8 * len)) == 0
            {
                return Ok((Key::short(word, start, len), start + len + 1));
            }
        }
        let stop = string::run_end(self.raw, start);
        let end = self.string_from(stop)?;
        Ok((Key::new(self.raw, start..end - 1, end - 1 != stop), end))
    }

    /// Reads the number at `at`. Integers of up to 15 digits are canonical as they are.
    pub(super) fn number(&mut self, at: usize) -> Parsed<usize> {
        let start = at + usize::from(self.raw[at] == b'-');
        let end = self.digits(start)?;
        if self.raw[start] == b'0' && end > start + 1 {
            return Err(Failure::syntax("no digit after a leading zero", start + 1));
        }
        let is_negative_zero = start > at && self.raw[start] == b'0';
        if end - start <= 15
            && !is_negative_zero
            && !matches!(self.raw.get(end), Some(b'.' | b'e' | b'E'))
        {
            return Ok(end);
        }
        self.other_number(at, start, end)
    }

    /// Where the digits end of which at least one must be at `at`.
    fn digits(&self, at: usize) -> Parsed<usize> {
        let count = self.raw[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            Err(Failure::syntax("a digit", at))
        } else {
            Ok(at + count)
        }
    }

    /// Reads the number at `start` from the end of its integer digits.
    fn other_number(&mut self, start: usize, integer: usize, integer_end: usize) -> Parsed<usize> {
        let mut end = integer_end;
        if self.raw.get(end) == Some(&b'.') {
            end = self.digits(end + 1)?;
        }
        if matches!(self.raw.get(end), Some(b'e' | b'E')) {
            let signed = matches!(self.raw.get(end + 1), Some(b'+' | b'-'));
            end = self.digits(end + 1 + usize::from(signed))?;
        } else if let Some(fraction) = self.raw.get(integer_end + 1..end)
            && number::is_canonical(&self.raw[integer..integer_end], fraction)
        {
            return Ok(end);
        }
        let mut buffer = ryu_js::Buffer::new();
        let canonical = number::canonical(&self.text[start..end], &mut buffer)
            .map_err(|kind| Failure::new(kind, start))?;
        self.flush(start);
        self.out.extend_from_slice(canonical.as_bytes());
        self.run = end;
        Ok(end)
    }
}
