//! The framing that carries stdout and stderr over one connection.

/// Which of the two outputs a piece belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output (and echoed standard input).
    Out,
    /// Standard error.
    Err,
}

/// Takes a framed stream apart, piece by piece, without waiting for whole frames.
#[derive(Debug, Default)]
pub struct Decoder {
    header: Vec<u8>,
    left: usize,
    to_stderr: bool,
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
                    self.to_stderr = kind >= 2;
                    self.header.clear();
                }
                continue;
            }
            let (piece, rest) = data.split_at(data.len().min(self.left));
            self.left -= piece.len();
            data = rest;
            emit(if self.to_stderr { Stream::Err } else { Stream::Out }, piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_chunking_gives_the_same_bytes() {
        let mut wire = Vec::new();
        for (kind, text) in [(1u8, "hello"), (2, "oops\n"), (1, ""), (1, " world")] {
            wire.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, text.len() as u8]);
            wire.extend_from_slice(text.as_bytes());
        }
        for size in 1..=wire.len() {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut decoder = Decoder::default();
            for chunk in wire.chunks(size) {
                decoder.push(chunk, |stream, piece| match stream {
                    Stream::Out => out.extend_from_slice(piece),
                    Stream::Err => err.extend_from_slice(piece),
                });
            }
            assert_eq!(
                (out.as_slice(), err.as_slice()),
                (&b"hello world"[..], &b"oops\n"[..]),
                "chunks of {size}"
            );
        }
    }
}
