use super::*;
use proptest::prelude::*;
use std::io::Write;

#[test]
fn records_come_back_in_order_over_several_segments() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    let mut writer = Writer::open(&dir, u64::MAX / 2).unwrap();
    let payload = vec![7; 60_000];
    for n in 0..200 {
        assert_eq!(writer.append(Kind::Data, 1, n, &payload).unwrap(), Appended::Written);
    }
    let (mut place, mut seen) = (Place::default(), 0);
    loop {
        let (records, next) = read(&dir, place, 1 << 20).unwrap();
        if records.is_empty() {
            break;
        }
        for (_, record) in records {
            assert_eq!(record.time_ns, seen);
            seen += 1;
        }
        place = next;
    }
    assert_eq!((seen, place), (200, end(&dir).unwrap()));
}

#[test]
fn what_was_just_written_is_read_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    let mut writer = Writer::open(&dir, u64::MAX / 2).unwrap();
    for n in 0..10 {
        writer.append(Kind::Data, 1, n, &[7; 1000]).unwrap();
    }
    let waiting = read(&dir, Place::default(), 1 << 20).unwrap();
    assert_eq!(waiting.0.len(), 10);
    match read_cached(&dir, Place::default(), 1 << 20) {
        Ok(cached) => assert_eq!(cached, waiting),
        Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock, "this file system cannot tell"),
    }
}

#[test]
fn a_full_budget_is_free_again_after_a_trim() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    let mut writer = Writer::open(&dir, 1000).unwrap();
    assert_eq!(writer.append(Kind::Data, 1, 0, &[0; 900]).unwrap(), Appended::Written);
    assert_eq!(writer.append(Kind::Data, 1, 0, &[0; 900]).unwrap(), Appended::Full);
    trim(&dir, |segment| segment >= 1).unwrap();
    assert_eq!(writer.append(Kind::Data, 1, 0, &[0; 900]).unwrap(), Appended::Written);
}

#[test]
fn a_full_budget_is_at_least_four_segments() {
    // With one segment as large as the budget, a line begun at its end held it for ever and the container stood still.
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    let mut writer = Writer::open(&dir, 1 << 20).unwrap();
    while writer.append(Kind::Data, 1, 0, &[0; 64 << 10]).unwrap() == Appended::Written {}
    assert!(segments(&dir).unwrap().len() >= 4);
}

#[test]
fn the_record_bytes_are_frozen() {
    let bytes = header(Kind::Data, 1, 2, 3, b"hi");
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(&hex[..48], "534700010200000002000000000000000300000000000000");
}

#[test]
fn for_how_long_there_was_no_room_is_read_as_it_was_written_or_not_at_all() {
    let ms = |ms| held(std::time::Duration::from_millis(ms));
    assert_eq!(ms(0), [0; 4], "as in older records");
    for (given, wanted) in [(0, 0), (1, 1), (70_000, 70_000), (0xff_ffff, 0xff_ffff), (1 << 40, 0xff_ffff)] {
        assert_eq!(held_ms(ms(given)), wanted);
        for at in 0..4 {
            let mut damaged = ms(given);
            damaged[at] ^= 0x41;
            assert_eq!(held_ms(damaged), 0);
        }
    }
}

proptest! {
    #[test]
    fn a_cut_at_any_byte_loses_only_what_was_cut(sizes in prop::collection::vec(0usize..300, 1..20), cut in 0usize..4000) {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut writer = Writer::open(&dir, u64::MAX / 2).unwrap();
        for (n, size) in sizes.iter().enumerate() {
            writer.append(Kind::Data, 2, n as i64, &vec![n as u8; *size]).unwrap();
        }
        let path = segment_path(&dir, 0);
        let whole = std::fs::read(&path).unwrap();
        let cut = cut.min(whole.len());
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (records, next) = read(&dir, Place::default(), 1 << 20).unwrap();
        let mut kept = 0;
        let mut expected = 0;
        for size in &sizes {
            kept += HEADER + size;
            if kept <= cut { expected += 1 } else { break }
        }
        prop_assert_eq!(records.len(), expected);
        prop_assert!(next.offset <= cut as u64);
    }

    #[test]
    fn a_changed_byte_loses_its_record_and_invents_none(
        sizes in prop::collection::vec(0usize..200, 1..12), at in 0usize..3000, flip in 1u8..=255,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut writer = Writer::open(&dir, u64::MAX / 2).unwrap();
        for (n, size) in sizes.iter().enumerate() {
            writer.append(Kind::Data, 1, n as i64, &vec![n as u8; *size]).unwrap();
        }
        let (whole, _) = read(&dir, Place::default(), 1 << 20).unwrap();
        let path = segment_path(&dir, 0);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes).unwrap();
        let (records, _) = read(&dir, Place::default(), 1 << 20).unwrap();
        // What is read is what was written, up to the damaged record; its last four bytes are not needed.
        prop_assert_eq!(&records[..], &whole[..records.len()]);
        let before = whole.iter().filter(|(p, r)| (p.offset as usize + HEADER + r.payload.len()) <= at).count();
        let needless = whole.iter().any(|(p, _)| (28..32).contains(&(at.wrapping_sub(p.offset as usize))));
        prop_assert_eq!(records.len(), if needless { whole.len() } else { before });
    }
}

