//! `.dockerignore`: which paths are left out of a context.

use crate::glob::{Step, class, matches};
use crate::{BadPattern, Glob, clean};

/// How a pattern is held against a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// It is the path.
    Whole,
    /// The path begins so: a pattern that ends in `**`.
    Start(String),
    /// The path ends so: one that begins with `**`.
    End(String),
    /// Anything else.
    Steps(Vec<Step>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    text: String,
    form: Form,
    /// It takes paths back that others leave out.
    exception: bool,
}

/// The patterns of a file, of which the last one that matches decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// Which patterns match a folder or one around it, for what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parents(Vec<bool>);

impl Ignore {
    /// The patterns in a file's text, tidied: no comments, no slash in front.
    pub fn read(text: &str) -> Vec<String> {
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        let patterns = lines.filter(|line| !line.starts_with('#')).filter_map(|line| {
            let line = line.trim();
            let (mark, pattern) = match line.strip_prefix('!') {
                Some(rest) => ("!", rest.trim()),
                None => ("", line),
            };
            if pattern.is_empty() {
                // A lone exclamation mark is kept to be refused.
                return (!mark.is_empty()).then(|| mark.to_owned());
            }
            let pattern = clean(pattern);
            let relative = pattern.strip_prefix('/').filter(|p| !p.is_empty()).unwrap_or(&pattern);
            Some(format!("{mark}{relative}"))
        });
        patterns.collect()
    }

    /// Reads patterns.
    pub fn new<T: AsRef<str>>(patterns: &[T]) -> Result<Self, BadPattern> {
        let mut rules = Vec::new();
        for pattern in patterns {
            let pattern = pattern.as_ref().trim();
            if pattern.is_empty() {
                continue;
            }
            let pattern = clean(pattern);
            let (text, exception) = match pattern.strip_prefix('!') {
                Some("") => return Err(BadPattern::Lone),
                Some(rest) => (rest.to_owned(), true),
                None => (pattern, false),
            };
            Glob::new(&text)?;
            rules.push(Rule { form: form(&text)?, text, exception });
        }
        Ok(Self { rules })
    }

    /// Whether a path (slashes between names, none in front) is left out, by its own name or a folder's around it.
    pub fn matches(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let around: Vec<&str> = ends.filter_map(|end| path.get(..end)).collect();
        let mut found = false;
        for rule in &self.rules {
            // It could change nothing.
            if rule.exception == found && around.iter().any(|path| rule.matches(path)) {
                found = !rule.exception;
            }
        }
        found
    }

    /// The same for one who walks down a tree and knows what the folder around matches.
    pub fn matches_in(&self, parents: &Parents, path: &str) -> (bool, Parents) {
        let mut found = false;
        let mut own = vec![false; self.rules.len()];
        for ((rule, own), at) in self.rules.iter().zip(&mut own).zip(0..) {
            *own = parents.0.get(at).copied().unwrap_or(false) || rule.matches(path);
            if *own {
                found = !rule.exception;
            }
        }
        (found, Parents(own))
    }

    /// Whether something in a folder that is left out may be taken back: if not, nobody has to look into it.
    pub fn may_return(&self, folder: &str) -> bool {
        let inside = format!("{folder}/");
        self.rules.iter().filter(|rule| rule.exception).any(|rule| match &rule.form {
            Form::Whole | Form::Start(_) => rule.text.starts_with(&inside),
            // A wildcard may stand for the folder.
            Form::End(_) | Form::Steps(_) => true,
        })
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Whole => path == self.text,
            Form::Start(start) => path.starts_with(start.as_str()),
            // `**/a` is also `a`.
            Form::End(end) => path.ends_with(end.as_str()) || end.strip_prefix('/') == Some(path),
            Form::Steps(steps) => matches(steps, path),
        }
    }
}

