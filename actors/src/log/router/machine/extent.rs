//! How long a spool is, and which bytes of it a sink holds.

use contract::log::{Cursor, Losses, Position, Stretch};

/// The segments of a spool and their bytes, as they were found last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent(Vec<(u64, u64)>);

impl Extent {
    /// Segments are numbered upwards.
    pub fn new(segments: Vec<(u64, u64)>) -> Self {
        Self(segments)
    }

    /// The place after all that is there.
    pub fn end(&self) -> Position {
        self.0.last().map_or_else(Position::default, |&(segment, offset)| Position { segment, offset })
    }

    /// All its bytes.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, length)| *length).sum()
    }

    /// Bytes of its longest segment.
    pub fn longest(&self) -> u64 {
        self.0.iter().map(|(_, length)| *length).max().unwrap_or_default()
    }

    /// Bytes from one place to another.
    pub fn between(&self, from: Position, to: Position) -> u64 {
        let part = |&(segment, length): &(u64, u64)| {
            let first = if segment == from.segment { from.offset.min(length) } else { 0 };
            let last = if segment == to.segment { to.offset.min(length) } else { length };
            last.saturating_sub(first)
        };
        let reached = |&&(segment, _): &&(u64, u64)| (from.segment..=to.segment).contains(&segment);
        self.0.iter().filter(reached).map(part).sum()
    }

    /// Whether no segment is gone between those of two places.
    pub fn is_whole(&self, from: Position, to: Position) -> bool {
        let between = from.segment.saturating_add(1)..to.segment;
        let there = self.0.iter().filter(|(segment, _)| between.contains(segment)).count() as u64;
        there == between.end.saturating_sub(between.start)
    }

    /// Bytes that a sink read on its way from one cursor to another, without what it is not given. Where it ended is known, though
    /// the spool was not measured since.
    pub fn read(&self, from: &Cursor, to: &Cursor, losses: &Losses) -> u64 {
        let way = |from: Position, to: Position| match from.segment == to.segment {
            true => to.offset.saturating_sub(from.offset),
            false if from > to => 0,
            false => self.between(from, Position { offset: 0, ..to }) + to.offset,
        };
        let passed = losses.ahead.iter().filter(|loss| !from.is_past(&loss.to) && to.is_past(&loss.to));
        let holes: u64 = passed.map(|loss| way(loss.from.top(), loss.to.top())).sum();
        way(from.top(), to.top()).saturating_sub(holes)
    }

    /// The place so many bytes after another; the end, where there are fewer.
    pub fn after(&self, from: Position, mut bytes: u64) -> Position {
        for &(segment, length) in self.0.iter().filter(|(segment, _)| *segment >= from.segment) {
            let first = if segment == from.segment { from.offset.min(length) } else { 0 };
            if bytes <= length - first {
                return Position { segment, offset: first + bytes };
            }
            bytes -= length - first;
        }
        self.end().max(from)
    }

    /// The place so many bytes before the end; the beginning, where there are fewer.
    pub fn before_end(&self, mut bytes: u64) -> Position {
        for &(segment, length) in self.0.iter().rev() {
            if bytes <= length {
                return Position { segment, offset: length - bytes };
            }
            bytes -= length;
        }
        Position::default()
    }

    /// Bytes that a sink at `cursor` is still to be given up to `to`, without what it is not given.
    pub fn held(&self, cursor: &Cursor, losses: &Losses, to: Position) -> u64 {
        let (mut from, mut sum) = (cursor.top(), 0);
        for loss in losses.ahead.iter().filter(|loss| !cursor.is_past(&loss.to)) {
            if loss.from.top() >= to {
                break;
            }
            sum += self.between(from, loss.from.top());
            from = from.max(loss.to.top());
        }
        if from < to { sum + self.between(from, to) } else { sum }
    }
}

/// What a sink at `cursor` needs of its spool.
pub fn needs(cursor: &Cursor, losses: &Losses) -> Vec<Stretch> {
    let (mut from, mut out) = (cursor.floor(), Vec::new());
    for loss in losses.ahead.iter().filter(|loss| !cursor.is_past(&loss.to)) {
        out.push(Stretch { from, to: Some(loss.from.top().max(from)) });
        from = loss.to.floor();
    }
    out.push(Stretch::from(from));
    out
}

