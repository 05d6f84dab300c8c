//! The user's terminal: raw mode, size, and the keys that detach.

use std::io::IsTerminal;

/// Why the terminal cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// `-t` with `-i` needs a terminal on standard input.
    #[error("the input device is not a TTY")]
    NotATerminal,
    /// The mode could not be changed.
    #[error("cannot set the terminal to raw mode: {0}")]
    RawMode(#[source] std::io::Error),
    /// Nothing can be shown on it.
    #[error("cannot draw on the terminal: {0}")]
    Drawing(#[source] std::io::Error),
    /// `--detach-keys` cannot be read.
    #[error("invalid detach keys ({0}) provided")]
    Keys(String),
}

/// Whether standard input is a terminal.
pub fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Refuses `-it` without a terminal, as it would only look broken later.
pub fn check(interactive: bool, tty: bool) -> Result<(), TerminalError> {
    match interactive && tty && !stdin_is_terminal() {
        true => Err(TerminalError::NotATerminal),
        false => Ok(()),
    }
}

/// Rows and columns, if there is a terminal to ask.
pub fn size() -> Option<(u16, u16)> {
    if !stdout_is_terminal() && !stdin_is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(columns, rows)| (rows, columns))
}

/// Raw mode until dropped.
#[derive(Debug)]
pub struct RawMode(());

impl RawMode {
    /// Switches the terminal to raw mode.
    pub fn enter() -> Result<Self, TerminalError> {
        crossterm::terminal::enable_raw_mode().map_err(TerminalError::RawMode)?;
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// Looks for the detach sequence in what is typed.
#[derive(Debug)]
pub struct DetachKeys {
    sequence: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q` or `a,b`; the default is Docker's.
    pub fn parse(text: Option<&str>) -> Result<Self, TerminalError> {
        let text = text.filter(|text| !text.is_empty()).unwrap_or("ctrl-p,ctrl-q");
        let bad = || TerminalError::Keys(text.to_owned());
        let key = |word: &str| match *word.as_bytes() {
            [byte] => Some(byte),
            [
                b'c',
                b't',
                b'r',
                b'l',
                b'-',
                letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_'),
            ] => Some(letter & 0x1f),
            _ => None,
        };
        let sequence = text.split(',').map(|word| key(word).ok_or_else(bad)).collect::<Result<_, _>>()?;
        Ok(Self { sequence, matched: 0 })
    }

    /// What to send of `typed`, and whether the sequence was completed.
    pub fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut send = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.sequence.get(self.matched) != Some(byte) {
                // Keys held back while they could still have been the sequence.
                send.extend(self.sequence.iter().take(self.matched));
                self.matched = 0;
            }
            if self.sequence.get(self.matched) == Some(byte) {
                self.matched += 1;
            } else {
                send.push(*byte);
            }
            if self.matched == self.sequence.len() {
                self.matched = 0;
                return (send, true);
            }
        }
        (send, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detach_sequence_is_found_across_reads_and_not_sent() {
        let mut keys = DetachKeys::parse(None).unwrap();
        assert_eq!(keys.feed(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.feed(b"\x11rest"), (vec![], true));
    }

    #[test]
    fn a_broken_off_sequence_reaches_the_container() {
        let mut keys = DetachKeys::parse(None).unwrap();
        assert_eq!(keys.feed(b"\x10"), (vec![], false));
        assert_eq!(keys.feed(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(keys.feed(b"\x10\x10\x11"), (b"\x10".to_vec(), true));
    }

    #[test]
    fn other_keys_can_be_chosen_and_nonsense_is_refused() {
        assert_eq!(DetachKeys::parse(Some("a,ctrl-\\")).unwrap().feed(b"a\x1c"), (vec![], true));
        assert!(DetachKeys::parse(Some("ctrl-")).is_err());
    }
}
