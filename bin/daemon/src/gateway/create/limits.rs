//! Limits of a request, checked in Docker's words.

use super::invalid;
use bollard_stubs::models::HostConfig;
use contract::PortError;
use contract::record::Resources;

/// The smallest memory limit accepted, bytes (moby `linuxMinMemory`).
const MIN_MEMORY: i64 = 6 * 1024 * 1024;

/// The limits.
pub(super) fn resources(host: &HostConfig) -> Result<Resources, PortError> {
    let memory = host.memory.unwrap_or(0);
    let memory_swap = host.memory_swap.unwrap_or(0);
    if memory > 0 && memory < MIN_MEMORY {
        return Err(invalid("Minimum memory limit allowed is 6MB"));
    }
    if memory > 0 && memory_swap > 0 && memory_swap < memory {
        return Err(invalid("Minimum memoryswap limit should be larger than memory limit, see usage"));
    }
    if memory == 0 && memory_swap > 0 {
        return Err(invalid("You should always set the Memory limit when using Memoryswap limit, see usage"));
    }
    Ok(Resources {
        memory,
        memory_swap,
        memory_reservation: host.memory_reservation.unwrap_or(0),
        cpu_shares: host.cpu_shares.unwrap_or(0),
        nano_cpus: host.nano_cpus.unwrap_or(0),
        cpu_period: host.cpu_period.unwrap_or(0),
        cpu_quota: host.cpu_quota.unwrap_or(0),
        cpuset_cpus: host.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: host.cpuset_mems.clone().unwrap_or_default(),
        pids_limit: host.pids_limit.unwrap_or(0),
        ..Resources::default()
    })
}
