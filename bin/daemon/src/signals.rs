//! The signals that a daemon hears.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// As many wishes to end force it (moby `cmd/dockerd/trap`).
const FORCED: u32 = 3;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Read the configuration again.
    Reload,
    /// End.
    End,
}

/// Heard from now on; those that come before they are asked for wait.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes them over from the kernel, which would end the process.
    pub fn hear() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("hear SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("hear SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("hear SIGHUP")?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Wish {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        };
        tracing::info!("Processing signal '{name}'");
        if name == "SIGHUP" { Wish::Reload } else { Wish::End }
    }

    /// Resolves when the daemon, which has been asked to end once, is not to wait for its end; with the exit code.
    pub async fn forced(&mut self) -> i32 {
        let mut wishes = 1;
        loop {
            let number = tokio::select! {
                _ = self.terminate.recv() => libc::SIGTERM,
                _ = self.interrupt.recv() => libc::SIGINT,
                _ = self.hangup.recv() => continue,
            };
            wishes += 1;
            if wishes >= FORCED {
                return 128 + number;
            }
            tracing::info!("the daemon is ending already; a third signal ends it at once");
        }
    }
}
