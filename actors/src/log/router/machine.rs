//! What the router decides: which sink reads, delivers, waits or is opened next, and what of the spool may go.

use crate::log::framer::Cut;
use contract::log::{Batch, BatchPolicy, Cursor, Position, Streams};
use std::sync::Arc;
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);

/// Why a sink could not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The same batch is sent again, not before the given pause.
    Retry(String, Option<Duration>),
    /// The driver is opened again.
    Fatal(String),
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The sink's actor has (re)started and holds nothing.
    Up(usize),
    /// Its driver is open and stands at the cursor.
    Opened(usize, u64, Cursor),
    /// The batch in flight arrived, but for so many refused lines.
    Delivered(usize, u64, usize),
    /// It did not.
    Failed(usize, u64, Failure),
    /// The pause is over.
    Waited(usize, u64),
    /// A batch was read from the cursor under the policy of the sink; the number comes from the effect.
    Read(usize, Cursor, u64, Result<Cut, String>),
    /// There may be more in the spool.
    More,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Open the sink's driver.
    Open(usize, u64),
    /// Read a batch.
    Read(usize, Cursor, BatchPolicy, u64),
    /// Deliver it.
    Deliver(usize, u64, Arc<Batch>),
    /// Let a sink rest.
    Wait(usize, u64, Duration),
    /// The spool below is not needed.
    Trim(Position),
    /// Look into the spool again later, also without news.
    Look(Duration),
}

/// What a sink is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SinkState {
    /// Not open yet.
    #[default]
    Opening,
    /// Open; nothing in flight.
    Idle,
    /// A batch is on its way.
    Delivering,
    /// Waiting to send the batch again.
    BackingOff,
    /// Waiting to be opened again.
    Parked,
}

/// A sink as others see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: SinkState,
    /// Batches delivered since the container's router was first started by this daemon, and so with all that follow.
    pub batches: u64,
    /// Lines delivered.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Failed tries.
    pub retries: u64,
    /// Lines refused for good.
    pub refused: u64,
    /// Lines that its limit on the rate suppressed.
    pub suppressed: u64,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

#[derive(Debug)]
struct Window {
    status: SinkStatus,
    policy: BatchPolicy,
    attempt: u64,
    cursor: Option<Cursor>,
    flying: Option<Arc<Batch>>,
    ready: Option<(Cursor, Arc<Batch>)>,
    reading: Option<(Cursor, u64)>,
    /// Nothing more was in the spool.
    dry: bool,
    /// Reading failed while a batch was in flight.
    unread: bool,
    failures: u32,
}

impl Window {
    fn head(&self) -> Option<Cursor> {
        self.flying.as_ref().map(|p| p.end.clone()).or_else(|| self.cursor.clone())
    }
}

/// The router's decisions.
#[derive(Debug)]
pub struct Machine {
    sinks: Vec<Window>,
    more: u64,
    trimmed: u64,
}

impl Machine {
    /// A router for sinks of these bounds, which goes on counting where its predecessor ended; attempts are numbered from
    /// `first_attempt`, which must be new in each incarnation.
    pub fn new(sinks: impl IntoIterator<Item = (SinkStatus, BatchPolicy)>, first_attempt: u64) -> Self {
        let window = |(status, policy)| Window {
            status: SinkStatus { state: SinkState::default(), ..status },
            policy,
            attempt: first_attempt,
            cursor: None,
            flying: None,
            ready: None,
            reading: None,
            dry: false,
            unread: false,
            failures: 0,
        };
        Self { sinks: sinks.into_iter().map(window).collect(), more: 0, trimmed: 0 }
    }

    /// All sinks, and where each stands.
    pub fn status(&self) -> impl Iterator<Item = (&SinkStatus, Option<&Cursor>)> {
        self.sinks.iter().map(|w| (&w.status, w.cursor.as_ref()))
    }

