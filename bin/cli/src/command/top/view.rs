//! The model, drawn.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row as Cells, Table, TableState};

use super::model::{Model, Pane};
use super::rows::{self, Row, Tone};
use super::tree;
use crate::units;

/// Whether colours are wanted (no-color.org).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// They are.
    Colours,
    /// Only bold, dim and reverse.
    None,
}

impl Paint {
    fn of(self, tone: Tone) -> Style {
        let colour = |style: Style, colour| if self == Self::Colours { style.fg(colour) } else { style };
        match tone {
            Tone::Plain => Style::new(),
            Tone::Heading => Style::new().add_modifier(Modifier::BOLD),
            Tone::Quiet => Style::new().add_modifier(Modifier::DIM),
            Tone::Alarm => colour(Style::new().add_modifier(Modifier::BOLD), Color::Red),
        }
    }
}

/// From so many columns on errors have one of their own.
const WIDE: u16 = 100;

const KEYS: &str = "q quit  ↑↓ move  enter fold  s sort  / filter  a actors";

/// Draws all of it; `place` is how far the rows are scrolled.
pub fn draw(frame: &mut Frame<'_>, model: &Model, place: &mut TableState, paint: Paint) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ]);
    let [head, middle, detail, foot] = areas.areas(frame.area());
    let tone = if model.away.is_some() { Tone::Alarm } else { Tone::Plain };
    frame.render_widget(Paragraph::new(summary(model)).style(paint.of(tone)), head);
    let rows = model.rows();
    let selected = model.selection(&rows);
    place.select((!rows.is_empty()).then_some(selected));
    table(frame, middle, model, (&rows, place), paint);
    let told = rows.get(selected).map(|row| row.detail.as_str()).unwrap_or_default();
    frame.render_widget(Paragraph::new(told), detail);
    frame.render_widget(Paragraph::new(bottom(model)), foot);
}

/// What all of them do together, or that nobody knows.
fn summary(model: &Model) -> String {
    let now = &model.now;
    if let Some(why) = &model.away {
        return format!(
            "gantry {}  the daemon does not answer, these are its last figures: {why}",
            now.version
        );
    }
    let running = now.containers.iter().filter(|c| c.state == "running").count();
    let sinks = now.containers.iter().flat_map(|c| &c.sinks);
    let (all, failing) = (sinks.clone().count(), sinks.filter(|s| rows::fails(s)).count());
    let rate = rows::total(model).rate.map_or_else(String::new, |(lines, bytes)| {
        format!("  {lines:.0} lines/s  {}/s", units::human_size(bytes.round() as i64))
    });
    format!(
        "gantry {}  {running}/{} containers run  {all} sinks, {failing} failing{rate}",
        now.version,
        now.containers.len()
    )
}

fn bottom(model: &Model) -> Line<'static> {
    let typed = if model.typing { format!("/{}█", model.filter) } else { format!("/{}", model.filter) };
    let mut spans = Vec::new();
    if model.typing || !model.filter.is_empty() {
        spans.push(Span::styled(format!("{typed}  "), Style::new().add_modifier(Modifier::BOLD)));
    }
    let keys = if model.typing { "enter keeps it  esc drops it".to_owned() } else { KEYS.to_owned() };
    let order = match (model.typing, model.pane) {
        (false, Pane::Sinks) => format!("  (by {})", model.order.name()),
        _ => String::new(),
    };
    spans.push(Span::styled(keys + &order, Style::new().add_modifier(Modifier::DIM)));
    Line::from(spans)
}

fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    (rows, place): (&[Row], &mut TableState),
    paint: Paint,
) {
    use Constraint::{Fill, Length};
    let wide = area.width >= WIDE;
    let (headings, mut widths) = match model.pane {
        Pane::Sinks => (
            rows::HEADINGS.as_slice(),
            vec![Fill(2), Length(10), Length(7), Length(8), Length(7), Length(4), Length(7)],
        ),
        Pane::Actors => {
            (tree::HEADINGS.as_slice(), vec![Fill(2), Length(10), Length(8), Length(7), Length(4)])
        }
    };
    if wide {
        widths.push(Fill(3));
    }
    let columns = widths.len();
    let body = rows
        .iter()
        .map(|row| Cells::new(row.cells.iter().take(columns).map(String::as_str)).style(paint.of(row.tone)));
    let head = Cells::new(headings.iter().take(columns).copied())
        .style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED));
    let table = Table::new(body, widths)
        .header(head)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, place);
}

/// The same for a file or a pipe, columns apart by tabs.
pub fn plain(model: &Model) -> Vec<String> {
    let row = |row: Row| {
        let mut cells = row.cells;
        if let Some(name) = cells.first_mut() {
            // The mark of what can be folded.
            *name = name.chars().skip(2).collect();
        }
        let line = cells.join("\t");
        line.trim_end().to_owned()
    };
    std::iter::once(rows::HEADINGS.join("\t")).chain(model.rows().into_iter().map(row)).collect()
}

#[cfg(test)]
mod tests;
