//! The small languages inside single flags, with Docker's words for what they refuse.

pub mod attachment;
pub mod blkio;
pub mod csv;
pub mod device;
pub mod file;
pub mod gpus;
pub mod mount;
pub mod ports;
pub mod restart;
pub mod ulimit;
pub mod volume;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::IntErrorKind;

use super::OptionError;
use crate::units;

fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(
    text: &str,
    reader: &str,
) -> Result<T, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.{reader}: parsing \"{text}\": {why}")
    })
}

/// A whole number.
pub fn int(text: &str) -> Result<i64, String> {
    number(text, "ParseInt")
}

/// A whole number from 0 to 65535.
pub fn uint16(text: &str) -> Result<u16, String> {
    number(text, "ParseUint")
}

/// A size in bytes, such as `512m`.
pub fn bytes(text: &str) -> Result<i64, String> {
    units::ram_in_bytes(text).map_err(|error| error.to_string())
}

/// A size in bytes, or -1 for no limit.
pub fn swap(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { bytes(text) }
}

/// A number of CPUs, in billionths; decimals and fractions.
pub fn cpus(text: &str) -> Result<i64, String> {
    let bad = || format!("failed to parse {text} as a rational number");
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let decimal = |text: &str| -> Option<(i128, u32)> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let scale = u32::try_from(part.len()).ok().filter(|scale| *scale < 18)?;
        format!("{whole}{part}").parse().ok().map(|digits| (digits, scale))
    };
    let (above, above_scale) = decimal(numerator).ok_or_else(bad)?;
    let (below, below_scale) = decimal(denominator).filter(|(below, _)| *below != 0).ok_or_else(bad)?;
    let top = above.checked_mul(1_000_000_000 * 10i128.pow(below_scale)).ok_or_else(bad)?;
    let bottom = below.checked_mul(10i128.pow(above_scale)).ok_or_else(bad)?;
    match top % bottom {
        0 => i64::try_from(top / bottom).map_err(|_| bad()),
        _ => Err("value is too precise".to_owned()),
    }
}

/// A Go duration, in nanoseconds.
pub fn duration(text: &str) -> Result<i64, String> {
    units::go_duration(text).map_err(|error| error.to_string())
}

/// `-e`: a bare name takes this process's value if it has one; the daemon drops it otherwise.
pub fn env(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("", _)) => Err(format!("invalid environment variable: {text}")),
        None if text.is_empty() => Err("invalid environment variable: ".to_owned()),
        Some(_) => Ok(text.to_owned()),
        None => Ok(std::env::var(text).map_or_else(|_| text.to_owned(), |value| format!("{text}={value}"))),
    }
}

/// `-l`.
pub fn label(text: &str) -> Result<String, String> {
    let key = text.split('=').next().unwrap_or_default().trim_start_matches([' ', '\t']);
    match key {
        "" => Err(format!("invalid label '{text}': empty name")),
        key if key.contains([' ', '\t']) => Err(format!("label '{key}' contains whitespaces")),
        _ => Ok(text.to_owned()),
    }
}

