//! What the fuzz targets in `tests/fuzz` drive; not for others. Panics are findings.

use crate::auth::{Ask, Lasting, Token, challenges, present, refresh};
use crate::fault::Fault;
use crate::manifest::{Descriptor, MAX_LAYERS, diff_ids, parts, read};
use crate::platform::Platform;
use contract::image::Credentials;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use std::time::SystemTime;

/// Reads a registry's document: its type in the first line, then itself. What comes of it names nothing but digests.
///
/// # Errors
/// Why it is no manifest, index or configuration.
pub fn manifest(input: &[u8]) -> Result<(), String> {
    let end = input.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (media, body) = input.split_at(end);
    let media = String::from_utf8_lossy(media);
    let whole = |descriptor: &Descriptor| {
        let hex = descriptor.digest.strip_prefix("sha256:").unwrap_or_default();
        assert!(hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{descriptor:?}");
        assert_eq!(descriptor.short().len(), 12);
    };
    let text = |fault: Fault| fault.to_string();
    if let Ok(ids) = diff_ids(body) {
        assert!(ids.iter().all(|id| id.len() == 71));
    }
    let document = read("latest", &media, body).map_err(text)?;
    if let Some(list) = document.get("manifests") {
        assert!(document.get("layers").is_none() && document.get("config").is_none());
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        for wanted in [None, Some("linux/arm/v7"), Some("arm64"), Some("windows/amd64")] {
            let chosen = Platform::new(wanted).choose(list);
            assert!(chosen.len() <= list.len());
            chosen.iter().filter_map(|entry| Descriptor::read(entry).ok()).for_each(|d| whole(&d));
        }
        return Ok(());
    }
    let (config, layers) = parts(&document).map_err(text)?;
    assert!(layers.len() <= MAX_LAYERS);
    layers.iter().chain([&config]).for_each(whole);
    Ok(())
}

/// Reads `WWW-Authenticate` headers, one a line, and asks the token servers that they name; the same bytes are then what one
/// answers. Answers how many could be asked.
pub fn challenge(input: &[u8]) -> usize {
    let lines = input.split(|b| *b == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        headers.append(WWW_AUTHENTICATE, line);
    }
    let found = challenges(&headers);
    assert!(found.len() <= input.len());
    let me = Credentials { username: "u".into(), password: "p".into(), ..Default::default() };
    let scopes = ["repository:a:pull".to_owned()];
    let asked = found.iter().flat_map(|challenge| {
        assert!(!challenge.scheme.contains([' ', '\t', ',', '=']));
        [
            present(challenge, &scopes, Some(&me), Lasting::Wanted),
            present(challenge, &[], None, Lasting::Unwanted),
            refresh(challenge, &scopes, "identity"),
        ]
    });
    let asked = asked.flatten().map(|ask| {
        let (Ask::Get { url, .. } | Ask::Post { url, .. }) = ask;
        assert!(matches!(url.scheme(), "http" | "https"), "{url}");
    });
    let asked = asked.count();
    if let Ok(token) = Token::read(input, SystemTime::now()) {
        assert!(!token.text.is_empty());
        let _either = token.holds(SystemTime::now());
    }
    asked
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Each input of a target's corpus.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
        let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let inputs: Vec<_> = files.map(|path| std::fs::read(path).unwrap()).collect();
        assert!(!inputs.is_empty());
        inputs
    }

    #[test]
    fn manifests_of_the_corpus_are_read_or_refused() {
        let outcomes: Vec<bool> = corpus("manifest").iter().map(|i| super::manifest(i).is_ok()).collect();
        assert!(outcomes.contains(&true) && outcomes.contains(&false));
    }

    #[test]
    fn challenges_of_the_corpus_lead_to_token_servers_or_nowhere() {
        let outcomes: Vec<usize> = corpus("challenge").iter().map(|i| super::challenge(i)).collect();
        assert!(outcomes.contains(&0) && outcomes.iter().any(|asked| *asked > 0));
    }
}
