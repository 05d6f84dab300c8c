//! A container's limits in the words of an OCI configuration, and the difference that a change of them makes.

use super::HostFacts;
use contract::record::{ContainerSpec, DeviceRate, Resources};
use serde_json::{Map, Value, json};

/// The period of `--cpus`, microseconds (moby `getCPUResources`).
const PERIOD: i64 = 100_000;

/// The container's group under each hierarchy.
pub fn group(spec: &ContainerSpec, host: &HostFacts) -> String {
    let parent = if spec.cgroup_parent.is_empty() { &host.cgroup_parent } else { &spec.cgroup_parent };
    format!("{}/{}", parent.trim_end_matches('/'), spec.id)
}

/// `linux.resources`, devices aside.
pub fn resources(r: &Resources) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, section) in [("memory", memory(r)), ("cpu", cpu(r))] {
        if !section.is_empty() {
            out.insert(key.into(), section.into());
        }
    }
    if let Some(limit) = r.pids_limit {
        out.insert("pids".into(), json!({ "limit": if limit > 0 { limit } else { -1 } }));
    }
    out
}

fn memory(r: &Resources) -> Map<String, Value> {
    let mut out = Map::new();
    if r.memory > 0 {
        out.insert("limit".into(), r.memory.into());
    }
    // Records made before the default was written into them have none.
    let swap = if r.memory_swap == 0 { r.memory.saturating_mul(2) } else { r.memory_swap };
    if swap > 0 || (swap < 0 && r.memory > 0) {
        out.insert("swap".into(), swap.into());
    }
    if r.memory_reservation > 0 {
        out.insert("reservation".into(), r.memory_reservation.into());
    }
    if let Some(swappiness) = r.swappiness {
        out.insert("swappiness".into(), swappiness.into());
    }
    if r.oom_kill_disable == Some(true) {
        out.insert("disableOOMKiller".into(), true.into());
    }
    out
}

fn cpu(r: &Resources) -> Map<String, Value> {
    let (period, quota) =
        if r.nano_cpus > 0 { (PERIOD, r.nano_cpus / 10_000) } else { (r.cpu_period, r.cpu_quota) };
    let mut out = Map::new();
    for (key, value) in [
        ("shares", r.cpu_shares),
        ("period", period),
        ("quota", quota),
        ("realtimePeriod", r.rt_period),
        ("realtimeRuntime", r.rt_runtime),
    ] {
        if value != 0 {
            out.insert(key.into(), value.into());
        }
    }
    for (key, value) in [("cpus", &r.cpuset_cpus), ("mems", &r.cpuset_mems)] {
        if !value.is_empty() {
            out.insert(key.into(), value.clone().into());
        }
    }
    out
}

/// `linux.resources.blockIO`, if anything of it is asked for; `number` finds a device's.
pub fn block_io<E>(
    r: &Resources,
    number: impl Fn(&str) -> Result<(u64, u64), E>,
) -> Result<Option<Value>, E> {
    let mut out = Map::new();
    if r.blkio_weight > 0 {
        out.insert("weight".into(), r.blkio_weight.into());
    }
    let mut weights = Vec::new();
    for device in &r.blkio_weight_device {
        let (major, minor) = number(&device.path)?;
        weights.push(json!({ "major": major, "minor": minor, "weight": device.weight }));
    }
    if !weights.is_empty() {
        out.insert("weightDevice".into(), weights.into());
    }
    let throttles: [(&str, &[DeviceRate]); 4] = [
        ("throttleReadBpsDevice", &r.read_bps),
        ("throttleWriteBpsDevice", &r.write_bps),
        ("throttleReadIOPSDevice", &r.read_iops),
        ("throttleWriteIOPSDevice", &r.write_iops),
    ];
    for (key, list) in throttles {
        let mut rates = Vec::new();
        for device in list {
            let (major, minor) = number(&device.path)?;
            rates.push(json!({ "major": major, "minor": minor, "rate": device.rate }));
        }
        if !rates.is_empty() {
            out.insert(key.into(), rates.into());
        }
    }
    Ok((!out.is_empty()).then(|| out.into()))
}

/// What has to be written to bring a group from one to the other. Values that only mean something together (memory with
/// swap, period with quota) are both there when one of them changes.
pub fn change(from: &Resources, to: &Resources) -> Value {
    const TOGETHER: [&[&str]; 2] = [&["limit", "swap"], &["period", "quota"]];
    let (before, mut after) = (resources(from), resources(to));
    after.retain(|key, section| {
        let old = before.get(key);
        let changed = |name: &str, value: &Value| old.and_then(|o| o.get(name)) != Some(value);
        let Some(values) = section.as_object_mut() else { return true };
        let moved: Vec<String> = values
            .iter()
            .filter(|(name, value)| changed(name, value))
            .map(|(name, _)| name.clone())
            .collect();
        values.retain(|name, _| {
            let with = TOGETHER.iter().find(|group| group.contains(&name.as_str()));
            moved.iter().any(|m| m == name || with.is_some_and(|group| group.contains(&m.as_str())))
        });
        !values.is_empty()
    });
    if to.blkio_weight != from.blkio_weight {
        after.insert("blockIO".into(), json!({ "weight": to.blkio_weight }));
    }
    after.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_holds_what_changed_and_what_belongs_to_it() {
        let from = Resources {
            memory: 100,
            memory_swap: 200,
            cpu_shares: 5,
            pids_limit: Some(7),
            ..Resources::default()
        };
        let to = Resources { memory: 150, nano_cpus: 500_000_000, pids_limit: Some(0), ..from.clone() };
        let wanted = json!({
            "memory": { "limit": 150, "swap": 200 }, "cpu": { "period": 100_000, "quota": 50_000 },
            "pids": { "limit": -1 },
        });
        assert_eq!(change(&from, &to), wanted);
        assert_eq!(change(&from, &from), json!({}));
    }

    #[test]
    fn devices_go_by_number_and_one_that_is_missing_is_an_error() {
        let rate = |path: &str| vec![DeviceRate { path: path.into(), rate: 9 }];
        let r = Resources { write_bps: rate("/dev/a"), ..Resources::default() };
        let number = |path: &str| if path == "/dev/a" { Ok((8, 1)) } else { Err(path.to_owned()) };
        let wanted = json!({ "throttleWriteBpsDevice": [{ "major": 8, "minor": 1, "rate": 9 }] });
        assert_eq!(block_io(&r, number), Ok(Some(wanted)));
        assert_eq!(block_io(&Resources::default(), number), Ok(None));
        let r = Resources { read_iops: rate("/dev/b"), ..r };
        assert_eq!(block_io(&r, number), Err("/dev/b".to_owned()));
    }
}
