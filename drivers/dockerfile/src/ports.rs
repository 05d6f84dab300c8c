//! `EXPOSE`: ports, ranges and protocols.

use crate::error::Fault;

/// `80`, `80/udp`, `8000-8003/tcp` as `port/protocol` each. A host's part before a colon is left out, as Docker does.
pub(crate) fn ports(text: &str) -> Result<Vec<String>, Fault> {
    let bad = |text: String| Fault::Port(text);
    let own = text.rsplit(':').next().unwrap_or_default();
    let mut parts = own.split('/');
    let range = parts.next().unwrap_or_default();
    let protocol = parts.next().filter(|p| !p.is_empty()).unwrap_or("tcp");
    if range.is_empty() {
        return Err(bad(format!("no port specified: {text}<empty>")));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let last = last.split('-').next().unwrap_or_default();
    let number = |s: &str| s.chars().all(|c| c.is_ascii_digit()).then(|| s.parse::<u16>().ok()).flatten();
    let (Some(first), Some(last)) = (number(first), number(last)) else {
        return Err(bad(format!("invalid containerPort: {range}")));
    };
    if last < first {
        return Err(bad(format!("invalid containerPort: {range}")));
    }
    let lower = protocol.to_lowercase();
    if !matches!(lower.as_str(), "tcp" | "udp" | "sctp") {
        return Err(bad(format!("invalid proto: {protocol}")));
    }
    Ok((first..=last).map(|p| format!("{p}/{lower}")).collect())
}
