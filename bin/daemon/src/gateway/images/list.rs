//! `GET /images/json`.

use super::super::query::Query;
use super::super::status::Answer;
use super::super::{Shared, filter, json, moment, now_ns};
use super::pattern::matches;
use super::show;
use axum::extract::{RawQuery, State};
use contract::image::ImageSummary;
use contract::{Kind, PortError};
use std::collections::BTreeMap;

/// Filters by key.
type Filters = BTreeMap<String, Vec<String>>;

/// What the `before` and `since` images and `dangling` come down to.
#[derive(Default)]
struct Choice {
    filters: Filters,
    before_ns: Option<i64>,
    since_ns: Option<i64>,
    dangling: Option<bool>,
}

fn invalid(text: String) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// Docker's one boolean filter.
pub fn dangling(values: &[String]) -> Result<bool, PortError> {
    match values {
        [one] if matches!(one.as_str(), "1" | "true") => Ok(true),
        [one] if matches!(one.as_str(), "0" | "false") => Ok(false),
        other => Err(invalid(format!("invalid filter 'dangling=[{}]'", other.join(" ")))),
    }
}

impl Choice {
    /// An image's names as far as they are wanted, and whether it is.
    fn keep(&self, image: &mut ImageSummary) -> Result<bool, PortError> {
        if let Some(patterns) = self.filters.get("reference") {
            for names in [&mut image.tags, &mut image.digests] {
                let mut kept = Vec::new();
                for name in names.drain(..) {
                    if referenced(patterns, &name)? {
                        kept.push(name);
                    }
                }
                *names = kept;
            }
            if image.tags.is_empty() && image.digests.is_empty() {
                return Ok(false);
            }
        }
        let labels = self.filters.get("label");
        Ok(labels.is_none_or(|all| all.iter().all(|l| filter::label(l, &image.labels)))
            && self.before_ns.is_none_or(|t| image.created_ns < t)
            && self.since_ns.is_none_or(|t| image.created_ns > t)
            && self.dangling.is_none_or(|d| d == image.tags.is_empty()))
    }
}

/// By the whole name, or by the name without tag and digest.
fn referenced(patterns: &[String], name: &str) -> Result<bool, PortError> {
    let bare = match name.split_once('@') {
        Some((bare, _)) => bare,
        None => name.rsplit_once(':').map_or(name, |(bare, _)| bare),
    };
    for pattern in patterns {
        let fits = |text| matches(pattern, text).ok_or_else(|| invalid("syntax error in pattern".into()));
        if fits(name)? || fits(bare)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes of an image's layers that another image has too.
pub fn shared(image: &ImageSummary, all: &[ImageSummary]) -> u64 {
    let elsewhere = |layer: &String| all.iter().any(|o| o.id != image.id && o.layers.contains(layer));
    image.layers.iter().zip(&image.sizes).filter(|(layer, _)| elsewhere(layer)).map(|(_, size)| size).sum()
}

pub async fn list(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    // `manifests` adds nothing: images are of one platform each.
    let filters = query.filters(&["reference", "dangling", "label", "before", "since", "until"])?;
    let mut choice =
        Choice { dangling: filters.get("dangling").map(|d| dangling(d)).transpose()?, ..Choice::default() };
    for name in filters.get("before").into_iter().flatten() {
        let at = gateway.engine.find_image(name).await?.created_ns;
        choice.before_ns = Some(choice.before_ns.map_or(at, |t| t.min(at)));
    }
    for moment in filters.get("until").into_iter().flatten() {
        let at = moment::parse(moment, now_ns())?;
        choice.before_ns = Some(choice.before_ns.map_or(at, |t| t.min(at)));
    }
    for name in filters.get("since").into_iter().flatten() {
        let at = gateway.engine.find_image(name).await?.created_ns;
        choice.since_ns = Some(choice.since_ns.map_or(at, |t| t.max(at)));
    }
    choice.filters = filters;
    let all = gateway.engine.images().await?;
    let mut lines = Vec::new();
    // One without a name that others were made from is theirs.
    let inner = |i: &ImageSummary| {
        i.tags.is_empty() && i.digests.is_empty() && all.iter().any(|other| other.parent == i.id)
    };
    for mut image in all.iter().filter(|i| query.flag("all") || !inner(i)).cloned() {
        if choice.keep(&mut image)? {
            let size = query.flag("shared-size").then(|| shared(&image, &all));
            lines.push(show::summary(&image, size));
        }
    }
    Ok(json(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(filters: &[(&str, &str)], tags: &[&str]) -> bool {
        let filters: Filters =
            filters.iter().map(|(k, v)| ((*k).to_owned(), vec![(*v).to_owned()])).collect();
        let dangling = filters.get("dangling").map(|d| dangling(d).unwrap());
        let choice = Choice { filters, dangling, ..Choice::default() };
        let tags = tags.iter().map(|t| (*t).to_owned()).collect();
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        choice.keep(&mut ImageSummary { tags, labels, ..ImageSummary::default() }).unwrap()
    }

    #[test]
    fn filters_choose_by_name_label_and_namelessness() {
        assert!(kept(&[("reference", "busy*")], &["busybox:1"]));
        assert!(kept(&[("reference", "l:5000/busybox")], &["l:5000/busybox:1"]));
        assert!(!kept(&[("reference", "busy*")], &["other:1"]));
        assert!(!kept(&[("reference", "*")], &[]));
        assert!(kept(&[("label", "a=1"), ("dangling", "true")], &[]));
        assert!(!kept(&[("dangling", "true")], &["a:1"]));
        assert!(!kept(&[("dangling", "0")], &[]));
        assert!(!kept(&[("label", "a=2")], &["a:1"]));
        assert!(dangling(&["x".into()]).is_err());
    }
}
