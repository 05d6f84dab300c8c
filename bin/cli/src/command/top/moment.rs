//! What the daemon tells at one moment.

use jiff::Timestamp;
use serde_json::Value;

use crate::listing::{list, text};

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// When, in seconds since the epoch.
    pub at: f64,
    /// The daemon's version.
    pub version: String,
    /// Containers, by name.
    pub containers: Vec<Container>,
    /// Actors; none where they were not asked for.
    pub actors: Vec<Actor>,
}

/// A container.
#[derive(Debug, Clone, Default)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Docker's word for what it does.
    pub state: String,
    /// Where its lines go.
    pub sinks: Vec<Sink>,
}

/// A place where lines go.
#[derive(Debug, Clone, Default)]
pub struct Sink {
    /// Its name among the container's.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// What it is doing.
    pub state: String,
    /// Lines written for it, counted.
    pub offered: u64,
    /// Lines that arrived, and bytes.
    pub lines: u64,
    /// Bytes of the lines that arrived.
    pub bytes: u64,
    /// What waits, in lines and bytes, if that is known.
    pub lag: Option<(u64, u64)>,
    /// Age of the oldest that waits, in seconds.
    pub lag_age: Option<u64>,
    /// Lines given up.
    pub dropped: u64,
    /// More was, in nobody knows how many lines.
    pub uncounted: bool,
    /// Failed tries.
    pub retries: u64,
    /// Why the last one failed.
    pub error: String,
}

/// An actor.
#[derive(Debug, Clone, Default)]
pub struct Actor {
    /// Its name.
    pub name: String,
    /// Who is above it.
    pub parent: String,
    /// What it is doing.
    pub state: String,
    /// How often it was built anew.
    pub respawns: u64,
    /// Messages waiting.
    pub mailbox: u64,
    /// Age of its incarnation, seconds.
    pub uptime: i64,
    /// First line of its last panic.
    pub panic: String,
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// Control characters would move the cursor of whoever looks.
pub(super) fn line(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn seconds(text: &str) -> Option<f64> {
    text.parse::<Timestamp>().ok().map(|t| t.as_nanosecond() as f64 / 1e9)
}

impl Moment {
    /// Reads the daemon's answer; what is missing is empty.
    pub fn read(answer: &Value) -> Self {
        let at = seconds(&text(answer, "Time")).unwrap_or_default();
        let container = |c: &Value| {
            let id = text(c, "Id");
            let own = list(answer, "Sinks").filter(|s| text(s, "Container") == id);
            Container {
                name: line(&text(c, "Name")),
                image: line(&text(c, "Image")),
                state: text(c, "State"),
                sinks: own.map(|s| sink(s, at)).collect(),
                id,
            }
        };
        Self {
            at,
            version: text(answer, "Version"),
            containers: list(answer, "Containers").map(container).collect(),
            actors: list(answer, "Actors").map(actor).collect(),
        }
    }
}

fn sink(s: &Value, at: f64) -> Sink {
    let lag = s.get("Lag").filter(|lag| !lag.is_null());
    let oldest = lag.and_then(|lag| seconds(&text(lag, "Oldest")));
    let dropped = s.get("Dropped").and_then(Value::as_object);
    let uncounted = ["/DroppedBytes/spool-full", "/DroppedPlaces/spool-gone"];
    Sink {
        name: line(&text(s, "Sink")),
        driver: text(s, "Driver"),
        state: text(s, "State"),
        offered: number(s, "/In/Lines"),
        lines: number(s, "/Delivered/Lines"),
        bytes: number(s, "/Delivered/Bytes"),
        lag: lag.map(|lag| (number(lag, "/Lines"), number(lag, "/Bytes"))),
        lag_age: oldest.map(|oldest| (at - oldest).max(0.0) as u64),
        dropped: dropped.into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum(),
        uncounted: uncounted.iter().any(|path| number(s, path) > 0),
        retries: number(s, "/Retries"),
        error: line(&text(s, "LastError")),
    }
}

fn actor(a: &Value) -> Actor {
    Actor {
        name: line(&text(a, "name")),
        parent: line(&text(a, "parent")),
        state: text(a, "state"),
        respawns: number(a, "/respawns"),
        mailbox: number(a, "/mailbox"),
        uptime: i64::try_from(number(a, "/uptime_ms") / 1000).unwrap_or(i64::MAX),
        panic: line(&text(a, "last_panic")),
    }
}
