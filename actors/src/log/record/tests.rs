use super::*;
use bytes::Bytes;
use contract::log::{Options, Records};
use proptest::prelude::*;

/// A spool, one record a call, eight a segment.
#[derive(Debug, Default)]
struct Script(Vec<SpoolRecord>);

impl Script {
    fn at(&self) -> Position {
        let n = self.0.len() as u64;
        Position { segment: n / 8, offset: n % 8 * 1000 }
    }
    fn say(&mut self, stream: Stream, ms: i64, text: &str) {
        let data = Bytes::copy_from_slice(text.as_bytes());
        let time_ns = ms * 1_000_000;
        self.0.push(SpoolRecord::Data { at: self.at(), stream, time_ns, held_ns: 0, data });
    }
    /// What was said last was read after the spool had been full for so long.
    fn held(mut self, ms: i64) -> Self {
        if let Some(SpoolRecord::Data { held_ns, .. }) = self.0.last_mut() {
            *held_ns = ms * 1_000_000;
        }
        self
    }
    fn out(mut self, ms: i64, text: &str) -> Self {
        self.say(Stream::Stdout, ms, text);
        self
    }
    fn err(mut self, ms: i64, text: &str) -> Self {
        self.say(Stream::Stderr, ms, text);
        self
    }
    fn end(mut self) -> Self {
        let time_ns = self.0.iter().rev().find_map(time).unwrap_or(0);
        self.0.push(SpoolRecord::End { at: self.at(), time_ns });
        self
    }
}

fn policy(pairs: &[(&str, &str)]) -> BatchPolicy {
    let options: Options = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    BatchPolicy { records: Records::parse(&options).unwrap(), ..BatchPolicy::default() }
}

fn place(record: &SpoolRecord) -> Position {
    match record {
        SpoolRecord::Data { at, .. } | SpoolRecord::Gap { at, .. } | SpoolRecord::End { at, .. } => *at,
    }
}

fn time(record: &SpoolRecord) -> Option<i64> {
    match record {
        SpoolRecord::Data { time_ns, .. } => Some(*time_ns),
        SpoolRecord::Gap { .. } | SpoolRecord::End { .. } => None,
    }
}

fn text(line: &LogLine) -> String {
    String::from_utf8_lossy(&line.data).into_owned()
}

/// What comes of a spool, without waiting for what is not over.
fn built(script: &Script, policy: &BatchPolicy) -> Vec<String> {
    let mut builder = Builder::at(&Cursor::default(), policy, 1);
    let mut out = Vec::new();
    for record in &script.0 {
        builder.push(record, &mut out, |_| false);
    }
    out.iter().map(text).collect()
}

const TRACES: [(&str, &str); 1] = [("multiline-pattern", r"^\S")];

#[test]
fn a_stack_trace_is_one_record() {
    let script = Script::default()
        .out(0, "Exception: a\n  at b\n")
        .err(1, "other\n")
        .out(2, "  at c\n\n  at d\nnext\n")
        .out(3, "last\n  with")
        .end();
    // At the end, what was silent for longer goes first.
    let records = ["Exception: a\n  at b\n  at c\n\n  at d", "next", "other", "last", "  with"];
    assert_eq!(built(&script, &policy(&TRACES)), records);
}

#[test]
fn a_record_ends_where_nothing_followed_for_too_long_by_the_times_of_lines() {
    let all = policy(&TRACES);
    let near = Script::default().out(0, "a\n").out(1000, " b\n").out(2000, " c\n");
    assert!(built(&near, &all).is_empty(), "it may go on");
    let far = Script::default().out(0, "a\n").out(1001, " b\n").out(2002, " c\n");
    assert_eq!(built(&far, &all), ["a", " b"]);
    // The other stream's lines show that nothing came.
    let other = Script::default().out(0, "a\n").err(1001, "x\n").out(1002, " b\n");
    assert_eq!(built(&other, &all), ["a"]);
    // Half a line is none.
    let half = Script::default().out(0, "a\n").out(900, " b").out(1800, "b\n").out(1801, "c\n");
    assert_eq!(built(&half, &all), ["a", " bb"]);
}

