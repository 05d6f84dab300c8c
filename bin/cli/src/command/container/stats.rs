//! `gantry stats`

mod entry;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Client, ClientError, encode, query};
use crate::listing::{Listing, text};
use crate::{error::CommandError, output};
use entry::Entry;

/// Shows what containers use up, as it changes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry stats                   all that run, until ctrl-c\n  gantry stats --no-stream --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}}' web db"
)]
pub struct Stats {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// What is known of each container, in the order they came.
type Entries = Arc<Mutex<Vec<Entry>>>;

fn with<T>(entries: &Entries, change: impl FnOnce(&mut Vec<Entry>) -> T) -> Option<T> {
    entries.lock().ok().map(|mut entries| change(&mut entries))
}

/// Keeps one entry up to date until the container or the daemon goes.
async fn collect(
    client: Client,
    name: String,
    stream: bool,
    entries: Entries,
    known: tokio::sync::oneshot::Sender<Result<(), ClientError>>,
) {
    let flag = if stream { "1" } else { "0" };
    let set = |change: &dyn Fn(&mut Entry)| {
        with(&entries, |all| all.iter_mut().filter(|entry| entry.asked == name).for_each(change))
    };
    let mut known = Some(known);
    let mut tell = |result| {
        if let Some(known) = known.take() {
            let _ = known.send(result);
        }
    };
    let path = format!("/containers/{}/stats?stream={flag}", encode(&name));
    let mut body = match client.stream(Method::GET, &path).await {
        Ok(body) => body,
        Err(error) => {
            set(&|entry| entry.lose());
            return tell(Err(error));
        }
    };
    loop {
        // A container that tells nothing for two seconds has nothing to tell.
        match tokio::time::timeout(Duration::from_secs(2), body.json()).await {
            Err(_) => {
                set(&|entry| entry.lose());
                tell(Ok(()));
            }
            Ok(Ok(Some(sample))) => {
                set(&|entry| entry.take(&sample));
                tell(Ok(()));
                if !stream {
                    return;
                }
            }
            Ok(_) => {
                set(&|entry| entry.lose());
                return tell(Ok(()));
            }
        }
    }
}

struct Watch {
    client: Client,
    stream: bool,
    entries: Entries,
    tasks: JoinSet<()>,
    watched: HashSet<String>,
}

impl Watch {
    /// Begins with one container; the receiver tells of its first sample.
    fn add(&mut self, name: &str) -> Option<tokio::sync::oneshot::Receiver<Result<(), ClientError>>> {
        if !self.watched.insert(name.to_owned()) {
            return None;
        }
        with(&self.entries, |all| all.push(Entry::new(name)));
        let (known, first) = tokio::sync::oneshot::channel();
        let (client, entries) = (self.client.clone(), Arc::clone(&self.entries));
        self.tasks.spawn(collect(client, name.to_owned(), self.stream, entries, known));
        Some(first)
    }

    fn remove(&mut self, name: &str) {
        self.watched.remove(name);
        with(&self.entries, |all| all.retain(|entry| entry.asked != name));
    }
}

impl Stats {
    fn show(&self, client: &Client, entries: &Entries) -> Result<(), CommandError> {
        let listing = Listing {
            format: self.format.as_deref(),
            configured: client.configuration().stats_format.as_deref(),
            quiet: None,
            table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
            headings: entry::HEADINGS,
        };
        let rows = with(entries, |all| all.iter().map(|entry| entry.row(self.no_trunc)).collect());
        let text = listing.render(rows.unwrap_or_default())?;
        if self.no_stream {
            output::raw(text);
            return Ok(());
        }
        // Home, each line to its end, and nothing left of a longer list: all at once, so that nothing flickers.
        let body: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
        output::raw(format!("\x1b[H{body}\x1b[J"));
        Ok(())
    }

    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let named = !self.containers.is_empty();
        let entries = Entries::default();
        let mut watch = Watch {
            client: client.clone(),
            stream: !self.no_stream,
            entries: Arc::clone(&entries),
            tasks: JoinSet::new(),
            watched: HashSet::new(),
        };
        // Subscribed before the list is asked for: whoever starts in between is in one of both.
        let mut events = match named || self.no_stream {
            true => None,
            false => {
                let filters = json!({"type": ["container"]}).to_string();
                let query = query(&[("filters", Some(filters))]);
                Some(client.stream(Method::GET, &format!("/events?{query}")).await?)
            }
        };
        let names = match named {
            true => self.containers.clone(),
            false => {
                let query = if self.all { "all=1" } else { "" };
                let listed = client.get(&format!("/containers/json?{query}")).await?;
                let ids = listed.as_array().into_iter().flatten();
                ids.map(|one| output::short_id(&text(one, "Id")).to_owned()).collect()
            }
        };
        let firsts: Vec<_> = names.iter().filter_map(|name| watch.add(name)).collect();
        let mut failures = Vec::new();
        for first in futures::future::join_all(firsts).await {
            match first {
                Ok(Err(error @ ClientError::Unreachable { .. })) => return Err(error.into()),
                Ok(Err(error)) if named => failures.push(error.to_string()),
                _ => {}
            }
        }
        if !failures.is_empty() {
            return Err(CommandError::Refused(failures.join("\n")));
        }
        if self.no_stream {
            self.show(client, &entries)?;
            return Ok(0);
        }
        output::raw("\x1b[2J");
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            let event = async {
                match &mut events {
                    Some(events) => events.json().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = ticks.tick() => self.show(client, &entries)?,
                event = event => match event {
                    Ok(Some(event)) => self.follow(&mut watch, &event),
                    _ => return Ok(0),
                },
            }
            if named
                && with(&entries, |all| all.iter().all(Entry::is_lost)) == Some(true)
                && watch.tasks.is_empty()
            {
                return Ok(0);
            }
            while watch.tasks.try_join_next().is_some() {}
        }
    }

    fn follow(&self, watch: &mut Watch, event: &Value) {
        let id = event.pointer("/Actor/ID").and_then(Value::as_str).unwrap_or_default();
        let id = output::short_id(id).to_owned();
        match text(event, "Action").as_str() {
            "start" => {
                if self.all {
                    watch.remove(&id);
                }
                let _ = watch.add(&id);
            }
            "create" if self.all => {
                let _ = watch.add(&id);
            }
            "die" if !self.all => watch.remove(&id),
            "destroy" => watch.remove(&id),
            _ => {}
        }
    }
}
