//! What the service's answers mean for the entries of a request.

use crate::http::Said;
use reqwest::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What became of the entries of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The service has all of it.
    Taken,
    /// It has all but the entries at these places, which it never takes.
    Refused(Vec<usize>, String),
    /// It takes none of it; which entry is wrong, or whether it is too much, it does not say.
    Unclear(String),
}

/// What an answer says that is not about entries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The token is not taken any more.
    Stranger(String),
    /// The same may be taken later.
    Later(String),
}

/// Codes of `google.rpc.Code` that are about an entry: INVALID_ARGUMENT and OUT_OF_RANGE.
const ABOUT_ENTRIES: [i32; 2] = [3, 11];
/// The same as names. Other answers of status 400 are about how the project is set up.
const NAMES: [&str; 2] = ["INVALID_ARGUMENT", "OUT_OF_RANGE"];

#[derive(Debug, Default, Deserialize)]
struct Told {
    error: Error,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Error {
    message: String,
    status: String,
    details: Vec<Detail>,
}

/// `google.logging.v2.WriteLogEntriesPartialErrors`, or a detail without what is asked for here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    #[serde(rename = "logEntryErrors")]
    entries: BTreeMap<usize, Status>,
}

/// `google.rpc.Status`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: i32,
    message: String,
}

/// What `said` means for the entries of a request with so many.
pub(super) fn verdict(said: &Said, count: usize) -> Result<Verdict, Failure> {
    let status = said.status;
    if status.is_success() {
        return Ok(Verdict::Taken);
    }
    let error = serde_json::from_slice::<Told>(&said.body).unwrap_or_default().error;
    let told = if error.message.is_empty() {
        format!("{status} - {}", String::from_utf8_lossy(&said.body).trim())
    } else {
        format!("{status} - {}", error.message)
    };
    let wrong: BTreeMap<usize, Status> = error.details.into_iter().flat_map(|d| d.entries).collect();
    if let Some(first) = wrong.values().next() {
        // One that may be taken later is sent again with all the others, which the service knows by their ids.
        if wrong.iter().any(|(at, entry)| *at >= count || !ABOUT_ENTRIES.contains(&entry.code)) {
            return Err(Failure::Later(told));
        }
        let why = format!("{status} - {}", first.message);
        return Ok(Verdict::Refused(wrong.keys().copied().collect(), why));
    }
    match status {
        StatusCode::UNAUTHORIZED => Err(Failure::Stranger(told)),
        StatusCode::PAYLOAD_TOO_LARGE => Ok(Verdict::Unclear(told)),
        // Where no entry at all is written, the service does not tell which are wrong.
        StatusCode::BAD_REQUEST if error.status.is_empty() || NAMES.contains(&error.status.as_str()) => {
            Ok(Verdict::Unclear(told))
        }
        _ => Err(Failure::Later(told)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(status: u16, body: &str) -> Result<Verdict, Failure> {
        let status = StatusCode::from_u16(status).unwrap();
        verdict(&Said { status, after: None, body: body.to_owned().into() }, 3)
    }

    fn error(status: &str, details: Value) -> String {
        json!({ "error": { "code": 400, "message": "why", "status": status, "details": details } })
            .to_string()
    }

    fn partial(codes: Value) -> String {
        let kind = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors";
        let help = json!({ "@type": "type.googleapis.com/google.rpc.Help", "links": [] });
        error("INVALID_ARGUMENT", json!([help, { "@type": kind, "logEntryErrors": codes }]))
    }

    #[test]
    fn entries_that_are_refused_are_named_and_cost_no_others() {
        let codes = json!({ "0": { "code": 3, "message": "too old" }, "2": { "code": 11 } });
        let wanted = Verdict::Refused(vec![0, 2], "400 Bad Request - too old".into());
        assert_eq!(of(400, &partial(codes)), Ok(wanted));
        assert_eq!(of(200, "{}"), Ok(Verdict::Taken));
    }

    #[test]
    fn an_entry_that_may_be_taken_later_is_not_given_up() {
        let later = Err(Failure::Later("400 Bad Request - why".into()));
        for codes in [
            json!({ "0": { "code": 3 }, "1": { "code": 7 } }),
            json!({ "1": { "code": 14 } }),
            json!({ "3": { "code": 3 } }),
        ] {
            assert_eq!(of(400, &partial(codes.clone())), later, "{codes}");
        }
    }

    #[test]
    fn a_request_of_which_nothing_was_written_does_not_say_what_is_wrong() {
        let unclear = Ok(Verdict::Unclear("400 Bad Request - why".into()));
        assert_eq!(of(400, &error("INVALID_ARGUMENT", json!([]))), unclear);
        assert_eq!(of(400, "<html>"), Ok(Verdict::Unclear("400 Bad Request - <html>".into())));
        assert!(matches!(of(413, ""), Ok(Verdict::Unclear(_))));
    }

    #[test]
    fn what_is_about_the_project_the_token_or_the_service_costs_no_line() {
        assert!(matches!(of(401, "{}"), Err(Failure::Stranger(_))));
        for (status, name) in [
            (400, "FAILED_PRECONDITION"),
            (403, "PERMISSION_DENIED"),
            (404, "NOT_FOUND"),
            (429, "RESOURCE_EXHAUSTED"),
            (500, "INTERNAL"),
            (503, "UNAVAILABLE"),
        ] {
            assert!(matches!(of(status, &error(name, json!([]))), Err(Failure::Later(_))), "{status}");
        }
    }
}
