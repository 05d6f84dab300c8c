//! An archive's layers, unpacked beside one another.

use super::{Archive, Extent, Found, PACE, invalid};
use crate::making::Making;
use contract::image::{Passed, Progress, ProgressSink};
use contract::{Kind, PortError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Unpacks the layers that are missing, as many at once as there are cores.
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
    for (id, extent) in ids.iter().zip(&found.layers) {
        if !making.hold(id) && missing.iter().all(|(known, _)| *known != id) {
            missing.push((id, *extent));
        }
    }
    // The largest first (they are taken from the end): one that is begun last would be unpacked alone.
    missing.sort_by_key(|(_, extent)| extent.size);
    beside(missing, |(id, extent)| {
        let passed = loading(progress.clone(), id, extent.size);
        making.unpack(archive.read(extent), Some(id), Some(passed)).map(|_| ())
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
