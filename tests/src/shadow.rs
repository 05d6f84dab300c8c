//! A reader that keeps all it has ever seen of a file that grows.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Reads a file as it grows, at once.
#[derive(Debug)]
pub struct Shadow {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<u8>>>,
}

impl Shadow {
    /// From now on.
    #[track_caller]
    pub fn of(path: &Path) -> Self {
        let mut file = File::open(path).expect("open the file to be followed");
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                file.read_to_end(&mut seen).expect("read on");
                std::thread::sleep(Duration::from_micros(500));
            }
            seen
        });
        Self { ended, thread: Some(thread) }
    }

    /// Everything it saw.
    #[track_caller]
    pub fn end(mut self) -> Vec<u8> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().expect("it ends once").join().expect("it only reads")
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