#[test]
fn a_record_goes_on_behind_the_time_in_which_the_spool_was_full() {
    // It was parted there: what had waited in the pipe has the time at which it was read.
    let all = policy(&TRACES);
    let script = || Script::default().out(0, "a\n").err(0, "x\n");
    let full = script().out(60_000, " b\n").held(59_500).err(60_001, " y\n").out(60_002, "c\n");
    assert_eq!(built(&full, &all), ["a\n b"]);
    assert_eq!(built(&full.end(), &all), ["a\n b", "x\n y", "c"]);
    let silent = script().out(60_000, " b\n").held(58_500);
    assert_eq!(built(&silent, &all), ["a", "x"]);
    // Read again from where standard error stands.
    let full = script().out(60_000, " b\nc\n").held(59_500).err(60_001, " y\nz\n").end();
    let now = 60_000_000_000;
    let (_, from) = cut(&full, &all, &Cursor::default(), 3, 1, now);
    let (lines, _) = cut(&full, &all, &from, usize::MAX, usize::MAX, now);
    assert_eq!(lines.iter().map(text).collect::<Vec<_>>(), ["x\n y", "c", "z"]);
}

#[test]
fn the_first_record_after_segments_without_output_is_not_parted() {
    // It was said to begin where the stream had ended, too far away to be held.
    let mut builder = Builder::at(&Cursor::default(), &policy(&TRACES), 1);
    let (stream, segment, mut out) = (Stream::Stdout, 5, Vec::new());
    for (offset, data) in [(0, "a\n"), (100, " b\n"), (200, "c\n")] {
        let at = Position { segment, offset };
        let record = SpoolRecord::Data { at, stream, time_ns: 0, held_ns: 0, data: data.into() };
        builder.push(&record, &mut out, |_| false);
    }
    assert_eq!(out.iter().map(text).collect::<Vec<_>>(), ["a\n b"]);
    assert_eq!(builder.cursor().stdout.at, Position { segment, offset: 200 });
}

#[test]
fn what_is_over_by_the_clock_ends_and_what_is_not_is_looked_at_again() {
    let mut builder = Builder::at(&Cursor::default(), &policy(&TRACES), 1);
    let mut out = Vec::new();
    for record in &Script::default().out(0, "a\n b\n").0 {
        builder.push(record, &mut out, |_| false);
    }
    let again = builder.dry(700_000_000, &mut out).unwrap();
    assert_eq!((out.len(), again), (0, Duration::from_millis(500)));
    assert_eq!(builder.cursor().stdout.skip, 0, "the record would be read again");
    assert_eq!(builder.dry(1_201_000_000, &mut out), None);
    assert_eq!(out.iter().map(text).collect::<Vec<_>>(), ["a\n b"]);
    assert_eq!(builder.cursor().stdout.skip, 5);
    let mut short = Builder::at(&Cursor::default(), &policy(&[TRACES[0], ("multiline-timeout", "10ms")]), 1);
    for record in &Script::default().out(1000, "a\n").0 {
        short.push(record, &mut out, |_| false);
    }
    assert!(short.dry(1_000_000_000, &mut out).is_some(), "it came just now");
}

