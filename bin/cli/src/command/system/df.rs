//! `gantry system df`

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::command::{container, image, volume};
use crate::listing::{Headings, Listing, Row, list, number, text};
use crate::units::four_digits;
use crate::{error::CommandError, output};
use template::Template;

/// Shows what takes up the disk.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry system df\n  gantry system df -v    one by one")]
pub struct Df {
    /// 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

/// The columns of a listing inside `df -v`.
struct Section<'a> {
    title: &'a str,
    table: &'static str,
    headings: &'static Headings,
    rows: Vec<Row>,
}

/// `12.5MB (40%)`.
fn reclaimable(bytes: i64, total: i64) -> String {
    match bytes.saturating_mul(100).checked_div(total) {
        Some(percent) if total > 0 => format!("{} ({percent}%)", four_digits(bytes)),
        _ => four_digits(bytes),
    }
}

fn line(kind: &str, total: usize, active: usize, size: i64, reclaimable: String) -> Row {
    let fields = json!({
        "Type": kind, "TotalCount": total.to_string(), "Active": active.to_string(),
        "Size": four_digits(size), "Reclaimable": reclaimable,
    });
    Row::new(fields, &Value::Null)
}

fn lines(usage: &Value) -> Vec<Row> {
    let images: Vec<&Value> = list(usage, "Images").collect();
    let layers = number(usage, "LayersSize");
    let known = |image: &&&Value| number(image, "Size") != -1 && number(image, "SharedSize") != -1;
    let used = images.iter().filter(|image| number(image, "Containers") != 0).filter(known);
    let used: i64 = used.map(|image| number(image, "Size") - number(image, "SharedSize")).sum();
    let active = images.iter().filter(|image| number(image, "Containers") > 0).count();
    let first = line("Images", images.len(), active, layers, reclaimable(layers - used, layers));

    let containers: Vec<&Value> = list(usage, "Containers").collect();
    let runs = |container: &&&Value| {
        matches!(text(container, "State").as_str(), "running" | "paused" | "restarting")
    };
    let size = |containers: &[&Value]| containers.iter().map(|one| number(one, "SizeRw")).sum::<i64>();
    let total = size(&containers);
    let stopped: Vec<&Value> = containers.iter().filter(|one| !runs(one)).copied().collect();
    let second = line(
        "Containers",
        containers.len(),
        containers.len() - stopped.len(),
        total,
        reclaimable(size(&stopped), total),
    );

    let volumes: Vec<(i64, i64)> = list(usage, "Volumes")
        .map(|volume| volume.get("UsageData").unwrap_or(&Value::Null))
        .map(|usage| (number(usage, "RefCount"), number(usage, "Size").max(0)))
        .collect();
    let total: i64 = volumes.iter().map(|(_, size)| size).sum();
    let free: i64 = volumes.iter().filter(|(links, _)| *links == 0).map(|(_, size)| size).sum();
    let active = volumes.iter().filter(|(links, _)| *links > 0).count();
    let third = line("Local Volumes", volumes.len(), active, total, reclaimable(free, total));
    vec![first, second, third, line("Build Cache", 0, 0, 0, four_digits(0))]
}

fn sections(usage: &Value, no_trunc: bool) -> Vec<Section<'static>> {
    let images = list(usage, "Images").filter_map(|image| {
        let image = serde_json::from_value(image.clone()).ok()?;
        image::ls::rows(&image, no_trunc).into_iter().next()
    });
    let containers = list(usage, "Containers").map(|container| {
        let mut container = container.clone();
        // The size of its image is counted there.
        if let Some(fields) = container.as_object_mut() {
            fields.remove("SizeRootFs");
        }
        container::ls::row(&container, no_trunc)
    });
    vec![
        Section {
            title: "Images space usage:\n\n",
            table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
            headings: image::ls::HEADINGS,
            rows: images.collect(),
        },
        Section {
            title: "\nContainers space usage:\n\n",
            table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
            headings: container::ls::HEADINGS,
            rows: containers.collect(),
        },
        Section {
            title: "\nLocal Volumes space usage:\n\n",
            table: "{{.Name}}\t{{.Links}}\t{{.Size}}",
            headings: volume::ls::HEADINGS,
            rows: list(usage, "Volumes").map(volume::ls::row).collect(),
        },
    ]
}

impl Df {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let usage = client.get("/system/df").await?;
        let format = self.format.as_deref().filter(|format| !format.is_empty());
        if !self.verbose {
            let listing = Listing {
                format,
                configured: None,
                quiet: None,
                table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
                headings: &[
                    ("Type", "TYPE"),
                    ("TotalCount", "TOTAL"),
                    ("Active", "ACTIVE"),
                    ("Size", "SIZE"),
                    ("Reclaimable", "RECLAIMABLE"),
                ],
            };
            output::raw(listing.render(lines(&usage))?);
            return Ok(0);
        }
        if let Some(format) = format.filter(|format| *format != "table") {
            let rows = |section: Section<'_>| {
                Value::from(section.rows.into_iter().map(|row| Value::Object(row.fields)).collect::<Vec<_>>())
            };
            let mut all = sections(&usage, true).into_iter().map(rows);
            let mut next = || all.next().unwrap_or_default();
            let whole = json!({"Images": next(), "Containers": next(), "Volumes": next(), "BuildCache": []});
            output::line(Template::from_flag(format)?.render(&whole)?);
            return Ok(0);
        }
        for section in sections(&usage, false) {
            let Section { title, table, headings, rows } = section;
            output::raw(title);
            let listing = Listing { format: None, configured: None, quiet: None, table, headings };
            output::raw(listing.render(rows)?);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_uses_can_be_won_back() {
        let usage = json!({
            "LayersSize": 1000,
            "Images": [{"Containers": 1, "Size": 600, "SharedSize": 0}, {"Containers": 0, "Size": 400, "SharedSize": 0}],
            "Containers": [{"State": "running", "SizeRw": 10}, {"State": "exited", "SizeRw": 30}],
            "Volumes": [{"UsageData": {"RefCount": 0, "Size": 5}}, {"UsageData": {"RefCount": 1, "Size": 15}}],
        });
        let shown: Vec<String> = lines(&usage)
            .iter()
            .map(|row| {
                ["TotalCount", "Active", "Size", "Reclaimable"]
                    .map(|key| row.fields[key].as_str().unwrap())
                    .join(" ")
            })
            .collect();
        assert_eq!(shown, ["2 1 1kB 400B (40%)", "2 1 40B 30B (75%)", "2 1 20B 5B (25%)", "0 0 0B 0B"]);
    }
}
