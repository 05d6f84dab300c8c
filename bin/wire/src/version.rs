//! API versions and the path prefix that names them.

/// The newest API served and spoken, as `1.<minor>` (Docker Engine 28.3).
pub const API: &str = "1.51";
/// The oldest API served (Docker Engine 28).
pub const MIN_API: &str = "1.24";
/// [`API`]'s minor number.
pub const API_MINOR: u32 = 51;
/// [`MIN_API`]'s minor number.
pub const MIN_API_MINOR: u32 = 24;

/// The oldest API that archives of images are served by. Docker Engine 28 refuses it, but skopeo up to 1.14 (Debian 12
/// has 1.9) speaks 1.22 whatever it is told, and these requests have not changed since.
const ARCHIVES_MINOR: u32 = 22;

/// A path taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versioned<'a> {
    /// No version in front: the newest is meant.
    Bare,
    /// A version that is served, and the path behind it.
    Served(&'a str),
    /// A version that is not, in Docker's words.
    Refused(String),
}

/// `/v1.43/containers/json` → `/containers/json`.
pub fn strip(path: &str) -> Versioned<'_> {
    let Some((version, _)) = path.strip_prefix("/v").and_then(|p| p.split_once('/')) else {
        return Versioned::Bare;
    };
    // What Docker's routes take for a version.
    if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Versioned::Bare;
    }
    let (asked, rest) = (numbers(version), path.get(2 + version.len()..).unwrap_or("/"));
    if asked > vec![1, API_MINOR] {
        return Versioned::Refused(format!(
            "client version {version} is too new. Maximum supported API version is {API}"
        ));
    }
    if asked < vec![1, if is_archive(rest) { ARCHIVES_MINOR } else { MIN_API_MINOR }] {
        return Versioned::Refused(format!(
            "client version {version} is too old. Minimum supported API version is {MIN_API}, please upgrade your \
             client to a newer version"
        ));
    }
    Versioned::Served(rest)
}

fn is_archive(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path == "/images/load" || (path.starts_with("/images/") && path.ends_with("/get"))
}

/// Compared piece by piece; a piece that is no number counts as 0, one too large as the largest.
fn numbers(version: &str) -> Vec<u32> {
    let piece = |text: &str| text.parse().unwrap_or(if text.is_empty() { 0 } else { u32::MAX });
    version.split('.').map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_goes_and_the_query_stays() {
        assert_eq!(strip("/v1.43/containers/json?all=1"), Versioned::Served("/containers/json?all=1"));
        assert_eq!(strip("/version"), Versioned::Bare);
        assert_eq!(strip("/volumes/v1.2/x"), Versioned::Bare);
    }

    #[test]
    fn versions_outside_the_range_are_refused() {
        assert!(matches!(strip("/v1.99/info"), Versioned::Refused(text) if text.contains("too new")));
        assert!(matches!(strip("/v1.12/info"), Versioned::Refused(text) if text.contains("too old")));
        assert!(
            matches!(strip("/v2.0/info"), Versioned::Refused(text) if text.contains("version 2.0 is too new"))
        );
        assert!(matches!(strip("/v1/info"), Versioned::Refused(text) if text.contains("too old")));
        assert_eq!(strip("/vx/info"), Versioned::Bare);
        assert_eq!(strip("/v1.22/images/a:1/get"), Versioned::Served("/images/a:1/get"));
        assert_eq!(strip("/v1.22/images/load?quiet=1"), Versioned::Served("/images/load?quiet=1"));
        for path in ["/v1.22/images/json", "/v1.21/images/load", "/v1.22/info"] {
            assert!(matches!(strip(path), Versioned::Refused(_)), "{path}");
        }
        assert_eq!(
            (API, MIN_API),
            (format!("1.{API_MINOR}").as_str(), format!("1.{MIN_API_MINOR}").as_str())
        );
    }
}
