//! `gantry actors`

use clap::Args;
use serde_json::Value;

use crate::{client::Client, error::CommandError, output, units};

const EXAMPLES: &str = "\
Examples:
  gantry actors            the supervision tree, with what went wrong in it
  gantry actors --json

A respawn is an actor that panicked and was built anew; its last panic is shown.
MAILBOX is messages waiting / messages it can hold.";

/// Shows the daemon from inside.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Actors {
    /// Print what the daemon says, as JSON
    #[arg(long)]
    json: bool,
}

fn text<'a>(actor: &'a Value, key: &str) -> &'a str {
    actor.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn row(actor: &Value, branch: &str) -> String {
    let number = |key: &str| actor.get(key).and_then(Value::as_i64).unwrap_or_default();
    let uptime = units::human_duration(number("uptime_ms") / 1000).to_lowercase();
    let panic = text(actor, "last_panic").lines().next().unwrap_or_default();
    let columns = [
        format!("{branch}{}", text(actor, "name")),
        text(actor, "kind").to_owned(),
        text(actor, "state").to_owned(),
        number("respawns").to_string(),
        format!("{}/{}", number("mailbox"), number("mailbox_capacity")),
        uptime,
        output::ellipsis(&panic.replace('\t', " "), 60),
    ];
    columns.join("\t")
}

/// The lines of the tree, heading first. Whoever has no known parent is a root.
fn tree(actors: &[Value]) -> Vec<String> {
    let mut lines = vec!["NAME\tKIND\tSTATE\tRESPAWNS\tMAILBOX\tUPTIME\tLAST PANIC".to_owned()];
    let mut shown = vec![false; actors.len()];
    let is_root = |actor: &Value| {
        let parent = text(actor, "parent");
        parent.is_empty()
            || parent == text(actor, "name")
            || !actors.iter().any(|other| text(other, "name") == parent)
    };
    for (at, actor) in actors.iter().enumerate() {
        if is_root(actor) {
            descend(actors, &mut shown, at, ("", ""), &mut lines);
        }
    }
    // A loop of parents has no root; its members are still worth seeing.
    for at in 0..actors.len() {
        if shown.get(at) == Some(&false) {
            descend(actors, &mut shown, at, ("", ""), &mut lines);
        }
    }
    lines
}

fn descend(
    actors: &[Value],
    shown: &mut [bool],
    at: usize,
    (own, below): (&str, &str),
    lines: &mut Vec<String>,
) {
    let (Some(actor), Some(seen)) = (actors.get(at), shown.get_mut(at)) else { return };
    if std::mem::replace(seen, true) {
        return;
    }
    lines.push(row(actor, own));
    let children: Vec<usize> = actors
        .iter()
        .enumerate()
        .filter(|(child, other)| *child != at && text(other, "parent") == text(actor, "name"))
        .map(|(child, _)| child)
        .collect();
    for (position, child) in children.iter().enumerate() {
        let last = position + 1 == children.len();
        let own = format!("{below}{}", if last { "└─ " } else { "├─ " });
        let next = format!("{below}{}", if last { "   " } else { "│  " });
        descend(actors, shown, *child, (&own, &next), lines);
    }
}

impl Actors {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let answer = client.get_unversioned("/gantry/actors").await?;
        if self.json {
            output::line(format!("{answer:#}"));
            return Ok(0);
        }
        let lines = tree(answer.as_array().map(Vec::as_slice).unwrap_or_default());
        let text = output::align(&lines);
        output::raw(text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>());
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actors_hang_below_their_parents() {
        let actor = |name: &str, parent: Value| {
            json!({"name": name, "kind": "k", "parent": parent, "state": "running", "respawns": 1, "last_panic": null,
                   "mailbox": 0, "mailbox_capacity": 64, "uptime_ms": 61_000})
        };
        let actors = [
            actor("containers", json!("root")),
            actor("root", json!(null)),
            actor("events", json!("root")),
            actor("container:abc", json!("containers")),
        ];
        let names: Vec<String> =
            tree(&actors).iter().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect();
        assert_eq!(names, ["NAME", "root", "├─ containers", "│  └─ container:abc", "└─ events"]);
        assert_eq!(tree(&actors)[1], "root\tk\trunning\t1\t0/64\tabout a minute\t");
    }

    #[test]
    fn a_loop_of_parents_does_not_hang() {
        let actors = [json!({"name": "a", "parent": "b"}), json!({"name": "b", "parent": "a"})];
        assert_eq!(tree(&actors).len(), 3);
    }
}
