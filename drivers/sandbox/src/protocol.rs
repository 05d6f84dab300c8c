//! What daemon and shim say to each other over the shim's socket.
//!
//! A frame is `length u32 BE · version u8 · JSON`; the length counts version and JSON. Old shims meet new daemons after an
//! upgrade, so changes are additive only: new optional fields, new requests (an old shim answers `Error`).
//! After an accepted `Attach` the connection leaves this protocol: bytes from the daemon are the process's stdin, its
//! half-close closes it; towards the daemon go output frames, `stream u8 · length u32 BE · bytes`.

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// The version spoken.
pub const VERSION: u8 = 1;
/// Largest frame taken, bytes.
pub const MAX_FRAME: usize = 4 << 20;

/// Asked by the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// How is the main process?
    Status,
    /// Open the start gate.
    Start,
    /// Signal the main process.
    Signal {
        /// Number.
        signal: i32,
    },
    /// Run another process.
    Exec {
        /// The session's id.
        id: String,
        /// The process.
        process: ExecProcess,
    },
    /// Set a tty's size.
    Resize {
        /// Session, or the main process.
        exec: Option<String>,
        /// Rows.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// Turn this connection into a process's stdio (main: stdin only).
    Attach {
        /// Session, or the main process.
        exec: Option<String>,
    },
    /// Push events on this connection.
    Subscribe,
    /// Freeze or thaw all processes.
    Freeze {
        /// Frozen or not.
        frozen: bool,
    },
    /// Host pids of all processes.
    Pids,
    /// What becomes of output that finds the spool full.
    WhenFull {
        /// Dropped and counted, or not read.
        drop: bool,
    },
    /// Kill everything and end.
    Shutdown,
}

/// A process to run beside the main one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecProcess {
    /// Arguments.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<String>,
    /// Working folder.
    pub cwd: String,
    /// `user[:group]`, looked up inside.
    pub user: String,
    /// Capabilities.
    pub capabilities: Vec<String>,
    /// No new privileges.
    pub no_new_privileges: bool,
    /// Extra groups, by commas, looked up inside.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub groups: String,
    /// Whether the container's system call policy applies: any word, or none for no.
    pub seccomp: Option<String>,
    /// A tty is wanted.
    pub tty: bool,
    /// Stdin is connected.
    pub stdin: bool,
    /// Output is wanted; else it goes to /dev/null.
    pub output: bool,
    /// It is killed with its process group when the client that was attached leaves.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bound: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, 128+n for signals.
    pub code: i32,
    /// ns since the epoch.
    pub at_ns: i64,
    /// Killed for memory.
    pub oom_killed: bool,
}

/// State of the main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// At the start gate.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended.
    Exited,
}

/// Why a request failed, as far as the daemon decides on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Program or working folder does not exist (127).
    NotFound,
    /// Program cannot be executed (126).
    Denied,
    /// Wrong state for the request.
    Conflict,
    /// Anything else.
    #[default]
    Failed,
}

impl Reason {
    fn is_usual(&self) -> bool {
        *self == Self::Failed
    }
}

fn is_nothing(bytes: &u64) -> bool {
    *bytes == 0
}

/// Answered or pushed by the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Answer {
    /// Done.
    Done,
    /// State of the main process.
    Status {
        /// State.
        state: State,
        /// Host pid of the main process.
        pid: i32,
        /// Its end.
        exit: Option<Exit>,
        /// Bytes of its output for which there was no room in the spool, nor for a word of them yet; older shims tell none.
        #[serde(default, skip_serializing_if = "is_nothing")]
        unspooled: u64,
    },
    /// A session was started.
    Started {
        /// Host pid.
        pid: i32,
    },
    /// Host pids.
    Pids {
        /// The pids.
        pids: Vec<i32>,
    },
    /// It failed.
    Error {
        /// Class.
        reason: Reason,
        /// Docker's text.
        text: String,
    },
    /// Event: the spool has grown.
    More,
    /// Event: the main process ended and its output is in the spool.
    Exited {
        /// How.
        exit: Exit,
    },
    /// Event: a session ended.
    ExecExited {
        /// Which.
        id: String,
        /// Exit code.
        code: i32,
    },
}

/// What the shim prints on its stdout once, in JSON, when the sandbox waits at the gate or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// Made.
    Created {
        /// Host pid of the main process.
        pid: i32,
    },
    /// Not made.
    Failed {
        /// What failed.
        text: String,
        /// Class; older shims tell none.
        #[serde(default, skip_serializing_if = "Reason::is_usual")]
        reason: Reason,
    },
}

/// A message as a frame.
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len() + 1).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut out = Vec::with_capacity(body.len() + 5);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(VERSION);
    out.extend_from_slice(&body);
    Ok(out)
}

/// Takes one whole frame from the front of `buffer`; `None` while it is incomplete.
pub fn decode<T: for<'a> Deserialize<'a>>(buffer: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some(length) = buffer.first_chunk::<4>().map(|b| u32::from_be_bytes(*b) as usize) else {
        return Ok(None);
    };
    if length == 0 || length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame of {length} bytes")));
    }
    let Some(frame) = buffer.get(4..4 + length) else { return Ok(None) };
    let message = serde_json::from_slice(frame.get(1..).unwrap_or_default())?;
    buffer.drain(..4 + length);
    Ok(Some(message))
}

/// Writes a frame, blocking.
pub fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

/// Reads a frame, blocking.
pub fn receive<T: for<'a> Deserialize<'a>>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut buffer = length.to_vec();
    buffer.resize(4 + (u32::from_be_bytes(length) as usize).min(MAX_FRAME), 0);
    from.read_exact(buffer.get_mut(4..).unwrap_or_default())?;
    decode(&mut buffer)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_frozen() {
        let text = |m: &[u8]| String::from_utf8_lossy(&m[5..]).into_owned();
        let start = encode(&Request::Start).unwrap();
        assert_eq!(start[..5], [0, 0, 0, 15, 1]);
        assert_eq!(text(&start), r#"{"do":"start"}"#);
        let exit = Exit { code: 137, at_ns: 5, oom_killed: true };
        let exited = encode(&Answer::Exited { exit }).unwrap();
        assert_eq!(text(&exited), r#"{"is":"exited","exit":{"code":137,"at_ns":5,"oom_killed":true}}"#);
        let resize = encode(&Request::Resize { exec: None, rows: 24, cols: 80 }).unwrap();
        assert_eq!(text(&resize), r#"{"do":"resize","exec":null,"rows":24,"cols":80}"#);
        let when_full = encode(&Request::WhenFull { drop: true }).unwrap();
        assert_eq!(text(&when_full), r#"{"do":"when_full","drop":true}"#);
    }

    #[test]
    fn frames_are_taken_whole_or_not_at_all() {
        let mut buffer = encode(&Request::Status).unwrap();
        let tail = buffer.split_off(7);
        assert_eq!(decode::<Request>(&mut buffer).unwrap(), None);
        buffer.extend(tail);
        assert_eq!(decode::<Request>(&mut buffer).unwrap(), Some(Request::Status));
        assert!(buffer.is_empty());
    }
}
