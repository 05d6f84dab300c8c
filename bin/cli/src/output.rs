//! What commands print: tables, templates and lines.

use std::io::Write;

use serde_json::{Map, Value};

use crate::template::{Template, TemplateError};

/// Prints one line. A closed pipe is not worth an error: the reader has seen enough.
pub fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
}

/// Prints text as it is.
pub fn raw(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.flush());
}

/// Prints one line on standard error.
pub fn error_line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

/// Aligns tab-separated lines: columns at least ten wide and three apart.
pub fn align(lines: &[String]) -> String {
    let rows: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        // The last cell of a line ends no column, so it widens none.
        for (column, cell) in row.iter().take(row.len().saturating_sub(1)).enumerate() {
            let wanted = (cell.chars().count() + 3).max(10);
            match widths.get_mut(column) {
                Some(width) => *width = wanted.max(*width),
                None => widths.push(wanted),
            }
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let width = widths.get(column).copied().unwrap_or_default();
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
        }
        text.push('\n');
    }
    text
}

/// The columns a listing knows: the field's name in templates and its heading.
pub type Headings = [(&'static str, &'static str)];

/// Renders a listing as `--format` asks: a table, JSON lines, or a template.
pub fn listing(
    format: Option<&str>,
    default_table: &str,
    headings: &Headings,
    mut rows: Vec<Map<String, Value>>,
) -> Result<String, TemplateError> {
    rows.iter_mut().for_each(Map::sort_keys);
    let format = match format {
        None | Some("" | "table") => format!("table {default_table}"),
        Some("json") => "{{json .}}".to_owned(),
        Some(other) => other.to_owned(),
    };
    let unescaped = format.replace("\\t", "\t").replace("\\n", "\n");
    if let Some(columns) = unescaped.strip_prefix("table") {
        let template = Template::parse(columns.trim_start())?;
        let head = headings.iter().map(|(field, head)| ((*field).to_owned(), Value::from(*head))).collect();
        let mut lines = vec![template.render(&Value::Object(head))?];
        for row in rows {
            lines.push(template.render(&Value::Object(row))?);
        }
        return Ok(align(&lines));
    }
    let template = Template::parse(&unescaped)?;
    let mut text = String::new();
    for row in rows {
        text.push_str(&template.render(&Value::Object(row))?);
        text.push('\n');
    }
    Ok(text)
}

/// `sha256:…` or a bare identifier, cut to twelve digits.
pub fn short_id(id: &str) -> &str {
    let bare = id.strip_prefix("sha256:").unwrap_or(id);
    bare.get(..12).unwrap_or(bare)
}

/// Cuts to `width` characters, the last being an ellipsis.
pub fn ellipsis(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Groups `--filter KEY=VALUE` flags as the API wants them.
pub fn filters(flags: &[String]) -> std::collections::HashMap<String, Vec<String>> {
    let mut map: std::collections::HashMap<String, Vec<String>> = std::collections::HashMap::new();
    for flag in flags {
        let (key, value) = flag.split_once('=').unwrap_or((flag, ""));
        map.entry(key.trim().to_lowercase()).or_default().push(value.trim().to_owned());
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, name: &str) -> Map<String, Value> {
        [("Names".to_owned(), Value::from(name)), ("ID".to_owned(), Value::from(id))].into_iter().collect()
    }
    const HEADINGS: &Headings = &[("ID", "CONTAINER ID"), ("Names", "NAMES")];

    #[test]
    fn a_table_is_laid_out_like_dockers() {
        let text = listing(None, "{{.ID}}\t{{.Names}}", HEADINGS, vec![row("0123456789ab", "web")]).unwrap();
        assert_eq!(text, "CONTAINER ID   NAMES\n0123456789ab   web\n");
        let text =
            listing(Some(r"table {{.Names}}\t{{.ID}}"), "", HEADINGS, vec![row("0123456789ab", "web")])
                .unwrap();
        assert_eq!(text, "NAMES     CONTAINER ID\nweb       0123456789ab\n");
    }

    #[test]
    fn json_and_templates_print_one_line_per_row() {
        let rows = || vec![row("a", "x"), row("b", "y")];
        assert_eq!(
            listing(Some("json"), "", HEADINGS, rows()).unwrap(),
            "{\"ID\":\"a\",\"Names\":\"x\"}\n{\"ID\":\"b\",\"Names\":\"y\"}\n"
        );
        assert_eq!(listing(Some("{{.ID}}={{.Names}}"), "", HEADINGS, rows()).unwrap(), "a=x\nb=y\n");
    }

    #[test]
    fn long_commands_end_in_an_ellipsis() {
        assert_eq!(ellipsis("/docker-entrypoint.sh nginx", 20), "/docker-entrypoint.…");
        assert_eq!(ellipsis("sh", 20), "sh");
    }
}
