//! The framing that carries stdout and stderr over one connection (Docker Engine API, "Stream format"): stream byte,
//! three zeros, payload length as a big-endian u32, payload.

/// Which of the two outputs a piece belongs to, or neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stream {
    /// Standard output (and echoed standard input).
    #[default]
    Out,
    /// Standard error.
    Err,
    /// The daemon's own: why the stream ends here.
    System,
}

/// What stands before so many bytes of payload.
pub fn head(stream: Stream, length: usize) -> [u8; 8] {
    let kind = match stream {
        Stream::Out => 1,
        Stream::Err => 2,
        Stream::System => 3,
    };
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [kind, 0, 0, 0, a, b, c, d]
}

/// One frame.
pub fn frame(stream: Stream, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + data.len());
    out.extend_from_slice(&head(stream, data.len()));
    out.extend_from_slice(data);
    out
}

/// Takes a framed stream apart, piece by piece, without waiting for whole frames.
#[derive(Debug, Default)]
pub struct Decoder {
    header: Vec<u8>,
    left: usize,
    stream: Stream,
}

impl Decoder {
    /// Calls `emit` for every payload piece found in `data`.
    pub fn push<'a>(&mut self, mut data: &'a [u8], mut emit: impl FnMut(Stream, &'a [u8])) {
        while !data.is_empty() {
            if self.left == 0 {
                let (head, rest) = data.split_at(data.len().min(8 - self.header.len()));
                self.header.extend_from_slice(head);
                data = rest;
                if let [kind, _, _, _, a, b, c, d] = *self.header.as_slice() {
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.stream = match kind {
                        0 | 1 => Stream::Out,
                        3 => Stream::System,
                        _ => Stream::Err,
                    };
                    self.header.clear();
                }
                continue;
            }
            let (piece, rest) = data.split_at(data.len().min(self.left));
            self.left -= piece.len();
            data = rest;
            emit(self.stream, piece);
        }
    }

    /// A frame has ended and no other has begun.
    pub fn is_between(&self) -> bool {
        self.left == 0 && self.header.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_chunking_gives_the_same_bytes() {
        let mut wire = Vec::new();
        for (stream, text) in [
            (Stream::Out, "hello"),
            (Stream::Err, "oops\n"),
            (Stream::Out, ""),
            (Stream::Out, " world"),
            (Stream::System, "broken\n"),
        ] {
            wire.extend(frame(stream, text.as_bytes()));
        }
        for size in 1..=wire.len() {
            let (mut out, mut err, mut system) = (Vec::new(), Vec::new(), Vec::new());
            let mut decoder = Decoder::default();
            for chunk in wire.chunks(size) {
                decoder.push(chunk, |stream, piece| match stream {
                    Stream::Out => out.extend_from_slice(piece),
                    Stream::Err => err.extend_from_slice(piece),
                    Stream::System => system.extend_from_slice(piece),
                });
            }
            assert_eq!(
                (out.as_slice(), err.as_slice(), system.as_slice()),
                (&b"hello world"[..], &b"oops\n"[..], &b"broken\n"[..]),
                "chunks of {size}"
            );
            assert!(decoder.is_between());
        }
    }
}