#[test]
fn records_keep_their_bounds_and_let_the_spool_go() {
    let lines = policy(&[("multiline-pattern", "^a"), ("multiline-max-lines", "2")]);
    let script = Script::default().out(0, "a\nb\nc\nd\n").end();
    assert_eq!(built(&script, &lines), ["a\nb", "c\nd"]);
    let bytes = policy(&[("multiline-pattern", "^a"), ("multiline-max-size", "1k")]);
    let long = "x".repeat(1000);
    let script = Script::default().out(0, &format!("a\n{long}\n{long}\n{long}{long}\nb\n")).end();
    let lengths: Vec<_> = built(&script, &bytes).iter().map(String::len).collect();
    // A line that is longer than a record may be is one for itself.
    assert_eq!(lengths, [1002, 1000, 2000, 1]);
    let mut beside = Script::default().out(0, "held\n");
    for n in 0..16 {
        assert!(!built(&beside, &policy(&TRACES)).contains(&"held".to_owned()), "nothing ends it");
        beside = beside.err(n, "a\n");
    }
    let got = built(&beside, &policy(&TRACES));
    assert!(got.contains(&"held".to_owned()), "two segments later it goes out: {got:?}");
}

#[test]
fn a_long_line_comes_whole_up_to_its_bound() {
    let long = policy(&[("max-line-size", "256k")]);
    let line = "x".repeat(200 * 1024);
    let script = Script::default().out(0, &line[..100_000]).out(1, &line[100_000..]).out(2, "\nnext\n");
    assert_eq!(built(&script, &long), [line.as_str(), "next"]);
    let lengths = |script: &Script| built(script, &long).iter().map(String::len).collect::<Vec<_>>();
    let longer = Script::default().out(0, &format!("{}\n", "x".repeat(300 * 1024)));
    assert_eq!(lengths(&longer), [256 * 1024, 44 * 1024]);
    let bounded = BatchPolicy { max_record: 100_000, ..long.clone() };
    assert_eq!(built(&script, &bounded).len(), 4);
}

#[test]
fn a_long_line_that_comes_whole_has_the_time_that_its_first_piece_would_have() {
    let script =
        Script::default().out(0, "x").out(1000, &"x".repeat(20 * 1024)).out(2000, "\nshort").out(3000, "\n");
    let times = |policy: &BatchPolicy| {
        let mut builder = Builder::at(&Cursor::default(), policy, 1);
        let mut out = Vec::new();
        for record in &script.0 {
            builder.push(record, &mut out, |_| false);
        }
        out.iter().map(|line| line.time_ns / 1_000_000).collect::<Vec<_>>()
    };
    assert_eq!(times(&policy(&[])), [1000, 1000, 3000], "in pieces");
    assert_eq!(times(&policy(&[("max-line-size", "256k")])), [1000, 3000]);
}

#[test]
fn lines_above_the_rate_are_counted_where_they_were() {
    let two = policy(&[("rate-limit", "2/s")]);
    let script = Script::default()
        .out(0, "1\n2\n3\n4\n")
        .err(999, "5\n")
        .out(1000, "6\n")
        .out(5000, "7\n8\n9\n")
        .end();
    assert_eq!(
        built(&script, &two),
        [
            "1",
            "2",
            "gantry: 3 lines were suppressed here by rate-limit=2/s",
            "6",
            "7",
            "8",
            "gantry: 1 line was suppressed here by rate-limit=2/s"
        ]
    );
    // What was left over is there for a burst, up to its bound.
    let burst = policy(&[("rate-limit", "2/s"), ("rate-limit-burst", "5")]);
    let script = Script::default().out(0, "1\n2\n3\n4\n").out(9000, "1\n2\n3\n4\n5\n6\n").end();
    let got = built(&script, &burst);
    assert_eq!((got.len(), got[4].as_str(), got[8].as_str()), (10, "1", "5"));
}

#[test]
fn a_limited_sink_tells_on_the_stream_it_takes_and_when_nothing_follows() {
    let errors = BatchPolicy { streams: Streams::Stderr, ..policy(&[("rate-limit", "1/s")]) };
    let mut builder = Builder::at(&Cursor::default(), &errors, 1);
    let mut out = Vec::new();
    for record in &Script::default().err(0, "1\n2\n").out(1, "x\nx\n").0 {
        builder.push(record, &mut out, |_| false);
    }
    assert_eq!((out.iter().map(text).collect::<Vec<_>>(), builder.suppressed()), (vec!["1".to_owned()], 1));
    assert_eq!(builder.dry(700_000_000, &mut out), Some(Duration::from_millis(500)));
    assert_eq!(builder.dry(1_200_000_000, &mut out), None);
    assert_eq!(out[1].stream, Stream::Stderr);
    assert_eq!(text(&out[1]), "gantry: 1 line was suppressed here by rate-limit=1/s");
}