#[test]
fn what_cannot_be_read_is_told_where_it_stands_and_not_passed_over_in_silence() {
    // All that followed it in its segment was skipped, and nobody heard of it.
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    for times in [0..4, 4..5] {
        let mut writer = Writer::open(&dir, 64 << 20).unwrap();
        for time in times {
            writer.append(Kind::Data, 1, time, &[7; 100]).unwrap();
        }
        writer.append(Kind::End, 0, 9, &[]).unwrap();
    }
    let path = segment_path(&dir, 0);
    let whole = std::fs::read(&path).unwrap();
    let all = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let (mut place, mut found) = (Place::default(), Vec::new());
        while let (records, next) = read(&dir, place, 1 << 20).unwrap()
            && !records.is_empty()
        {
            assert!(next > place);
            found.extend(records.iter().map(|(at, record)| (at.segment, at.offset, record.kind)));
            place = next;
        }
        found
    };
    let data = |n: u64| (0_u64, n * 132, Kind::Data);
    let later = [(1_u64, 0_u64, Kind::Data), (1, 132, Kind::End)];
    let lost = |n: u64| (0_u64, n * 132, Kind::Unreadable);
    let mut payload = whole.clone();
    payload[132 + HEADER] ^= 1;
    let rest = [data(0), lost(1), data(2), data(3), (0, 528, Kind::End)];
    assert_eq!(all(&payload), [&rest[..], &later[..]].concat(), "its header leads on");
    let mut header = whole.clone();
    header[132..200].fill(0);
    assert_eq!(all(&header), [&[data(0), lost(1)][..], &later[..]].concat(), "nothing leads on");
    assert_eq!(all(&whole[..300]), [&[data(0), data(1), lost(2)][..], &later[..]].concat(), "torn");
    let every = [data(0), data(1), data(2), data(3), (0, 528, Kind::End)];
    assert_eq!(all(&whole), [&every[..], &later[..]].concat());
}

#[test]
fn a_start_after_one_that_left_no_end_begins_with_a_gap() {
    // The first line of the next start was taken for the rest of the last, with its time.
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    let start = |last: Option<Kind>| {
        let mut writer = Writer::open(&dir, 64 << 20).unwrap();
        if let Some(last) = last {
            writer.append(last, 1, 1, b"").unwrap();
        }
        writer.close().unwrap();
    };
    start(None);
    start(Some(Kind::End));
    start(Some(Kind::Data));
    // Two starts that come to nothing, and one that does not.
    start(None);
    start(None);
    start(Some(Kind::End));
    start(None);
    let (mut place, mut found) = (Place::default(), Vec::new());
    while let (records, next) = read(&dir, place, 1 << 20).unwrap()
        && !records.is_empty()
    {
        found.extend(records.iter().map(|(at, record)| (at.segment, record.kind)));
        place = next;
    }
    assert_eq!(found, [(1, Kind::End), (2, Kind::Data), (3, Kind::Gap), (5, Kind::End)]);
}

#[test]
fn a_start_after_one_that_was_killed_before_it_wrote_anything_begins_with_a_gap_too() {
    // What was in its pipes was lost without a word: the end of the start before it was taken for its own, or nothing was left.
    for let_go in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut first = Writer::open(&dir, 64 << 20).unwrap();
        first.append(Kind::End, 0, 1, &[]).unwrap();
        first.close().unwrap();
        // It has no time to close.
        drop(Writer::open(&dir, 64 << 20).unwrap());
        if let_go {
            trim(&dir, |segment| segment > 0).unwrap();
        }
        // The second of these follows one that has told of it.
        for expected in [Some(Kind::Gap), None] {
            let segment = segments(&dir).unwrap().last().unwrap() + 1;
            Writer::open(&dir, 64 << 20).unwrap().close().unwrap();
            let (records, _) = read(&dir, Place { segment, offset: 0 }, 1 << 20).unwrap();
            assert_eq!(records.first().map(|(_, record)| record.kind), expected, "{let_go}");
        }
    }
}

#[test]
fn a_start_after_one_whose_last_segment_is_empty_begins_with_a_gap_though_the_others_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    let mut killed = Writer::open(&dir, 1000).unwrap();
    killed.append(Kind::Data, 1, 0, &[0; 900]).unwrap();
    // It goes on in a new segment, and finds no room there.
    assert_eq!(killed.append(Kind::Data, 1, 0, &[0; 900]).unwrap(), Appended::Full);
    drop(killed);
    trim(&dir, |segment| segment > 0).unwrap();
    assert_eq!(extent(&dir).unwrap(), [(1, 0)]);
    drop(Writer::open(&dir, 1000).unwrap());
    let (records, _) = read(&dir, Place::default(), 1 << 20).unwrap();
    assert_eq!(records.first().map(|(at, record)| (at.segment, record.kind)), Some((2, Kind::Gap)));
}

