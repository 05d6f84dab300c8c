use crate::{Command, Dockerfile, Form, Instruction, Stage, trigger};

fn stages(text: &str) -> Result<Vec<Stage>, String> {
    Dockerfile::parse("Dockerfile", text.as_bytes()).map(|f| f.stages).map_err(|e| e.to_string())
}

/// The one instruction after `FROM x`.
fn read(line: &str) -> Result<Instruction, String> {
    let mut stages = stages(&format!("FROM x\n{line}"))?;
    Ok(stages.pop().unwrap().instructions.pop().unwrap().instruction)
}

#[test]
fn mistakes_in_instructions_have_dockers_words() {
    let on = |text: &str| format!("dockerfile parse error on line 2: {text}");
    for (line, error) in [
        ("FOO x", "unknown instruction: FOO (did you mean FROM?)"),
        ("XYZZY x", "unknown instruction: XYZZY"),
        ("COPPY x", "unknown instruction: COPPY (did you mean COPY?)"),
        ("rn x", "unknown instruction: rn (did you mean run?)"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM", "FROM requires either one or three arguments"),
        (
            "FROM a AS 1x",
            "invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
        ),
        (
            "COPY x",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "ADD",
            "ADD requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("COPY --chwn=1 a b", "unknown flag: --chwn (did you mean chown?)"),
        ("COPY --from=a --from=b a b", "duplicate flag specified: --from"),
        ("COPY --from a b", "missing a value on flag: --from"),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("ADD --from=a a b", "unknown flag: --from"),
        ("RUN --security=insecure x", "unknown flag: --security"),
        ("USER", "USER requires exactly one argument"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("SHELL bash -c", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("ARG =x", "ARG names can not be blank"),
        ("VOLUME [\" \"]", "VOLUME specified can not be an empty string"),
    ] {
        assert_eq!(stages(&format!("FROM x\n{line}")), Err(on(error)), "{line}");
    }
}

#[test]
fn forms_of_lines_are_checked_before_instructions() {
    let text = "FROM x\nFOO\nENV a";
    assert_eq!(stages(text), Err("failed to parse Dockerfile: ENV must have two arguments".into()));
}

#[test]
fn a_file_has_instructions_and_begins_with_from() {
    assert_eq!(stages(""), Err("the Dockerfile (Dockerfile) cannot be empty".into()));
    for empty in ["\n", "# a comment\n", " \n\t\n"] {
        assert_eq!(stages(empty), Err("failed to parse Dockerfile: file with no instructions".into()));
    }
    assert_eq!(stages("RUN x"), Err("no build stage in current context".into()));
    let file = Dockerfile::parse("d", b"ARG A=1 B\nFROM x AS One\nARG C\nFROM one as two").unwrap();
    assert_eq!(file.meta.len(), 1);
    assert_eq!(file.stages.iter().map(|s| s.name.clone().unwrap()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!((file.stage("TWO"), file.stage("three")), (Some(1), None));
}

#[test]
fn commands_have_two_forms() {
    let command = |line: &str| match read(line).unwrap() {
        Instruction::Cmd(command) => (command.form, command.words),
        other => panic!("{other:?}"),
    };
    assert_eq!(command("CMD [\"a\", \"b c\"]"), (Form::Exec, vec!["a".to_owned(), "b c".to_owned()]));
    assert_eq!(command("CMD []"), (Form::Exec, vec![]));
    for shell in ["['a']", "[\"a\"", "[\"a\"] b", "a  b"] {
        assert_eq!(command(&format!("CMD {shell}")), (Form::Shell, vec![shell.to_owned()]));
    }
}

#[test]
fn flags_end_where_words_begin() {
    let Instruction::Copy(files) = read("COPY --from=a --chown='1:2' --chmod=755 --link -- --x y").unwrap()
    else {
        panic!();
    };
    assert_eq!(files.sources, ["--x"]);
    let (from, owner, mode) = (files.from.as_deref(), files.owner.as_deref(), files.mode.as_deref());
    assert_eq!((from, owner, mode, files.link), (Some("a"), Some("1:2"), Some("755"), true));
    let Instruction::Run(run) = read("RUN --mount=type=cache --mount=type=ssh --network=none x --y").unwrap()
    else {
        panic!();
    };
    assert_eq!(
        (run.flags, run.command.words),
        (vec!["mount".to_owned(), "network".into()], vec!["x --y".into()])
    );
}

#[test]
fn a_trigger_is_one_instruction() {
    let run = trigger("RUN a").unwrap();
    assert!(
        matches!(run, Instruction::Run(r) if r.command == Command { form: Form::Shell, words: vec!["a".into()] })
    );
    assert!(trigger("RUN a\nRUN b").is_err());
    assert!(trigger("FROM a").is_err());
    assert_eq!(read("ONBUILD  run  a b").unwrap(), Instruction::Onbuild("run  a b".into()));
}
