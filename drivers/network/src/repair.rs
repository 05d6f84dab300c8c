//! Whether all is there that should be, putting it back, and getting along with other firewalls.

use crate::error::NetworkError;
use crate::nft::elements::Published;
use crate::pool::Departure;
use crate::ports::Entries;
use crate::{Kernel, bridge, conntrack, link, nft, veth};
use contract::network::{Endpoint, Segment, SegmentKind};
use std::collections::BTreeSet;
use std::process::Command;
use tokio::sync::oneshot;

impl Kernel {
    /// Tells once of firewalls that cannot be asked.
    pub(crate) fn tell_of_others(&mut self, bridge: &str) {
        if self.firewall.is_firewalld().unwrap_or(false) {
            tracing::warn!(
                "firewalld lets containers out only by interfaces of a zone that allows it: \
                 firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd --reload"
            );
        }
        let tables = std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
        if !tables.lines().any(|table| table == "filter") {
            return;
        }
        let listed = Command::new("iptables-legacy").args(["-w", "2", "-S", "FORWARD"]).output();
        if listed.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("-P FORWARD DROP")) {
            tracing::warn!(
                "iptables-legacy drops what is forwarded without a rule, which nftables cannot change: \
                 iptables-legacy -I FORWARD -o {bridge} -j ACCEPT; iptables-legacy -I FORWARD -i {bridge} -j ACCEPT"
            );
        }
    }

    /// Keeps the way through other firewalls open. A failure of theirs is not one of ours.
    pub(crate) fn ensure_passage(&mut self) {
        let Self { firewall, route, bridges, .. } = self;
        let outcome = firewall.ensure_passage(|| {
            let uplinks = link::uplinks(&link::all(route)?);
            Ok(nft::Ways { bridges: bridges.all(), uplinks })
        });
        match outcome {
            Ok(open) => {
                if open && !self.passage {
                    tracing::info!(
                        "another firewall (dockerd, ufw) drops what is forwarded without a rule: a chain at the end \
                         of its FORWARD lets through what this daemon's table has let through"
                    );
                }
                self.passage = open;
            }
            Err(error) => {
                tracing::warn!(%error, "another firewall may drop what goes to and from containers");
            }
        }
    }

    /// Datagrams that went elsewhere before go to where their port leads now.
    pub(crate) fn unstick(&mut self, entries: &Entries) {
        let ports: Vec<Published> = entries.ports.iter().cloned().collect();
        if let Err(error) = conntrack::unstick(&mut self.connections, &ports) {
            tracing::warn!(%error, "old connections to published ports may stay");
        }
    }

    /// What of these is missing, in words.
    pub(crate) fn missing(
        &mut self,
        segments: &[Segment],
        entries: &Entries,
    ) -> Result<Vec<String>, NetworkError> {
        let mut missing = Vec::new();
        if segments.iter().any(|segment| segment.kind != SegmentKind::Bridge) {
            return Ok(missing);
        }
        for segment in segments {
            match link::find(&mut self.route, &segment.name)? {
                Some(link) if link.kind == "bridge" && link.up => {}
                Some(_) => missing.push(format!("the bridge {} is not up", segment.name)),
                None => missing.push(format!("the bridge {}", segment.name)),
            }
        }
        missing.extend(self.firewall.missing(segments, entries)?);
        Ok(missing)
    }

    /// What is missing of everything. Entries that nobody has are left by an earlier daemon, which was killed.
    pub(crate) fn examine(
        &mut self,
        segments: &[Segment],
        endpoints: &[Endpoint],
    ) -> Result<Vec<String>, NetworkError> {
        let mut known = self.reservations.all();
        for endpoint in endpoints {
            known.extend(self.reservations.of(endpoint));
        }
        let purged = self.firewall.purge(&known)?;
        self.leave_strays(endpoints)?;
        if purged > 0 {
            tracing::info!(purged, "entries of ports that nobody has are removed");
        }
        self.ensure_passage();
        let segments: Vec<Segment> =
            segments.iter().filter(|s| self.bridges.contains(&s.name)).cloned().collect();
        self.missing(&segments, &self.reservations.leading())
    }

    /// Takes away interfaces that an earlier daemon was about to delete when it died: a namespace that somebody shares keeps
    /// them, and their addresses are given to others.
    fn leave_strays(&mut self, endpoints: &[Endpoint]) -> Result<(), NetworkError> {
        let inherited = std::mem::take(&mut self.inherited);
        if inherited.is_empty() {
            return Ok(());
        }
        let mut ours = BTreeSet::new();
        for bridge in self.bridges.all() {
            ours.extend(link::find(&mut self.route, &bridge)?.map(|found| found.index));
        }
        let known: BTreeSet<String> =
            endpoints.iter().map(|e| veth::host_name(&e.container, &e.segment.name)).collect();
        // One made anew since then has another index.
        for stray in inherited.iter().filter(|l| ours.contains(&l.master) && !known.contains(&l.name)) {
            tracing::info!(interface = stray.name, "removing an interface that nobody has");
            let (done, _nobody_waits) = oneshot::channel();
            self.pool.depart(Departure::Interface(stray.index, done));
        }
        Ok(())
    }

    /// Puts it back, and answers whose bridges had to be made anew.
    pub(crate) fn restore(&mut self, segments: &[Segment]) -> Result<Vec<String>, NetworkError> {
        // One that is being removed must not come back.
        let segments: Vec<Segment> =
            segments.iter().filter(|s| self.bridges.contains(&s.name)).cloned().collect();
        let mut anew = Vec::new();
        if segments.is_empty() {
            return Ok(anew);
        }
        for segment in &segments {
            let there = link::find(&mut self.route, &segment.name)?.is_some();
            match bridge::ensure(&mut self.route, segment) {
                Ok(()) if !there => anew.push(segment.name.clone()),
                Ok(()) => {}
                // The others' rules are not to wait for it.
                Err(error) => {
                    tracing::warn!(%error, bridge = segment.name, "a bridge is not as it should be")
                }
            }
        }
        let entries = self.reservations.leading();
        self.firewall.restore(&segments, &entries)?;
        self.ensure_passage();
        self.unstick(&entries);
        Ok(anew)
    }
}
