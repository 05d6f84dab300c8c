use super::*;
use crate::log::cut::{Cut, cut};
use crate::log::record::container_lines;
use crate::log::router::machine::Pass;
use crate::log::router::pass::pass_over;
use contract::fake::FakeSpool;
use contract::log::Stretch;
use contract::runtime::{Missing, Spool};
use proptest::prelude::*;

fn policy(max_lines: usize) -> BatchPolicy {
    BatchPolicy { max_lines, max_line: 8, ..BatchPolicy::default() }
}

async fn at(spool: &FakeSpool, from: &Cursor, ahead: &Ahead, policy: &BatchPolicy) -> Cut {
    cut(spool, (from, ahead), policy, 1).await.unwrap()
}

/// All lines from there on, batch by batch.
async fn all(spool: &FakeSpool, from: &Cursor, ahead: &Ahead, most: usize) -> (Vec<LogLine>, Cursor) {
    let (mut lines, mut from) = (Vec::new(), from.clone());
    loop {
        let rest = ahead.losses.iter().filter(|loss| !from.is_past(&loss.to)).cloned();
        let ahead = Ahead { losses: rest.collect(), until: ahead.until.clone() };
        let cut = at(spool, &from, &ahead, &policy(most)).await;
        lines.extend(cut.batch.lines.iter().cloned());
        if cut.last || cut.batch.end.is_at(&from) {
            return (lines, cut.batch.end.clone());
        }
        from = cut.batch.end.clone();
    }
}

fn texts(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(&line.data).into_owned()).collect()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[tokio::test]
async fn what_cannot_be_read_in_the_spool_is_told_as_lost_once_wherever_reading_begins() {
    // It was passed over in silence.
    let spool = FakeSpool::default();
    spool.write(Stream::Stdout, "one\nhal");
    spool.miss(Missing::Unreadable);
    spool.write(Stream::Stdout, "two\n");
    for most in [1, 2, 9] {
        let (lines, end) = all(&spool, &Cursor::default(), &Ahead::default(), most).await;
        assert_eq!(texts(&lines), ["one", "hal", lost().as_str(), "two"]);
        let (lines, _) = all(&spool, &end, &Ahead::default(), most).await;
        assert!(lines.is_empty());
    }
    let cut = at(&spool, &Cursor::default(), &Ahead::default(), &policy(9)).await;
    assert_eq!((cut.gaps.markers, cut.gaps.lost, cut.gaps.unspooled), (1, 1, 0));
}

#[tokio::test]
async fn a_line_that_a_dead_shim_left_unfinished_is_not_glued_to_the_first_of_the_next_start() {
    let spool = FakeSpool::default();
    spool.write(Stream::Stdout, "one\nhal");
    spool.miss(Missing::Unwritten);
    spool.write(Stream::Stdout, "two\n");
    let (lines, _) = all(&spool, &Cursor::default(), &Ahead::default(), 9).await;
    assert_eq!(texts(&lines), ["one", "hal", unwritten().as_str(), "two"]);
    assert!(lines[1].time_ns < lines[3].time_ns);
    let cut = at(&spool, &Cursor::default(), &Ahead::default(), &policy(9)).await;
    assert_eq!((cut.gaps.markers, cut.gaps.lost, cut.gaps.unspooled), (1, 0, 0));
}

#[tokio::test]
async fn what_had_no_room_in_the_spool_is_told_once_wherever_reading_begins() {
    let spool = FakeSpool::default();
    spool.write(Stream::Stdout, "one\nhal");
    spool.drop_bytes(7);
    spool.write(Stream::Stdout, "two\n");
    let told = "gantry: 7 bytes were dropped here: the spool was full";
    for most in [1, 2, 9] {
        let (lines, _) = all(&spool, &Cursor::default(), &Ahead::default(), most).await;
        assert_eq!(texts(&lines), ["one", "hal", told, "two"]);
        assert_eq!(lines[2].stream, Stream::Stderr);
    }
    let cut = at(&spool, &Cursor::default(), &Ahead::default(), &policy(9)).await;
    assert_eq!((cut.gaps.markers, cut.gaps.unspooled, cut.gaps.bytes), (1, 7, told.len() as u64));
    let out = BatchPolicy { streams: Streams::Stdout, ..policy(9) };
    let cut = at(&spool, &Cursor::default(), &Ahead::default(), &out).await;
    assert_eq!(cut.batch.lines.len(), 4, "it is told to who gets the other stream alone, too");
}

#[tokio::test]
async fn a_part_of_the_spool_that_is_gone_without_a_record_is_told() {
    let spool = FakeSpool::default();
    for n in 0..40 {
        spool.write(Stream::Stdout, format!("{n}\n"));
    }
    let first = at(&spool, &Cursor::default(), &Ahead::default(), &policy(4)).await.batch.end.clone();
    let keep = [
        Stretch { from: first.floor(), to: Some(first.top()) },
        Stretch::from(contract::log::Position { segment: 4, offset: 0 }),
    ];
    spool.trim(&keep).await.unwrap();
    let (lines, _) = all(&spool, &first, &Ahead::default(), 3).await;
    assert_eq!(texts(&lines)[3..6], ["7".to_owned(), lost(), "24".to_owned()]);
}

