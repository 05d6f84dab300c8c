use super::*;
use serde_json::json;

fn able() -> Limits {
    let cpus = Set::parse("0-1").unwrap();
    Limits {
        memory: true,
        swap: true,
        reservation: true,
        swappiness: true,
        oom_kill_disable: true,
        shares: true,
        quota: true,
        realtime: true,
        cpuset: true,
        pids: true,
        blkio_weight: true,
        blkio_weight_device: true,
        read_bps: true,
        write_bps: true,
        read_iops: true,
        write_iops: true,
        cpus,
        mems: Set::parse("0").unwrap(),
        processors: 2,
        ..Limits::default()
    }
}

fn ask(raw: Value, can: &Limits, purpose: Purpose) -> Result<Limited, String> {
    let host: HostConfig = serde_json::from_value(raw.clone()).unwrap();
    resources(&host, &raw, can, purpose).map_err(|e| e.text)
}

#[test]
fn values_out_of_range_or_against_each_other_are_refused_in_dockers_words() {
    const M: i64 = 1 << 20;
    let cases = [
        (json!({"Memory": 4 * M}), "Minimum memory limit allowed is 6MB"),
        (json!({"Memory": -1}), "Minimum memory limit allowed is 6MB"),
        (
            json!({"Memory": 20 * M, "MemorySwap": 10 * M}),
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            json!({"MemorySwap": 10 * M}),
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (json!({"MemorySwappiness": 101}), "Invalid value: 101, valid memory swappiness range is 0-100"),
        (json!({"MemoryReservation": M}), "Minimum memory reservation allowed is 6MB"),
        (
            json!({"Memory": 10 * M, "MemoryReservation": 20 * M}),
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (
            json!({"NanoCpus": 3_000_000_000_i64}),
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            json!({"NanoCpus": 1, "CpuPeriod": 1000}),
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        ),
        (
            json!({"NanoCpus": 1, "CpuQuota": 1000}),
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            json!({"CpuPeriod": 999}),
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (json!({"CpuQuota": 999}), "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (
            json!({"CpuRealtimePeriod": 1, "CpuRealtimeRuntime": 2}),
            "cpu real-time runtime cannot be higher than cpu real-time period",
        ),
        (json!({"CpusetCpus": "0-5"}), "Requested CPUs are not available - requested 0-5, available: 0-1"),
        (json!({"CpusetCpus": "a"}), "Invalid value a for cpuset cpus: invalid format: a"),
        (json!({"CpusetMems": "1"}), "Requested memory nodes are not available - requested 1, available: 0"),
        (json!({"BlkioWeight": 5}), "Range of blkio weight is from 10 to 1000"),
    ];
    for (raw, text) in cases {
        assert_eq!(ask(raw, &able(), Purpose::Create).unwrap_err(), text);
    }
}

#[test]
fn swap_is_as_much_again_as_memory_and_a_change_leaves_it_alone() {
    let raw = json!({"Memory": 64 << 20});
    assert_eq!(ask(raw.clone(), &able(), Purpose::Create).unwrap().0.memory_swap, 128 << 20);
    assert_eq!(ask(raw, &able(), Purpose::Update).unwrap().0.memory_swap, 0);
    assert!(ask(json!({"MemorySwap": 1 << 30}), &able(), Purpose::Update).is_ok());
}

#[test]
fn what_the_kernel_cannot_do_is_discarded_with_a_warning() {
    let raw = json!({
        "Memory": 64 << 20, "MemorySwappiness": 10, "MemoryReservation": 32 << 20, "OomKillDisable": true, "PidsLimit": 5,
        "CpuShares": 10, "CpuPeriod": 1000, "CpusetCpus": "9", "BlkioWeight": 100, "KernelMemory": 1,
        "BlkioWeightDevice": [{"Path": "/dev/x", "Weight": 10}], "BlkioDeviceReadBps": [{"Path": "/dev/x", "Rate": 1}],
    });
    let (left, warnings) = ask(raw, &Limits { processors: 2, ..Limits::default() }, Purpose::Create).unwrap();
    assert_eq!(left, Resources { memory_swap: -1, ..Resources::default() });
    assert_eq!(warnings.len(), 12, "{warnings:#?}");
    assert!(
        warnings.contains(&"Your kernel does not support OomKillDisable. OomKillDisable discarded.".into())
    );
}

#[test]
fn only_waiting_for_memory_that_cannot_be_had_is_warned_of() {
    let can = Limits { oom_kill_disable: false, ..able() };
    assert_eq!(ask(json!({"OomKillDisable": false}), &can, Purpose::Create).unwrap().1, [""; 0]);
    let (_, warnings) = ask(json!({"OomKillDisable": true}), &able(), Purpose::Create).unwrap();
    assert!(warnings[0].starts_with("OOM killer is disabled for the container, but no memory limit is set"));
}

#[test]
fn a_parent_of_control_groups_has_no_way_out() {
    let parent = |text: &str| {
        let host = HostConfig { cgroup_parent: Some(text.to_owned()), ..HostConfig::default() };
        cgroup_parent(&host)
    };
    assert_eq!(parent("/a/../../b/./c/"), "/b/c");
    assert_eq!(parent("rel"), "/rel");
    assert_eq!(parent(""), "");
}
