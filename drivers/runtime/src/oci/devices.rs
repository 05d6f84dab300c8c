//! Device nodes and the rules on using them.

use serde_json::{Value, json};

/// A device node of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// Absolute path.
    pub path: String,
    /// `c` or `b`.
    pub kind: char,
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
}

/// A device that was asked for, looked up; its path is the one inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenDevice {
    /// The node to make.
    pub node: HostDevice,
    /// Some of `rwm`.
    pub access: String,
}

/// Character devices every container may use: null, zero, full, random, urandom, tty, console, ptmx, pts.
const ALLOWED: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// A `linux.devices[]` entry.
pub fn node(device: &HostDevice) -> Value {
    json!({
        "path": device.path, "type": device.kind.to_string(), "major": device.major, "minor": device.minor,
        "fileMode": device.mode, "uid": device.uid, "gid": device.gid,
    })
}

/// A rule in its parts: type, major, minor, access. `-1` is any.
fn parse(rule: &str) -> Option<(&str, i64, i64, &str)> {
    let mut words = rule.split(' ');
    let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
    let number = |text: &str| match text {
        "*" => Some(-1),
        _ if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<i64>().ok(),
        _ => None,
    };
    let (major, minor) = numbers.split_once(':')?;
    let fine = words.next().is_none()
        && ["a", "c", "b"].contains(&kind)
        && (1..=3).contains(&access.len())
        && access.bytes().all(|b| b"rwm".contains(&b));
    fine.then_some((kind, number(major)?, number(minor)?, access))
}

/// Checks `--device-cgroup-rule`s; the error is Docker's text.
pub fn check_rules(rules: &[String]) -> Result<(), String> {
    match rules.iter().find(|rule| parse(rule).is_none()) {
        Some(rule) => Err(format!("invalid device cgroup rule format: '{rule}'")),
        None => Ok(()),
    }
}

/// `linux.resources.devices` of a container that is not privileged.
pub fn rules(given: &[GivenDevice], asked: &[String]) -> Value {
    let mut rules = vec![
        json!({ "allow": false, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "access": "m" }),
        json!({ "allow": true, "type": "b", "access": "m" }),
    ];
    rules.extend(ALLOWED.iter().map(|(major, minor)| {
        let mut rule = json!({ "allow": true, "type": "c", "major": major, "access": "rwm" });
        if let (Some(minor), Some(map)) = (minor, rule.as_object_mut()) {
            map.insert("minor".into(), (*minor).into());
        }
        rule
    }));
    rules.extend(given.iter().map(|device| {
        json!({
            "allow": true, "type": device.node.kind.to_string(), "major": device.node.major,
            "minor": device.node.minor, "access": device.access,
        })
    }));
    rules.extend(asked.iter().filter_map(|rule| parse(rule)).map(|(kind, major, minor, access)| {
        json!({ "allow": true, "type": kind, "major": major, "minor": minor, "access": access })
    }));
    rules.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_docker_reads_them() {
        assert_eq!(parse("c 1:3 rwm"), Some(("c", 1, 3, "rwm")));
        assert_eq!(parse("b 8:* r"), Some(("b", 8, -1, "r")));
        assert_eq!(parse("a *:* m"), Some(("a", -1, -1, "m")));
        for wrong in
            ["", "c 1:3", "c 1:3 rwmx", "d 1:3 r", "c 1-3 r", "c x:3 r", "c +1:3 r", "c 1:3  r", "c 1:3 q"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
