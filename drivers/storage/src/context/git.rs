//! Contexts out of git repositories, fetched by the host's git.

use super::folder::Fresh;
use super::remote::is_url;
use crate::limits::Limits;
use crate::transfer::{Link, hold_below, words};
use contract::build::Context;
use contract::{Kind, PortError};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// Bytes kept of what git says.
const WORDS: u64 = 16 << 10;
/// How long one call may take: a large repository over a slow line, but not for ever.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How often the disk is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// A repository as a URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    remote: String,
    reference: String,
    folder: String,
}

/// Whether Docker takes a text for a git repository.
pub(super) fn is_repository(text: &str) -> bool {
    let path = text.split_once(".git#").map_or(text, |(path, _)| path);
    is_url(text) && (path.len() < text.len() || path.ends_with(".git"))
        || ["git://", "github.com/", "git@"].iter().any(|start| text.starts_with(start))
}

impl Repository {
    /// `None` if it is something else.
    pub(super) fn read(text: &str) -> Result<Option<Self>, PortError> {
        if !is_repository(text) {
            return Ok(None);
        }
        let (remote, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        // A name with a dash in front would be an option to git.
        if reference.starts_with('-') {
            return Err(PortError::new(Kind::Invalid, format!("invalid refspec: {reference}")));
        }
        let short = remote.starts_with("github.com/");
        Ok(Some(Self {
            remote: if short { format!("https://{remote}") } else { remote.to_owned() },
            reference: if reference.is_empty() { "HEAD" } else { reference }.to_owned(),
            folder: folder.to_owned(),
        }))
    }
}

/// Fetches one commit, without history where the server can, and its submodules.
pub(super) async fn clone(into: Fresh, of: Repository, limits: Limits) -> Result<Context, PortError> {
    let at = into.path().to_owned();
    let told = |what: String| {
        move |e: PortError| match e.kind {
            Kind::Unsupported => e,
            kind => PortError::new(kind, format!("{what}: {}", e.text)),
        }
    };
    git(&at, &["init", "--quiet", "--template="], limits)
        .await
        .map_err(told("failed to init repo".into()))?;
    let origin = ["remote", "add", "origin", &of.remote];
    git(&at, &origin, limits).await.map_err(told(format!("failed add origin repo at {}", of.remote)))?;
    let fetch = |depth: &'static [&'static str]| {
        let start = ["fetch", "--no-tags"].iter().chain(depth).copied();
        start.chain(["origin", &of.reference]).map(str::to_owned).collect::<Vec<_>>()
    };
    if let Err(shallow) = git(&at, &fetch(&["--depth=1"]), limits).await {
        // Servers that only hand out files know no depth, and others give no commits by number.
        if !is_url(&of.remote) || shallow.kind == Kind::Exhausted {
            return Err(told("error fetching".into())(shallow));
        }
        git(&at, &fetch(&[]), limits).await.map_err(told("error fetching".into()))?;
    }
    let checkout = ["checkout", "--quiet", "--detach", "FETCH_HEAD"];
    git(&at, &checkout, limits).await.map_err(told(format!("error checking out {}", of.reference)))?;
    let submodules = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
    git(&at, &submodules, limits).await.map_err(told("error initializing submodules".into()))?;
    if of.folder.is_empty() {
        return Ok(into.whole());
    }
    let below = crate::file::blocking(move || below(&at, &of.folder)).await?;
    Ok(into.part(below))
}

/// A folder of the repository, wherever its links lead inside it.
fn below(root: &Path, folder: &str) -> Result<std::path::PathBuf, PortError> {
    let invalid = |why: String| PortError::new(Kind::Invalid, format!("error setting git context, {why}"));
    let opened = super::opened(root)?;
    let held = hold_below(&opened, folder.as_bytes(), Link::Follow)
        .map_err(|e| invalid(format!("{folder:?}: {}", words(&e.into()))))?;
    if held.kind() != rustix::fs::FileType::Directory {
        return Err(invalid(format!("not a directory: {folder}")));
    }
    let place = format!("/proc/self/fd/{}", held.file.as_raw_fd());
    std::fs::read_link(&place).map_err(|e| invalid(format!("{folder:?}: {}", words(&e))))
}

/// Runs git in a folder: asking nobody, with nobody's configuration, hooks or helpers, over the network's protocols only.
async fn git<T: AsRef<str>>(at: &Path, args: &[T], limits: Limits) -> Result<(), PortError> {
    let mut command = Command::new("git");
    command.env_clear().current_dir(at);
    for name in ["PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let environment = [
        ("HOME", "/dev/null"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ALLOW_PROTOCOL", "git:http:https:ssh"),
        ("GIT_PROTOCOL_FROM_USER", "0"),
        ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    ];
    command.envs(environment);
    let settings = [
        "core.hooksPath=/dev/null",
        "credential.helper=",
        "protocol.file.allow=never",
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=60",
        "gc.auto=0",
    ];
    for setting in settings {
        command.args(["-c", setting]);
    }
    command.args(args.iter().map(AsRef::as_ref));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => PortError::new(
            Kind::Unsupported,
            "the context is a git repository, but there is no program git on this host",
        ),
        _ => PortError::caused(Kind::Bug, "start git", e),
    })?;
    let stderr = child.stderr.take();
    let listen = async {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            // What it says is only for the error's text.
            let _broken = (&mut stderr).take(WORDS).read_to_end(&mut said).await;
            let _rest = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    let watch = async {
        let floor = limits.on_disk(at).bytes / 10;
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            tokio::time::sleep(LOOK).await;
            if tokio::time::Instant::now() > end {
                return PortError::new(Kind::Unavailable, "git takes too long");
            }
            if limits.on_disk(at).bytes < floor {
                return PortError::new(Kind::Exhausted, "the repository leaves no room on the disk");
            }
        }
    };
    let work = async { tokio::join!(child.wait(), listen) };
    let (status, said) = tokio::select! {
        done = work => done,
        stopped = watch => return Err(stopped),
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let code = status.code().map_or_else(|| status.to_string(), |c| format!("exit status {c}"));
            Err(PortError::new(Kind::Invalid, format!("{said}: {code}")))
        }
        Err(e) => Err(PortError::caused(Kind::Bug, "wait for git", e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_from_other_urls_as_docker_does() {
        for (text, remote, reference, folder) in [
            ("git://h/r", "git://h/r", "HEAD", ""),
            ("github.com/x/y", "https://github.com/x/y", "HEAD", ""),
            ("https://h/r.git#main:docker", "https://h/r.git", "main", "docker"),
            ("http://h/r.git#:sub/dir", "http://h/r.git", "HEAD", "sub/dir"),
            ("git@h:x/y.git#v1.0", "git@h:x/y.git", "v1.0", ""),
        ] {
            let found = Repository::read(text).unwrap().unwrap();
            let expected =
                Repository { remote: remote.into(), reference: reference.into(), folder: folder.into() };
            assert_eq!(found, expected, "{text}");
        }
        for text in ["http://h/x.tar.gz", "https://h/r.git/x", "/local", "ssh://h/r"] {
            assert_eq!(Repository::read(text).unwrap(), None, "{text}");
        }
        assert!(Repository::read("git://h/r#--upload-pack=x").is_err());
    }
}
