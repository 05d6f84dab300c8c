use super::*;
use crate::log::gap;
use contract::log::{LogLine, Mark, Overflow, Stream, Streams};
use proptest::prelude::*;
use std::collections::BTreeSet;

const SINKS: usize = 4;
/// Lines with which the container waits.
const BUDGET: u64 = 32;

/// What a sink's far side has: a line, or that so many were dropped from one place to another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Line(u64),
    Gap { from: u64, to: u64, lines: u64 },
}

/// What of a sink outlives a daemon.
#[derive(Debug, Clone, Default)]
struct Kept {
    cursor: u64,
    losses: Losses,
    got: Vec<Got>,
}

/// A spool of numbered lines, one a record of one byte, four a segment; and what each sink got, its cursor kept with it.
#[derive(Debug, Default)]
struct World {
    written: u64,
    gone: BTreeSet<u64>,
    kept: Vec<Kept>,
    /// The latest try at each sink's lane.
    latest: Vec<u64>,
    /// Effects whose results have not come home.
    opening: Vec<(usize, u64)>,
    reading: Vec<(usize, Asked, BatchPolicy)>,
    flying: Vec<(usize, u64, Arc<Batch>)>,
    waiting: Vec<(usize, u64)>,
    passing: Vec<(usize, u64, Pass, BatchPolicy)>,
    storing: Vec<(usize, Losses)>,
    measuring: bool,
    unstored: bool,
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
                Effect::Read(sink, asked, policy) => self.reading.push((sink, asked, policy)),
                Effect::Deliver(sink, attempt, batch) => self.flying.push((sink, attempt, batch)),
                Effect::Wait(sink, attempt, pause) => {
                    assert!(pause <= LONGEST);
                    self.waiting.push((sink, attempt));
                }
                Effect::Look(_) => {}
                Effect::Pass(sink, number, pass, policy) => self.passing.push((sink, number, pass, policy)),
                Effect::Store(sink, losses) => self.storing.push((sink, losses)),
                Effect::Measure => self.measuring = true,
                Effect::Trim(kept) => {
                    let old = 1..1 + self.written / 4;
                    self.gone.extend(old.filter(|segment| !kept.iter().any(|k| k.has(*segment))));
                }
            }
        }
    }

    fn extent(&self) -> Extent {
        let length = |segment: u64| (self.written - (segment - 1) * 4).min(4);
        let there = (1..=1 + self.written / 4).filter(|segment| !self.gone.contains(segment));
        Extent::new(there.map(|segment| (segment, length(segment))).collect())
    }

    fn has(&self, number: u64) -> bool {
        !self.gone.contains(&(1 + number / 4))
    }

    /// None where the spool has not got it any more.
    fn cut(&self, asked: &Asked, policy: &BatchPolicy) -> Option<Cut> {
        let (mut next, mut lines, mut gaps) = (number(&asked.from), Vec::new(), Gaps::default());
        let mut ahead = asked.ahead.losses.iter();
        let mut loss = ahead.next();
        let until = asked.ahead.until.as_ref().map_or(u64::MAX, number);
        let mut steps = 3;
        let last = loop {
            if let Some(hole) = loss.filter(|loss| next >= number(&loss.from)) {
                if hole.lines > 0 {
                    let text = format!("{} {} {}", number(&hole.from), number(&hole.to), hole.lines);
                    let told = gap::marker(text, 0, policy.streams);
                    gaps.mark(&told);
                    lines.push(told);
                }
                (next, loss) = (number(&hole.to), ahead.next());
            } else if next >= until || steps == 0 {
                break false;
            } else if next >= self.written {
                break true;
            } else if !self.has(next) {
                return None;
            } else {
                if policy.streams.lets(stream(next)) {
                    gaps.unspooled += lacks(next);
                    let data = next.to_string().into();
                    lines.push(LogLine { stream: stream(next), time_ns: 0, data, partial: None });
                }
                (next, steps) = (next + 1, steps - 1);
            }
        };
        let batch = Arc::new(Batch { lines, end: at(next), suppressed: 0 });
        Some(Cut { batch, gaps, last, again: None })
    }

    fn pass(&self, pass: &Pass, policy: &BatchPolicy) -> (Loss, Gaps) {
        let mut from = number(&pass.from);
        let end = pass.until.as_ref().map_or(self.written, number);
        while pass.keep.is_some_and(|keep| from + 2 <= end && at(from + 2).top() <= keep) {
            from += 2;
        }
        let mut to = from;
        while to < end && pass.to.is_none_or(|goal| at(to).top() < goal) {
            assert!(self.has(to), "{to} is gone: {pass:?}");
            to += 1;
        }
        let lines = (from..to).filter(|n| policy.streams.lets(stream(*n))).count() as u64;
        let unspooled = (from..to).filter(|n| policy.streams.lets(stream(*n))).map(lacks).sum();
        let gaps = Gaps { unspooled, ..Gaps::default() };
        (Loss { from: at(from), to: at(to), lines, bytes: lines, time_ns: 0 }, gaps)
    }

    /// What comes to a sink's lane after something later is refused.
    fn is_next(&mut self, sink: usize, attempt: u64) -> bool {
        let next = attempt > self.latest[sink];
        self.latest[sink] = self.latest[sink].max(attempt);
        next
    }

    /// A driver takes a batch: lines and cursor in one step.
    fn deliver(&mut self, sink: usize, batch: &Batch) {
        let kept = &mut self.kept[sink];
        kept.got.extend(batch.lines.iter().map(|line| {
            let text = std::str::from_utf8(&line.data).unwrap();
            let numbers: Vec<u64> = text.split(' ').map(|n| n.parse().unwrap()).collect();
            match numbers[..] {
                [line] => Got::Line(line),
                [from, to, lines] => Got::Gap { from, to, lines },
                _ => panic!("{text}"),
            }
        }));
        kept.cursor = number(&batch.end);
    }

    /// The daemon is killed. What was on its way may arrive all the same, and be called dropped by the next one, which
    /// cannot know: the far side then lacks less than is counted, never more.
    fn die(&mut self) {
        *self = Self {
            written: self.written,
            gone: std::mem::take(&mut self.gone),
            kept: std::mem::take(&mut self.kept),
            latest: std::mem::take(&mut self.latest),
            unstored: self.unstored,
            ..Self::default()
        };
    }
}

