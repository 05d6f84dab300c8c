//! A web server of a test's own making on its host, and the token server made of it.

use crate::place::Place;
use nix::sched::{CloneFlags, setns};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct WebRequest {
    /// `GET`, …
    pub method: String,
    /// With its question.
    pub path: String,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// As text.
    pub body: String,
}

/// Status, further header lines, body.
pub type WebAnswer = (u16, Vec<String>, String);

/// A web server on a port of a place's host, one request a connection. Stopped when dropped.
#[derive(Debug)]
pub struct Web {
    seen: Arc<Mutex<Vec<WebRequest>>>,
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    address: String,
    place: Arc<Place>,
}

impl Web {
    /// Starts one on `address:port` that answers like this.
    #[track_caller]
    pub fn start(
        place: &Arc<Place>,
        address: &str,
        answer: impl Fn(&WebRequest) -> WebAnswer + Send + Sync + 'static,
    ) -> Self {
        let (seen, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let netns = std::fs::File::open(place.path("net")).expect("open the host's namespace");
        let (listening, heard) = mpsc::channel();
        let (own_seen, own_ended, own_address) = (seen.clone(), ended.clone(), address.to_owned());
        let thread = std::thread::spawn(move || {
            setns(netns, CloneFlags::CLONE_NEWNET).expect("enter the host's namespace");
            let listener = TcpListener::bind(&own_address).expect("listen");
            listening.send(()).expect("the test waits");
            for stream in listener.incoming().flatten() {
                if own_ended.load(Ordering::Relaxed) {
                    return;
                }
                // A client that breaks off is not this server's failure.
                let _broken = serve(stream, &answer, &own_seen);
            }
        });
        heard.recv().expect("the server listens");
        Self { seen, ended, thread: Some(thread), address: address.to_owned(), place: Arc::clone(place) }
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<WebRequest> {
        self.seen.lock().expect("only pushed to").clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let (host, port) = self.address.rsplit_once(':').expect("a port");
        self.place.run("busybox", ["nc", "-w", "1", host, port]);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn serve(
    stream: TcpStream,
    answer: &impl Fn(&WebRequest) -> WebAnswer,
    seen: &Mutex<Vec<WebRequest>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = WebRequest { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() };
    seen.lock().expect("only pushed to").push(request.clone());
    let (status, lines, body) = answer(&request);
    let lines: String = lines.iter().map(|l| format!("{l}\r\n")).collect();
    let length = body.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
    )
}

/// Base64 with either alphabet, without padding for the one of URLs.
pub fn base64(bytes: &[u8], for_urls: bool) -> String {
    let rest: &[u8; 2] = if for_urls { b"-_" } else { b"+/" };
    let digit = |value: u32| match value as u8 {
        v @ 0..26 => b'A' + v,
        v @ 26..52 => b'a' + v - 26,
        v @ 52..62 => b'0' + v - 52,
        v => rest[usize::from(v - 62)],
    };
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |all, b| all << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            out.push(char::from(digit(bits >> (18 - 6 * place) & 63)));
        }
        if !for_urls {
            out.extend(std::iter::repeat_n('=', 3 - group.len()));
        }
    }
    out
}

/// A token server for docker-registry: user `reader` with password `secret` may pull `private`, `writer` with the same
/// password may push as well, and everybody may pull `public`. Identity tokens are `identity-of-<user>`.
#[derive(Debug)]
pub struct TokenServer {
    web: Web,
}

impl TokenServer {
    /// The section of docker-registry's configuration that trusts it.
    pub fn section(place: &Place) -> String {
        let bundle = place.path("token.pem").display().to_string();
        format!(
            "auth: {{token: {{realm: 'http://127.0.0.1:5005/token', service: registry, issuer: tokens, rootcertbundle: {bundle}}}}}\n"
        )
    }

