//! Archives from the daemon into a file or standard output.

use std::io::IsTerminal;
use std::path::Path;

use tokio::io::AsyncWriteExt;

use crate::client::Body;
use crate::error::CommandError;

/// Refuses to fill a terminal with an archive, or a path that cannot be a file.
pub fn check(output: Option<&Path>) -> Result<(), CommandError> {
    let refuse = |text: String| Err(CommandError::Refused(text));
    let Some(path) = output else {
        return match std::io::stdout().is_terminal() {
            true => refuse("cowardly refusing to save to a terminal. Use the -o flag or redirect".to_owned()),
            false => Ok(()),
        };
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => refuse(format!(
            "failed to write output: invalid output path: directory {folder:?} does not exist"
        )),
        _ if path.is_dir() => {
            refuse(format!("failed to write output: invalid output path: {path:?} is a directory"))
        }
        _ => Ok(()),
    }
}

/// Writes `body` to `output`. A file appears only when it is whole.
pub async fn save(mut body: Body, output: Option<&Path>) -> Result<(), CommandError> {
    let Some(path) = output else {
        let mut out = tokio::io::stdout();
        while let Some(piece) = body.chunk().await? {
            // The reader has seen enough.
            if out.write_all(&piece).await.is_err() {
                return Ok(());
            }
        }
        let _ = out.flush().await;
        return Ok(());
    };
    let failed = |source| CommandError::File { path: path.display().to_string(), source };
    // A device or pipe is written to, not replaced.
    if path.exists() && !path.is_file() {
        let mut file = tokio::fs::OpenOptions::new().write(true).open(path).await.map_err(failed)?;
        while let Some(piece) = body.chunk().await? {
            file.write_all(&piece).await.map_err(failed)?;
        }
        return file.flush().await.map_err(failed);
    }
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let written = async {
        let mut file = tokio::fs::File::create(&part).await.map_err(failed)?;
        while let Some(piece) = body.chunk().await? {
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        tokio::fs::rename(&part, path).await.map_err(failed)
    };
    let result = written.await;
    if result.is_err() {
        let _ = tokio::fs::remove_file(&part).await;
    }
    result
}