/// What a pattern's text amounts to.
fn form(text: &str) -> Result<Form, BadPattern> {
    let mut steps = Vec::new();
    let mut rest = text.chars();
    let mut found = Form::Whole;
    while let Some(c) = rest.next() {
        let first = steps.is_empty();
        let step = match c {
            '*' if rest.as_str().starts_with('*') => {
                rest.next();
                if rest.as_str().starts_with('/') {
                    rest.next();
                }
                let last = rest.as_str().is_empty();
                found = match found {
                    // Both `**` alone and `**/…`: the slash belongs to the end.
                    _ if first => Form::End(text.get(2..).unwrap_or_default().to_owned()),
                    Form::Whole if last => Form::Start(
                        text.strip_suffix("**").or(text.strip_suffix("**/")).unwrap_or(text).into(),
                    ),
                    _ => Form::Steps(Vec::new()),
                };
                if last { Step::Rest } else { Step::Folders }
            }
            '*' | '?' | '[' | '\\' => {
                found = Form::Steps(Vec::new());
                match c {
                    '*' => Step::Name,
                    '?' => Step::Any,
                    '[' => class(&mut rest)?,
                    _ => Step::One(rest.next().ok_or(BadPattern::Syntax)?),
                }
            }
            c => Step::One(c),
        };
        steps.push(step);
    }
    Ok(match found {
        Form::Steps(_) => Form::Steps(steps),
        found => found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// moby/patternmatcher's own cases, as far as they are about paths of Linux.
    #[test]
    fn patterns_match_as_mobys_do() {
        for (pattern, path, found) in [
            ("**", "file", true),
            ("**", "file/", true),
            ("**/", "file", true),
            ("**/", "file/", true),
            ("**", "dir/file", true),
            ("**/", "dir/file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("**/dir", "dir", true),
            ("**/dir", "dir/file", true),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/**", "dir/dir2/dir2/file", true),
            ("**file", "file", true),
            ("**file", "dir/file", true),
            ("**/file", "dir/file", true),
            ("**file", "dir/dir/file", true),
            ("**/file*", "dir/dir/file", true),
            ("**/file*", "dir/dir/file.txt", true),
            ("**/file*txt", "dir/dir/file.txt", true),
            ("**/file*.txt*", "dir/dir/file.txt", true),
            ("**/**/*.txt", "dir/dir/file.txt", true),
            ("**/**/*.txt2", "dir/dir/file.txt", false),
            ("**/*.txt", "file.txt", true),
            ("**/**/*.txt", "file.txt", true),
            ("a**/*.txt", "a/file.txt", true),
            ("a**/*.txt", "a/dir/file.txt", true),
            ("a**/*.txt", "a/dir/dir/file.txt", true),
            ("a/*.txt", "a/dir/file.txt", false),
            ("a/*.txt", "a/file.txt", true),
            ("a/*.txt**", "a/file.txt", true),
            ("a[b-d]e", "ae", false),
            ("a[b-d]e", "ace", true),
            ("a[b-d]e", "aae", false),
            ("a[^b-d]e", "aze", true),
            (".*", ".foo", true),
            (".*", "foo", false),
            ("abc.def", "abcdef", false),
            ("abc.def", "abcZdef", false),
            ("abc?def", "abcZdef", true),
            ("abc?def", "abcdef", false),
            ("a\\\\", "a\\", true),
            ("**/foo/bar", "foo/bar", true),
            ("**/foo/bar", "dir/foo/bar", true),
            ("**/foo/bar", "dir/dir2/foo/bar", true),
            ("abc/**", "abc", false),
            ("abc/**", "abc/def", true),
            ("abc/**", "abc/def/ghi", true),
            ("**/.foo", ".foo", true),
            ("**/.foo", "bar.foo", false),
            ("a(b)c/def", "a(b)c/def", true),
            ("a(b)c/def", "a(b)c/xyz", false),
            ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
            (
                "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                true,
            ),
            ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true),
            ("docs", "docs/README.md", true),
            ("*/temp*", "somedir/temporary.txt", true),
            ("*/*/temp*", "somedir/temporary.txt", false),
        ] {
            let ignore = Ignore::new(&[pattern]).unwrap();
            assert_eq!(ignore.matches(path.trim_end_matches('/')), found, "{pattern} on {path}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        for (patterns, path, left_out) in [
            (&["**", "!util/docker/web"][..], "util/docker/web/foo", false),
            (&["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", true),
            (
                &["**", "!dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl"],
                "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                false,
            ),
            (&["**", "!dist/*.whl"], "dist/proxy.whl", false),
            (&["fileutils.go", "!*.go"], "fileutils.go", false),
            (&["!*.go", "fileutils.go"], "fileutils.go", true),
            (&["docs", "!docs/README.md"], "docs/README.md", false),
            (&["docs/", "!docs/README.md"], "docs/other.md", true),
            (&["*.md", "!README*.md", "README-secret.md"], "README-secret.md", true),
            (&["*.md", "!README*.md", "README-secret.md"], "README.md", false),
            (&["a/*/b", "!a/x"], "a/x/b/c", false),
            (&[" a ", "", "!"][..2], "a", true),
        ] {
            let ignore = Ignore::new(patterns).unwrap();
            assert_eq!(ignore.matches(path), left_out, "{patterns:?} on {path}");
            let mut parents = Parents::default();
            let mut found = false;
            for end in path.match_indices('/').map(|(at, _)| at).chain([path.len()]) {
                (found, parents) = ignore.matches_in(&parents, &path[..end]);
            }
            assert_eq!(found, left_out, "{patterns:?} on the way to {path}");
        }
    }

    #[test]
    fn a_file_is_read_without_comments_and_slashes_in_front() {
        let text = "\u{feff}test1\n/test2\n/a/file/here\n\nlastfile\n# this is a comment\n! /inverted/abs/path\n  #not\n!  \n/\n./x/../y/\r\n";
        let read = Ignore::read(text);
        let expected =
            ["test1", "test2", "a/file/here", "lastfile", "!inverted/abs/path", "#not", "!", "/", "y"];
        assert_eq!(read, expected);
    }

    #[test]
    fn bad_patterns_are_refused_in_dockers_words() {
        for (pattern, text) in [
            ("!", "illegal exclusion pattern: \"!\""),
            ("[", "syntax error in pattern"),
            ("a[^", "syntax error in pattern"),
            ("a\\", "syntax error in pattern"),
            ("![a-]", "syntax error in pattern"),
        ] {
            assert_eq!(Ignore::new(&[pattern]).unwrap_err().to_string(), text, "{pattern}");
        }
    }

    #[test]
    fn a_folder_that_nothing_returns_from_need_not_be_looked_into() {
        let ignore = Ignore::new(&["node_modules", "docs", "!docs/README.md"]).unwrap();
        assert!(!ignore.may_return("node_modules"));
        assert!(ignore.may_return("docs"));
        assert!(Ignore::new(&["**", "!**/*.rs"]).unwrap().may_return("src"));
    }
}
