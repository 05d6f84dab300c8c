//! A build's context as it is sent: a folder without what `.dockerignore` names, standard input, or a URL.

use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use patterns::{Ignore, Parents};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use crate::error::CommandError;
use crate::{output, terminal, units};

/// Bytes of a piece, and how many of them wait.
const PIECE: usize = 1 << 16;
const WAITING: usize = 16;
/// Bytes by which an archive on standard input is told from a Dockerfile.
const HEAD: u64 = 512;
const IGNORE: &str = ".dockerignore";

/// The pieces of a tar.
pub type Content = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// What a build is asked with.
pub struct Context {
    /// The Dockerfile's path in it.
    pub dockerfile: String,
    /// Where the daemon is to fetch it.
    pub remote: Option<String>,
    /// What is sent.
    pub content: Option<Content>,
}

fn unprepared(text: impl std::fmt::Display) -> CommandError {
    CommandError::Refused(format!("unable to prepare context: {text}"))
}

impl Context {
    /// By the command line's last word and `-f`.
    pub fn find(named: &str, file: Option<&str>, quiet: bool) -> Result<Self, CommandError> {
        let url = ["http://", "https://", "git://", "github.com/", "git@"];
        if named == "-" {
            return Self::stdin(file);
        }
        if !Path::new(named).is_dir() && url.iter().any(|start| named.starts_with(start)) {
            return Ok(Self {
                dockerfile: file.unwrap_or("Dockerfile").to_owned(),
                remote: Some(named.to_owned()),
                content: None,
            });
        }
        if !Path::new(named).is_dir() {
            return Err(unprepared(format!("path {named:?} not found")));
        }
        Self::folder(Path::new(named), file, quiet)
    }

    /// Standard input: an archive, or a Dockerfile alone.
    fn stdin(file: Option<&str>) -> Result<Self, CommandError> {
        if file == Some("-") {
            let text = "invalid argument: can't use stdin for both build context and dockerfile";
            return Err(CommandError::Refused(text.to_owned()));
        }
        let failed = |e: io::Error| unprepared(format!("failed to peek context header from STDIN: {e}"));
        let mut head = Vec::new();
        io::stdin().lock().take(HEAD).read_to_end(&mut head).map_err(failed)?;
        let archive = Header::from_byte_slice(&padded(&head)).cksum().is_ok_and(|sum| sum == summed(&head))
            || matches!(
                head.as_slice(),
                [0x1f, 0x8b, ..]
                    | [b'B', b'Z', b'h', ..]
                    | [0xfd, b'7', b'z', b'X', ..]
                    | [0x28, 0xb5, 0x2f, 0xfd, ..]
            );
        let whole = io::Cursor::new(head).chain(io::stdin());
        if archive {
            let dockerfile = file.unwrap_or("Dockerfile").to_owned();
            return Ok(Self { dockerfile, remote: None, content: Some(sent(move |out| copy(whole, out))) });
        }
        let mut text = Vec::new();
        let mut whole = whole;
        whole.read_to_end(&mut text).map_err(failed)?;
        if text.is_empty() {
            return Err(unprepared("the Dockerfile (-) cannot be empty"));
        }
        Ok(Self {
            dockerfile: "Dockerfile".to_owned(),
            remote: None,
            content: Some(sent(move |out| {
                let mut tar = Builder::new(out);
                alone(&mut tar, "Dockerfile", &text)?;
                tar.finish()
            })),
        })
    }

