//! All drivers by name, and the checks before one is used.

use crate::plugin::{Places, Plugins};
use crate::{awslogs, catalogue, find, options};
use async_trait::async_trait;
use contract::log::{
    Catalogue, DAEMONS, Destination, FANOUT, LogDriverKind, Options, Records, both, destinations,
};
use contract::{Kind, PortError};

/// Docker's drivers that gantry has not, and why.
const KNOWN: [(&str, &str); 1] = [("etwlogs", "Event Tracing is there on Windows alone")];

/// The drivers of one daemon: the built-in ones, and its plugins.
#[derive(Default)]
pub struct Drivers {
    plugins: Plugins,
}

impl Drivers {
    /// With plugins found there.
    pub fn new(plugins: Places) -> Self {
        Self { plugins: Plugins::new(plugins) }
    }

    /// Removes what an earlier daemon has left that was killed.
    pub fn sweep(&self) {
        self.plugins.sweep();
    }

    /// Checks a driver's name and all its options, as far as it goes without asking a plugin.
    pub fn check(&self, driver: &str, options: &Options) -> Result<(), PortError> {
        if driver == "none" {
            return Ok(());
        }
        let all = destinations(driver, options);
        // Why delivery cannot be as it was asked for comes first, and what several drivers cannot be last.
        if driver == FANOUT {
            options::check_common(options, driver)?;
            let all = all?;
            if let Some(one) = all.iter().find(|one| one.name.starts_with(DAEMONS)) {
                let name = &one.name;
                let text = format!("logger: {FANOUT}: {name}: names with {DAEMONS} are those of log-sinks");
                return Err(PortError::new(Kind::Invalid, text));
            }
            return self.check_all(&all);
        }
        let all = all?;
        options::check_common(options, driver)?;
        all.iter().try_for_each(|one| self.check_one(one))
    }

    /// Checks several drivers that one container has.
    pub fn check_all(&self, all: &[Destination]) -> Result<(), PortError> {
        for (index, one) in all.iter().enumerate() {
            let told = |e: PortError| PortError::new(e.kind, format!("logger: {}: {}", one.name, e.chain()));
            self.check_one(one).map_err(told)?;
            let file = find(&one.driver).is_some_and(|kind| kind.reader().is_some());
            if file && all.iter().take(index).any(|other| other.driver == one.driver) {
                let text = format!("logger: {}: one container has one {} log", one.name, one.driver);
                return Err(PortError::new(Kind::Invalid, text));
            }
        }
        Ok(())
    }

