//! What a replay decides: when it reads, delivers, rests and ends.

use contract::log::{Batch, LogLine};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The driver is open.
    Opened,
    /// Lines were read; none at the end.
    Read(Vec<LogLine>),
    /// Reading or opening failed, and trying again is of no use.
    Broken(String),
    /// The batch arrived, but for these refused lines, for this reason.
    Delivered(Option<(Vec<usize>, String)>),
    /// It did not, and is sent again, not before the given pause.
    Failed(String, Option<Duration>),
    /// The driver cannot go on.
    Fatal(String),
    /// The pause is over.
    Waited,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Open the driver.
    Open,
    /// Read some lines.
    Read,
    /// Deliver these.
    Deliver(Arc<Batch>),
    /// Rest.
    Wait(Duration),
    /// Tell how it goes.
    Tell(Progress),
    /// It is over.
    End(Progress),
}

/// How far it has got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines that arrived.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines refused for good.
    pub refused: u64,
    /// Failed tries.
    pub retries: u64,
    /// When the last line that arrived was written, ns since the epoch.
    pub last_ns: Option<i64>,
    /// Why the last try failed, while it is tried again; at the end, why not everything arrived.
    pub error: Option<String>,
}

/// A replay's decisions.
#[derive(Debug)]
pub struct Machine {
    progress: Progress,
    flying: Option<Arc<Batch>>,
    failures: u32,
    /// How long it has rested and tried in vain since something arrived, and how long it may.
    rested: Duration,
    patience: Duration,
    refusal: Option<String>,
    open: bool,
    over: bool,
}

impl Machine {
    /// One that gives up once nothing has arrived for so long.
    pub fn new(patience: Duration) -> Self {
        Self {
            progress: Progress::default(),
            flying: None,
            failures: 0,
            rested: Duration::ZERO,
            patience,
            refusal: None,
            open: false,
            over: false,
        }
    }

    /// The first steps.
    pub fn begin(&self) -> Vec<Effect> {
        vec![Effect::Open]
    }

    /// The work that ends with the next step took so long.
    pub fn spent(&mut self, time: Duration) {
        self.rested += time;
    }