    fn folder(folder: &Path, file: Option<&str>, quiet: bool) -> Result<Self, CommandError> {
        let root = folder.canonicalize().map_err(|e| unprepared(units::errno(&e)))?;
        let (dockerfile, outside) = dockerfile(&root, file)?;
        let ignore = match std::fs::read(root.join(IGNORE)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(unprepared(format!("error reading {IGNORE}: {}", units::errno(&e)))),
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        };
        let mut patterns = Ignore::read(&ignore);
        let bad = |e| unprepared(format!("error checking context: {e}"));
        let chosen = Ignore::new(&patterns).map_err(bad)?;
        // The daemon reads these and then leaves them out itself.
        let wanted = [Some(IGNORE), outside.is_none().then_some(dockerfile.as_str())];
        let wanted = wanted.into_iter().flatten().filter(|name| chosen.matches(name));
        patterns.extend(wanted.map(|name| format!("!{name}")).collect::<Vec<_>>());
        let walk = Walk { ignore: Ignore::new(&patterns).map_err(bad)?, root, shown: !quiet };
        walk.check(&PathBuf::new(), &Parents::default())?;
        let name = dockerfile.clone();
        let content = sent(move |out| {
            let mut tar = Builder::new(Counted { out, passed: 0 });
            walk.folder(&mut tar, &PathBuf::new(), &Parents::default())?;
            if let Some(text) = outside {
                alone(&mut tar, &name, &text)?;
            }
            let counted = tar.into_inner()?;
            if walk.shown {
                let size = units::four_digits(i64::try_from(counted.passed).unwrap_or(i64::MAX));
                output::line(format!("Sending build context to Docker daemon  {size}"));
            }
            Ok(())
        });
        Ok(Self { dockerfile, remote: None, content: Some(content) })
    }
}

fn padded(head: &[u8]) -> [u8; 512] {
    let mut block = [0u8; 512];
    block.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
    block
}

/// A tar header's sum, its own field as blanks.
fn summed(head: &[u8]) -> u32 {
    let block = padded(head);
    block.iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { 32 } else { u32::from(*b) }).sum()
}

/// The Dockerfile's name in the context; one outside of it is read, and gets a name that nobody has.
fn dockerfile(root: &Path, file: Option<&str>) -> Result<(String, Option<Vec<u8>>), CommandError> {
    let random = || format!(".dockerfile.{}", std::process::id());
    if file == Some("-") {
        if terminal::stdin_is_terminal() {
            return Err(unprepared("the Dockerfile (-) cannot be read from a terminal"));
        }
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text).map_err(|e| unprepared(units::errno(&e)))?;
        return Ok((random(), Some(text)));
    }
    let path = match file {
        Some(file) => std::path::absolute(file).map_err(|e| unprepared(units::errno(&e)))?,
        None => {
            let path = root.join("Dockerfile");
            let lower = root.join("dockerfile");
            if !path.exists() && lower.exists() { lower } else { path }
        }
    };
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let place = folder.zip(path.file_name()).map(|(folder, name)| folder.join(name));
    let found = place.filter(|place| place.exists()).ok_or_else(|| {
        let clean = patterns::clean(&path.to_string_lossy());
        unprepared(format!(
            "unable to evaluate symlinks in Dockerfile path: lstat {clean}: no such file or directory"
        ))
    })?;
    match found.strip_prefix(root) {
        Ok(inside) => Ok((inside.to_string_lossy().into_owned(), None)),
        Err(_) => {
            let text = std::fs::read(&found).map_err(|e| {
                CommandError::Refused(format!("unable to open Dockerfile: {}", units::errno(&e)))
            })?;
            Ok((random(), Some(text)))
        }
    }
}

struct Walk {
    root: PathBuf,
    ignore: Ignore,
    shown: bool,
}

impl Walk {
    /// What a folder has, in order, with whether each is sent.
    fn below(&self, folder: &Path, parents: &Parents) -> io::Result<Vec<(PathBuf, Metadata, bool, Parents)>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.root.join(folder))? {
            names.push(entry?.file_name());
        }
        names.sort();
        let mut out = Vec::new();
        for name in names {
            let path = folder.join(name);
            let (ignored, own) = self.ignore.matches_in(parents, &path.to_string_lossy());
            let is = match self.root.join(&path).symlink_metadata() {
                // Gone meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            if !ignored || is.is_dir() && self.ignore.may_return(&path.to_string_lossy()) {
                out.push((path, is, !ignored, own));
            }
        }
        Ok(out)
    }

    /// That all can be read, before anything is sent.
    fn check(&self, folder: &Path, parents: &Parents) -> Result<(), CommandError> {
        let denied = |path: &Path| {
            let text = format!("no permission to read from '{}'", self.root.join(path).display());
            unprepared(format!("error checking context: {text}"))
        };
        for (path, is, sent, own) in self.below(folder, parents).map_err(|_| denied(folder))? {
            if is.is_dir() {
                self.check(&path, &own)?;
            } else if sent && is.is_file() && std::fs::File::open(self.root.join(&path)).is_err() {
                return Err(denied(&path));
            }
        }
        Ok(())
    }

    fn folder(&self, tar: &mut Builder<impl Write>, folder: &Path, parents: &Parents) -> io::Result<()> {
        for (path, is, sent, own) in self.below(folder, parents)? {
            if sent {
                member(tar, &self.root.join(&path), &path, &is)?;
            }
            if is.is_dir() {
                self.folder(tar, &path, &own)?;
            }
        }
        Ok(())
    }
}

