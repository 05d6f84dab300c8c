//! A build's lines as Docker's clients read them.

use super::super::hijack::tokio_stream;
use super::super::images::{line, progress_value, stream_response};
use super::super::status::{Answer, Failure};
use axum::body::Body;
use axum::http::StatusCode;
use build::{Line, Running};
use contract::ImageId;
use contract::archive::Stream;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json as object};
use tokio::sync::{mpsc, oneshot};
use tokio_util::io::StreamReader;

type Outcome = oneshot::Receiver<Result<ImageId, build::Failure>>;

/// A request's body to be read.
pub fn content(body: Body) -> Stream {
    Box::new(StreamReader::new(Box::pin(body.into_data_stream().map_err(std::io::Error::other))))
}

fn value(told: &Line) -> Value {
    match told {
        Line::Text(text) => object!({ "stream": text }),
        // As Docker, in red.
        Line::Warning(text) => object!({ "stream": format!("\u{1b}[91m{text}\u{1b}[0m") }),
        Line::Image(id) => object!({ "aux": { "ID": id } }),
        Line::Progress(progress) => progress_value(progress),
    }
}

fn failed(failure: &build::Failure) -> Value {
    let text = failure.error.chain();
    let mut detail = object!({ "message": text });
    if failure.code != 0 {
        detail = object!({ "code": failure.code, "message": text });
    }
    object!({ "errorDetail": detail, "error": text })
}

async fn ended(outcome: Outcome) -> Result<ImageId, build::Failure> {
    outcome.await.unwrap_or_else(|_| Err(Running::interrupted()))
}

/// What fails before the first line is the answer's status, later it is a line of its own.
pub async fn answer(mut lines: mpsc::Receiver<Line>, outcome: Outcome) -> Answer {
    let Some(first) = lines.recv().await else {
        return match ended(outcome).await {
            Ok(_) => Ok(stream_response(Body::empty())),
            Err(failure) => Err(refused(failure)),
        };
    };
    let told = futures::stream::once(async move { first }).chain(tokio_stream(lines));
    let end = futures::stream::once(ended(outcome))
        .filter_map(|outcome| async move { outcome.err().map(|f| failed(&f)) });
    let all = told.map(|l| value(&l)).chain(end).map(|v| Ok::<_, std::convert::Infallible>(line(&v)));
    Ok(stream_response(Body::from_stream(all)))
}

/// To Docker's clients what a build wants of elsewhere is not what they asked for.
fn refused(failure: build::Failure) -> Failure {
    let failure = Failure::from(failure.error);
    match failure.status() {
        StatusCode::NOT_FOUND
        | StatusCode::FORBIDDEN
        | StatusCode::CONFLICT
        | StatusCode::SERVICE_UNAVAILABLE => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, failure.text()),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Kind, PortError};

    #[test]
    fn a_commands_exit_code_is_told_with_the_error() {
        let error = || PortError::new(Kind::Bug, "x");
        let told = failed(&build::Failure { code: 7, error: error() });
        assert_eq!(told, object!({ "errorDetail": { "code": 7, "message": "x" }, "error": "x" }));
        let told = failed(&build::Failure { code: 0, error: error() });
        assert_eq!(told, object!({ "errorDetail": { "message": "x" }, "error": "x" }));
    }
}