    /// Every sink, or that one, has everything the spool is known to hold.
    pub fn drained(&self, sink: Option<usize>) -> bool {
        let asked = |(index, _): &(usize, &Window)| sink.is_none_or(|s| s == *index);
        self.sinks.iter().enumerate().filter(asked).all(|(_, w)| {
            w.dry && w.status.state == SinkState::Idle && w.ready.is_none() && w.reading.is_none()
        })
    }

    /// One step.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            Event::More => {
                self.more += 1;
                self.sinks.iter_mut().for_each(|w| w.dry = false);
            }
            Event::Read(sink, from, asked, result) => self.read(sink, &from, asked, result, &mut out),
            Event::Up(sink) => self.reopen(sink, &mut out),
            Event::Opened(sink, attempt, cursor) => {
                if let Some(w) = self.current(sink, attempt) {
                    w.cursor = Some(cursor);
                    w.status.state = SinkState::Idle;
                }
            }
            Event::Delivered(sink, attempt, refused) => {
                if let Some(w) = self.current(sink, attempt)
                    && let Some(batch) = w.flying.take()
                {
                    w.status.batches += 1;
                    w.status.lines += (batch.lines.len() - refused.min(batch.lines.len())) as u64;
                    w.status.bytes += batch.lines.iter().map(|l| l.data.len() as u64).sum::<u64>();
                    w.status.refused += refused as u64;
                    w.status.suppressed += batch.suppressed;
                    w.status.state = SinkState::Idle;
                    w.failures = 0;
                    if std::mem::take(&mut w.unread) {
                        w.dry = false;
                    }
                    w.cursor = Some(batch.end.clone());
                    self.trim(&mut out);
                }
            }
            Event::Failed(sink, attempt, failure) => {
                if let Some(w) = self.current(sink, attempt) {
                    fail(w, sink, failure, &mut out);
                }
            }
            Event::Waited(sink, attempt) => match self.current(sink, attempt).map(|w| w.status.state) {
                Some(SinkState::Parked) => self.reopen(sink, &mut out),
                Some(SinkState::BackingOff) => self.send(sink, &mut out),
                _ => {}
            },
        }
        for sink in 0..self.sinks.len() {
            self.advance(sink, &mut out);
        }
        out
    }

    fn current(&mut self, sink: usize, attempt: u64) -> Option<&mut Window> {
        self.sinks.get_mut(sink).filter(|w| w.attempt == attempt)
    }

    fn reopen(&mut self, sink: usize, out: &mut Vec<Effect>) {
        if let Some(w) = self.sinks.get_mut(sink) {
            w.attempt += 1;
            w.status.state = SinkState::Opening;
            (w.cursor, w.flying, w.ready, w.reading, w.dry) = (None, None, None, None, false);
            out.push(Effect::Open(sink, w.attempt));
        }
    }

    fn send(&mut self, sink: usize, out: &mut Vec<Effect>) {
        if let Some(w) = self.sinks.get_mut(sink) {
            w.attempt += 1;
            match &w.flying {
                Some(batch) => {
                    w.status.state = SinkState::Delivering;
                    out.push(Effect::Deliver(sink, w.attempt, batch.clone()));
                }
                // It was reading that failed.
                None => w.status.state = SinkState::Idle,
            }
        }
    }

    fn read(
        &mut self,
        asker: usize,
        from: &Cursor,
        asked: u64,
        result: Result<Cut, String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(policy) = self.sinks.get(asker).map(|w| w.policy.clone()) else { return };
        if let Ok(Cut { again: Some(pause), .. }) = &result {
            out.push(Effect::Look(*pause));
        }
        for (sink, w) in self.sinks.iter_mut().enumerate() {
            // A read begun before the latest news proves nothing to who asked after it.
            let mine = |(at, when): &mut (Cursor, u64)| at == from && *when <= asked;
            if w.policy != policy || w.reading.take_if(mine).is_none() {
                continue;
            }
            match &result {
                Ok(Cut { batch, last, .. }) => {
                    // An empty batch is delivered only where it lets go of a segment.
                    let moved = batch.end.floor().segment > from.floor().segment;
                    let selects = w.policy.streams != Streams::Both || w.policy.records.rate.is_some();
                    let passed = selects && batch.end != *from;
                    if moved || !batch.lines.is_empty() || (passed && w.flying.is_some()) {
                        w.ready = Some((from.clone(), batch.clone()));
                    } else if passed {
                        // What is not for this sink need not be read again.
                        w.cursor = Some(batch.end.clone());
                        w.status.suppressed += batch.suppressed;
                    }
                    // Without news there is nothing to look for; what comes meanwhile makes one larger batch.
                    w.dry = *last && asked == self.more;
                }
                Err(text) if w.status.state == SinkState::Idle => {
                    fail(w, sink, Failure::Retry(text.clone(), None), out);
                }
                // It is read again once the batch in flight has arrived.
                Err(_) => (w.dry, w.unread) = (true, true),
            }
        }
    }

    fn advance(&mut self, sink: usize, out: &mut Vec<Effect>) {
        let Some(w) = self.sinks.get_mut(sink) else { return };
        if w.status.state == SinkState::Idle
            && let Some((_, batch)) = w.ready.take()
        {
            w.flying = Some(batch);
            self.send(sink, out);
        }
        let Some(w) = self.sinks.get(sink) else { return };
        let open = matches!(w.status.state, SinkState::Idle | SinkState::Delivering);
        if !open || w.ready.is_some() || w.reading.is_some() || w.dry {
            return;
        }
        let (Some(from), policy, more) = (w.head(), w.policy.clone(), self.more) else { return };
        let mut others = self.sinks.iter().filter(|o| o.policy == policy);
        // Another sink's batch from the same place is the same batch.
        if let Some(batch) = others.clone().find_map(|o| o.ready.as_ref().filter(|(at, _)| *at == from)) {
            let batch = batch.clone();
            if let Some(w) = self.sinks.get_mut(sink) {
                w.ready = Some(batch);
            }
            return self.advance(sink, out);
        }
        let asked =
            others.any(|o| o.reading.as_ref().is_some_and(|(at, asked)| *at == from && *asked == more));
        if let Some(w) = self.sinks.get_mut(sink) {
            w.reading = Some((from.clone(), more));
        }
        if !asked {
            out.push(Effect::Read(sink, from, policy, more));
        }
    }

    fn trim(&mut self, out: &mut Vec<Effect>) {
        let floors = self.sinks.iter().map(|w| w.cursor.as_ref().map(Cursor::floor));
        // A sink whose place is unknown holds everything.
        let Some(lowest) = floors.collect::<Option<Vec<_>>>().and_then(|f| f.into_iter().min()) else {
            return;
        };
        if lowest.segment > self.trimmed {
            self.trimmed = lowest.segment;
            out.push(Effect::Trim(lowest));
        }
    }
}

fn fail(w: &mut Window, sink: usize, failure: Failure, out: &mut Vec<Effect>) {
    w.failures += 1;
    w.status.retries += 1;
    w.attempt += 1;
    let (text, after) = match failure {
        Failure::Retry(text, after) => {
            w.status.state = SinkState::BackingOff;
            (text, after)
        }
        Failure::Fatal(text) => {
            w.status.state = SinkState::Parked;
            (w.flying, w.ready, w.reading) = (None, None, None);
            (text, None)
        }
    };
    w.status.last_error = Some(text);
    let pause = SHORTEST.saturating_mul(1 << (w.failures - 1).min(10)).min(LONGEST);
    // Spread, so that the sinks of many containers do not come back at the same moment.
    let spread = w.attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    let pause = pause.mul_f64(0.5 + spread as f64 / 512.0);
    out.push(Effect::Wait(sink, w.attempt, pause.max(after.unwrap_or_default()).min(LONGEST)));
}

#[cfg(test)]
mod tests;