fn member(tar: &mut Builder<impl Write>, file: &Path, path: &Path, is: &Metadata) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(is.mode() & 0o7777);
    header.set_mtime(u64::try_from(is.mtime()).unwrap_or(0));
    header.set_size(0);
    let kind = is.file_type();
    if kind.is_file() {
        header.set_size(is.len());
        // A file that shrinks meanwhile would shift everything behind it.
        let content = std::fs::File::open(file)?.chain(io::repeat(0)).take(is.len());
        return tar.append_data(&mut header, path, content);
    }
    if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        return tar.append_link(&mut header, path, std::fs::read_link(file)?);
    }
    let special = match () {
        () if kind.is_dir() => EntryType::Directory,
        () if kind.is_fifo() => EntryType::Fifo,
        () if kind.is_char_device() => EntryType::Char,
        () if kind.is_block_device() => EntryType::Block,
        // A socket has no form in an archive.
        () => return Ok(()),
    };
    header.set_entry_type(special);
    if matches!(special, EntryType::Char | EntryType::Block) {
        // The numbers of a device as Linux packs them (makedev(3)).
        let device = is.rdev();
        header.set_device_major(((device >> 8) & 0xfff | (device >> 32) & !0xfff) as u32)?;
        header.set_device_minor((device & 0xff | (device >> 12) & !0xff) as u32)?;
    }
    tar.append_data(&mut header, path, io::empty())
}

fn alone(tar: &mut Builder<impl Write>, name: &str, text: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, name, text)
}

fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.flush()
}

/// Counts what passes.
struct Counted<W> {
    out: W,
    passed: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.passed += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The writing end of a stream of pieces.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `write` writes, on a thread of its own, while it is sent.
fn sent(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Content {
    let (sender, receiver) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        let mut out = io::BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
            // Nobody to tell means that the daemon has refused already.
            let _unheard = sender.blocking_send(Err(error));
        }
    });
    Box::pin(futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    async fn names(context: Context) -> Vec<String> {
        let mut whole = Vec::new();
        let mut content = context.content.unwrap();
        while let Some(piece) = content.next().await {
            whole.extend_from_slice(&piece.unwrap());
        }
        let mut archive = tar::Archive::new(whole.as_slice());
        let members = archive.entries().unwrap();
        members.map(|m| m.unwrap().path().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_ignored_is_not_sent_but_the_dockerfile_is() {
        let folder = std::env::temp_dir().join(format!("gantry-context-{}", std::process::id()));
        for path in ["a/deep/x.md", "a/y.rs", "b/z", "Dockerfile"] {
            std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.join(path), path).unwrap();
        }
        std::fs::write(folder.join(IGNORE), "*\n!**/*.md\n!b\n").unwrap();
        let text = folder.to_string_lossy().into_owned();
        let context = Context::find(&text, None, true).unwrap();
        assert_eq!(context.dockerfile, "Dockerfile");
        assert_eq!(names(context).await, [".dockerignore", "Dockerfile", "a/deep/x.md", "b", "b/z"]);
        // A Dockerfile from elsewhere goes along under a name that is nobody's.
        let other = format!("{text}.file");
        std::fs::write(&other, "FROM x").unwrap();
        let context = Context::find(&text, Some(&other), true).unwrap();
        let name = context.dockerfile.clone();
        assert!(name.starts_with(".dockerfile."));
        assert_eq!(names(context).await.last(), Some(&name));
        std::fs::write(folder.join(IGNORE), "[").unwrap();
        let refused = Context::find(&text, None, true).err().unwrap().to_string();
        assert_eq!(refused, "unable to prepare context: error checking context: syntax error in pattern");
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::remove_file(&other).unwrap();
    }
}
