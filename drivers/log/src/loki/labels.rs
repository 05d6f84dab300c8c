//! The labels of a container's streams, chosen as Grafana's Docker driver chooses them.

use crate::attrs::attributes;
use crate::options::invalid;
use crate::template::{check, hostname, render};
use contract::PortError;
use contract::log::{LogSource, Options};
use std::collections::BTreeMap;

/// Docker labels that are always taken, under these names.
const TAKEN: [(&str, &str); 4] = [
    ("com.docker.swarm.service.name", "swarm_service"),
    ("com.docker.stack.namespace", "swarm_stack"),
    ("com.docker.compose.service", "compose_service"),
    ("com.docker.compose.project", "compose_project"),
];
const EXTERNAL: &str = "container_name={{.Name}}";

/// The labels of every line, without the one for its output.
pub(super) fn labels(source: &LogSource, options: &Options) -> Result<BTreeMap<String, String>, PortError> {
    let mut out = external(options, |template| render(template, source, options))?;
    let mut chosen = attributes(source, options)?;
    chosen.remove("tag");
    out.extend(chosen.into_iter().map(|(name, value)| (clean(&name), value)));
    for (label, name) in TAKEN {
        if let Some(value) = source.labels.get(label) {
            out.insert(name.to_owned(), value.clone());
        }
    }
    out.insert("host".to_owned(), hostname());
    // To Loki, an empty label is none.
    out.retain(|_, value| !value.is_empty());
    Ok(out)
}

/// Refuses external labels that are wrong whatever the container.
pub(super) fn check_external(options: &Options) -> Result<(), PortError> {
    external(options, |template| check(template, options).map(|()| String::new())).map(drop)
}

fn external(
    options: &Options,
    fill: impl Fn(&str) -> Result<String, String>,
) -> Result<BTreeMap<String, String>, PortError> {
    let mut out = BTreeMap::new();
    let external = options.get("loki-external-labels").map_or(EXTERNAL, String::as_str);
    for pair in external.split(',') {
        let (name, template) = match pair.split_once('=') {
            Some((name, template)) if !template.contains('=') => (name, template),
            _ => return Err(invalid(format!("loki: invalid external labels: {external}"))),
        };
        if name.is_empty() || clean(name) != name {
            return Err(invalid(format!("loki: invalid external label name: {name}")));
        }
        let value = fill(template)
            .map_err(|e| invalid(format!("loki: could not expand label value: {template} err : {e}")))?;
        out.insert(name.to_owned(), value);
    }
    Ok(out)
}

/// A name as Loki takes it: letters, digits that are not first, underscores.
fn clean(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    out
}

/// `{a="1", b="2"}`, as Prometheus writes them.
pub(super) fn selector(labels: &BTreeMap<String, String>, stream: &str) -> String {
    let mut all: BTreeMap<&str, &str> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    all.insert("source", stream);
    let pairs: Vec<String> = all.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A Go string literal.
fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> LogSource {
        LogSource {
            container_id: "0123456789abcdef".into(),
            container_name: "web".into(),
            image_name: "busybox".into(),
            labels: [
                ("com.docker.compose.service".to_owned(), "front".to_owned()),
                ("my.app-name".to_owned(), "say \"hi\"\n".to_owned()),
            ]
            .into(),
            env: vec!["1ST=x".into(), "EMPTY=".into()],
            ..LogSource::default()
        }
    }

    fn of(pairs: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
        let options = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        labels(&source(), &options).map_err(|e| e.chain())
    }

    #[test]
    fn streams_are_labelled_as_by_grafanas_driver() {
        let host = hostname();
        let plain = of(&[]).unwrap();
        let wanted =
            format!(r#"{{compose_service="front", container_name="web", host="{host}", source="stderr"}}"#);
        assert_eq!(selector(&plain, "stderr"), wanted);
        let chosen = of(&[
            ("labels", "my.app-name"),
            ("env", "1ST,EMPTY"),
            ("loki-external-labels", "job=docker,image={{.ImageName}}"),
        ]);
        let wanted = format!(
            r#"{{_1ST="x", compose_service="front", host="{host}", image="busybox", job="docker", my_app_name="say \"hi\"\n", source="stdout"}}"#
        );
        assert_eq!(selector(&chosen.unwrap(), "stdout"), wanted);
    }

    #[test]
    fn wrong_labels_are_refused_in_its_words() {
        for (external, text) in [
            ("", "loki: invalid external labels: "),
            ("a", "loki: invalid external labels: a"),
            ("a=b=c", "loki: invalid external labels: a=b=c"),
            ("a-b=c", "loki: invalid external label name: a-b"),
            ("=c", "loki: invalid external label name: "),
        ] {
            assert_eq!(of(&[("loki-external-labels", external)]), Err(text.into()));
        }
        let short = [("loki-external-labels", "a={{slice .Name 0 6}}")];
        let options: Options = short.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert!(check_external(&options).is_ok() && of(&short).is_err(), "a name that is too short");
        let template = of(&[("loki-external-labels", "a={{.Nope}}")]).unwrap_err();
        assert!(template.starts_with("loki: could not expand label value: {{.Nope}} err : "), "{template}");
    }
}
