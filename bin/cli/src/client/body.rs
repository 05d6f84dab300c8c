//! Answers that come piece by piece, and the words of queries.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::ClientError;

/// An answer that is still being written.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    pending: Vec<u8>,
}

impl Body {
    /// The body of an answer whose head has come.
    pub fn new(incoming: Incoming) -> Self {
        Self { incoming, pending: Vec::new() }
    }

    /// The next bytes, or `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.incoming.frame().await {
            if let Ok(data) = frame.map_err(ClientError::Connection)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The next JSON value of a stream with one a line.
    pub async fn json(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    return serde_json::from_slice(&line).map(Some).map_err(ClientError::Json);
                }
                continue;
            }
            match self.chunk().await? {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None if self.pending.trim_ascii().is_empty() => return Ok(None),
                None => {
                    let rest = std::mem::take(&mut self.pending);
                    return serde_json::from_slice(&rest).map(Some).map_err(ClientError::Json);
                }
            }
        }
    }
}

/// Percent-encodes one path segment or query value.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' => {
                out.push(byte as char)
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A query string of the pairs that have a value.
pub fn query(pairs: &[(&str, Option<String>)]) -> String {
    let parts: Vec<String> = pairs
        .iter()
        .filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={}", encode(value))))
        .collect();
    parts.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_keep_only_what_is_set() {
        let pairs = [("a", Some("x y&z".to_owned())), ("b", None), ("c", Some("1".to_owned()))];
        assert_eq!(query(&pairs), "a=x%20y%26z&c=1");
    }
}
