//! Lines of several stores in the order of their times.

use contract::PortError;
use contract::log::{Piece, StoredLine};
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// What a store is to its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes lines, and others follow on where its own end.
    Main,
    /// It takes lines too.
    Beside,
    /// It takes none any more.
    Former,
}

/// A store that is being read.
pub struct Source {
    pieces: mpsc::Receiver<Result<Piece, PortError>>,
    role: Role,
    shares: bool,
    lines: VecDeque<StoredLine>,
    ended: bool,
    gave: bool,
}

impl Source {
    /// Nothing was taken of it yet.
    pub fn new(pieces: mpsc::Receiver<Result<Piece, PortError>>, role: Role, shares: bool) -> Self {
        Self { pieces, role, shares, lines: VecDeque::new(), ended: false, gave: false }
    }

    fn time(&self) -> Option<i64> {
        self.lines.front().map(|l| l.line.time_ns)
    }
}

/// Stores that are read as one. Of equal times those of the store that gave the last line come first, then those of the
/// store that comes first.
pub struct Merge {
    sources: Vec<Source>,
    latest: usize,
    kept: Option<Result<Piece, PortError>>,
}

fn same(a: &StoredLine, b: &StoredLine) -> bool {
    (a.line.time_ns, a.line.stream, &a.line.data) == (b.line.time_ns, b.line.stream, &b.line.data)
}

impl Merge {
    /// Of these, the oldest first.
    pub fn new(sources: Vec<Source>) -> Self {
        Self { sources, latest: 0, kept: None }
    }

    /// So many lines at most, or something that could not be read; `None` at the end.
    pub async fn next(&mut self, most: usize) -> Option<Result<Piece, PortError>> {
        if let Some(kept) = self.kept.take() {
            return Some(kept);
        }
        let mut out = Vec::new();
        while out.len() < most {
            if let Some(piece) = self.fill().await {
                // What came before it goes first.
                if out.is_empty() {
                    return Some(piece);
                }
                self.kept = Some(piece);
                break;
            }
            let Some(line) = self.take() else { break };
            out.push(line);
        }
        (!out.is_empty()).then_some(Ok(Piece::Lines(out)))
    }

    /// Sees to it that every store has a line in front or has ended.
    async fn fill(&mut self) -> Option<Result<Piece, PortError>> {
        for source in &mut self.sources {
            while source.lines.is_empty() && !source.ended {
                match source.pieces.recv().await {
                    Some(Ok(Piece::Lines(lines))) => source.lines.extend(lines),
                    Some(other) => return Some(other),
                    None => source.ended = true,
                }
            }
        }
        None
    }

    fn take(&mut self) -> Option<StoredLine> {
        // What others have beyond the main one's end comes from where that is followed on.
        let over = |s: &Source| s.role == Role::Main && s.gave && s.ended && s.lines.is_empty();
        let over = self.sources.iter().any(over);
        let wanted = self.sources.iter().enumerate().filter(|(_, s)| !over || s.role != Role::Beside);
        let fronts = wanted.filter_map(|(index, s)| Some((s.time()?, index != self.latest, index)));
        let (.., index) = fronts.min()?;
        self.latest = index;
        let source = self.sources.get_mut(index)?;
        source.gave = true;
        let shares = source.shares;
        let line = source.lines.pop_front()?;
        for (other, source) in self.sources.iter_mut().enumerate() {
            let shared = (shares || source.shares) && source.lines.front().is_some_and(|o| same(o, &line));
            if other != index && shared {
                source.lines.pop_front();
                source.gave = true;
            }
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::{Hole, LogLine, Stream};

    fn line(time_ns: i64, text: &str) -> StoredLine {
        let data = text.to_owned().into();
        let line = LogLine { stream: Stream::Stdout, time_ns, data, partial: None };
        StoredLine { line, attrs: Default::default() }
    }

    fn source(role: Role, shares: bool, pieces: Vec<Piece>) -> Source {
        let (to, from) = mpsc::channel(pieces.len().max(1));
        for piece in pieces {
            to.try_send(Ok(piece)).unwrap();
        }
        Source::new(from, role, shares)
    }

    /// One letter a line; its place in the text is its time.
    fn lines(text: &str) -> Vec<Piece> {
        let letters = text.char_indices().filter(|(_, c)| *c != ' ');
        letters.map(|(n, c)| Piece::Lines(vec![line(n as i64, &c.to_string())])).collect()
    }

    async fn read(sources: Vec<Source>) -> String {
        let (mut merge, mut out) = (Merge::new(sources), String::new());
        while let Some(piece) = merge.next(2).await {
            match piece.unwrap() {
                Piece::Lines(lines) => {
                    out.extend(lines.iter().map(|l| String::from_utf8(l.line.data.to_vec()).unwrap()));
                }
                Piece::Hole(_) => out.push('!'),
            }
        }
        out
    }

    #[tokio::test]
    async fn stores_that_took_turns_are_read_in_the_order_in_which_lines_were_written() {
        let former = source(Role::Former, false, lines("abc   ghi"));
        let main = source(Role::Main, false, lines("   def   jk"));
        assert_eq!(read(vec![former, main]).await, "abcdefghijk");
    }

    #[tokio::test]
    async fn what_two_stores_share_comes_once_and_what_is_the_same_in_stores_that_do_not_comes_twice() {
        let one = |shares| source(Role::Former, shares, lines("abcdef"));
        let other = || source(Role::Main, false, lines("   defgh"));
        assert_eq!(read(vec![one(true), other()]).await, "abcdefgh");
        assert_eq!(read(vec![one(false), other()]).await, "abcddeeffgh");
        let equal = || vec![Piece::Lines(vec![line(5, "y"), line(5, "y")])];
        let turns = vec![source(Role::Former, false, equal()), source(Role::Main, false, equal())];
        assert_eq!(read(turns).await, "yyyy");
    }

    #[tokio::test]
    async fn lines_of_one_time_stay_in_order_where_a_store_took_over_amid_them() {
        let all = |text: &str| vec![Piece::Lines(text.chars().map(|c| line(7, &c.to_string())).collect())];
        let turns = vec![source(Role::Former, false, all("abc")), source(Role::Main, false, all("def"))];
        assert_eq!(read(turns).await, "abcdef");
    }

    #[tokio::test]
    async fn what_another_store_has_beyond_the_end_of_the_main_one_is_left_to_who_follows_on() {
        let beside = || source(Role::Beside, true, lines("ab  efgh"));
        assert_eq!(read(vec![beside(), source(Role::Main, false, lines("  cdef"))]).await, "abcdef");
        assert_eq!(read(vec![beside(), source(Role::Main, false, vec![])]).await, "abefgh");
    }

    #[tokio::test]
    async fn a_hole_is_told_where_it_is() {
        let hole = || Piece::Hole(Hole::Rotated { file: "x".into() });
        let mut former = lines("abc");
        former.insert(2, hole());
        let main = lines("   de");
        let turns = vec![source(Role::Former, false, former), source(Role::Main, false, main)];
        assert_eq!(read(turns).await, "ab!cde");
    }
}
