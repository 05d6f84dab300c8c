//! Log drivers tried out without a container.

use super::Engine;
use crate::log::chain;
use crate::log::lane::let_go;
use crate::random_id;
use contract::log::{
    Batch, Catalogue, Cursor, DeliverError, Destination, FANOUT, LogDriverKind, LogLine, LogSource,
    OptionSpec, Options, Stream, destinations,
};
use contract::{ContainerId, Kind, PortError};
use futures::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// A driver that has not even noticed the end of its time so much later is stuck.
const STUCK: Duration = Duration::from_secs(1);

/// What several drivers at once take, besides what each of them does.
static SEVERAL: [OptionSpec; 3] = [
    OptionSpec { name: "drivers", doc: "several drivers, by commas, as json-file,backup:syslog" },
    OptionSpec { name: "NAME.streams", doc: "what goes to the driver of that name: stdout, stderr or both" },
    OptionSpec { name: "NAME.OPTION", doc: "an option of the driver of that name" },
];

/// What every driver takes besides its own. Those of the local copy come last.
static COMMON: [OptionSpec; 15] = [
    OptionSpec { name: "mode", doc: "blocking: the container waits for the driver; or non-blocking" },
    OptionSpec { name: "max-buffer-size", doc: "output kept for a driver that is not waited for; 1m" },
    OptionSpec {
        name: "overflow",
        doc: "what goes beyond: drop-newest or drop-oldest; block with mode=blocking",
    },
    OptionSpec { name: "max-line-size", doc: "longer lines come in pieces, others whole; pieces of 16k" },
    OptionSpec { name: "multiline-pattern", doc: "a line that matches begins a record" },
    OptionSpec {
        name: "multiline-datetime-format",
        doc: "a line with such a date does, in strftime's verbs",
    },
    OptionSpec { name: "multiline-max-size", doc: "most bytes of a record of several lines; 256k" },
    OptionSpec { name: "multiline-max-lines", doc: "most lines of a record; 1000" },
    OptionSpec { name: "multiline-timeout", doc: "time without a line after which a record ends; 1s" },
    OptionSpec { name: "rate-limit", doc: "most lines in a time, as 1000/s or 600/m" },
    OptionSpec { name: "rate-limit-burst", doc: "most lines at once; those of rate-limit" },
    OptionSpec { name: "cache-disabled", doc: "keep no local copy for docker logs; false" },
    OptionSpec { name: "cache-max-size", doc: "size of the copy's files; 20m" },
    OptionSpec { name: "cache-max-file", doc: "most files of the copy; 5" },
    OptionSpec { name: "cache-compress", doc: "compress the copy's older files; true" },
];

/// Those that mean something to a driver.
fn common(name: &str, readable: bool) -> Vec<OptionSpec> {
    if name == "none" {
        return Vec::new();
    }
    // What can be read back needs no copy.
    COMMON.iter().filter(|option| !(readable && option.name.starts_with("cache-"))).copied().collect()
}

/// A log driver there is.
#[derive(Debug, Clone)]
pub struct DriverInfo {
    /// Its name.
    pub name: String,
    /// Its own options.
    pub options: Vec<OptionSpec>,
    /// Those that it shares with all.
    pub common: Vec<OptionSpec>,
    /// Lines can be read back.
    pub readable: bool,
}

/// What became of a probe.
#[derive(Debug, Clone)]
pub struct Probed {
    /// The destination's name among those asked for.
    pub sink: String,
    /// Its driver.
    pub driver: String,
    /// How long it took, or why it failed: the error and what caused it, the outermost first.
    pub outcome: Result<Duration, Vec<String>>,
}

impl Engine {
    /// The log drivers that can be asked for, by name.
    pub async fn log_drivers(&self) -> Vec<DriverInfo> {
        let drivers = &self.shared.ports.drivers;
        let info = |name: String| {
            let kind = drivers.find(&name);
            let options = if name == FANOUT { &SEVERAL[..] } else { kind.map_or(&[][..], |k| k.options()) };
            let options = options.to_vec();
            let readable = kind.is_some_and(|k| k.reader().is_some());
            DriverInfo { common: common(&name, readable), readable, options, name }
        };
        drivers.names().await.into_iter().map(info).collect()
    }

