//! Patterns of the `reference` filter: Go's `path.Match`, where `*` stops at slashes.

/// Whether the whole text fits the pattern; `None` for a pattern that is none.
pub fn matches(pattern: &str, text: &str) -> Option<bool> {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    valid(&pattern)?;
    Some(fits(&pattern, &text))
}

/// The members of a class and what follows it.
fn class(pattern: &[char]) -> Option<(&[char], &[char])> {
    let start = usize::from(pattern.first() == Some(&'^'));
    let end = pattern.iter().skip(start + 1).position(|c| *c == ']')? + start + 1;
    Some((pattern.get(..end)?, pattern.get(end + 1..)?))
}

fn valid(mut pattern: &[char]) -> Option<()> {
    while let [first, rest @ ..] = pattern {
        pattern = match first {
            '[' => class(rest)?.1,
            '\\' => rest.get(1..)?,
            _ => rest,
        };
    }
    Some(())
}

fn within(class: &[char], c: char) -> bool {
    let (negated, mut rest) = match class {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    while let [low, after @ ..] = rest {
        rest = match after {
            ['-', high, left @ ..] => {
                found |= (*low..=*high).contains(&c);
                left
            }
            left => {
                found |= *low == c;
                left
            }
        };
    }
    found != negated
}

/// Only the last star is ever tried again, so that the time is bounded by the product of both lengths.
fn fits(mut pattern: &[char], mut text: &[char]) -> bool {
    let mut retry: Option<(&[char], &[char])> = None;
    loop {
        let step = match (pattern, text) {
            ([], []) => return true,
            (['*', rest @ ..], _) => {
                retry = Some((rest, text));
                Some((rest, text))
            }
            (['?', rest @ ..], [c, left @ ..]) if *c != '/' => Some((rest, left)),
            (['[', rest @ ..], [c, left @ ..]) => class(rest)
                .filter(|(members, _)| *c != '/' && within(members, *c))
                .map(|(_, rest)| (rest, left)),
            (['\\', quoted, rest @ ..], [c, left @ ..]) => (quoted == c).then_some((rest, left)),
            ([p, rest @ ..], [c, left @ ..]) if p == c && !matches!(p, '[' | '\\') => Some((rest, left)),
            _ => None,
        };
        (pattern, text) = match (step, retry) {
            (Some(next), _) => next,
            (None, Some((rest, [c, left @ ..]))) if *c != '/' => {
                retry = Some((rest, left));
                (rest, left)
            }
            (None, _) => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_gos() {
        for (pattern, text, fit) in [
            ("busybox", "busybox", true),
            ("busy*", "busybox", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("b[a-u]sy?ox:*", "busybox:1", true),
            ("b[^u]sybox", "busybox", false),
            ("*:latest", "busybox:1", false),
            ("a\\*", "a*", true),
            ("a*b*c", "axbxbxc", true),
        ] {
            assert_eq!(matches(pattern, text), Some(fit), "{pattern} {text}");
        }
        assert_eq!(matches("[a", "a"), None);
        assert_eq!(matches("a\\", "a"), None);
        let (stars, text) = ("*a".repeat(50) + "b", "a".repeat(5000));
        assert_eq!(matches(&stars, &text), Some(false));
    }
}
