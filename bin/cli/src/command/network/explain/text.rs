//! What a daemon explains of its networks, as text.

use serde_json::Value;

use crate::listing::{list, number, text as field};
use crate::output;

/// The whole text; pools are told with all networks, not with one.
pub fn text(explained: &Value, with_pools: bool) -> String {
    let mut out = String::new();
    if with_pools {
        out.push_str("POOLS for new networks\n");
        out.push_str(&table(1, pools(explained)));
    }
    for network in list(explained, "networks") {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&one(network));
    }
    out
}

/// Lines with columns, indented so many times.
fn table(depth: usize, lines: Vec<String>) -> String {
    let aligned = output::align(&lines);
    aligned.lines().map(|line| format!("{}{}\n", "  ".repeat(depth), line.trim_end())).collect()
}

fn pools(explained: &Value) -> Vec<String> {
    let mut lines = vec!["POOL\tEACH\tLEFT\tHELD".to_owned()];
    for pool in list(explained, "pools") {
        let held: Vec<String> =
            list(pool, "held").map(|h| format!("{} {}", field(h, "subnet"), field(h, "by"))).collect();
        lines.push(format!(
            "{}\t/{}\t{} of {}\t{}",
            field(pool, "base"),
            number(pool, "size"),
            number(pool, "left"),
            number(pool, "networks"),
            held.join(", ")
        ));
    }
    lines
}

fn one(network: &Value) -> String {
    let mut about = vec![field(network, "driver")];
    about.extend(Some(field(network, "interface")).filter(|interface| !interface.is_empty()));
    if network.get("internal").and_then(Value::as_bool) == Some(true) && about.len() > 1 {
        about.push("internal".to_owned());
    }
    let id = field(network, "id");
    let mut out =
        format!("NETWORK {} ({}, {})\n", field(network, "name"), about.join(", "), output::short_id(&id));
    for subnet in list(network, "subnets") {
        out.push_str(&self::subnet(subnet));
    }
    let members = members(network);
    if members.len() > 1 {
        out.push_str("  Containers\n");
        out.push_str(&table(2, members));
    }
    let ports = ports(network);
    if ports.len() > 1 {
        out.push_str("  Ports\n");
        out.push_str(&table(2, ports));
    }
    out.push_str("  Reach\n");
    for sentence in list(network, "reach").filter_map(Value::as_str) {
        out.push_str(&format!("    {sentence}\n"));
    }
    if let Some(kernel) = network.get("kernel").filter(|kernel| !kernel.is_null()) {
        out.push_str(&self::kernel(kernel));
    }
    out
}

