//! `--ulimit`.

use std::collections::BTreeMap;

use bollard::models::ResourcesUlimits;

const NAMES: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `NAME=SOFT[:HARD]`.
pub fn ulimit(text: &str) -> Result<ResourcesUlimits, String> {
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let (soft, hard) = match *limits.split(':').collect::<Vec<_>>() {
        [soft] => (super::int(soft)?, None),
        [soft, hard] => (super::int(soft)?, Some(super::int(hard)?)),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    let hard = hard.unwrap_or(soft);
    let order = "ulimit soft limit must be less than or equal to hard limit:";
    match () {
        () if hard == -1 => {}
        () if soft == -1 => return Err(format!("{order} soft: -1 (unlimited), hard: {hard}")),
        () if soft > hard => return Err(format!("{order} {soft} > {hard}")),
        () => {}
    }
    Ok(ResourcesUlimits { name: Some(name.to_owned()), soft: Some(soft), hard: Some(hard) })
}

/// The last of each name, by name.
pub fn last_of_each(all: &[ResourcesUlimits]) -> Vec<ResourcesUlimits> {
    let last: BTreeMap<_, _> = all.iter().map(|limit| (limit.name.clone(), limit.clone())).collect();
    last.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_stays_below_the_hard_one() {
        let limit = ulimit("nofile=1024:2048").unwrap();
        assert_eq!((limit.soft, limit.hard), (Some(1024), Some(2048)));
        assert_eq!(
            ulimit("nofile=2:1").unwrap_err(),
            "ulimit soft limit must be less than or equal to hard limit: 2 > 1"
        );
        assert!(ulimit("nofile=-1:1").is_err() && ulimit("files=1").is_err() && ulimit("nofile").is_err());
        assert!(ulimit("nofile=1:-1").is_ok());
    }
}
