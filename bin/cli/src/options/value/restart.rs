//! `--restart`.

use bollard::models::{RestartPolicy, RestartPolicyNameEnum};

/// The policy of a container that stays down.
pub fn never() -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }
}

/// Reads `--restart`.
pub fn policy(text: &str) -> Result<RestartPolicy, String> {
    let (name, count) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() && text.starts_with(':') {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let count = match count {
        "" => None,
        count => Some(count.parse::<i64>().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?),
    };
    let name = match name {
        "no" | "" => RestartPolicyNameEnum::NO,
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        other => {
            return Err(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            ));
        }
    };
    Ok(RestartPolicy { name: Some(name), maximum_retry_count: count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_known_word_and_perhaps_a_count() {
        assert_eq!(policy("on-failure:3").unwrap().maximum_retry_count, Some(3));
        assert_eq!(
            policy("on-failure:x").unwrap_err(),
            "invalid restart policy format: maximum retry count must be an integer"
        );
        assert!(policy(":3").is_err() && policy("sometimes").is_err());
        assert_eq!(policy("no").unwrap(), never());
    }
}
