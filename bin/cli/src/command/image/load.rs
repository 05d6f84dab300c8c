//! `gantry load`

use bollard::query_parameters::ImportImageOptions;
use bytes::Bytes;
use clap::Args;
use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{client::Client, error::CommandError, output, terminal};

/// Reads images from an archive.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry load -i busybox.tar\n  zcat images.tar.gz | gantry load")]
pub struct Load {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "FILE")]
    input: Option<String>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

/// Opens `path`, or standard input for none or `-`.
pub async fn open(path: Option<&str>) -> Result<Box<dyn AsyncRead + Send + Unpin>, CommandError> {
    match path {
        None | Some("-") => Ok(Box::new(tokio::io::stdin())),
        Some(path) => match tokio::fs::File::open(path).await {
            Ok(file) => Ok(Box::new(file)),
            Err(source) => Err(CommandError::File { path: format!("open {path}"), source }),
        },
    }
}

/// What `reader` gives, in pieces.
pub fn pieces(
    reader: Box<dyn AsyncRead + Send + Unpin>,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    futures::stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        let mut buffer = bytes::BytesMut::with_capacity(64 * 1024);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(buffer.freeze()), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

impl Load {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        if self.input.is_none() && terminal::stdin_is_terminal() {
            let text = "requested load from stdin, but stdin is empty";
            return Err(CommandError::Refused(text.to_owned()));
        }
        let archive = pieces(open(self.input.as_deref()).await?);
        let options = ImportImageOptions { quiet: self.quiet, platform: None };
        let docker = client.docker()?;
        let mut answers = docker.import_image_stream(options, archive, None);
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| client.because(error))?;
            match (answer.stream, answer.status) {
                (Some(text), _) => output::raw(text),
                (None, Some(text)) if !self.quiet && answer.progress_detail.is_none() => output::line(text),
                _ => {}
            }
        }
        Ok(0)
    }
}
