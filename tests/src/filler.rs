//! A data root's disk that is filled to the last byte, and freed.

use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::path::PathBuf;

/// A file that takes all room there is.
#[derive(Debug)]
pub struct Filler {
    path: PathBuf,
    full: bool,
}

impl Filler {
    /// On the disk of this folder, which has room.
    pub fn on(data: PathBuf) -> Self {
        Self { path: data.join("filler"), full: false }
    }

    /// Between [`Filler::fill`] and [`Filler::free`].
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// To the last byte.
    #[track_caller]
    pub fn fill(&mut self) {
        let file = File::create(&self.path).expect("make the file that fills the disk");
        let mut length = 0;
        for piece in [64 << 20, 1 << 20, 4096] {
            // Until nothing of this size fits.
            while fallocate(&file, FallocateFlags::empty(), length, piece).is_ok() {
                length += piece;
            }
        }
        self.full = true;
    }

    /// All that was taken.
    #[track_caller]
    pub fn free(&mut self) {
        std::fs::remove_file(&self.path).expect("free the disk");
        self.full = false;
    }
}
