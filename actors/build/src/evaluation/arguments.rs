//! Build arguments: who declared them, and what they stand for.

use dockerfile::{Argument, ExpandError, Variables, expand};
use std::collections::{BTreeMap, BTreeSet};

/// Known without being declared, and not part of an image's history unless they are.
const PREDEFINED: [&str; 10] = [
    "ALL_PROXY",
    "FTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// A build's arguments.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    given: BTreeMap<String, Option<String>>,
    /// Those of platforms; a stage has them once it declares them.
    automatic: BTreeMap<String, String>,
    /// Declared before the first `FROM`.
    meta: BTreeMap<String, Option<String>>,
    /// Declared in the stage, with their defaults.
    declared: BTreeMap<String, Option<String>>,
    /// Declared anywhere.
    known: BTreeSet<String>,
}

impl Arguments {
    pub(super) fn new(given: BTreeMap<String, Option<String>>, target: &str, host: &str) -> Self {
        let mut automatic = BTreeMap::new();
        for (prefix, platform) in [("TARGET", target), ("BUILD", host)] {
            let mut parts = platform.splitn(3, '/');
            automatic.insert(format!("{prefix}PLATFORM"), platform.to_owned());
            for name in ["OS", "ARCH", "VARIANT"] {
                let part = parts.next().unwrap_or_default().to_owned();
                automatic.insert(format!("{prefix}{name}"), part);
            }
        }
        Self { given, automatic, ..Self::default() }
    }

    /// `ARG` before the first `FROM`.
    pub(super) fn declare_meta(&mut self, list: Vec<Argument>, escape: char) -> Result<(), ExpandError> {
        let variables = self.meta();
        for Argument { key, value } in expanded(list, escape, &variables)? {
            self.known.insert(key.clone());
            self.meta.insert(key, value);
        }
        Ok(())
    }

    /// `ARG` in a stage; answers its text in the history.
    pub(super) fn declare(
        &mut self,
        list: Vec<Argument>,
        escape: char,
        variables: &Variables,
    ) -> Result<String, ExpandError> {
        let mut text = String::from("ARG");
        for Argument { key, value } in expanded(list, escape, variables)? {
            text = match &value {
                Some(value) => format!("{text} {key}={value}"),
                None => format!("{text} {key}"),
            };
            self.known.insert(key.clone());
            self.declared.insert(key, value);
        }
        Ok(text)
    }

    pub(super) fn end_stage(&mut self) {
        self.declared.clear();
    }

    /// What `FROM` and the `ARG`s before it know.
    pub(super) fn meta(&self) -> Variables {
        let keys = self.meta.keys().chain(self.automatic.keys()).map(String::as_str).chain(PREDEFINED);
        let value = |key| self.value(key, &self.meta).map(|v| format!("{key}={v}"));
        Variables::new(keys.filter_map(value))
    }

    /// `key=value` of the stage's arguments that its environment leaves room for.
    pub(super) fn beside(&self, environment: &[String]) -> Vec<String> {
        let set: BTreeSet<&str> = environment.iter().filter_map(|v| v.split('=').next()).collect();
        let keys: BTreeSet<&str> = self.declared.keys().map(String::as_str).chain(PREDEFINED).collect();
        let value = |key: &&str| self.value(key, &self.declared).map(|v| format!("{key}={v}"));
        keys.difference(&set).filter_map(value).collect()
    }

    /// Whether the argument is part of an image's history.
    pub(super) fn counts(&self, key: &str) -> bool {
        self.declared.contains_key(key) || !PREDEFINED.contains(&key)
    }

    /// The warning about arguments that nobody declared.
    pub(super) fn unused(&self) -> Option<String> {
        let idle = |key: &&String| !PREDEFINED.contains(&key.as_str()) && !self.known.contains(*key);
        let idle: Vec<&str> = self.given.keys().filter(idle).map(String::as_str).collect();
        let text = || format!("[Warning] One or more build-args [{}] were not consumed", idle.join(" "));
        (!idle.is_empty()).then(text)
    }

    /// What is given counts over the default, and that over what was declared before the first `FROM`.
    fn value<'a>(&'a self, key: &str, declared: &'a BTreeMap<String, Option<String>>) -> Option<&'a str> {
        let given = self.given.get(key).and_then(Option::as_deref);
        let default = || declared.get(key).and_then(Option::as_deref);
        let before = || self.meta.get(key).and_then(Option::as_deref);
        let automatic = || self.automatic.get(key).map(String::as_str);
        given.or_else(default).or_else(before).or_else(automatic)
    }
}

fn expanded(list: Vec<Argument>, escape: char, variables: &Variables) -> Result<Vec<Argument>, ExpandError> {
    let word = |text: String| expand(&text, escape, variables);
    let each = |a: Argument| Ok(Argument { key: word(a.key)?, value: a.value.map(word).transpose()? });
    list.into_iter().map(each).collect()
}
