//! Entries with Docker's payload, and how many of them one request has (`entries.write`).

use crate::attrs::attributes;
use crate::json_file::escape;
use crate::options::invalid;
use contract::PortError;
use contract::log::{Cursor, LogLine, LogSource, Mark, Options};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::ops::Range;

/// Most bytes of a text: the service takes entries of 256 KB, with what they say of their container. Longer lines are cut.
pub(super) const TEXT: usize = 192 * 1024;
/// Most bytes of that.
const ABOUT: usize = 48 * 1024;
/// Most bytes of one request where an entry is not longer by itself: the service takes 10 MB.
const REQUEST: usize = 4 << 20;
/// Docker's name of the log.
const LOG: &str = "gcplogs-docker-driver";

/// The machine that entries name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) zone: String,
    pub(super) name: String,
    pub(super) id: String,
}

impl Instance {
    fn json(&self) -> Value {
        let all = [("zone", &self.zone), ("name", &self.name), ("id", &self.id)];
        let known = all.into_iter().filter(|(_, value)| !value.is_empty());
        known.map(|(key, value)| (key.to_owned(), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
    }
}

/// What entries say of their container.
pub(super) fn container(source: &LogSource, options: &Options) -> Result<Value, PortError> {
    // Docker takes this word alone.
    let command = options.get("gcp-log-cmd").is_some_and(|text| text == "true");
    let created = Timestamp::from_nanosecond(source.created_ns.into()).unwrap_or_default();
    let all = [
        ("name", format!("/{}", source.container_name.trim_start_matches('/'))),
        ("id", source.container_id.clone()),
        ("imageName", source.image_name.clone()),
        ("imageId", source.image_id.clone()),
        ("created", created.to_string()),
        ("command", if command { source.command.clone() } else { String::new() }),
    ];
    let known = all.into_iter().filter(|(_, value)| !value.is_empty());
    let mut out: Map<String, Value> =
        known.map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
    let metadata = attributes(source, options)?;
    if !metadata.is_empty() {
        out.insert("metadata".to_owned(), json!(metadata));
    }
    let out = Value::Object(out);
    let long = out.to_string().len();
    if long > ABOUT {
        // The service would refuse each entry.
        let text = format!(
            "gcplogs: command, labels and environment make {long} bytes in each entry, more than {ABOUT}"
        );
        return Err(invalid(text));
    }
    Ok(out)
}

/// Makes requests of entries.
#[derive(Debug)]
pub(super) struct Writer {
    /// What precedes a request's entries.
    head: Vec<u8>,
    /// What precedes the text inside an entry's payload.
    payload: Vec<u8>,
}

/// A text that becomes one entry.
struct Piece<'a> {
    /// The line's place in its batch.
    line: usize,
    time_ns: i64,
    text: &'a [u8],
}

/// The entries of a batch.
pub(super) struct Entries<'a> {
    pieces: Vec<Piece<'a>>,
    /// What the ids of all of them begin with.
    prefix: String,
}

impl<'a> Entries<'a> {
    pub(super) fn new(lines: &'a [LogLine], prefix: String) -> Self {
        let mut pieces = Vec::with_capacity(lines.len());
        for (line, LogLine { data, time_ns, .. }) in lines.iter().enumerate() {
            let (text, mut rest) = data.split_at(start(data));
            pieces.push(Piece { line, time_ns: *time_ns, text });
            while !rest.is_empty() {
                let (text, after) = rest.split_at(start(rest));
                pieces.push(Piece { line, time_ns: *time_ns, text });
                rest = after;
            }
        }
        Self { pieces, prefix }
    }

    pub(super) fn count(&self) -> usize {
        self.pieces.len()
    }

    /// The line that an entry is of.
    pub(super) fn line(&self, at: usize) -> Option<usize> {
        self.pieces.get(at).map(|piece| piece.line)
    }

    /// What the service knows an entry by, together with its time: it shows those of one id once, and those of one time in the
    /// order of their ids. Counted from the batch's end: what comes again may begin elsewhere.
    fn id(&self, at: usize, text: &[u8]) -> String {
        let after = u32::try_from(self.pieces.len().saturating_sub(at)).unwrap_or(u32::MAX);
        format!("{}-{:08x}-{:08x}", self.prefix, u32::MAX - after, crc32fast::hash(text))
    }
}

/// A batch's end in digits that are in the order of the batches.
pub(super) fn place(end: &Cursor) -> String {
    let of = |mark: &Mark| format!("{:08x}{:08x}{:08x}", mark.at.segment, mark.at.offset, mark.skip);
    of(&end.stdout) + &of(&end.stderr)
}

