//! What a pull tells of itself: changes of state always, counts now and then.

use contract::image::{Progress, ProgressSink};
use std::time::{Duration, Instant};

/// Counts are told this often.
const PACE: Duration = Duration::from_millis(100);

/// Where lines go.
#[derive(Clone)]
pub struct Lines(ProgressSink);

impl Lines {
    /// Lines into this sink.
    pub fn new(sink: ProgressSink) -> Self {
        Self(sink)
    }

    /// A change of state, waited for: a client shows the last state it heard of.
    pub async fn state(&self, id: &str, status: impl Into<String>) {
        // Whoever asked may have left.
        let _left =
            self.0.send(Progress { id: id.to_owned(), status: status.into(), ..Progress::default() }).await;
    }

    /// The pause before another try.
    pub async fn retrying(&self, id: &str, seconds: u32) {
        let plural = if seconds == 1 { "" } else { "s" };
        self.state(id, format!("Retrying in {seconds} second{plural}")).await;
    }

    /// Counts of one layer.
    pub fn paced(&self, id: &str, status: &'static str, total: u64) -> Paced {
        Paced { sink: self.0.clone(), id: id.to_owned(), status, total, told: None }
    }
}

/// Counts told at a bearable pace.
pub struct Paced {
    sink: ProgressSink,
    id: String,
    status: &'static str,
    total: u64,
    told: Option<Instant>,
}

impl Paced {
    /// So far.
    pub fn at(&mut self, current: u64) {
        if current < self.total && self.told.is_some_and(|t| t.elapsed() < PACE) {
            return;
        }
        self.told = Some(Instant::now());
        let line = Progress { id: self.id.clone(), status: self.status.into(), current, total: self.total };
        // A client that does not keep up misses some.
        let _missed = self.sink.try_send(line);
    }
}
