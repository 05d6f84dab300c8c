//! Files of a container to this side.

use std::io::Result;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hyper::Method;
use tar::Archive;
use tokio::sync::mpsc;

use super::Wish;
use super::path::{Stat, asserts_directory, follow, split};
use super::pipe::{DEPTH, Incoming};
use crate::client::{Body, Client, encode, nothing, query};
use crate::error::CommandError;
use crate::{download, units};

fn refuse(text: impl Into<String>) -> CommandError {
    CommandError::Refused(text.into())
}

/// Where a copy lands.
#[derive(Debug, PartialEq, Eq)]
enum Landing {
    /// Into this folder, which is there.
    Into(PathBuf),
    /// As this path, which is a file or nothing yet.
    As(PathBuf),
}

fn landing(destination: &str, directory: bool) -> std::result::Result<Landing, CommandError> {
    let path = Path::new(destination);
    // Links are followed, as far as they lead anywhere.
    let real = path.canonicalize();
    match real {
        Ok(real) if real.is_dir() => Ok(Landing::Into(real)),
        Ok(_) if directory => Err(refuse("cannot copy directory")),
        Ok(_) if asserts_directory(destination) => Err(refuse("not a directory")),
        Ok(real) if !real.is_file() => {
            Err(refuse(format!("invalid output path: {destination:?} must be a directory or a regular file")))
        }
        Ok(real) => Ok(Landing::As(real)),
        Err(_) if !directory && asserts_directory(destination) => Err(refuse("no such directory")),
        Err(_) => {
            let parent = path.components().as_path().parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            match parent.is_dir() {
                true => Ok(Landing::As(path.components().as_path().to_owned())),
                false => Err(refuse(format!(
                    "invalid output path: directory {:?} does not exist",
                    parent.display().to_string()
                ))),
            }
        }
    }
}

/// Unpacks below `folder` and nowhere else, whatever the names and links in the archive say. Returns the mode of the
/// archive's own root, if it tells one.
fn unpack(archive: Incoming, folder: &Path) -> Result<Option<u32>> {
    let mut archive = Archive::new(archive);
    let mut root = None;
    // Folders get their modes last: one that cannot be written to must still be filled.
    let mut folders = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        entry.set_preserve_permissions(true);
        entry.set_preserve_mtime(true);
        let path = entry.path()?.into_owned();
        if entry.header().entry_type().is_dir() {
            if path.components().all(|part| !matches!(part, std::path::Component::Normal(_))) {
                root = entry.header().mode().ok();
                continue;
            }
            folders.push(entry);
            continue;
        }
        entry.unpack_in(folder)?;
    }
    folders.sort_by_key(|entry| std::cmp::Reverse(entry.path_bytes().len()));
    for mut entry in folders {
        entry.unpack_in(folder)?;
    }
    Ok(root)
}

/// Unpacks beside `target` and puts the one thing in the archive in its place.
fn unpack_as(archive: Incoming, target: &Path, name: &str) -> Result<()> {
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = parent.join(format!(".gantry-cp-{}", std::process::id()));
    std::fs::create_dir(&aside)?;
    let placed = unpack(archive, &aside).and_then(|root| match name {
        "" | "." => {
            let mode = root.unwrap_or(0o755) & 0o7777;
            std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(mode))?;
            std::fs::rename(&aside, target)
        }
        name => std::fs::rename(aside.join(name), target),
    });
    if aside.exists() {
        let _ = std::fs::remove_dir_all(&aside);
    }
    placed
}

async fn feed(mut body: Body, pieces: mpsc::Sender<Result<bytes::Bytes>>) -> i64 {
    let mut count = 0;
    loop {
        let piece = match body.chunk().await {
            Ok(None) => return count,
            Ok(Some(piece)) => Ok(piece),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        };
        count += piece.as_ref().map_or(0, bytes::Bytes::len) as i64;
        let broken = piece.is_err();
        if pieces.send(piece).await.is_err() || broken {
            return count;
        }
    }
}

/// Copies out of a container; the number is the bytes that came.
pub async fn download(client: &Client, wish: &Wish) -> std::result::Result<i64, CommandError> {
    let mut source = wish.source.clone();
    // The name the user knows; the link's target may have another.
    let mut name = None;
    if wish.follow_link
        && let Some(stat) = Stat::ask(client, &wish.container, &source).await?
        && stat.is_link()
    {
        name = Some(split(&source).1);
        source = follow(&source, &stat.link_target);
    }
    let query = query(&[("path", Some(source.clone()))]);
    let path = format!("/containers/{}/archive?{query}", encode(&wish.container));
    let answer = client.call(Method::GET, &path, nothing()).await?;
    let stat = Stat::read(answer.headers()).unwrap_or_default();
    let body = Body::new(answer.into_body());
    if wish.destination == "-" {
        download::save(body, None).await?;
        return Ok(0);
    }
    let base = split(&source).1;
    let landing = match (landing(&wish.destination, stat.is_directory())?, name) {
        (Landing::Into(folder), Some(name)) if name != base => Landing::As(folder.join(name)),
        (landing, _) => landing,
    };
    let (pieces, receiver) = mpsc::channel(DEPTH);
    let unpacking = tokio::task::spawn_blocking(move || {
        let archive = Incoming::new(receiver);
        match &landing {
            Landing::Into(folder) => unpack(archive, folder).map(|_| ()),
            Landing::As(target) => unpack_as(archive, target, &base),
        }
    });
    let count = feed(body, pieces).await;
    let done = unpacking.await.map_err(|error| refuse(error.to_string()))?;
    done.map(|()| count).map_err(|error| refuse(format!("{}: {}", wish.destination, units::errno(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Incoming {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        let (pieces, receiver) = mpsc::channel(1);
        pieces.try_send(Ok(builder.into_inner().unwrap().into())).unwrap();
        Incoming::new(receiver)
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, content: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o640);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }

    #[test]
    fn an_archive_cannot_write_beside_its_folder() {
        let place = std::env::temp_dir().join(format!("gantry-cp-test-{}", std::process::id()));
        let (inside, outside) = (place.join("in"), place.join("out"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        let hostile = archive(|builder| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, "door", &outside).unwrap();
            file(builder, "door/stolen", "x");
        });
        assert!(unpack(hostile, &inside).is_err());
        assert!(!outside.join("stolen").exists());
        unpack_as(archive(|builder| file(builder, "a", "content")), &inside.join("b"), "a").unwrap();
        assert_eq!(std::fs::read_to_string(inside.join("b")).unwrap(), "content");
        let landed = |to: &str, directory| landing(&format!("{}/{to}", place.display()), directory);
        assert_eq!(landed("in", false).unwrap(), Landing::Into(inside.canonicalize().unwrap()));
        assert_eq!(landed("in/new", true).unwrap(), Landing::As(inside.join("new")));
        assert!(
            landed("in/b", true).is_err()
                && landed("in/new/", false).is_err()
                && landed("no/x", false).is_err()
        );
        std::fs::remove_dir_all(&place).unwrap();
    }
}
