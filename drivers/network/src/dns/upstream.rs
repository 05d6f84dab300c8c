//! Who is asked for names that are nobody's here, purely.

use super::ADDRESS;
use contract::network::Resolver;
use contract::network::resolvconf::{ResolvConf, option, sound};
use std::net::IpAddr;

/// Where a query goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the servers that the container was given, from inside its namespace: its own routes and rules hold, and one on an
    /// internal network reaches what is on that.
    Inside(Vec<IpAddr>),
    /// To the host's, loopback ones included, from the host's (as in moby).
    Host(Vec<IpAddr>),
    /// To nobody: it does not exist for the container's user, who has domains tried behind names without a dot.
    Empty,
    /// To nobody.
    Nowhere,
}

/// Decides for one query; `single` says that its name has no dot.
pub fn route(resolver: &Resolver, host: &ResolvConf, single: bool) -> Route {
    let options = if resolver.options.is_empty() { &host.options } else { &resolver.options };
    if single && option(&sound(options), "ndots").is_some() {
        return Route::Empty;
    }
    match (resolver.servers.is_empty(), resolver.outward) {
        // Itself it does not ask.
        (false, _) => {
            Route::Inside(resolver.servers.iter().copied().filter(|s| *s != IpAddr::V4(ADDRESS)).collect())
        }
        (true, true) => Route::Host(host.servers.clone()),
        (true, false) => Route::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Nobody;

    impl contract::network::Names for Nobody {
        fn addresses(&self, _: &str, _: &str) -> Option<Vec<IpAddr>> {
            None
        }

        fn name(&self, _: &str, _: IpAddr) -> Option<String> {
            None
        }
    }

    fn resolver(servers: &[&str], outward: bool, options: &[&str]) -> Resolver {
        Resolver {
            container: "c".into(),
            servers: servers.iter().map(|s| s.parse().unwrap()).collect(),
            outward,
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            names: Arc::new(Nobody),
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn servers_of_its_own_are_asked_from_inside_and_the_hosts_from_the_host() {
        let host = ResolvConf::parse("nameserver 127.0.0.53\nnameserver 10.0.0.1\n");
        let at_hosts = Route::Host(vec![ip("127.0.0.53"), ip("10.0.0.1")]);
        assert_eq!(route(&resolver(&[], true, &[]), &host, true), at_hosts);
        assert_eq!(route(&resolver(&[], false, &[]), &host, false), Route::Nowhere);
        for outward in [true, false] {
            let own = resolver(&["127.0.0.11", "10.9.9.9"], outward, &[]);
            assert_eq!(route(&own, &host, false), Route::Inside(vec![ip("10.9.9.9")]));
        }
    }

    #[test]
    fn single_names_stay_here_where_ndots_is_set() {
        let host = ResolvConf::parse("nameserver 10.0.0.1\noptions ndots:2\n");
        assert_eq!(route(&resolver(&[], true, &[]), &host, true), Route::Empty);
        assert_eq!(route(&resolver(&[], true, &["ndots:1"]), &host, true), Route::Empty);
        for options in [["edns0"], ["ndots:x"]] {
            assert_eq!(route(&resolver(&[], true, &options), &host, true), Route::Host(vec![ip("10.0.0.1")]));
        }
        assert_eq!(route(&resolver(&[], true, &[]), &host, false), Route::Host(vec![ip("10.0.0.1")]));
    }
}