/// Runs of the one and of the other.
fn stream(number: u64) -> Stream {
    if (number / 5).is_multiple_of(2) { Stream::Stdout } else { Stream::Stderr }
}

/// Bytes for which the spool had no room at that line.
fn lacks(number: u64) -> u64 {
    u64::from(number % 11 == 7)
}

fn fresh(incarnation: u64, before: Option<&Machine>) -> Machine {
    let same = BatchPolicy::default();
    let errors = BatchPolicy { streams: Streams::Stderr, ..same.clone() };
    let other = BatchPolicy { max_lines: 2, ..same.clone() };
    let dropping = |buffer, overflow| Delivery::NonBlocking { buffer, overflow };
    let sinks = [
        ("one", same.clone(), Delivery::Blocking),
        ("two", same, dropping(8, Overflow::DropNewest)),
        ("other", other, dropping(8, Overflow::DropOldest)),
        ("errors", errors, dropping(12, Overflow::DropOldest)),
    ];
    let seats = sinks.into_iter().enumerate().map(|(index, (name, policy, delivery))| {
        let known = before.and_then(|machine| machine.status().nth(index));
        let named = || SinkStatus { name: name.to_owned(), ..SinkStatus::default() };
        let (status, cursor) = known.map_or_else(|| (named(), None), |(s, c)| (s.clone(), c.cloned()));
        Seat { status, cursor, policy, delivery }
    });
    Machine::new(seats.collect::<Vec<_>>(), incarnation << 32, BUDGET)
}

fn any<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(which % list.len()))
}

fn find(machine: &mut Machine, world: &mut World, sink: usize) {
    // The first keeps its cursor with its data.
    let cursor = (sink > 0).then(|| at(world.kept[sink].cursor));
    let losses = world.kept[sink].losses.clone();
    step(machine, world, Event::Found(sink, cursor, losses));
}

