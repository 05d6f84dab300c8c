//! What the view knows and what the user has chosen: changed by looks and keys, shown by the view.

use std::collections::HashSet;

use super::moment::{Moment, line};
use super::rows::{self, Row};
use super::tree;

/// What is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pane {
    /// Containers, and where their lines go.
    #[default]
    Sinks,
    /// The supervision tree.
    Actors,
}

/// In which order containers stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By name.
    #[default]
    Name,
    /// Most lines a second first.
    Rate,
    /// Most that waits first.
    Lag,
    /// Most dropped first.
    Dropped,
}

impl Order {
    /// The one after it.
    fn next(self) -> Self {
        match self {
            Self::Name => Self::Rate,
            Self::Rate => Self::Lag,
            Self::Lag => Self::Dropped,
            Self::Dropped => Self::Name,
        }
    }

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rate => "lines/s",
            Self::Lag => "lag",
            Self::Dropped => "dropped",
        }
    }
}

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Move the selection down, or up.
    Move(isize),
    /// Select the first row.
    First,
    /// Select the last row.
    Last,
    /// Fold or unfold what is selected.
    Fold,
    /// Another order.
    Sort,
    /// Actors, or sinks again.
    Actors,
    /// Begin to type a filter.
    Filter,
    /// A letter of it.
    Type(char),
    /// The last letter goes.
    Erase,
    /// The filter is whole.
    Accept,
    /// The filter goes.
    Clear,
}

/// All that there is to show.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The look before.
    pub before: Option<Moment>,
    /// The latest.
    pub now: Moment,
    /// Why the last look saw nothing: what is shown is older then.
    pub away: Option<String>,
    /// What is shown.
    pub pane: Pane,
    /// The order of containers.
    pub order: Order,
    /// What rows must contain.
    pub filter: String,
    /// The filter is being typed.
    pub typing: bool,
    folded: HashSet<String>,
    selected: Option<String>,
}

impl Model {
    /// Takes a new look.
    pub fn take(&mut self, moment: Moment) {
        let old = std::mem::replace(&mut self.now, moment);
        self.before = (old.at > 0.0).then_some(old);
        self.away = None;
    }

    /// Notes that a look saw nothing. What was seen before stays: the daemon may be about to come back.
    pub fn miss(&mut self, why: &str) {
        self.away = Some(line(why));
    }

    /// The rows to show, without folded and filtered ones.
    pub fn rows(&self) -> Vec<Row> {
        match self.pane {
            Pane::Sinks => rows::sinks(self),
            Pane::Actors => tree::actors(self),
        }
    }

    /// Whether what has this key is folded.
    pub fn is_folded(&self, key: &str) -> bool {
        self.folded.contains(key)
    }

    /// Whether a row with these texts passes the filter.
    pub fn passes(&self, texts: &[&str]) -> bool {
        let wanted = self.filter.to_lowercase();
        texts.iter().any(|text| text.to_lowercase().contains(&wanted))
    }

    /// Which of the rows is selected: the one that was, wherever it stands now, else the first.
    pub fn selection(&self, rows: &[Row]) -> usize {
        let selected = self.selected.as_deref();
        rows.iter().position(|row| Some(row.key.as_str()) == selected).unwrap_or_default()
    }

    fn select(&mut self, at: usize, rows: &[Row]) {
        let at = at.min(rows.len().saturating_sub(1));
        self.selected = rows.get(at).map(|row| row.key.clone());
    }

    /// Does what a key means.
    pub fn grant(&mut self, wish: Wish) {
        let rows = self.rows();
        let at = self.selection(&rows);
        match wish {
            Wish::Move(by) => self.select(at.saturating_add_signed(by), &rows),
            Wish::First => self.select(0, &rows),
            Wish::Last => self.select(usize::MAX, &rows),
            Wish::Fold => {
                let Some(key) = rows.get(at).map(|row| row.fold.clone()) else { return };
                if !self.folded.remove(&key) {
                    self.folded.insert(key.clone());
                    self.selected = Some(key);
                }
            }
            Wish::Sort => self.order = self.order.next(),
            Wish::Actors => {
                self.pane = if self.pane == Pane::Sinks { Pane::Actors } else { Pane::Sinks };
                self.selected = None;
            }
            Wish::Filter => self.typing = true,
            Wish::Type(letter) => self.filter.push(letter),
            Wish::Erase => drop(self.filter.pop()),
            Wish::Accept => self.typing = false,
            Wish::Clear => {
                self.typing = false;
                self.filter.clear();
            }
        }
    }
}
