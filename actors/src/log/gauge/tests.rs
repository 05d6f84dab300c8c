use super::*;
use contract::log::{Mark, Position};
use proptest::prelude::*;

fn status(batches: u64, retries: u64, refused: u64) -> SinkStatus {
    SinkStatus { batches, retries, refused, last_error: Some("down".into()), ..SinkStatus::default() }
}

fn down() -> Vec<Change> {
    vec![Change::Down("down".into())]
}

#[test]
fn only_the_first_of_many_failures_and_deliveries_is_told() {
    let gauge = Gauge::default();
    assert_eq!(gauge.note(&status(1, 0, 0), None, 10), [], "the first delivery is nothing special");
    assert_eq!(gauge.note(&status(1, 1, 0), None, 20), down());
    assert_eq!(gauge.note(&status(1, 2, 0), None, 30), []);
    assert_eq!(gauge.read().up_since_ns, None);
    assert_eq!(gauge.note(&status(2, 2, 0), None, 40), [Change::Up]);
    let refused = Change::Refused { lines: 5, error: "down".into() };
    assert_eq!(gauge.note(&status(3, 2, 5), None, 50), [refused]);
    assert_eq!(gauge.note(&status(4, 2, 6), None, 60), []);
    let read = gauge.read();
    assert_eq!((read.up_since_ns, read.delivered_ns, read.failed_ns), (Some(40), Some(60), Some(30)));
}

#[test]
fn a_sink_that_comes_and_goes_is_told_of_once_a_minute_and_what_was_told_last_comes_true() {
    let (gauge, second) = (Gauge::default(), 1_000_000_000);
    assert_eq!(gauge.note(&status(0, 1, 0), None, 0), down());
    assert_eq!(gauge.note(&status(1, 1, 0), None, second), [Change::Up]);
    for n in 1..59 {
        let at = i64::try_from(n).unwrap() * second;
        assert_eq!(gauge.note(&status(n, n + 1, 0), None, at), []);
        assert_eq!(gauge.read().up_since_ns, None, "what is asked for is true");
        assert_eq!(gauge.note(&status(n + 1, n + 1, 0), None, at + 1), []);
        assert_eq!(gauge.read().up_since_ns, Some(at + 1));
    }
    assert_eq!(gauge.note(&status(59, 60, 0), None, 59 * second), []);
    assert_eq!(gauge.note(&status(59, 61, 0), None, 60 * second), down(), "it is away still");
    assert_eq!(gauge.note(&status(59, 62, 0), None, 180 * second), []);
    assert_eq!(gauge.note(&status(60, 62, 0), None, 181 * second), [Change::Up]);
    assert_eq!(gauge.note(&status(60, 63, 0), None, 182 * second), down(), "the last was long ago");
}

#[test]
fn a_buffer_that_is_full_again_after_a_while_is_told_again() {
    let gauge = Gauge::default();
    let note = |lines, now_ns| {
        let mut status = status(1, 0, 0);
        status.losses.dropped.lines = lines;
        gauge.note(&status, None, now_ns)
    };
    let told = |lines| vec![Change::Dropped { reason: "buffer-full", lines }];
    assert_eq!(note(5, 10), told(5));
    assert_eq!(note(9, 10 + QUIET_NS), []);
    assert_eq!(note(12, 12 + 2 * QUIET_NS), told(3));
    assert_eq!(note(14, 12 + QUIET_NS / 2), told(2), "the clock was put back meanwhile, and nobody knows");
}

#[test]
fn what_an_earlier_daemon_dropped_is_not_told_again_but_the_first_of_this_one_is() {
    let gauge = Gauge::default();
    let mut status = SinkStatus::default();
    status.losses.version = 3;
    (status.losses.dropped.lines, status.losses.dropped.unspooled) = (7, 100);
    gauge.found(&status.losses);
    assert_eq!(gauge.note(&status, None, 1), []);
    (status.losses.dropped.lines, status.losses.dropped.unspooled) = (9, 150);
    let told = |reason, lines| Change::Dropped { reason, lines };
    assert_eq!(gauge.note(&status, None, 2), [told("spool-full", 0), told("buffer-full", 2)]);
    // What is older than what is known here counts no more.
    gauge.found(&Losses::default());
    assert_eq!(gauge.read().status.losses.dropped.lines, 9);
}

#[test]
fn a_part_of_the_spool_that_is_gone_is_told_though_nobody_knows_what_was_in_it() {
    // It was counted, and shown nowhere.
    let gauge = Gauge::default();
    let mut status = SinkStatus::default();
    status.losses.dropped.lost = 1;
    assert_eq!(gauge.note(&status, None, 1), [Change::Dropped { reason: "spool-gone", lines: 0 }]);
    status.losses.dropped.lost = 2;
    assert_eq!(gauge.note(&status, None, 2), []);
    assert_eq!(gauge.read().status.dropped_places(), [("spool-gone", 2)]);
    assert_eq!(status.dropped().iter().map(|(_, lines)| lines).sum::<u64>(), 0);
}

