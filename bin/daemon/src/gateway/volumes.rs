//! `/volumes`.

use super::containers::body_json;
use super::filter::label;
use super::query::Query;
use super::status::{Answer, Failure};
use super::version::ApiMinor;
use super::{Shared, empty, json, status_json};
use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::StatusCode;
use contract::volume::{LOCAL, Volume, VolumeWish};
use contract::{Kind, PortError};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::collections::BTreeMap;

/// From here on `prune` takes only anonymous volumes unless it is told otherwise.
const ANONYMOUS_ONLY: u32 = 42;

/// The body of a create; what is absent and what is `null` are the same.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Wish {
    name: Option<String>,
    driver: Option<String>,
    driver_opts: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    cluster_volume_spec: Option<Value>,
}

/// A volume as the API words it.
pub fn render(volume: &Volume) -> Value {
    let seconds = jiff::Timestamp::from_second(volume.created_ns.div_euclid(1_000_000_000));
    object!({
        "CreatedAt": seconds.map_or_else(|_| String::new(), |t| t.to_string()), "Driver": LOCAL,
        "Labels": volume.labels, "Mountpoint": volume.mountpoint, "Name": volume.name, "Options": volume.options,
        "Scope": "local",
    })
}

pub async fn create(State(gateway): State<Shared>, request: Request) -> Answer {
    let body = body_json(request).await?;
    let wish: Wish = serde_json::from_value(body)
        .map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("invalid JSON: {e}")))?;
    if wish.cluster_volume_spec.is_some() {
        return Err(super::create::unsupported("cluster volumes").into());
    }
    let wish = VolumeWish {
        name: wish.name.unwrap_or_default(),
        driver: wish.driver.unwrap_or_default(),
        options: wish.driver_opts,
        labels: wish.labels,
    };
    Ok(status_json(StatusCode::CREATED, &render(&gateway.engine.create_volume(wish).await?)))
}

pub async fn inspect(State(gateway): State<Shared>, Path(name): Path<String>) -> Answer {
    Ok(json(&render(&gateway.engine.volume(&name).await?)))
}

pub async fn list(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = query.filters(&["dangling", "name", "driver", "label"])?;
    let dangling = truth(&filters, "dangling")?;
    let mut all = gateway.engine.volumes().await?;
    all.retain(|(volume, users)| {
        matches(volume, &filters) && dangling.is_none_or(|wanted| (*users == 0) == wanted)
    });
    let volumes: Vec<Value> = all.iter().map(|(volume, _)| render(volume)).collect();
    Ok(json(&object!({ "Volumes": volumes, "Warnings": null })))
}

pub async fn remove(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    gateway.engine.remove_volume(&name, query.flag("force")).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn prune(
    State(gateway): State<Shared>,
    Extension(ApiMinor(minor)): Extension<ApiMinor>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = query.filters(&["label", "label!", "all"])?;
    let all = truth(&filters, "all")?.unwrap_or_default() || minor < ANONYMOUS_ONLY;
    let chosen = move |volume: &Volume| (all || volume.is_anonymous()) && matches(volume, &filters);
    let (removed, reclaimed) = gateway.engine.prune_volumes(Box::new(chosen)).await?;
    Ok(json(&object!({ "VolumesDeleted": removed, "SpaceReclaimed": reclaimed })))
}

/// A filter that is true or false (Go's `strconv.ParseBool`).
fn truth(filters: &BTreeMap<String, Vec<String>>, key: &str) -> Result<Option<bool>, PortError> {
    let Some(values) = filters.get(key) else { return Ok(None) };
    match values.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(None),
        ["1" | "t" | "T" | "true" | "TRUE" | "True"] => Ok(Some(true)),
        ["0" | "f" | "F" | "false" | "FALSE" | "False"] => Ok(Some(false)),
        values => {
            let text = format!("invalid filter '{key}=[{}]'", values.join(" "));
            Err(PortError::new(Kind::Invalid, text))
        }
    }
}

/// Names by text or pattern, drivers by text, labels all of them.
fn matches(volume: &Volume, filters: &BTreeMap<String, Vec<String>>) -> bool {
    let none = BTreeMap::new();
    let labels = volume.labels.as_ref().unwrap_or(&none);
    let any = |key: &str, test: &dyn Fn(&str) -> bool| match filters.get(key) {
        None => true,
        Some(values) => values.is_empty() || values.iter().any(|v| test(v)),
    };
    let listed = |key: &str| filters.get(key).map_or(&[][..], Vec::as_slice).iter();
    any("name", &|v| volume.name == v || Regex::new(v).is_ok_and(|r| r.is_match(&volume.name)))
        && any("driver", &|v| v == LOCAL)
        && listed("label").all(|l| label(l, labels))
        && !listed("label!").any(|l| label(l, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(key: &str, value: &str) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(key.to_owned(), vec![value.to_owned()])])
    }

    #[test]
    fn volumes_are_chosen_by_name_pattern_and_labels() {
        let labels = Some(BTreeMap::from([("app".to_owned(), "web".to_owned())]));
        let volume = Volume { name: "web_data".into(), labels, ..Volume::default() };
        for (key, value, wanted) in [
            ("name", "data", true),
            ("name", "^data", false),
            ("name", "(", false),
            ("driver", "local", true),
            ("driver", "nfs", false),
            ("label", "app", true),
            ("label", "app=db", false),
            ("label!", "app=web", false),
            ("label!", "other", true),
        ] {
            assert_eq!(matches(&volume, &by(key, value)), wanted, "{key}={value}");
        }
    }

    #[test]
    fn truth_is_what_go_takes_for_it() {
        assert_eq!(truth(&by("dangling", "1"), "dangling").unwrap(), Some(true));
        assert_eq!(truth(&by("all", "false"), "dangling").unwrap(), None);
        assert_eq!(truth(&by("all", "perhaps"), "all").unwrap_err().text, "invalid filter 'all=[perhaps]'");
    }
}
