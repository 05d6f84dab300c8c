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

/// The first pause before a restart by policy, doubled each time up to [`MAX_BACKOFF`] (moby restartmanager).
const BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// A run at least this long resets the pause.
const STABLE: Duration = Duration::from_secs(10);

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
}

impl Phase {
    /// A process exists.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Stopping)
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
    /// Not in this state.
    Refused(&'static str),
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
    backoff: Duration,
}

impl Machine {
    /// A container whose state is not known yet.
    pub fn new(attempt: u64) -> Self {
        Self { phase: Phase::Adopting, attempt, stopped_by_user: false, backoff: BACKOFF }
    }

    /// A start was asked for.
    pub fn start(&mut self) -> Verdict {
        match self.phase {
            Phase::Running | Phase::Stopping => Verdict::AlreadyThere,
            Phase::Paused => Verdict::Refused("cannot start a paused container, try unpause instead"),
            Phase::Starting => Verdict::Join,
            Phase::Removing => Verdict::Refused("container is marked for removal and cannot be started"),
            Phase::Adopting => Verdict::Refused("container is being recovered"),
            Phase::Created | Phase::Exited | Phase::Restarting => {
                self.phase = Phase::Starting;
                self.attempt += 1;
                self.stopped_by_user = false;
                Verdict::Proceed
            }
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

    /// A stop was asked for.
    pub fn stop(&mut self) -> Verdict {
        match self.phase {
            Phase::Running | Phase::Paused => {
                self.phase = Phase::Stopping;
                self.stopped_by_user = true;
                Verdict::Proceed
            }
            Phase::Stopping => Verdict::Join,
            Phase::Restarting => {
                self.phase = Phase::Exited;
                self.stopped_by_user = true;
                Verdict::AlreadyThere
            }
            Phase::Starting => Verdict::Refused("container is starting"),
            Phase::Created | Phase::Exited | Phase::Removing | Phase::Adopting => Verdict::AlreadyThere,
        }
    }

    /// A removal was asked for; `Join` means that its process must end first.
    pub fn remove(&mut self, force: bool) -> Verdict {
        match self.phase {
            Phase::Removing => Verdict::Refused("removal is already in progress"),
            Phase::Starting | Phase::Adopting => Verdict::Refused("container is starting: try again"),
            Phase::Paused if !force => Verdict::Refused("container is paused and must be unpaused first"),
            phase if phase.is_alive() && !force => {
                Verdict::Refused("container is running: stop the container before removing or force remove")
            }
            phase if phase.is_alive() => {
                self.phase = Phase::Stopping;
                self.stopped_by_user = true;
                Verdict::Join
            }
            _ => {
                self.phase = Phase::Removing;
                Verdict::Proceed
            }
        }
    }

    /// The process of an attempt has ended. Answers the pause before the policy's restart, if it restarts.
    pub fn exited(&mut self, attempt: u64, exit: Ended, spec: &ContainerSpec) -> Option<Option<Duration>> {
        if attempt != self.attempt || !self.phase.is_alive() {
            return None;
        }
        let (policy, most) = (spec.restart.0.as_str(), spec.restart.1);
        let again = !self.stopped_by_user
            && match policy {
                "always" | "unless-stopped" => true,
                "on-failure" => exit.code != 0 && (most == 0 || exit.restarts < most),
                _ => false,
            };
        if !again {
            self.phase = Phase::Exited;
            return Some(None);
        }
        if exit.ran >= STABLE {
            self.backoff = BACKOFF;
        }
        let pause = self.backoff;
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        self.phase = Phase::Restarting;
        Some(Some(pause))
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn machine(phase: Phase) -> Machine {
        Machine { phase, ..Machine::new(0) }
    }

    fn ended(code: i32) -> Ended {
        Ended { code, restarts: 0, ran: Duration::from_secs(1) }
    }

    #[test]
    fn a_second_start_joins_the_first() {
        let mut m = machine(Phase::Created);
        assert_eq!((m.start(), m.start()), (Verdict::Proceed, Verdict::Join));
        assert!(m.started(1, true, false));
        assert_eq!(m.start(), Verdict::AlreadyThere);
    }

    #[test]
    fn a_stale_exit_changes_nothing() {
        let mut m = machine(Phase::Running);
        m.attempt = 2;
        assert_eq!(m.exited(1, ended(0), &ContainerSpec::default()), None);
        assert_eq!(m.phase, Phase::Running);
    }

    #[test]
    fn on_failure_restarts_with_doubling_pauses_until_its_count() {
        let spec = ContainerSpec { restart: ("on-failure".into(), 2), ..ContainerSpec::default() };
        let mut m = machine(Phase::Running);
        assert_eq!(m.exited(0, ended(1), &spec), Some(Some(Duration::from_millis(100))));
        m.phase = Phase::Running;
        assert_eq!(m.exited(0, ended(1), &spec), Some(Some(Duration::from_millis(200))));
        m.phase = Phase::Running;
        assert_eq!(m.exited(0, Ended { restarts: 2, ..ended(1) }, &spec), Some(None));
    }

    #[test]
    fn a_stopped_container_is_not_restarted_by_its_policy() {
        let spec = ContainerSpec { restart: ("always".into(), 0), ..ContainerSpec::default() };
        let mut m = machine(Phase::Running);
        assert_eq!(m.stop(), Verdict::Proceed);
        assert_eq!(m.exited(0, ended(143), &spec), Some(None));
    }

    proptest! {
        #[test]
        fn no_sequence_of_requests_removes_a_living_container_unforced(steps in prop::collection::vec(0u8..6, 0..40)) {
            let mut m = machine(Phase::Created);
            let spec = ContainerSpec::default();
            for step in steps {
                let alive = m.phase.is_alive();
                match step {
                    0 => drop(m.start()),
                    1 => drop(m.started(m.attempt, true, false)),
                    2 => drop(m.stop()),
                    3 => drop(m.exited(m.attempt, ended(0), &spec)),
                    4 => drop(m.started(m.attempt, false, true)),
                    _ => {
                        let verdict = m.remove(false);
                        if alive { prop_assert!(matches!(verdict, Verdict::Refused(_))); }
                    }
                }
                if m.phase == Phase::Removing { break; }
            }
        }
    }
}
