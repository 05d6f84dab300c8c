//! Lists of things: tables, JSON lines and templates, and the filters that choose.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::output::align;
use template::{Methods, Template, TemplateError};

/// The columns a listing knows: the field's name in templates and its heading.
pub type Headings = [(&'static str, &'static str)];

/// One line of a listing.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// What templates can print.
    pub fields: Map<String, Value>,
    /// What `.Label` finds.
    pub labels: Map<String, Value>,
}

impl Row {
    /// A row of `fields`, which is an object; the labels are those of `thing`.
    pub fn new(mut fields: Value, thing: &Value) -> Self {
        let fields = fields.as_object_mut().map(std::mem::take).unwrap_or_default();
        let labels = thing.get("Labels").and_then(Value::as_object).cloned().unwrap_or_default();
        Self { fields, labels }
    }
}

/// What a thing's labels look like in one cell.
pub fn joined_labels(thing: &Value) -> String {
    let labels = thing.get("Labels").and_then(Value::as_object);
    let mut pairs: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    pairs.join(",")
}

/// The text at `key`, or none.
pub fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The number at `key`, or 0.
pub fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or_default()
}

/// The items at `key`.
pub fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// A key that sorts names as people do: `net2` before `net10`.
pub fn natural(name: &str) -> Vec<(String, u128)> {
    let mut parts: Vec<(String, u128)> = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (word, tail) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (digits, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len()));
        parts.push((word.to_owned(), digits.parse().unwrap_or(0)));
        rest = tail;
    }
    parts
}

/// How a listing is shown.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// `--format`.
    pub format: Option<&'a str>,
    /// The format of the user's configuration.
    pub configured: Option<&'a str>,
    /// `--quiet`: only `{{.…}}` this.
    pub quiet: Option<&'static str>,
    /// The table's columns.
    pub table: &'a str,
    /// Their headings.
    pub headings: &'a Headings,
}

impl Listing<'_> {
    /// The whole text.
    pub fn render(&self, mut rows: Vec<Row>) -> Result<String, TemplateError> {
        rows.iter_mut().for_each(|row| row.fields.sort_keys());
        let given = self.format.filter(|format| !format.is_empty());
        let configured = self.configured.filter(|format| !format.is_empty() && self.quiet.is_none());
        let format = match (given.or(configured), self.quiet) {
            (None | Some("table"), Some(quiet)) => quiet.to_owned(),
            (None | Some("table"), None) => format!("table {}", self.table),
            (Some("json"), _) => "{{json .}}".to_owned(),
            (Some(other), _) => other.replace("\\t", "\t").replace("\\n", "\n"),
        };
        let Some(columns) = format.strip_prefix("table") else {
            return lines(&Template::parse(&format)?, &rows).map(|lines| lines.concat());
        };
        let template = Template::parse(columns.trim_start())?;
        let head = self.headings.iter().map(|(field, head)| ((*field).to_owned(), Value::from(*head)));
        let head = template.render_with(&Value::Object(head.collect()), Methods::Heading)?;
        let cells: Vec<String> = std::iter::once(head)
            .chain(lines(&template, &rows)?.into_iter().map(|line| line.trim_end_matches('\n').to_owned()))
            .collect();
        Ok(align(&cells))
    }
}

fn lines(template: &Template, rows: &[Row]) -> Result<Vec<String>, TemplateError> {
    rows.iter()
        .map(|row| {
            let data = Value::Object(row.fields.clone());
            template.render_with(&data, Methods::Labels(&row.labels)).map(|line| line + "\n")
        })
        .collect()
}

/// One `--filter NAME=VALUE`.
pub fn filter(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| "bad format of filter (expected name=value)".to_owned())?;
    Ok((name.trim().to_lowercase(), value.trim().to_owned()))
}

/// Filters as the API wants them.
pub fn grouped(filters: &[(String, String)]) -> HashMap<String, Vec<String>> {
    let mut map: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in filters {
        map.entry(name.clone()).or_default().push(value.clone());
    }
    map
}

/// Filters as the value of a query, if there are any.
pub fn filter_query(filters: &[(String, String)]) -> Option<String> {
    (!filters.is_empty()).then(|| serde_json::json!(grouped(filters)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(id: &str, name: &str) -> Row {
        Row::new(json!({"Names": name, "ID": id}), &json!({"Labels": {"a.team": "red"}}))
    }

    fn show(format: Option<&str>, quiet: bool, rows: Vec<Row>) -> String {
        let listing = Listing {
            format,
            configured: Some("{{.Names}}!"),
            quiet: quiet.then_some("{{.ID}}"),
            table: "{{.ID}}\t{{.Names}}",
            headings: &[("ID", "CONTAINER ID"), ("Names", "NAMES")],
        };
        listing.render(rows).unwrap()
    }

    #[test]
    fn a_table_is_laid_out_like_dockers() {
        let rows = || vec![row("0123456789ab", "web")];
        assert_eq!(show(Some("table"), false, rows()), "CONTAINER ID   NAMES\n0123456789ab   web\n");
        assert_eq!(
            show(Some(r"table {{.Names}}\t{{.ID}}"), false, rows()),
            "NAMES     CONTAINER ID\nweb       0123456789ab\n"
        );
        assert_eq!(
            show(Some("table {{upper .Names}}\t{{.Label \"a.team\"}}"), false, rows()),
            "NAMES     team\nWEB       red\n"
        );
    }

    #[test]
    fn json_templates_and_the_configured_format_print_one_line_per_row() {
        let rows = || vec![row("a", "x"), row("b", "y")];
        assert_eq!(
            show(Some("json"), false, rows()),
            "{\"ID\":\"a\",\"Names\":\"x\"}\n{\"ID\":\"b\",\"Names\":\"y\"}\n"
        );
        assert_eq!(show(Some("{{.ID}}={{.Names}}"), true, rows()), "a=x\nb=y\n");
        assert_eq!(show(None, false, rows()), "x!\ny!\n");
        assert_eq!(show(None, true, rows()), "a\nb\n");
    }

    #[test]
    fn filters_are_pairs() {
        assert_eq!(filter("Label = a=b").unwrap(), ("label".to_owned(), "a=b".to_owned()));
        assert_eq!(filter("running").unwrap_err(), "bad format of filter (expected name=value)");
        let both = [filter("status=exited").unwrap(), filter("status=created").unwrap()];
        assert_eq!(filter_query(&both).unwrap(), "{\"status\":[\"exited\",\"created\"]}");
        assert_eq!(filter_query(&[]), None);
    }
}
