//! What the kernel has, beside what is wanted.

use super::{NetworkFacts, On, members};
use contract::network::PortBinding;
use serde::Serialize;
use std::net::SocketAddr;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Interfaces of containers on the host's side.
    pub interfaces: usize,
    /// Published ports.
    pub ports: usize,
    /// What is wanted and not there.
    pub missing: Vec<String>,
    /// What is there and belongs to nobody.
    pub stray: Vec<String>,
    /// Why it could not be looked at.
    pub unknown: Option<String>,
}

/// Holds them against each other.
pub fn compare(facts: &NetworkFacts, on: &On<'_>) -> Kernel {
    let survey = match &facts.survey {
        Ok(survey) => survey,
        Err(error) => return Kernel { unknown: Some(error.clone()), ..Kernel::default() },
    };
    let mut missing = survey.missing.clone();
    for (snapshot, endpoint) in on {
        let lost =
            |port: &&PortBinding| port.host_port != 0 && !members::is_installed(survey, port, endpoint);
        for binding in endpoint.ports.iter().filter(lost) {
            missing.push(format!("published port {} of {}", told(binding), snapshot.state.name));
        }
    }
    let wanted = |port: &PortBinding| on.iter().any(|(_, e)| e.ports.contains(port));
    let stray = survey.ports.iter().filter(|(port, _)| !wanted(port));
    Kernel {
        interfaces: survey.interfaces.len(),
        ports: survey.ports.len(),
        missing,
        stray: stray.map(|(port, to)| format!("published port {} to {to}", told(port))).collect(),
        unknown: None,
    }
}

fn told(binding: &PortBinding) -> String {
    format!("{}/{}", SocketAddr::new(binding.host_ip, binding.host_port), binding.protocol.name())
}
