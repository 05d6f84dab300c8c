//! The filters of `network ls`, as a pure choice over what is shown (moby `daemon/network/filter.go`).

use super::invalid;
use super::show::Shown;
use crate::gateway::filter::{Name, label};
use contract::PortError;
use std::collections::BTreeMap;

/// Filters that `GET /networks` knows.
pub const KNOWN: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/// Parsed filters.
#[derive(Debug)]
pub struct Filter {
    by: BTreeMap<String, Vec<String>>,
    names: Option<Vec<Name>>,
    ids: Option<Vec<Name>>,
    dangling: Option<bool>,
}

impl Filter {
    /// Checks the values.
    pub fn new(by: BTreeMap<String, Vec<String>>) -> Result<Self, PortError> {
        let kinds = by.get("type").map(Vec::as_slice).unwrap_or_default();
        if let Some(wrong) = kinds.iter().find(|v| !matches!(v.as_str(), "builtin" | "custom")) {
            return Err(invalid(format!("invalid filter: 'type'='{wrong}'")));
        }
        let dangling = match by.get("dangling").map(Vec::as_slice) {
            None => None,
            Some([one]) => Some(match one.as_str() {
                "1" | "true" => true,
                "0" | "false" => false,
                _ => {
                    return Err(invalid(
                        "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")",
                    ));
                }
            }),
            Some(_) => return Err(invalid("got more than one value for filter key \"dangling\"")),
        };
        let expressions = |key: &str| by.get(key).map(|v| v.iter().map(|text| Name::new(text)).collect());
        Ok(Self { names: expressions("name"), ids: expressions("id"), dangling, by })
    }

    /// Whether a network is wanted.
    pub fn matches(&self, network: &Shown) -> bool {
        let any = |key: &str, test: &dyn Fn(&str) -> bool| {
            self.by.get(key).is_none_or(|values| values.iter().any(|v| test(v)))
        };
        let found = |wanted: &Option<Vec<Name>>, text: &str| {
            wanted.as_ref().is_none_or(|names| names.iter().any(|name| name.is(text)))
        };
        any("driver", &|v| v == network.driver)
            && any("scope", &|v| v == "local")
            && any("type", &|v| (v == "builtin") == network.built_in)
            && found(&self.names, &network.name)
            && found(&self.ids, &network.id)
            && self.by.get("label").is_none_or(|all| all.iter().all(|l| label(l, &network.labels)))
            && self.dangling.is_none_or(|wanted| wanted == (!network.built_in && network.is_empty()))
    }
}

/// Go's reading of a truth value (`strconv.ParseBool`).
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(name: &str, id: &str, built_in: bool, containers: serde_json::Value) -> Shown {
        let labels = BTreeMap::from([("tier".to_owned(), name.to_owned())]);
        let value = json!({ "Containers": containers });
        Shown { id: id.into(), name: name.into(), driver: "bridge".into(), labels, built_in, value }
    }

    fn chosen(by: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        by.iter()
            .for_each(|(key, value)| map.entry((*key).to_owned()).or_default().push((*value).to_owned()));
        let filter = Filter::new(map).map_err(|error| error.text)?;
        let all = [
            shown("bridge", "abc1", true, json!({})),
            shown("web", "abc2", false, json!({ "c": {} })),
            shown("web-two", "def3", false, json!({})),
        ];
        Ok(all.iter().filter(|n| filter.matches(n)).map(|n| n.name.clone()).collect())
    }

    #[test]
    fn names_and_ids_are_expressions_and_values_of_one_key_are_alternatives() {
        assert_eq!(chosen(&[("name", "web")]).unwrap(), ["web", "web-two"]);
        assert_eq!(chosen(&[("name", "^web$"), ("name", "^br")]).unwrap(), ["bridge", "web"]);
        assert_eq!(chosen(&[("id", "abc"), ("type", "custom")]).unwrap(), ["web"]);
        assert_eq!(chosen(&[("dangling", "true")]).unwrap(), ["web-two"]);
        assert_eq!(chosen(&[("dangling", "0")]).unwrap(), ["bridge", "web"]);
        assert_eq!(chosen(&[("label", "tier=web")]).unwrap(), ["web"]);
        assert!(
            chosen(&[("scope", "swarm")]).unwrap().is_empty()
                && chosen(&[("driver", "x")]).unwrap().is_empty()
        );
    }

    #[test]
    fn wrong_values_are_refused_in_dockers_words() {
        assert_eq!(chosen(&[("type", "x")]).unwrap_err(), "invalid filter: 'type'='x'");
        assert!(chosen(&[("dangling", "x")]).unwrap_err().starts_with("invalid value for filter 'dangling'"));
        let twice = chosen(&[("dangling", "1"), ("dangling", "0")]).unwrap_err();
        assert_eq!(twice, "got more than one value for filter key \"dangling\"");
    }
}