#[tokio::test]
async fn a_part_that_is_gone_before_an_end_alone_is_told_with_the_time_of_that_end() {
    // It was told with the time at which it was read: another one each time.
    let spool = FakeSpool::default();
    for n in 0..24 {
        spool.write(Stream::Stdout, format!("{n}\n"));
    }
    spool.end();
    let first = at(&spool, &Cursor::default(), &Ahead::default(), &policy(4)).await.batch.end.clone();
    let keep = [
        Stretch { from: first.floor(), to: Some(first.top()) },
        Stretch::from(contract::log::Position { segment: 4, offset: 0 }),
    ];
    spool.trim(&keep).await.unwrap();
    let (lines, _) = all(&spool, &first, &Ahead::default(), 9).await;
    assert_eq!(texts(&lines)[3..], ["7".to_owned(), lost()]);
    assert_eq!(lines[4].time_ns, 25_000);
}

#[tokio::test]
async fn lines_passed_over_and_lines_suppressed_among_them_are_all_that_was_written() {
    let spool = FakeSpool::default();
    for n in 0..20 {
        spool.write(Stream::Stdout, format!("{n}\n"));
    }
    let rate = [("rate-limit".to_owned(), "5/m".to_owned())];
    let records = contract::log::Records::parse(&rate.into()).unwrap();
    let policy = BatchPolicy { records, ..BatchPolicy::default() };
    let pass = Pass { from: Cursor::default(), keep: None, to: None, until: None };
    let (loss, gaps) = pass_over(&spool, &pass, &policy, 1).await.unwrap();
    assert_eq!((loss.lines, gaps.suppressed), (5, 15));
    assert_eq!((loss.bytes, gaps.suppressed_bytes), (5, 25));
    // The clock of this spool stands in 1970, so its window is over: one line more tells of what was suppressed. It was counted
    // as one that the container wrote.
    let cut = at(&spool, &Cursor::default(), &Ahead::default(), &policy).await;
    let told = cut.batch.lines.last().map_or(0, |line| line.data.len() as u64);
    assert_eq!((cut.batch.lines.len(), cut.gaps.markers, cut.gaps.bytes), (5 + 1, 1, told));
    assert_eq!(loss.bytes, 5);
}

proptest! {
    /// Lines that were passed over and those before and after are all there are, and so are they with the spool in between
    /// gone, however it is read.
    #[test]
    fn what_is_passed_over_and_what_is_read_are_all(
        pieces in prop::collection::vec((any::<bool>(), "[ab\n]{0,12}"), 1..60),
        (keep, to) in (0u64..60, 0u64..60), (before, most) in (1usize..5, 1usize..5),
    ) {
        block_on(async {
            let spool = FakeSpool::default();
            for (err, text) in &pieces {
                spool.write(if *err { Stream::Stderr } else { Stream::Stdout }, text.clone());
            }
            spool.end();
            let nth = |n: u64| contract::log::Position { segment: 1 + n / 8, offset: n % 8 * 100 };
            let (whole, _) = all(&spool, &Cursor::default(), &Ahead::default(), 99).await;
            let from = Cursor::default();
            let pass = Pass { from: from.clone(), keep: Some(nth(keep)), to: Some(nth(to)), until: None };
            let (loss, gaps) = pass_over(&spool, &pass, &policy(before), 1).await.unwrap();
            assert_eq!(gaps, Gaps::default());
            let (head, end) = all(&spool, &from, &Ahead { losses: Vec::new(), until: Some(loss.from.clone()) }, most).await;
            assert!(end.is_at(&loss.from) || loss.from.is_at(&from), "{end:?} {loss:?}");
            let (tail, _) = all(&spool, &loss.to, &Ahead::default(), most).await;
            let middle = &whole[head.len()..whole.len() - tail.len()];
            assert_eq!(loss.lines, container_lines(middle, &policy(before)));
            assert_eq!(&whole[..head.len()], &head[..]);
            assert_eq!(&whole[whole.len() - tail.len()..], &tail[..]);
            if loss.to.is_at(&loss.from) {
                return;
            }
            // Now as a sink reads it whose segments in between are gone.
            let kept = [
                Stretch { from: from.floor(), to: Some(loss.from.top()) },
                Stretch::from(loss.to.floor()),
            ];
            spool.trim(&kept).await.unwrap();
            let ahead = Ahead { losses: vec![loss.clone()], until: None };
            let (lines, _) = all(&spool, &from, &ahead, most).await;
            let told = usize::from(loss.lines + loss.bytes > 0);
            assert_eq!(lines.len(), head.len() + told + tail.len());
            assert_eq!(&lines[..head.len()], &head[..]);
            assert_eq!(&lines[head.len() + told..], &tail[..]);
        });
    }
}
