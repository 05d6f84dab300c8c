//! Lines that a plugin gives back: frames as in its fifo, in the body of an answer.

use super::Places;
use super::client::{CallError, Plugin};
use super::loggers::{Logger, SENT};
use crate::http::reason;
use crate::local::proto::read_entry;
use contract::log::{RemoteLines, RemoteRequest, StoredLine};
use contract::{Kind, PortError};
use reqwest::Response;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Parts of an answer that wait for a slow reader.
const WAITING: usize = 8;
/// A frame that says it is longer is none.
const LONGEST: usize = 16 << 20;
/// Docker's longest piece of a line, bytes.
const PIECE: usize = 16 * 1024;
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

/// One reading of a container's lines.
pub(super) struct Reading {
    pub(super) plugin: Plugin,
    pub(super) places: Arc<Places>,
    pub(super) logger: Arc<Logger>,
    /// What the plugin is told of the container,
    pub(super) info: Value,
    /// and what is wanted of its lines.
    pub(super) config: Value,
}

type Given = mpsc::Sender<Result<Vec<StoredLine>, PortError>>;

/// Docker's text where a plugin's lines cannot be read.
pub(super) fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::caused(Kind::Bug, "error getting log reader", error)
}

/// Reads until the plugin ends or nobody wants more. Plugins may answer only with the first line, so nobody waits for that.
pub(super) fn read(reading: Reading) -> RemoteLines {
    let (to, lines) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        if let Err(error) = give(Arc::new(reading), &to).await {
            // Whoever asked may have left.
            to.send(Err(unreadable(error))).await.ok();
        }
    });
    lines
}

/// Gives what the plugin has. One that no sink tells of the container is told of it for as long as that takes.
async fn give(reading: Arc<Reading>, to: &Given) -> Result<(), CallError> {
    let Reading { plugin, places, logger, info, .. } = &*reading;
    let mut refused = None;
    if logger.is_sent() {
        match reading.ask(to).await {
            // The container's end may have come in between.
            Err(error @ CallError::Told { .. }) => refused = Some(error),
            Err(error) => return Err(error),
            Ok(answer) => return reading.pass(answer, to).await,
        }
    }
    let lent = tokio::select! {
        lent = logger.lent() => lent,
        // A plugin that hangs takes its time over each.
        () = to.closed() => return Ok(()),
    };
    if !logger.lend(lent, plugin, places, info).await? {
        // A sink has come first, or is still there.
        return match refused {
            Some(refused) => Err(refused),
            None => reading.ask_and_pass(to).await,
        };
    }
    let given = tokio::select! {
        given = reading.ask_and_pass(to) => given,
        () = logger.is_wanted() => Err(plugin.unread(SENT)),
    };
    // Whoever reads has everything, and does not wait for that.
    let lent = Arc::clone(&reading);
    tokio::spawn(async move { lent.logger.give_back(&lent.plugin).await });
    given
}

impl Reading {
    async fn ask_and_pass(&self, to: &Given) -> Result<(), CallError> {
        let answer = self.ask(to).await?;
        self.pass(answer, to).await
    }

    /// The plugin's answer, none where nobody wants it any more.
    async fn ask(&self, to: &Given) -> Result<Option<Response>, CallError> {
        tokio::select! {
            answer = self.plugin.read(&self.info, &self.config) => answer.map(Some),
            () = to.closed() => Ok(None),
        }
    }

    async fn pass(&self, answer: Option<Response>, to: &Given) -> Result<(), CallError> {
        let Some(mut answer) = answer else { return Ok(()) };
        let (mut buffer, mut ends) = (Vec::new(), Ends::default());
        loop {
            let part = tokio::select! {
                part = answer.chunk() => part.map_err(|e| self.plugin.unread(reason(e)))?,
                () = to.closed() => return Ok(()),
            };
            let Some(bytes) = part else { break };
            buffer.extend_from_slice(&bytes);
            let lines = decode(&mut buffer, &mut ends);
            let lines = lines.ok_or_else(|| self.plugin.unread("it gives no log entries"))?;
            if !lines.is_empty() && to.send(Ok(lines)).await.is_err() {
                return Ok(());
            }
        }
        if buffer.is_empty() { Ok(()) } else { Err(self.plugin.unread("unexpected EOF")) }
    }
}