    /// Sends a line that says what it is to each destination, as a container's would be sent. File drivers write where
    /// nothing stays. What is wrong with the options themselves is an error.
    pub async fn probe_log(
        &self,
        driver: &str,
        options: &Options,
        deadline: Duration,
    ) -> Result<Vec<Probed>, PortError> {
        let drivers = &self.shared.ports.drivers;
        drivers.validate(driver, options).await?;
        let all = destinations(driver, options)?;
        // A folder as a container's, which the next start clears away if this daemon does not come to it.
        let id = ContainerId::new(random_id()?);
        let source = LogSource {
            container_id: id.to_string(),
            container_name: "gantry-probe".into(),
            image_id: "gantry-probe".into(),
            image_name: "gantry-probe".into(),
            command: "probe".into(),
            created_ns: crate::now_ns(),
            directory: self.shared.directory(id.as_str()),
            ..LogSource::default()
        };
        let shared = Arc::clone(&self.shared);
        // Its folder goes also when whoever asked does not wait for the end.
        let work = tokio::spawn(async move {
            let drivers = &*shared.ports.drivers;
            let out =
                join_all(all.into_iter().map(|one| probe(drivers, one, source.clone(), deadline))).await;
            shared.ports.records.remove(&id).await.map(|()| out)
        });
        work.await.unwrap_or_else(|e| Err(PortError::caused(Kind::Bug, "a probe panicked", e)))
    }
}

async fn probe(
    drivers: &dyn Catalogue,
    Destination { name, driver, options, .. }: Destination,
    source: LogSource,
    deadline: Duration,
) -> Probed {
    let outcome = match drivers.find(&driver) {
        Some(kind) => {
            let work = tokio::spawn(async move {
                let begun = Instant::now();
                send(kind, &source, &options, deadline).await.map(|()| begun.elapsed())
            });
            let stop = work.abort_handle();
            match tokio::time::timeout(deadline + STUCK, work).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => Err(vec!["the driver panicked".into(), panic.to_string()]),
                Err(_) => {
                    stop.abort();
                    Err(late(deadline))
                }
            }
        }
        None => Err(vec![format!("logger: no log driver named '{driver}' is registered")]),
    };
    Probed { sink: name, driver, outcome }
}

fn late(deadline: Duration) -> Vec<String> {
    vec![format!("no answer within {} s", deadline.as_secs_f64())]
}

async fn send(
    kind: &dyn LogDriverKind,
    source: &LogSource,
    options: &Options,
    deadline: Duration,
) -> Result<(), Vec<String>> {
    let end = tokio::time::Instant::now() + deadline;
    let late = |_| late(deadline);
    let opened = timeout_at(end, kind.open(source, options)).await.map_err(late)?;
    let mut driver = opened.map_err(|e| chain(&e))?;
    let text = format!("gantry probe of log driver {}: nothing is wrong", kind.name());
    let line = LogLine { stream: Stream::Stdout, time_ns: crate::now_ns(), data: text.into(), partial: None };
    let batch = Batch { lines: vec![line], end: Cursor::default(), ..Batch::default() };
    let told = |error: DeliverError| match error {
        DeliverError::Retry { source, .. }
        | DeliverError::Reject { source, .. }
        | DeliverError::Fatal { source } => chain(&*source),
    };
    let delivered = timeout_at(end, driver.deliver(&batch)).await;
    if !matches!(delivered, Ok(Ok(()))) {
        let_go(driver);
        return delivered.map_err(late)?.map_err(told);
    }
    driver.may_end_within(end.saturating_duration_since(tokio::time::Instant::now()));
    // A driver that waits to the end of its time then says for what.
    timeout_at(end + STUCK / 2, driver.close()).await.map_err(late)?.map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::{Delivery, is_record_option};

    #[test]
    fn what_is_listed_for_all_drivers_is_taken_by_all_and_none_takes_nothing() {
        let taken =
            |key: &str| Delivery::is_option(key) || is_record_option(key) || key.starts_with("cache-");
        assert!(common("syslog", false).iter().all(|option| taken(option.name)));
        assert_eq!(common("syslog", false).len(), COMMON.len());
        assert!(!common("local", true).iter().any(|option| option.name.starts_with("cache-")));
        assert!(common("none", false).is_empty());
    }
}
