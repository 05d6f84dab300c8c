//! Batches cut off a spool.

use super::framer::Taken;
use super::gap::{Ahead, Gaps, Passed, Way};
use contract::PortError;
use contract::log::{Batch, BatchPolicy, Cursor, LogLine, Position};
use contract::runtime::{Spool, SpoolRecord};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Bytes asked of the spool at once.
pub const READ: usize = 256 * 1024;
/// After so many readings a batch is done whatever it holds, where lines are suppressed.
const READINGS: usize = 32;

/// Where more finds no room in the spool, it is asked for so much later at the latest.
const ROOM: Duration = Duration::from_secs(1);

/// What was cut off a spool.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The lines.
    pub batch: Arc<Batch>,
    /// What of them tells of others that are not there.
    pub gaps: Gaps,
    /// Nothing more was there.
    pub last: bool,
    /// By then there may be more all the same.
    pub again: Option<Duration>,
}

/// Reads one batch from `from` on.
pub async fn cut(
    spool: &dyn Spool,
    (from, ahead): (&Cursor, &Ahead),
    policy: &BatchPolicy,
    seed: u64,
) -> Result<Cut, PortError> {
    let mut way = Way::new(from, ahead, policy, seed);
    let (mut lines, mut at, mut last, mut again) = (Vec::new(), from.floor(), false, None);
    // Lines already counted, and their bytes.
    let (mut seen, mut bytes) = (0, 0);
    let mut full = |lines: &[LogLine]| {
        bytes += lines.iter().skip(seen).map(|l| l.data.len()).sum::<usize>();
        seen = lines.len();
        lines.len() >= policy.max_lines || (!lines.is_empty() && bytes >= policy.max_bytes)
    };
    let (mut readings, mut over, mut asked) = (0, false, false);
    'read: loop {
        match way.pass(over, &mut lines) {
            Passed::On(floor) => (at, over) = (floor, false),
            Passed::End => break,
            Passed::Nothing => {
                let (records, next) = spool.read(at, READ).await?;
                let builder = way.builder();
                let first = records.first().map(place);
                over = first.is_none_or(|first| builder.is_beyond(first));
                let absent = lost(at, &records).filter(|_| !over);
                if let Some((place, time_ns)) = absent
                    && is_gone(spool, at.segment + 1..=place.segment).await?
                {
                    builder.lose(place, time_ns, &mut lines);
                }
                for record in &records {
                    over = builder.is_beyond(place(record));
                    if over {
                        break;
                    }
                    let taken = builder.push(record, &mut lines, &mut full);
                    if taken == Taken::Full {
                        break 'read;
                    }
                }
                if records.is_empty() && !way.is_limited() {
                    if !asked && way.builder().is_over(crate::now_ns()) {
                        if is_owed(spool, way.cursor().floor()).await? {
                            (again, last) = (Some(ROOM), true);
                            break;
                        }
                        // What had no room before that was asked is in the spool now.
                        asked = true;
                        continue;
                    }
                    again = way.builder().dry(crate::now_ns(), &mut lines);
                    last = true;
                    break;
                }
                (at, asked) = (next, false);
                readings += 1;
            }
        }
        if full(&lines) || (readings >= READINGS && way.suppressed() > 0) {
            break;
        }
    }
    lines.retain(|line| policy.streams.lets(line.stream));
    let (gaps, suppressed) = (way.gaps(), way.suppressed());
    let batch = Batch { lines, end: way.cursor(), suppressed };
    Ok(Cut { batch: Arc::new(batch), gaps, last, again })
}

/// Whether a record that begins there may go on in what finds no room in the spool. Not where it is what keeps the spool full.
async fn is_owed(spool: &dyn Spool, from: Position) -> Result<bool, PortError> {
    if !spool.owes().await? {
        return Ok(false);
    }
    let extent = spool.extent().await?;
    Ok(extent.len() < 2 || extent.first().is_none_or(|(first, _)| *first != from.segment))
}

/// Where a record stands.
pub fn place(record: &SpoolRecord) -> Position {
    match record {
        SpoolRecord::Data { at, .. } | SpoolRecord::Gap { at, .. } | SpoolRecord::End { at, .. } => *at,
    }
}

/// Whether one of these segments is not there: a start of the container that wrote nothing leaves an empty one.
async fn is_gone(spool: &dyn Spool, mut segments: RangeInclusive<u64>) -> Result<bool, PortError> {
    let extent = spool.extent().await?;
    Ok(!segments.all(|segment| extent.iter().any(|(present, _)| *present == segment)))
}

/// The last place of what is missing between one and the records that were found there, and a time for it: the first one's,
/// so that it is the same when read again. Segments are numbered without gaps; who has read nothing yet begins where there is
/// something.
fn lost(from: Position, records: &[SpoolRecord]) -> Option<(Position, i64)> {
    let (SpoolRecord::Data { at, time_ns, .. }
    | SpoolRecord::Gap { at, time_ns, .. }
    | SpoolRecord::End { at, time_ns }) = records.first()?;
    (from != Position::default() && at.segment > from.segment + 1)
        .then(|| (Position { segment: at.segment - 1, offset: 0 }, *time_ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::fake::FakeSpool;
    use contract::log::{Options, Records, Stream};

    async fn texts(spool: &FakeSpool) -> (Vec<String>, Option<Duration>) {
        let options = Options::from([("multiline-pattern".to_owned(), r"^\S".to_owned())]);
        let policy = BatchPolicy { records: Records::parse(&options).unwrap(), ..BatchPolicy::default() };
        let cut = cut(spool, (&Cursor::default(), &Ahead::default()), &policy, 1).await.unwrap();
        let text = |line: &LogLine| String::from_utf8_lossy(&line.data).into_owned();
        assert!(cut.last);
        (cut.batch.lines.iter().map(text).collect(), cut.again)
    }

    #[tokio::test]
    async fn a_record_is_not_over_while_more_of_it_may_wait_for_room_in_the_spool() {
        // The clock had moved on while the spool was full: the record ended where it had filled up.
        let spool = FakeSpool::default();
        spool.write(Stream::Stdout, "Exception: a\n  at b\n");
        spool.owe();
        assert_eq!(texts(&spool).await, (Vec::new(), Some(ROOM)));
        spool.write(Stream::Stdout, "  at c\n");
        assert_eq!(texts(&spool).await, (vec!["Exception: a\n  at b\n  at c".to_owned()], None));
    }

    #[tokio::test]
    async fn a_record_that_keeps_the_spool_full_itself_ends_all_the_same() {
        let spool = FakeSpool::default();
        spool.write(Stream::Stdout, "a\n");
        while spool.segments() < 2 {
            spool.write(Stream::Stdout, "  b\n");
        }
        spool.owe();
        assert_eq!(texts(&spool).await.0.len(), 1);
    }
}
