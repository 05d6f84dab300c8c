//! JSON as Go reads it: whether a field's name is written in capitals makes no difference.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a text in which fields of these names may be written otherwise.
pub(super) fn read<T: DeserializeOwned>(text: &[u8], names: &[&str]) -> serde_json::Result<T> {
    let mut value = serde_json::from_slice(text)?;
    respell(&mut value, names);
    serde_json::from_value(value)
}

fn respell(value: &mut Value, names: &[&str]) {
    let Value::Object(fields) = value else { return };
    for (key, mut inner) in std::mem::take(fields) {
        respell(&mut inner, names);
        let name = names.iter().find(|name| name.eq_ignore_ascii_case(&key));
        fields.insert(name.map_or(key, |name| (*name).to_owned()), inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_known_however_they_are_written_and_others_stay() {
        let text = br#"{"err":"x","tlsconfig":{"cafile":"/ca"},"Other":[{"err":1}]}"#;
        let read: Value = read(text, &["Err", "TLSConfig", "CAFile"]).unwrap();
        assert_eq!(read, json!({"Err": "x", "TLSConfig": {"CAFile": "/ca"}, "Other": [{"err": 1}]}));
    }
}
