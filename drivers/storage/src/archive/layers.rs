//! An archive's layers, unpacked beside one another.

use super::{Archive, Content, Extent, Found, PACE, invalid};
use crate::core::Core;
use crate::layers::Half;
use crate::making::Making;
use crate::pieces::{Cut, Digesting, Pieces};
use contract::image::{Passed, Progress, ProgressSink};
use contract::{Kind, PortError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What is known of a layer that is on its way.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// The digest it is named after.
    pub(super) called: Option<String>,
    pub(super) packed: bool,
    pub(super) size: u64,
}

/// What became of a layer that was unpacked while it came.
pub(super) struct Made {
    outcome: Result<Unnamed, PortError>,
    size: u64,
}

struct Unnamed {
    /// Nothing once it has its name.
    half: Mutex<Option<Half>>,
    diff_id: String,
    /// Digest of the file as it lies in the archive.
    digest: String,
}

/// Unpacks what looks like a layer.
pub(super) fn make(core: &Core, layer: impl Pieces, way: &Way, progress: &ProgressSink) -> Made {
    let shown = way.called.as_ref().map(|id| loading(progress.clone(), id, way.size));
    let mut layer = Digesting::new(layer);
    let made = match way.packed {
        true => core.layers.make(&mut layer, shown).map(|half| (half, Some(layer.digest()))),
        // Its diff id is that of all its bytes.
        false => core.layers.make(layer.into_inner(), shown).map(|half| (half, None)),
    };
    let outcome = made.map(|(half, digest)| {
        let diff_id = half.diff_id().to_owned();
        let digest = digest.unwrap_or_else(|| diff_id.clone());
        Unnamed { half: Mutex::new(Some(half)), diff_id, digest }
    });
    Made { outcome, size: way.size }
}

impl Made {
    /// Digest and size of the file.
    pub(super) fn file(&self) -> Result<(String, u64), PortError> {
        match &self.outcome {
            Ok(layer) => Ok((layer.digest.clone(), self.size)),
            Err(error) => Err(PortError::new(error.kind, error.text.clone())),
        }
    }

    /// Gives the layer its name, if it has this diff id.
    fn name(&self, making: &Making, diff_id: &str) -> Result<(), PortError> {
        let layer = match &self.outcome {
            Ok(layer) => layer,
            Err(error) => return Err(PortError::new(error.kind, error.text.clone())),
        };
        let half = layer.half.lock().unwrap_or_else(PoisonError::into_inner).take();
        match half {
            Some(half) => making.publish(half, Some(diff_id)).map(drop),
            // An image before had it; it is held, so it is there unless it is another one.
            None => Err(crate::layers::mismatch(&layer.diff_id, diff_id)),
        }
    }
}

/// Brings the layers in that are missing: those that were unpacked get their names, the others are unpacked, as many at
/// once as there are cores.
pub(super) fn bring(
    archive: &Archive,
    making: &Making,
    found: &Found,
    progress: &ProgressSink,
) -> Result<(), PortError> {
    let ids = crate::config::diff_ids(&found.config)?;
    if ids.len() != found.layers.len() {
        return Err(invalid(format!(
            "invalid manifest, layers length mismatch: expected {}, got {}",
            found.layers.len(),
            ids.len()
        )));
    }
    let mut missing: Vec<(&String, Extent)> = Vec::new();
    for (id, content) in ids.iter().zip(&found.layers) {
        match content {
            _ if making.hold(id) => {}
            Content::Aside(extent) if missing.iter().all(|(known, _)| *known != id) => {
                missing.push((id, *extent));
            }
            Content::Aside(_) => {}
            Content::Layer(number) => {
                let made = archive.made(*number)?;
                made.name(making, id)?;
                loading(progress.clone(), id, made.size)(made.size);
            }
        }
    }
    // The largest first (they are taken from the end): one that is begun last would be unpacked alone.
    missing.sort_by_key(|(_, extent)| extent.size);
    beside(missing, |(id, extent)| {
        let passed = loading(progress.clone(), id, extent.size);
        making.unpack(Cut(archive.read(extent)), Some(id), Some(passed)).map(|_| ())
    })
}

/// What is left to do, and why no more of it is done.
struct Work<T> {
    left: Vec<T>,
    failed: Option<PortError>,
}

fn lock<T>(work: &Mutex<Work<T>>) -> MutexGuard<'_, Work<T>> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works on all items, the last first. After a failure nothing more is begun, and the first is the answer.
fn beside<T: Send>(left: Vec<T>, work: impl Fn(T) -> Result<(), PortError> + Sync) -> Result<(), PortError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(left.len());
    let all = Mutex::new(Work { left, failed: None });
    let run = || {
        loop {
            let next = {
                let mut all = lock(&all);
                if all.failed.is_some() { None } else { all.left.pop() }
            };
            let Some(item) = next else { return };
            if let Err(error) = work(item) {
                lock(&all).failed.get_or_insert(error);
            }
        }
    };
    let broken = std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores)
            .map(|_| std::thread::Builder::new().name("layers".into()).spawn_scoped(scope, run))
            .collect();
        run();
        // One that could not be begun leaves its work to the others.
        others.into_iter().flatten().any(|other| other.join().is_err())
    });
    if broken {
        return Err(PortError::new(Kind::Bug, "unpacking a layer broke off"));
    }
    all.into_inner().unwrap_or_else(PoisonError::into_inner).failed.map_or(Ok(()), Err)
}

/// Shows how far a layer is.
fn loading(progress: ProgressSink, diff_id: &str, total: u64) -> Passed {
    let id = diff_id.get(7..19).unwrap_or(diff_id).to_owned();
    let shown = Mutex::new(None::<Instant>);
    Arc::new(move |current| {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if current == total || shown.is_none_or(|at| at.elapsed() >= PACE) {
            *shown = Some(Instant::now());
            let line = Progress { status: "Loading layer".into(), id: id.clone(), current, total };
            // A client that does not keep up misses some.
            let _missed = progress.try_send(line);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everything_is_worked_on_once() {
        let done = Mutex::new(BTreeSet::new());
        beside((0..100).collect(), |n| {
            assert!(done.lock().unwrap().insert(n));
            Ok(())
        })
        .unwrap();
        assert_eq!(done.lock().unwrap().len(), 100);
        beside(Vec::<u8>::new(), |_| Ok(())).unwrap();
    }

    #[test]
    fn after_a_failure_nothing_more_is_begun() {
        let begun = Mutex::new(0);
        let outcome = beside((0..1000).collect::<Vec<u32>>(), |_| {
            *begun.lock().unwrap() += 1;
            Err(PortError::new(Kind::Invalid, "no"))
        });
        assert_eq!(outcome.unwrap_err().text, "no");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(*begun.lock().unwrap() <= cores);
    }
}
