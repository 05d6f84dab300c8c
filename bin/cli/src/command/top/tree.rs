//! The supervision tree as rows.

use std::collections::HashSet;

use super::model::Model;
use super::moment::Actor;
use super::rows::{Row, Tone, age};

/// Headings of actors.
pub const HEADINGS: [&str; 6] = ["ACTOR", "STATE", "RESPAWNS", "WAITING", "AGE", "LAST PANIC"];

/// Rows of actors, each below its parent; folded ones without those below. With a filter, those that pass and all above
/// them.
pub fn actors(model: &Model) -> Vec<Row> {
    let all = &model.now.actors;
    let known = |name: &str| all.iter().any(|a| a.name == name);
    let mut walk = Walk { model, all, kept: kept(model, all), seen: HashSet::new(), out: Vec::new() };
    for actor in all {
        if actor.parent.is_empty() || actor.parent == actor.name || !known(&actor.parent) {
            walk.descend(actor, 0);
        }
    }
    walk.out
}

/// Names of those that pass the filter, and of all above them.
fn kept<'a>(model: &Model, all: &'a [Actor]) -> HashSet<&'a str> {
    let mut kept = HashSet::new();
    for actor in all.iter().filter(|a| model.passes(&[&a.name, &a.state, &a.panic])) {
        let mut at = Some(actor);
        while let Some(actor) = at.filter(|a| kept.insert(a.name.as_str())) {
            at = all.iter().find(|a| a.name == actor.parent);
        }
    }
    kept
}

struct Walk<'a> {
    model: &'a Model,
    all: &'a [Actor],
    kept: HashSet<&'a str>,
    seen: HashSet<&'a str>,
    out: Vec<Row>,
}

impl<'a> Walk<'a> {
    fn descend(&mut self, actor: &'a Actor, depth: usize) {
        if !self.kept.contains(actor.name.as_str()) || !self.seen.insert(&actor.name) {
            return;
        }
        let below: Vec<&Actor> = self.all.iter().filter(|a| a.parent == actor.name).collect();
        let folded = self.model.is_folded(&actor.name);
        let mark = match (below.is_empty(), folded) {
            (true, _) => ' ',
            (false, true) => '▸',
            (false, false) => '▾',
        };
        let running = actor.state == "running";
        self.out.push(Row {
            key: actor.name.clone(),
            fold: actor.name.clone(),
            cells: vec![
                format!("{}{mark} {}", "  ".repeat(depth), actor.name),
                actor.state.clone(),
                actor.respawns.to_string(),
                actor.mailbox.to_string(),
                if running { age(u64::try_from(actor.uptime).unwrap_or_default()) } else { String::new() },
                actor.panic.clone(),
            ],
            tone: match (running, actor.respawns) {
                (true, 0) => Tone::Plain,
                (true, _) => Tone::Heading,
                (false, _) => Tone::Alarm,
            },
            detail: match actor.panic.as_str() {
                "" => actor.name.clone(),
                panic => format!("{}: {panic}", actor.name),
            },
        });
        if !folded {
            for child in below {
                self.descend(child, depth + 1);
            }
        }
    }
}
