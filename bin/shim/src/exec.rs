//! Exec sessions: processes started beside the main one.

use sandbox::launch::Stdio;

/// A running or ended session.
pub struct Session {
    /// The daemon's name for it.
    pub id: String,
    /// Host pid.
    pub pid: i32,
    /// Our ends of its stdio.
    pub stdio: Stdio,
    /// It has a terminal.
    pub tty: bool,
    /// How it ended.
    pub code: Option<i32>,
    /// A client has been attached.
    pub seen: bool,
    /// It does not outlive its client.
    pub bound: bool,
}

impl Session {
    /// Whether there may be more to read.
    pub fn open(&self) -> bool {
        self.stdio.stdout.is_some() || self.stdio.stderr.is_some()
    }

    /// Ended, and everything it wrote was handed on or is unwanted.
    pub fn over(&self) -> bool {
        self.code.is_some() && !self.open()
    }
}
