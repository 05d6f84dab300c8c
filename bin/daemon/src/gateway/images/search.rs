//! `GET /images/search`.

use super::super::query::Query;
use super::super::status::{Answer, Failure};
use super::super::{Shared, json};
use super::pull::credentials;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use contract::image::FoundImage;
use contract::{Kind, PortError};
use std::collections::BTreeMap;

const KNOWN: [&str; 3] = ["is-automated", "is-official", "stars"];

fn invalid(text: String) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// Which of the images found are shown.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    official: Option<bool>,
    stars: i64,
    /// Docker Hub builds nothing automatically any more.
    none: bool,
}

impl Wanted {
    fn new(filters: &BTreeMap<String, Vec<String>>) -> Result<Self, PortError> {
        let flag = |key: &str| -> Result<Option<bool>, PortError> {
            let Some(values) = filters.get(key) else { return Ok(None) };
            let read = |value: &String| match value.as_str() {
                "1" | "true" => Some(true),
                "0" | "false" => Some(false),
                _ => None,
            };
            match values.iter().map(read).collect::<Option<Vec<bool>>>().as_deref() {
                Some([value]) => Ok(Some(*value)),
                _ => Err(invalid(format!("invalid filter '{key}=[{}]'", values.join(" ")))),
            }
        };
        let mut stars = 0;
        for value in filters.get("stars").into_iter().flatten() {
            let number = value.parse::<i64>().map_err(|_| {
                let why = format!("strconv.Atoi: parsing {value:?}: invalid syntax");
                invalid(format!("invalid filter 'stars={value}': {why}"))
            })?;
            stars = stars.max(number);
        }
        Ok(Self { official: flag("is-official")?, stars, none: flag("is-automated")? == Some(true) })
    }

    fn takes(&self, image: &FoundImage) -> bool {
        self.official.is_none_or(|official| official == image.is_official) && image.star_count >= self.stars
    }
}

pub async fn search(State(gateway): State<Shared>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let query = Query::parse(query.as_deref());
    let limit = match query.text("limit") {
        Some(text) => {
            text.parse::<u32>().map_err(|e| invalid(format!("invalid limit specified: {text:?}: {e}")))?
        }
        None => 0,
    };
    let wanted = Wanted::new(&query.filters(&KNOWN)?)?;
    if wanted.none {
        return Ok(json(&Vec::<FoundImage>::new()));
    }
    let term = query.text("term").unwrap_or_default();
    let found = gateway.registries.search(term, limit, credentials(&headers)).await;
    let mut found = found.map_err(|e| Failure::from(e).of_registry())?;
    found.retain(|image| wanted.takes(image));
    found.iter_mut().for_each(|image| image.is_automated = false);
    Ok(json(&found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(filters: &[(&str, &str)]) -> Result<Wanted, String> {
        let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in filters {
            by.entry((*key).to_owned()).or_default().push((*value).to_owned());
        }
        Wanted::new(&by).map_err(|e| e.text)
    }

    #[test]
    fn images_are_chosen_by_stars_and_by_who_made_them() {
        let image = FoundImage { star_count: 5, is_official: true, ..FoundImage::default() };
        for (filters, takes) in [
            (vec![], true),
            (vec![("stars", "5")], true),
            (vec![("stars", "6"), ("stars", "1")], false),
            (vec![("is-official", "true")], true),
            (vec![("is-official", "0")], false),
        ] {
            assert_eq!(wanted(&filters).unwrap().takes(&image), takes, "{filters:?}");
        }
        assert!(wanted(&[("is-automated", "1")]).unwrap().none);
        assert!(wanted(&[("stars", "x")]).unwrap_err().starts_with("invalid filter 'stars=x': "));
        assert_eq!(wanted(&[("is-official", "maybe")]).unwrap_err(), "invalid filter 'is-official=[maybe]'");
    }
}
