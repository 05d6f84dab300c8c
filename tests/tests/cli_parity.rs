//! What gantry's command line asks of a daemon, beside what docker's asks: both run against a socket that writes down.

use gantry_tests::Recorder;

/// How the two differ in a line that both must ask and end the same, if they do.
fn difference(recorder: &Recorder, line: &str) -> Option<String> {
    let [(mut docker, theirs), (gantry, ours)] = recorder.both(line);
    // docker waits even for what it leaves to itself.
    if line.starts_with("run -d") {
        docker.retain(|asked| !asked.what.ends_with("/wait"));
    }
    // It asks whether this is the ingress network of a swarm.
    if line.starts_with("network rm") {
        docker.retain(|asked| !asked.what.starts_with("GET "));
    }
    // It looks before it leaps, and tells the daemon what the start of the exec says again.
    if line.starts_with("exec -d") {
        docker.retain(|asked| !asked.what.starts_with("GET "));
        for asked in docker.iter_mut().filter(|asked| asked.what.starts_with("POST containers/")) {
            asked.body.as_object_mut().map(|body| body.shift_remove("Detach"));
        }
    }
    let same = gantry == docker && ours.code == theirs.code && !docker.is_empty();
    (!same).then(|| format!("{line}\ndocker: {docker:#?}\n{theirs}\ngantry: {gantry:#?}\n{ours}"))
}

/// How the two differ in a line that both must refuse before they ask, with the same words, if they do.
fn refusal_difference(recorder: &Recorder, line: &str) -> Option<String> {
    let [(_, theirs), (gantry, ours)] = recorder.both(line);
    let wanted = theirs.stderr.replace("docker", "gantry").replace("\nSee '", "\nRun '");
    let same = gantry.is_empty() && ours.code == theirs.code && ours.stderr.trim() == wanted.trim();
    (!same).then(|| format!("{line}\ngantry: {gantry:?}\n{theirs}\n{ours}"))
}

#[track_caller]
fn none(differences: Vec<String>) {
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n\n"));
}