#[test]
fn the_pieces_of_a_long_line_are_suppressed_together() {
    let one = BatchPolicy { max_line: 4, ..policy(&[("rate-limit", "1/s")]) };
    let script = Script::default().out(0, "aaaabb\nccccdd").out(2000, "dd\neeee").out(2001, "e\n").end();
    let got = built(&script, &one);
    let told =
        |n| format!("gantry: {n} were suppressed here by rate-limit=1/s").replace("1 were", "1 line was");
    assert_eq!(got, ["aaaa", "bb", &told(1), "eeee", "e"]);
}

#[test]
fn bytes_of_suppressed_lines_are_counted_without_their_ends_whole_or_in_pieces() {
    // Their lines were counted as written, and their bytes were not.
    let one = BatchPolicy { max_line: 4, ..policy(&[("rate-limit", "1/s")]) };
    let mut builder = Builder::at(&Cursor::default(), &one, 1);
    let mut out = Vec::new();
    for record in &Script::default().out(0, "a\nccccdd").out(1, "dd\nee\n").out(2, "f\n\n").0 {
        builder.push(record, &mut out, |_| false);
    }
    assert_eq!((out.len(), builder.suppressed(), builder.gaps().suppressed_bytes), (1, 4, 11));
}

fn any_script() -> impl Strategy<Value = Script> {
    let gap = prop_oneof![Just(0i64), Just(300), Just(1500), Just(4000)];
    let data = (any::<bool>(), "[ab \n]{0,14}", gap);
    let one = prop_oneof![20 => data.prop_map(Some), 1 => Just(None)];
    (prop::collection::vec(one, 0..60), any::<bool>()).prop_map(|(all, ends)| {
        let (mut script, mut now) = (Script::default(), 1_000_000);
        for one in all {
            match one {
                Some((err, text, gap)) => {
                    now += gap;
                    script.say(if err { Stream::Stderr } else { Stream::Stdout }, now, &text);
                }
                None => script = script.end(),
            }
        }
        if ends { script.end() } else { script }
    })
}

fn any_policy() -> impl Strategy<Value = BatchPolicy> {
    let join = prop::option::of(prop_oneof![Just("1000"), Just("2")]);
    let rate = prop::option::of(prop_oneof![Just("1/s"), Just("3/s")]);
    let streams = prop_oneof![Just(Streams::Both), Just(Streams::Stderr)];
    (join, rate, streams).prop_map(|(join, rate, streams)| {
        let mut pairs = Vec::new();
        if let Some(lines) = join {
            pairs.extend([("multiline-pattern", "^a"), ("multiline-max-lines", lines)]);
        }
        pairs.extend(rate.map(|r| ("rate-limit", r)));
        // Short lines, and records of at most so many bytes.
        BatchPolicy { max_line: 6, max_record: 12, streams, ..policy(&pairs) }
    })
}

/// Reads all there is from a cursor, as a sink's batch is cut: at most so many records, and only what was written until then.
fn cut(
    script: &Script,
    policy: &BatchPolicy,
    from: &Cursor,
    written: usize,
    most: usize,
    now_ns: i64,
) -> (Vec<LogLine>, Cursor) {
    let mut builder = Builder::at(from, policy, 1);
    let mut out = Vec::new();
    for record in script.0.iter().take(written).filter(|r| place(r) >= from.floor()) {
        if builder.push(record, &mut out, |l| l.len() >= most) == Taken::Full {
            return finished(out, &builder, policy);
        }
    }
    builder.dry(now_ns, &mut out);
    finished(out, &builder, policy)
}

