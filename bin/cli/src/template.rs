//! The part of Go templates people use with `--format`.

use serde_json::Value;

mod evaluate;
mod parse;

/// Why a template could not be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// It does not parse.
    #[error("template parsing error: {0}")]
    Syntax(String),
    /// A field is not there.
    #[error("template: executing \"\" at <.{0}>: map has no entry for key \"{0}\"")]
    NoField(String),
    /// A function was called wrongly.
    #[error("template: executing \"\": error calling {function}: {why}")]
    Call {
        /// The function.
        function: String,
        /// What was wrong.
        why: String,
    },
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
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

    /// Fills it in from `data`.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        evaluate::run(&self.nodes, data)
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
    fn mistakes_are_named() {
        assert_eq!(render("{{.Nope}}"), Err(TemplateError::NoField("Nope".into())));
        assert!(matches!(render("{{.Id"), Err(TemplateError::Syntax(_))));
        assert!(matches!(render("{{if .Id}}x"), Err(TemplateError::Syntax(_))));
        assert!(matches!(render("{{frobnicate .Id}}"), Err(TemplateError::Syntax(_))));
    }
}
