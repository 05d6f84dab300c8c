//! Layers on their way from the archive, which is read by one, to those who unpack them.
//!
//! What has been read and not yet unpacked waits in memory, up to a bound. Beyond it the reader waits too, unless there
//! are cores that have nothing to unpack: then it reads on, and what it reads waits in a file.

use super::Extent;
use super::shelf::Shelf;
use crate::pieces::Pieces;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that may wait in memory.
const MEMORY: usize = 32 << 20;

/// Bytes that wait, so many in memory.
enum Piece {
    Here(Vec<Bytes>, usize),
    There(Extent),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Growing,
    Whole,
    /// The archive broke off.
    Broken,
    /// Nobody unpacks it any more.
    Left,
}

struct Queue {
    pieces: VecDeque<Piece>,
    stage: Stage,
}

/// What becomes of bytes that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Memory,
    File,
    Later,
    /// Nobody wants them.
    Nowhere,
}

struct State {
    /// By the number of the layer.
    queues: Vec<Queue>,
    /// Layers that somebody has begun to unpack, and those that are done.
    begun: usize,
    done: usize,
    /// Bytes that wait in memory.
    memory: usize,
    /// No more layers come.
    closed: bool,
    /// Whoever unpacked them broke off.
    broken: bool,
}

impl State {
    fn admit(&self, layer: usize, length: usize, cores: usize) -> Admission {
        let busy = self.queues.len() - self.done;
        match self.queues.get(layer) {
            None => Admission::Nowhere,
            Some(_) if self.broken => Admission::Nowhere,
            Some(queue) if queue.stage == Stage::Left => Admission::Nowhere,
            Some(_) if self.memory == 0 || self.memory + length <= MEMORY => Admission::Memory,
            // One core has its work with reading.
            Some(_) if busy + 1 < cores => Admission::File,
            Some(_) => Admission::Later,
        }
    }
}

/// The layers of an archive between its reader and those who unpack them.
pub(super) struct Window<'a> {
    state: Mutex<State>,
    /// Room came to be.
    room: Condvar,
    /// Bytes or layers came.
    news: Condvar,
    shelf: &'a Shelf,
    cores: usize,
}

impl<'a> Window<'a> {
    /// Nothing has come; what memory cannot hold goes there.
    pub(super) fn new(shelf: &'a Shelf, cores: usize) -> Self {
        let state = State { queues: Vec::new(), begun: 0, done: 0, memory: 0, closed: false, broken: false };
        Self { state: Mutex::new(state), room: Condvar::new(), news: Condvar::new(), shelf, cores }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A layer begins to come; answers its number.
    pub(super) fn begin(&self) -> usize {
        let mut state = self.lock();
        state.queues.push(Queue { pieces: VecDeque::new(), stage: Stage::Growing });
        self.news.notify_all();
        state.queues.len() - 1
    }

    /// More of the latest layer. Waits for room.
    pub(super) fn add(&self, layer: usize, bytes: Vec<Bytes>) -> io::Result<()> {
        let length = bytes.iter().map(Bytes::len).sum();
        let mut state = self.lock();
        let piece = loop {
            match state.admit(layer, length, self.cores) {
                Admission::Nowhere => return Ok(()),
                Admission::Later => state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner),
                Admission::Memory => {
                    state.memory += length;
                    break Piece::Here(bytes, length);
                }
                Admission::File => {
                    drop(state);
                    let there = self.shelf.put(&bytes.concat())?;
                    state = self.lock();
                    break Piece::There(there);
                }
            }
        };
        match state.queues.get_mut(layer) {
            Some(queue) if queue.stage != Stage::Left => queue.pieces.push_back(piece),
            // It was given up while its bytes were written.
            _ => return Ok(()),
        }
        self.news.notify_all();
        Ok(())
    }

    fn stage(&self, layer: usize, stage: Stage) {
        if let Some(queue) = self.lock().queues.get_mut(layer).filter(|q| q.stage == Stage::Growing) {
            queue.stage = stage;
        }
        self.news.notify_all();
    }

    /// The layer has come whole.
    pub(super) fn whole(&self, layer: usize) {
        self.stage(layer, Stage::Whole);
    }

    /// Until this is dropped, more may come.
    pub(super) fn open(&self) -> Opened<'_> {
        Opened(self)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for queue in state.queues.iter_mut().filter(|q| q.stage == Stage::Growing) {
            queue.stage = Stage::Broken;
        }
        self.news.notify_all();
    }

    /// The next layer that nobody has begun to unpack, in the order of the archive; nothing when all are. Waits for it.
    pub(super) fn take(&self) -> Option<Layer<'_>> {
        let mut state = self.lock();
        while state.begun == state.queues.len() && !state.closed {
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let number = state.begun;
        (number < state.queues.len()).then(|| {
            state.begun += 1;
            Layer { window: self, number, here: VecDeque::new() }
        })
    }
}

