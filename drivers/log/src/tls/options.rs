//! The options by which drivers take what TLS needs: one reader, under each driver's names.

use super::{Identity, Trust};
use crate::options::{boolean, invalid};
use contract::PortError;
use contract::log::Options;

/// A driver's names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keys {
    /// File with certificate authorities.
    pub(crate) ca: &'static str,
    /// Files with this side's certificate and its key.
    pub(crate) pair: Option<[&'static str; 2]>,
    /// Name in the receiver's certificate.
    pub(crate) name: Option<&'static str>,
    /// Whether any certificate is taken.
    pub(crate) skip: &'static str,
}

impl Keys {
    /// What was given under these names; empty values count as none.
    pub(crate) fn read(&self, options: &Options) -> Result<Identity, PortError> {
        let text = |key: &str| options.get(key).filter(|value| !value.is_empty()).cloned();
        let skip = options.get(self.skip).map_or(Ok(false), |value| boolean(value)).map_err(invalid)?;
        let pair = match self.pair {
            None => None,
            Some([certificate, key]) => match (text(certificate), text(key)) {
                (Some(certificate), Some(key)) => Some((certificate, key)),
                (None, None) => None,
                _ => {
                    let told = format!("{certificate} and {key} belong together: one of them is missing");
                    return Err(invalid(told));
                }
            },
        };
        Ok(Identity {
            ca: text(self.ca),
            pair,
            trust: if skip { Trust::Anybody } else { Trust::Authorities },
            name: self.name.and_then(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys { ca: "ca", pair: Some(["cert", "key"]), name: Some("name"), skip: "skip" };

    fn read(pairs: &[(&str, &str)]) -> Result<Identity, String> {
        let options = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        KEYS.read(&options).map_err(|e| e.chain())
    }

    #[test]
    fn empty_values_count_as_none_and_pairs_are_whole() {
        assert_eq!(read(&[]), Ok(Identity::default()));
        assert_eq!(
            read(&[("ca", ""), ("cert", ""), ("name", ""), ("skip", "false")]),
            Ok(Identity::default())
        );
        let all = [("ca", "a"), ("cert", "c"), ("key", "k"), ("name", "n"), ("skip", "1")];
        let wanted = Identity {
            ca: Some("a".into()),
            pair: Some(("c".into(), "k".into())),
            trust: Trust::Anybody,
            name: Some("n".into()),
        };
        assert_eq!(read(&all), Ok(wanted));
        let half = Err("cert and key belong together: one of them is missing".to_owned());
        assert_eq!(read(&[("cert", "c")]), half);
        assert_eq!(read(&[("key", "k")]), half);
        let skip = "strconv.ParseBool: parsing \"x\": invalid syntax".to_owned();
        assert_eq!(read(&[("skip", "x")]), Err(skip));
    }
}
