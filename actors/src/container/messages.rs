//! What a container's actor is asked and told.

use super::machine::Force;
use super::update::Changes;
use crate::supervise::{Message, Reply};
use contract::PortError;
use contract::record::{Attachment, ContainerRecord, ContainerSpec, ContainerState, Probe};
use contract::runtime::{Exit, TaskStatus};
use contract::usage::Shortage;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What goes with a container that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Along {
    /// Nothing of what outlives it.
    Nothing,
    /// Its anonymous volumes, unless others use them.
    Volumes,
}

/// When a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// As soon as it does not run.
    NotRunning,
    /// At its next end.
    NextExit,
    /// When it is removed.
    Removed,
}

/// A network more or less.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// `connect`, `disconnect`.
    pub action: &'static str,
}

/// What somebody who reaches into a container needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its layers.
    Layers,
    /// Its volumes and binds too.
    Mounts,
}

/// A container that somebody reaches into.
pub struct Borrowed {
    /// Its configuration, which knows where its volumes lie now.
    pub spec: Arc<ContainerSpec>,
    /// Its main process; 0 when it does not run.
    pub pid: i32,
    /// While this is held, one that does not run stays so, and stays.
    pub hold: Option<oneshot::Sender<()>>,
}

macro_rules! told {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        pub struct $name { $($(#[$field_doc])* pub $field: $kind),* }
        impl Message for $name { type Result = (); }
    )*};
}

told! {
    /// Start it; true when this did it.
    Start { /// Answer.
        reply: Reply<Result<bool, PortError>> }
    /// Stop it; true when it ran.
    Stop { /// Seconds of grace; -1 for ever.
        grace: Option<i64>, /// Signal instead of its own.
        signal: Option<i32>, /// Answer.
        reply: Reply<Result<bool, PortError>> }
    /// Stop it if it runs, and start it.
    Restart { /// Seconds of grace; -1 for ever.
        grace: Option<i64>, /// Signal instead of its own.
        signal: Option<i32>, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// Stop it because the daemon ends; true when it ran.
    Quit { /// Seconds of grace instead of its own; -1 for ever.
        grace: Option<i64>, /// Answer.
        reply: Reply<Result<bool, PortError>> }
    /// Answers once it is known what exists of it.
    Known { /// Answer.
        reply: Reply<()> }
    /// Signal it.
    Kill { /// Number.
        signal: i32, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// Freeze or thaw it.
    Freeze { /// Which.
        frozen: bool, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// Wait for its end.
    Wait { /// Which end.
        condition: WaitCondition, /// Ends there had been when the wait was asked for.
        seen: u64, /// Exit code.
        done: oneshot::Sender<Result<i32, PortError>> }
    /// Remove it.
    Remove { /// Whether what runs is killed first.
        force: Force, /// What goes with it.
        along: Along, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// Change its limits or its restart policy.
    Update { /// To what.
        changes: Changes, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// A change came to its end.
    Updated { /// What was in force before.
        before: Arc<ContainerSpec>, /// What was to be.
        after: Arc<ContainerSpec>, /// During which start it was begun.
        attempt: u64, /// How it ended.
        outcome: Result<(), PortError>, /// Whoever asked.
        reply: Reply<Result<(), PortError>> }
    /// Want of memory has led to something.
    Short { /// Which start's.
        attempt: u64, /// What.
        news: Shortage }
    /// Reach into it: as it runs, or while it is kept from starting.
    Borrow { /// What is needed of it.
        part: Part, /// Answer.
        reply: Reply<Result<Borrowed, PortError>> }
    /// It is no build's any more.
    Keep { /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// Its name has changed.
    Renamed { /// New name.
        name: String, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// It is to be on one more network.
    Connect { /// The network's name.
        name: String, /// What is asked of it.
        attachment: Attachment, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// It is to be on a network no more.
    Disconnect { /// The network's name.
        name: String, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// While it ran, its networks were changed.
    Switched { /// Of which start.
        attempt: u64, /// What was changed.
        change: Change, /// Its networks now.
        outcome: Result<Box<ContainerState>, PortError>, /// Whoever asked.
        reply: Reply<Result<(), PortError>> }
    /// A link of its is taken away.
    Unlink { /// The name under which it has the other.
        alias: String, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// An exec session began or ended.
    ExecChanged {}
    /// What exists of it.
    Adopted { /// Its record.
        record: ContainerRecord, /// Its sandbox.
        status: TaskStatus }
    /// Its record is gone: an earlier incarnation removed it.
    Gone {}
    /// Its record or its shim cannot be read.
    AdoptFailed { /// Why.
        error: PortError }
    /// It is tried again.
    AdoptAgain {}
    /// A start came to its end.
    StartDone { /// Which.
        attempt: u64, /// What is recorded of it now.
        state: Box<ContainerState>, /// Its pid, or why there is none.
        outcome: Result<i32, PortError> }
    /// Its process ended.
    Exited { /// Which start's.
        attempt: u64, /// How.
        exit: Exit }
    /// Its stop's grace is over.
    GraceOver { /// Which start's.
        attempt: u64 }
    /// A signal could not be sent.
    NotSent { /// To which start's.
        attempt: u64, /// Why.
        error: PortError }
    /// Time enough has passed since it was killed.
    KillOver { /// Which start's.
        attempt: u64 }
    /// Its policy's pause is over.
    RestartDue { /// Which start came before.
        attempt: u64 }
    /// A probe of its health is due.
    ProbeDue { /// In which start.
        attempt: u64, /// In which stretch of its running.
        round: u64 }
    /// A probe of its health is over.
    Probed { /// In which start.
        attempt: u64, /// In which stretch of its running.
        round: u64, /// What it found.
        probe: Probe }
    /// Freezing or thawing is done.
    Frozen { /// Which.
        frozen: bool, /// Of which start.
        attempt: u64, /// Whoever asked.
        reply: Option<Reply<Result<(), PortError>>> }
    /// Its removal came to its end.
    RemoveDone { /// How.
        outcome: Result<(), PortError> }
}
