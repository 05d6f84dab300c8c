//! Which sinks a container gets.

use super::gauge::Gauge;
use super::lane::{Lane, Turns};
use contract::log::{
    BatchPolicy, Catalogue, DAEMONS, Delivery, Destination, LogDriverKind, Losses, Options, Records, Streams,
    is_common,
};
use contract::runtime::Spool;
use contract::{Kind, PortError};
use std::sync::Arc;
use tokio::sync::Mutex;

/// One sink of a container.
#[derive(Clone)]
pub struct SinkSpec {
    /// Names its cursor.
    pub name: String,
    /// Its driver.
    pub kind: &'static dyn LogDriverKind,
    /// The driver's options, without the common ones.
    pub options: Options,
    /// What comes to it.
    pub streams: Streams,
    /// How its records are built, where the driver's own options do not say it.
    pub records: Records,
    /// Who waits when it takes nothing.
    pub delivery: Delivery,
    /// Why it is there.
    pub purpose: Purpose,
    /// Made with the spec.
    pub lane: Lane,
    /// Made with the spec.
    pub gauge: Arc<Gauge>,
    /// Made with the spec: which version of its losses is on disk.
    pub stored: Arc<Mutex<u64>>,
}

/// Why a container has a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It was asked for.
    Asked,
    /// Nothing that was asked for gives all lines back.
    Copy,
}

/// A batch may have so many bytes of lines, however small the buffer,
const LEAST_BYTES: usize = 1 << 10;
/// and so many lines.
const LEAST_LINES: usize = 64;

impl SinkSpec {
    /// A sink named after its driver.
    pub fn new(kind: &'static dyn LogDriverKind, options: Options) -> Self {
        let (name, streams, delivery) = (kind.name().to_owned(), Streams::Both, Delivery::Blocking);
        let (records, lane, gauge, stored) = Default::default();
        Self { name, kind, options, streams, records, delivery, purpose: Purpose::Asked, lane, gauge, stored }
    }

    /// The same sink, to be hosted once more: nothing of it is open. It goes on counting where `before` ended, if that is
    /// where its lines went already.
    pub fn anew(self, before: &[SinkSpec]) -> Self {
        let same = before.iter().find(|b| b.name == self.name && b.kind.name() == self.kind.name());
        let (gauge, stored) = match same {
            Some(same) => (Arc::clone(&same.gauge), Arc::clone(&same.stored)),
            None => (self.gauge, self.stored),
        };
        // A write that hangs is not to go on beside those of another driver on the same file.
        let lane = same.map_or_else(Lane::default, |same| Turns::after(&same.lane));
        Self { lane, gauge, stored, ..self }
    }

    /// The same sink, to be hosted once more, though what went on in it may not have come to its end.
    pub fn again(&self) -> Self {
        Self { lane: Turns::after(&self.lane), ..self.clone() }
    }

    /// Stores what it is not given, unless something later is there.
    pub async fn store(&self, spool: &dyn Spool, losses: &Losses) -> Result<(), PortError> {
        let mut stored = self.stored.lock().await;
        if losses.version > *stored {
            spool.store_losses(&self.name, losses).await?;
            *stored = losses.version;
        }
        Ok(())
    }

    /// Stores for its own what `before` was not given, with whose data it goes on under another name.
    pub async fn inherit(&self, before: &SinkSpec, spool: &dyn Spool) -> Result<(), PortError> {
        let stored = spool.load_losses(&before.name).await?.unwrap_or_default();
        let told = before.gauge.read().status.losses;
        self.store(spool, if told.version > stored.version { &told } else { &stored }).await
    }

    /// How its batches are cut.
    pub fn batching(&self) -> BatchPolicy {
        let own = self.kind.batching(&self.options);
        let policy = BatchPolicy { streams: self.streams, records: self.records.or(&own.records), ..own };
        let Delivery::NonBlocking { buffer, .. } = self.delivery else { return policy };
        // What is on its way and what was read ahead are in the buffer, too.
        let most = |part: u64, least: usize| usize::try_from(buffer / part).unwrap_or(usize::MAX).max(least);
        BatchPolicy {
            max_bytes: policy.max_bytes.min(most(4, LEAST_BYTES)),
            max_lines: policy.max_lines.min(most(256, LEAST_LINES)),
            ..policy
        }
    }

