//! Requests that no handler takes: what Docker has and gantry has not built, objects that cannot exist, and the rest.

use axum::http::{Method, StatusCode};

/// Docker's routes that gantry knows by name but has not built, by their first part.
const FIRST: [&str; 2] = ["swarm", "session"];

/// What is said of plugins that Docker would install.
const PLUGINS: &str = "gantry does not support managed plugins (docker plugin): a log plugin runs on the host, and is found by its \
                       socket or by a .spec or .json file in the folders for plugins";

/// Docker's operations on one container that are not built, by their last part.
const OF_CONTAINER: [&str; 2] = ["checkpoints", "ws"];

/// Operations on one container that are built; they come here when a name has a slash in it, as names of images have.
const BUILT: [&str; 19] = [
    "json", "start", "stop", "restart", "kill", "wait", "rename", "pause", "unpause", "resize", "top",
    "logs", "attach", "exec", "archive", "changes", "export", "stats", "update",
];

/// Status and text for a request that no handler took.
pub fn answer(method: &Method, path: &str) -> (StatusCode, String) {
    if let Some(text) = absent(method, path) {
        return (StatusCode::NOT_FOUND, text);
    }
    if let Some(text) = no_swarm(method, path) {
        return (StatusCode::SERVICE_UNAVAILABLE, text.into());
    }
    if path == "/plugins" || path.starts_with("/plugins/") {
        return (StatusCode::NOT_IMPLEMENTED, PLUGINS.into());
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let unbuilt = match parts.as_slice() {
        ["containers", _, .., last] => OF_CONTAINER.contains(last),
        [first, ..] => FIRST.contains(first),
        [] => false,
    };
    if unbuilt {
        (StatusCode::NOT_IMPLEMENTED, format!("gantry does not support {method} {path} yet"))
    } else {
        (StatusCode::NOT_FOUND, "page not found".into())
    }
}

/// What Docker answers to questions about a swarm on a machine that is in none, as all of gantry's are.
fn no_swarm(method: &Method, path: &str) -> Option<&'static str> {
    let first = path.trim_start_matches('/').split('/').next()?;
    if path == "/swarm/leave" {
        return Some("This node is not part of a swarm");
    }
    let asks = matches!(first, "services" | "tasks" | "nodes" | "secrets" | "configs")
        || (path == "/swarm" && method == Method::GET);
    asks.then_some(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to \
         swarm and try again.",
    )
}

/// An object that cannot exist is missing in Docker's words: `docker inspect` asks for every kind by the same name.
fn absent(method: &Method, path: &str) -> Option<String> {
    if let Some((name, last)) = path.strip_prefix("/containers/").and_then(|p| p.rsplit_once('/')) {
        return (name.contains('/') && BUILT.contains(&last)).then(|| format!("No such container: {name}"));
    }
    if method != Method::GET {
        return None;
    }
    if let Some(name) = path.strip_prefix("/volumes/") {
        return Some(format!("get {name}: no such volume"));
    }
    if let Some(name) = path.strip_prefix("/networks/") {
        return Some(format!("network {name} not found"));
    }
    let name = path.strip_prefix("/plugins/")?.strip_suffix("/json")?;
    Some(format!("plugin \"{name}\" not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: Method, path: &str) -> (u16, String) {
        let (status, text) = answer(&method, path);
        (status.as_u16(), text)
    }

    #[test]
    fn names_with_slashes_are_those_of_no_container() {
        let wanted = (404, "No such container: localhost:5000/a/b:1".to_owned());
        assert_eq!(told(Method::GET, "/containers/localhost:5000/a/b:1/json"), wanted);
        assert_eq!(told(Method::GET, "/volumes/a/b"), (404, "get a/b: no such volume".to_owned()));
        assert_eq!(told(Method::GET, "/plugins/a/b/json"), (404, "plugin \"a/b\" not found".to_owned()));
    }

    #[test]
    fn questions_about_a_swarm_are_answered_as_on_a_machine_without_one() {
        assert_eq!(told(Method::POST, "/swarm/leave"), (503, "This node is not part of a swarm".to_owned()));
        for path in ["/swarm", "/services", "/nodes", "/tasks", "/secrets/x", "/configs"] {
            let (status, text) = told(Method::GET, path);
            assert_eq!(status, 503, "{path}");
            assert!(text.starts_with("This node is not a swarm manager."), "{text}");
        }
        assert_eq!(told(Method::POST, "/swarm/init").0, 501);
    }

    #[test]
    fn what_is_not_built_names_itself_and_what_docker_has_not_is_no_page() {
        for path in ["/session", "/containers/web/checkpoints"] {
            let wanted = (501, format!("gantry does not support POST {path} yet"));
            assert_eq!(told(Method::POST, path), wanted);
        }
        for path in ["/", "/nosuch", "/containers/json", "/containers/web/nosuch", "/info", "/exec/x/nosuch"]
        {
            assert_eq!(told(Method::PUT, path), (404, "page not found".to_owned()));
        }
    }
}
