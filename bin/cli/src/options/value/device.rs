//! `--device` and `--device-cgroup-rule`.

use bollard::models::DeviceMapping;

use super::super::OptionError;

/// Whether `text` is a `vendor/class=device` of the Container Device Interface.
pub fn is_qualified(text: &str) -> bool {
    text.split_once('=').is_some_and(|(kind, device)| {
        let letter = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic());
        !device.is_empty()
            && kind.split_once('/').is_some_and(|(vendor, class)| letter(vendor) && letter(class))
    })
}

fn is_mode(text: &str) -> bool {
    let each_once = |letter: char| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|letter| "rwm".contains(letter) && each_once(letter))
}

/// Reads `HOST[:CONTAINER[:rwm]]`.
pub fn mapping(text: &str) -> Result<DeviceMapping, OptionError> {
    let bad = |why: String| Err(OptionError::Value(why));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, mode) = match *parts {
        ["", ..] => return bad(format!("bad format for path: {text}")),
        [host] => (host, host, "rwm"),
        [host, mode] if is_mode(mode) => (host, host, mode),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, mode] if is_mode(mode) => (host, inside, mode),
        [_, _, mode] => return bad(format!("bad mode specified: {mode}")),
        _ => return bad(format!("bad format for path: {text}")),
    };
    if !inside.starts_with('/') {
        return bad(format!("{inside} is not an absolute path"));
    }
    Ok(DeviceMapping {
        path_on_host: Some(host.to_owned()),
        path_in_container: Some(inside.to_owned()),
        cgroup_permissions: Some(mode.to_owned()),
    })
}

/// Reads `a|b|c MAJOR:MINOR rwm`.
pub fn rule(text: &str) -> Result<String, String> {
    let number = |text: &str| text == "*" || (!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()));
    let good = match *text.split(' ').collect::<Vec<_>>() {
        ["a" | "b" | "c", numbers, mode] => {
            numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&mode.len())
                && mode.chars().all(|letter| "rwm".contains(letter))
        }
        _ => false,
    };
    if good { Ok(text.to_owned()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_may_have_another_name_and_fewer_rights_inside() {
        let found = |text: &str| {
            let device = mapping(text).unwrap();
            [device.path_on_host, device.path_in_container, device.cgroup_permissions]
                .map(Option::unwrap)
                .join("|")
        };
        assert_eq!(found("/dev/a"), "/dev/a|/dev/a|rwm");
        assert_eq!(found("/dev/a:r"), "/dev/a|/dev/a|r");
        assert_eq!(found("/dev/a:/dev/b:rw"), "/dev/a|/dev/b|rw");
        for text in ["", "a", "/dev/a:/dev/b:x", "/dev/a:/dev/b:rr", "/a:/b:r:w"] {
            assert!(mapping(text).is_err(), "{text}");
        }
        assert!(is_qualified("vendor.com/gpu=0") && !is_qualified("/dev/a"));
        assert!(rule("c 42:* rmw").is_ok() && rule("c 42 rmw").is_err() && rule("d 1:1 r").is_err());
    }
}