/// What a plugin's entries have at the ends of lines; the first one shows it that is no piece of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ends {
    #[default]
    Unknown,
    /// The LF, as in Docker's files: what has none goes on.
    Feeds,
    /// Nothing, as in what the plugin was given.
    Nothing,
}

/// Takes the whole frames off the front; none where something is no frame.
fn decode(buffer: &mut Vec<u8>, ends: &mut Ends) -> Option<Vec<StoredLine>> {
    let (mut lines, mut from) = (Vec::new(), 0);
    while let Some(head) = buffer.get(from..).and_then(|rest| rest.first_chunk::<4>()) {
        let length = u32::from_be_bytes(*head) as usize;
        if length > LONGEST {
            return None;
        }
        let Some(body) = buffer.get(from + 4..from + 4 + length) else { break };
        lines.push(line(body, ends)?);
        from += 4 + length;
    }
    buffer.drain(..from);
    Some(lines)
}

/// A line as any reader gives it: with LF where it ends.
fn line(body: &[u8], ends: &mut Ends) -> Option<StoredLine> {
    let mut entry = read_entry(body)?;
    let feeds = entry.data.ends_with(b"\n");
    let ended = match &entry.partial {
        // Plugins are given the last piece marked as the others.
        Some(piece) => piece.last,
        None if entry.unfinished => false,
        // Those that keep lines in Docker's files give pieces back without a mark.
        None if !feeds && entry.data.len() == PIECE => false,
        None => {
            if *ends == Ends::Unknown {
                *ends = if feeds { Ends::Feeds } else { Ends::Nothing };
            }
            *ends == Ends::Nothing
        }
    };
    if ended && !feeds {
        entry.data.push(b'\n');
    }
    Some(entry.stored())
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
        let (mut buffer, mut lines, mut ends) = (Vec::new(), Vec::new(), Ends::default());
        // However the answer is cut.
        for byte in frames.concat() {
            buffer.push(byte);
            lines.extend(decode(&mut buffer, &mut ends).unwrap());
        }
        let text: Vec<&[u8]> = lines.iter().map(|l| &l.line.data[..]).collect();
        assert_eq!(text, [&b"one\n"[..], b"two\n", b"\n", b"lo", b"ng\n"]);
        assert!(lines.iter().all(|l| l.line.stream == Stream::Stderr && l.line.time_ns == 7));
        assert!(buffer.is_empty());
        assert!(decode(&mut vec![0xff; 8], &mut ends).is_none(), "no frame is so long");
    }

    #[test]
    fn a_long_line_that_a_plugin_keeps_in_dockers_files_is_not_torn() {
        // Each of its pieces got an LF: nothing marks them.
        let long = "x".repeat(PIECE);
        let text = |frames: &[Vec<u8>]| {
            let lines = decode(&mut frames.concat(), &mut Ends::default()).unwrap();
            lines.iter().flat_map(|l| l.line.data.to_vec()).map(char::from).collect::<String>()
        };
        let pieces = [frame(&long, None), frame(&long, None), frame("end\n", None), frame("prompt> ", None)];
        let whole = format!("{long}{long}end\n");
        assert_eq!(text(&pieces[..3]), whole);
        assert_eq!(text(&pieces), format!("{whole}prompt> "), "what had no end has none");
        let last = Partial { id: "x".into(), ordinal: 2, last: true };
        let given = [frame("one", None), frame("two", None), frame("last", Some(last))];
        assert_eq!(text(&given), "one\ntwo\nlast\n", "others give no LF");
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
