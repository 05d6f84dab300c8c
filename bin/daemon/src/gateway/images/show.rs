//! Images as the API shows them.

use super::super::render::time;
use super::super::version::ApiMinor;
use contract::image::ImageSummary;
use contract::{Kind, PortError};
use serde_json::{Map, Value, json};

const SECOND: i64 = 1_000_000_000;

/// What an image's configuration says of containers (Docker's image specification); other keys are none of the API's.
const CONFIG: [&str; 13] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
];

/// A line of `GET /images/json`.
pub fn summary(image: &ImageSummary, shared_size: Option<u64>) -> Value {
    json!({
        "Containers": -1, "Created": image.created_ns.div_euclid(SECOND), "Id": image.id,
        "Labels": image.config.pointer("/config/Labels"), "ParentId": image.parent, "RepoDigests": image.digests,
        "RepoTags": image.tags, "SharedSize": shared_size.map_or(Value::from(-1), Value::from), "Size": image.size,
    })
}

fn text<'a>(image: &'a ImageSummary, key: &str) -> &'a str {
    image.config.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn past(image: &ImageSummary) -> &[Value] {
    image.config.get("history").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// `GET /images/{name}/json`.
pub fn inspect(image: &ImageSummary, ApiMinor(minor): ApiMinor) -> Value {
    let last = past(image).last().and_then(|h| h.get("comment")).and_then(Value::as_str);
    let comment = Some(text(image, "comment")).filter(|c| !c.is_empty()).or(last).unwrap_or_default();
    let empty = |v: &Value| match v {
        Value::Null | Value::Bool(false) => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    };
    let config = image.config.get("config").and_then(Value::as_object);
    let of = |key: &&str| config?.get(*key).filter(|v| !empty(v)).map(|v| ((*key).to_owned(), v.clone()));
    let config: Map<String, Value> = CONFIG.iter().filter_map(of).collect();
    let created =
        if image.created_ns == 0 { text(image, "created").to_owned() } else { time(image.created_ns) };
    let mut out = json!({
        "Id": image.id, "RepoTags": image.tags, "RepoDigests": image.digests, "Parent": image.parent, "Comment": comment,
        "Created": created, "DockerVersion": text(image, "docker_version"), "Author": text(image, "author"),
        "Config": config, "Architecture": text(image, "architecture"), "Os": text(image, "os"), "Size": image.size,
        "GraphDriver": { "Data": graph(image), "Name": "overlay2" },
        "RootFS": { "Type": "layers", "Layers": image.layers },
        "Metadata": { "LastTagTime": time(image.tagged_ns) },
    });
    if let Some(map) = out.as_object_mut() {
        for (key, from) in [("Variant", "variant"), ("OsVersion", "os.version"), ("Container", "container")] {
            if !text(image, from).is_empty() {
                map.insert(key.into(), text(image, from).into());
            }
        }
        match image.config.get("container_config").filter(|c| c.is_object()) {
            Some(config) => drop(map.insert("ContainerConfig".into(), config.clone())),
            // Older clients count on it, docker-compose 1 among them.
            None if minor < 45 => drop(map.insert("ContainerConfig".into(), json!({}))),
            None => {}
        }
    }
    out
}

/// Where the layers are. Nothing is ever mounted there, so what only a mount has is left out.
fn graph(image: &ImageSummary) -> Value {
    let mut paths = image.folders.iter().rev().map(|f| f.to_string_lossy().into_owned());
    let mut out = Map::new();
    if let Some(top) = paths.next() {
        out.insert("UpperDir".into(), top.into());
    }
    let lower = paths.collect::<Vec<_>>().join(":");
    if !lower.is_empty() {
        out.insert("LowerDir".into(), lower.into());
    }
    out.into()
}

/// `GET /images/{name}/history`, newest first. `parents` are the images that this one was made from here, nearest first.
pub fn history(image: &ImageSummary, parents: &[ImageSummary]) -> Result<Vec<Value>, PortError> {
    let mut sizes = image.sizes.iter();
    let mut steps = Vec::new();
    for step in past(image) {
        let empty = step.get("empty_layer").and_then(Value::as_bool) == Some(true);
        let missing = || PortError::new(Kind::Bug, "too many non-empty layers in History section");
        steps.push((step, if empty { 0 } else { *sizes.next().ok_or_else(missing)? }));
    }
    // The newest steps are the image's and its parents', one each; of older ones nobody knows the image.
    let known = std::iter::once(image).chain(parents).map(Some).chain(std::iter::repeat(None));
    let line = |((step, size), of): (&(&Value, u64), Option<&ImageSummary>)| {
        let field = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default();
        let created = field("created").parse::<jiff::Timestamp>().map_or(0, |t| t.as_second());
        let tags = of.map(|image| &image.tags).filter(|tags| !tags.is_empty());
        json!({
            "Comment": field("comment"), "Created": created, "CreatedBy": field("created_by"),
            "Id": of.map_or("<missing>", |image| &image.id), "Size": size, "Tags": tags,
        })
    };
    Ok(steps.iter().rev().zip(known).map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_gives_each_step_the_size_of_its_layer() {
        let step = |by: &str, empty: bool| json!({"created": "1970-01-01T00:00:01Z", "created_by": by, "empty_layer": empty});
        let mut image = ImageSummary {
            id: "sha256:aa".into(),
            config: json!({"history": [step("a", false), step("b", true), step("c", false)]}),
            sizes: vec![5, 7],
            ..ImageSummary::default()
        };
        let parent =
            ImageSummary { id: "sha256:bb".into(), tags: vec!["b:1".into()], ..ImageSummary::default() };
        let shown = history(&image, &[parent]).unwrap();
        assert_eq!((&shown[1]["Tags"], &shown[2]["Tags"]), (&json!(["b:1"]), &Value::Null));
        let sizes: Vec<_> =
            shown.iter().map(|s| (s["Id"].as_str().unwrap(), s["Size"].as_u64().unwrap())).collect();
        assert_eq!(sizes, [("sha256:aa", 7), ("sha256:bb", 0), ("<missing>", 5)]);
        image.sizes.pop();
        assert!(history(&image, &[]).is_err());
    }
}
