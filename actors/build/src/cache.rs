//! Steps that were carried out before.

use contract::image::ImageSummary;
use serde_json::{Map, Value};

/// Docker's `container.Config`.
type Config = Map<String, Value>;

/// What of a configuration tells steps apart, as in moby's `image/cache`: not the names of image and host.
const LISTS: [&str; 5] = ["Env", "OnBuild", "Cmd", "Entrypoint", "Shell"];
const MAPS: [&str; 3] = ["ExposedPorts", "Volumes", "Labels"];
const TEXTS: [&str; 3] = ["User", "WorkingDir", "StopSignal"];

/// Whether two steps are the same.
fn same(a: &Config, b: &Config) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let of = |config: &Config, key: &str| config.get(key).filter(|v| !is_empty(v)).cloned();
    let keys = LISTS.iter().chain(&MAPS).chain(&TEXTS).chain(&["Healthcheck"]);
    keys.into_iter().all(|key| of(a, key) == of(b, key))
}

/// The latest of these images that was made by this step.
pub fn made_by<'a>(children: &'a [ImageSummary], config: &Config) -> Option<&'a ImageSummary> {
    let made = |image: &&ImageSummary| {
        image.config.get("container_config").and_then(Value::as_object).is_some_and(|own| same(own, config))
    };
    children.iter().filter(made).max_by_key(|image| image.created_ns)
}

/// What of an image of `--cache-from` is a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The layer it added.
    pub layer: Option<String>,
    /// When it was made.
    pub created: Option<String>,
    /// It was the last one: the image itself is its outcome.
    pub is_last: bool,
}

/// The step that an image has next after its parent, if it has that parent and the step is this one.
pub fn next_of(source: &ImageSummary, parent: Option<&ImageSummary>, config: &Config) -> Option<Part> {
    let history = |image: &ImageSummary| -> Vec<Value> {
        image.config.get("history").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let (own, below) = (history(source), parent.map(&history).unwrap_or_default());
    let layers = parent.map(|p| p.layers.as_slice()).unwrap_or_default();
    if !own.starts_with(&below) || !source.layers.starts_with(layers) {
        return None;
    }
    let step = own.get(below.len())?;
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    let command = config.get("Cmd").and_then(Value::as_array).into_iter().flatten();
    let command: Vec<&str> = command.filter_map(Value::as_str).collect();
    if text("created_by") != Some(&command.join(" ")) {
        return None;
    }
    let is_empty = |step: &Value| step.get("empty_layer").and_then(Value::as_bool) == Some(true);
    let before = own.iter().take(below.len()).filter(|s| !is_empty(s)).count();
    let layer = if is_empty(step) { None } else { Some(source.layers.get(before)?.clone()) };
    let is_last = own.len() == below.len() + 1;
    Some(Part { layer, created: text("created").map(str::to_owned), is_last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: Value) -> Config {
        value.as_object().cloned().unwrap()
    }

    fn image(id: &str, created_ns: i64, config: Value) -> ImageSummary {
        ImageSummary { id: id.into(), created_ns, config, ..ImageSummary::default() }
    }

    #[test]
    fn the_latest_of_equal_steps_is_taken_whatever_image_they_ran_on() {
        let step = json!({ "Cmd": ["sh", "-c", "x"], "Env": ["A=1"], "Image": "sha256:1", "Labels": {} });
        let children = [
            image("old", 1, json!({ "container_config": step })),
            image("new", 2, json!({ "container_config": step })),
            image("other", 3, json!({ "container_config": { "Cmd": ["sh", "-c", "y"], "Env": ["A=1"] } })),
        ];
        let asked = config(json!({ "Cmd": ["sh", "-c", "x"], "Env": ["A=1"], "Image": "sha256:2" }));
        assert_eq!(made_by(&children, &asked).unwrap().id, "new");
        let other = config(json!({ "Cmd": ["sh", "-c", "x"], "Env": ["A=2"] }));
        assert!(made_by(&children, &other).is_none());
    }

    #[test]
    fn an_images_history_is_followed_from_its_base() {
        let base = json!([{ "created_by": "base" }]);
        let whole = json!([
            { "created_by": "base" },
            { "created_by": "ENV", "empty_layer": true, "created": "2020-01-01T00:00:00Z" },
            { "created_by": "sh -c x" },
        ]);
        let mut parent = image("p", 0, json!({ "history": base }));
        parent.layers = vec!["a".into()];
        let mut source = image("s", 0, json!({ "history": whole }));
        source.layers = vec!["a".into(), "b".into()];
        let env = config(json!({ "Cmd": ["ENV"] }));
        let part = next_of(&source, Some(&parent), &env).unwrap();
        let created = Some("2020-01-01T00:00:00Z".to_owned());
        assert_eq!(part, Part { layer: None, created, is_last: false });
        parent.config = json!({ "history": [whole[0], whole[1]] });
        let run = config(json!({ "Cmd": ["sh", "-c", "x"] }));
        let part = next_of(&source, Some(&parent), &run).unwrap();
        assert_eq!(part, Part { layer: Some("b".into()), created: None, is_last: true });
        parent.layers = vec!["c".into()];
        assert!(next_of(&source, Some(&parent), &run).is_none());
    }
}
