//! Reading what was stored after an earlier reading ended.

use super::*;

#[test]
fn reading_goes_on_where_an_earlier_reading_ended_also_over_a_rotation() {
    runtime().block_on(async {
        for kind in ["json-file", "local"] {
            let folder = tempfile::tempdir().unwrap();
            let times: Vec<i64> = (0..500).map(|n| START + n).collect();
            write(kind, folder.path(), ["5k", "5", "false"], &times[..300]).await;
            let (before, _, reading) = read(kind, folder.path(), ReadRequest::default()).await;
            write(kind, folder.path(), ["5k", "5", "false"], &times[300..360]).await;
            let on = ReadRequest { after: Some(reading.end), ..ReadRequest::default() };
            let (more, holes, _) = read(kind, folder.path(), on.clone()).await;
            let got: Vec<i64> =
                before.iter().rev().take(50).rev().chain(&more).map(|(time, _)| *time).collect();
            assert_eq!((got, holes.len()), (times[250..360].to_vec(), 0));
            for _ in 0..5 {
                write(kind, folder.path(), ["5k", "5", "false"], &times[360..]).await;
            }
            let (_, holes, _) = read(kind, folder.path(), on).await;
            assert!(matches!(&holes[..], [Hole::Rotated { .. }]), "what is gone is told: {holes:?}");
        }
    });
}

#[test]
fn who_goes_on_reading_a_log_that_others_emptied_is_told_and_given_all_that_was_written_since() {
    runtime().block_on(async {
        for kind in ["json-file", "local"] {
            let folder = tempfile::tempdir().unwrap();
            let times: Vec<i64> = (0..900).map(|n| START + n).collect();
            write(kind, folder.path(), ["1m", "1", "false"], &times[..300]).await;
            let (_, _, reading) = read(kind, folder.path(), ReadRequest::default()).await;
            let name = if kind == "local" { "local-logs/container.log" } else { "c-json.log" };
            File::options().write(true).open(folder.path().join(name)).unwrap().set_len(0).unwrap();
            let on = |end| ReadRequest { after: Some(end), ..ReadRequest::default() };
            // Before and after the writer notices, and when there is more again than there was.
            for end in [300, 310, 900] {
                if end > 300 {
                    let before = if end == 310 { 300 } else { 310 };
                    write(kind, folder.path(), ["1m", "1", "false"], &times[before..end]).await;
                }
                let (lines, holes, now) = read(kind, folder.path(), on(reading.end)).await;
                let got: Vec<i64> = lines.iter().map(|(time, _)| *time).collect();
                assert_eq!(got, times[300..end]);
                assert!(matches!(&holes[..], [Hole::Rotated { .. }]), "{kind}, {end}: {holes:?}");
                let (lines, holes, _) = read(kind, folder.path(), on(now.end)).await;
                assert_eq!((lines.len(), holes.len()), (0, 0), "{kind}, {end}: {holes:?}");
                let (all, holes, _) = read(kind, folder.path(), ReadRequest::default()).await;
                assert_eq!((all.len(), holes.len()), (end - 300, 0));
            }
        }
    });
}

#[test]
fn who_goes_on_reading_a_log_that_others_took_away_is_told_and_given_all_that_was_written_since() {
    let takings: [fn(&Path); 3] = [
        |log| std::fs::remove_file(log).unwrap(),
        |log| std::fs::rename(log, log.with_file_name("away")).unwrap(),
        |log| {
            std::fs::rename(log, log.with_file_name("away")).unwrap();
            std::fs::write(log, "").unwrap();
        },
    ];
    let times: Vec<i64> = (0..400).map(|n| START + n).collect();
    runtime().block_on(async {
        for (kind, name) in [("json-file", "c-json.log"), ("local", "local-logs/container.log")] {
            for (nth, take) in takings.into_iter().enumerate() {
                for limits in [["1m", "1", "false"], ["5k", "5", "true"]] {
                    let case = format!("{kind}, {nth}, {limits:?}");
                    let folder = tempfile::tempdir().unwrap();
                    let mut driver = opened(kind, folder.path(), limits).await;
                    deliver(&mut *driver, &times[..300]).await;
                    let (_, _, before) = read(kind, folder.path(), ReadRequest::default()).await;
                    take(&folder.path().join(name));
                    deliver(&mut *driver, &times[300..310]).await;
                    let on = |end| ReadRequest { after: Some(end), ..ReadRequest::default() };
                    let (lines, holes, now) = read(kind, folder.path(), on(before.end)).await;
                    let got: Vec<i64> = lines.iter().map(|(time, _)| *time).collect();
                    assert_eq!(got, times[300..310], "{case}");
                    assert!(matches!(&holes[..], [Hole::Rotated { .. }]), "{case}: {holes:?}");
                    deliver(&mut *driver, &times[310..]).await;
                    let (lines, holes, _) = read(kind, folder.path(), on(now.end)).await;
                    let got: Vec<i64> = lines.iter().map(|(time, _)| *time).collect();
                    assert_eq!((&got[..], holes.len()), (&times[310..], 0), "{case}: {holes:?}");
                    let (all, holes, _) = read(kind, folder.path(), ReadRequest::default()).await;
                    let all: Vec<i64> = all.iter().map(|(time, _)| *time).collect();
                    assert!(all.ends_with(&times[300..]) && holes.is_empty(), "{case}: {holes:?}");
                }
            }
        }
    });
}