/// `key=value` flags as a map; a bare key has an empty value.
pub fn map(flags: &[String]) -> HashMap<String, String> {
    flags
        .iter()
        .map(|flag| flag.split_once('=').unwrap_or((flag, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// `--sysctl`: only those the kernel keeps per namespace.
pub fn sysctl(text: &str) -> Result<String, String> {
    const NAMED: &[&str] = &[
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    match text.split_once('=') {
        Some((key, _))
            if NAMED.contains(&key) || key.starts_with("net.") || key.starts_with("fs.mqueue.") =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!("sysctl '{text}' is not allowed")),
    }
}

/// `--link`.
pub fn link(text: &str) -> Result<String, String> {
    match text.split(':').count() {
        _ if text.is_empty() => Err("empty string specified for links".to_owned()),
        1 | 2 => Ok(text.to_owned()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

/// `--ip` and `--ip6`.
pub fn ip(text: &str) -> Result<IpAddr, String> {
    text.trim().parse().map_err(|_| format!("failed to parse IP: \"{text}\""))
}

/// `--dns`.
pub fn dns_server(text: &str) -> Result<String, String> {
    let address = text.trim().parse::<IpAddr>();
    address
        .map(|address| address.to_string())
        .map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

/// `--dns-search`; a dot stands for none.
pub fn dns_search(text: &str) -> Result<String, String> {
    let domain = text.trim_matches(' ');
    let bare = domain.strip_suffix('.').unwrap_or(domain);
    let good_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let named = domain.contains(|c: char| c.is_ascii_alphabetic());
    match domain {
        "." => Ok(domain.to_owned()),
        _ if named && bare.len() < 255 && bare.split('.').all(good_part) => Ok(bare.to_owned()),
        _ => Err(format!("{domain} is not a valid domain")),
    }
}

/// `--add-host`; `host=ip` and `host:ip`, an IPv6 address with or without brackets.
pub fn extra_host(text: &str) -> Result<String, String> {
    let (host, ip) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .filter(|(host, _)| !host.is_empty() && !host.contains(':'))
        .ok_or_else(|| format!("bad format for add-host: {text:?}"))?;
    let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    match ip == "host-gateway" || ip.parse::<IpAddr>().is_ok() {
        true => Ok(format!("{host}:{ip}")),
        false => Err(format!("invalid IP address in add-host: {ip:?}")),
    }
}

/// `--cap-add` and `--cap-drop`: spelled out and sorted; what is added is not dropped, and ALL speaks for the others.
pub fn capabilities(add: &[String], drop: &[String]) -> (Vec<String>, Vec<String>) {
    let spelled = |names: &[String]| -> BTreeSet<String> {
        let upper = names.iter().map(|name| name.trim().to_uppercase());
        let all: BTreeSet<String> = upper
            .map(|name| match name.as_str() {
                "ALL" => name,
                name if name.starts_with("CAP_") => name.to_owned(),
                name => format!("CAP_{name}"),
            })
            .collect();
        if all.contains("ALL") { BTreeSet::from(["ALL".to_owned()]) } else { all }
    };
    let (add, drop) = (spelled(add), spelled(drop));
    let drop = drop.difference(&add).cloned().collect();
    (add.into_iter().collect(), drop)
}

/// Whether `text` is a hardware address.
pub fn is_mac(text: &str) -> bool {
    let bytes: Vec<&str> = text.trim().split([':', '-']).collect();
    matches!(bytes.len(), 6 | 8 | 20)
        && bytes.iter().all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok())
}

/// `--security-opt`; a seccomp profile is a file on this side, and its content on the other.
pub fn security_option(text: &str) -> Result<String, OptionError> {
    let alone = text.split(['=', ':']).next() == Some("no-new-privileges");
    let split = text.split_once('=').or_else(|| text.split_once(':').filter(|_| !alone));
    let (key, value) = match split {
        Some((key, value)) if alone || !value.is_empty() => (key, value),
        _ if alone => return Ok(text.to_owned()),
        _ => return Err(OptionError::Value(format!("Invalid --security-opt: {text:?}"))),
    };
    if key != "seccomp" || value == "unconfined" || value == "builtin" {
        return Ok(text.to_owned());
    }
    let failed = |what: &str, why: String| {
        OptionError::Value(format!("{what} seccomp profile ({value}) failed: {why}"))
    };
    let profile = std::fs::read_to_string(value)
        .map_err(|error| failed("opening", format!("open {value}: {}", units::errno(&error))))?;
    let profile: serde_json::Value =
        serde_json::from_str(&profile).map_err(|error| failed("compacting json for", error.to_string()))?;
    Ok(format!("seccomp={profile}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_what_go_says() {
        assert_eq!(int("x").unwrap_err(), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert_eq!(uint16("99999").unwrap_err(), "strconv.ParseUint: parsing \"99999\": value out of range");
        assert_eq!(
            (cpus("1.5"), cpus("1/4"), cpus(".5")),
            (Ok(1_500_000_000), Ok(250_000_000), Ok(500_000_000))
        );
        assert_eq!(cpus("1/3").unwrap_err(), "value is too precise");
        assert_eq!(cpus("many").unwrap_err(), "failed to parse many as a rational number");
        assert_eq!((swap("-1"), swap("1k")), (Ok(-1), Ok(1024)));
    }

    #[test]
    fn names_and_addresses_are_checked() {
        assert_eq!(extra_host("db:10.0.0.1").unwrap(), "db:10.0.0.1");
        assert_eq!(extra_host("db=[::1]").unwrap(), "db:::1");
        assert_eq!(extra_host("db").unwrap_err(), "bad format for add-host: \"db\"");
        assert_eq!(dns_search("example.com."), Ok("example.com".to_owned()));
        assert!(dns_search("-x.").is_err() && dns_search("1.2").is_err());
        assert!(is_mac("92:d0:c6:0a:29:33") && !is_mac("92:d0:c6:0a:29"));
        assert!(sysctl("net.ipv4.ip_forward=1").is_ok() && sysctl("kernel.hostname=x").is_err());
        assert_eq!(label("=x").unwrap_err(), "invalid label '=x': empty name");
        assert_eq!(env("=x").unwrap_err(), "invalid environment variable: =x");
        assert_eq!(env("GANTRY_NO_SUCH_VARIABLE"), Ok("GANTRY_NO_SUCH_VARIABLE".to_owned()));
    }

    #[test]
    fn security_options_need_a_value_but_for_one() {
        assert_eq!(security_option("no-new-privileges").unwrap(), "no-new-privileges");
        assert_eq!(security_option("apparmor:x").unwrap(), "apparmor:x");
        assert!(security_option("apparmor").is_err() && security_option("label=").is_err());
        assert!(security_option("seccomp=/no/such/file").unwrap_err().to_string().contains("no such file"));
    }
}