/// Length of the longest start of `data` that makes no more than a text may have. Each bad byte becomes three.
fn start(data: &[u8]) -> usize {
    if data.len() <= TEXT / 3 {
        return data.len();
    }
    let (mut end, mut size) = (0, 0);
    for chunk in data.utf8_chunks() {
        let (valid, bad) = (chunk.valid(), chunk.invalid().len());
        let taken = valid.floor_char_boundary(TEXT - size);
        end += taken;
        size += taken;
        if taken < valid.len() {
            break;
        }
        let fit = bad.min((TEXT - size) / 3);
        end += fit;
        size += 3 * fit;
        if fit < bad {
            break;
        }
    }
    end
}

impl Writer {
    pub(super) fn new(project: &str, instance: &Instance, container: &Value) -> Self {
        let known = *instance != Instance::default();
        let resource = if known {
            let labels = json!({ "instance_id": instance.id, "zone": instance.zone });
            json!({ "type": "gce_instance", "labels": labels })
        } else {
            json!({ "type": "global", "labels": { "project_id": project } })
        };
        let name = format!("projects/{project}/logs/{LOG}");
        let head = json!({ "logName": name, "resource": resource, "partialSuccess": true }).to_string();
        let payload = if known {
            json!({ "instance": instance.json(), "container": container })
        } else {
            json!({ "container": container })
        };
        let open =
            |text: &str, more: &str| [text.strip_suffix('}').unwrap_or(text), more].concat().into_bytes();
        Self { head: open(&head, ",\"entries\":["), payload: open(&payload.to_string(), "") }
    }

    /// A request with the first entries of `part`, as many as it takes; how many those are. It takes at least one.
    pub(super) fn request(&self, entries: &Entries<'_>, part: Range<usize>) -> (Vec<u8>, usize) {
        let (mut out, mut count) = (self.head.clone(), 0);
        let pieces = entries.pieces.get(part.clone()).unwrap_or_default();
        for (at, piece) in part.zip(pieces) {
            let before = out.len();
            if count > 0 {
                out.push(b',');
            }
            self.append(piece, &entries.id(at, piece.text), &mut out);
            if count > 0 && out.len() > REQUEST {
                out.truncate(before);
                break;
            }
            count += 1;
        }
        out.extend_from_slice(b"]}");
        (out, count)
    }

