//! What a container does next, decided without doing it.
//!
//! ```text
//!  Created ──start──► Starting ──ok──► Running ◄──► Paused
//!     ▲                  │ failed         │ stop        │
//!     └──────────────────┘                ▼             ▼
//!  Exited ◄────────────── process ends ── Stopping ◄────┘
//!     │  ▲
//!     │  └─ Restarting (policy) ──► Starting
//!     └──► Removing ──► gone
//! ```

use contract::record::ContainerSpec;
use std::time::Duration;

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// What exists is being found out.
    Adopting,
    /// Never started.
    Created,
    /// A start is under way.
    Starting,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// A stop signal was sent.
    Stopping,
    /// Ended.
    Exited,
    /// Waits for its policy's pause.
    Restarting,
    /// Being removed.
    Removing,
    /// Its removal failed: it can only be removed again.
    Dead,
}

impl Phase {
    /// A process exists.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Stopping)
    }

    /// What exists is not known until something under way has come to its end.
    pub fn is_unsettled(self) -> bool {
        matches!(self, Self::Adopting | Self::Starting)
    }
}

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Goes ahead.
    Proceed,
    /// It already is as asked.
    AlreadyThere,
    /// The answer comes with what is under way.
    Join,
    /// It is asked again once what is under way has come to its end.
    Later,
    /// It only waited to be restarted, and does not any more.
    Ended,
    /// Not in this state.
    Refused(&'static str),
}

/// Who starts a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A request.
    User,
    /// Its restart policy.
    Policy,
}

/// How strongly a removal is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Only what does not run.
    No,
    /// What runs is killed first.
    Kill,
}

/// What follows an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Rest,
    /// A start by policy, after a pause.
    After(Duration),
    /// A start at once: a restart was asked for.
    Again,
    /// A start by policy, when the next daemon starts.
    Later,
}

/// Decides and remembers.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Where it stands.
    pub phase: Phase,
    /// Number of the start under way or running; results of others are stale.
    pub attempt: u64,
    /// The user wants it stopped: the policy does not apply.
    pub stopped_by_user: bool,
    /// It is being stopped in order to be started.
    again: bool,
    /// The last pause before a restart by policy, if it was not one of the user's that came after it.
    pause: Option<Duration>,
    /// The daemon ends and takes it along.
    pub ending: bool,
}

impl Machine {
    /// A container whose state is not known yet.
    pub fn new(attempt: u64) -> Self {
        Self {
            phase: Phase::Adopting,
            attempt,
            stopped_by_user: false,
            again: false,
            pause: None,
            ending: false,
        }
    }

    /// A start was asked for, or is due.
    pub fn start(&mut self, by: By) -> Verdict {
        match (self.phase, by) {
            (Phase::Adopting, _) => Verdict::Later,
            (Phase::Running | Phase::Stopping, _) | (Phase::Restarting, By::User) => Verdict::AlreadyThere,
            (Phase::Paused, _) => Verdict::Refused("cannot start a paused container, try unpause instead"),
            (Phase::Starting, _) => Verdict::Join,
            (Phase::Removing | Phase::Dead, _) => {
                Verdict::Refused("container is marked for removal and cannot be started")
            }
            (Phase::Created | Phase::Exited, _) | (Phase::Restarting, By::Policy) => {
                self.begin(by);
                Verdict::Proceed
            }
        }
    }

    fn begin(&mut self, by: By) {
        self.phase = Phase::Starting;
        self.attempt += 1;
        if by == By::User {
            self.stopped_by_user = false;
            self.pause = None;
        }
    }

    /// A start has come to its end; false when it is not the one under way.
    pub fn started(&mut self, attempt: u64, ok: bool, ran_before: bool) -> bool {
        if self.phase != Phase::Starting || attempt != self.attempt {
            return false;
        }
        self.phase = match (ok, ran_before) {
            (true, _) => Phase::Running,
            (false, true) => Phase::Exited,
            (false, false) => Phase::Created,
        };
        true
    }

    /// A stop was asked for. Each one sends its signal and has its own patience.
    pub fn stop(&mut self) -> Verdict {
        match self.phase {
            Phase::Running | Phase::Paused | Phase::Stopping => {
                self.phase = Phase::Stopping;
                self.stopped_by_user = true;
                self.again = false;
                Verdict::Proceed
            }
            Phase::Restarting => self.give_up_restarting(),
            Phase::Starting | Phase::Adopting => Verdict::Later,
            Phase::Created | Phase::Exited | Phase::Removing | Phase::Dead => Verdict::AlreadyThere,
        }
    }

