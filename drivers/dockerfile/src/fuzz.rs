//! What the fuzz target in `tests/fuzz` drives; not for others. Panics are findings.

use crate::{Config, Dockerfile, Instruction, Variables, apply, expand, expand_words, strings, trigger};

/// Larger than any word may grow to, with room for what is written in one step.
const LARGEST: usize = 1 << 22;

/// Reads a Dockerfile and applies its instructions one after the other.
pub fn dockerfile(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines = ["a=b", "EMPTY=", "long=/a/b/*.txt"];
    if let Ok(out) = expand(&text, '\\', &Variables::new(lines)) {
        assert!(out.len() <= LARGEST.max(input.len() * 8));
    }
    let _words = expand_words(&text, '`', &Variables::new(lines));
    let _changed = crate::amend(Config::new(), &[text.into_owned()]);
    let Ok(file) = Dockerfile::parse("Dockerfile", input) else { return };
    assert!(!file.stages.is_empty() || !file.meta.is_empty());
    for stage in &file.stages {
        let mut config = Config::new();
        for located in &stage.instructions {
            if let Instruction::Onbuild(text) = &located.instruction {
                let _trigger = trigger(text);
            }
            let variables = Variables::new(strings(&config, "Env"));
            // A build ends at the first mistake.
            let Ok(text) = apply(&mut config, &located.instruction, file.escape, &variables) else { return };
            assert!(text.is_none_or(|t| !t.is_empty()));
            assert!(strings(&config, "Env").iter().map(String::len).sum::<usize>() <= LARGEST);
        }
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the corpus is files")]
fn the_corpus_is_read_or_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/dockerfile");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|path| dockerfile(&std::fs::read(path).unwrap()));
}
