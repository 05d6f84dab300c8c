//! Pax extended header records (POSIX.1-2008, `pax`, "pax Extended Header"): `LENGTH KEY=VALUE\n`, LENGTH counting all
//! of it. Values are bytes: extended attributes hold newlines, so records are cut by their length alone.

use super::bad;
use std::collections::BTreeMap;
use std::io;

/// Key and value of every record, in order.
pub(crate) fn records(mut bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let malformed = || bad("archive/tar: invalid pax header");
    let mut out = Vec::new();
    // Some writers pad the block with zeros.
    while bytes.first().is_some_and(|b| *b != 0) {
        let space = bytes.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
        let length = bytes.get(..space).and_then(|d| std::str::from_utf8(d).ok());
        let length: usize = length.and_then(|d| d.parse().ok()).ok_or_else(malformed)?;
        let record = bytes.get(space + 1..length).ok_or_else(malformed)?;
        let (body, end) = record.split_at(record.len().saturating_sub(1));
        let equals = body.iter().position(|b| *b == b'=').filter(|at| *at > 0).ok_or_else(malformed)?;
        let (key, value) = body.split_at(equals);
        let key = std::str::from_utf8(key).map_err(|_| malformed())?;
        if end != b"\n" || key.contains('\0') {
            return Err(malformed());
        }
        out.push((key.to_owned(), value.get(1..).unwrap_or_default().to_vec()));
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(out)
}

/// Adds records to what is known: the last of a key counts, an empty value takes the key away, and the two halves of
/// GNU's sparse format 0.0 are gathered in the list that format 0.1 writes.
pub(crate) fn merge(into: &mut BTreeMap<String, Vec<u8>>, records: Vec<(String, Vec<u8>)>) {
    for (key, value) in records {
        match key.as_str() {
            "GNU.sparse.offset" | "GNU.sparse.numbytes" => {
                let map = into.entry("GNU.sparse.map".to_owned()).or_default();
                if !map.is_empty() {
                    map.push(b',');
                }
                map.extend_from_slice(&value);
            }
            _ if value.is_empty() => drop(into.remove(&key)),
            _ => drop(into.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::records;

    #[test]
    fn a_value_with_newlines_stays_whole() {
        // Cutting by lines broke file capabilities whose bits happen to be 0x0a.
        let record = b"23 SCHILY.xattr.a=1\n\n2\n";
        assert_eq!(records(record).unwrap(), [("SCHILY.xattr.a".to_owned(), b"1\n\n2".to_vec())]);
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for text in [
            "5 a=b",
            "99999999999999999999 a=b\n",
            "7 a=bc\n",
            "6 a=bc\n",
            "4 =b\n",
            "x a=b\n",
            "3 a\n",
            "-6 a=b\n",
        ] {
            let fine = records(text.as_bytes());
            assert_eq!(fine.is_ok(), text == "7 a=bc\n", "{text:?}: {fine:?}");
        }
    }
}
