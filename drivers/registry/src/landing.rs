//! The file a download lands in: written, digested and shown to those who follow, where blocking is allowed.

use crate::follow::Growing;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// What came is digested again in pieces of this size when a download is taken up.
const PIECE: usize = 1 << 18;

/// A file on its way.
pub struct Landing {
    file: File,
    hasher: Sha256,
    have: u64,
    growing: Growing,
}

impl Landing {
    /// Takes up what an earlier try left, unless that is more than `most` bytes.
    pub fn take_up(path: &Path, most: u64, growing: Growing) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut landing = Self { file, hasher: Sha256::new(), have: 0, growing };
        if landing.file.metadata()?.len() > most {
            landing.restart()?;
        }
        let mut buffer = vec![0; PIECE];
        loop {
            let count = landing.file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            landing.hasher.update(buffer.get(..count).unwrap_or_default());
            landing.have += count as u64;
        }
        landing.growing.wrote(landing.have);
        Ok(landing)
    }

    /// Bytes so far.
    pub fn have(&self) -> u64 {
        self.have
    }

    /// Throws away what is there.
    pub fn restart(&mut self) -> io::Result<()> {
        self.growing.restart();
        self.file.set_len(0)?;
        self.file.rewind()?;
        (self.hasher, self.have) = (Sha256::new(), 0);
        Ok(())
    }

    /// Adds what came.
    pub fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            self.file.write_all(piece)?;
            self.have += piece.len() as u64;
        }
        self.growing.wrote(self.have);
        pieces.iter().for_each(|piece| self.hasher.update(piece));
        Ok(())
    }

    /// `sha256:…` of what is there.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hasher.clone().finalize()))
    }

    /// All is there and right: who follows comes to the end.
    pub fn whole(self) {
        self.growing.whole();
    }
}
