//! `STOPSIGNAL`: which texts name a signal.

/// Names without `SIG`.
const NAMES: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Whether there is such a signal: a number from 1 to 64, or a name with or without `SIG`.
pub(crate) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |base: &str, sign: char, most: u8| {
        let rest = name.strip_prefix(base)?;
        let number = rest.strip_prefix(sign).and_then(|n| n.parse::<u8>().ok());
        Some(rest.is_empty() || number.is_some_and(|n| (1..=most).contains(&n)))
    };
    NAMES.contains(&name) || offset("RTMIN", '+', 15).or_else(|| offset("RTMAX", '-', 14)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn signals_go_by_name_and_number() {
        assert!(["SIGTERM", "term", "9", "SIGRTMIN+3", "RTMAX-14", "64"].into_iter().all(is_signal));
        assert!(!["", "0", "65", "-1", "SIGNOPE", "RTMIN+16", "RTMAX+1", "SIG"].into_iter().any(is_signal));
    }
}