#[test]
fn every_flag_of_create_reaches_the_daemon_as_dockers() {
    let recorder = Recorder::start("create");
    std::fs::write(recorder.path("env"), "# variables\nFROM_FILE=1\nGANTRY_PARITY\nNO_SUCH_VARIABLE\n")
        .unwrap();
    std::fs::write(recorder.path("labels"), "file=1\nbare\n").unwrap();
    std::fs::write(recorder.path("seccomp"), "{\n \"defaultAction\": \"SCMP_ACT_ALLOW\" }").unwrap();
    let flags = [
        "",
        "--name web -it -h box --domainname example.com -u 1:2 -w /work -e A=1 -e GANTRY_PARITY -e NO_SUCH_VARIABLE -e B=",
        "--env-file env -e A=2 --label-file labels -l a=b -l c --annotation x=y",
        "--entrypoint '' --stop-signal INT --stop-timeout 5",
        "--entrypoint /bin/sh --init --rm --read-only --group-add wheel --group-add 5",
        "--restart on-failure:3 --log-driver syslog --log-opt tag=x --log-opt syslog-address=udp://h:1",
        "--restart always --runtime runc --platform linux/amd64",
        "-a stdout -i",
        "-a STDIN -a stderr",
        "-m 64m --memory-swap -1 --memory-reservation 32m --memory-swappiness 10 --oom-kill-disable --oom-score-adj -500",
        "--cpus 1.5 -c 512 --cpuset-cpus 0-1 --cpuset-mems 0 --pids-limit -1 --shm-size 128m",
        "--cpu-period 50000 --cpu-quota 25000 --cpu-rt-period 1000 --cpu-rt-runtime 500",
        "--blkio-weight 300 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1mb --device-write-bps /dev/sda:2k --device-read-iops /dev/sda:10 --device-write-iops /dev/sda:20",
        "--ulimit nofile=1024:2048 --ulimit core=-1 --ulimit nofile=10 --sysctl net.ipv4.ip_forward=1 --cgroup-parent /x",
        "--cap-add NET_ADMIN --cap-add SYS_TIME --cap-drop ALL --privileged",
        "--security-opt no-new-privileges --security-opt label=disable --security-opt apparmor:x",
        "--security-opt seccomp=seccomp --security-opt systempaths=unconfined",
        "--security-opt seccomp=unconfined --device /dev/null --device /dev/zero:/dev/nil:r --device /dev/full:rw --device vendor.com/gpu=0",
        "--device-cgroup-rule 'c 42:* rmw' --gpus all",
        "--gpus 'count=2,capabilities=utility' --isolation default",
        "--pid host --ipc shareable --uts host --userns host --cgroupns private",
        "--pid container:other --ipc container:other",
        "-v /data -v /srv:/srv:ro -v named:/var/lib/x -v ./here:/here:rslave -v ../up:/up",
        "--mount type=bind,src=/srv,dst=/srv,readonly,bind-propagation=rslave --mount type=bind,src=./x,target=/x,bind-recursive=disabled",
        "--mount src=named,dst=/x,volume-nocopy,volume-label=a=b,volume-driver=local,volume-opt=type=tmpfs,'\"volume-opt=o=size=1m,uid=1\"',volume-subpath=sub",
        "--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770 --tmpfs /run:size=1m,exec --tmpfs /tmp",
        "--mount type=image,src=busybox,dst=/i,image-subpath=bin --mount type=bind,src=/a,dst=/b,ro=true,bind-recursive=readonly,bind-propagation=rprivate,consistency=cached",
        "--volumes-from a --volumes-from b:ro --volume-driver local --storage-opt size=1g",
        "-p 80 -p 8080:81 -p 127.0.0.1:8082:82/udp -p 127.0.0.1::83 -p '[::1]:84:84' -p 8000-8001:90-91 -p 7000-7010:92 -p published=85,target=86,protocol=udp -P",
        "--expose 9000 --expose 9001-9002/udp -p 9000:9000",
        "--network web --network-alias a --network-alias b --ip 10.0.0.2 --ip6 fd00::2 --link-local-ip 169.254.1.1 --mac-address 92:d0:c6:0a:29:33",
        "--net web --link other:o --net-alias c",
        "--network none",
        "--network container:other",
        "--network name=web,alias=a,ip=10.0.0.2,driver-opt=k=v,gw-priority=5 --network other",
        "--link db --link other:o --mac-address 92:d0:c6:0a:29:33",
        "--dns 1.1.1.1 --dns 0:0::1 --dns-search example.com --dns-search . --dns-opt ndots:2 --dns-option debug",
        "--add-host a:10.0.0.1 --add-host b=[::1] --add-host c:host-gateway",
        "--health-cmd 'true' --health-interval 1m30s --health-timeout 500ms --health-retries 2 --health-start-period 10s --health-start-interval 1s",
        "--no-healthcheck",
        "--rm=false --init=true --privileged=false --oom-kill-disable=false -i=false",
        "--cidfile %FOLDER%/cid --pull never --quiet",
    ];
    let mut lines: Vec<String> =
        flags.iter().map(|flags| format!("create {flags} busybox sh -c 'echo --rm -e'")).collect();
    lines.push("create busybox".to_owned());
    lines.push("container create --name=x -eA=1 -m=1g busybox".to_owned());
    lines.push("run -d --name web -p 80:80 busybox".to_owned());
    lines.push("run -d -it --detach-keys ctrl-a busybox sh".to_owned());
    none(lines.iter().filter_map(|line| difference(&recorder, line)).collect());
}

