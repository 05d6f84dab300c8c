//! The driver's options, checked in Docker's words.

use super::event::TEXT;
use crate::options::{boolean, invalid};
use crate::template::{check, render};
use contract::PortError;
use contract::log::{Join, LogSource, OptionSpec, Options, Pattern, both, datetime_pattern};
use reqwest::Url;
use std::time::Duration;

pub(super) static OPTIONS: [OptionSpec; 13] = [
    OptionSpec { name: "awslogs-region", doc: "region; AWS_REGION, else that of the machine" },
    OptionSpec { name: "awslogs-endpoint", doc: "URL of the service; that of the region" },
    OptionSpec { name: "awslogs-group", doc: "log group, a template" },
    OptionSpec { name: "awslogs-stream", doc: "log stream; the tag" },
    OptionSpec { name: "awslogs-create-group", doc: "make the group if it is missing; false" },
    OptionSpec { name: "awslogs-create-stream", doc: "make the stream if it is missing; true" },
    OptionSpec { name: "awslogs-credentials-endpoint", doc: "path of a task's credentials" },
    OptionSpec { name: DATETIME, doc: "a line with such a date begins an event, in strftime's verbs" },
    OptionSpec { name: PATTERN, doc: "a line that matches begins an event" },
    OptionSpec { name: INTERVAL, doc: "seconds without a line after which an event of several ends; 5" },
    OptionSpec { name: "awslogs-max-buffered-events", doc: "most events taken from the spool at once; 4096" },
    OptionSpec { name: "awslogs-format", doc: "json/emf: events are embedded metrics" },
    OptionSpec { name: "tag", doc: "template of the stream's name; {{.FullID}}" },
];

const DATETIME: &str = "awslogs-datetime-format";
const PATTERN: &str = "awslogs-multiline-pattern";
/// Which line begins an event: one or the other.
pub(crate) const JOINING: [&str; 2] = [DATETIME, PATTERN];
const INTERVAL: &str = "awslogs-force-flush-interval-seconds";

/// Docker's events in memory.
const BUFFERED: usize = 4096;

/// What the options say.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<Url>,
    pub(super) group: String,
    pub(super) stream: String,
    pub(super) create_group: bool,
    pub(super) create_stream: bool,
    pub(super) credentials: Option<String>,
    pub(super) metrics: bool,
}

fn flag(options: &Options, key: &str, or: bool) -> Result<bool, PortError> {
    let given = options.get(key).filter(|text| !text.is_empty());
    given.map_or(Ok(or), |text| {
        boolean(text).map_err(|e| invalid(format!("must specify valid value for log opt '{key}': {e}")))
    })
}

fn positive(options: &Options, key: &str) -> Result<Option<usize>, PortError> {
    let Some(text) = options.get(key).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(invalid(format!("must specify a positive integer for log opt '{key}': {text}"))),
    }
}

/// Most events of one batch.
pub(super) fn buffered(options: &Options) -> Result<usize, PortError> {
    Ok(positive(options, "awslogs-max-buffered-events")?.unwrap_or(BUFFERED))
}

/// Which lines are one event, of at most so many bytes.
pub(super) fn join(options: &Options) -> Result<Option<Join>, PortError> {
    if options.contains_key(DATETIME) && options.contains_key(PATTERN) {
        return Err(both(DATETIME, PATTERN));
    }
    let text = |key: &str| options.get(key).filter(|text| !text.is_empty());
    let timeout = Duration::from_secs(positive(options, INTERVAL)?.unwrap_or(5) as u64);
    let pattern = text(DATETIME).map(|format| datetime_pattern(format)).or_else(|| text(PATTERN).cloned());
    let Some(pattern) = pattern else { return Ok(None) };
    let begins = Pattern::compile(&pattern).map_err(|why| {
        invalid(format!("awslogs could not parse multiline pattern key {pattern:?}: {why}"))
    })?;
    // Docker's bound is the service's, in bytes alone.
    Ok(Some(Join { max_bytes: TEXT, max_lines: usize::MAX, timeout, ..Join::new(begins) }))
}

impl Wanted {
    pub(super) fn parse(source: &LogSource, options: &Options) -> Result<Self, PortError> {
        Self::filled(options, |template| render(template, source, options))
    }

    /// Refuses what is wrong whatever the container.
    pub(super) fn check(options: &Options) -> Result<(), PortError> {
        Self::filled(options, |template| check(template, options).map(|()| String::new())).map(drop)
    }