#[test]
fn who_goes_on_reading_a_log_that_was_removed_with_its_cursor_is_told_and_given_all_that_came_since() {
    // Files are numbered anew then: they were taken for older ones, or read from the place where the other had ended.
    let times: Vec<i64> = (0..900).map(|n| START + n).collect();
    runtime().block_on(async {
        for kind in ["json-file", "local"] {
            for (limits, end) in
                [(["1m", "1", "false"], 310), (["1m", "1", "false"], 900), (["5k", "5", "false"], 310)]
            {
                let case = format!("{kind}, {limits:?}, {end}");
                let root = tempfile::tempdir().unwrap();
                let folder = root.path().join("container");
                write(kind, &folder, limits, &times[..300]).await;
                let (_, _, before) = read(kind, &folder, ReadRequest::default()).await;
                std::fs::remove_dir_all(&folder).unwrap();
                let on = |end| ReadRequest { after: Some(end), ..ReadRequest::default() };
                let (lines, holes, _) = read(kind, &folder, on(before.end)).await;
                assert!(
                    lines.is_empty() && matches!(&holes[..], [Hole::Rotated { .. }]),
                    "{case}: {holes:?}"
                );
                write(kind, &folder, limits, &times[300..end]).await;
                let (lines, holes, now) = read(kind, &folder, on(before.end)).await;
                let got: Vec<i64> = lines.iter().map(|(time, _)| *time).collect();
                assert_eq!(got, times[300..end], "{case}");
                assert!(matches!(&holes[..], [Hole::Rotated { .. }]), "{case}: {holes:?}");
                let (lines, holes, _) = read(kind, &folder, on(now.end)).await;
                assert_eq!((lines.len(), holes.len()), (0, 0), "{case}: {holes:?}");
            }
        }
    });
}

#[test]
fn who_began_before_there_was_a_log_goes_on_with_its_first_line_and_is_told_of_nothing() {
    runtime().block_on(async {
        for kind in ["json-file", "local"] {
            let folder = tempfile::tempdir().unwrap();
            let (_, _, before) = read(kind, folder.path(), ReadRequest::default()).await;
            let on = ReadRequest { after: Some(before.end), ..ReadRequest::default() };
            for (from, end) in [(0, 0), (0, 40), (40, 80)] {
                let times: Vec<i64> = (from..end).map(|n| START + n).collect();
                if end > 0 {
                    write(kind, folder.path(), ["1m", "1", "false"], &times).await;
                }
                let (lines, holes, _) = read(kind, folder.path(), on.clone()).await;
                assert_eq!((lines.len(), holes.len()), (end as usize, 0), "{kind}: {holes:?}");
            }
        }
    });
}

#[test]
fn who_began_before_there_was_a_log_is_told_too_when_others_emptied_it() {
    // What stood there after was taken for the log from its beginning, and as many lines as had been shown were left out of it.
    runtime().block_on(async {
        for (kind, name) in [("json-file", "c-json.log"), ("local", "local-logs/container.log")] {
            let folder = tempfile::tempdir().unwrap();
            let times: Vec<i64> = (0..310).map(|n| START + n).collect();
            let (_, _, before) = read(kind, folder.path(), ReadRequest::default()).await;
            write(kind, folder.path(), ["1m", "1", "false"], &times[..300]).await;
            File::options().write(true).open(folder.path().join(name)).unwrap().set_len(0).unwrap();
            write(kind, folder.path(), ["1m", "1", "false"], &times[300..]).await;
            let on = ReadRequest { after: Some(before.end), ..ReadRequest::default() };
            let (lines, holes, _) = read(kind, folder.path(), on).await;
            let got: Vec<i64> = lines.iter().map(|(time, _)| *time).collect();
            assert_eq!(got, times[300..], "{kind}");
            assert!(matches!(&holes[..], [Hole::Rotated { .. }]), "{kind}: {holes:?}");
        }
    });
}

#[test]
fn who_goes_on_reading_is_given_all_files_of_a_log_that_took_the_place_of_one_with_fewer_rotations() {
    // Those numbered below the one it had come to in the other were left out.
    runtime().block_on(async {
        for kind in ["json-file", "local"] {
            let (root, limits) = (tempfile::tempdir().unwrap(), ["5k", "5", "false"]);
            let folder = root.path().join("container");
            let times: Vec<i64> = (0..410).map(|n| START + n).collect();
            write(kind, &folder, limits, &times[..170]).await;
            let (_, _, before) = read(kind, &folder, ReadRequest::default()).await;
            std::fs::remove_dir_all(&folder).unwrap();
            write(kind, &folder, limits, &times[170..]).await;
            let on = ReadRequest { after: Some(before.end), ..ReadRequest::default() };
            let (lines, holes, now) = read(kind, &folder, on).await;
            assert!((1..=now.end.generation).contains(&before.end.generation), "{kind}");
            let got: Vec<i64> = lines.iter().map(|(time, _)| *time).collect();
            assert_eq!(got, times[170..], "{kind}");
            assert!(matches!(&holes[..], [Hole::Rotated { .. }]), "{kind}: {holes:?}");
        }
    });
}
