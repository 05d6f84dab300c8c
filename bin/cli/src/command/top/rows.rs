//! Containers and their sinks as rows, with what changed between two looks.

use super::model::{Model, Order};
use super::moment::{Container, Sink};
use crate::units;

/// How a row is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    #[default]
    Plain,
    /// A heading of what follows.
    Heading,
    /// Nothing goes on there.
    Quiet,
    /// Something is wrong.
    Alarm,
}

/// One row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// What is the same for as long as it exists.
    pub key: String,
    /// The key of what is folded with it.
    pub fold: String,
    /// Its columns.
    pub cells: Vec<String>,
    /// How it is meant.
    pub tone: Tone,
    /// A line about it, when it is selected.
    pub detail: String,
}

/// Headings of containers and sinks.
pub const HEADINGS: [&str; 8] =
    ["CONTAINER / SINK", "STATE", "LINES/S", "BYTES/S", "LAG", "AGE", "DROPPED", "LAST ERROR"];

/// Of a sink or of a container's sinks together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Lines and bytes a second, once there are two looks.
    pub rate: Option<(f64, f64)>,
    /// Lines and bytes that wait.
    pub lag: Option<(u64, u64)>,
    /// Age of the oldest, seconds.
    pub age: Option<u64>,
    /// Lines given up.
    pub dropped: u64,
    /// More was, in nobody knows how many lines.
    pub uncounted: bool,
}

impl Figures {
    fn of(sink: &Sink, before: Option<&Sink>, passed: f64) -> Self {
        // A daemon that was started anew counts from 0.
        let before = before.filter(|b| passed > 0.0 && b.lines <= sink.lines && b.bytes <= sink.bytes);
        let rate =
            before.map(|b| ((sink.lines - b.lines) as f64 / passed, (sink.bytes - b.bytes) as f64 / passed));
        let Sink { lag, lag_age: age, dropped, uncounted, .. } = *sink;
        Self { rate, lag, age, dropped, uncounted }
    }

    /// Rates and drops add up; what waits longest counts.
    fn add(self, other: Self) -> Self {
        let pair = |a: Option<(f64, f64)>, b: Option<(f64, f64)>| match (a, b) {
            (Some(a), Some(b)) => Some((a.0 + b.0, a.1 + b.1)),
            (one, other) => one.or(other),
        };
        Self {
            rate: pair(self.rate, other.rate),
            lag: self.lag.max(other.lag),
            age: self.age.max(other.age),
            dropped: self.dropped + other.dropped,
            uncounted: self.uncounted || other.uncounted,
        }
    }

    fn cells(&self) -> [String; 5] {
        let none = || "-".to_owned();
        [
            self.rate.map_or_else(none, |(lines, _)| rate(lines)),
            self.rate.map_or_else(none, |(_, bytes)| units::human_size(bytes.round() as i64)),
            self.lag.map_or_else(none, |(lines, bytes)| match (lines, bytes) {
                // A line that is not whole yet waits for nobody.
                (0, _) => "0".to_owned(),
                (lines, _) => count(lines),
            }),
            self.age.map_or_else(String::new, age),
            count(self.dropped) + if self.uncounted { "+" } else { "" },
        ]
    }
}

fn rate(lines: f64) -> String {
    if lines > 0.0 && lines < 10.0 { format!("{lines:.1}") } else { count(lines.round() as u64) }
}

/// At most seven characters.
fn count(n: u64) -> String {
    match n {
        0..=9_999_999 => n.to_string(),
        _ => format!("{}M", n / 1_000_000),
    }
}

/// In one unit: 5s, 3m, 2h, 4d.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds}s"),
        100..=5_999 => format!("{}m", seconds / 60),
        6_000..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Deliveries fail, or are refused.
pub fn fails(sink: &Sink) -> bool {
    matches!(sink.state.as_str(), "waiting" | "reopening" | "refused")
}

struct Group<'a> {
    container: &'a Container,
    figures: Figures,
    sinks: Vec<(&'a Sink, Figures)>,
}

