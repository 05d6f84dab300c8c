//! Platforms that requests name.

use super::super::query::Query;
use contract::image::{ImageSummary, WantedPlatform};
use contract::{Kind, PortError};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// A platform as the API's JSON has it (OCI image specification, "Platform").
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: String,
    #[serde(rename = "os.version")]
    version: String,
    #[serde(rename = "os.features")]
    features: Vec<String>,
}

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// The parameter `platform` of a request, if it has one.
pub fn asked(query: &Query) -> Result<Option<Platform>, PortError> {
    let Some(text) = query.text("platform") else { return Ok(None) };
    let platform: Platform = serde_json::from_str(text)
        .map_err(|error| PortError::caused(Kind::Invalid, "failed to parse platform", error))?;
    let optional = [&platform.variant, &platform.version].iter().any(|t| !t.is_empty());
    match (platform.os.is_empty(), platform.architecture.is_empty()) {
        (false, false) => Ok(Some(platform)),
        (true, true) if optional || !platform.features.is_empty() => {
            Err(invalid("optional platform fields provided, but OS and Architecture are missing"))
        }
        _ => Err(invalid("both OS and Architecture must be provided")),
    }
}

/// Architecture and variant of a platform as command lines have it (`linux/arm64`, `linux`, `arm/v7`), by the rules of
/// containerd's platforms.
pub fn machine(text: &str) -> Result<(String, String), PortError> {
    let text = text.to_lowercase();
    let plain = |p: &&str| {
        !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    };
    let parts: Vec<&str> = text.split('/').collect();
    if let Some(bad) = parts.iter().find(|p| !plain(p)) {
        return Err(invalid(format!("{bad:?} is an invalid component of {text:?}: invalid argument")));
    }
    let known = |word: &str| {
        let (word, _) = normal(word, "");
        ["amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le"]
            .contains(&word.as_str())
    };
    let (os, architecture, variant) = match *parts.as_slice() {
        [one] if known(one) => ("linux", one, ""),
        [one] if matches!(one, "linux" | "windows" | "darwin" | "freebsd") => (one, "", ""),
        [one] => {
            let text = format!("{one:?}: unknown operating system or architecture: invalid argument");
            return Err(invalid(text));
        }
        [architecture, variant] if known(architecture) => ("linux", architecture, variant),
        [os, architecture] => (os, architecture, ""),
        [os, architecture, variant] => (os, architecture, variant),
        _ => return Err(invalid(format!("{text:?}: cannot parse platform specifier: invalid argument"))),
    };
    if os != "linux" {
        return Err(invalid("operating system is not supported"));
    }
    let (name, variant) = normal(architecture, variant);
    // Of arm64 there is one variant, and nobody need name it.
    Ok((name.clone(), if name == "arm64" && variant == "v8" { String::new() } else { variant }))
}

/// Names and machines' own words for one architecture, with the variant they imply.
fn normal(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, implied) = match architecture {
        "x86_64" | "x86-64" => ("amd64", ""),
        "aarch64" => ("arm64", "v8"),
        "armhf" => ("arm", "v7"),
        "armel" => ("arm", "v6"),
        "i386" => ("386", ""),
        other => (other, ""),
    };
    let variant = if variant.is_empty() { implied } else { variant };
    let variant = match (architecture, variant) {
        ("arm64", "") => "v8",
        ("arm", "") => "v7",
        ("amd64", "v1") => "",
        (_, variant) => variant,
    };
    (architecture.to_owned(), variant.to_owned())
}

fn shown(os: &str, architecture: &str, variant: &str) -> String {
    let parts = [os, architecture, variant];
    parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join("/")
}

impl Platform {
    /// Whether an image's configuration, or what an index says of it, is for this one.
    fn fits(&self, described: &Value) -> bool {
        let of = |key: &str| described.get(key).and_then(Value::as_str).unwrap_or_default();
        let (os, architecture, variant) = (of("os"), of("architecture"), of("variant"));
        let (own, wanted) = (normal(architecture, variant), normal(&self.architecture, &self.variant));
        // An image that does not tell its variant may be of any.
        (os.is_empty() || os == self.os) && own.0 == wanted.0 && (variant.is_empty() || own.1 == wanted.1)
    }

    /// What is wanted of an archive.
    pub fn wanted(self) -> WantedPlatform {
        let shown = shown(&self.os, &self.architecture, &self.variant);
        WantedPlatform { shown, fits: Arc::new(move |described| self.fits(described)) }
    }

    /// Refuses to save an image that is for another one, in Docker's words.
    pub fn exported(&self, image: &ImageSummary) -> Result<(), PortError> {
        self.check("", image).map_err(|error| {
            let wanted = shown(&self.os, &self.architecture, &self.variant);
            PortError::new(error.kind, format!("no suitable export target found for platform {wanted}"))
        })
    }

    /// Refuses an image that is for another one, in Docker's words.
    pub fn check(&self, name: &str, image: &ImageSummary) -> Result<(), PortError> {
        if self.fits(&image.config) {
            return Ok(());
        }
        let of = |key: &str| image.config.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        let (os, architecture, variant) = (of("os"), of("architecture"), of("variant"));
        let text = format!(
            "image with reference {name} was found but its platform ({}) does not match the specified platform ({})",
            shown(os, architecture, variant),
            shown(&self.os, &self.architecture, &self.variant)
        );
        Err(PortError::new(Kind::NotFound, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Platform>, PortError> {
        let encoded: String = text.bytes().map(|b| format!("%{b:02x}")).collect();
        asked(&Query::parse(Some(&format!("platform={encoded}"))))
    }

    #[test]
    fn platforms_of_command_lines_are_understood_or_refused() {
        let read = |text: &str| machine(text).map(|(a, v)| format!("{a}:{v}")).map_err(|e| e.text);
        for (text, shown) in
            [("linux/arm64/v8", "arm64:"), ("linux", ":"), ("arm/v6", "arm:v6"), ("Linux/x86_64", "amd64:")]
        {
            assert_eq!(read(text).unwrap(), shown, "{text}");
        }
        assert_eq!(read("windows/amd64").unwrap_err(), "operating system is not supported");
        for wrong in ["foobar", "", "linux//", "a/b/c/d"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn platforms_are_whole_or_refused() {
        assert_eq!(asked(&Query::parse(Some("x=1"))).unwrap(), None);
        for text in ["linux/amd64", r#"{"os":"linux"}"#, r#"{"variant":"v7"}"#, "{}"] {
            assert_eq!(read(text).unwrap_err().kind, Kind::Invalid, "{text}");
        }
        let platform = read(r#"{"os":"linux","architecture":"arm64"}"#).unwrap().unwrap();
        let image = |architecture: &str| ImageSummary {
            config: serde_json::json!({ "os": "linux", "architecture": architecture }),
            ..ImageSummary::default()
        };
        platform.check("a:1", &image("arm64")).unwrap();
        assert_eq!(
            platform.check("a:1", &image("amd64")).unwrap_err().text,
            "image with reference a:1 was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)"
        );
    }
}