/// Dropped when the archive is read or broke off: a layer that has not come whole never will.
pub(super) struct Opened<'a>(&'a Window<'a>);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A layer for whoever unpacks it. Dropping it ends that.
pub(super) struct Layer<'a> {
    window: &'a Window<'a>,
    pub(super) number: usize,
    here: VecDeque<Bytes>,
}

impl Pieces for Layer<'_> {
    fn next(&mut self) -> io::Result<Bytes> {
        if let Some(bytes) = self.here.pop_front() {
            return Ok(bytes);
        }
        let mut state = self.window.lock();
        loop {
            let State { queues, memory, .. } = &mut *state;
            let Some(queue) = queues.get_mut(self.number) else { return Ok(Bytes::new()) };
            match (queue.pieces.pop_front(), queue.stage) {
                (Some(Piece::Here(bytes, length)), _) => {
                    *memory -= length;
                    self.here = bytes.into();
                    self.window.room.notify_one();
                    return Ok(self.here.pop_front().unwrap_or_default());
                }
                (Some(Piece::There(extent)), _) => {
                    drop(state);
                    return self.window.shelf.get(extent);
                }
                (None, Stage::Whole) => return Ok(Bytes::new()),
                (None, Stage::Growing) => {
                    state = self.window.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                (None, Stage::Broken | Stage::Left) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

impl Drop for Layer<'_> {
    fn drop(&mut self) {
        let mut state = self.window.lock();
        state.done += 1;
        state.broken |= std::thread::panicking();
        if let Some(queue) = state.queues.get_mut(self.number) {
            queue.stage = Stage::Left;
            let left = std::mem::take(&mut queue.pieces);
            let bytes = left.iter().map(|piece| if let Piece::Here(_, length) = piece { *length } else { 0 });
            state.memory -= bytes.sum::<usize>();
        }
        self.window.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(memory: usize, layers: usize, done: usize) -> State {
        let queues = (0..layers).map(|_| Queue { pieces: VecDeque::new(), stage: Stage::Growing }).collect();
        State { queues, begun: done, done, memory, closed: false, broken: false }
    }

    #[test]
    fn what_memory_cannot_hold_goes_to_the_disk_only_where_that_keeps_cores_at_work() {
        assert_eq!(state(0, 1, 0).admit(0, 2 * MEMORY, 2), Admission::Memory);
        assert_eq!(state(MEMORY - 5, 1, 0).admit(0, 5, 2), Admission::Memory);
        // The one beside the reader's is busy, or one of three is not.
        assert_eq!(state(MEMORY, 1, 0).admit(0, 1, 1), Admission::Later);
        assert_eq!(state(MEMORY, 1, 0).admit(0, 1, 2), Admission::Later);
        assert_eq!(state(MEMORY, 1, 0).admit(0, 1, 4), Admission::File);
        assert_eq!(state(MEMORY, 3, 0).admit(2, 1, 4), Admission::Later);
        assert_eq!(state(MEMORY, 3, 1).admit(2, 1, 4), Admission::File);
        let mut left = state(MEMORY, 1, 1);
        left.queues[0].stage = Stage::Left;
        assert_eq!(left.admit(0, 1, 2), Admission::Nowhere);
    }

    fn numbers(layer: usize) -> Vec<u8> {
        (0..300_000u32).flat_map(|n| (n ^ layer as u32).to_le_bytes()).collect()
    }

    fn taken(mut layer: Layer<'_>) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let piece = layer.next()?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&piece);
        }
    }

    #[test]
    fn every_layer_comes_as_it_was_whether_memory_holds_it_or_not() {
        for cores in [1, 2, 16] {
            let folder = tempfile::tempdir().unwrap();
            let shelf = Shelf::new(folder.path()).unwrap();
            let window = Window::new(&shelf, cores);
            // Memory is full for all of them.
            window.lock().memory = if cores == 16 { MEMORY } else { 0 };
            std::thread::scope(|scope| {
                let worker = || {
                    while let Some(layer) = window.take() {
                        let number = layer.number;
                        assert!(taken(layer).unwrap() == numbers(number));
                    }
                };
                let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
                for layer in 0..5 {
                    assert_eq!(window.begin(), layer);
                    for piece in numbers(layer).chunks(70_000) {
                        let (one, two) = piece.split_at(piece.len() / 2);
                        let both = [one, two].map(Bytes::copy_from_slice);
                        window.add(layer, both.into()).unwrap();
                    }
                    window.whole(layer);
                }
                window.close();
                workers.into_iter().for_each(|w| w.join().unwrap());
            });
        }
    }

    #[test]
    fn a_layer_that_did_not_come_whole_is_an_error_and_one_given_up_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path()).unwrap();
        let window = Window::new(&shelf, 1);
        let layer = window.begin();
        window.add(layer, vec![vec![1; MEMORY].into()]).unwrap();
        drop(window.take());
        // Without room it would wait for ever.
        window.add(layer, vec![vec![1; MEMORY].into()]).unwrap();
        let cut = window.begin();
        window.add(cut, vec![Bytes::from_static(b"a")]).unwrap();
        window.close();
        assert_eq!(taken(window.take().unwrap()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(window.take().is_none());
    }
}