#[test]
fn a_record_in_what_a_container_wrote_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    let mut writer = Writer::open(&dir, 64 << 20).unwrap();
    let mut forged = header(Kind::Data, 1, 1, 0, b"forged").to_vec();
    forged.extend_from_slice(b"forged");
    writer.append(Kind::Data, 1, 0, &forged).unwrap();
    writer.append(Kind::End, 0, 1, &[]).unwrap();
    drop(Writer::open(&dir, 64 << 20).unwrap());
    let path = segment_path(&dir, 0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (records, next) = read(&dir, Place::default(), 1 << 20).unwrap();
    assert_eq!(records[0].1.kind, Kind::Unreadable);
    assert_eq!((records.len(), next), (1, Place { segment: 1, offset: 0 }));
}

#[test]
fn a_spool_that_was_emptied_does_not_begin_with_numbers_that_were_read_before() {
    // A reader that stood at a higher one passed over all that was written up to there.
    for gone in ["spool", "segments"] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        drop(Writer::open(&dir, 64 << 20).unwrap());
        assert_eq!(segments(&dir).unwrap(), [0]);
        std::fs::create_dir(folder.path().join("cursors")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        if gone == "segments" {
            std::fs::create_dir(&dir).unwrap();
            std::fs::remove_dir(folder.path().join("cursors")).unwrap();
        }
        drop(Writer::open(&dir, 64 << 20).unwrap());
        let first = segments(&dir).unwrap()[0];
        assert!(first > 1 << 40, "{gone}");
        drop(Writer::open(&dir, 64 << 20).unwrap());
        assert_eq!(segments(&dir).unwrap(), [first, first + 1]);
    }
}

#[test]
fn what_a_container_leaves_at_its_end_finds_room_on_a_full_disk() {
    // It waited for room in a process that ended: the last lines were lost.
    use nix::mount::{MsFlags, mount};
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_owned();
    let on_small_disk = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("small"), &dir, Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
        let mut writer = Writer::open(&dir, 64 << 20).unwrap();
        assert_eq!(writer.append(Kind::Data, 1, 0, b"early").unwrap(), Appended::Written);
        let filler = File::create(dir.join("filler")).unwrap();
        while (&filler).write(&[1; 4096]).is_ok() {}
        let late = vec![7; 60_000];
        assert_eq!(writer.append(Kind::Data, 1, 1, &late).unwrap(), Appended::Full);
        assert!(Writer::open(&dir.join("other"), 64 << 20).is_err(), "there is no room for another's end");
        writer.lift_budget();
        for time in 1..5 {
            assert_eq!(writer.append(Kind::Data, 2, time, &late).unwrap(), Appended::Written);
        }
        assert_eq!(writer.append(Kind::End, 0, 5, &[]).unwrap(), Appended::Written);
        writer.close().unwrap();
        let (mut place, mut times) = (Place::default(), Vec::new());
        while let (records, next) = read(&dir, place, 1 << 20).unwrap()
            && !records.is_empty()
        {
            times.extend(records.iter().map(|(_, record)| record.time_ns));
            place = next;
        }
        assert_eq!(times, [0, 1, 2, 3, 4, 5]);
    });
    on_small_disk.join().unwrap();
}

#[test]
fn room_that_was_kept_and_not_needed_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), 64 << 20).unwrap();
    assert!(dir.path().join("reserve").exists());
    writer.append(Kind::End, 0, 0, &[]).unwrap();
    writer.close().unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_start_that_fails_for_want_of_room_gives_back_what_it_kept() {
    // On a disk that is full, of all places, it stayed until the container was started anew or removed.
    use nix::mount::{MsFlags, mount};
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().to_owned();
    let on_small_disk = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("small"), &disk, Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
        let dir = disk.join("spool");
        let mut writer = Writer::open(&dir, 64 << 20).unwrap();
        writer.append(Kind::Data, 1, 0, b"no end follows").unwrap();
        let filler = File::create(disk.join("filler")).unwrap();
        while (&filler).write(&[1; 4096]).is_ok() {}
        // There is room for what is kept, which the next start takes over, and for nothing else.
        let told = Writer::open(&dir, 64 << 20).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::StorageFull);
        assert!(!dir.join("reserve").exists());
    });
    on_small_disk.join().unwrap();
}

#[test]
fn the_first_output_that_is_read_after_there_was_no_room_says_for_how_long() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    let mut writer = Writer::open(&dir, 1 << 20).unwrap();
    writer.append(Kind::Data, 1, 0, b"before").unwrap();
    for _ in 0..2 {
        writer.owe();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    writer.append(Kind::Data, 1, 0, b"waited itself").unwrap();
    writer.settle();
    writer.append(Kind::Gap, 0, 0, &[0; 8]).unwrap();
    writer.append(Kind::Data, 2, 0, b"after").unwrap();
    writer.settle();
    writer.append(Kind::Data, 1, 0, b"long after").unwrap();
    let held: Vec<u32> =
        read(&dir, Place::default(), 1 << 20).unwrap().0.iter().map(|(_, record)| record.held_ms).collect();
    assert!(held[3] >= 20, "{held:?}");
    assert_eq!((held.len(), held.iter().filter(|ms| **ms == 0).count()), (5, 4), "{held:?}");
}
