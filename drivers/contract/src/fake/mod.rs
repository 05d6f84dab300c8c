//! In-memory ports for tests of what stands on them: they keep state as the real ones do, so a daemon or an actor that
//! is rebuilt finds what the one before it left. Failures and delays are scripted by verb.

mod archives;
mod images;
mod logs;
mod network_records;
mod networks;
mod records;
mod runtime;
mod script;
mod spool;
mod volumes;

pub use archives::FakeArchives;
pub use images::FakeImages;
pub use logs::{FakeCatalogue, FakeKind, Keeps};
pub use network_records::FakeNetworkRecords;
pub use networks::FakeNetworks;
pub use records::{FakeRecords, FakeRoots};
pub use runtime::FakeRuntime;
pub use script::{Hold, Script};
pub use spool::{FakeSpool, FakeSpools};
pub use volumes::FakeVolumes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A test that panicked with the lock held has its own report; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A machine: everything that outlives a daemon.
pub struct World {
    /// What fails or waits, and what was called.
    pub script: Script,
    /// Sandboxes.
    pub runtime: Arc<FakeRuntime>,
    /// Their output.
    pub spools: Arc<FakeSpools>,
    /// Container records.
    pub records: Arc<FakeRecords>,
    /// Container roots.
    pub roots: Arc<FakeRoots>,
    /// What is inside containers.
    pub archives: Arc<FakeArchives>,
    /// Images.
    pub images: Arc<FakeImages>,
    /// Records of networks.
    pub network_records: Arc<FakeNetworkRecords>,
    /// Bridges and endpoints.
    pub networks: Arc<FakeNetworks>,
    /// Volumes.
    pub volumes: Arc<FakeVolumes>,
}

impl World {
    /// An empty machine.
    pub fn new() -> Self {
        let script = Script::default();
        let spools = Arc::new(FakeSpools::default());
        Self {
            runtime: Arc::new(FakeRuntime::new(script.clone(), Arc::clone(&spools))),
            records: Arc::new(FakeRecords::new(script.clone(), Arc::clone(&spools))),
            roots: Arc::new(FakeRoots::new(script.clone())),
            archives: Arc::new(FakeArchives::new(script.clone())),
            images: Arc::new(FakeImages::new(script.clone())),
            network_records: Arc::new(FakeNetworkRecords::new(script.clone())),
            networks: Arc::new(FakeNetworks::new(script.clone())),
            volumes: Arc::new(FakeVolumes::new(script.clone())),
            spools,
            script,
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
