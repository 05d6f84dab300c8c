//! Streams told apart by their first bytes.

use std::io::{self, BufReader, Read};

/// Largest zstd window taken, as a power of two: 128 MiB, what `zstd --ultra` makes without `--long`.
const ZSTD_WINDOW: u32 = 27;

/// Memory an xz stream may ask for, KiB: `xz -9` has a dictionary of 64 MiB, and some is needed beside it.
const XZ_MEMORY: u32 = 80 << 10;

/// Bytes that tell how a stream is compressed.
pub(crate) const MAGIC: usize = 4;

/// Whether these first bytes are those of a plain tar stream (or of nothing we know).
pub(crate) fn is_plain(magic: &[u8]) -> bool {
    matches!(kind(magic), Compression::None)
}

enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

fn kind(magic: &[u8]) -> Compression {
    match magic {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // A skippable frame, with which seekable zstd begins.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', ..] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', ..] => Compression::Xz,
        _ => Compression::None,
    }
}

/// The decompressed stream.
pub(crate) fn decompress<'a>(reader: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut reader = BufReader::with_capacity(1 << 17, reader);
    let mut magic = Vec::new();
    (&mut reader).take(MAGIC as u64).read_to_end(&mut magic)?;
    let found = kind(&magic);
    let whole = io::Cursor::new(magic).chain(reader);
    Ok(match found {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(whole)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        Compression::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(whole)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(whole, true, XZ_MEMORY)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn packed(command: &[&str], bytes: &[u8]) -> Vec<u8> {
        let (program, args) = command.split_first().unwrap();
        let mut child =
            Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, bytes) = (child.stdin.take().unwrap(), bytes.to_vec());
        let writer = std::thread::spawn(move || io::Write::write_all(&mut to, &bytes));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "{command:?}");
        output.stdout
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompress(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_compression_is_known_by_its_first_bytes_and_several_streams_are_one() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|i| (i % 1009).to_le_bytes()).collect();
        for command in
            [&["gzip"][..], &["bzip2"], &["xz", "-9"], &["xz", "-0", "--check=sha256", "--block-size=100000"]]
        {
            let one = packed(command, &text);
            assert_eq!(unpacked(&one).unwrap(), text, "{command:?}");
            let two = [one.clone(), one.clone()].concat();
            assert_eq!(unpacked(&two).unwrap().len(), 2 * text.len(), "{command:?}");
            assert!(unpacked(&one[..one.len() - 9]).is_err(), "{command:?}: cut short");
            let mut broken = one.clone();
            broken[one.len() / 2] ^= 0x55;
            assert!(unpacked(&broken).is_err(), "{command:?}: broken");
        }
        assert_eq!(unpacked(b"plain").unwrap(), b"plain");
    }

    #[test]
    fn xz_that_wants_much_memory_is_refused() {
        let large = packed(&["xz", "--lzma2=preset=0,dict=512MiB"], b"small");
        assert!(unpacked(&large).is_err());
    }
}