    /// Whether it gives back all that the container wrote.
    pub fn is_readable(&self) -> bool {
        self.kind.reader().is_some() && self.streams == Streams::Both
    }
}

/// The drivers that can keep the copy of what cannot be read back.
const COPIES: [&str; 2] = ["json-file", "local"];

/// All options that were given for a destination, where its own ones go before the container's.
fn all_given(one: &Destination, of: &Options) -> Options {
    let mut all: Options = one.options.clone().into_iter().chain(one.records.clone()).collect();
    // What the container says is not said for the daemon's own sinks.
    if !one.name.starts_with(DAEMONS) {
        let own = |key: &str| key.strip_prefix(one.name.as_str())?.strip_prefix('.').map(str::to_owned);
        let shared = of.iter().map(|(key, value)| (key.clone(), value));
        let named = of.iter().filter_map(|(key, value)| Some((own(key)?, value)));
        let common = shared.chain(named).filter(|(key, _)| is_common(key));
        all.extend(common.map(|(key, value)| (key, value.clone())));
    }
    all
}

/// The sinks for what was asked for: where none gives all lines back, a local json-file goes beside them, unless that was
/// disabled. `of` are the container's options, for those that concern the copy.
pub fn sinks_for(
    catalogue: &dyn Catalogue,
    asked: &[Destination],
    of: &Options,
) -> Result<Vec<SinkSpec>, PortError> {
    let find = |name: &str| {
        catalogue.find(name).ok_or_else(|| {
            PortError::new(Kind::Invalid, format!("logger: no log driver named '{name}' is registered"))
        })
    };
    let mut sinks = Vec::with_capacity(asked.len() + 1);
    for one in asked {
        let Destination { name, driver, streams, delivery, options, records } = one;
        let kind = find(driver)?;
        let own = SinkSpec::new(kind, if kind.takes_all() { all_given(one, of) } else { options.clone() });
        let (records, delivery) = (Records::parse(records)?, *delivery);
        sinks.push(SinkSpec { name: name.clone(), streams: *streams, records, delivery, ..own });
    }
    let given = |key: &str, or: &str| of.get(key).cloned().unwrap_or_else(|| or.to_owned());
    let truth = |text: &str| matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True");
    let nothing = sinks.iter().all(|s| s.kind.name() == "none");
    if !nothing && !sinks.iter().any(SinkSpec::is_readable) && !truth(&given("cache-disabled", "false")) {
        let files = given("cache-max-file", "5");
        // `01` is one, too, with which compression never opens.
        let compress = truth(&given("cache-compress", "true")) && files.parse::<u32>() != Ok(1);
        let options = [
            ("max-size".to_owned(), given("cache-max-size", "20m")),
            ("max-file".to_owned(), files),
            ("compress".to_owned(), compress.to_string()),
        ];
        // Two of one kind would write one file.
        let free = COPIES.into_iter().find(|name| sinks.iter().all(|s| s.kind.name() != *name));
        let copy = free.ok_or_else(|| {
            let text =
                "logger: fanout: no driver gets both streams, and none is free to keep a copy for `logs`";
            PortError::new(Kind::Invalid, text)
        })?;
        // What is said for all is said for it, too; several drivers may complete it each in its way.
        let records = Records::parse(of).unwrap_or_default();
        let mut own = SinkSpec::new(find(copy)?, options.into());
        if sinks.iter().any(|s| s.name == own.name) {
            // Another driver was given this name: what is kept of its losses is not the copy's. No given name has a dot.
            own.name.push_str(".copy");
        }
        sinks.push(SinkSpec { purpose: Purpose::Copy, records, ..own });
    }
    Ok(sinks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::fake::{FakeCatalogue, FakeKind, Keeps, Script};
    use contract::log::{FANOUT, LogDriver, LogSource, OptionSpec, destinations};

    /// A driver that is told everything.
    struct Outlet;

    #[async_trait::async_trait]
    impl LogDriverKind for Outlet {
        fn name(&self) -> &'static str {
            "outlet"
        }

        fn options(&self) -> &'static [OptionSpec] {
            &[]
        }

        fn validate(&self, _: &Options) -> Result<(), PortError> {
            Ok(())
        }

        fn batching(&self, _: &Options) -> BatchPolicy {
            BatchPolicy::default()
        }

        fn takes_all(&self) -> bool {
            true
        }

        async fn open(&self, _: &LogSource, _: &Options) -> Result<Box<dyn LogDriver>, PortError> {
            Err(PortError::new(Kind::Bug, "it is not opened here"))
        }
    }

    #[test]
    fn a_driver_that_others_wrote_is_told_of_options_that_concern_no_driver_too() {
        let file = FakeKind::new("json-file", ["open", "deliver"], Keeps::Cursor, &Script::default());
        let (outlet, file): (&dyn LogDriverKind, &dyn LogDriverKind) = (&Outlet, Box::leak(Box::new(file)));
        let drivers = FakeCatalogue(vec![outlet, file]);
        let options = |pairs: &[(&str, &str)]| -> Options {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let sinks = |driver: &str, given: &[(&str, &str)]| {
            let mut asked = destinations(driver, &options(given)).unwrap();
            asked.push(Destination::new("daemon-all", "outlet", Streams::Both, &options(&[("a", "b")])));
            sinks_for(&drivers, &asked, &options(given)).unwrap()
        };
        let given =
            [("colour", "red"), ("mode", "non-blocking"), ("cache-max-size", "2m"), ("rate-limit", "5/s")];
        let one = sinks("outlet", &given);
        assert_eq!(one[0].options, options(&given));
        assert_eq!(one[1].options, options(&[("a", "b")]), "the daemon's own");
        assert_eq!(one[2].options.len(), 3, "the copy's own");
        let given = [
            ("drivers", "json-file,x:outlet"),
            ("x.mode", "non-blocking"),
            ("mode", "blocking"),
            ("x.a", "1"),
        ];
        let several = sinks(FANOUT, &given);
        assert_eq!(several[0].options, options(&[]));
        assert_eq!(several[1].options, options(&[("a", "1"), ("mode", "non-blocking")]));
    }

    #[test]
    fn a_copy_has_a_name_of_its_own_where_another_driver_was_given_that_of_its_driver() {
        let kind = |name, keeps| -> &'static dyn LogDriverKind {
            Box::leak(Box::new(FakeKind::new(name, ["open", "deliver"], keeps, &Script::default())))
        };
        let drivers = FakeCatalogue(vec![kind("json-file", Keeps::Cursor), kind("syslog", Keeps::Nothing)]);
        let names = |listed: &str| {
            let options = Options::from([("drivers".to_owned(), listed.to_owned())]);
            let asked = destinations(FANOUT, &options).unwrap();
            let sinks = sinks_for(&drivers, &asked, &options).unwrap();
            sinks.into_iter().map(|s| (s.name, s.kind.name())).collect::<Vec<_>>()
        };
        let copy = ("json-file.copy".to_owned(), "json-file");
        assert_eq!(names("json-file:syslog"), [("json-file".to_owned(), "syslog"), copy]);
        assert_eq!(names("syslog").last().map(|(name, _)| name.as_str()), Some("json-file"));
    }

    #[test]
    fn a_copy_of_one_file_is_not_compressed_however_the_one_is_written() {
        let kind = |name, keeps| -> &'static dyn LogDriverKind {
            Box::leak(Box::new(FakeKind::new(name, ["open", "deliver"], keeps, &Script::default())))
        };
        let drivers = FakeCatalogue(vec![kind("json-file", Keeps::Cursor), kind("syslog", Keeps::Nothing)]);
        let compressed = |files: &str| {
            let options = Options::from([("cache-max-file".to_owned(), files.to_owned())]);
            let sinks = sinks_for(&drivers, &destinations("syslog", &options).unwrap(), &options).unwrap();
            sinks.last().unwrap().options["compress"].clone()
        };
        let found = ["1", "01", "+1", "2", "02"].map(compressed);
        assert_eq!(found, ["false", "false", "false", "true", "true"]);
    }
}
