//! Build arguments: which an instruction sees, and which the cache goes by.

use dockerfile::Argument;
use std::collections::{BTreeMap, BTreeSet};

/// Arguments that need no declaration and leave no trace in the history unless they are declared (moby
/// `builtinAllowedBuildArgs`).
const BUILT_IN: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

type Declared = BTreeMap<String, Option<String>>;

/// The arguments of a build as one stage sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    given: Declared,
    meta: Declared,
    own: Declared,
    seen: BTreeSet<String>,
    /// `TARGETPLATFORM` and such: `FROM` knows them, a stage once it declares them.
    automatic: BTreeMap<String, String>,
}

impl Arguments {
    /// Nothing is declared yet.
    pub fn new(given: &Declared) -> Self {
        Self { given: given.clone(), ..Self::default() }
    }

    /// With what is built for (`os/arch[/variant]`; parts left out, or all of it, are this machine's) and built on.
    #[must_use]
    pub fn on(mut self, target: &str) -> Self {
        let host = ["linux", architecture(), ""];
        let asked: Vec<&str> = target.split('/').filter(|p| !p.is_empty()).collect();
        let target = match asked.as_slice() {
            [] | ["linux"] => host,
            [architecture] => ["linux", architecture, ""],
            [os, architecture, rest @ ..] => [os, architecture, rest.first().copied().unwrap_or("")],
        };
        for (prefix, parts) in [("TARGET", target), ("BUILD", host)] {
            let whole = parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/");
            self.automatic.insert(format!("{prefix}PLATFORM"), whole);
            for (name, part) in ["OS", "ARCH", "VARIANT"].into_iter().zip(parts) {
                self.automatic.insert(format!("{prefix}{name}"), part.to_owned());
            }
        }
        self
    }

    /// Declares one before the first stage.
    pub fn declare_meta(&mut self, argument: &Argument) {
        self.declare(argument);
        self.meta.insert(argument.key.clone(), argument.value.clone());
    }

    /// Declares one.
    pub fn declare(&mut self, argument: &Argument) {
        self.own.insert(argument.key.clone(), argument.value.clone());
        self.seen.insert(argument.key.clone());
    }

    /// What a new stage sees.
    pub fn stage(&self) -> Self {
        Self { own: Declared::new(), ..self.clone() }
    }

    /// A stage is over: what it declared counts as used.
    pub fn merge(&mut self, stage: &Self) {
        self.seen.extend(stage.seen.iter().cloned());
    }

    fn value(&self, key: &str, among: &Declared) -> Option<String> {
        if let Some(Some(given)) = self.given.get(key) {
            return Some(given.clone());
        }
        among.get(key).cloned().flatten().or_else(|| {
            // A declaration without a default takes that of before the first stage.
            let before = || self.meta.get(key).cloned().flatten();
            let declared = among.contains_key(key);
            declared.then(|| before().or_else(|| self.automatic.get(key).cloned())).flatten()
        })
    }

    fn all(&self, among: &Declared) -> BTreeMap<String, String> {
        let keys = among.keys().map(String::as_str).chain(BUILT_IN);
        keys.filter_map(|key| Some((key.to_owned(), self.value(key, among)?))).collect()
    }

    /// `key=value` for `FROM`.
    pub fn of_from(&self) -> Vec<String> {
        self.with_automatic(&self.meta)
    }

    /// `key=value` for the instructions before the first stage.
    pub fn of_meta(&self) -> Vec<String> {
        self.with_automatic(&self.own)
    }

    fn with_automatic(&self, among: &Declared) -> Vec<String> {
        let given = |(key, value): (&String, &String)| {
            (key.clone(), self.given.get(key).cloned().flatten().unwrap_or_else(|| value.clone()))
        };
        let mut all: BTreeMap<String, String> = self.automatic.iter().map(given).collect();
        all.extend(self.all(among));
        lines(all)
    }

    /// `key=value` for a stage's instruction; the image's own variables hide them.
    pub fn beside(&self, env: &[String]) -> Vec<String> {
        let hidden: BTreeSet<&str> = env.iter().filter_map(|e| e.split('=').next()).collect();
        lines(self.all(&self.own).into_iter().filter(|(key, _)| !hidden.contains(key.as_str())))
    }

