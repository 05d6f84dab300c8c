use super::*;
use contract::log::{LogLine, Mark, Stream};
use proptest::prelude::*;

/// A spool of numbered lines, one a record, four a segment; and what each sink got, its cursor kept with it.
#[derive(Debug, Default)]
struct World {
    written: u64,
    trimmed: u64,
    kept: Vec<(u64, Vec<u64>)>,
    /// The latest try at each sink's lane.
    latest: Vec<u64>,
    /// Effects whose results have not come home.
    opening: Vec<(usize, u64)>,
    reading: Vec<(usize, Cursor, BatchPolicy, u64)>,
    flying: Vec<(usize, u64, Arc<Batch>)>,
    waiting: Vec<(usize, u64)>,
}

fn at(number: u64) -> Cursor {
    let mark = || Mark { at: Position { segment: 1 + number / 4, offset: number % 4 }, ..Mark::default() };
    Cursor { stdout: mark(), stderr: mark(), pace: None }
}

fn number(cursor: &Cursor) -> u64 {
    let place = cursor.floor();
    place.segment.saturating_sub(1) * 4 + place.offset
}

impl World {
    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Open(sink, attempt) => self.opening.push((sink, attempt)),
                Effect::Read(sink, from, policy, asked) => self.reading.push((sink, from, policy, asked)),
                Effect::Deliver(sink, attempt, batch) => self.flying.push((sink, attempt, batch)),
                Effect::Wait(sink, attempt, pause) => {
                    assert!(pause <= LONGEST);
                    self.waiting.push((sink, attempt));
                }
                Effect::Look(_) => {}
                Effect::Trim(before) => self.trimmed = self.trimmed.max(before.segment),
            }
        }
    }

    fn cut(&self, from: &Cursor, policy: BatchPolicy) -> Cut {
        let first = number(from);
        assert!(1 + first / 4 >= self.trimmed, "read where the spool was trimmed");
        let end = self.written.min(first + 3);
        let line = |n: u64| {
            let data = n.to_string().into();
            LogLine { stream: stream(n), time_ns: 0, data, partial: None }
        };
        let lines = (first..end).map(line).filter(|l| policy.streams.lets(l.stream)).collect();
        let batch = Arc::new(Batch { lines, end: at(end), suppressed: 0 });
        Cut { batch, last: end == self.written, again: None }
    }

    /// What comes to a sink's lane after something later is refused.
    fn is_next(&mut self, sink: usize, attempt: u64) -> bool {
        let next = attempt > self.latest[sink];
        self.latest[sink] = self.latest[sink].max(attempt);
        next
    }

    /// A driver takes a batch: lines and cursor in one step.
    fn deliver(&mut self, sink: usize, batch: &Batch) {
        let (cursor, lines) = &mut self.kept[sink];
        lines.extend(
            batch.lines.iter().map(|l| std::str::from_utf8(&l.data).unwrap().parse::<u64>().unwrap()),
        );
        *cursor = number(&batch.end);
    }
}

/// Runs of the one and of the other.
fn stream(number: u64) -> Stream {
    if (number / 5).is_multiple_of(2) { Stream::Stdout } else { Stream::Stderr }
}

fn fresh(incarnation: u64) -> Machine {
    let same = BatchPolicy::default();
    let errors = BatchPolicy { streams: Streams::Stderr, ..same.clone() };
    let sinks = [
        ("one", same.clone()),
        ("two", same.clone()),
        ("other", BatchPolicy { max_lines: 2, ..same }),
        ("errors", errors),
    ];
    let named = |name: &str| SinkStatus { name: name.to_owned(), ..SinkStatus::default() };
    Machine::new(sinks.map(|(n, p)| (named(n), p)), incarnation << 32)
}

fn any<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(which % list.len()))
}

fn open(machine: &mut Machine, world: &mut World, sink: usize, attempt: u64) {
    let event = match world.is_next(sink, attempt) {
        true => Event::Opened(sink, attempt, at(world.kept[sink].0)),
        false => Event::Failed(sink, attempt, Failure::Fatal("late".into())),
    };
    step(machine, world, event);
}

fn arrive(machine: &mut Machine, world: &mut World, sink: usize, attempt: u64, batch: &Batch) {
    let event = match world.is_next(sink, attempt) {
        true => {
            world.deliver(sink, batch);
            Event::Delivered(sink, attempt, 0)
        }
        false => Event::Failed(sink, attempt, Failure::Fatal("late".into())),
    };
    step(machine, world, event);
}