fn subnet(subnet: &Value) -> String {
    let count = |key: &str| subnet.get(key).and_then(Value::as_u64).unwrap_or_default();
    let free = match count("free") {
        free if free > u64::from(u32::MAX) => "over 4 billion addresses free".to_owned(),
        free => format!("{free} of {} addresses free", count("addresses")),
    };
    let range = field(subnet, "range");
    let range = if range.is_empty() { String::new() } else { format!(" (addresses from {range})") };
    let mut out = format!("  Subnet {}{range}: {free}\n", field(subnet, "subnet"));
    let holders = list(subnet, "holders").map(|holder| {
        let name = field(holder, "name");
        let what = match field(holder, "kind").as_str() {
            "gateway" => format!("gateway ({name})"),
            "reserved" => format!("set apart for {name}"),
            _ => name,
        };
        format!("{}\t{what}", field(holder, "address"))
    });
    out.push_str(&table(2, holders.collect()));
    out
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn members(network: &Value) -> Vec<String> {
    let mut lines = vec!["NAME\tADDRESSES\tFOUND AS\tFINDS".to_owned()];
    for member in list(network, "members") {
        let columns = [
            field(member, "name"),
            texts(member, "addresses").join(" "),
            texts(member, "names").join(" "),
            texts(member, "links").join(", "),
        ];
        lines.push(columns.join("\t"));
    }
    lines
}

fn ports(network: &Value) -> Vec<String> {
    let mut lines = vec!["PUBLISHED AT\tLEADS TO\tREACHED FROM".to_owned()];
    for port in list(network, "ports") {
        let protocol = field(port, "protocol");
        let host = match field(port, "host") {
            host if host.is_empty() => "-".to_owned(),
            host => format!("{host}/{protocol}"),
        };
        let from = match field(port, "reached_from").as_str() {
            "any_host" => "any host",
            "this_host" => "this host",
            "network" => "this host, containers of the network",
            "containers" => "containers of the network",
            "link" => "containers of the network, other hosts on the link",
            _ if port.get("installed") == Some(&Value::Bool(false)) => {
                "nowhere: the kernel does not lead there"
            }
            _ => "nowhere",
        };
        lines.push(format!(
            "{host}\t{}:{}/{protocol}\t{from}",
            field(port, "container"),
            number(port, "port")
        ));
    }
    lines
}

fn kernel(kernel: &Value) -> String {
    let unknown = field(kernel, "unknown");
    if !unknown.is_empty() {
        return format!("  Rules: unknown: {unknown}\n");
    }
    let (missing, stray) = (texts(kernel, "missing"), texts(kernel, "stray"));
    let there = format!("interfaces {}, ports {}", number(kernel, "interfaces"), number(kernel, "ports"));
    if missing.is_empty() && stray.is_empty() {
        return format!("  Rules: as wanted ({there})\n");
    }
    let mut out = format!("  Rules: NOT as wanted ({there})\n");
    for (what, list) in [("missing", missing), ("belongs to nobody", stray)] {
        for one in list {
            out.push_str(&format!("    {what}: {one}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn explained() -> Value {
        json!({
            "pools": [{ "base": "172.18.0.0/16", "size": 16, "networks": 1, "left": 0,
                        "held": [{ "subnet": "172.18.0.0/16", "by": "network web" }] }],
            "networks": [{
                "id": "0123456789abcdef", "name": "web", "driver": "bridge", "interface": "br-0123456789ab",
                "internal": false,
                "subnets": [{
                    "subnet": "172.18.0.0/16", "range": null, "gateway": "172.18.0.1", "addresses": 65533, "free": 65532,
                    "holders": [{ "address": "172.18.0.1", "kind": "gateway", "name": "br-0123456789ab", "container": null },
                                { "address": "172.18.0.2", "kind": "container", "name": "db", "container": "ff" }],
                }],
                "members": [{ "id": "ff", "name": "db", "addresses": ["172.18.0.2"], "mac": "02:42:ac:12:00:02",
                              "names": ["db", "ff"], "links": ["mysql -> db1"], "default_route": true }],
                "ports": [
                    { "container": "db", "protocol": "tcp", "host": "0.0.0.0:8080", "port": 80, "reached_from": "any_host",
                      "installed": true },
                    { "container": "db", "protocol": "udp", "host": null, "port": 9, "reached_from": "network",
                      "installed": null },
                ],
                "reach": ["This host reaches every port of every container."],
                "kernel": { "interfaces": 1, "ports": 1, "missing": [], "stray": [], "unknown": null },
            }],
        })
    }

    #[test]
    fn a_network_is_told_from_its_addresses_to_its_rules() {
        let wanted = "\
POOLS for new networks
  POOL            EACH      LEFT      HELD
  172.18.0.0/16   /16       0 of 1    172.18.0.0/16 network web

NETWORK web (bridge, br-0123456789ab, 0123456789ab)
  Subnet 172.18.0.0/16: 65532 of 65533 addresses free
    172.18.0.1   gateway (br-0123456789ab)
    172.18.0.2   db
  Containers
    NAME      ADDRESSES    FOUND AS   FINDS
    db        172.18.0.2   db ff      mysql -> db1
  Ports
    PUBLISHED AT       LEADS TO    REACHED FROM
    0.0.0.0:8080/tcp   db:80/tcp   any host
    -                  db:9/udp    this host, containers of the network
  Reach
    This host reaches every port of every container.
  Rules: as wanted (interfaces 1, ports 1)
";
        assert_eq!(text(&explained(), true), wanted);
        assert!(text(&explained(), false).starts_with("NETWORK web"));
        let six =
            json!({ "subnet": "fd00::/64", "addresses": u64::MAX, "free": u64::MAX - 3, "holders": [] });
        assert_eq!(subnet(&six), "  Subnet fd00::/64: over 4 billion addresses free\n");
    }

    #[test]
    fn what_is_amiss_is_told_piece_by_piece() {
        let mut explained = explained();
        explained["networks"][0]["kernel"] = json!({ "interfaces": 1, "ports": 0, "missing": ["published port 1"], "stray": ["port 2"], "unknown": null });
        let told = text(&explained, false);
        let wanted = "  Rules: NOT as wanted (interfaces 1, ports 0)\n    missing: published port 1\n    belongs to nobody: port 2\n";
        assert!(told.ends_with(wanted), "{told}");
        explained["networks"][0]["kernel"]["unknown"] = json!("no netlink");
        assert!(text(&explained, false).ends_with("  Rules: unknown: no netlink\n"));
    }
}