    /// A command line with the arguments it depends on, by which the cache tells `RUN`s apart.
    pub fn before(&self, variables: &[String], command: &[String]) -> Vec<String> {
        if variables.is_empty() {
            return command.to_vec();
        }
        let counts = |line: &&String| {
            let key = line.split('=').next().unwrap_or_default();
            self.own.contains_key(key) || !BUILT_IN.contains(&key)
        };
        let mut counted: Vec<String> = variables.iter().filter(counts).cloned().collect();
        counted.sort();
        let mut out = vec![format!("|{}", counted.len())];
        out.append(&mut counted);
        out.extend_from_slice(command);
        out
    }

    /// Those that were given but that nothing declared.
    pub fn unused(&self) -> Vec<&str> {
        let unused = |key: &&str| !self.seen.contains(*key) && !BUILT_IN.contains(key);
        self.given.keys().map(String::as_str).filter(unused).collect()
    }
}

/// This machine's, in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn lines(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(key: &str, value: Option<&str>) -> Argument {
        Argument { key: key.into(), value: value.map(str::to_owned) }
    }

    fn given(pairs: &[(&str, Option<&str>)]) -> Declared {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect()
    }

    #[test]
    fn what_is_given_goes_over_defaults_once_it_is_declared() {
        let mut arguments = Arguments::new(&given(&[("A", Some("given")), ("B", None)]));
        assert!(arguments.beside(&[]).is_empty());
        arguments.declare(&argument("A", Some("default")));
        arguments.declare(&argument("B", Some("default")));
        assert_eq!(arguments.beside(&[]), ["A=given", "B=default"]);
        assert_eq!(arguments.beside(&["A=image".to_owned()]), ["B=default"]);
    }

    #[test]
    fn a_default_of_before_the_first_stage_is_seen_where_it_is_declared_again() {
        let mut arguments = Arguments::new(&given(&[]));
        arguments.declare_meta(&argument("V", Some("1")));
        assert_eq!(arguments.of_from(), ["V=1"]);
        let mut stage = arguments.stage();
        assert!(stage.beside(&[]).is_empty());
        stage.declare(&argument("V", None));
        assert_eq!(stage.beside(&[]), ["V=1"]);
    }

    #[test]
    fn proxies_need_no_declaration_and_leave_no_trace() {
        let mut arguments = Arguments::new(&given(&[("http_proxy", Some("p")), ("X", Some("1"))]));
        arguments.declare(&argument("X", None));
        let seen = arguments.beside(&[]);
        assert_eq!(seen, ["X=1", "http_proxy=p"]);
        assert_eq!(arguments.before(&seen, &["sh".to_owned()]), ["|1", "X=1", "sh"]);
        arguments.declare(&argument("http_proxy", None));
        assert_eq!(arguments.before(&seen, &["sh".to_owned()])[0], "|2");
        assert!(arguments.unused().is_empty());
    }

    #[test]
    fn platforms_are_known_to_from_and_to_stages_that_declare_them() {
        let arguments = Arguments::new(&given(&[("BUILDARCH", Some("mine"))])).on("linux/arm/v7");
        let seen = arguments.of_from();
        for line in ["TARGETPLATFORM=linux/arm/v7", "TARGETVARIANT=v7", "BUILDOS=linux", "BUILDARCH=mine"] {
            assert!(seen.contains(&line.to_owned()), "{line} {seen:?}");
        }
        let mut stage = arguments.stage();
        assert!(stage.beside(&[]).is_empty());
        stage.declare(&argument("TARGETARCH", None));
        stage.declare(&argument("TARGETOS", Some("default")));
        assert_eq!(stage.beside(&[]), ["TARGETARCH=arm", "TARGETOS=default"]);
    }

    #[test]
    fn what_nothing_declared_is_unused() {
        let mut arguments = Arguments::new(&given(&[("A", Some("1")), ("B", None)]));
        let mut stage = arguments.stage();
        stage.declare(&argument("A", None));
        assert_eq!(arguments.unused(), ["A", "B"]);
        arguments.merge(&stage);
        assert_eq!(arguments.unused(), ["B"]);
    }
}