fn group<'a>(model: &'a Model, container: &'a Container) -> Group<'a> {
    let before = model.before.as_ref();
    let passed = before.map_or(0.0, |before| model.now.at - before.at);
    let earlier = before.and_then(|b| b.containers.iter().find(|c| c.id == container.id));
    let sinks: Vec<(&Sink, Figures)> = container
        .sinks
        .iter()
        .map(|sink| {
            let before = earlier.and_then(|c| c.sinks.iter().find(|s| s.name == sink.name));
            (sink, Figures::of(sink, before, passed))
        })
        .collect();
    let figures = sinks.iter().fold(Figures::default(), |sum, (_, one)| sum.add(*one));
    Group { container, figures, sinks }
}

/// All sinks together.
pub fn total(model: &Model) -> Figures {
    let groups = model.now.containers.iter().map(|c| group(model, c).figures);
    groups.fold(Figures::default(), Figures::add)
}

/// Rows of containers, each with its sinks unless it is folded.
pub fn sinks(model: &Model) -> Vec<Row> {
    let mut groups: Vec<Group<'_>> = model.now.containers.iter().map(|c| group(model, c)).collect();
    let rate = |g: &Group<'_>| g.figures.rate.unwrap_or_default().0;
    match model.order {
        Order::Name => {}
        Order::Rate => groups.sort_by(|a, b| rate(b).total_cmp(&rate(a))),
        Order::Lag => groups.sort_by_key(|g| std::cmp::Reverse(g.figures.lag)),
        Order::Dropped => groups.sort_by_key(|g| std::cmp::Reverse((g.figures.dropped, g.figures.uncounted))),
    }
    let mut out = Vec::new();
    for group in groups {
        let container = group.container;
        let own = model.passes(&[&container.name, &container.image, &container.state]);
        let shown: Vec<&(&Sink, Figures)> = group
            .sinks
            .iter()
            .filter(|(s, _)| own || model.passes(&[&s.name, &s.driver, &s.state, &s.error]))
            .collect();
        if !own && shown.is_empty() {
            continue;
        }
        out.push(heading(model, &group));
        if !model.is_folded(&container.id) {
            out.extend(shown.into_iter().map(|(sink, figures)| row(container, sink, figures)));
        }
    }
    out
}

fn heading(model: &Model, group: &Group<'_>) -> Row {
    let Container { id, name, image, state, sinks } = group.container;
    let mark = match (sinks.is_empty(), model.is_folded(id)) {
        (true, _) => ' ',
        (false, true) => '▸',
        (false, false) => '▾',
    };
    let mut cells = vec![format!("{mark} {name}"), state.clone()];
    cells.extend(group.figures.cells());
    cells.push(String::new());
    let failing = sinks.iter().filter(|s| fails(s)).count();
    let tone = match (failing, state.as_str()) {
        (1.., _) => Tone::Alarm,
        (_, "running" | "paused" | "restarting") => Tone::Heading,
        _ => Tone::Quiet,
    };
    let detail = format!("{name} ({image}): {} of {} sinks deliver", sinks.len() - failing, sinks.len());
    Row { key: id.clone(), fold: id.clone(), cells, tone, detail }
}

fn row(container: &Container, sink: &Sink, figures: &Figures) -> Row {
    let name = match sink.name == sink.driver {
        true => sink.name.clone(),
        false => format!("{}:{}", sink.name, sink.driver),
    };
    let error = if fails(sink) { sink.error.clone() } else { String::new() };
    let mut cells = vec![format!("    {name}"), sink.state.clone()];
    cells.extend(figures.cells());
    cells.push(error);
    let told = if sink.error.is_empty() { String::new() } else { format!("; last: {}", sink.error) };
    let detail = format!(
        "{}/{}: {} in, {} arrived, {} retries{told}",
        container.name, sink.name, sink.offered, sink.lines, sink.retries
    );
    Row {
        key: format!("{}/{}", container.id, sink.name),
        fold: container.id.clone(),
        cells,
        tone: if fails(sink) { Tone::Alarm } else { Tone::Plain },
        detail,
    }
}