    /// One step.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        if self.over {
            return Vec::new();
        }
        match event {
            Event::Opened => {
                self.open = true;
                vec![self.flying.clone().map_or(Effect::Read, Effect::Deliver)]
            }
            Event::Read(lines) if lines.is_empty() => {
                let refusal = self.refusal.take();
                self.end(refusal)
            }
            Event::Read(lines) => {
                let batch = Arc::new(Batch { lines, ..Batch::default() });
                self.flying = Some(Arc::clone(&batch));
                vec![Effect::Deliver(batch)]
            }
            Event::Broken(text) => self.end(Some(text)),
            Event::Delivered(refused) => self.delivered(refused),
            Event::Failed(text, after) => self.failed(text, after),
            Event::Fatal(text) => {
                self.open = false;
                self.failed(text, None)
            }
            Event::Waited => match (&self.flying, self.open) {
                (Some(batch), true) => vec![Effect::Deliver(Arc::clone(batch))],
                _ => vec![Effect::Open],
            },
        }
    }

    fn delivered(&mut self, refused: Option<(Vec<usize>, String)>) -> Vec<Effect> {
        let Some(batch) = self.flying.take() else { return Vec::new() };
        let progress = &mut self.progress;
        let lost: BTreeSet<usize> = refused.iter().flat_map(|(lines, _)| lines.iter().copied()).collect();
        for (nth, line) in batch.lines.iter().enumerate() {
            if lost.contains(&nth) {
                progress.refused += 1;
                continue;
            }
            progress.lines += 1;
            progress.bytes += line.data.len() as u64;
            progress.last_ns = Some(line.time_ns);
        }
        progress.error = None;
        if let Some((_, why)) = refused {
            self.refusal.get_or_insert(why);
        }
        (self.failures, self.rested) = (0, Duration::ZERO);
        vec![Effect::Tell(self.progress.clone()), Effect::Read]
    }

    fn failed(&mut self, text: String, after: Option<Duration>) -> Vec<Effect> {
        self.progress.retries += 1;
        if self.rested >= self.patience {
            return self.end(Some(text));
        }
        self.progress.error = Some(text);
        let pause = SHORTEST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        let pause = pause.max(after.unwrap_or_default()).min(self.patience.saturating_sub(self.rested));
        self.failures += 1;
        self.rested += pause;
        vec![Effect::Tell(self.progress.clone()), Effect::Wait(pause)]
    }

    fn end(&mut self, error: Option<String>) -> Vec<Effect> {
        self.over = true;
        self.progress.error = error;
        vec![Effect::End(self.progress.clone())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Stream;

    fn lines(count: usize) -> Vec<LogLine> {
        let line =
            |n| LogLine { stream: Stream::Stdout, time_ns: n as i64, data: "abc".into(), partial: None };
        (0..count).map(line).collect()
    }

    fn begun() -> Machine {
        let mut machine = Machine::new(Duration::from_secs(1));
        assert!(matches!(machine.begin()[..], [Effect::Open]));
        assert!(matches!(machine.step(Event::Opened)[..], [Effect::Read]));
        machine
    }

    #[test]
    fn lines_are_read_and_delivered_in_turns_up_to_the_end() {
        let mut machine = begun();
        assert!(
            matches!(&machine.step(Event::Read(lines(3)))[..], [Effect::Deliver(b)] if b.lines.len() == 3)
        );
        let told = machine.step(Event::Delivered(None));
        let [Effect::Tell(progress), Effect::Read] = &told[..] else { panic!("{told:?}") };
        assert_eq!((progress.lines, progress.bytes, progress.last_ns), (3, 9, Some(2)));
        let end = machine.step(Event::Read(Vec::new()));
        assert!(matches!(&end[..], [Effect::End(p)] if p.error.is_none() && p.lines == 3), "{end:?}");
        assert!(machine.step(Event::Waited).is_empty(), "nothing comes after the end");
    }

    #[test]
    fn what_did_not_arrive_is_sent_again_with_growing_pauses_until_patience_is_at_its_end() {
        let mut machine = begun();
        machine.step(Event::Read(lines(2)));
        let mut pauses = Vec::new();
        let last = loop {
            let told = machine.step(Event::Failed("refused".into(), None));
            match &told[..] {
                [Effect::Tell(progress), Effect::Wait(pause)] => {
                    assert_eq!(progress.error.as_deref(), Some("refused"));
                    pauses.push(pause.as_millis());
                }
                _ => break told,
            }
            assert!(matches!(&machine.step(Event::Waited)[..], [Effect::Deliver(b)] if b.lines.len() == 2));
        };
        assert_eq!(pauses, [100, 200, 400, 300]);
        assert!(
            matches!(&last[..], [Effect::End(p)] if p.error.as_deref() == Some("refused") && p.retries == 5)
        );
    }

    #[test]
    fn a_driver_that_cannot_go_on_is_opened_again_for_the_same_lines() {
        let mut machine = begun();
        machine.step(Event::Read(lines(2)));
        assert!(matches!(
            machine.step(Event::Fatal("broken".into()))[..],
            [Effect::Tell(_), Effect::Wait(_)]
        ));
        assert!(matches!(machine.step(Event::Waited)[..], [Effect::Open]));
        assert!(matches!(&machine.step(Event::Opened)[..], [Effect::Deliver(b)] if b.lines.len() == 2));
    }

    #[test]
    fn refused_lines_are_counted_and_told_at_the_end() {
        let mut machine = begun();
        machine.step(Event::Read(lines(3)));
        machine.step(Event::Delivered(Some((vec![2], "too large".into()))));
        let end = machine.step(Event::Read(Vec::new()));
        let [Effect::End(progress)] = &end[..] else { panic!("{end:?}") };
        assert_eq!((progress.lines, progress.refused), (2, 1));
        assert_eq!((progress.bytes, progress.last_ns), (6, Some(1)), "what was refused has not arrived");
        assert_eq!(progress.error.as_deref(), Some("too large"));
    }

    #[test]
    fn what_tries_take_is_time_in_which_nothing_arrives() {
        let mut machine = begun();
        machine.step(Event::Read(lines(2)));
        machine.spent(Duration::from_millis(700));
        let told = machine.step(Event::Failed("slow".into(), None));
        assert!(matches!(told[..], [Effect::Tell(_), Effect::Wait(_)]), "{told:?}");
        machine.step(Event::Waited);
        machine.spent(Duration::from_millis(700));
        let told = machine.step(Event::Failed("slow".into(), None));
        assert!(matches!(told[..], [Effect::End(_)]), "{told:?}");
    }
}
