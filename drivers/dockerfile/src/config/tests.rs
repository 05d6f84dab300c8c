use crate::instruction::Pair;
use crate::{Config, Instruction, Variables, amend, apply};
use serde_json::{Value, json};

fn amended(base: Value, changes: &[&str]) -> Result<Value, String> {
    let base: Config = base.as_object().cloned().unwrap();
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    amend(base, &changes).map(Value::Object).map_err(|e| e.to_string())
}

#[test]
fn every_instruction_lands_in_the_configuration() {
    let changes = [
        "CMD [\"sh\", \"-l\"]",
        "entrypoint run it",
        "ENV A=1 B=\"two words\" \\\n C=x\\ y",
        "ENV A 2 and 3",
        "ENV PATH=/bin:$A",
        "LABEL one=1 \"two\"='2 2'",
        "EXPOSE 80 53/udp 8000-8001",
        "VOLUME [\"/a b\"]",
        "VOLUME /c /d",
        "WORKDIR /srv",
        "WORKDIR ../x",
        "USER nobody",
        "STOPSIGNAL SIGINT",
        "ONBUILD RUN make",
        "HEALTHCHECK --interval=5s --retries=3 CMD curl -f localhost",
    ];
    assert_eq!(
        amended(json!({}), &changes).unwrap(),
        json!({
            "Cmd": ["sh", "-l"], "Entrypoint": ["/bin/sh", "-c", "run it"],
            // A variable keeps its place.
            "Env": ["A=2 and 3", "B=two words", "C=x y", "PATH=/bin:2 and 3"],
            "Labels": {"one": "1", "two": "2 2"},
            "ExposedPorts": {"53/udp": {}, "80/tcp": {}, "8000/tcp": {}, "8001/tcp": {}},
            "Volumes": {"/a b": {}, "/c": {}, "/d": {}},
            "WorkingDir": "/x", "User": "nobody", "StopSignal": "SIGINT", "OnBuild": ["RUN make"],
            "Healthcheck": {
                "Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 5_000_000_000_i64, "Retries": 3
            },
        })
    );
}

#[test]
fn an_entrypoint_takes_the_command_of_the_old_one_away() {
    let base = json!({ "Cmd": ["bash"], "Shell": ["/bin/zsh", "-c"] });
    let changed = amended(base.clone(), &["ENTRYPOINT go"]).unwrap();
    assert_eq!(changed, json!({ "Shell": ["/bin/zsh", "-c"], "Entrypoint": ["/bin/zsh", "-c", "go"] }));
    let changed = amended(base, &["CMD x", "ENTRYPOINT []"]).unwrap();
    assert_eq!(changed["Cmd"], json!(["/bin/zsh", "-c", "x"]));
    assert_eq!(changed["Entrypoint"], Value::Null);
}

#[test]
fn nonsense_is_refused_in_dockers_words() {
    for (change, error) in [
        ("RUN x", "RUN is not a valid change command"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", "Syntax error - can't find = in \"B\". Must be of the form: name=value"),
        (
            "ENV A=\"x",
            "failed to process \"\\\"x\": unexpected end of statement while looking for matching double-quote",
        ),
        ("LABEL =x", "LABEL names can not be blank"),
        ("EXPOSE x", "invalid containerPort: x"),
        ("EXPOSE 9-8", "invalid containerPort: 9-8"),
        ("EXPOSE 1/icmp", "invalid proto: icmp"),
        ("STOPSIGNAL nope", "invalid signal: nope"),
        ("WORKDIR $NOTHING", "cannot normalize nothing"),
        ("VOLUME $NOTHING", "VOLUME specified can not be an empty string"),
        ("HEALTHCHECK RUN x", "Unknown type \"RUN\" in HEALTHCHECK (try CMD)"),
        ("HEALTHCHECK --interval=x CMD y", "time: invalid duration \"x\""),
        ("HEALTHCHECK --interval=1us CMD y", "Interval \"interval\" cannot be less than 1ms"),
        ("HEALTHCHECK --retries=x CMD y", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("HEALTHCHECK --retries=-1 CMD y", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --timout=1s CMD x", "unknown flag: --timout (did you mean timeout?)"),
        ("CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only"),
    ] {
        assert_eq!(amended(json!({}), &[change]), Err(error.to_owned()), "{change}");
    }
}

#[test]
fn variables_cannot_grow_without_bound_together() {
    let mut config = Config::new();
    let word = "x".repeat(100_000);
    let outcomes: Vec<bool> = (0..30)
        .map(|number| {
            let list = vec![Pair { key: format!("a{number}"), value: word.clone() }];
            apply(&mut config, &Instruction::Env(list), '\\', &Variables::new(Vec::<String>::new())).is_ok()
        })
        .collect();
    assert!(outcomes[19] && !outcomes[29]);
}
