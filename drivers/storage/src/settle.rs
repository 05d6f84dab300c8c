//! Layers brought to the disk behind everybody's back.
//!
//! Nobody waits until a layer is on the disk. Until it is, a mark lies in its folder, made before the layer has its name:
//! a file system that keeps the order of names (all that overlay is used on do) cannot have the layer without it. A mark of
//! another boot of the machine says that the power may have gone first: such a layer is read back before it is used.

use crate::file::failed;
use contract::PortError;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Name of the mark, which holds the boot's id.
const MARK: &str = "unsynced";
/// Changes with every boot (proc(5)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

#[derive(Debug, Default)]
struct State {
    /// Folders whose mark waits for the next round.
    waiting: BTreeSet<PathBuf>,
    running: bool,
}

/// Brings layers of one folder to the disk.
#[derive(Debug, Clone)]
pub(crate) struct Settling {
    base: PathBuf,
    boot: String,
    state: Arc<Mutex<State>>,
}

/// What a layer's mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The layer is on the disk.
    None,
    /// The machine has run ever since: the kernel still has what the disk has not.
    Pending,
    /// The power may have gone before all was on the disk.
    Doubt,
}

/// A mark that was cut short is of another boot: this one's kernel would still have it whole.
fn meaning(mark: Option<&str>, boot: &str) -> Mark {
    match mark {
        None => Mark::None,
        Some(text) if !boot.is_empty() && text == boot => Mark::Pending,
        Some(_) => Mark::Doubt,
    }
}

impl Settling {
    pub(crate) fn new(base: &Path) -> Self {
        // A kernel that does not tell makes every mark a doubt.
        let boot = std::fs::read_to_string(BOOT).unwrap_or_default().trim().to_owned();
        Self { base: base.to_owned(), boot, state: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a layer that has no name yet.
    pub(crate) fn mark(&self, layer: &Path) -> Result<(), PortError> {
        let mark = layer.join(MARK);
        std::fs::write(&mark, &self.boot).map_err(failed("writing", &mark))
    }

    /// The layer has its name now: the next round takes it along.
    pub(crate) fn named(&self, layer: &Path) {
        self.lock().waiting.insert(layer.to_owned());
    }

    /// Looks at the mark of a layer that was here before; whether the layer is to be read back.
    pub(crate) fn is_doubtful(&self, layer: &Path) -> io::Result<bool> {
        let mark = match std::fs::read(layer.join(MARK)) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        match meaning(mark.as_deref(), &self.boot) {
            Mark::None => Ok(false),
            Mark::Pending => {
                self.named(layer);
                Ok(false)
            }
            Mark::Doubt => Ok(true),
        }
    }

    /// Brings to the disk, in a thread of its own, what has a name by now; answers at once.
    pub(crate) fn begin(&self) {
        let mut state = self.lock();
        if state.running || state.waiting.is_empty() {
            return;
        }
        let settling = self.clone();
        let begun = std::thread::Builder::new().name("settling".into()).spawn(move || settling.run());
        match begun {
            Ok(_) => state.running = true,
            // The marks stay, and the next layer tries again.
            Err(error) => tracing::warn!("beginning to sync layers: {error}"),
        }
    }

    fn run(&self) {
        loop {
            let layers = {
                let mut state = self.lock();
                state.running = !state.waiting.is_empty();
                if !state.running {
                    return;
                }
                std::mem::take(&mut state.waiting)
            };
            if let Err(error) = self.settle(&layers) {
                // Nothing is worse than before: the marks stay until the next start.
                tracing::warn!("syncing {}: {error}", self.base.display());
            }
        }
    }

    fn settle(&self, layers: &BTreeSet<PathBuf>) -> io::Result<()> {
        rustix::fs::syncfs(std::fs::File::open(&self.base)?)?;
        layers.iter().try_for_each(|layer| unmark(layer))
    }
}

/// The layer is on the disk, or was found whole there.
pub(crate) fn unmark(layer: &Path) -> io::Result<()> {
    match std::fs::remove_file(layer.join(MARK)) {
        // It was removed meanwhile.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_of_this_boot_is_trusted() {
        assert_eq!(meaning(None, "b"), Mark::None);
        assert_eq!(meaning(Some("b"), "b"), Mark::Pending);
        for text in ["", "a", "b and more"] {
            assert_eq!(meaning(Some(text), "b"), Mark::Doubt);
        }
        assert_eq!(meaning(Some(""), ""), Mark::Doubt);
    }

    #[test]
    fn a_mark_goes_once_its_layer_is_on_the_disk() {
        let base = tempfile::tempdir().unwrap();
        let (settling, layer) = (Settling::new(base.path()), base.path().join("layer"));
        std::fs::create_dir(&layer).unwrap();
        settling.mark(&layer).unwrap();
        settling.named(&layer);
        settling.begin();
        while layer.join(MARK).exists() {
            std::thread::yield_now();
        }
    }
}
