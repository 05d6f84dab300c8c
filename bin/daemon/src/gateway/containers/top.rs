//! `GET /containers/{id}/top`: what the host's `ps` says of a container's processes.

use super::id_of;
use crate::gateway::query::Query;
use crate::gateway::status::Answer;
use crate::gateway::{Shared, json};
use axum::extract::{Path, RawQuery, State};
use contract::{Kind, PortError};
use serde_json::{Value, json as object};
use tokio::process::Command;

pub async fn top(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let arguments = query.text("ps_args").unwrap_or("-ef");
    allowed(arguments)?;
    let id = id_of(&gateway, &name)?;
    let pids = gateway.engine.processes(&id).await?;
    let answer = table(&ps(arguments, &pids).await?, &pids)?;
    gateway.engine.topped(&id);
    Ok(json(&answer))
}

fn failed(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Bug, text)
}

/// A column that is only called PID would show processes of the host (moby `daemon/top_unix.go`).
fn allowed(arguments: &str) -> Result<(), PortError> {
    for (place, _) in arguments.match_indices('=') {
        let (before, after) = (arguments.get(..place), arguments.get(place + 1..));
        let (Some(before), Some(after)) = (before, after) else { continue };
        let Some((_, key)) = before.rsplit_once(char::is_whitespace) else { continue };
        let title = after.trim_start().split(char::is_whitespace).next().unwrap_or_default();
        if title.starts_with("PID") && key != "pid" {
            return Err(failed(format!("specifying \"{key}={title}\" is not allowed")));
        }
    }
    Ok(())
}

/// Asks for these processes alone, and where the options do not allow that, for all.
async fn ps(arguments: &str, pids: &[i32]) -> Result<String, PortError> {
    let list: Vec<String> = pids.iter().map(i32::to_string).collect();
    let only = format!("-q{}", list.join(","));
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let run = async |extra: Option<&String>| Command::new("ps").args(&arguments).args(extra).output().await;
    let unable = |e: std::io::Error| failed(format!("ps: {e}"));
    let mut output = run(Some(&only)).await.map_err(unable)?;
    if !output.status.success() {
        output = run(None).await.map_err(unable)?;
    }
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().next().filter(|l| !l.is_empty()).map(str::to_owned);
        return Err(failed(format!("ps: {}", why.unwrap_or_else(|| output.status.to_string()))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rows of the given processes, and of their threads.
fn table(text: &str, pids: &[i32]) -> Result<Value, PortError> {
    let fields = |line: &str| line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut lines = text.lines();
    let titles = fields(lines.next().unwrap_or_default());
    let Some(column) = titles.iter().position(|t| t == "PID") else {
        return Err(failed("Couldn't find PID field in ps output"));
    };
    // The last column is the rest of the line.
    let fixed = titles.len().saturating_sub(1);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut wanted = false;
    for line in lines.map(fields).filter(|l| !l.is_empty()) {
        match line.get(column).map(String::as_str) {
            // A thread of the process before it.
            Some("-") => {}
            pid => {
                let pid = pid.unwrap_or_default();
                let number = pid.parse().map_err(|_| failed(format!("Unexpected pid '{pid}'")))?;
                wanted = pids.contains(&number);
            }
        }
        if wanted {
            let mut row: Vec<String> = line.iter().take(fixed).cloned().collect();
            row.push(line.get(fixed..).unwrap_or_default().join(" "));
            rows.push(row);
        }
    }
    Ok(object!({ "Titles": titles, "Processes": rows }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_only_called_pid_is_refused() {
        let text = |a: &str| allowed(a).err().map(|e| e.text);
        assert_eq!(text("-o pid=PID,cmd -o ppid=PID"), Some("specifying \"ppid=PID\" is not allowed".into()));
        assert_eq!(text("ae -o uid=PID"), Some("specifying \"uid=PID\" is not allowed".into()));
        assert_eq!([text("-ef"), text("-o pid=PID"), text("-o uid=USER,pid")], [None, None, None]);
    }

    #[test]
    fn rows_of_other_processes_are_left_out_and_threads_kept() {
        let text = "PID CMD\n  7 sleep 1 2\n  - -\n  8 other\n  - -\n";
        let shown = table(text, &[7]).unwrap();
        assert_eq!(
            shown,
            object!({ "Titles": ["PID", "CMD"], "Processes": [["7", "sleep 1 2"], ["-", "-"]] })
        );
        assert_eq!(table("CMD\nx\n", &[7]).unwrap_err().text, "Couldn't find PID field in ps output");
    }
}
