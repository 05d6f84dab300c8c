//! The driver's options, checked in Docker's words.

use crate::gzip;
use crate::options::{METADATA, invalid};
use contract::PortError;
use contract::log::{OptionSpec, Options};
use flate2::Compression;
use std::time::Duration;

pub(super) static OPTIONS: [OptionSpec; 10] = {
    let [labels, labels_regex, env, env_regex, tag] = METADATA;
    [
        OptionSpec { name: "gelf-address", doc: "udp|tcp://host:port" },
        OptionSpec { name: "gelf-compression-type", doc: "gzip, zlib or none, over udp; gzip" },
        OptionSpec { name: "gelf-compression-level", doc: "-1 to 9, over udp; 1" },
        OptionSpec {
            name: "gelf-tcp-max-reconnect",
            doc: "tries over tcp before lines are given up; without end",
        },
        OptionSpec { name: "gelf-tcp-reconnect-delay", doc: "seconds between tries over tcp; 1" },
        labels,
        labels_regex,
        env,
        env_regex,
        tag,
    ]
};

/// How datagrams are made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip(Compression),
    Zlib(Compression),
    Plain,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `host:port`, and how datagrams are packed.
    Udp(String, Packing),
    /// `host:port`, tries before lines are given up, pause between them.
    Tcp(String, Option<u64>, Duration),
}

impl Address {
    pub(super) fn parse(options: &Options) -> Result<Self, PortError> {
        let (scheme, rest) = split(options.get("gelf-address").map_or("", String::as_str))?;
        let given = |key: &str| options.get(key).map(|value| (key.to_owned(), value.as_str()));
        let unknown = |(key, value): (String, &str)| {
            invalid(format!("unknown value {value:?} for log opt {key:?} for gelf log driver"))
        };
        let level = given("gelf-compression-level");
        let kind = given("gelf-compression-type");
        let most = given("gelf-tcp-max-reconnect");
        let delay = given("gelf-tcp-reconnect-delay");
        if scheme == "udp" {
            if let Some((key, _)) = most.or(delay) {
                return Err(invalid(format!("{key:?} is only valid for TCP")));
            }
            let level = match level {
                None => Compression::fast(),
                Some(option) => match option.1.parse() {
                    Ok(level @ -1..=9) => gzip::level(level),
                    _ => return Err(unknown(option)),
                },
            };
            let packing = match kind {
                None => Packing::Gzip(level),
                Some((_, "gzip")) => Packing::Gzip(level),
                Some((_, "zlib")) => Packing::Zlib(level),
                Some((_, "none")) => Packing::Plain,
                Some(option) => return Err(unknown(option)),
            };
            return Ok(Self::Udp(rest, packing));
        }
        if level.is_some() || kind.is_some() {
            return Err(invalid("compression is only supported on UDP"));
        }
        let number = |option: Option<(String, &str)>| {
            let parsed = option.map(|(key, value)| {
                value.parse::<u64>().map_err(|_| invalid(format!("{key:?} must be a positive integer")))
            });
            parsed.transpose()
        };
        Ok(Self::Tcp(rest, number(most)?, Duration::from_secs(number(delay)?.unwrap_or(1))))
    }
}

fn split(address: &str) -> Result<(&str, String), PortError> {
    if address.is_empty() {
        return Err(invalid("gelf-address is a required parameter"));
    }
    let Some((scheme, rest)) = address.split_once("://") else {
        return Err(invalid(format!("gelf-address should be in form proto://address, got {address}")));
    };
    if !matches!(scheme, "udp" | "tcp") {
        return Err(invalid("gelf: endpoint needs to be TCP or UDP"));
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = host.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']'));
    match port {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok((scheme, host.to_owned())),
        _ => Err(invalid("gelf: please provide gelf-address as proto://host:port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Address, String> {
        let options = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Address::parse(&options).map_err(|e| e.chain())
    }

    #[test]
    fn addresses_have_a_scheme_a_host_and_a_port() {
        let udp = Address::Udp("h:1".into(), Packing::Gzip(Compression::fast()));
        assert_eq!(parse(&[("gelf-address", "udp://h:1")]), Ok(udp));
        let tcp = Address::Tcp("[::1]:1".into(), None, Duration::from_secs(1));
        assert_eq!(parse(&[("gelf-address", "tcp://[::1]:1")]), Ok(tcp));
        for (address, text) in [
            ("", "gelf-address is a required parameter"),
            ("h:1", "gelf-address should be in form proto://address, got h:1"),
            ("unix:///run/x", "gelf: endpoint needs to be TCP or UDP"),
            ("udp://h", "gelf: please provide gelf-address as proto://host:port"),
            ("udp://::1", "gelf: please provide gelf-address as proto://host:port"),
        ] {
            assert_eq!(parse(&[("gelf-address", address)]), Err(text.into()));
        }
    }

    #[test]
    fn each_option_belongs_to_one_of_the_transports() {
        let udp = |key, value| parse(&[("gelf-address", "udp://h:1"), (key, value)]);
        let tcp = |key, value| parse(&[("gelf-address", "tcp://h:1"), (key, value)]);
        let packed = |packing| Ok(Address::Udp("h:1".into(), packing));
        assert_eq!(udp("gelf-compression-type", "none"), packed(Packing::Plain));
        assert_eq!(udp("gelf-compression-type", "zlib"), packed(Packing::Zlib(Compression::fast())));
        assert_eq!(udp("gelf-compression-level", "9"), packed(Packing::Gzip(Compression::new(9))));
        assert_eq!(udp("gelf-compression-level", "-1"), packed(Packing::Gzip(Compression::default())));
        let unknown = |value: &str, key: &str| {
            Err(format!("unknown value \"{value}\" for log opt \"{key}\" for gelf log driver"))
        };
        assert_eq!(udp("gelf-compression-level", "10"), unknown("10", "gelf-compression-level"));
        assert_eq!(udp("gelf-compression-type", "lz4"), unknown("lz4", "gelf-compression-type"));
        assert_eq!(
            udp("gelf-tcp-max-reconnect", "3"),
            Err("\"gelf-tcp-max-reconnect\" is only valid for TCP".into())
        );
        assert_eq!(tcp("gelf-compression-type", "none"), Err("compression is only supported on UDP".into()));
        assert_eq!(
            tcp("gelf-tcp-reconnect-delay", "-1"),
            Err("\"gelf-tcp-reconnect-delay\" must be a positive integer".into())
        );
        assert_eq!(
            tcp("gelf-tcp-max-reconnect", "3"),
            Ok(Address::Tcp("h:1".into(), Some(3), Duration::from_secs(1)))
        );
    }
}
