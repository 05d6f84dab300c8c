//! What a resolv.conf says (resolv.conf(5)), read as Docker reads it.

use std::net::IpAddr;

/// The directives of a resolv.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Servers, in the order they are asked.
    pub servers: Vec<IpAddr>,
    /// Domains that are tried behind short names; the last directive counts.
    pub search: Vec<String>,
    /// Options of all directives.
    pub options: Vec<String>,
    /// Lines of directives that are not known here, as they are.
    pub other: Vec<String>,
    /// Servers that are no addresses.
    pub invalid: Vec<String>,
}

impl ResolvConf {
    /// Reads a file's text. Nothing is an error: what is not understood is kept, or told in `invalid`.
    pub fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines().filter(|l| !l.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            let Some(directive) = words.next() else { continue };
            let mut values = words.map(str::to_owned).peekable();
            match directive {
                "nameserver" | "domain" | "search" | "options" if values.peek().is_none() => {}
                "nameserver" => {
                    if let Some(server) = values.next() {
                        match server.parse() {
                            Ok(address) => out.servers.push(address),
                            Err(_) => out.invalid.push(server),
                        }
                    }
                }
                // The older word for a single one.
                "domain" | "search" => out.search = values.collect(),
                "options" => out.options.extend(values),
                _ => out.other.push(line.to_owned()),
            }
        }
        out
    }

    /// Whether the only server is systemd-resolved's stub on the host's loopback.
    pub fn is_stub(&self) -> bool {
        self.servers == [IpAddr::from([127, 0, 0, 53])]
    }
}

/// The value of an option (`ndots` of `ndots:1`), the last one of that name; empty without a colon.
pub fn option<'a>(options: &'a [String], name: &str) -> Option<&'a str> {
    let mut pairs = options.iter().rev().map(|o| o.split_once(':').unwrap_or((o, "")));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Without the values of `ndots` that are no numbers.
pub fn sound(options: &[String]) -> Vec<String> {
    let fits = |o: &&String| match o.split_once(':').unwrap_or((o, "")) {
        ("ndots", value) => value.parse::<u32>().is_ok(),
        _ => true,
    };
    options.iter().filter(fits).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_as_the_c_library_and_docker_do() {
        let text = "# nameserver 1.1.1.1\n; x\n\nnameserver 10.0.0.1\nnameserver\nnameserver fe80::1%eth0\n\
            nameserver\t2001:db8::1 trailing\ndomain old\nsearch a.example b.example\noptions ndots:2 edns0\n\
            options rotate\nsortlist 10.0.0.0\n  lookup file bind\n";
        let found = ResolvConf::parse(text);
        assert_eq!(found.servers, ["10.0.0.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
        assert_eq!(
            (found.search.join(" "), found.invalid),
            ("a.example b.example".into(), vec!["fe80::1%eth0".into()])
        );
        assert_eq!(found.other, ["sortlist 10.0.0.0", "  lookup file bind"]);
        assert_eq!(found.options, ["ndots:2", "edns0", "rotate"]);
        assert_eq!((option(&found.options, "ndots"), option(&found.options, "edns0")), (Some("2"), Some("")));
        assert_eq!(option(&found.options, "dots"), None);
        assert!(!ResolvConf::parse(text).is_stub() && ResolvConf::parse("nameserver 127.0.0.53").is_stub());
        let odd = ["ndots:x", "ndots", "ndots:-1", "ndots:3", "x:y"].map(str::to_owned);
        assert_eq!(sound(&odd), ["ndots:3", "x:y"]);
    }
}
