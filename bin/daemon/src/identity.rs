//! The daemon's id, made once for each data root.

use anyhow::Context as _;
use std::path::Path;

/// A random UUID kept in the data root, as Docker's `engine-id`.
pub fn read(data_root: &Path) -> anyhow::Result<String> {
    let path = data_root.join("engine-id");
    if let Ok(known) = std::fs::read_to_string(&path) {
        let known = known.trim();
        if !known.is_empty() {
            return Ok(known.to_owned());
        }
    }
    let id = uuid()?;
    std::fs::write(&path, &id).with_context(|| format!("write {}", path.display()))?;
    Ok(id)
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("random bytes: {e}"))?;
    let mut number = u128::from_be_bytes(bytes);
    number = number & !(0xf << 76) | 4 << 76;
    number = number & !(0b11 << 62) | 0b10 << 62;
    let text = format!("{number:032x}");
    let (mut out, mut from) = (String::with_capacity(36), 0);
    for length in [8, 4, 4, 4, 12] {
        if from > 0 {
            out.push('-');
        }
        out.push_str(text.get(from..from + length).unwrap_or_default());
        from += length;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_id_stays() {
        let root = tempfile::tempdir().unwrap();
        let id = super::read(root.path()).unwrap();
        assert_eq!((id.len(), &id[14..15], id.matches('-').count()), (36, "4", 4), "{id}");
        assert_eq!(super::read(root.path()).unwrap(), id);
    }
}
