use super::*;
use crate::command::top::keys::{Press, press};
use crate::command::top::moment::Moment;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

fn sink(container: &str, name: &str, state: &str, lines: u64, lag: u64) -> Value {
    json!({
        "Container": container, "Sink": name, "Driver": if name == "errors" { "syslog" } else { name }, "State": state,
        "In": {"Lines": lines + lag, "Bytes": 0}, "Delivered": {"Lines": lines, "Bytes": lines * 100},
        "Retries": 3, "Dropped": {"refused": 0, "buffer": if name == "errors" { 5 } else { 0 }},
        "LastError": if state == "waiting" { json!("connection refused\nat") } else { Value::Null },
        "Lag": {"Lines": lag, "Bytes": lag * 10, "Oldest": if lag > 0 { json!("2026-01-01T00:00:00Z") } else { Value::Null }},
    })
}

fn moment(time: &str, lines: u64) -> Moment {
    let container = |id: &str, name: &str, state: &str| json!({"Id": id, "Name": name, "Image": "busybox", "State": state});
    let actor = |name: &str, parent: &str, respawns: u64| {
        json!({"name": name, "parent": parent, "state": "running", "respawns": respawns, "mailbox": 0,
               "uptime_ms": 61_000, "last_panic": if respawns > 0 { json!("index out of bounds") } else { Value::Null }})
    };
    Moment::read(&json!({
        "Time": time, "Version": "0.1.0",
        "Containers": [container("a", "api", "running"), container("b", "old", "exited"), container("c", "web", "running")],
        "Sinks": [
            sink("a", "json-file", "idle", lines * 2, 0),
            sink("c", "errors", "waiting", 7, 1200), sink("c", "json-file", "delivering", lines, 1),
        ],
        "Actors": [actor("root", "", 0), actor("logs", "root", 0), actor("router:c", "logs", 2), actor("events", "root", 0)],
    }))
}

fn model() -> Model {
    let mut model = Model::default();
    model.take(moment("2026-01-01T00:02:00Z", 100));
    model.take(moment("2026-01-01T00:02:02Z", 350));
    model
}

fn typed(model: &mut Model, keys: &[KeyCode]) {
    for code in keys {
        match press(KeyEvent::new(*code, KeyModifiers::NONE), model.typing) {
            Some(Press::Wish(wish)) => model.grant(wish),
            other => panic!("{code:?} is {other:?}"),
        }
    }
}

fn shown(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, &mut TableState::default(), Paint::Colours)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

#[test]
fn containers_and_their_sinks_fit_into_80_columns() {
    assert_eq!(
        shown(&model(), 80, 11),
        [
            "gantry 0.1.0  2/3 containers run  3 sinks, 1 failing  375 lines/s  37.5kB/s",
            "CONTAINER / SINK                STATE      LINES/S BYTES/S  LAG     AGE  DROPPED",
            "▾ api                           running    250     25kB     0            0",
            "    json-file                   idle       250     25kB     0            0",
            "  old                           exited     -       -        -            0",
            "▾ web                           running    125     12.5kB   1200    2m   5",
            "    errors:syslog               waiting    0       0B       1200    2m   5",
            "    json-file                   delivering 125     12.5kB   1       2m   0",
            "",
            "api (busybox): 1 of 1 sinks deliver",
            "q quit  ↑↓ move  enter fold  s sort  / filter  a actors  (by name)",
        ]
    );
}

#[test]
fn errors_have_a_column_where_there_is_room_and_are_told_of_what_is_selected_elsewhere() {
    let mut model = model();
    assert!(shown(&model, 140, 12)[6].ends_with("connection refused"), "{:#?}", shown(&model, 140, 12));
    typed(&mut model, &[KeyCode::Char('j'), KeyCode::Down, KeyCode::Down, KeyCode::Down]);
    let told = shown(&model, 80, 12)[10].clone();
    assert_eq!(told, "web/errors: 1207 in, 7 arrived, 3 retries; last: connection refused");
}

#[test]
fn a_selection_stays_with_what_was_selected_when_the_order_changes() {
    let mut model = model();
    typed(&mut model, &[KeyCode::End]);
    let detail = |model: &Model| shown(model, 80, 11)[9].clone();
    assert!(detail(&model).starts_with("web/json-file"), "{}", detail(&model));
    typed(&mut model, &[KeyCode::Char('s'), KeyCode::Char('s')]);
    let lines = shown(&model, 80, 11);
    assert!(lines[2].starts_with("▾ web") && lines[10].ends_with("(by lag)"), "{lines:#?}");
    assert!(detail(&model).starts_with("web/json-file"), "{}", detail(&model));
}

#[test]
fn enter_folds_a_container_from_any_of_its_rows() {
    let mut model = model();
    typed(&mut model, &[KeyCode::End, KeyCode::Enter]);
    let lines = shown(&model, 80, 11);
    assert!(lines[5].starts_with("▸ web") && lines[6].is_empty(), "{lines:#?}");
    typed(&mut model, &[KeyCode::Enter]);
    assert!(shown(&model, 80, 11)[6].starts_with("    errors"));
}