#[test]
fn every_other_command_asks_as_dockers() {
    let recorder = Recorder::start("others");
    std::fs::write(recorder.path("env"), "FROM_FILE=1\n").unwrap();
    std::fs::create_dir(recorder.path("folder")).unwrap();
    std::fs::write(recorder.path("folder/Dockerfile"), "FROM x\n").unwrap();
    std::fs::write(recorder.path("folder/Other"), "FROM y\n").unwrap();
    let lines = [
        "ps",
        "ps -a -f status=exited -f status=created -f label=a=b -s",
        "ps -n 3 --no-trunc",
        "container ls -l -q",
        "ps --format '{{.Size}}'",
        "kill web",
        "kill -s HUP web",
        "stop web",
        "stop -t 5 -s INT web",
        "restart -t 0 web",
        "start web",
        "rm web",
        "rm -f -v web",
        "rm -l /web/db",
        "pause web",
        "unpause web",
        "rename web www",
        "wait web",
        "top web",
        "top web -o pid,comm",
        "update -m 64m --memory-swap -1 --cpus 2 -c 100 --cpuset-cpus 0 --pids-limit 5 --restart on-failure:2 --blkio-weight 20 web",
        "diff web",
        "commit web",
        "commit -a me -m why -c 'CMD [\"x\"]' -c 'ENV A=1' -p=false web repo:tag",
        "logs web",
        "logs -n 5 -t --details --since 2026-01-02T03:04:05Z --until 1700000000 web",
        "events --since 1 --until 2 -f type=container -f event=die",
        "inspect --type container -s web",
        "container inspect web",
        "volume create v",
        "volume create -d local -o type=tmpfs -o o=size=1m --label a=b",
        "volume ls -f dangling=true -q",
        "volume rm -f v",
        "volume inspect v",
        "volume prune -f",
        "volume prune -f -a --filter label=a",
        "network ls -f driver=bridge",
        "network create web",
        "network create -d bridge --subnet 10.5.0.0/16 --gateway 10.5.0.1 --ip-range 10.5.8.0/24 --aux-address a=10.5.0.9 --internal --ipv6 --label a=b -o k=v --ipam-opt x=y --attachable web",
        "network create --ipv4=false --ipv6 web",
        "network connect --ip 10.5.0.3 --alias a,b --link c:d --driver-opt k=v --gw-priority 3 web ctr",
        "network connect --ip6 fd00::3 --link-local-ip 169.254.1.1,169.254.1.2 --driver-opt a=b,c=d --gw-priority -2 web ctr",
        "network disconnect -f web ctr",
        "network create --config-only --subnet 10.5.0.0/16 --label a cfg",
        "network create --config-from cfg --scope local web",
        "network create --ipv4=true --ipv6=false --ingress --scope swarm -d overlay web",
        "network create --ipv6 --subnet fd00::/64,10.5.0.0/16 --gateway fd00::1 --gateway 10.5.0.1 --aux-address a=fd00::9 --aux-address b=10.5.0.9 --ipam-driver other web",
        "network ls -q --no-trunc -f type=custom -f dangling=true -f label=a=b -f scope=local -f id=aa -f name=web",
        "network rm -f web",
        "network inspect web",
        "network inspect -v web",
        "network inspect --format '{{.Name}}' web db",
        "network prune -f --filter until=1h",
        "container prune -f --filter until=1h --filter 'label!=a'",
        "image prune -f",
        "image prune -af --filter label=a",
        "images -a -f dangling=true",
        "images busybox",
        "rmi -f busybox",
        "image rm --no-prune busybox",
        "tag busybox repo:x",
        "history busybox",
        "pull -a registry.local:5000/x",
        "pull busybox:1",
        "pull --platform linux/arm64 busybox",
        "push registry.local:5000/x:1",
        "push -a registry.local:5000/x",
        "push -q busybox",
        "save -o %FOLDER%/saved busybox registry.local:5000/x:1",
        "build folder",
        "build -q -t a:1 -t b --build-arg X=1 --build-arg GANTRY_PARITY --build-arg NO_SUCH_VARIABLE --label l=2 --label m folder",
        "build --target t --no-cache --pull --force-rm --rm=false -m 64m --memory-swap -1 -c 5 --cpu-period 9 --cpu-quota 8 --cpuset-cpus 0 --cpuset-mems 0 --shm-size 1m --cgroup-parent /x folder",
        "build --ulimit nofile=5 --ulimit core=0:1 --add-host h:1.2.3.4 --add-host i=host-gateway --network none --platform linux/amd64 --cache-from q --security-opt label=disable folder",
        "build -f folder/Other folder",
        "system df",
        "exec -d web true",
        "exec -d -e A=1 --env-file env -u app -w /x --privileged web sh -c 'a b'",
    ];
    none(lines.iter().filter_map(|line| difference(&recorder, line)).collect());
}

