use super::{LONGEST, read};
use crate::Dockerfile;
use crate::syntax::Node;

fn lines(text: &str) -> Vec<(usize, String)> {
    read(text.as_bytes()).unwrap().nodes.into_iter().map(|n: Node| (n.line, n.text)).collect()
}

fn one(text: &str) -> String {
    let mut lines = lines(text);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.pop().unwrap().1
}

fn fault(text: &str) -> String {
    read(text.as_bytes()).unwrap_err().1.to_string()
}

#[test]
fn continued_lines_are_put_together() {
    assert_eq!(one("RUN a \\\n  b"), "RUN a   b");
    assert_eq!(one("RUN a \\\n# comment\n   # another\nb"), "RUN a b");
    assert_eq!(one("RUN a \\ \t\nb"), "RUN a b");
    assert_eq!(one("RUN a \\\r\nb\r\n"), "RUN a b");
    assert_eq!(one("RUN a \\"), "RUN a ");
    assert_eq!(one("\\\nRUN a"), "RUN a");
    assert_eq!(lines("RUN a \\\\\nRUN b").len(), 2, "an escaped escape continues nothing");
    assert_eq!(lines("\n\nRUN a\\\n\nb\n\nRUN c"), [(3, "RUN ab".into()), (7, "RUN c".into())]);
}

#[test]
fn an_empty_continuation_line_is_warned_of() {
    let warnings = read(b"RUN a \\\n\n b").unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "[WARNING]: Empty continuation line found in: RUN a  b",
            "[WARNING]: Empty continuation lines will become errors in a future release.",
        ]
    );
    assert!(read(b"RUN a \\\n#\n b").unwrap().warnings.is_empty());
}

#[test]
fn directives_stand_before_all_else() {
    let file =
        Dockerfile::parse("d", b"\xef\xbb\xbf# syntax = a/b:1\n#escape=`\n#check=x\nFROM x\nRUN a `\n  b")
            .unwrap();
    assert_eq!((file.escape, file.syntax.as_deref(), file.check.as_deref()), ('`', Some("a/b:1"), Some("x")));
    assert_eq!(file.stages[0].instructions[0].text, "RUN a   b");
    let file = Dockerfile::parse("d", b"# a comment\n# escape=`\nFROM x").unwrap();
    assert_eq!(file.escape, '\\');
    assert_eq!(fault("# escape=x\nFROM x"), "invalid escape token 'x' does not match ` or \\");
    assert_eq!(fault("# syntax=a\n# syntax=b\nFROM x"), "only one syntax parser directive can be used");
}

#[test]
fn here_documents_follow_their_line() {
    let nodes = read(b"RUN <<EOF cat <<-'B C'\na\nEOF\n\tb\n\tB C\nRUN x <<< y").unwrap().nodes;
    let documents: Vec<_> =
        nodes[0].heredocs.iter().map(|h| (h.name.as_str(), h.content.as_str(), h.chomp)).collect();
    assert_eq!(documents, [("EOF", "a\n", false), ("B C", "\tb\n", true)]);
    assert_eq!((nodes.len(), nodes[1].line, nodes[1].heredocs.len()), (2, 6, 0));
    assert_eq!(fault("RUN <<EOF\na"), "unterminated heredoc");
    assert!(read(b"RUN [\"cat\", \"<<EOF\"]").unwrap().nodes[0].heredocs.is_empty());
    assert!(read(b"ENV a=<<EOF").unwrap().nodes[0].heredocs.is_empty());
}

#[test]
fn a_line_has_a_greatest_length() {
    let of = |n: usize| format!("FROM x\nRUN {}", "a".repeat(n - 4));
    assert_eq!(lines(&of(LONGEST)).len(), 2);
    assert_eq!(fault(&of(LONGEST + 1)), "dockerfile line greater than max allowed size of 65535");
    assert_eq!(fault(&"a".repeat(LONGEST + 1)), "file with no instructions");
}
