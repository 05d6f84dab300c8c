//! Finds the detach sequence in what a user types.

use contract::{Kind, PortError};

/// Matches a key sequence over a byte stream; bytes that turn out not to belong to it are given back.
#[derive(Debug, Clone)]
pub struct DetachKeys {
    sequence: Vec<u8>,
    matched: usize,
}

/// What to do with a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass these bytes on.
    Forward(Vec<u8>),
    /// Pass these bytes on, then leave.
    Detach(Vec<u8>),
}

impl DetachKeys {
    /// Parses `ctrl-p,ctrl-q`, `a`, `ctrl-@`; empty text is Docker's default, Ctrl-P Ctrl-Q.
    pub fn parse(text: &str) -> Result<Self, PortError> {
        let text = if text.is_empty() { "ctrl-p,ctrl-q" } else { text };
        let sequence =
            text.split(',').map(key).collect::<Option<Vec<u8>>>().ok_or_else(|| {
                PortError::new(Kind::Invalid, format!("Invalid detach keys ({text}) provided"))
            })?;
        Ok(Self { sequence, matched: 0 })
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, input: &[u8]) -> Verdict {
        let mut out = Vec::with_capacity(input.len());
        for byte in input {
            if self.sequence.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    self.matched = 0;
                    return Verdict::Detach(out);
                }
                continue;
            }
            out.extend(self.sequence.iter().take(self.matched));
            self.matched = 0;
            if self.sequence.first() == Some(byte) {
                self.matched = 1;
            } else {
                out.push(*byte);
            }
        }
        Verdict::Forward(out)
    }
}

fn key(text: &str) -> Option<u8> {
    let control = |c: u8| match c {
        b'a'..=b'z' => Some(c - b'a' + 1),
        b'@' => Some(0),
        b'[' => Some(27),
        b'\\' => Some(28),
        b']' => Some(29),
        b'^' => Some(30),
        b'_' => Some(31),
        _ => None,
    };
    match (text.strip_prefix("ctrl-"), text.as_bytes()) {
        (Some(rest), _) => match rest.as_bytes() {
            [c] => control(c.to_ascii_lowercase()),
            _ => None,
        },
        (None, [c]) => Some(*c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_sequence_is_found_across_pieces() {
        let mut keys = DetachKeys::parse("").unwrap();
        assert_eq!(keys.feed(b"ls\x10"), Verdict::Forward(b"ls".to_vec()));
        assert_eq!(keys.feed(b"\x11"), Verdict::Detach(vec![]));
    }

    #[test]
    fn a_broken_off_sequence_is_given_back() {
        let mut keys = DetachKeys::parse("").unwrap();
        assert_eq!(keys.feed(b"\x10x"), Verdict::Forward(b"\x10x".to_vec()));
        assert_eq!(keys.feed(b"\x10\x10"), Verdict::Forward(b"\x10".to_vec()));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(DetachKeys::parse("ctrl-").is_err());
    }
}
