//! API version prefixes.

use axum::http::Uri;
use contract::{Kind, PortError};

/// The newest API served.
pub const API: &str = "1.51";
/// The oldest API served.
pub const MIN_API: &str = "1.24";

/// `/v1.43/containers/json` → `/containers/json`; versions outside the served range are refused in Docker's words.
pub fn strip(uri: &Uri) -> Result<Uri, PortError> {
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let Some((version, rest)) = path.strip_prefix("/v").and_then(|p| p.split_once('/')) else {
        return Ok(uri.clone());
    };
    let Some(minor) = minor(version) else { return Ok(uri.clone()) };
    if minor > minor_of(API) {
        return Err(PortError::new(
            Kind::Invalid,
            format!("client version {version} is too new. Maximum supported API version is {API}"),
        ));
    }
    if minor < minor_of(MIN_API) {
        return Err(PortError::new(
            Kind::Invalid,
            format!(
                "client version {version} is too old. Minimum supported API version is {MIN_API}, please upgrade \
                 your client to a newer version"
            ),
        ));
    }
    format!("/{rest}")
        .parse()
        .map_err(|e| PortError::caused(Kind::Invalid, format!("invalid path {path}"), Box::new(e) as Box<_>))
}

fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}

fn minor_of(version: &str) -> u32 {
    minor(version).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_goes_and_the_query_stays() {
        let uri = strip(&"/v1.43/containers/json?all=1".parse().unwrap()).unwrap();
        assert_eq!(uri.to_string(), "/containers/json?all=1");
    }

    #[test]
    fn versions_outside_the_range_are_refused() {
        assert!(strip(&"/v1.99/info".parse().unwrap()).is_err());
        assert!(strip(&"/v1.12/info".parse().unwrap()).is_err());
    }
}
