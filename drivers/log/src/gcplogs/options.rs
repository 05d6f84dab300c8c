//! The driver's options: Docker's, and where the service is.

use crate::http::{Greeting, Settings};
use crate::options::{METADATA, invalid};
use crate::tls::Identity;
use contract::PortError;
use contract::log::{OptionSpec, Options};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use std::time::Duration;

pub(super) static OPTIONS: [OptionSpec; 10] = {
    let [labels, labels_regex, env, env_regex, _tag] = METADATA;
    [
        OptionSpec { name: "gcp-project", doc: "project to log to; that of the machine" },
        OptionSpec { name: "gcp-log-cmd", doc: "true: entries have the container's command; false" },
        OptionSpec { name: "gcp-meta-zone", doc: "zone in each entry; that of the machine" },
        OptionSpec { name: "gcp-meta-name", doc: "instance name in each entry; that of the machine" },
        OptionSpec { name: "gcp-meta-id", doc: "instance id in each entry; that of the machine" },
        OptionSpec { name: ENDPOINT, doc: "URL of the service; https://logging.googleapis.com" },
        labels,
        labels_regex,
        env,
        env_regex,
    ]
};

const ENDPOINT: &str = "gcp-endpoint";
const SERVICE: &str = "https://logging.googleapis.com";
/// Most time one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the options say; empty values count as none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) project: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) name: Option<String>,
    pub(super) id: Option<String>,
}

impl Wanted {
    pub(super) fn parse(options: &Options) -> Result<Self, PortError> {
        let text = |key: &str| options.get(key).filter(|text| !text.is_empty()).cloned();
        let project = text("gcp-project");
        // The service would refuse each line for it.
        let fits = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
        if let Some(wrong) = project.as_ref().filter(|text| !text.chars().all(fits)) {
            return Err(invalid(format!("gcplogs: invalid gcp-project {wrong:?}")));
        }
        Ok(Self {
            project,
            zone: text("gcp-meta-zone"),
            name: text("gcp-meta-name"),
            id: text("gcp-meta-id"),
        })
    }

    /// Whether nothing is left to ask the machine for.
    pub(super) fn is_complete(&self) -> bool {
        [&self.project, &self.zone, &self.name, &self.id].into_iter().all(Option::is_some)
    }
}

/// Where entries go.
pub(super) fn settings(options: &Options) -> Result<Settings, PortError> {
    let text = options.get(ENDPOINT).filter(|text| !text.is_empty()).map_or(SERVICE, String::as_str);
    let mut url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        _ => return Err(invalid(format!("gcplogs: invalid {ENDPOINT} {text:?}"))),
    };
    let path = format!("{}/v2/entries:write", url.path().trim_end_matches('/'));
    url.set_path(&path);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Settings {
        url,
        headers,
        identity: Identity::default(),
        timeout: TIMEOUT,
        proxy: None,
        greeting: Greeting::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn requests_go_to_the_path_of_the_call_below_the_endpoint() {
        for (text, wanted) in [
            ("", "https://logging.googleapis.com/v2/entries:write"),
            ("http://h:1", "http://h:1/v2/entries:write"),
            ("http://h/below/", "http://h/below/v2/entries:write"),
        ] {
            assert_eq!(settings(&given(&[(ENDPOINT, text)])).unwrap().url.as_str(), wanted);
        }
        let wrong = settings(&given(&[(ENDPOINT, "h:1")])).map(drop).unwrap_err();
        assert_eq!(wrong.chain(), "gcplogs: invalid gcp-endpoint \"h:1\"");
    }

    #[test]
    fn a_project_that_cannot_be_one_is_refused_before_it_costs_lines() {
        for fine in ["p-1", "example.com:p", "123456789"] {
            let wanted = Wanted::parse(&given(&[("gcp-project", fine)])).unwrap();
            assert_eq!(wanted.project.as_deref(), Some(fine));
        }
        let wrong = Wanted::parse(&given(&[("gcp-project", "a/b")])).unwrap_err();
        assert_eq!(wrong.chain(), "gcplogs: invalid gcp-project \"a/b\"");
    }

    #[test]
    fn the_machine_is_asked_for_what_is_not_given() {
        let empty = given(&[("gcp-project", ""), ("gcp-meta-id", "")]);
        assert_eq!(Wanted::parse(&empty).unwrap(), Wanted::default());
        let mut pairs =
            vec![("gcp-project", "p"), ("gcp-meta-zone", "z"), ("gcp-meta-name", "n"), ("gcp-meta-id", "1")];
        assert!(Wanted::parse(&given(&pairs)).unwrap().is_complete());
        pairs.pop();
        assert!(!Wanted::parse(&given(&pairs)).unwrap().is_complete());
    }
}
