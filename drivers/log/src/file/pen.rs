//! Which of a log's open drivers writes it. A write that hangs in the disk outlives the router that asked for it: whoever
//! opens the log meanwhile waits for its end, and who was open before writes no more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// How often a log was opened.
type Count = Arc<Mutex<u64>>;
static LOGS: LazyLock<Mutex<HashMap<PathBuf, Count>>> = LazyLock::new(Mutex::default);

/// The right to write a log, until it is opened again.
#[derive(Clone)]
pub(crate) struct Pen {
    count: Count,
    own: u64,
}

impl Pen {
    /// Takes it from whoever has it, when that has come to the end of a write; nobody writes until `work` is done.
    pub(crate) fn take<T>(log: &Path, work: impl FnOnce(Self) -> T) -> T {
        let count = {
            let mut logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
            logs.retain(|_, count| Arc::strong_count(count) > 1);
            Arc::clone(logs.entry(log.to_owned()).or_default())
        };
        let mut latest = count.lock().unwrap_or_else(PoisonError::into_inner);
        *latest += 1;
        work(Self { count: Arc::clone(&count), own: *latest })
    }

    /// Nobody else writes while this is held; none if the log was opened again.
    pub(crate) fn hold(&self) -> Option<MutexGuard<'_, u64>> {
        let held = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        (*held == self.own).then_some(held)
    }
}