    fn check_one(&self, one: &Destination) -> Result<(), PortError> {
        let Destination { driver, options, records, .. } = one;
        if let Some((_, why)) = KNOWN.iter().find(|(name, _)| name == driver) {
            let text = format!("gantry does not support the log driver {driver}: {why}");
            return Err(PortError::new(Kind::Unsupported, text));
        }
        let Some(kind) = find(driver) else {
            self.plugins.check(driver)?;
            return Records::check(records).map(drop);
        };
        let own = options.iter().filter(|(k, _)| !options::is_common(k));
        kind.validate(&own.map(|(k, v)| (k.clone(), v.clone())).collect())?;
        // One driver joins lines by options of its own.
        let theirs = awslogs::JOINING.into_iter().find(|key| options.contains_key(*key));
        match (Records::check(records)?.join, theirs) {
            (Some(_), Some(key)) => Err(both("multiline-pattern", key)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Catalogue for Drivers {
    fn find(&self, name: &str) -> Option<&'static dyn LogDriverKind> {
        find(name).or_else(|| self.plugins.kind(name))
    }

    async fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            catalogue().iter().map(|d| d.name()).chain([FANOUT]).map(str::to_owned).collect();
        names.extend(self.plugins.names().await);
        names.sort_unstable();
        names.dedup();
        names
    }

    async fn validate(&self, driver: &str, options: &Options) -> Result<(), PortError> {
        self.check(driver, options)?;
        if driver == "none" {
            return Ok(());
        }
        for one in destinations(driver, options)?.iter().filter(|one| find(&one.driver).is_none()) {
            self.plugins.ask(&one.driver).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(driver: &str, pairs: &[(&str, &str)]) -> String {
        let options = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Drivers::default().check(driver, &options).map_or_else(|e| e.chain(), |()| String::new())
    }

    #[test]
    fn refusals_come_in_dockers_order_with_its_texts() {
        assert_eq!(text("none", &[("mode", "x"), ("nonsense", "1")]), "");
        assert_eq!(text("nope", &[("mode", "x")]), "logger: logging mode not supported: x");
        assert_eq!(
            text("nope", &[("max-buffer-size", "1m")]),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        );
        assert_eq!(
            text("nope", &[("max-buffer-size", "q"), ("mode", "non-blocking")]),
            "error parsing option max-buffer-size: invalid size: 'q'"
        );
        assert_eq!(
            text("fanout", &[("drivers", "syslog"), ("mode", "x")]),
            "logger: logging mode not supported: x"
        );
        assert_eq!(text("nope", &[("cache-disabled", "q")]), "invalid value for option cache-disabled: q");
        assert_eq!(text("syslog", &[("cache-max-size", "0")]), "invalid value for option cache-max-size: 0");
        assert_eq!(
            text("syslog", &[("cache-labels", "a")]),
            "unknown log opt 'cache-labels' for syslog log driver"
        );
        assert_eq!(text("nope", &[]), "error looking up logging plugin nope: plugin \"nope\" not found");
        assert!(text("etwlogs", &[]).starts_with("gantry does not support the log driver etwlogs: "));
        assert_eq!(text("gcplogs", &[("tag", "1")]), "\"tag\" is not a valid option for the gcplogs driver");
        assert_eq!(text("json-file", &[("x", "1")]), "unknown log opt 'x' for json-file log driver");
        assert_eq!(text("syslog", &[("x", "1")]), "unknown log opt 'x' for syslog log driver");
        assert_eq!(
            text("json-file", &[("compress", "true"), ("max-file", "3")]),
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        );
        assert_eq!(text("json-file", &[("max-size", "0")]), "max-size must be a positive number");
        assert_eq!(text("json-file", &[("max-file", "0")]), "max-file cannot be less than 1");
        assert_eq!(
            text("local", &[("max-file", "1")]),
            "compression cannot be enabled when max file count is 1"
        );
        assert_eq!(text("json-file", &[("max-size", "10k"), ("max-file", "3"), ("compress", "true")]), "");
        assert_eq!(text("syslog", &[("syslog-address", "ftp://x")]), "unsupported scheme: 'ftp'");
        assert_eq!(text("syslog", &[("syslog-facility", "24")]), "invalid syslog facility");
        assert_eq!(text("syslog", &[("syslog-format", "x")]), "Invalid syslog format");
        assert_eq!(
            text("local", &[("rate-limit-burst", "5")]),
            "log opt 'rate-limit-burst' needs 'rate-limit'"
        );
        assert_eq!(
            text("syslog", &[("multiline-datetime-format", "%Q")]),
            "invalid value for option multiline-datetime-format: %Q: %Q stands for no part of a date"
        );
        let twice = [("awslogs-group", "g"), ("multiline-pattern", "x"), ("awslogs-datetime-format", "%Y")];
        assert_eq!(
            text("awslogs", &twice),
            "you cannot configure log opt 'multiline-pattern' and 'awslogs-datetime-format' at the same time"
        );
        assert_eq!(
            text("fanout", &[("drivers", "local,daemon-audit:syslog")]),
            "logger: fanout: daemon-audit: names with daemon- are those of log-sinks"
        );
        let several = [("drivers", "local,b:syslog"), ("b.max-line-size", "1")];
        assert_eq!(
            text("fanout", &several),
            "logger: b: invalid value for option max-line-size: 1: a size between 1k and 512k is wanted"
        );
    }
}
