//! The body of every refusal.

use serde::{Deserialize, Serialize};

/// `{"message": …}` (Docker Engine API, `ErrorResponse`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What the user reads.
    pub message: String,
}

impl ErrorBody {
    /// The text of a refusal's body, whoever wrote it: JSON's `message`, else the text itself, else the status.
    pub fn read(body: &[u8], status: u16) -> String {
        match serde_json::from_slice::<Self>(body) {
            Ok(error) => error.message,
            Err(_) if body.trim_ascii().is_empty() => format!("status {status}"),
            Err(_) => String::from_utf8_lossy(body.trim_ascii()).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorBody;

    #[test]
    fn refusals_are_read_from_the_error_body_or_taken_as_they_are() {
        assert_eq!(ErrorBody::read(b"{\"message\":\"No such container: x\"}\n", 404), "No such container: x");
        assert_eq!(ErrorBody::read(b"page not found\n", 404), "page not found");
        assert_eq!(ErrorBody::read(b"", 500), "status 500");
    }
}
