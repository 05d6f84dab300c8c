//! The part of Go templates that people use with `--format` and for the tags of log lines.

use serde_json::{Map, Value};

mod evaluate;
mod functions;
mod parse;
mod printf;

/// Why a template could not be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// It does not parse.
    #[error("template parsing error: {0}")]
    Syntax(String),
    /// A field is not there.
    #[error("template: executing \"\" at <.{path}>: map has no entry for key \"{key}\"")]
    NoField {
        /// The whole path.
        path: String,
        /// The part of it that is missing.
        key: String,
    },
    /// A function was called wrongly.
    #[error("template: executing \"\": error calling {function}: {why}")]
    Call {
        /// The function.
        function: String,
        /// What was wrong.
        why: String,
    },
    /// It is more than a tag may be.
    #[error("template: executing \"\": {0}")]
    Limit(&'static str),
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

/// What `.Label "name"` means.
#[derive(Debug, Clone, Copy)]
pub enum Methods<'a> {
    /// Nothing.
    None,
    /// Nothing, in the tag of log lines: the outermost object alone has fields, those in it are maps. What it costs is
    /// bounded: it is filled in by a daemon, for whoever may make containers.
    Tag,
    /// The value of that label.
    Labels(&'a Map<String, Value>),
    /// A column's heading.
    Heading,
}

#[derive(Debug)]
enum Node {
    Text(String),
    Print(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range { names: Vec<String>, over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    Set(String, Pipeline),
}

/// Commands whose result is the last argument of the next.
type Pipeline = Vec<Vec<Term>>;

#[derive(Debug)]
enum Term {
    /// `.A.B`
    Field(Vec<String>),
    /// `$.A` or `$v.A`
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    /// `(…).A`
    Group(Pipeline, Vec<String>),
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { nodes: parse::template(text)? })
    }

    /// Reads what follows `--format`: `json` stands for the whole, and \\t and \\n for what they look like.
    pub fn from_flag(text: &str) -> Result<Self, TemplateError> {
        match text {
            "json" => Self::parse("{{json .}}"),
            other => Self::parse(&other.replace("\\t", "\t").replace("\\n", "\n")),
        }
    }

    /// Fills it in from `data`.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        evaluate::run(&self.nodes, data, Methods::None)
    }

    /// Fills it in from `data`, which has methods.
    pub fn render_with(&self, data: &Value, methods: Methods<'_>) -> Result<String, TemplateError> {
        evaluate::run(&self.nodes, data, methods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str) -> Result<String, TemplateError> {
        let data = json!({
            "Id": "abc", "State": {"Running": true, "Pid": 42, "Health": null},
            "Config": {"Labels": {"a.b": "c", "d": "e"}, "Cmd": ["sh", "-c"], "Tty": false},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}},
                                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}}
        });
        Template::parse(template)?.render(&data)
    }

    #[test]
    fn fields_print_as_go_prints_them() {
        assert_eq!(render("{{.Id}} {{ .State.Pid }} {{.State.Running}}").unwrap(), "abc 42 true");
        assert_eq!(render("{{.Config.Cmd}} {{.Config.Labels}}").unwrap(), "[sh -c] map[a.b:c d:e]");
        assert_eq!(render("{{.Config.Labels.nope}}").unwrap(), "<no value>");
    }

    #[test]
    fn a_key_that_a_user_chose_may_be_in_capitals_and_absent() {
        assert_eq!(render("{{.Config.Labels.App}}").unwrap(), "<no value>");
        assert!(render("{{.Config.App}}").is_err());
        let data = json!({"ID": "1", "ContainerLabels": {"App": "shop"}, "Config": {}});
        let tag = |text| Template::parse(text).unwrap().render_with(&data, Methods::Tag);
        for (text, wanted) in [
            ("{{.ContainerLabels.App}}", "shop"),
            ("{{.ContainerLabels.Team}} {{.Config.Team}}", "<no value> <no value>"),
            ("{{with .ContainerLabels}}{{.App}} {{.Team}}{{end}}", "shop <no value>"),
            ("{{$all := .ContainerLabels}}{{$all.Team}}", "<no value>"),
        ] {
            assert_eq!(tag(text).unwrap(), wanted, "{text}");
        }
        for wrong in ["{{.Team}}", "{{$.Team}}", "{{.ID.Team}}"] {
            assert!(matches!(tag(wrong), Err(TemplateError::NoField { .. })), "{wrong}");
        }
    }

    #[test]
    fn json_prints_any_part() {
        assert_eq!(render("{{json .Config.Cmd}}").unwrap(), r#"["sh","-c"]"#);
        assert_eq!(render("{{.State.Pid | json}}").unwrap(), "42");
    }

    #[test]
    fn the_idioms_of_dockers_manual_work() {
        assert_eq!(render("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}").unwrap(), "172.17.0.2");
        assert_eq!(
            render(r#"{{range $p, $conf := .NetworkSettings.Ports}} {{$p}} -> {{(index $conf 0).HostPort}} {{end}}"#)
                .unwrap(),
            " 80/tcp -> 8080 "
        );
        assert_eq!(
            render(r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}"#).unwrap(),
            "8080"
        );
        assert_eq!(render(r#"{{index .Config.Labels "a.b"}}"#).unwrap(), "c");
        assert_eq!(render("{{if .State.Running}}up{{else}}down{{end}}").unwrap(), "up");
        assert_eq!(
            render("{{if .State.Health}}h{{else if .Config.Tty}}t{{else}}none{{end}}").unwrap(),
            "none"
        );
        assert_eq!(
            render(r#"{{join .Config.Cmd ","}} {{len .Config.Cmd}} {{upper .Id}}"#).unwrap(),
            "sh,-c 2 ABC"
        );
        assert_eq!(render(r#"{{if eq .Id "abc"}}same{{end}}"#).unwrap(), "same");
        assert_eq!(render(r#"{{printf "%s:%d" .Id .State.Pid}}"#).unwrap(), "abc:42");
    }

    #[test]
    fn labels_are_asked_for_by_name_and_head_their_column() {
        let labels = json!({"com.example.team-name": "red"});
        let template = Template::parse("{{.Label \"com.example.team-name\" | upper}}").unwrap();
        let methods = Methods::Labels(labels.as_object().unwrap());
        assert_eq!(template.render_with(&json!({}), methods).unwrap(), "RED");
        assert_eq!(template.render_with(&json!({}), Methods::Heading).unwrap(), "team name");
        assert!(template.render(&json!({})).is_err());
    }

    #[test]
    fn texts_can_be_shaped() {
        assert_eq!(
            render("{{title \"a bc\"}} {{pad .Id 1 2}}| {{truncate .Id 2}}").unwrap(),
            "A Bc  abc  | ab"
        );
        assert_eq!(render("{{slice .Id 1}} {{join (split \"a,b\" \",\") \"-\"}}").unwrap(), "bc a-b");
        assert_eq!(render("{{with .Config}}{{len .Cmd}}{{end}}{{println .Id}}").unwrap(), "2abc\n");
        assert_eq!(
            render("{{if and .Id (gt .State.Pid 41)}}yes{{end}}{{if not .Config.Tty}}!{{end}}").unwrap(),
            "yes!"
        );
        assert_eq!(render("{{printf \"%-5s|%04d\" .Id .State.Pid}}").unwrap(), "abc  |0042");
    }

    #[test]
    fn nesting_that_would_overflow_the_stack_is_refused() {
        let groups = |n: usize| format!("{{{{{}.Id{}}}}}", "(".repeat(n), ")".repeat(n));
        assert_eq!(render(&groups(100)).unwrap(), "abc");
        let blocks = |n: usize| format!("{}x{}", "{{if .Id}}".repeat(n), "{{end}}".repeat(n));
        assert_eq!(render(&blocks(100)).unwrap(), "x");
        let chain = format!("{{{{if .Config.Tty}}}}{}{{{{end}}}}", "{{else if .Config.Tty}}".repeat(200_000));
        for deep in [groups(200_000), blocks(200_000), "{{".to_owned() + &"(".repeat(200_000) + "}}", chain] {
            assert!(
                matches!(render(&deep), Err(TemplateError::Syntax(why)) if why.contains("deeper than 100"))
            );
        }
    }

    #[test]
    fn a_tag_that_multiplies_what_it_is_given_ends_before_it_takes_all_memory() {
        let env: Vec<String> = (0..1000).map(|n| format!("NAME_{n}=value")).collect();
        let data = json!({"ID": "1", "ContainerEnv": env});
        let tag = |text: &str| Template::parse(text).unwrap().render_with(&data, Methods::Tag);
        let loops = |times: usize, inner: &str| {
            let open = "{{range $i, $e := $.ContainerEnv}}".repeat(times);
            format!("{open}{inner}{}", "{{end}}".repeat(times))
        };
        let doubled = format!("{{{{$a := \"x\"}}}}{}", "{{$a := print $a $a}}".repeat(60));
        let wide = format!("{{{{printf \"{}\"{}}}}}", "%9999d".repeat(9000), " 1".repeat(9000));
        let joined = "{{$s := join .ContainerEnv \"\"}}{{join (split (join .ContainerEnv $s) \"\") $s}}";
        let long = loops(1, &"x".repeat(66));
        for text in [long, loops(6, ""), loops(6, "{{$e}}"), doubled, wide, joined.to_owned()] {
            assert!(matches!(tag(&text), Err(TemplateError::Limit(_))), "{text:.60}");
        }
        assert_eq!(tag(&loops(1, &"x".repeat(65))).unwrap().len(), 65_000);
        assert_eq!(tag("{{len .ContainerEnv}} {{index .ContainerEnv 7}}").unwrap(), "1000 NAME_7=value");
        // Who fills one in for himself may have as much as he likes.
        let all = Template::parse(&loops(2, "x")).unwrap().render(&data);
        assert_eq!(all.unwrap().len(), 1_000_000);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            render("{{.Nope}}"),
            Err(TemplateError::NoField { path: "Nope".into(), key: "Nope".into() })
        );
        assert!(matches!(render("{{.Id"), Err(TemplateError::Syntax(_))));
        assert!(matches!(render("{{if .Id}}x"), Err(TemplateError::Syntax(_))));
        assert!(matches!(render("{{frobnicate .Id}}"), Err(TemplateError::Syntax(_))));
    }

    #[test]
    fn a_text_that_nests_without_end_is_refused_before_it_uses_up_the_stack() {
        for (open, close, fine) in [("{{if .Id}}", "{{end}}", 100), ("{{else if .Id}}", "", 99)] {
            let nested = |times: usize| {
                let begin = if close.is_empty() { "{{if .Nope}}" } else { "" };
                let end = if close.is_empty() { "{{end}}" } else { "" };
                let text = format!("{begin}{}{}{end}", open.repeat(times), close.repeat(times));
                Template::parse(&text).map(drop)
            };
            assert_eq!(nested(fine), Ok(()));
            assert!(matches!(nested(200_000), Err(TemplateError::Syntax(_))));
        }
        let nested = |times| format!("{{{{{}.Id{}}}}}", "(".repeat(times), ")".repeat(times));
        assert_eq!(render(&nested(100)).unwrap(), "abc");
        assert!(matches!(render(&nested(200_000)), Err(TemplateError::Syntax(_))));
    }
}