    fn filled(options: &Options, fill: impl Fn(&str) -> Result<String, String>) -> Result<Self, PortError> {
        let text = |key: &str| options.get(key).filter(|text| !text.is_empty()).cloned();
        let group = text("awslogs-group");
        let group = group.ok_or_else(|| invalid("must specify a value for log opt 'awslogs-group'"))?;
        buffered(options)?;
        let joins = join(options)?.is_some();
        let metrics = match text("awslogs-format").as_deref() {
            None => false,
            Some(format @ "json/emf") if joins => {
                return Err(invalid(format!(
                    "you cannot configure log opt '{DATETIME}' or '{PATTERN}' when log opt 'awslogs-format' is set to '{format}'"
                )));
            }
            Some("json/emf") => true,
            Some(other) => return Err(invalid(format!("unsupported log format '{other}'"))),
        };
        let endpoint = match text("awslogs-endpoint") {
            None => None,
            Some(text) => match Url::parse(&text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
                _ => return Err(invalid(format!("awslogs: invalid awslogs-endpoint {text:?}"))),
            },
        };
        let stream = match text("awslogs-stream") {
            Some(name) => name,
            None => fill(text("tag").as_deref().unwrap_or("{{.FullID}}")).map_err(invalid)?,
        };
        Ok(Self {
            region: text("awslogs-region"),
            endpoint,
            group: fill(&group).map_err(invalid)?,
            stream,
            create_group: flag(options, "awslogs-create-group", false)?,
            create_stream: flag(options, "awslogs-create-stream", true)?,
            credentials: text("awslogs-credentials-endpoint"),
            metrics,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Wanted, String> {
        let options = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let source = LogSource {
            container_id: "0123456789abcdef".into(),
            container_name: "web".into(),
            ..LogSource::default()
        };
        Wanted::parse(&source, &options).map_err(|e| e.chain())
    }

    #[test]
    fn groups_and_streams_are_named_by_options_and_templates() {
        let plain = parse(&[("awslogs-group", "g-{{.Name}}")]).unwrap();
        assert_eq!((plain.group.as_str(), plain.stream.as_str()), ("g-web", "0123456789abcdef"));
        assert_eq!((plain.create_group, plain.create_stream), (false, true));
        let more = [
            ("awslogs-group", "g"),
            ("tag", "{{.ID}}"),
            ("awslogs-create-group", "true"),
            ("awslogs-endpoint", "http://h:1"),
        ];
        let more = parse(&more).unwrap();
        assert_eq!((more.stream.as_str(), more.create_group), ("0123456789ab", true));
        assert_eq!(more.endpoint.unwrap().as_str(), "http://h:1/");
        let named = parse(&[("awslogs-group", "g"), ("tag", "t"), ("awslogs-stream", "s")]).unwrap();
        assert_eq!(named.stream, "s");
    }

    #[test]
    fn templates_that_want_values_are_refused_with_the_container_they_do_not_fit() {
        for (group, tag) in [("g", "{{index (split .Name \"-\") 1}}"), ("{{slice .Name 0 9}}", "t")] {
            let options = [("awslogs-group", group), ("tag", tag)];
            let options: Options = options.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            Wanted::check(&options).unwrap();
            let source = LogSource { container_name: "web".into(), ..LogSource::default() };
            assert!(Wanted::parse(&source, &options).is_err(), "{group} {tag}");
        }
        let never = [("awslogs-group".to_owned(), "{{.Nope}}".to_owned())].into();
        assert!(Wanted::check(&never).is_err());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_in_dockers_words() {
        assert_eq!(parse(&[]).unwrap_err(), "must specify a value for log opt 'awslogs-group'");
        for (key, value, text) in [
            (
                "awslogs-create-group",
                "x",
                "must specify valid value for log opt 'awslogs-create-group': strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
            (
                "awslogs-max-buffered-events",
                "0",
                "must specify a positive integer for log opt 'awslogs-max-buffered-events': 0",
            ),
            (
                "awslogs-force-flush-interval-seconds",
                "1.5",
                "must specify a positive integer for log opt 'awslogs-force-flush-interval-seconds': 1.5",
            ),
            ("awslogs-format", "xml", "unsupported log format 'xml'"),
            (
                "awslogs-multiline-pattern",
                "(",
                "awslogs could not parse multiline pattern key \"(\": unclosed group",
            ),
        ] {
            assert_eq!(parse(&[("awslogs-group", "g"), (key, value)]).unwrap_err(), text);
        }
        let both = [("awslogs-group", "g"), (DATETIME, "%Y"), (PATTERN, "x")];
        assert_eq!(
            parse(&both).unwrap_err(),
            "you cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time"
        );
    }

    #[test]
    fn lines_of_one_event_are_found_by_a_pattern_or_a_date() {
        let of = |pairs: &[(&str, &str)]| {
            let options = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            join(&options).unwrap()
        };
        assert_eq!(of(&[(PATTERN, "")]), None);
        let dated = of(&[(DATETIME, r"\[%b %d, %Y %H:%M:%S\]"), (INTERVAL, "7")]).unwrap();
        assert_eq!((dated.max_bytes, dated.timeout), (TEXT, Duration::from_secs(7)));
        assert!(dated.begins.is_in(b"[Nov 29, 2026 17:00:00] x") && !dated.begins.is_in(b"  at x"));
        assert!(of(&[(PATTERN, r"^\d")]).unwrap().begins.is_in(b"1"));
        let metrics = [("awslogs-group", "g"), ("awslogs-format", "json/emf"), (PATTERN, "x")];
        assert_eq!(
            parse(&metrics).unwrap_err(),
            "you cannot configure log opt 'awslogs-datetime-format' or 'awslogs-multiline-pattern' when log opt \
             'awslogs-format' is set to 'json/emf'"
        );
    }
}
