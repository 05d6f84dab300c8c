//! Kinds of network: who makes the containers' interfaces, and over what.

use serde::{Deserialize, Serialize};

/// Which driver makes a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SegmentKind {
    /// A bridge of our own with a veth pair per container.
    #[default]
    Bridge,
    /// Interfaces with MAC addresses of their own over one of the host's.
    Macvlan {
        /// Who hears whom.
        mode: MacvlanMode,
        /// Over what.
        parent: Parent,
    },
    /// Interfaces that share the MAC address of one of the host's.
    Ipvlan {
        /// What is looked at.
        mode: IpvlanMode,
        /// Who hears whom.
        flag: IpvlanFlag,
        /// Over what.
        parent: Parent,
    },
}

/// The interface over which the containers' ones are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parent {
    /// One of the host's, or a VLAN of one.
    Host,
    /// One of the network's own that leads nowhere.
    Own,
}

/// Docker's names of the modes, which are the kernel's.
macro_rules! modes {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$item_doc])* $item),* }

        impl $name {
            /// By Docker's name.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$item),)* _ => None }
            }
        }
    };
}

modes! {
    /// Which of its neighbours on one parent a macvlan interface reaches.
    MacvlanMode {
        /// All of them, directly.
        Bridge = "bridge",
        /// All of them, if the switch outside sends their frames back.
        Vepa = "vepa",
        /// None.
        Private = "private",
        /// It has no neighbours: it is the parent's only user.
        Passthru = "passthru",
    }
}

modes! {
    /// On what an ipvlan decides where a packet goes.
    IpvlanMode {
        /// Frames; ARP is answered.
        L2 = "l2",
        /// Packets; the host is the router, nothing is broadcast.
        L3 = "l3",
        /// The same, past the host's netfilter.
        L3s = "l3s",
    }
}

modes! {
    /// Which of its neighbours on one parent an ipvlan interface reaches.
    IpvlanFlag {
        /// All of them, directly.
        Bridge = "bridge",
        /// None.
        Private = "private",
        /// All of them, if the switch outside sends their frames back.
        Vepa = "vepa",
    }
}

impl SegmentKind {
    /// Docker's name of the driver.
    pub fn driver(&self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan { .. } => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
        }
    }

    /// The parent of the containers' interfaces, where they have one.
    pub fn parent(&self) -> Option<Parent> {
        match self {
            Self::Bridge => None,
            Self::Macvlan { parent, .. } | Self::Ipvlan { parent, .. } => Some(*parent),
        }
    }

    /// Whether packets go by way of a gateway's address, rather than out of the interface whatever is beyond.
    pub fn has_gateway(&self) -> bool {
        !matches!(self, Self::Ipvlan { mode: IpvlanMode::L3 | IpvlanMode::L3s, .. })
    }
}

/// The interface and the number of a VLAN that is named after both, as `eth0.10`; why it is none, in Docker's words.
pub fn vlan(name: &str) -> Result<(&str, u16), String> {
    let Some((interface, text)) = name.split_once('.') else {
        return Err(format!("invalid subinterface vlan name {name}, example formatting is eth0.10"));
    };
    if text.contains('.') {
        return Err(format!(
            "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {name}"
        ));
    }
    let number: i64 = text
        .parse()
        .map_err(|_| format!("unable to parse a valid vlan id from: {text} (ex. eth0.10 for vlan 10)"))?;
    match u16::try_from(number) {
        Ok(number @ 1..=4094) => Ok((interface, number)),
        _ => Err(format!("vlan id must be between 1-4094, received: {number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_back_from_records_and_old_records_are_bridges() {
        let (parent, flag) = (Parent::Host, IpvlanFlag::named("vepa").unwrap());
        let kinds = [
            SegmentKind::Bridge,
            SegmentKind::Macvlan { mode: MacvlanMode::Passthru, parent: Parent::Own },
            SegmentKind::Ipvlan { mode: IpvlanMode::L3s, flag, parent },
        ];
        for kind in kinds {
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<SegmentKind>(&text).unwrap(), kind, "{text}");
        }
        assert_eq!(serde_json::from_str::<SegmentKind>("\"bridge\"").unwrap(), SegmentKind::Bridge);
        assert!(!kinds[2].has_gateway() && kinds[1].has_gateway());
        assert_eq!(MacvlanMode::named("l2"), None);
    }

    #[test]
    fn a_vlan_is_named_after_its_interface_and_its_number() {
        assert_eq!(vlan("eth0.10"), Ok(("eth0", 10)));
        for (name, why) in [
            ("eth0", "invalid subinterface vlan name eth0, example formatting is eth0.10"),
            ("eth0.1.2", "required interface name format is: name.vlan_id"),
            ("eth0.x", "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"),
            ("eth0.4095", "vlan id must be between 1-4094, received: 4095"),
            ("eth0.0", "vlan id must be between 1-4094, received: 0"),
        ] {
            assert!(vlan(name).unwrap_err().starts_with(why), "{name}");
        }
    }
}
