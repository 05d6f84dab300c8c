//! What a router hears.

use super::machine::{Asked, Extent, Failure, Refusal};
use crate::log::cut::Cut;
use crate::log::gap::Gaps;
use contract::log::{Cursor, Loss, Losses};

/// What sinks and detached work tell the router.
pub enum Report {
    /// The sink's actor has (re)started.
    Up {
        /// Which.
        sink: usize,
    },
    /// Its driver is open.
    Opened {
        /// Which.
        sink: usize,
        /// The try this answers.
        attempt: u64,
        /// Where it stands.
        cursor: Cursor,
    },
    /// A batch arrived.
    Delivered {
        /// Which.
        sink: usize,
        /// The try this answers.
        attempt: u64,
        /// What was refused of it.
        refused: Option<Refusal>,
        /// What the far side is sure to have read ends here; none = with the batch.
        certain: Option<Cursor>,
    },
    /// The far side has read everything that was delivered.
    Certain {
        /// Whose.
        sink: usize,
    },
    /// It did not, or opening failed.
    Failed {
        /// Which.
        sink: usize,
        /// The try this answers.
        attempt: u64,
        /// Why.
        failure: Failure,
    },
    /// A pause is over.
    Waited {
        /// Which.
        sink: usize,
        /// The try that waited.
        attempt: u64,
    },
    /// What is on disk about a sink was read.
    Found {
        /// Which.
        sink: usize,
        /// Where it stands, unless it keeps that itself.
        cursor: Option<Cursor>,
        /// What it was not given.
        losses: Losses,
    },
    /// A batch was read.
    Read {
        /// Who asked.
        sink: usize,
        /// What was asked for.
        asked: Asked,
        /// The incarnation that asked.
        incarnation: u32,
        /// The batch.
        result: Result<Cut, String>,
    },
    /// Lines were passed over.
    Passed {
        /// Whose.
        sink: usize,
        /// The effect's number.
        number: u64,
        /// Which, and what stood among them.
        result: Result<(Loss, Gaps), String>,
    },
    /// What a sink was not given is on disk.
    Stored {
        /// Which.
        sink: usize,
        /// Its version.
        version: u64,
        /// It is really there.
        done: bool,
        /// The incarnation that asked.
        incarnation: u32,
    },
    /// The spool was measured.
    Measured {
        /// What was found.
        result: Result<Extent, String>,
    },
    /// There may be more to read.
    More,
    /// What stands in the spool may be over by now.
    Look,
}
