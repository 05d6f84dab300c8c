//! Signal names.

/// Names in the order of their numbers on Linux, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// `SIGTERM`, `term`, `15`, `RTMIN+3`; `None` when there is no such signal.
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|n| *n == name) {
        return i32::try_from(index + 1).ok();
    }
    let real_time = |rest: &str, base: i32, sign: i32| {
        let offset = if rest.is_empty() { 0 } else { rest.get(1..)?.parse::<i32>().ok()? };
        Some(base + sign * offset).filter(|n| (34..=64).contains(n))
    };
    match name {
        "IOT" => Some(6),
        "POLL" => Some(29),
        _ => name
            .strip_prefix("RTMIN")
            .and_then(|r| real_time(r, 34, 1))
            .or_else(|| name.strip_prefix("RTMAX").and_then(|r| real_time(r, 64, -1))),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!(
            ["SIGTERM", "kill", "9", "SIGRTMIN+3", "WINCH"].map(parse),
            [Some(15), Some(9), Some(9), Some(37), Some(28)]
        );
        assert_eq!(["", "65", "SIGNOPE"].map(parse), [None; 3]);
    }
}