#[test]
fn a_sink_that_never_came_up_is_told_once() {
    let gauge = Gauge::default();
    assert_eq!(gauge.note(&status(0, 1, 0), None, 1), down());
    assert_eq!(gauge.note(&status(0, 2, 0), None, 2), []);
    assert_eq!(gauge.note(&status(1, 2, 0), None, 3), [Change::Up]);
}

#[test]
fn a_sink_that_is_back_and_refuses_is_told_of_both() {
    let gauge = Gauge::default();
    gauge.note(&status(0, 1, 0), None, 1);
    let refused = Change::Refused { lines: 2, error: "down".into() };
    assert_eq!(gauge.note(&status(1, 1, 2), None, 2), [Change::Up, refused]);
}

#[test]
fn a_sink_of_which_everything_is_refused_is_not_up() {
    // A wrong token left it idle and up for ever, with its last delivery just now.
    let gauge = Gauge::default();
    let refusing = |batches, refused| SinkStatus { refuses: true, ..status(batches, 0, refused) };
    gauge.note(&status(1, 0, 0), None, 10);
    let told = Change::Refused { lines: 3, error: "down".into() };
    assert_eq!(gauge.note(&refusing(2, 3), None, 20), [told]);
    assert_eq!(gauge.note(&refusing(3, 5), None, 30), []);
    let read = gauge.read();
    assert_eq!((read.up_since_ns, read.down_since_ns), (None, Some(20)));
    assert_eq!((read.delivered_ns, read.failed_ns), (Some(10), Some(30)));
    let word = |state| SinkStatus { state, ..refusing(3, 5) }.word();
    assert_eq!(
        [SinkState::Idle, SinkState::Delivering, SinkState::Parked].map(word),
        ["refused", "refused", "reopening"]
    );
    gauge.note(&status(4, 0, 5), None, 40);
    let read = gauge.read();
    assert_eq!((read.up_since_ns, read.down_since_ns, read.delivered_ns), (Some(40), None, Some(40)));
    assert_eq!(SinkStatus { state: SinkState::Idle, ..read.status }.word(), "idle");
}

#[test]
fn a_sink_that_comes_back_only_to_refuse_is_down_since_it_went() {
    let gauge = Gauge::default();
    assert_eq!(gauge.note(&status(0, 1, 0), None, 1), down());
    let refused = Change::Refused { lines: 2, error: "down".into() };
    assert_eq!(gauge.note(&SinkStatus { refuses: true, ..status(1, 1, 2) }, None, 2), [refused]);
    assert_eq!(gauge.read().down_since_ns, Some(1));
    assert_eq!(gauge.note(&status(2, 1, 2), None, 3), [Change::Up]);
}

#[test]
fn what_was_offered_never_goes_back() {
    let gauge = Gauge::default();
    gauge.note(&SinkStatus { lines: 10, bytes: 100, refused: 1, ..SinkStatus::default() }, None, 1);
    let lag = Lag { lines: 5, bytes: 55, text: 50, ..Lag::default() };
    assert_eq!(gauge.read_with(gauge.read(), Some(&lag)).offered, (16, 150));
    assert_eq!(gauge.read_with(gauge.read(), None).offered, (16, 150), "nobody knows what waits");
    gauge.note(&SinkStatus { lines: 16, bytes: 151, refused: 1, ..SinkStatus::default() }, None, 2);
    assert_eq!(gauge.read_with(gauge.read(), Some(&Lag::default())).offered, (17, 151));
    assert!(gauge.read().since_ns > 0);
}

#[test]
fn what_found_no_room_in_the_spool_counts_at_once_and_not_again_when_the_sink_comes_to_it() {
    // A sink that was away had lost nothing, by what was shown, until it was back.
    let gauge = Gauge::default();
    let missing = |unspooled| Lag { unspooled, ..Lag::default() };
    let told = |lag: Option<&Lag>| {
        let reading = gauge.read_with(gauge.read(), lag);
        assert_eq!(reading.status.dropped_bytes()[3], ("spool-full", reading.unspooled));
        reading.unspooled
    };
    assert_eq!(told(Some(&missing(100))), 100);
    assert_eq!(told(None), 100, "what was told once stays so");
    let mut status = SinkStatus::default();
    (status.losses.dropped.unspooled, status.losses.version) = (60, 1);
    gauge.note(&status, None, 1);
    assert_eq!(told(Some(&missing(40))), 100);
    (status.losses.dropped.unspooled, status.losses.version) = (100, 2);
    gauge.note(&status, None, 2);
    assert_eq!(told(Some(&missing(0))), 100);
    assert_eq!(told(Some(&missing(5))), 105);
    assert_eq!(gauge.read().status.losses.dropped.unspooled, 100, "what is counted is another matter");
    gauge.begin_at(at(0));
    assert_eq!(told(Some(&missing(0))), 100, "what it will not come to is not told of");
}