    /// Starts one on 127.0.0.1:5005. The first `stale` tokens it gives have ended when they arrive.
    #[track_caller]
    pub fn start(place: &Arc<Place>, stale: usize) -> Self {
        let script = "cd \"$0\" && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens \
                      -keyout token-key.pem -out token.pem && openssl x509 -in token.pem -outform DER -out token.der";
        place.run("sh", ["-c", script, place.root().to_str().expect("a plain path")]).ok();
        let key = place.path("token-key.pem");
        let certificate = base64(&std::fs::read(place.path("token.der")).expect("a certificate"), false);
        let left = Mutex::new(stale);
        let web = Web::start(place, "127.0.0.1:5005", move |request| {
            let text = if request.method == "POST" { request.body.clone() } else { request.path.clone() };
            let fields: Vec<(String, String)> = text
                .split(['?', '&'])
                .filter_map(|pair| pair.split_once('='))
                .map(|(k, v)| (k.to_owned(), v.replace("%3A", ":").replace("%2C", ",")))
                .collect();
            let field = |key: &str| fields.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
            let Some(user) = user(request, field("refresh_token")) else {
                let body = r#"{"details":"incorrect username or password"}"#.to_owned();
                return (401, vec!["Content-Type: application/json".into()], body);
            };
            let scopes: Vec<&str> =
                fields.iter().filter(|(k, _)| k == "scope").flat_map(|(_, v)| v.split(['+', ' '])).collect();
            let mut left = left.lock().expect("not poisoned");
            // docker-registry forgives a minute.
            let lifetime = if *left > 0 { -120 } else { 300 };
            *left = left.saturating_sub(1);
            let token = token(&key, &certificate, &user, &scopes, lifetime);
            let mut body = serde_json::json!({ "token": token, "expires_in": 300 });
            if field("offline_token").is_some() {
                body["refresh_token"] = format!("identity-of-{user}").into();
            }
            (200, vec!["Content-Type: application/json".into()], body.to_string())
        });
        Self { web }
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<WebRequest> {
        self.web.seen()
    }
}

/// Who asks; nobody has an empty name.
fn user(request: &WebRequest, identity: Option<&str>) -> Option<String> {
    if let Some(identity) = identity {
        return identity.strip_prefix("identity-of-").map(str::to_owned);
    }
    match request.headers.get("authorization") {
        None => Some(String::new()),
        Some(shown) => ["reader", "writer"]
            .iter()
            .find(|user| *shown == format!("Basic {}", base64(format!("{user}:secret").as_bytes(), false)))
            .map(|user| (*user).to_owned()),
    }
}

fn token(key: &std::path::Path, certificate: &str, user: &str, scopes: &[&str], lifetime: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    let access: Vec<serde_json::Value> = scopes
        .iter()
        .filter_map(|scope| {
            let mut parts = scope.split(':').skip(1);
            let (name, actions) = (parts.next()?, parts.next()?);
            let may = |action: &&str| match (*action, user) {
                ("pull", _) if name == "public" => true,
                ("pull", "reader" | "writer") => name == "private",
                ("push", "writer") => name == "private" || name == "public",
                _ => false,
            };
            let actions: Vec<&str> = actions.split(',').filter(may).collect();
            Some(serde_json::json!({ "type": "repository", "name": name, "actions": actions }))
        })
        .collect();
    let header = serde_json::json!({ "typ": "JWT", "alg": "RS256", "x5c": [certificate] });
    let id = hex::encode(Sha256::digest(format!("{now}{user}{lifetime}{scopes:?}")));
    let claims = serde_json::json!({
        "iss": "tokens", "sub": user, "aud": "registry", "exp": now + lifetime, "nbf": now - 600, "iat": now,
        "jti": id, "access": access,
    });
    let signed = format!(
        "{}.{}",
        base64(header.to_string().as_bytes(), true),
        base64(claims.to_string().as_bytes(), true)
    );
    let mut openssl = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(key)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("run openssl");
    openssl.stdin.take().expect("piped").write_all(signed.as_bytes()).expect("write to openssl");
    let signature = openssl.wait_with_output().expect("openssl signs").stdout;
    format!("{signed}.{}", base64(&signature, true))
}
