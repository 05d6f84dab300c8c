//! Whose a plugin's logger of a container is. Plugins know loggers by their containers and forget the container with any of
//! them that is told to stop, so there is none for somebody who reads while sinks have theirs.

use super::Places;
use super::client::{CallError, Plugin};
use super::fifo::Fifo;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{MutexGuard, watch};
use tokio::time::timeout;

/// How long somebody who reads waits for a sink that is about to have its logger stopped.
const STOPS: Duration = Duration::from_secs(2);
const START: &str = "LogDriver.StartLogging";

/// Those of one plugin.
#[derive(Default)]
pub(super) struct Loggers(Mutex<BTreeMap<String, Arc<Logger>>>);

impl Loggers {
    /// That of a container.
    pub(super) fn of(&self, container: &str) -> Arc<Logger> {
        // A poisoned map is whole: each change is one step.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, logger| Arc::strong_count(logger) > 1);
        let made = || {
            let (turns, lent) = (watch::Sender::default(), tokio::sync::Mutex::default());
            Arc::new(Logger { container: container.to_owned(), turns, lent })
        };
        Arc::clone(all.entry(container.to_owned()).or_insert_with(made))
    }
}

/// What a plugin has for one container.
pub(super) struct Logger {
    container: String,
    turns: watch::Sender<Turns>,
    lent: tokio::sync::Mutex<Option<Lent>>,
}

/// How many have a turn.
#[derive(Debug, Default)]
struct Turns {
    /// Sinks that wait for theirs.
    waiting: usize,
    sinks: usize,
    readers: usize,
}

impl Turns {
    fn of(&mut self, whose: Whose) -> &mut usize {
        match whose {
            Whose::Waiting => &mut self.waiting,
            Whose::Sink => &mut self.sinks,
            Whose::Reader => &mut self.readers,
        }
    }

    fn is_free_for(&self, whose: Whose) -> bool {
        match whose {
            Whose::Waiting => true,
            Whose::Sink => self.readers == 0,
            Whose::Reader => self.readers == 0 && self.sinks == 0 && self.waiting == 0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Whose {
    Waiting,
    Sink,
    Reader,
}

/// A turn, which ends with this value.
pub(super) struct Turn {
    of: Arc<Logger>,
    whose: Whose,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.turns.send_modify(|turns| {
            let count = turns.of(self.whose);
            *count = count.saturating_sub(1);
        });
    }
}

/// A logger that nobody writes to, for those who read what the plugin has of an ended container.
pub(super) struct Lent {
    readers: usize,
    fifo: Fifo,
    /// Last, as no sink may begin before the fifo is gone.
    _turn: Turn,
}

impl Logger {
    pub(super) fn container(&self) -> &str {
        &self.container
    }

    /// A sink's turn. Who reads meanwhile gives way.
    pub(super) async fn send(self: &Arc<Self>) -> Turn {
        let _waits = self.take(Whose::Waiting);
        self.turn(Whose::Sink).await
    }

    /// Whether a sink has its turn.
    pub(super) fn is_sent(&self) -> bool {
        self.turns.borrow().sinks > 0
    }

    /// Resolves once a sink waits for its turn.
    pub(super) async fn is_wanted(&self) {
        let mut turns = self.turns.subscribe();
        // The sender is in self.
        let _present = turns.wait_for(|turns| turns.waiting > 0).await.is_ok();
    }

    fn take(self: &Arc<Self>, whose: Whose) -> Option<Turn> {
        let taken = self.turns.send_if_modified(|turns| {
            let free = turns.is_free_for(whose);
            *turns.of(whose) += usize::from(free);
            free
        });
        taken.then(|| Turn { of: Arc::clone(self), whose })
    }

    async fn turn(self: &Arc<Self>, whose: Whose) -> Turn {
        let mut turns = self.turns.subscribe();
        loop {
            if let Some(turn) = self.take(whose) {
                return turn;
            }
            // The sender is in self.
            let _present = turns.wait_for(|turns| turns.is_free_for(whose)).await.is_ok();
        }
    }

    /// What is lent, once those who came before have theirs.
    pub(super) async fn lent(&self) -> MutexGuard<'_, Option<Lent>> {
        self.lent.lock().await
    }

    /// Has the plugin know the container for somebody who reads, as Docker does; false where a sink does that. Whoever got
    /// true gives it back.
    pub(super) async fn lend(
        self: &Arc<Self>,
        mut lent: MutexGuard<'_, Option<Lent>>,
        plugin: &Plugin,
        places: &Places,
        info: &Value,
    ) -> Result<bool, CallError> {
        if let Some(lent) = &mut *lent {
            lent.readers += 1;
            return Ok(true);
        }
        let Ok(turn) = timeout(STOPS, self.turn(Whose::Reader)).await else { return Ok(false) };
        plugin.activate().await?;
        let fifo = places.fifo(&self.container).map_err(|e| plugin.away(START, e.to_string()))?;
        let file = fifo.path().display().to_string();
        let started = tokio::select! {
            started = plugin.start(&file, info) => started,
            () = self.is_wanted() => Err(plugin.away(START, SENT.into())),
        };
        if matches!(started, Err(CallError::Away { .. })) {
            // It may have heard of it and begin yet.
            plugin.stop(&file).await.ok();
        }
        started?;
        *lent = Some(Lent { readers: 1, fifo, _turn: turn });
        Ok(true)
    }

    /// One has no more use for what was lent.
    pub(super) async fn give_back(&self, plugin: &Plugin) {
        let mut lent = self.lent.lock().await;
        let left = lent.as_mut().map_or(0, |lent| {
            lent.readers = lent.readers.saturating_sub(1);
            lent.readers
        });
        if left == 0
            && let Some(lent) = lent.take()
        {
            let Lent { fifo, _turn, .. } = lent;
            let file = fifo.path().display().to_string();
            let _until_then = fifo.finish();
            plugin.stop(&file).await.ok();
        }
    }
}

/// Why somebody who reads gives way.
pub(super) const SENT: &str = "it is given further lines of the container now";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sink_and_somebody_who_reads_an_ended_container_never_have_a_logger_at_once() {
        let loggers = Loggers::default();
        let logger = loggers.of("c");
        let reader = logger.take(Whose::Reader).unwrap();
        assert!(logger.take(Whose::Reader).is_none());
        let sink = tokio::spawn({
            let logger = loggers.of("c");
            async move { logger.send().await }
        });
        logger.is_wanted().await;
        assert!(!logger.is_sent() && !sink.is_finished());
        drop(reader);
        let sink = sink.await.unwrap();
        assert!(logger.is_sent() && logger.take(Whose::Reader).is_none());
        let other = logger.send().await;
        drop((sink, other));
        assert!(!logger.is_sent() && logger.take(Whose::Reader).is_some());
    }

    #[tokio::test]
    async fn a_sink_that_is_given_up_while_it_waits_is_not_waited_for() {
        let logger = Loggers::default().of("c");
        let reader = logger.take(Whose::Reader).unwrap();
        assert!(timeout(Duration::from_millis(10), logger.send()).await.is_err());
        drop(reader);
        assert!(logger.take(Whose::Reader).is_some());
    }

    #[test]
    fn a_container_of_which_nobody_thinks_is_forgotten() {
        let loggers = Loggers::default();
        let kept = loggers.of("a");
        drop(loggers.of("b"));
        drop(loggers.of("c"));
        assert!(Arc::ptr_eq(&kept, &loggers.of("a")));
        assert_eq!(loggers.0.lock().unwrap().len(), 1);
    }
}