#[test]
fn what_was_offered_begins_with_the_daemon_as_what_was_delivered_does() {
    // Drops of years stood beside the deliveries of a minute.
    let gauge = Gauge::default();
    let mut status = SinkStatus { lines: 3, bytes: 30, ..SinkStatus::default() };
    status.losses.version = 1;
    (status.losses.dropped.lines, status.losses.dropped.bytes) = (1000, 5000);
    gauge.found(&status.losses);
    gauge.note(&status, None, 1);
    assert_eq!(gauge.read_with(gauge.read(), None).offered, (3, 30));
    status.losses.version = 2;
    (status.losses.dropped.lines, status.losses.dropped.bytes) = (1002, 5020);
    gauge.note(&status, None, 2);
    gauge.found(&status.losses);
    assert_eq!(gauge.read_with(gauge.read(), None).offered, (5, 50));
    assert_eq!(gauge.read().status.losses.dropped.lines, 1002);
}

#[test]
fn bytes_that_were_refused_or_suppressed_were_offered_as_their_lines_were() {
    let gauge = Gauge::default();
    let refused = SinkStatus { refused: 1, refused_bytes: 5, ..SinkStatus::default() };
    gauge.note(&refused, None, 1);
    assert_eq!(gauge.read_with(gauge.read(), None).offered, (1, 5));
    gauge.note(&SinkStatus { suppressed: 2, suppressed_bytes: 9, ..refused }, None, 2);
    assert_eq!(gauge.read_with(gauge.read(), None).offered, (3, 14));
}

fn at(offset: u64) -> Cursor {
    let mark = Mark { at: Position { segment: 1, offset }, ..Mark::default() };
    Cursor { stdout: mark.clone(), stderr: mark, pace: None }
}

/// Empty lines, which take a byte each in the spool.
fn waits(lines: u64) -> Lag {
    Lag { lines, bytes: lines, ..Lag::default() }
}

#[test]
fn lines_that_are_delivered_while_the_spool_is_counted_are_not_offered_twice() {
    // Whoever looked while lines came raised what was offered for good.
    let gauge = Gauge::default();
    gauge.note(&SinkStatus::default(), Some(&at(0)), 1);
    let seen = gauge.read();
    gauge.note(&SinkStatus { lines: 200, ..SinkStatus::default() }, Some(&at(200)), 2);
    assert_eq!(gauge.read_with(seen, Some(&waits(200))).offered, (200, 0));
    assert_eq!(gauge.read_with(gauge.read(), Some(&waits(0))).offered, (200, 0));
}

#[test]
fn what_a_sink_that_opens_further_on_will_not_deliver_does_not_stay_offered() {
    let gauge = Gauge::default();
    gauge.note(&SinkStatus::default(), Some(&at(0)), 1);
    assert_eq!(gauge.read_with(gauge.read(), Some(&waits(200))).offered, (200, 0));
    let early = gauge.read();
    gauge.opened(&at(150));
    assert_eq!(gauge.read_with(early, Some(&waits(200))).offered, (0, 0), "it was seen before");
    assert_eq!(gauge.read_with(gauge.read(), Some(&waits(50))).offered, (50, 0));
    gauge.opened(&at(150));
    assert_eq!(gauge.read().offered, (50, 0), "it stands where it was believed to");
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64),
    Look,
    Survey(usize),
    Deliver(u64),
    Refuse(u64),
    Open(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..9_u64).prop_map(Step::Write),
        4 => Just(Step::Look),
        4 => (0..4_usize).prop_map(Step::Survey),
        4 => (1..9_u64).prop_map(Step::Deliver),
        1 => (1..4_u64).prop_map(Step::Refuse),
        1 => (0..60_u64).prop_map(Step::Open),
    ]
}

proptest! {
    #[test]
    fn at_rest_what_was_offered_is_what_was_delivered_or_dropped_whoever_looked(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let (gauge, mut status) = (Gauge::default(), SinkStatus::default());
        let (mut written, mut place) = (0_u64, 0_u64);
        let mut looks: Vec<(u64, Reading)> = Vec::new();
        gauge.note(&status, Some(&at(0)), 0);
        for step in steps {
            match step {
                Step::Write(lines) => written += lines,
                Step::Look => looks.push((place, gauge.read())),
                Step::Survey(nth) if nth < looks.len() => {
                    let (from, seen) = looks.remove(nth);
                    let told = gauge.read_with(seen, Some(&waits(written - from)));
                    prop_assert!(told.offered.0 >= told.status.lines + told.status.refused);
                }
                Step::Survey(_) => {}
                Step::Deliver(lines) => {
                    let lines = lines.min(written - place);
                    (place, status.lines) = (place + lines, status.lines + lines);
                }
                Step::Refuse(lines) => {
                    let lines = lines.min(written - place);
                    (place, status.refused) = (place + lines, status.refused + lines);
                }
                Step::Open(to) => {
                    place = to.min(written);
                    gauge.opened(&at(place));
                }
            }
            gauge.note(&status, Some(&at(place)), 0);
        }
        status.lines += written - place;
        gauge.note(&status, Some(&at(written)), 0);
        let told = gauge.read_with(gauge.read(), Some(&waits(0)));
        prop_assert_eq!(told.offered.0, status.lines + status.refused);
    }
}
