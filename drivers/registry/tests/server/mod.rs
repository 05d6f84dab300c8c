//! A registry in memory that takes pushes, and does as it is told.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What is done with a request.
pub enum Reply {
    /// As the protocol says.
    Fair,
    /// An error; with a code in the protocol's form.
    Error(u16, &'static str),
    /// An upload accepted, to go on there.
    Accepted(String),
    /// Somewhere else.
    Redirect(String),
    /// Just this: status, headers, body.
    Just(u16, Vec<String>, String),
    /// So many bytes of the body are taken, then the connection ends.
    CutAfter(usize),
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Bytes of the body that were taken.
    pub length: usize,
    pub range: String,
    /// What it shows.
    pub authorization: String,
    /// Whom it is for.
    pub host: String,
}

#[derive(Default)]
struct State {
    blobs: BTreeMap<(String, String), Vec<u8>>,
    manifests: BTreeMap<(String, String), Vec<u8>>,
    uploads: BTreeMap<String, Vec<u8>>,
    requests: Vec<Request>,
}

pub struct Server {
    pub host: String,
    state: Arc<Mutex<State>>,
}

type Decide = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

impl Server {
    pub async fn start(decide: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, decide): (_, Decide) = (state.clone(), Arc::new(decide));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, decide) = (shared.clone(), decide.clone());
                tokio::spawn(async move {
                    // A client may leave at any time, and TLS is no HTTP.
                    let _left = serve(stream, state, decide).await;
                });
            }
        });
        Self { host, state }
    }

    pub fn manifest(&self, repository: &str, tag: &str) -> Vec<u8> {
        self.state.lock().unwrap().manifests[&(repository.to_owned(), tag.to_owned())].clone()
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        self.state.lock().unwrap().blobs[&(repository.to_owned(), digest.to_owned())].clone()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Requests that begin like this.
    pub fn count(&self, start: &str) -> usize {
        self.requests().iter().filter(|r| format!("{} {}", r.method, r.path).starts_with(start)).count()
    }
}

struct Head {
    request: Request,
    length: Option<usize>,
    chunked: bool,
}

async fn head(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Head>> {
    let mut line = String::new();
    if reader.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let request = Request {
        method: method.into(),
        path: path.into(),
        length: 0,
        range: String::new(),
        authorization: String::new(),
        host: String::new(),
    };
    let mut head = Head { request, length: None, chunked: false };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let Some((key, value)) = line.trim().split_once(": ") else { return Ok(Some(head)) };
        match key.to_lowercase().as_str() {
            "content-length" => head.length = value.parse().ok(),
            "transfer-encoding" => head.chunked = true,
            "content-range" => head.request.range = value.into(),
            "host" => head.request.host = value.into(),
            "authorization" => head.request.authorization = value.into(),
            _ => {}
        }
    }
}

/// Reads the body, or so much of it.
async fn body(
    reader: &mut BufReader<TcpStream>,
    head: &Head,
    most: usize,
) -> std::io::Result<(Vec<u8>, bool)> {
    let mut out = Vec::new();
    if let Some(length) = head.length {
        out.resize(length.min(most), 0);
        reader.read_exact(&mut out).await?;
        return Ok((out, length <= most));
    }
    if !head.chunked {
        return Ok((out, true));
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).await?;
        out.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Ok((out, true));
        }
        if out.len() > most {
            out.truncate(most);
            return Ok((out, false));
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, decide: Decide) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(mut head) = head(&mut reader).await? {
        let reply = decide(&head.request);
        let most = if let Reply::CutAfter(most) = reply { most } else { usize::MAX };
        let (body, whole) = body(&mut reader, &head, most).await?;
        head.request.length = body.len();
        let mut answer = {
            let mut state = state.lock().unwrap();
            state.requests.push(head.request.clone());
            match reply {
                Reply::Fair | Reply::CutAfter(_) => fair(&mut state, &head.request, &body),
                Reply::Error(status, code) => {
                    let message = match code {
                        "UNAUTHORIZED" => "authentication required",
                        "DENIED" => "requested access to the resource is denied",
                        _ => "",
                    };
                    let text = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
                    (status, Vec::new(), if code.is_empty() { String::new() } else { text })
                }
                Reply::Accepted(place) => (202, vec![format!("Location: {place}")], String::new()),
                Reply::Just(status, headers, body) => (status, headers, body),
                Reply::Redirect(place) => (307, vec![format!("Location: {place}")], String::new()),
            }
        };
        if !whole {
            return Ok(());
        }
        if head.request.method == "HEAD" {
            answer.2.clear();
        }
        let mut text = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", answer.0, answer.2.len());
        answer.1.iter().for_each(|h| text.push_str(&format!("{h}\r\n")));
        text.push_str("\r\n");
        text.push_str(&answer.2);
        reader.get_mut().write_all(text.as_bytes()).await?;
    }
    Ok(())
}

fn fair(state: &mut State, request: &Request, body: &[u8]) -> (u16, Vec<String>, String) {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let query = query.replace("%3A", ":").replace("%2F", "/");
    let of = |key: &str| {
        query.split('&').find_map(|p| p.strip_prefix(&format!("{key}="))).unwrap_or_default().to_owned()
    };
    let Some(path) = path.strip_prefix("/v2/").filter(|p| !p.is_empty()) else {
        return (200, vec![], "{}".into());
    };
    if let Some((repository, tag)) = path.split_once("/manifests/") {
        if request.method == "PUT" {
            state.manifests.insert((repository.into(), tag.into()), body.to_vec());
            return (201, vec![], String::new());
        }
        return (404, vec![], String::new());
    }
    let Some((repository, rest)) = path.split_once("/blobs/") else { return (404, vec![], String::new()) };
    let Some(id) = rest.strip_prefix("uploads/") else {
        let found = state.blobs.contains_key(&(repository.into(), rest.into()));
        return (if found { 200 } else { 404 }, vec![], String::new());
    };
    // Relative, and with a state that has to come back.
    let place = |id: &str| format!("Location: /v2/{repository}/blobs/uploads/{id}?state=a%2Fb%3D");
    match request.method.as_str() {
        "POST" => {
            let from = (of("from"), of("mount"));
            if let Some(blob) = state.blobs.get(&from).cloned() {
                state.blobs.insert((repository.into(), from.1), blob);
                return (201, vec![], String::new());
            }
            let id = format!("u{}", state.requests.len());
            state.uploads.insert(id.clone(), Vec::new());
            (202, vec![place(&id)], String::new())
        }
        _ if !state.uploads.contains_key(id) || of("state") != "a/b%3D" => (404, vec![], String::new()),
        "PATCH" => {
            let upload = state.uploads.get_mut(id).unwrap();
            let start = request.range.split('-').next().unwrap_or_default().parse().unwrap_or(upload.len());
            if start != upload.len() {
                return (416, vec![], String::new());
            }
            upload.extend_from_slice(body);
            (202, vec![place(id), format!("Range: 0-{}", upload.len().max(1) - 1)], String::new())
        }
        "GET" => {
            let length = state.uploads[id].len();
            (204, vec![place(id), format!("Range: 0-{}", length.max(1) - 1)], String::new())
        }
        "PUT" => {
            let mut upload = state.uploads.remove(id).unwrap();
            upload.extend_from_slice(body);
            if crate::common::digest(&upload) != of("digest") {
                return (400, vec![], r#"{"errors":[{"code":"DIGEST_INVALID","message":""}]}"#.into());
            }
            state.blobs.insert((repository.into(), of("digest")), upload);
            (201, vec![], String::new())
        }
        _ => (405, vec![], String::new()),
    }
}
