//! What a container and its lines are in OpenTelemetry's terms (semantic conventions for `container.*`, `host.name`,
//! `service.name` and `log.iostream`).

use super::proto::{KeyValue, List, LogRecord, Request, Resource, ResourceLogs, Scope, ScopeLogs, Value};
use crate::template::hostname;
use contract::log::{LogLine, LogSource, Stream};
use std::collections::BTreeMap;

/// Severity numbers of INFO and ERROR, as syslog and gelf tell the outputs apart.
const INFO: (i32, &str) = (9, "INFO");
const ERROR: (i32, &str) = (17, "ERROR");

fn text(key: &str, value: &str) -> Option<KeyValue> {
    (!value.is_empty()).then(|| KeyValue::new(key, Value::Text(value.to_owned())))
}

/// Name and tag of an image reference, without its digest.
fn image(reference: &str) -> (&str, Option<&str>) {
    let bare = reference.split_once('@').map_or(reference, |(bare, _)| bare);
    match bare.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (bare, None),
    }
}

/// Where all lines of `source` come from; `given` wins over what is known here.
pub(super) fn resource(source: &LogSource, given: BTreeMap<String, String>) -> Resource {
    let (name, tag) = image(&source.image_name);
    let known = [
        text("container.id", &source.container_id),
        text("container.name", &source.container_name),
        text("container.image.id", &source.image_id),
        text("container.image.name", name),
        tag.map(|tag| {
            let values = vec![Value::Text(tag.to_owned()).into()];
            KeyValue::new("container.image.tags", Value::List(List { values }))
        }),
        text("container.command_line", &source.command),
        text("host.name", &hostname()),
        text("service.name", &source.container_name),
    ];
    let known = known.into_iter().flatten().filter(|pair| !given.contains_key(&pair.key)).collect::<Vec<_>>();
    let given = given.into_iter().map(|(key, value)| KeyValue::new(key, Value::Text(value)));
    Resource { attributes: known.into_iter().chain(given).collect() }
}

fn record(line: &LogLine) -> LogRecord {
    let ((severity_number, severity_text), output) = match line.stream {
        Stream::Stdout => (INFO, "stdout"),
        Stream::Stderr => (ERROR, "stderr"),
    };
    let body = match std::str::from_utf8(&line.data) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Bytes(line.data.to_vec()),
    };
    let mut attributes = vec![KeyValue::new("log.iostream", Value::Text(output.to_owned()))];
    if let Some(partial) = &line.partial {
        attributes.push(KeyValue::new("log.partial.id", Value::Text(partial.id.clone())));
        attributes.push(KeyValue::new("log.partial.ordinal", Value::Number(partial.ordinal.into())));
        attributes.push(KeyValue::new("log.partial.last", Value::Truth(partial.last)));
    }
    let time = u64::try_from(line.time_ns).unwrap_or_default();
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(body.into()),
        attributes,
    }
}

/// The export of `lines`.
pub(super) fn request(resource: &Resource, lines: &[LogLine]) -> Request {
    let scope = Scope { name: "gantry".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records: lines.iter().map(record).collect() }];
    Request { resource_logs: vec![ResourceLogs { resource: Some(resource.clone()), scope_logs }] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Partial;
    use prost::Message;

    #[test]
    fn an_export_has_the_published_bytes() {
        let line = LogLine { stream: Stream::Stderr, time_ns: 7, data: "x".into(), partial: None };
        let resource = Resource { attributes: vec![KeyValue::new("a", Value::Text("b".into()))] };
        let mut record = b"\x09\x07\0\0\0\0\0\0\0\x10\x11\x1a\x05ERROR\x2a\x03\x0a\x01x".to_vec();
        record.extend_from_slice(b"\x32\x18\x0a\x0clog.iostream\x12\x08\x0a\x06stderr");
        record.extend_from_slice(b"\x59\x07\0\0\0\0\0\0\0");
        let version = env!("CARGO_PKG_VERSION");
        let mut scope = format!("\x0a\x06gantry\x12{}{version}", version.len() as u8 as char).into_bytes();
        scope.splice(0..0, [0x0a, scope.len() as u8]);
        scope.extend([0x12, record.len() as u8]);
        scope.extend(record);
        let mut logs = b"\x0a\x0a\x0a\x08\x0a\x01a\x12\x03\x0a\x01b".to_vec();
        logs.extend([0x12, scope.len() as u8]);
        logs.extend(scope);
        let mut all = vec![0x0a];
        prost::encoding::encode_varint(logs.len() as u64, &mut all);
        all.extend(logs);
        assert_eq!(request(&resource, &[line]).encode_to_vec(), all);
    }

    #[test]
    fn a_container_is_described_by_the_conventions() {
        let source = LogSource {
            container_id: "c".into(),
            container_name: "web".into(),
            image_id: "sha256:1".into(),
            image_name: "r:5000/a/b:1.2@sha256:1".into(),
            command: "sh -c x".into(),
            ..LogSource::default()
        };
        let given = [("service.name".to_owned(), "shop".to_owned()), ("app".to_owned(), "x".to_owned())];
        let found: BTreeMap<String, Option<Value>> = resource(&source, given.into())
            .attributes
            .into_iter()
            .map(|pair| (pair.key, pair.value.and_then(|v| v.value)))
            .collect();
        let is = |key: &str, value: &str| assert_eq!(found[key], Some(Value::Text(value.into())), "{key}");
        is("container.id", "c");
        is("container.name", "web");
        is("container.image.id", "sha256:1");
        is("container.image.name", "r:5000/a/b");
        is("container.command_line", "sh -c x");
        is("service.name", "shop");
        is("app", "x");
        let tags = List { values: vec![Value::Text("1.2".into()).into()] };
        assert_eq!(found["container.image.tags"], Some(Value::List(tags)));
        assert_eq!(image("r:5000/a"), ("r:5000/a", None));
    }

    #[test]
    fn bytes_that_are_no_text_arrive_unharmed_and_pieces_say_so() {
        let partial = Some(Partial { id: "p".into(), ordinal: 2, last: true });
        let line = LogLine { stream: Stream::Stdout, time_ns: 7, data: vec![0xff].into(), partial };
        let record = record(&line);
        assert_eq!(record.body.unwrap().value, Some(Value::Bytes(vec![0xff])));
        let keys: Vec<&str> = record.attributes.iter().map(|a| a.key.as_str()).collect();
        assert_eq!(keys, ["log.iostream", "log.partial.id", "log.partial.ordinal", "log.partial.last"]);
        assert_eq!((record.severity_number, record.severity_text.as_str()), INFO);
    }
}