    fn append(&self, piece: &Piece<'_>, id: &str, out: &mut Vec<u8>) {
        let time = Timestamp::from_nanosecond(piece.time_ns.into()).unwrap_or_default();
        let before = format!("{{\"timestamp\":\"{time}\",\"insertId\":\"{id}\",\"jsonPayload\":");
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(&self.payload);
        // Docker leaves an empty one out.
        if !piece.text.is_empty() {
            out.extend_from_slice(b",\"message\":\"");
            escape(piece.text, out);
            out.push(b'"');
        }
        out.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::{Position, Stream};

    fn line(time_ns: i64, data: impl Into<bytes::Bytes>) -> LogLine {
        LogLine { stream: Stream::Stdout, time_ns, data: data.into(), partial: None }
    }

    fn writer() -> Writer {
        Writer::new("p", &Instance::default(), &json!({ "id": "c" }))
    }

    fn read(request: &[u8]) -> Value {
        serde_json::from_slice(request).unwrap()
    }

    fn ids(lines: &[LogLine], prefix: &str) -> Vec<String> {
        let entries = Entries::new(lines, prefix.to_owned());
        let (request, count) = writer().request(&entries, 0..entries.count());
        assert_eq!(count, lines.len());
        let all = read(&request);
        all["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["insertId"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_request_has_dockers_payload() {
        let source = LogSource {
            container_id: "c1".into(),
            container_name: "web".into(),
            image_id: "sha256:1".into(),
            image_name: "busybox".into(),
            command: "sh -c true".into(),
            created_ns: 1_704_164_645_500_000_000,
            labels: [("app".to_owned(), "shop".to_owned())].into(),
            ..LogSource::default()
        };
        let options: Options =
            [("labels", "app"), ("gcp-log-cmd", "true")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let told = container(&source, &options).unwrap();
        let instance = Instance { zone: "z".into(), name: String::new(), id: "7".into() };
        let lines = [line(1_704_164_645_000_000_042, &b"a \"b\"\xff"[..]), line(0, "")];
        let entries = Entries::new(&lines, "x".into());
        let (request, _) = Writer::new("p", &instance, &told).request(&entries, 0..2);
        let said = json!({
            "name": "/web", "id": "c1", "imageName": "busybox", "imageId": "sha256:1",
            "created": "2024-01-02T03:04:05.5Z", "command": "sh -c true", "metadata": { "app": "shop" }
        });
        let payload = json!({ "instance": { "zone": "z", "id": "7" }, "container": said });
        let mut first = payload.clone();
        first["message"] = "a \"b\"\u{fffd}".into();
        let read = read(&request);
        assert_eq!(read["logName"], "projects/p/logs/gcplogs-docker-driver");
        let resource = json!({ "type": "gce_instance", "labels": { "instance_id": "7", "zone": "z" } });
        assert_eq!((&read["resource"], &read["partialSuccess"]), (&resource, &json!(true)));
        assert_eq!(read["entries"][0]["timestamp"], "2024-01-02T03:04:05.000000042Z");
        assert_eq!(
            (&read["entries"][0]["jsonPayload"], &read["entries"][1]["jsonPayload"]),
            (&first, &payload)
        );
        assert_eq!(container(&source, &Options::new()).unwrap().get("command"), None);
    }

    #[test]
    fn a_machine_that_is_not_known_is_not_named() {
        let lines = [line(1, "x")];
        let (request, _) = writer().request(&Entries::new(&lines, String::new()), 0..1);
        let read = read(&request);
        assert_eq!(read["resource"], json!({ "type": "global", "labels": { "project_id": "p" } }));
        assert_eq!(read["entries"][0]["jsonPayload"], json!({ "container": { "id": "c" }, "message": "x" }));
    }

    #[test]
    fn equal_lines_of_one_time_have_ids_of_their_own_in_their_order() {
        let three = [line(1, "same"), line(1, "same"), line(1, "same")];
        let first = ids(&three, &place(&Cursor::default()));
        assert!(first.is_sorted() && first[0] != first[1] && first[1] != first[2], "{first:?}");
        let at = |offset| Mark { at: Position { segment: 1, offset }, ..Mark::default() };
        let end = |out, err| place(&Cursor { stdout: at(out), stderr: at(err), pace: None });
        assert!(end(9, 4) < end(10, 4) && end(10, 4) < end(10, 11));
        assert!(first.last() < ids(&three, &end(9, 4)).first(), "the next batch comes after it");
    }

    #[test]
    fn lines_that_come_again_have_the_ids_that_they_had_wherever_the_batch_begins() {
        let all: Vec<LogLine> = (0..5).map(|n| line(n, format!("line {n}"))).collect();
        assert_eq!(ids(&all, "x")[2..], ids(&all[2..], "x"));
        assert_ne!(ids(&[line(1, "a")], "x"), ids(&[line(1, "b")], "x"));
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_bad_bytes_count_as_three() {
        let cut = |data: &[u8]| {
            let lines = [line(1, data.to_vec())];
            let entries = Entries::new(&lines, String::new());
            assert!((0..entries.count()).all(|at| entries.line(at) == Some(0)));
            entries.pieces.iter().map(|piece| piece.text.to_vec()).collect::<Vec<_>>()
        };
        let long = format!("a{}", "é".repeat(TEXT / 2));
        let pieces = cut(long.as_bytes());
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [TEXT - 1, 2]);
        assert_eq!(pieces.concat(), long.as_bytes());
        let bad = vec![0xff; TEXT];
        let pieces = cut(&bad);
        assert_eq!((pieces.len(), pieces.concat()), (3, bad));
        assert_eq!(cut(b""), [b""]);
    }

    #[test]
    fn requests_keep_the_services_limit() {
        let lines: Vec<LogLine> = (0..30).map(|n| line(n, vec![b'x'; TEXT])).collect();
        let entries = Entries::new(&lines, String::new());
        let (request, count) = writer().request(&entries, 0..30);
        assert!(request.len() <= REQUEST + 2 && count == 21, "{count} in {}", request.len());
        assert_eq!(read(&request)["entries"].as_array().unwrap().len(), count);
        assert_eq!(writer().request(&entries, count..30).1, 30 - count);
    }

    #[test]
    fn a_container_of_which_too_much_is_to_be_said_is_refused() {
        let source = LogSource { command: "x".repeat(ABOUT), ..LogSource::default() };
        let options = [("gcp-log-cmd".to_owned(), "true".to_owned())].into();
        let refused = container(&source, &options).unwrap_err();
        assert!(refused.chain().starts_with("gcplogs: command, labels and environment make "));
        container(&source, &Options::new()).unwrap();
    }
}
