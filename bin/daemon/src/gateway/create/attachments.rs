//! What a request asks of its networks: links, and what cannot go together.

use super::invalid;
use bollard_stubs::models::HostConfig;
use contract::PortError;
use contract::record::Link;

/// `target[:alias]`, on the default bridge alone.
pub(super) fn links(host: &HostConfig, mode: &str) -> Result<Vec<Link>, PortError> {
    let given = host.links.as_deref().unwrap_or_default();
    let undefined = |kind: &str| {
        invalid(format!(
            "conflicting options: {kind} type network{} can't be used with links. This would result in undefined behavior",
            if kind == "host" { "ing" } else { "" }
        ))
    };
    if !given.is_empty() {
        match mode {
            "host" => return Err(undefined("host")),
            mode if mode.starts_with("container:") => return Err(undefined("container")),
            _ => {}
        }
    }
    given.iter().map(|text| link(text)).collect()
}

fn link(text: &str) -> Result<Link, PortError> {
    if text.is_empty() {
        return Err(invalid("empty string specified for links"));
    }
    let (target, alias) = text.split_once(':').unwrap_or((text, text));
    if alias.contains(':') {
        return Err(invalid(format!("bad format for links: {text}")));
    }
    // As an inspected container shows its links: `/db:/web/mysql`.
    let (target, alias) = match target.strip_prefix('/') {
        Some(target) => (target, alias.rsplit('/').next().unwrap_or(alias)),
        None => (target, alias),
    };
    Ok(Link { target: target.to_owned(), alias: alias.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_target_and_an_alias_also_as_inspect_shows_it() {
        let read = |text: &str| link(text).map(|l| (l.target, l.alias)).map_err(|e| e.text);
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(read("db:mysql"), pair("db", "mysql"));
        assert_eq!(read("db"), pair("db", "db"));
        assert_eq!(read("/db:/web/mysql"), pair("db", "mysql"));
        assert_eq!(read("a:b:c"), Err("bad format for links: a:b:c".to_owned()));
        assert_eq!(read(""), Err("empty string specified for links".to_owned()));
    }
}