fn finished(mut out: Vec<LogLine>, builder: &Builder, policy: &BatchPolicy) -> (Vec<LogLine>, Cursor) {
    out.retain(|line| policy.streams.lets(line.stream));
    // As it is kept on disk.
    let kept = serde_json::to_vec(&builder.cursor()).unwrap();
    (out, serde_json::from_slice(&kept).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_place_of_a_restart_and_any_moment_of_a_look_gives_the_same_records(
        script in any_script(), policy in any_policy(), most in 1usize..5,
        looks in prop::collection::vec((1usize..9, any::<bool>()), 1..20),
    ) {
        let (whole, _) = cut(&script, &policy, &Cursor::default(), usize::MAX, usize::MAX, i64::MAX);
        let (mut got, mut cursor, mut written) = (Vec::new(), Cursor::default(), 0);
        let mut looks = looks.into_iter().cycle();
        loop {
            let (more, late) = looks.next().unwrap();
            written += more;
            // Late is just before the next record is written; after the last, when all is over.
            let before = script.0.iter().take(written).filter_map(time).last().unwrap_or(0);
            let next = script.0.get(written..).unwrap_or_default().iter().find_map(time);
            let over = written >= script.0.len();
            let now = if late || over { next.unwrap_or(i64::MAX) } else { before };
            loop {
                let (lines, end) = cut(&script, &policy, &cursor, written, most, now);
                let same = lines.is_empty() && end == cursor;
                got.extend(lines);
                cursor = end;
                if same { break; }
            }
            if over { break; }
        }
        prop_assert_eq!(got, whole);
    }

    #[test]
    fn any_parting_of_output_at_one_time_gives_the_same_records(
        text in "[ab \n]{0,80}", cuts in prop::collection::vec(1usize..9, 1..30), policy in any_policy(),
    ) {
        let mut parted = Script::default();
        let (mut rest, mut cuts) = (text.as_str(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (head, tail) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            let (offset, data) = (parted.0.len() as u64, Bytes::copy_from_slice(head.as_bytes()));
            // Far apart, what is not complete would be let go.
            let at = Position { segment: 0, offset };
            parted.0.push(SpoolRecord::Data { at, stream: Stream::Stderr, time_ns: 0, held_ns: 0, data });
            rest = tail;
        }
        let once = Script::default().err(0, &text);
        let plain = |script: &Script| {
            let (lines, _) = cut(script, &policy, &Cursor::default(), usize::MAX, usize::MAX, i64::MAX);
            lines.into_iter().map(|l| (l.data, l.partial.map(|p| (p.ordinal, p.last)))).collect::<Vec<_>>()
        };
        prop_assert_eq!(plain(&parted), plain(&once));
    }
}

#[test]
fn what_was_built_counts_as_the_lines_that_stand_in_the_spool() {
    let policy = policy(&[("multiline-pattern", "^[0-9]"), ("max-line-size", "64k")]);
    let long = "a".repeat(20_000) + "\n";
    let script = Script::default().out(0, "1 a\n b\n").err(1, "x\n").out(2, " c\n2 d\n").out(3, &long).end();
    let mut builder = Builder::at(&Cursor::default(), &policy, 1);
    let mut out = Vec::new();
    for record in &script.0 {
        builder.push(record, &mut out, |_| false);
    }
    assert_eq!((out.len(), container_lines(&out, &policy)), (3, 6));
    let (mut cut, plain) = (Vec::new(), BatchPolicy::default());
    let mut pieces = Builder::at(&Cursor::default(), &plain, 1);
    for record in &script.0 {
        pieces.push(record, &mut cut, |_| false);
    }
    assert_eq!((cut.len(), container_lines(&cut, &plain)), (7, 6));
}
