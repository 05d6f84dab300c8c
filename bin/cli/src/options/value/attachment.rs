//! `--network`, short and long.

use std::collections::HashMap;

use super::csv;

/// One network and what is asked of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The network, or a mode such as `host`.
    pub target: String,
    /// Names on this network.
    pub aliases: Vec<String>,
    /// Links, which on such a network are private aliases.
    pub links: Vec<String>,
    /// A fixed address.
    pub ipv4: Option<String>,
    /// A fixed IPv6 address.
    pub ipv6: Option<String>,
    /// Link-local addresses.
    pub link_local: Vec<String>,
    /// A fixed hardware address.
    pub mac: Option<String>,
    /// Options of the network's driver.
    pub driver_opts: HashMap<String, String>,
    /// Which network has the default route: the highest.
    pub gw_priority: Option<i64>,
}

/// Whether some `word=word` stands in `text`.
fn is_long(text: &str) -> bool {
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.match_indices('=').any(|(at, _)| {
        text.get(..at).is_some_and(|before| before.ends_with(word))
            && text.get(at + 1..).is_some_and(|after| after.starts_with(word))
    })
}

/// Reads a network's name, or `name=…,alias=…,ip=…,ip6=…,mac-address=…,link-local-ip=…,driver-opt=…,gw-priority=…`.
pub fn attachment(text: &str) -> Result<Attachment, String> {
    let mut found = Attachment::default();
    if !is_long(text) {
        found.target = text.to_owned();
        return Ok(found);
    }
    for field in csv::fields(text)? {
        let lower = field.to_lowercase();
        let (key, value) = lower
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("invalid field {field}"))?;
        let value = value.trim().to_owned();
        match key.trim() {
            "name" => found.target = value,
            "alias" => found.aliases.push(value),
            "ip" => found.ipv4 = Some(value),
            "ip6" => found.ipv6 = Some(value),
            "mac-address" => found.mac = Some(value),
            "link-local-ip" => found.link_local.push(value),
            "driver-opt" => {
                let (key, value) = value
                    .split_once('=')
                    .filter(|(key, _)| !key.is_empty())
                    .ok_or("invalid key value pair format in driver options")?;
                found.driver_opts.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            "gw-priority" => {
                let priority = super::int(&value).map_err(|error| {
                    let why = error.rsplit(": ").next().unwrap_or_default().to_owned();
                    format!("invalid gw-priority ({value}): {why}")
                })?;
                found.gw_priority = Some(priority).filter(|priority| *priority != 0);
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    match found.target.is_empty() {
        true => Err("network name/id is not specified".to_owned()),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_names_everything() {
        assert_eq!(attachment("web").unwrap().target, "web");
        let found = attachment("name=web,alias=a,alias=b,ip=10.0.0.2,driver-opt=k=v,gw-priority=2").unwrap();
        assert_eq!((found.target.as_str(), found.aliases.len(), found.gw_priority), ("web", 2, Some(2)));
        assert_eq!(found.driver_opts["k"], "v");
        assert_eq!(attachment("alias=a").unwrap_err(), "network name/id is not specified");
        assert_eq!(attachment("name=a,color=red").unwrap_err(), "invalid field key color");
        assert_eq!(
            attachment("name=a,gw-priority=x").unwrap_err(),
            "invalid gw-priority (x): invalid syntax"
        );
    }
}
