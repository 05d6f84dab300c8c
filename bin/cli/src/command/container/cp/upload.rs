//! Files of this side into a container.

use std::fs::Metadata;
use std::io::{BufWriter, Result, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use hyper::Method;
use tar::{Builder, Header};
use tokio::sync::mpsc;

use super::Wish;
use super::path::{Stat, asserts_directory, follow, names_contents, split};
use super::pipe::{DEPTH, Outgoing};
use crate::client::{Client, encode, query, streamed};
use crate::command::image::load;
use crate::error::CommandError;
use crate::units;

/// What is copied, and by which name it goes over.
#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    name: String,
    directory: bool,
}

fn refuse(text: impl Into<String>) -> CommandError {
    CommandError::Refused(text.into())
}

fn source(text: &str, follow_link: bool) -> std::result::Result<Source, CommandError> {
    let failed = |error: std::io::Error| refuse(format!("lstat {text}: {}", units::errno(&error)));
    let given = Path::new(text);
    let path = match follow_link || asserts_directory(text) {
        true => given.canonicalize().map_err(failed)?,
        false => given.to_owned(),
    };
    let directory = path.symlink_metadata().map_err(failed)?.is_dir();
    if asserts_directory(text) && !directory {
        return Err(refuse(format!("lstat {text}: not a directory")));
    }
    let name = match names_contents(text) {
        true => ".".to_owned(),
        // The name is the one the user knows, not the one behind a link.
        false => match split(text).1 {
            name if name.is_empty() || name == ".." => {
                let whole = given.canonicalize().map_err(failed)?;
                whole.file_name().map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned())
            }
            name => name,
        },
    };
    Ok(Source { path, name, directory })
}

/// The folder to unpack in and the name to unpack as.
fn place(
    source: &Source,
    destination: &str,
    there: Option<&Stat>,
) -> std::result::Result<(String, String), CommandError> {
    let (folder, base) = split(destination);
    let base = if base == "." { split(&folder).1 } else { base };
    let folder = if names_contents(destination) { split(&folder).0 } else { folder };
    match there {
        Some(stat) if stat.is_directory() => Ok((destination.to_owned(), source.name.clone())),
        Some(_) if source.directory => Err(refuse("cannot copy directory")),
        None if !source.directory && asserts_directory(destination) => Err(refuse("no such directory")),
        _ => Ok((folder, base)),
    }
}

fn add(archive: &mut Builder<impl Write>, path: &Path, name: &str) -> Result<()> {
    let metadata = path.symlink_metadata()?;
    let kind = metadata.file_type();
    if kind.is_socket() {
        return Ok(());
    }
    if !kind.is_dir() {
        return add_file(archive, path, name, &metadata);
    }
    let mut header = Header::new_gnu();
    header.set_metadata(&metadata);
    header.set_size(0);
    archive.append_data(&mut header, format!("{name}/"), std::io::empty())?;
    let mut entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        add(archive, &entry.path(), &format!("{name}/{}", entry.file_name().to_string_lossy()))?;
    }
    Ok(())
}

fn add_file(archive: &mut Builder<impl Write>, path: &Path, name: &str, metadata: &Metadata) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    match metadata.file_type() {
        kind if kind.is_symlink() => archive.append_link(&mut header, name, std::fs::read_link(path)?),
        kind if kind.is_file() => archive.append_file(name, &mut std::fs::File::open(path)?),
        _ => archive.append_path_with_name(path, name),
    }
}

fn pack(source: &Source, name: &str, pieces: mpsc::Sender<Result<bytes::Bytes>>) -> Result<i64> {
    let mut archive = Builder::new(BufWriter::with_capacity(64 * 1024, Outgoing::new(pieces)));
    archive.follow_symlinks(false);
    add(&mut archive, &source.path, name)?;
    let writer = archive.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(writer.count)
}

async fn put(
    client: &Client,
    wish: &Wish,
    folder: String,
    body: crate::client::Payload,
) -> std::result::Result<(), CommandError> {
    let query = query(&[
        ("noOverwriteDirNonDir", Some("true".to_owned())),
        ("path", Some(folder)),
        ("copyUIDGID", wish.archive.then(|| "true".to_owned())),
    ]);
    let path = format!("/containers/{}/archive?{query}", encode(&wish.container));
    client.call(Method::PUT, &path, body).await?;
    Ok(())
}

/// Copies into a container; the number is the bytes that went over.
pub async fn upload(client: &Client, wish: &Wish) -> std::result::Result<i64, CommandError> {
    let source = match wish.source.as_str() {
        "-" => None,
        path => Some(source(path, wish.follow_link)?),
    };
    let mut destination = wish.destination.clone();
    let mut there = Stat::ask(client, &wish.container, &destination).await?;
    if let Some(link) = there.as_ref().filter(|stat| stat.is_link()) {
        destination = follow(&destination, &link.link_target);
        there = Stat::ask(client, &wish.container, &destination).await?;
    }
    let shown = format!("\"{}:{}\"", wish.container, wish.destination);
    if let Some(why) = there.as_ref().and_then(Stat::unwritable) {
        return Err(refuse(format!("destination {shown} must be a directory or a regular file: {why}")));
    }
    let Some(source) = source else {
        if !there.as_ref().is_some_and(Stat::is_directory) {
            return Err(refuse(format!("destination {shown} must be a directory")));
        }
        let body = streamed(load::pieces(load::open(None).await?));
        return put(client, wish, destination, body).await.map(|()| 0);
    };
    let (folder, name) = place(&source, &destination, there.as_ref())?;
    let (pieces, receiver) = mpsc::channel(DEPTH);
    let packing = tokio::task::spawn_blocking(move || {
        let errors = pieces.clone();
        let packed = pack(&source, &name, pieces);
        // A broken archive must not look like a whole one.
        if let Err(error) = &packed {
            let _ = errors.blocking_send(Err(std::io::Error::new(error.kind(), error.to_string())));
        }
        packed
    });
    let body = streamed(futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }));
    let sent = put(client, wish, folder, body).await;
    let packed = packing.await.map_err(|error| refuse(error.to_string()))?;
    match (packed, sent) {
        // The daemon's refusal also closes the pipe; it is the reason, not the symptom.
        (Err(error), Err(refusal)) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(refusal),
        (Err(error), _) => Err(refuse(format!("{}: {}", wish.source, units::errno(&error)))),
        (Ok(count), sent) => sent.map(|()| count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(directory: bool, destination: &str, there: Option<Stat>) -> Option<(String, String)> {
        let source = Source { path: "/src".into(), name: "src".into(), directory };
        place(&source, destination, there.as_ref()).ok()
    }

    #[test]
    fn what_is_there_decides_where_a_copy_goes() {
        let pair = |folder: &str, name: &str| Some((folder.to_owned(), name.to_owned()));
        let folder = Stat::directory;
        assert_eq!(to(false, "/d", Some(folder())), pair("/d", "src"));
        assert_eq!(to(false, "/d/f", Some(Stat::default())), pair("/d", "f"));
        assert_eq!(to(true, "/d/f", Some(Stat::default())), None);
        assert_eq!(to(true, "/d/new", None), pair("/d", "new"));
        assert_eq!(to(true, "/d/new/.", None), pair("/d", "new"));
        assert_eq!(to(false, "/d/new", None), pair("/d", "new"));
        assert_eq!(to(false, "/d/new/", None), None);
    }
}
