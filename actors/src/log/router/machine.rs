//! What the router decides: which sink reads, delivers, waits or is opened next, and what of the spool may go.

mod arrival;
mod extent;
mod overflow;
mod reading;
mod window;

use crate::log::cut::Cut;
use crate::log::gap::{Ahead, Gaps};
use arrival::arrived;
use contract::log::{Batch, BatchPolicy, Cursor, Delivery, Loss, Losses, Position, Stretch};
pub use extent::Extent;
use std::sync::Arc;
use std::time::Duration;
use window::Window;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// What the far side or an option asks for is not doubled and stands, but for an answer that is out of its mind.
const ASKED: Duration = Duration::from_secs(600);

/// Why a sink could not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The same batch is sent again, not before the given pause.
    Retry(String, Option<Duration>),
    /// The driver is opened again.
    Fatal(String),
}

/// Lines of a batch that the far side does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// How many.
    pub records: usize,
    /// The container's lines that they are.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why.
    pub error: String,
}

/// What is to be read, and on what occasion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// From where.
    pub from: Cursor,
    /// What is passed over on the way.
    pub ahead: Ahead,
    /// How much news there had been of the spool.
    pub news: u64,
}

/// A batch, and what it tells of lines that are not in it.
#[derive(Debug, Clone)]
pub struct Load {
    /// The lines.
    pub batch: Arc<Batch>,
    /// What of them are not the container's.
    pub gaps: Gaps,
}

/// Lines that are to be passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// From here,
    pub from: Cursor,
    /// but for those up to this place,
    pub keep: Option<Position>,
    /// to this place at least; none = to the end.
    pub to: Option<Position>,
    /// No further than this.
    pub until: Option<Cursor>,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The sink's actor has (re)started and holds nothing.
    Up(usize),
    /// What is on disk about a sink: where it stands, unless it keeps that itself, and what it was not given.
    Found(usize, Option<Cursor>, Losses),
    /// Its driver is open and stands at the cursor.
    Opened(usize, u64, Cursor),
    /// The batch in flight arrived, but for so many refused records.
    Delivered(usize, u64, usize),
    /// What of the batch in flight was refused; that it arrived is told next.
    Refused(usize, u64, Refusal),
    /// It did not.
    Failed(usize, u64, Failure),
    /// What the far side of a sink is sure to have read ends there, or with what was delivered.
    Certain(usize, Option<Cursor>),
    /// The pause is over.
    Waited(usize, u64),
    /// A batch was read under the policy of the sink.
    Read(usize, Asked, Result<Cut, String>),
    /// Lines were passed over, under the number of the effect.
    Passed(usize, u64, Result<(Loss, Gaps), String>),
    /// The losses of that version are on disk, or are not.
    Stored(usize, u64, bool),
    /// The spool was measured.
    Measured(Result<Extent, String>),
    /// There may be more in the spool.
    More,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Open the sink's driver.
    Open(usize, u64),
    /// Read a batch.
    Read(usize, Asked, BatchPolicy),
    /// Deliver it.
    Deliver(usize, u64, Arc<Batch>),
    /// Let a sink rest.
    Wait(usize, u64, Duration),
    /// Read what a sink is not given, and count it.
    Pass(usize, u64, Pass, BatchPolicy),
    /// Store what a sink is not given.
    Store(usize, Losses),
    /// Measure the spool.
    Measure,
    /// Nothing else is needed of the spool.
    Trim(Vec<Stretch>),
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
    /// Lines of the container that were delivered, also where several are one record.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Failed tries.
    pub retries: u64,
    /// Lines refused for good.
    pub refused: u64,
    /// Their bytes.
    pub refused_bytes: u64,
    /// Lines that its limit on the rate suppressed.
    pub suppressed: u64,
    /// Their bytes.
    pub suppressed_bytes: u64,
    /// Everything was refused of what was delivered last.
    pub refuses: bool,
    /// Why the last try failed, or lines were refused.
    pub last_error: Option<String>,
    /// What it is not given.
    pub losses: Losses,
    /// Up to here lines were sent, and perhaps delivered.
    pub sent: Option<Cursor>,
    /// What the far side is sure to have read ends here; none = with what was delivered.
    pub certain: Option<Cursor>,
}

