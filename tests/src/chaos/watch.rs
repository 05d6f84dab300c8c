//! Those who read logs meanwhile.

use crate::daemon::Daemon;
use crate::ledger::{Sequence, entry};
use crate::process::{Output, Running};

/// A client that follows a container's log.
#[derive(Debug)]
pub(super) struct Follower {
    name: String,
    client: Running,
}

impl Follower {
    pub(super) fn start(gantry: &Daemon, name: &str) -> Self {
        Self { name: name.to_owned(), client: gantry.docker_running(["logs", "-f", "--tail", "20", name]) }
    }

    pub(super) fn ended(&mut self) -> bool {
        self.client.ended()
    }

    /// What it has been given has no hole and nothing twice.
    #[track_caller]
    pub(super) fn check(self) -> u64 {
        let [out, err] = [self.client.stdout(), self.client.stderr()];
        consecutive(&self.name, &out, &err, &mut Sequence::both())
    }
}

/// What `logs` gives of a container has no hole and nothing twice. Answers the count of lines.
#[track_caller]
pub(super) fn check_read(name: &str, read: &Output) -> u64 {
    consecutive(name, &read.stdout, &read.stderr, &mut Sequence::both())
}

#[track_caller]
fn consecutive(name: &str, out: &str, err: &str, streams: &mut [Sequence; 2]) -> u64 {
    let mut lines = 0;
    for (stream, text) in streams.iter_mut().zip([out, err]) {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let Some((of, at)) = entry(line) else {
                // The client's own words about a daemon that went.
                assert!(!line.starts_with(name), "{name}: read {line:?}");
                continue;
            };
            assert_eq!(of, name);
            stream.anywhere(at).unwrap_or_else(|e| panic!("{name}, as read: {e}"));
            lines += 1;
        }
    }
    lines
}
