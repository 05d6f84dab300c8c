//! Events in Docker's order and names.

use super::stage::*;
use crate::AttachRequest;
use contract::image::{Force, Parents};
use contract::runtime::ExecSpec;

#[test]
fn a_run_tells_what_docker_tells_in_its_order() {
    daemon(|d| async move {
        let mut live = d.subscribe().await.unwrap().1;
        let id = d.made("web", removed_at_its_end()).await;
        let _attached =
            d.attach(&id, AttachRequest { stdin: false, logs: false, past_only: false }).await.unwrap();
        d.start(&id).await.unwrap();
        let asked = ExecSpec { args: vec!["echo".into(), "hi".into()], ..ExecSpec::default() };
        let exec = d.exec_create(&id, asked).unwrap();
        d.exec_run(&exec, false).await.unwrap();
        d.world().runtime.exec_exit(id.as_str(), exec.as_str(), 0);
        d.exec_ended(&exec).await;
        let expected = [
            "create",
            "attach",
            "network connect",
            "start",
            "exec_create: echo hi",
            "exec_start: echo hi",
            "exec_die",
        ];
        assert_eq!(actions(&mut live, "exec_die").await, expected);
        d.world().runtime.exit(id.as_str(), 0);
        assert_eq!(actions(&mut live, "destroy").await, ["network disconnect", "die", "destroy"]);
    });
}

#[test]
fn stops_kills_and_restarts_tell_their_signals_first() {
    daemon(|d| async move {
        let mut live = d.subscribe().await.unwrap().1;
        let id = d.started("web", spec()).await;
        d.restart(&id, None, None).await.unwrap();
        d.pause(&id).await.unwrap();
        d.unpause(&id).await.unwrap();
        d.rename(&id, "site").await.unwrap();
        actions(&mut live, "create").await;
        let expected = [
            "network connect",
            "start",
            "kill",
            "network disconnect",
            "die",
            "stop",
            "network connect",
            "start",
            "restart",
            "pause",
            "unpause",
            "rename",
        ];
        assert_eq!(actions(&mut live, "rename").await, expected);
        d.stop(&id, None, None).await.unwrap();
        assert_eq!(actions(&mut live, "stop").await, ["kill", "network disconnect", "die", "stop"]);
        d.start(&id).await.unwrap();
        d.kill(&id, "KILL").await.unwrap();
        let expected = ["network connect", "start", "kill", "network disconnect", "die"];
        assert_eq!(actions(&mut live, "die").await, expected);
        d.start(&id).await.unwrap();
        d.remove(&id, true, false).await.unwrap();
        let expected = ["network connect", "start", "kill", "network disconnect", "die", "destroy"];
        assert_eq!(actions(&mut live, "destroy").await, expected);
    });
}

#[test]
fn events_carry_dockers_attributes() {
    daemon(|d| async move {
        let labels = [("tier".to_owned(), "front".to_owned())].into();
        let spec = contract::record::ContainerSpec { labels, ..spec() };
        let id = d.started("web", spec).await;
        d.rename(&id, "site").await.unwrap();
        d.world().runtime.exit(id.as_str(), 4);
        d.comes_to(&id, crate::Status::Exited).await;
        let image = d.pull("localhost:5000/app", None, None, tokio::sync::mpsc::channel(8).0).await.unwrap();
        d.tag(&image, "app:2").await.unwrap();
        d.remove_image(image.as_str(), Force::No, Parents::Prune).await.unwrap();
        let (past, _live) = d.subscribe().await.unwrap();
        let of = |kind: &str, action: &str| {
            let found = past.iter().find(|e| e.kind == kind && e.action == action);
            found.unwrap_or_else(|| panic!("{kind} {action}")).clone()
        };
        let die = of("container", "die").attributes;
        assert_eq!((die["exitCode"].as_str(), die["name"].as_str()), ("4", "site"));
        assert_eq!((die["image"].as_str(), die["tier"].as_str()), ("busybox", "front"));
        assert_eq!(of("container", "rename").attributes["oldName"], "/web");
        let connect = of("network", "connect");
        assert_eq!(connect.id, crate::network::id("bridge"));
        assert_eq!(connect.attributes["container"], id.as_str());
        assert_eq!(
            (connect.attributes["name"].as_str(), connect.attributes["type"].as_str()),
            ("bridge", "bridge")
        );
        let pull = of("image", "pull");
        let name = pull.attributes["name"].as_str();
        assert_eq!((pull.id.as_str(), name), ("localhost:5000/app:latest", "localhost:5000/app"));
        let tag = of("image", "tag");
        assert_eq!((tag.id.as_str(), tag.attributes["name"].as_str()), (image.as_str(), "app:2"));
        assert_eq!(of("image", "delete").attributes["name"], image.as_str());
        assert_eq!(of("image", "untag").id, image.as_str());
    });
}

#[test]
fn subscribers_hear_what_happens_while_the_events_actor_is_rebuilt() {
    daemon(|d| async move {
        let mut live = d.subscribe().await.unwrap().1;
        d.inject_at("events", "Subscribe", 1);
        d.subscribe().await.unwrap_err();
        let id = again(|| d.create(Some("web".into()), spec())).await.unwrap();
        assert_eq!(actions(&mut live, "create").await, ["create"]);
        again(|| d.remove(&id, false, false)).await.unwrap();
        assert_eq!(actions(&mut live, "destroy").await, ["destroy"]);
    });
}
