//! What the fuzz target in `tests/fuzz` drives; not for others. Panics are findings.

use crate::{Glob, Ignore, Parents, clean, has_wildcards};

/// Reads a `.dockerignore`, its last line being a path: asking with and without its parents answers the same.
pub fn patterns(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (file, path) = text.rsplit_once('\n').unwrap_or(("", &text));
    let path = clean(path);
    let _wild = has_wildcards(&path);
    if let Ok(glob) = Glob::new(file) {
        glob.matches(&path);
    }
    let patterns = Ignore::read(file);
    let Ok(ignore) = Ignore::new(&patterns) else { return };
    let mut parents = Parents::default();
    let mut so_far = String::new();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        so_far = if so_far.is_empty() { part.to_owned() } else { format!("{so_far}/{part}") };
        let (matched, next) = ignore.matches_in(&parents, &so_far);
        assert_eq!(matched, ignore.matches(&so_far), "{patterns:?} of {so_far:?}");
        parents = next;
    }
    ignore.may_return(&path);
}

#[test]
fn the_corpus_is_read_or_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/patterns");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|path| patterns(&std::fs::read(path).unwrap()));
}