fn step(machine: &mut Machine, world: &mut World, event: Event) {
    let effects = machine.step(event);
    world.take(effects);
    // At most one batch in flight and one read ahead is held for each sink.
    for window in &machine.sinks {
        assert!(window.status.state != SinkState::Delivering || window.flying.is_some());
    }
}

/// Lets everything under way come home well, until nothing is left to do.
fn settle(machine: &mut Machine, world: &mut World) {
    for _ in 0..10_000 {
        if let Some((sink, attempt)) = any(&mut world.opening, 0) {
            open(machine, world, sink, attempt);
        } else if let Some((sink, from, policy, asked)) = any(&mut world.reading, 0) {
            let cut = world.cut(&from, policy);
            step(machine, world, Event::Read(sink, from, asked, Ok(cut)));
        } else if let Some((sink, attempt, batch)) = any(&mut world.flying, 0) {
            arrive(machine, world, sink, attempt, &batch);
        } else if let Some((sink, attempt)) = any(&mut world.waiting, 0) {
            step(machine, world, Event::Waited(sink, attempt));
        } else {
            return;
        }
    }
    panic!("it never rests: {machine:?}");
}

proptest! {
    /// Delivering, refusing, panicking sinks, a rebuilt router, reads that fail and news at any moment.
    #[test]
    fn every_sink_gets_every_line_once_and_in_order(steps in prop::collection::vec((0u8..13, 0usize..8), 0..120)) {
        let mut world = World { kept: vec![(0, Vec::new()); 4], latest: vec![0; 4], ..World::default() };
        let (mut machine, mut incarnation) = (fresh(0), 0);
        for sink in 0..4 {
            step(&mut machine, &mut world, Event::Up(sink));
        }
        for (kind, which) in steps {
            match kind {
                0 | 1 => {
                    world.written += 1 + which as u64 % 3;
                    step(&mut machine, &mut world, Event::More);
                }
                2 | 3 => if let Some((sink, attempt)) = any(&mut world.opening, which) {
                    open(&mut machine, &mut world, sink, attempt);
                },
                4 | 5 => if let Some((sink, from, policy, asked)) = any(&mut world.reading, which) {
                    // One of an earlier place may come when the spool there is gone: the real one answers with what follows.
                    let result = if 1 + number(&from) / 4 >= world.trimmed { Ok(world.cut(&from, policy)) } else { Err("gone".into()) };
                    step(&mut machine, &mut world, Event::Read(sink, from, asked, result));
                },
                6 => if let Some((sink, from, _, asked)) = any(&mut world.reading, which) {
                    step(&mut machine, &mut world, Event::Read(sink, from, asked, Err("input/output error".into())));
                },
                7 | 8 => if let Some((sink, attempt, batch)) = any(&mut world.flying, which) {
                    arrive(&mut machine, &mut world, sink, attempt, &batch);
                },
                9 => if let Some((sink, attempt, _)) = any(&mut world.flying, which) {
                    let failure = match which % 2 {
                        0 => Failure::Retry("down".into(), None),
                        _ => Failure::Fatal("gone".into()),
                    };
                    step(&mut machine, &mut world, Event::Failed(sink, attempt, failure));
                },
                10 => if let Some((sink, attempt)) = any(&mut world.waiting, which) {
                    step(&mut machine, &mut world, Event::Waited(sink, attempt));
                },
                // The sink's actor was rebuilt; what it had begun goes on.
                11 => step(&mut machine, &mut world, Event::Up(which % 4)),
                _ => {
                    incarnation += 1;
                    machine = fresh(incarnation);
                    // Timers and reads of the one before die with it, its sinks' work does not.
                    world.opening.clear();
                    world.reading.clear();
                    world.waiting.clear();
                    for sink in 0..4 {
                        step(&mut machine, &mut world, Event::Up(sink));
                    }
                }
            }
        }
        settle(&mut machine, &mut world);
        step(&mut machine, &mut world, Event::More);
        settle(&mut machine, &mut world);
        let all: Vec<u64> = (0..world.written).collect();
        let errors: Vec<u64> = all.iter().copied().filter(|n| stream(*n) == Stream::Stderr).collect();
        for (sink, (_, lines)) in world.kept.iter().enumerate() {
            prop_assert_eq!(lines, if sink == 3 { &errors } else { &all });
        }
        prop_assert!(machine.drained(None));
    }
}
