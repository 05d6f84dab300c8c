//! Options of networks whose containers' interfaces stand on one of the host's: macvlan and ipvlan.

use super::invalid;
use crate::gateway::create::unsupported;
use actors::Wanted;
use contract::network::{IpvlanFlag, IpvlanMode, MacvlanMode, Parent, SegmentKind};
use contract::{Kind, PortError};

const MTU: &str = "com.docker.network.driver.mtu";

/// Reads a driver's options; `None` where the driver is another. Docker leaves out what it does not know; here it is refused.
pub fn options(out: &mut Wanted, driver: &str) -> Option<Result<(), PortError>> {
    let own = match driver {
        "macvlan" => ["macvlan_mode", ""],
        "ipvlan" => ["ipvlan_mode", "ipvlan_flag"],
        _ => return None,
    };
    Some(read(out, driver, own))
}

fn read(out: &mut Wanted, driver: &str, own: [&str; 2]) -> Result<(), PortError> {
    let option = |key: &str| out.options.get(key).map(String::as_str).unwrap_or_default();
    let known = |key: &str| key == "parent" || key == MTU || (!key.is_empty() && own.contains(&key));
    if let Some(other) = out.options.keys().find(|key| !known(key)) {
        return Err(unsupported(&format!("the network option {other}")));
    }
    let parent = option("parent");
    if parent == "lo" {
        return Err(refused(format!("loopback interface is not a valid {driver} parent link")));
    }
    let stands_on = if parent.is_empty() { Parent::Own } else { Parent::Host };
    let or =
        |given: &str, default: &str| if given.is_empty() { default.to_owned() } else { given.to_owned() };
    let wrong = |what: &str, given: &str, default: &str| {
        refused(format!(
            "requested {driver} {what} '{given}' is not valid, '{default}' {}is the {driver} driver default",
            if what == "mode" { "mode " } else { "" }
        ))
    };
    let kind = if driver == "macvlan" {
        let mode = or(option("macvlan_mode"), "bridge");
        let mode = MacvlanMode::named(&mode).ok_or_else(|| wrong("mode", &mode, "bridge"))?;
        SegmentKind::Macvlan { mode, parent: stands_on }
    } else {
        let mode = or(option("ipvlan_mode"), "l2");
        let mode = IpvlanMode::named(&mode).ok_or_else(|| wrong("mode", &mode, "l2"))?;
        let flag = or(option("ipvlan_flag"), "bridge");
        let flag = IpvlanFlag::named(&flag).ok_or_else(|| wrong("flag", &flag, "bridge"))?;
        SegmentKind::Ipvlan { mode, flag, parent: stands_on }
    };
    // The parent's, where none is asked for.
    let mtu = match option(MTU) {
        "" => 0,
        text => {
            let mtu = text.parse().ok().filter(|n| (68..=65_535).contains(n));
            mtu.ok_or_else(|| invalid(format!("failed to parse {MTU} value: {text:?}")))?
        }
    };
    let parent = Some(parent.to_owned()).filter(|p| !p.is_empty());
    (out.kind, out.bridge, out.mtu) = (kind, parent, mtu);
    Ok(())
}

/// Docker answers 500 to what its drivers refuse.
fn refused(text: String) -> PortError {
    PortError::new(Kind::Exhausted, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(driver: &str, given: &[(&str, &str)]) -> Result<Wanted, String> {
        let given = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut out = Wanted { options: given, mtu: 1500, ..Wanted::default() };
        options(&mut out, driver).unwrap().map_err(|e| e.text)?;
        Ok(out)
    }

    #[test]
    fn modes_flags_and_parents_are_read_and_default_as_docker_s() {
        let out = asked("macvlan", &[("parent", "eth0.10"), ("macvlan_mode", "vepa")]).unwrap();
        let kind = SegmentKind::Macvlan { mode: MacvlanMode::Vepa, parent: Parent::Host };
        assert_eq!((out.kind, out.bridge.as_deref(), out.mtu), (kind, Some("eth0.10"), 0));
        let out = asked("ipvlan", &[]).unwrap();
        let (mode, flag, parent) = (IpvlanMode::L2, IpvlanFlag::Bridge, Parent::Own);
        assert_eq!((out.kind, out.bridge), (SegmentKind::Ipvlan { mode, flag, parent }, None));
    }

    #[test]
    fn what_a_driver_does_not_know_is_refused() {
        let told = |driver: &str, key: &str, value: &str| asked(driver, &[(key, value)]).unwrap_err();
        assert_eq!(
            told("macvlan", "macvlan_mode", "l2"),
            "requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default"
        );
        assert_eq!(
            told("ipvlan", "ipvlan_flag", "x"),
            "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default"
        );
        assert_eq!(told("ipvlan", "parent", "lo"), "loopback interface is not a valid ipvlan parent link");
        for (driver, key) in
            [("macvlan", "ipvlan_mode"), ("ipvlan", "com.docker.network.bridge.name"), ("macvlan", "")]
        {
            assert!(told(driver, key, "x").contains("does not support the network option"), "{driver} {key}");
        }
    }
}
