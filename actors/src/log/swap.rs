//! Where sinks begin that take over from others, and where the lines of before are found again.

use super::spec::SinkSpec;
use contract::log::{Cursor, Mark, Stream};
use contract::record::LogStore;

/// A sink that was there, and where it stood.
pub struct Stood {
    /// The sink.
    pub sink: SinkSpec,
    /// What it has had ends here.
    pub cursor: Cursor,
}

/// Where a sink begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Where its data ends: it was there before, for the same streams.
    WhereItEnded,
    /// There.
    At(Cursor),
}

fn later<'a>(a: &'a Mark, b: &'a Mark) -> (&'a Mark, &'a Mark) {
    if (a.at, a.skip) <= (b.at, b.skip) { (a, b) } else { (b, a) }
}

fn mark(cursor: &Cursor, of: Stream) -> &Mark {
    match of {
        Stream::Stdout => &cursor.stdout,
        Stream::Stderr => &cursor.stderr,
    }
}

/// What has been had by one of both has been had. A limit on the rate stands as in the first.
pub fn furthest(a: &Cursor, b: &Cursor) -> Cursor {
    let mark = |a, b| later(a, b).1.clone();
    Cursor { stdout: mark(&a.stdout, &b.stdout), stderr: mark(&a.stderr, &b.stderr), pace: a.pace.clone() }
}

/// What one of both lacks is lacking.
fn lowest(a: &Cursor, b: &Cursor) -> Cursor {
    let mark = |a, b| later(a, b).0.clone();
    Cursor { stdout: mark(&a.stdout, &b.stdout), stderr: mark(&a.stderr, &b.stderr), pace: a.pace.clone() }
}

fn all<'a>(
    cursors: impl IntoIterator<Item = &'a Stood>,
    join: fn(&Cursor, &Cursor) -> Cursor,
) -> Option<Cursor> {
    let mut cursors = cursors.into_iter().map(|s| s.cursor.clone());
    let first = cursors.next()?;
    Some(cursors.fold(first, |a, b| join(&a, &b)))
}

/// Whether both write the same data: the same far side by the same name, or the container's one file of that kind.
fn goes_on(sink: &SinkSpec, before: &SinkSpec) -> bool {
    let same = sink.kind.name() == before.kind.name();
    same && (sink.name == before.name || sink.kind.reader().is_some())
}

/// Where a sink begins that takes the place of another: a stream that it is given and the other was not begins where those
/// that went had got to with it, for the other passed its lines by.
fn from_there(sink: &SinkSpec, same: &Stood, gone: &[&Stood]) -> Cursor {
    let begin = |stream: Stream| {
        let own = mark(&same.cursor, stream);
        if !sink.streams.lets(stream) || same.sink.streams.lets(stream) {
            return own.clone();
        }
        let others = gone.iter().filter(|o| o.sink.streams.lets(stream));
        let other = |o: &&&Stood| o.sink.is_readable() != sink.is_readable();
        let lowest = others.min_by_key(|o| (other(o), mark(&o.cursor, stream).place()));
        lowest.map_or(own, |o| mark(&o.cursor, stream)).clone()
    };
    Cursor { stdout: begin(Stream::Stdout), stderr: begin(Stream::Stderr), pace: same.cursor.pace.clone() }
}

/// Where each of the new sinks begins, so that no line of the old ones is left out. One that was there goes on. One of the
/// same name as another takes its place. What remains begins where those that went had got to: what can be read where what
/// could be read ended, and what cannot where the slowest of the others did. With nothing gone there is nothing to make up
/// for.
pub fn begins(old: &[Stood], new: &[SinkSpec]) -> Vec<Begin> {
    let gone: Vec<&Stood> = old.iter().filter(|o| !new.iter().any(|n| goes_on(n, &o.sink))).collect();
    let begin = |sink: &SinkSpec| {
        if let Some(same) = old.iter().find(|o| goes_on(sink, &o.sink)) {
            let (own, cursor) = (sink.kind.reader().is_some(), from_there(sink, same, &gone));
            return if own && cursor == same.cursor { Begin::WhereItEnded } else { Begin::At(cursor) };
        }
        if let Some(same) = gone.iter().find(|o| o.sink.name == sink.name) {
            return Begin::At(Cursor { pace: None, ..from_there(sink, same, &gone) });
        }
        let alike = gone.iter().copied().filter(|o| o.sink.is_readable() == sink.is_readable());
        let cursor = all(alike, lowest)
            .or_else(|| all(gone.iter().copied(), lowest))
            .or_else(|| all(old, furthest))
            .unwrap_or_default();
        // Its own limit on the rate begins with it.
        Begin::At(Cursor { pace: None, ..cursor })
    };
    new.iter().map(begin).collect()
}

/// The one that is read of sinks that take lines now, where others were before.
pub fn read_first<'a>(sinks: &'a [SinkSpec], stores: &[LogStore]) -> Option<&'a SinkSpec> {
    let readable = || sinks.iter().filter(|s| s.is_readable());
    let known = stores.iter().find_map(|store| readable().find(|s| s.kind.name() == store.driver));
    known.or_else(|| readable().next())
}

/// What holds the lines of before, once the sinks are others.
pub fn stores(before: (&[SinkSpec], &[LogStore]), after: &[SinkSpec]) -> Vec<LogStore> {
    let (sinks, known) = before;
    let mut out: Vec<LogStore> = Vec::new();
    if let Some(first) = read_first(sinks, known) {
        let shares = known.iter().any(|s| s.driver == first.kind.name() && s.shares);
        out.push(LogStore { driver: first.kind.name().to_owned(), options: first.options.clone(), shares });
    }
    let latest = out.first().map(|s| s.driver.clone());
    out.extend(known.iter().filter(|s| latest.as_ref() != Some(&s.driver)).cloned());
    for sinks in [sinks, after] {
        // Also what is given one stream alone: it may be given both later, and is read as a whole then.
        let files = || sinks.iter().filter(|s| s.kind.reader().is_some());
        let active = |driver: &str| files().any(|s| s.kind.name() == driver);
        if files().count() > 1 {
            out.iter_mut().filter(|store| active(&store.driver)).for_each(|store| store.shares = true);
        }
    }
    out
}

#[cfg(test)]
mod tests;
