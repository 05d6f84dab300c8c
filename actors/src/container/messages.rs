//! What a container's actor is asked and told.

use super::effects::{StartFailure, Started};
use crate::supervise::{Message, Reply};
use contract::PortError;
use contract::record::ContainerRecord;
use contract::runtime::{Exit, TaskStatus};
use tokio::sync::oneshot;

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
        condition: WaitCondition, /// Exit code.
        done: oneshot::Sender<Result<i32, PortError>> }
    /// Remove it.
    Remove { /// Kill it first.
        force: bool, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// Its name has changed.
    Renamed { /// New name.
        name: String, /// Answer.
        reply: Reply<Result<(), PortError>> }
    /// An exec session began or ended.
    ExecChanged { /// The session.
        exec: String, /// It runs.
        running: bool }
    /// What exists of it.
    Adopted { /// Its record.
        record: ContainerRecord, /// Its sandbox.
        status: TaskStatus }
    /// Its record cannot be read.
    AdoptFailed { /// Why.
        error: PortError }
    /// A start came to its end.
    StartDone { /// Which.
        attempt: u64, /// How.
        outcome: Result<Started, StartFailure> }
    /// Its process ended.
    Exited { /// Which start's.
        attempt: u64, /// How.
        exit: Exit }
    /// Its stop's grace is over.
    GraceOver { /// Which start's.
        attempt: u64 }
    /// Its policy's pause is over.
    RestartDue { /// Which start came before.
        attempt: u64 }
    /// Freezing or thawing is done.
    Frozen { /// Which.
        frozen: bool }
    /// Its removal came to its end.
    RemoveDone { /// How.
        outcome: Result<(), PortError> }
}