#[test]
fn a_filter_keeps_what_it_matches_with_its_container() {
    let mut model = model();
    typed(&mut model, &[KeyCode::Char('/')]);
    for letter in "REFQ".chars() {
        typed(&mut model, &[KeyCode::Char(letter)]);
    }
    typed(&mut model, &[KeyCode::Backspace]);
    let lines = shown(&model, 80, 11);
    assert!(lines[2].starts_with("▾ web") && lines[3].starts_with("    errors"), "{lines:#?}");
    assert!(lines[4].is_empty() && lines[10].starts_with("/REF█"), "{lines:#?}");
    typed(&mut model, &[KeyCode::Esc]);
    assert!(shown(&model, 80, 11)[2].starts_with("▾ api"));
}

#[test]
fn actors_hang_below_their_parents_with_their_respawns() {
    let mut model = model();
    typed(&mut model, &[KeyCode::Char('a')]);
    let lines = shown(&model, 80, 9);
    assert_eq!(
        lines[1..6],
        [
            "ACTOR                                           STATE      RESPAWNS WAITING AGE",
            "▾ root                                          running    0        0       61s",
            "  ▾ logs                                        running    0        0       61s",
            "      router:c                                  running    2        0       61s",
            "    events                                      running    0        0       61s",
        ]
    );
    typed(&mut model, &[KeyCode::Char('j'), KeyCode::Char('j')]);
    assert_eq!(shown(&model, 80, 9)[7], "router:c: index out of bounds");
}

#[test]
fn without_colours_nothing_is_coloured() {
    let drawn = |paint| {
        let mut terminal = Terminal::new(TestBackend::new(80, 12)).unwrap();
        terminal.draw(|frame| draw(frame, &model(), &mut TableState::default(), paint)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        buffer.content().iter().any(|cell| cell.fg != Color::Reset)
    };
    assert!(drawn(Paint::Colours));
    assert!(!drawn(Paint::None));
}

#[test]
fn a_daemon_that_counts_anew_has_no_rate_until_the_next_look() {
    let mut model = model();
    model.take(moment("2026-01-01T00:02:04Z", 3));
    assert!(shown(&model, 80, 11)[3].contains("idle       -"), "{:#?}", shown(&model, 80, 11));
}

#[test]
fn a_tiny_terminal_and_a_machine_without_containers_are_drawn() {
    shown(&model(), 10, 3);
    shown(&model(), 1, 1);
    assert!(shown(&Model::default(), 80, 5)[0].contains("0/0 containers run"));
}

#[test]
fn a_file_gets_the_same_rows_without_marks() {
    let lines = plain(&model());
    assert_eq!(lines[1], "api\trunning\t250\t25kB\t0\t\t0");
    assert_eq!(lines[5], "  errors:syslog\twaiting\t0\t0B\t1200\t2m\t5\tconnection refused");
}

#[test]
fn what_was_given_up_in_nobody_knows_how_many_lines_is_not_nothing() {
    let now = |of: Value| {
        let sink = json!({"Container": "a", "Sink": "s", "Driver": "s", "Dropped": {"refused": 0}});
        let mut sink = sink.as_object().unwrap().clone();
        sink.extend(of.as_object().unwrap().clone());
        let containers = [json!({"Id": "a", "Name": "a", "State": "running"})];
        let mut model = Model::default();
        model.take(Moment::read(&json!({"Containers": containers, "Sinks": [sink]})));
        plain(&model)[2].split('\t').nth(6).unwrap().to_owned()
    };
    assert_eq!(now(json!({"DroppedBytes": {"spool-full": 4096, "refused": 0}})), "0+");
    assert_eq!(now(json!({"DroppedPlaces": {"spool-gone": 1}, "Dropped": {"refused": 3}})), "3+");
    assert_eq!(now(json!({"DroppedBytes": {"spool-full": 0, "refused": 9}})), "0");
}

#[test]
fn the_last_figures_stay_while_the_daemon_is_away_and_it_is_told_until_it_is_back() {
    let mut model = model();
    let before = shown(&model, 120, 11);
    model.miss("Cannot connect to the gantry daemon\nat all");
    let away = shown(&model, 120, 11);
    let told = "gantry 0.1.0  the daemon does not answer, these are its last figures: Cannot connect to the gantry daemon";
    assert_eq!((away[0].as_str(), &away[1..]), (told, &before[1..]));
    typed(&mut model, &[KeyCode::End]);
    assert!(shown(&model, 120, 11)[9].starts_with("web/json-file"), "keys do what they did");
    model.take(moment("2026-01-01T00:02:12Z", 20));
    let back = shown(&model, 120, 11)[0].clone();
    assert!(back.starts_with("gantry 0.1.0  2/3 containers run"), "{back}");
}