fn open(machine: &mut Machine, world: &mut World, sink: usize, attempt: u64) {
    find(machine, world, sink);
    let event = match world.is_next(sink, attempt) {
        true => Event::Opened(sink, attempt, at(world.kept[sink].cursor)),
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

fn read(machine: &mut Machine, world: &mut World, (sink, asked, policy): (usize, Asked, BatchPolicy)) {
    let cut = world.cut(&asked, &policy);
    let wanted = machine.sinks.iter().any(|w| w.policy == policy && w.reading.as_ref() == Some(&asked));
    // What nobody waits for any more may be gone.
    assert!(cut.is_some() || !wanted, "gone before it was read: {asked:?} {machine:?}");
    step(machine, world, Event::Read(sink, asked, cut.ok_or_else(|| "gone".into())));
}

fn store(machine: &mut Machine, world: &mut World, (sink, losses): (usize, Losses)) {
    let version = losses.version;
    if version > world.kept[sink].losses.version {
        world.kept[sink].losses = losses;
    }
    step(machine, world, Event::Stored(sink, version, true));
}

fn step(machine: &mut Machine, world: &mut World, event: Event) {
    let effects = machine.step(event);
    world.take(effects);
    // At most one batch in flight and one read ahead is held for each sink.
    for (window, kept) in machine.sinks.iter().zip(&world.kept) {
        assert!(window.status.state != SinkState::Delivering || window.flying.is_some());
        // What it tells to be missing is on disk.
        let sent = window.flying.as_ref().filter(|load| load.gaps.unspooled > 0);
        let stored = sent.is_none_or(|load| kept.losses.counted.is_past(&load.batch.end));
        assert!(stored || world.unstored, "sent before it was counted: {window:?}");
    }
}

/// Lets what needs no driver come home.
fn look_up(machine: &mut Machine, world: &mut World) -> bool {
    if let Some(asked) = any(&mut world.reading, 0) {
        read(machine, world, asked);
    } else if let Some((sink, number, pass, policy)) = any(&mut world.passing, 0) {
        let passed = world.pass(&pass, &policy);
        step(machine, world, Event::Passed(sink, number, Ok(passed)));
    } else if let Some(losses) = any(&mut world.storing, 0) {
        store(machine, world, losses);
    } else if std::mem::take(&mut world.measuring) {
        step(machine, world, Event::Measured(Ok(world.extent())));
    } else {
        return false;
    }
    true
}

/// Lets everything under way come home well, until nothing is left to do.
fn settle(machine: &mut Machine, world: &mut World) {
    for _ in 0..10_000 {
        if look_up(machine, world) {
            continue;
        }
        if let Some((sink, attempt)) = any(&mut world.opening, 0) {
            open(machine, world, sink, attempt);
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

/// Whatever the drivers do, nobody holds more than its buffer, a batch, and a segment while it keeps up, beside what was there
/// when the router began.
fn nobody_holds_more_than_its_room(machine: &mut Machine, world: &mut World) {
    step(machine, world, Event::More);
    for _ in 0..10_000 {
        if !look_up(machine, world) {
            break;
        }
    }
    let extent = world.extent();
    for w in &machine.sinks {
        let (Delivery::NonBlocking { buffer, .. }, Some(cursor)) = (w.delivery, &w.cursor) else { continue };
        let held = extent.held(cursor, &w.status.losses, extent.end());
        assert!(w.room.owed == 0 || extent.total() < BUDGET * 3 / 4, "the container waits for it: {w:?}");
        // What was sent and not confirmed may be one batch, and another with what is read ahead of it.
        assert!(held <= w.room.owed.saturating_add(buffer + 4 + 3), "{held} of {buffer}: {w:?}");
    }
}

/// What a sink got and what it was told to be missing is what was written, once and in order.
fn is_whole(sink: usize, kept: &Kept, written: u64, lets: impl Fn(u64) -> bool) -> u64 {
    let (mut next, mut dropped) = (0, 0);
    let count = |from: u64, to: u64| (from..to).filter(|n| lets(*n)).count() as u64;
    for got in &kept.got {
        match *got {
            Got::Line(line) => {
                assert_eq!(count(next, line), 0, "{sink}: lines before {line} are missing: {:?}", kept.got);
                assert!(line >= next && lets(line), "{sink}: {line} does not belong here: {:?}", kept.got);
                next = line + 1;
            }
            Got::Gap { from, to, lines } => {
                assert_eq!(count(next, from), 0, "{sink}: lines before {from} are missing: {:?}", kept.got);
                assert!(from >= next && lines == count(from, to), "{sink}: {got:?} of {:?}", kept.got);
                (next, dropped) = (to, dropped + lines);
            }
        }
    }
    assert_eq!(count(next, written), 0, "{sink}: lines after {next} are missing: {:?}", kept.got);
    dropped
}

/// Nobody has anything yet of so many lines.
fn world(written: u64) -> World {
    World { written, kept: vec![Kept::default(); SINKS], latest: vec![0; SINKS], ..World::default() }
}

/// A daemon finds so many lines, and knows of each sink where it stands; of two of limited room, what they were not given.
fn begun(written: u64, failure: Option<Failure>) -> (Machine, World, [u64; 2]) {
    let (mut world, mut machine) = (world(written), fresh(0, None));
    for sink in 0..SINKS {
        step(&mut machine, &mut world, Event::Up(sink));
        find(&mut machine, &mut world, sink);
    }
    if let Some(failure) = failure {
        for (sink, attempt) in std::mem::take(&mut world.opening) {
            step(&mut machine, &mut world, Event::Failed(sink, attempt, failure.clone()));
        }
    }
    step(&mut machine, &mut world, Event::More);
    while look_up(&mut machine, &mut world) {}
    let dropped = [1, 2].map(|sink| machine.sinks[sink].status.losses.dropped.lines);
    (machine, world, dropped)
}

#[test]
fn what_a_daemon_finds_in_the_spool_is_not_dropped_before_its_drivers_were_tried() {
    // It was, down to the bare buffer, as soon as it was known where they stood; and the next time after one batch.
    let (mut machine, mut world, dropped) = begun(23, None);
    assert_eq!(dropped, [0, 0]);
    for (sink, attempt) in std::mem::take(&mut world.opening) {
        open(&mut machine, &mut world, sink, attempt);
    }
    while look_up(&mut machine, &mut world) {}
    for (sink, attempt, batch) in std::mem::take(&mut world.flying) {
        arrive(&mut machine, &mut world, sink, attempt, &batch);
    }
    step(&mut machine, &mut world, Event::More);
    settle(&mut machine, &mut world);
    for (sink, kept) in world.kept.iter().enumerate() {
        assert_eq!(machine.sinks[sink].status.losses.dropped.lines, 0);
        assert_eq!(is_whole(sink, kept, 23, |n| sink != 3 || stream(n) == Stream::Stderr), 0);
    }
}

#[test]
fn a_daemon_that_is_killed_between_a_batch_and_its_answer_has_counted_what_the_batch_tells() {
    let (mut machine, mut world, _) = begun(8, None);
    for (sink, attempt) in std::mem::take(&mut world.opening) {
        open(&mut machine, &mut world, sink, attempt);
    }
    for _ in 0..4 {
        while look_up(&mut machine, &mut world) {}
        for (sink, attempt, batch) in std::mem::take(&mut world.flying) {
            if number(&batch.end) < 8 {
                arrive(&mut machine, &mut world, sink, attempt, &batch);
            } else {
                world.deliver(sink, &batch);
            }
        }
    }
    assert!(world.kept.iter().all(|kept| kept.cursor == 8));
    world.die();
    machine = fresh(1, None);
    for sink in 0..SINKS {
        step(&mut machine, &mut world, Event::Up(sink));
    }
    settle(&mut machine, &mut world);
    let counted = machine.sinks.iter().map(|w| w.status.losses.dropped.unspooled);
    assert_eq!(counted.collect::<Vec<_>>(), [1; SINKS]);
}

#[test]
fn a_driver_that_cannot_be_opened_is_kept_to_its_room_at_once() {
    let (.., dropped) = begun(23, Some(Failure::Fatal("refused".into())));
    assert!(dropped.iter().all(|lines| *lines > 8), "{dropped:?}");
}

#[test]
fn a_container_does_not_wait_for_drivers_that_were_not_tried_yet() {
    let (.., dropped) = begun(BUDGET * 3 / 4, None);
    assert!(dropped.iter().all(|lines| *lines > 8), "{dropped:?}");
}

#[test]
fn a_pause_that_was_asked_for_may_be_longer_than_a_minute_but_not_without_end() {
    for (asked, wanted) in [(120, 120), (600, 600), (86_400, 600)] {
        let (mut machine, mut out) = (fresh(1, None), Vec::new());
        let failure = Failure::Retry("busy".into(), Some(Duration::from_secs(asked)));
        fail(&mut machine.sinks[0], 0, failure, &mut out);
        let waits = matches!(out[..], [Effect::Wait(0, _, pause)] if pause == Duration::from_secs(wanted));
        assert!(waits, "{asked}: {out:?}");
    }
    // Its own pauses have their bound.
    let (mut machine, mut out) = (fresh(1, None), Vec::new());
    for _ in 0..40 {
        fail(&mut machine.sinks[0], 0, Failure::Retry("down".into(), None), &mut out);
    }
    assert!(out.iter().all(|effect| matches!(effect, Effect::Wait(0, _, pause) if *pause <= LONGEST)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    /// Delivering, refusing, panicking, hanging sinks, a rebuilt router, a killed daemon, reads that fail and news at any
    /// moment.
    #[test]
    fn what_is_delivered_and_what_is_dropped_are_what_was_written(
        steps in prop::collection::vec((0u8..20, 0usize..8), 0..160),
    ) {
        let mut world = world(0);
        let (mut machine, mut incarnation) = (fresh(0, None), 0);
        for sink in 0..SINKS {
            step(&mut machine, &mut world, Event::Up(sink));
        }
        for (kind, which) in steps {
            match kind {
                0..=2 => {
                    world.written += 1 + which as u64 % 5;
                    step(&mut machine, &mut world, Event::More);
                }
                3 | 4 => if let Some((sink, attempt)) = any(&mut world.opening, which) {
                    open(&mut machine, &mut world, sink, attempt);
                },
                // Its turn does not come, but it is known where it stands.
                5 => if let Some((sink, _)) = world.opening.get(which % 4).copied() {
                    find(&mut machine, &mut world, sink);
                },
                6 | 7 => if let Some(asked) = any(&mut world.reading, which) {
                    read(&mut machine, &mut world, asked);
                },
                8 => if let Some((sink, asked, _)) = any(&mut world.reading, which) {
                    step(&mut machine, &mut world, Event::Read(sink, asked, Err("input/output error".into())));
                },
                9 | 10 => if let Some((sink, attempt, batch)) = any(&mut world.flying, which) {
                    arrive(&mut machine, &mut world, sink, attempt, &batch);
                },
                11 => if let Some((sink, attempt, _)) = any(&mut world.flying, which) {
                    let failure = match which % 2 {
                        0 => Failure::Retry("down".into(), None),
                        _ => Failure::Fatal("gone".into()),
                    };
                    step(&mut machine, &mut world, Event::Failed(sink, attempt, failure));
                },
                12 => if let Some((sink, attempt)) = any(&mut world.waiting, which) {
                    step(&mut machine, &mut world, Event::Waited(sink, attempt));
                },
                // The sink's actor was rebuilt; what it had begun goes on.
                13 => step(&mut machine, &mut world, Event::Up(which % SINKS)),
                14 => if std::mem::take(&mut world.measuring) {
                    let extent = world.extent();
                    step(&mut machine, &mut world, Event::Measured(Ok(extent)));
                },
                15 => if let Some((sink, number, pass, policy)) = any(&mut world.passing, which) {
                    let passed = if which == 7 { Err("input/output error".into()) } else { Ok(world.pass(&pass, &policy)) };
                    step(&mut machine, &mut world, Event::Passed(sink, number, passed));
                },
                16 => if let Some((sink, losses)) = any(&mut world.storing, which) {
                    if which == 7 {
                        world.unstored = true;
                        step(&mut machine, &mut world, Event::Stored(sink, losses.version, false));
                    } else {
                        store(&mut machine, &mut world, (sink, losses));
                    }
                },
                17 => nobody_holds_more_than_its_room(&mut machine, &mut world),
                // The router is rebuilt. Timers and reads of the one before die with it, its sinks' work does not.
                18 => {
                    incarnation += 1;
                    machine = fresh(incarnation, Some(&machine));
                    world.opening.clear();
                    world.reading.clear();
                    world.waiting.clear();
                    world.passing.clear();
                    world.measuring = false;
                    // Where the losses are written, too, each waits for the one before.
                    for (sink, losses) in std::mem::take(&mut world.storing) {
                        if losses.version > world.kept[sink].losses.version {
                            world.kept[sink].losses = losses;
                        }
                    }
                    for sink in 0..SINKS {
                        step(&mut machine, &mut world, Event::Up(sink));
                    }
                }
                _ => {
                    // What was on its way may have come there with its cursor, though nobody heard of it.
                    if which % 2 == 1
                        && let Some((sink, attempt, batch)) = any(&mut world.flying, which)
                        && world.is_next(sink, attempt)
                    {
                        world.deliver(sink, &batch);
                    }
                    incarnation += 1;
                    world.die();
                    machine = fresh(incarnation, None);
                    for sink in 0..SINKS {
                        step(&mut machine, &mut world, Event::Up(sink));
                    }
                }
            }
        }
        settle(&mut machine, &mut world);
        step(&mut machine, &mut world, Event::More);
        settle(&mut machine, &mut world);
        for (sink, kept) in world.kept.iter().enumerate() {
            let lets = |n: u64| sink != 3 || stream(n) == Stream::Stderr;
            let dropped = is_whole(sink, kept, world.written, lets);
            let counted = machine.sinks[sink].status.losses.dropped.lines;
            prop_assert!(sink > 0 || dropped == 0);
            // What could not be stored a killed daemon takes along.
            prop_assert!(world.unstored || counted == dropped, "{} were dropped, {} counted", dropped, counted);
            let unspooled = machine.sinks[sink].status.losses.dropped.unspooled;
            let lacking: u64 = (0..world.written).filter(|n| lets(*n)).map(lacks).sum();
            prop_assert!(world.unstored || unspooled == lacking, "{} are lacking, {} counted", lacking, unspooled);
        }
        prop_assert!(machine.drained(None));
        let there = world.extent();
        prop_assert!(there.between(Position::default(), there.end()) <= 8, "the spool is let go of: {:?}", there);
    }
}
