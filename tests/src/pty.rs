//! A real terminal with a program on it.

use crate::process::PATIENCE;
use pty_process::Size;
use pty_process::blocking::{Command, open};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A program whose controlling terminal the test holds. Killed when dropped.
pub struct Pty {
    child: Child,
    terminal: std::fs::File,
    pty: pty_process::blocking::Pty,
    screen: Arc<Mutex<String>>,
    seen: usize,
}

impl Pty {
    /// Starts it on a terminal of 80 columns and 24 rows.
    #[track_caller]
    pub fn spawn(command: &std::process::Command) -> Self {
        let (pty, terminal) = open().expect("open a pty");
        pty.resize(Size::new(24, 80)).expect("set its size");
        let mut on_pty = Command::new(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            on_pty = match value {
                Some(value) => on_pty.env(key, value),
                None => on_pty.env_remove(key),
            };
        }
        let child = on_pty.spawn(terminal).expect("start a program on a pty");
        let own = |pty: &pty_process::blocking::Pty| {
            std::fs::File::from(pty.as_fd().try_clone_to_owned().expect("duplicate the pty"))
        };
        let (mut reading, terminal) = (own(&pty), own(&pty));
        let screen = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&screen);
        std::thread::spawn(move || {
            let (mut piece, mut rest) = ([0; 4096], Vec::new());
            // Ends with EIO when the last process has left the terminal.
            while let Ok(n @ 1..) = reading.read(&mut piece) {
                rest.extend_from_slice(&piece[..n]);
                let whole = whole_letters(&rest);
                let text = String::from_utf8_lossy(&rest[..whole]).into_owned();
                rest.drain(..whole);
                into.lock().expect("only appended to").push_str(&text);
            }
        });
        Self { child, terminal, pty, screen, seen: 0 }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types this.
    #[track_caller]
    pub fn send(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).expect("type");
    }

    /// Waits until `wanted` shows up after what was last expected; answers what came up to its end.
    #[track_caller]
    pub fn expect(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let new = self.screen.lock().expect("only appended to")[self.seen..].to_owned();
            if let Some(at) = new.find(wanted) {
                self.seen += at + wanted.len();
                return new[..at + wanted.len()].to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "{wanted:?} never came; after what was expected before: {new:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Everything that was shown so far.
    pub fn screen(&self) -> String {
        self.screen.lock().expect("only appended to").clone()
    }

    /// Changes the terminal's size, of which the program is told with SIGWINCH.
    #[track_caller]
    pub fn resize(&self, rows: u16, columns: u16) {
        self.pty.resize(Size::new(rows, columns)).expect("resize");
    }

    /// Waits for its end; answers its exit code, 128 + n after signal n.
    #[track_caller]
    pub fn finish(mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("ask for its end") {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(Instant::now() < deadline, "the program does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// How many bytes there are before a letter whose end has not come yet.
fn whole_letters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
