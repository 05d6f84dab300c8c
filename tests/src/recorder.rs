//! A daemon that only writes down what it is asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::process::{Output, run};
use crate::program;

const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// One request: what, where, and its body without what means nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Method and path, without the version.
    pub what: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
    /// The body, if it is JSON.
    pub body: Value,
}

/// A daemon that has one container and agrees to everything.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Recorder {
    /// Starts one, with a folder of this name for its files.
    pub fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gantry-parity-{}-{name}", std::process::id()));
        // Left by a process that was killed and had this one's number.
        let _earlier = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let listener = UnixListener::bind(folder.join("s")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let record = Arc::clone(&record);
                std::thread::spawn(move || serve(stream, &record));
            }
        });
        Self { folder, asked }
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs a client to its end; what it asked, and how it ended.
    #[track_caller]
    pub fn run(&self, client: impl AsRef<Path>, arguments: &[String]) -> (Vec<Asked>, Output) {
        let mut command = Command::new(client.as_ref());
        command.args(arguments).current_dir(&self.folder);
        let host = format!("unix://{}", self.path("s").display());
        command.env("DOCKER_HOST", &host).env("GANTRY_HOST", &host).env("GANTRY_PARITY", "from here");
        command
            .env("DOCKER_CONFIG", self.path("config"))
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_BUILDKIT", "0");
        let output = run(command);
        (std::mem::take(&mut *self.asked.lock().unwrap()), output)
    }

    /// Runs the same line of docker and of gantry; quotes keep words together, `%FOLDER%` is this one's folder.
    #[track_caller]
    pub fn both(&self, line: &str) -> [(Vec<Asked>, Output); 2] {
        let arguments = words(&line.replace("%FOLDER%", &self.folder.to_string_lossy()));
        let docker = self.run("docker", &arguments);
        let _ = std::fs::remove_file(self.path("cid"));
        [docker, self.run(program("gantry"), &arguments)]
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Splits a line at blanks; quotes keep a word together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

fn serve(stream: UnixStream, record: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some((method, target, body)) = request(&mut reader) {
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let path =
            path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')).map_or(path, |(_, rest)| rest);
        let path = path.trim_start_matches('/');
        if path == "_ping" {
            respond(&mut writer, 200, "OK", method == "HEAD");
            continue;
        }
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), decode(value)));
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let query: BTreeMap<_, _> =
            query.filter(|(_, value)| !value.is_empty() && value != "0" && value != "false").collect();
        let asked = Asked { what: format!("{method} {path}"), query, body: bare(body) };
        record.lock().unwrap().push(asked);
        let (status, answer) = answer(&method, path);
        respond(&mut writer, status, &answer, method == "HEAD");
    }
}

fn request(reader: &mut impl BufRead) -> Option<(String, String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_lowercase();
        match header.split_once(": ") {
            Some(("content-length", count)) => length = count.parse().ok()?,
            Some(("transfer-encoding", _)) => chunked = true,
            _ if header.is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let mut piece = vec![0; usize::from_str_radix(size.trim(), 16).ok()? + 2];
        reader.read_exact(&mut piece).ok()?;
        chunked = piece.len() > 2;
        body.extend_from_slice(&piece[..piece.len() - 2]);
    }
    Some((method, target, body))
}

fn answer(method: &str, path: &str) -> (u16, String) {
    let container = json!({"Id": ID, "Name": "/web", "Config": {"Tty": false}, "State": {"Running": true}, "HostConfig": {}});
    let answer = match (method, path) {
        (_, "containers/create") => return (201, json!({"Id": ID, "Warnings": []}).to_string()),
        (_, "networks/create") => return (201, json!({"Id": ID, "Warning": ""}).to_string()),
        ("POST", "volumes/create") => {
            return (201, json!({"Name": "v", "Driver": "local", "Mountpoint": "/v", "Labels": {}, "Scope": "local", "Options": {}}).to_string());
        }
        ("POST", "commit") => return (201, json!({"Id": ID}).to_string()),
        ("GET", "volumes") => json!({"Volumes": [], "Warnings": []}),
        ("GET", "networks/web" | "networks/db") => json!({"Name": "web", "Id": ID}),
        ("GET", "volumes/v") => json!({"Name": "v"}),
        ("GET", "system/df") => {
            json!({"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": []})
        }
        ("GET", "containers/web/json") => container,
        (_, path) if path.ends_with("/prune") || path.ends_with("/update") => json!({}),
        ("GET", path) if path.ends_with("/logs") || path == "events" => return (200, String::new()),
        ("GET", "containers/web/top") => json!({"Titles": ["PID"], "Processes": [["1"]]}),
        (_, path) if path.ends_with("/wait") => json!({"StatusCode": 0}),
        ("GET", _) => json!([]),
        ("DELETE", path) if path.starts_with("images/") => json!([]),
        _ => return (204, String::new()),
    };
    (200, answer.to_string())
}

fn respond(writer: &mut impl Write, status: u16, body: &str, head: bool) {
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let kind = "Content-Type: application/json\r\nApi-Version: 1.50\r\nOstype: linux\r\n";
    let body = if head || status == 204 { "" } else { body };
    let _ = write!(writer, "HTTP/1.1 {status} X\r\n{kind}{length}\r\n{body}");
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    // Filters are JSON: docker writes {"a":{"b":true}}, the documented form is {"a":["b"]}. The daemon takes both.
    match serde_json::from_str(&text) {
        Ok(Value::Object(filters)) => {
            let filters: BTreeMap<String, Vec<String>> =
                filters.into_iter().map(|(name, values)| (name, listed(&values))).collect();
            format!("{filters:?}")
        }
        _ if text == "true" => "1".to_owned(),
        // The long form of a short name.
        _ => text.strip_prefix("docker.io/library/").map_or(text.clone(), str::to_owned),
    }
}

fn listed(values: &Value) -> Vec<String> {
    let mut found: Vec<String> = match values {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    found.sort();
    found
}

/// A body without null, nothing and zero, which to the API are the same as no word at all.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map = map.into_iter().map(|(key, value)| {
                let mut value = bare(value);
                // docker takes these from a map, in no order.
                if let ("Binds" | "Env" | "Config", Value::Array(items)) = (key.as_str(), &mut value) {
                    items.sort_by_key(Value::to_string);
                }
                (key, value)
            });
            let empty = |key: &str, value: &Value| match value {
                Value::Null => true,
                Value::Bool(truth) => !truth,
                Value::String(text) => text.is_empty() || (key == "RestartPolicy" && text == "no"),
                Value::Number(number) => {
                    number.as_f64() == Some(0.0)
                        || (key == "MemorySwappiness" && number.as_f64() == Some(-1.0))
                }
                // A set's members have nothing to say for themselves.
                Value::Array(items) => {
                    (items.is_empty() && !key.ends_with("Paths"))
                        || (key == "ConsoleSize" && items.iter().all(|size| size == 0))
                }
                Value::Object(map) => {
                    map.is_empty() && !key.starts_with('/') && !key.contains("/tcp") && !key.contains("/udp")
                }
            };
            let mut kept: serde_json::Map<String, Value> =
                map.filter(|(key, value)| !empty(key, value)).collect();
            if kept.get("RestartPolicy") == Some(&json!({"Name": "no"})) {
                kept.shift_remove("RestartPolicy");
            }
            kept.sort_keys();
            Value::Object(kept)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(bare).collect()),
        other => other,
    }
}
