//! Which of an index's manifests is for this machine.

use serde_json::Value;

/// `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// What was asked for, or this machine. `arm64` alone means `linux/arm64`; uname's names are understood.
    pub fn new(wanted: Option<&str>) -> Self {
        let parts: Vec<String> = wanted.unwrap_or_default().split('/').map(str::to_lowercase).collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture, variant, ..] => (os.clone(), architecture.clone(), Some(variant.clone())),
            [os, architecture] => (os.clone(), architecture.clone(), None),
            [one] if one.is_empty() => ("linux".into(), machine().into(), None),
            [one] if matches!(one.as_str(), "linux" | "windows" | "darwin" | "freebsd") => {
                (one.clone(), machine().into(), None)
            }
            [one] => ("linux".into(), one.clone(), None),
            [] => ("linux".into(), machine().into(), None),
        };
        let architecture = match architecture.as_str() {
            "x86_64" | "x86-64" => "amd64".into(),
            "aarch64" => "arm64".into(),
            "i386" | "i686" => "386".into(),
            _ => architecture,
        };
        // Of arm64 there is one variant, and nobody need name it.
        let variant = variant.filter(|v| !(v.is_empty() || (architecture == "arm64" && v == "v8")));
        Self { os, architecture, variant }
    }

    /// As Docker shows it.
    pub fn shown(&self) -> String {
        let variant = self.variant.as_ref().map(|v| format!("/{v}")).unwrap_or_default();
        format!("{}/{}{variant}", self.os, self.architecture)
    }

    /// The manifests of an index that are for this platform, best first. An entry without a platform is for all.
    pub fn choose<'a>(&self, list: &'a [Value]) -> Vec<&'a Value> {
        let field = |entry: &Value, key: &str| {
            let platform = entry.get("platform")?;
            platform.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
        };
        let fits = |entry: &&Value| {
            let Some(_) = entry.get("platform").filter(|p| p.is_object()) else { return true };
            let other = field(entry, "variant");
            let variant = match (&self.variant, &other) {
                (Some(wanted), Some(has)) => wanted == has,
                _ => true,
            };
            field(entry, "os").as_deref() == Some(&self.os)
                && field(entry, "architecture").as_deref() == Some(&self.architecture)
                && variant
        };
        let mut found: Vec<&Value> = list.iter().filter(fits).collect();
        // Exactly the variant wanted first, then the plainest; arm's later variants run the earlier ones' programs.
        found.sort_by_key(|entry| {
            let variant = field(entry, "variant");
            (variant != self.variant, self.architecture != "arm" && variant.is_some())
        });
        found
    }
}

fn machine() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(platform: &str) -> Value {
        let parts: Vec<&str> = platform.split('/').collect();
        json!({"platform": {"os": parts[0], "architecture": parts[1], "variant": parts.get(2)}, "digest": platform})
    }

    #[test]
    fn the_platform_chooses_among_manifests() {
        let list: Vec<Value> = [
            "unknown/unknown",
            "linux/s390x",
            "linux/amd64/v3",
            "linux/amd64",
            "linux/arm64/v8",
            "linux/arm/v7",
        ]
        .map(entry)
        .into();
        for (wanted, chosen) in [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/amd64/v3", Some("linux/amd64/v3")),
            ("x86_64", Some("linux/amd64")),
            ("arm64", Some("linux/arm64/v8")),
            ("linux/arm64/v8", Some("linux/arm64/v8")),
            ("linux/arm", Some("linux/arm/v7")),
            ("linux/arm/v6", None),
            ("windows/amd64", None),
        ] {
            let found = Platform::new(Some(wanted)).choose(&list);
            assert_eq!(found.first().and_then(|e| e["digest"].as_str()), chosen, "{wanted}");
        }
        assert_eq!(Platform::new(None).shown(), format!("linux/{}", machine()));
    }
}
