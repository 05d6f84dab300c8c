//! Lines that a plugin gives back: frames as in its fifo, in the body of an answer.

use super::client::{CallError, Plugin};
use crate::http::reason;
use crate::local::proto::parse;
use contract::log::{RemoteLines, RemoteRequest, StoredLine};
use contract::{Kind, PortError};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Parts of an answer that wait for a slow reader.
const WAITING: usize = 8;
/// A frame that says it is longer is none.
const LONGEST: usize = 16 << 20;
/// Go's time that is none.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Docker's `ReadConfig`.
pub(super) fn config(request: &RemoteRequest) -> Value {
    let time = |ns: Option<i64>| {
        let time = ns.and_then(|ns| jiff::Timestamp::from_nanosecond(i128::from(ns)).ok());
        time.map_or_else(|| NEVER.to_owned(), |time| time.to_string())
    };
    json!({
        "Since": time(request.since_ns),
        "Until": time(request.until_ns),
        "Tail": request.tail.map_or(-1, |lines| i64::try_from(lines).unwrap_or(i64::MAX)),
        "Follow": request.follow,
    })
}

/// Reads until the plugin ends or nobody wants more. Plugins may answer only with the first line, so nobody waits for that.
pub(super) fn read(plugin: Plugin, info: Value, config: Value) -> RemoteLines {
    let (to, lines) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = give(&plugin, (&info, &config), &to) => ended,
            () = to.closed() => return,
        };
        if let Err(error) = ended {
            let error = PortError::caused(Kind::Unavailable, "error getting log reader", error);
            // Whoever asked may have left.
            to.send(Err(error)).await.ok();
        }
    });
    lines
}

async fn give(
    plugin: &Plugin,
    (info, config): (&Value, &Value),
    to: &mpsc::Sender<Result<Vec<StoredLine>, PortError>>,
) -> Result<(), CallError> {
    let mut answer = plugin.read(info, config).await?;
    let mut buffer = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(|e| plugin.unread(reason(e)))? {
        buffer.extend_from_slice(&bytes);
        let lines = decode(&mut buffer).ok_or_else(|| plugin.unread("it gives no log entries".into()))?;
        if !lines.is_empty() && to.send(Ok(lines)).await.is_err() {
            return Ok(());
        }
    }
    if buffer.is_empty() { Ok(()) } else { Err(plugin.unread("unexpected EOF".into())) }
}

/// Takes the whole frames off the front; none where something is no frame.
fn decode(buffer: &mut Vec<u8>) -> Option<Vec<StoredLine>> {
    let (mut lines, mut from) = (Vec::new(), 0);
    while let Some(head) = buffer.get(from..).and_then(|rest| rest.first_chunk::<4>()) {
        let length = u32::from_be_bytes(*head) as usize;
        if length > LONGEST {
            return None;
        }
        let Some(body) = buffer.get(from + 4..from + 4 + length) else { break };
        lines.push(line(body)?);
        from += 4 + length;
    }
    buffer.drain(..from);
    Some(lines)
}

/// A line as any reader gives it: with LF where it ends.
fn line(body: &[u8]) -> Option<StoredLine> {
    let mut stored = parse(body)?;
    let data = &mut stored.line.data;
    if data.ends_with(b"\n\n") {
        // Plugins that keep lines as Docker's files do give them back with their LF.
        data.truncate(data.len() - 1);
    } else if stored.line.partial.as_ref().is_some_and(|piece| piece.last) && !data.ends_with(b"\n") {
        // Plugins are given the last piece marked as the others.
        *data = [&data[..], b"\n"].concat().into();
    }
    Some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::proto::entry;
    use contract::log::{LogLine, Partial, Stream};

    fn frame(text: &str, partial: Option<Partial>) -> Vec<u8> {
        let mut body = Vec::new();
        let line = LogLine { stream: Stream::Stderr, time_ns: 7, data: text.to_owned().into(), partial };
        entry(&line, line.partial.is_some(), &mut body);
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    }

    #[test]
    fn lines_that_a_plugin_gives_back_end_with_one_lf_however_it_keeps_them() {
        let piece = |ordinal, last| Some(Partial { id: "x".into(), ordinal, last });
        let frames = [
            frame("one", None),
            frame("two\n", None),
            frame("", None),
            frame("lo", piece(1, false)),
            frame("ng", piece(2, true)),
        ];
        let (mut buffer, mut lines) = (Vec::new(), Vec::new());
        // However the answer is cut.
        for byte in frames.concat() {
            buffer.push(byte);
            lines.extend(decode(&mut buffer).unwrap());
        }
        let text: Vec<&[u8]> = lines.iter().map(|l| &l.line.data[..]).collect();
        assert_eq!(text, [&b"one\n"[..], b"two\n", b"\n", b"lo", b"ng\n"]);
        assert!(lines.iter().all(|l| l.line.stream == Stream::Stderr && l.line.time_ns == 7));
        assert!(buffer.is_empty());
        assert!(decode(&mut vec![0xff; 8]).is_none(), "no frame is so long");
    }

    #[test]
    fn what_is_asked_of_a_plugin_is_written_as_docker_writes_it() {
        let all = config(&RemoteRequest::default());
        assert_eq!(all, json!({"Since": NEVER, "Until": NEVER, "Tail": -1, "Follow": false}));
        let some =
            RemoteRequest { since_ns: Some(1_500_000_000), until_ns: None, tail: Some(5), follow: true };
        let told = json!({"Since": "1970-01-01T00:00:01.5Z", "Until": NEVER, "Tail": 5, "Follow": true});
        assert_eq!(config(&some), told);
    }
}
