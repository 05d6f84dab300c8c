//! Whether an image is for the platform it was asked for.

use contract::image::ImageSummary;

/// `os/architecture[/variant]` in its usual form: `arm64` alone means `linux/arm64`, uname's names are understood.
fn usual(text: &str) -> (String, String, String) {
    let text = text.to_lowercase();
    let mut parts = text.split('/');
    let first = parts.next().unwrap_or_default().to_owned();
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let (os, architecture) = match parts.next() {
        Some(architecture) => (first, architecture.to_owned()),
        None if matches!(first.as_str(), "linux" | "windows" | "darwin" | "freebsd") => {
            (first, machine.to_owned())
        }
        None => ("linux".to_owned(), first),
    };
    let architecture = match architecture.as_str() {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i686" => "386",
        other => other,
    };
    let variant = parts.next().unwrap_or_default();
    // Of arm64 there is one variant, and nobody need name it.
    let variant = if architecture == "arm64" && variant == "v8" { "" } else { variant };
    (os, architecture.to_owned(), variant.to_owned())
}

fn shown((os, architecture, variant): &(String, String, String)) -> String {
    let variant = if variant.is_empty() { String::new() } else { format!("/{variant}") };
    format!("{os}/{architecture}{variant}")
}

/// Docker's text for an image that is for another platform than the one asked for.
pub fn mismatch(reference: &str, wanted: &str, image: &ImageSummary) -> Option<String> {
    let field = |key: &str| image.config.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let wanted = usual(wanted);
    let actual = usual(&format!("{}/{}/{}", field("os"), field("architecture"), field("variant")));
    let fits = wanted.0 == actual.0
        && wanted.1 == actual.1
        && (wanted.2.is_empty() || actual.2.is_empty() || wanted.2 == actual.2);
    // An image that does not say fits everywhere.
    (!fits && !actual.0.is_empty() && !actual.1.is_empty()).then(|| {
        format!(
            "image with reference {reference} was found but does not match the specified platform: wanted {}, actual: {}",
            shown(&wanted),
            shown(&actual)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_for_another_platform_is_told_in_dockers_words() {
        let config = serde_json::json!({ "os": "linux", "architecture": "amd64" });
        let image = ImageSummary { config, ..ImageSummary::default() };
        for fits in ["linux/amd64", "amd64", "x86_64", "linux", "linux/amd64/v3"] {
            assert_eq!(mismatch("a:1", fits, &image), None, "{fits}");
        }
        let text = "image with reference a:1 was found but does not match the specified platform: wanted linux/arm64, \
                    actual: linux/amd64";
        assert_eq!(mismatch("a:1", "linux/arm64/v8", &image).as_deref(), Some(text));
        assert_eq!(mismatch("a:1", "linux/arm64", &ImageSummary::default()), None);
    }
}
