//! What all receivers of log lines have in common, whatever they speak.

use crate::process::Running;
use nix::sys::signal::Signal;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// A receiver that fails as its process can.
pub trait Receiver {
    /// Its process, if it runs.
    fn process(&mut self) -> &mut Option<Running>;

    /// Starts it after [`Receiver::kill`], on every address of the host.
    fn start_again(&mut self);

    /// The texts that arrived since the last call, in its own terms.
    fn news(&mut self) -> Vec<String>;

    /// SIGKILL; what it has kept stays.
    fn kill(&mut self) {
        *self.process() = None;
    }

    /// An orderly end, which it may use to keep what it has read.
    fn end(&mut self) {
        if let Some(running) = self.process().take() {
            running.signal(Signal::SIGTERM);
            running.finish();
        }
    }

    /// Its kernel goes on taking connections and bytes, it reads nothing.
    fn hang(&mut self) {
        self.process().as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// It goes on where it hung.
    fn go_on(&mut self) {
        self.process().as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// Answers as told from now on: `ok` or an HTTP status.
    fn answer(&self, _how: &str) {
        panic!("it has nothing to answer with");
    }
}

/// A file that grows by lines.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    offset: u64,
}

impl Tail {
    pub(crate) fn of(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// The whole lines that came since the last call.
    pub(crate) fn news(&mut self) -> String {
        let mut bytes = Vec::new();
        // Nothing has come yet where there is no file.
        if let Ok(mut file) = std::fs::File::open(&self.path) {
            file.seek(SeekFrom::Start(self.offset)).expect("go on in what was received");
            file.read_to_end(&mut bytes).expect("read what was received");
        }
        bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1));
        self.offset += bytes.len() as u64;
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