/// What a sink begins with.
#[derive(Debug)]
pub struct Seat {
    /// What was known of it before.
    pub status: SinkStatus,
    /// Where it stood then.
    pub cursor: Option<Cursor>,
    /// How its batches are cut.
    pub policy: BatchPolicy,
    /// Who waits for it.
    pub delivery: Delivery,
}

/// The router's decisions.
#[derive(Debug)]
pub struct Machine {
    sinks: Vec<Window>,
    more: u64,
    extent: Extent,
    /// What news there was when the measurement that goes on was asked for.
    measuring: Option<u64>,
    passes: u64,
    kept: Vec<(u64, Option<u64>)>,
    /// Bytes of the spool with which the container waits.
    budget: u64,
}

impl Machine {
    /// A router for sinks that go on where its predecessor's ended; attempts are numbered from `first_attempt`, which must
    /// be new in each incarnation. The spool holds no more than `budget`.
    pub fn new(sinks: impl IntoIterator<Item = Seat>, first_attempt: u64, budget: u64) -> Self {
        Self {
            sinks: sinks.into_iter().map(|seat| Window::new(seat, first_attempt)).collect(),
            more: 0,
            extent: Extent::default(),
            measuring: None,
            passes: first_attempt,
            kept: vec![(0, None)],
            budget,
        }
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
                self.measure(&mut out);
            }
            Event::Read(sink, asked, result) => self.read(sink, &asked, result, &mut out),
            Event::Up(sink) => self.reopen(sink, &mut out),
            Event::Found(sink, cursor, losses) => self.found(sink, cursor, losses, &mut out),
            Event::Opened(sink, attempt, cursor) => {
                if let Some(w) = self.current(sink, attempt) {
                    (w.cursor, w.status.certain) = (Some(cursor), None);
                    w.status.state = SinkState::Idle;
                    w.prune();
                    self.measure(&mut out);
                }
            }
            Event::Delivered(sink, attempt, refused) => {
                if let Some(w) = self.sinks.get_mut(sink).filter(|w| w.attempt == attempt)
                    && let Some(load) = w.flying.take()
                {
                    w.room.tried = true;
                    w.goes_on(&load.batch.end, &self.extent);
                    arrived(w, &load, refused);
                    self.enforce(sink, &mut out);
                    self.trim(&mut out);
                }
            }
            Event::Refused(sink, attempt, refusal) => {
                if let Some(w) = self.current(sink, attempt).filter(|w| w.flying.is_some()) {
                    w.refusal = Some(refusal);
                }
            }
            Event::Certain(sink, place) => {
                if let Some(w) = self.sinks.get_mut(sink) {
                    w.status.certain = place;
                }
            }
            Event::Failed(sink, attempt, failure) => {
                if let Some(w) = self.current(sink, attempt) {
                    (w.room.tried, w.room.owed) = (true, 0);
                    fail(w, sink, failure, &mut out);
                    self.enforce(sink, &mut out);
                }
            }
            Event::Waited(sink, attempt) => match self.current(sink, attempt).map(|w| w.status.state) {
                Some(SinkState::Parked) => self.reopen(sink, &mut out),
                Some(SinkState::BackingOff) => self.send(sink, &mut out),
                _ => {}
            },
            Event::Passed(sink, number, result) => self.passed(sink, number, result, &mut out),
            Event::Stored(sink, version, done) => self.stored(sink, version, done, &mut out),
            Event::Measured(result) => self.measured(result, &mut out),
        }
        for sink in 0..self.sinks.len() {
            self.store(sink, &mut out);
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
            (w.flying, w.ready, w.reading, w.dry) = (None, None, None, false);
            out.push(Effect::Open(sink, w.attempt));
        }
    }

    fn send(&mut self, sink: usize, out: &mut Vec<Effect>) {
        if let Some(w) = self.sinks.get_mut(sink) {
            w.attempt += 1;
            match &w.flying {
                Some(load) => {
                    w.status.state = SinkState::Delivering;
                    if !w.status.sent.as_ref().is_some_and(|sent| sent.is_past(&load.batch.end)) {
                        w.status.sent = Some(load.batch.end.clone());
                    }
                    out.push(Effect::Deliver(sink, w.attempt, load.batch.clone()));
                }
                // It was reading that failed.
                None => w.status.state = SinkState::Idle,
            }
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
    out.push(Effect::Wait(sink, w.attempt, pause.max(after.unwrap_or_default().min(ASKED))));
}

#[cfg(test)]
mod tests;