#[test]
fn mistakes_are_refused_in_dockers_words() {
    let recorder = Recorder::start("mistakes");
    std::fs::write(recorder.path("bad-env"), "A=1\nB C=2\n").unwrap();
    let lines = [
        "create",
        "run",
        "rm",
        "rename a",
        "logs a b",
        "exec a",
        "info x",
        "network connect a",
        "network connect --driver-opt x web c",
        "network connect --gw-priority x web c",
        "network connect --link a:b:c web c",
        "network create --gateway 10.0.0.1 web",
        "network create --subnet 10.0.0.0/8 --subnet 10.1.0.0/16 web",
        "network create --subnet 10.0.0.0/24 --ip-range 10.1.0.0/24 web",
        "network create --subnet 10.0.0.0/24 --aux-address x=10.1.0.1 web",
        "network create --subnet 10.0.0.0/24 --aux-address x web",
        "network create --ipv6=maybe web",
        "network disconnect a",
        "network inspect",
        "network ls --filter x",
        "network prune x",
        "run --network name=a,alias=b --network-alias d busybox",
        "run --network name=a,nosuch=b busybox",
        "run --network name=a,mac-address=x busybox",
        "run --network name=a,gw-priority=x busybox",
        "run --network name=bridge,alias=x busybox",
        "nosuch",
        "create --nosuch busybox",
        "ps -x",
        "create --memory",
        "create -m x busybox",
        "create -m 1z busybox",
        "create -m -1 busybox",
        "create --memory-swap x busybox",
        "create --memory-swappiness 200 busybox",
        "create --cpus x busybox",
        "create --cpus 1/3 busybox",
        "create -c x busybox",
        "create --blkio-weight 99999 busybox",
        "create --blkio-weight-device sda:1 busybox",
        "create --blkio-weight-device /dev/sda:5 busybox",
        "create --device-read-bps /dev/sda:x busybox",
        "create --device-write-iops /dev/sda:1k busybox",
        "create --ulimit nofile busybox",
        "create --ulimit nofile=2:1 busybox",
        "create --ulimit files=2 busybox",
        "create --oom-score-adj x busybox",
        "create --rm=maybe busybox",
        "create -a foo busybox",
        "create -e =x busybox",
        "create -l =x busybox",
        "create -l 'a b=c' busybox",
        "create --env-file %FOLDER%/nosuch busybox",
        "create --env-file %FOLDER%/bad-env busybox",
        "create --restart :3 busybox",
        "create --restart on-failure:x busybox",
        "create --restart always --rm busybox",
        "create -p x:80 busybox",
        "create -p 80:x busybox",
        "create -p 1.2.3:80:80 busybox",
        "create -p 80/icmp busybox",
        "create -p 8000-8001:80-85 busybox",
        "create -p target busybox",
        "create -p target=80,x busybox",
        "create --expose x busybox",
        "create --expose 1:2 busybox",
        "create -v '' busybox",
        "create -v /a:/b:ro:z busybox",
        "create -v /a::ro busybox",
        "create --mount dst=/a,type=tmpfs,volume-nocopy busybox",
        "create --mount type=bind,src=/a busybox",
        "create --mount dst busybox",
        "create --mount dst=/a,color=red busybox",
        "create --mount dst=/a,ro=maybe busybox",
        "create --mount type=tmpfs,dst=/a,tmpfs-mode=9 busybox",
        "create --mount type=tmpfs,dst=/a,tmpfs-size=x busybox",
        "create --mount type=bind,src=/a,dst=/b,bind-recursive=maybe busybox",
        "create --network alias=a busybox",
        "create --network name=a,color=red busybox",
        "create --network a --network a busybox",
        "create --network host --network a busybox",
        "create --network-alias a busybox",
        "create --network name=a,alias=b --network-alias c busybox",
        "create --mac-address x busybox",
        "create --link a:b:c busybox",
        "create --dns x busybox",
        "create --dns-search -x busybox",
        "create --add-host x busybox",
        "create --add-host x:y busybox",
        "create --sysctl kernel.hostname=x busybox",
        "create --device a busybox",
        "create --device /dev/a:/dev/b:x busybox",
        "create --device-cgroup-rule x busybox",
        "create --security-opt apparmor busybox",
        "create --security-opt seccomp=/nosuch busybox",
        "create --storage-opt size busybox",
        "create --log-driver none --log-opt a=b busybox",
        "create --pid x busybox",
        "create --uts x busybox",
        "create --userns x busybox",
        "create --cgroupns x busybox",
        "create --health-interval x busybox",
        "create --health-interval 5 busybox",
        "create --health-interval -5s busybox",
        "create --health-cmd x --no-healthcheck busybox",
        "create --gpus some busybox",
        "create --pull sometimes busybox",
        "run -d -a stdout busybox",
        "update web",
        "ps -f x",
        "network create --gateway 10.0.0.1 x",
        "network create --subnet 10.0.0.0/8 --gateway 11.0.0.1 x",
        "volume create --name a b",
        "push -a h:5000/x:1",
        "pull -a h:5000/x:1",
        "login --password-stdin h:5000",
        "login -u u -p p --password-stdin h:5000",
    ];
    none(lines.iter().filter_map(|line| refusal_difference(&recorder, line)).collect());
}