    /// The daemon ends and takes it along. That is no wish of the user's: its policy applies when the next one starts.
    pub fn quit(&mut self) -> Verdict {
        self.ending = true;
        match self.phase {
            Phase::Running | Phase::Paused | Phase::Stopping => {
                self.phase = Phase::Stopping;
                // A restart that was asked for becomes one by the next daemon.
                self.stopped_by_user &= !std::mem::take(&mut self.again);
                Verdict::Proceed
            }
            Phase::Starting | Phase::Adopting => Verdict::Later,
            _ => Verdict::AlreadyThere,
        }
    }

    /// A restart was asked for: `Join` means that its process must end first.
    pub fn restart(&mut self) -> Verdict {
        match self.phase {
            Phase::Running | Phase::Paused | Phase::Stopping => {
                self.phase = Phase::Stopping;
                self.stopped_by_user = true;
                self.again = true;
                Verdict::Join
            }
            Phase::Restarting => {
                self.begin(By::User);
                Verdict::Proceed
            }
            _ => self.start(By::User),
        }
    }

    fn give_up_restarting(&mut self) -> Verdict {
        self.phase = Phase::Exited;
        self.stopped_by_user = true;
        Verdict::Ended
    }

    /// A signal was asked for; `ends` when Docker takes it for a wish to end the container.
    pub fn kill(&mut self, ends: bool) -> Verdict {
        match self.phase {
            phase if phase.is_alive() => {
                self.stopped_by_user |= ends;
                self.again &= !ends;
                Verdict::Proceed
            }
            Phase::Restarting if ends => self.give_up_restarting(),
            Phase::Restarting => Verdict::AlreadyThere,
            Phase::Starting | Phase::Adopting => Verdict::Later,
            _ => Verdict::Refused("is not running"),
        }
    }

    /// Killing did not end it.
    pub fn survived(&mut self) {
        if self.phase == Phase::Stopping {
            self.phase = Phase::Running;
            self.again = false;
        }
    }

    /// A removal was asked for; `Join` means that its process must end first.
    pub fn remove(&mut self, force: Force) -> Verdict {
        match (self.phase, force) {
            (Phase::Removing, _) => Verdict::AlreadyThere,
            (Phase::Starting | Phase::Adopting, _) => Verdict::Later,
            (Phase::Paused, Force::No) => Verdict::Refused("container is paused and must be unpaused first"),
            (Phase::Restarting, Force::No) => Verdict::Refused(
                "container is restarting: stop the container before removing or force remove",
            ),
            (phase, Force::No) if phase.is_alive() => {
                Verdict::Refused("container is running: stop the container before removing or force remove")
            }
            (phase, Force::Kill) if phase.is_alive() => {
                self.phase = Phase::Stopping;
                self.stopped_by_user = true;
                self.again = false;
                Verdict::Join
            }
            _ => {
                self.phase = Phase::Removing;
                Verdict::Proceed
            }
        }
    }

    /// The process of an attempt has ended; `None` when it is not the one that ran.
    pub fn exited(&mut self, attempt: u64, exit: Ended, spec: &ContainerSpec) -> Option<Next> {
        if attempt != self.attempt || !self.phase.is_alive() {
            return None;
        }
        if std::mem::take(&mut self.again) {
            self.begin(By::User);
            return Some(Next::Again);
        }
        let (policy, most) = (spec.restart.0.as_str(), spec.restart.1);
        let wanted = !self.stopped_by_user
            && match policy {
                "always" | "unless-stopped" => true,
                "on-failure" => exit.code != 0 && (most == 0 || exit.restarts < most),
                _ => false,
            };
        if !wanted {
            self.phase = Phase::Exited;
            return Some(Next::Rest);
        }
        if self.ending {
            self.phase = Phase::Exited;
            return Some(Next::Later);
        }
        let last = self.pause.filter(|_| exit.ran < spec.backoff.reset);
        let pause = last.map_or(spec.backoff.min, |last| last.saturating_mul(2)).min(spec.backoff.max);
        self.pause = Some(pause);
        self.phase = Phase::Restarting;
        Some(Next::After(pause))
    }
}

/// How a process ended, as far as the policy asks.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Restarts so far.
    pub restarts: i64,
    /// How long it ran.
    pub ran: Duration,
}

#[cfg(test)]
mod tests;