/// First and last segments of what is kept for all, in order and without overlap; none = without end.
pub fn runs(kept: &[Stretch]) -> Vec<(u64, Option<u64>)> {
    let mut all: Vec<_> = kept.iter().map(|k| (k.from.segment, k.to.map(|to| to.segment))).collect();
    all.sort_unstable_by_key(|(first, _)| *first);
    let mut out: Vec<(u64, Option<u64>)> = Vec::new();
    for (first, last) in all {
        let touches = out.last().is_some_and(|(_, end)| end.is_none_or(|end| first <= end + 1));
        match out.last_mut().filter(|_| touches) {
            Some((_, end)) => *end = end.zip(last).map(|(a, b)| a.max(b)),
            None => out.push((first, last)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::{Loss, Mark};

    fn at(segment: u64, offset: u64) -> Position {
        Position { segment, offset }
    }

    fn cursor(segment: u64, offset: u64) -> Cursor {
        let mark = Mark { at: at(segment, offset), ..Mark::default() };
        Cursor { stdout: mark.clone(), stderr: mark, ..Cursor::default() }
    }

    fn extent() -> Extent {
        // Segment 4 is gone.
        Extent::new(vec![(3, 100), (5, 50), (6, 20)])
    }

    #[test]
    fn bytes_are_counted_where_there_are_some() {
        let extent = extent();
        assert_eq!(extent.between(at(3, 40), at(5, 10)), 70);
        assert_eq!(extent.between(at(0, 0), extent.end()), 170);
        assert_eq!(extent.between(at(4, 7), at(6, 900)), 70);
        assert_eq!(extent.between(at(5, 10), at(5, 5)), 0);
        assert_eq!((extent.after(at(3, 90), 10), extent.after(at(3, 90), 11)), (at(3, 100), at(5, 1)));
        assert_eq!((extent.after(at(0, 0), 999), extent.after(at(9, 3), 1)), (at(6, 20), at(9, 3)));
        assert_eq!((extent.before_end(20), extent.before_end(21)), (at(6, 0), at(5, 49)));
        assert_eq!(extent.before_end(999), at(0, 0));
    }

    #[test]
    fn between_neighbours_nothing_is_gone() {
        let extent = extent();
        assert!(extent.is_whole(at(5, 10), at(6, 3)) && extent.is_whole(at(6, 3), at(6, 9)));
        // What went of a place's own segment leaves no gap that is told of.
        assert!(extent.is_whole(at(4, 7), at(6, 0)));
        assert!(!extent.is_whole(at(3, 40), at(5, 0)) && !extent.is_whole(at(2, 0), at(6, 0)));
    }

    #[test]
    fn what_was_read_ends_where_reading_did_and_a_hole_was_not_read() {
        let (extent, none) = (extent(), Losses::default());
        assert_eq!(extent.read(&cursor(6, 10), &cursor(6, 90), &none), 80);
        assert_eq!(extent.read(&cursor(3, 40), &cursor(7, 9), &none), 60 + 50 + 20 + 9);
        assert_eq!(extent.read(&cursor(6, 10), &cursor(5, 90), &none), 0);
        let loss = Loss { from: cursor(3, 60), to: cursor(5, 20), ..Loss::default() };
        let losses = Losses { ahead: vec![loss], ..none };
        assert_eq!(extent.read(&cursor(3, 40), &cursor(6, 9), &losses), 20 + 30 + 9);
    }

    #[test]
    fn what_lies_in_a_hole_is_neither_held_nor_needed() {
        let loss = |from, to| Loss { from, to, ..Loss::default() };
        let ahead = vec![loss(cursor(1, 0), cursor(2, 0)), loss(cursor(3, 10), cursor(5, 20))];
        let losses = Losses { ahead, ..Losses::default() };
        let own = cursor(3, 5);
        assert_eq!(extent().held(&own, &losses, extent().end()), 5 + 30 + 20);
        assert_eq!(extent().held(&own, &losses, at(3, 8)), 3);
        let kept = needs(&own, &losses);
        assert_eq!(
            kept,
            [Stretch { from: at(3, 5), to: Some(at(3, 10)) }, Stretch { from: at(5, 20), to: None }]
        );
        assert_eq!(runs(&kept), [(3, Some(3)), (5, None)]);
        let other = [Stretch { from: at(1, 0), to: Some(at(2, 0)) }, Stretch::from(at(9, 0))];
        assert_eq!(runs(&[&kept[..], &other[..]].concat()), [(1, Some(3)), (5, None)]);
    }
}
