//! Templates of tags: Go's, with what Docker gives them to say about a container (moby `logger.Info`).

use contract::log::{LogSource, Options};
use jiff::Timestamp;
use serde_json::{Value, json};
use template::{Methods, Template, TemplateError};

/// Fills `template` from `source`, and from the options it stands among.
pub(crate) fn render(template: &str, source: &LogSource, options: &Options) -> Result<String, String> {
    if !template.contains("{{") {
        return Ok(template.to_owned());
    }
    let told = |error: TemplateError| told(template, &error);
    Template::parse(template)
        .and_then(|read| read.render_with(&info(source, options), Methods::Tag))
        .map_err(told)
}

/// Refuses a template that fills in for no container. What a function makes of values that are not known yet is no reason:
/// `{{slice .ID 0 6}}` fails for an id that is not there alone.
pub(crate) fn check(template: &str, options: &Options) -> Result<(), String> {
    if !template.contains("{{") {
        return Ok(());
    }
    match Template::parse(template)
        .and_then(|read| read.render_with(&info(&LogSource::default(), options), Methods::Tag))
    {
        Ok(_) | Err(TemplateError::Call { .. }) => Ok(()),
        Err(error) => Err(told(template, &error)),
    }
}

/// The fields, and the methods that want nothing.
fn info(source: &LogSource, options: &Options) -> Value {
    let short = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect::<String>();
    let name = source.container_name.trim_start_matches('/');
    let mut words: Vec<&str> = source.args.iter().map(String::as_str).collect();
    if words.is_empty() {
        words = source.command.split(' ').collect();
    }
    let (entrypoint, arguments) = words.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    let created = Timestamp::from_nanosecond(source.created_ns.into()).unwrap_or_default();
    json!({
        "ID": short(&source.container_id),
        "FullID": source.container_id,
        "Name": name,
        "ImageID": short(&source.image_id),
        "ImageFullID": source.image_id,
        "ImageName": source.image_name,
        "Command": source.command,
        "Hostname": hostname(),
        "DaemonName": "docker",
        "Config": options,
        "ContainerID": source.container_id,
        "ContainerName": format!("/{name}"),
        "ContainerEntrypoint": entrypoint,
        "ContainerArgs": arguments,
        "ContainerImageID": source.image_id,
        "ContainerImageName": source.image_name,
        "ContainerCreated": created.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
        "ContainerEnv": source.env,
        "ContainerLabels": source.labels,
        "LogPath": "",
    })
}

/// Go's words for what is wrong, with the place where it can be told.
fn told(template: &str, error: &TemplateError) -> String {
    match error {
        TemplateError::Syntax(why) => format!("template: log-tag:1: {why}"),
        TemplateError::NoField { path, key } => {
            let before = template.split(&format!(".{path}")).next().unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().len();
            format!(
                "template: log-tag:{line}:{column}: executing \"log-tag\" at <.{path}>: can't evaluate field {key} in \
                 type *logger.Info"
            )
        }
        TemplateError::Call { function, why } => {
            format!("template: log-tag:1: executing \"log-tag\": error calling {function}: {why}")
        }
        TemplateError::Limit(why) => format!("template: log-tag:1: executing \"log-tag\": {why}"),
    }
}

/// This machine's name.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|h| h.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, String> {
        let source = LogSource {
            container_id: "0123456789abcdef".into(),
            container_name: "my-web".into(),
            image_id: "sha256:fedcba98765432100".into(),
            image_name: "busybox:1.36".into(),
            command: "sh -c true".into(),
            created_ns: 1_704_164_645_500_000_000,
            env: vec!["A=1".into()],
            labels: [("app".to_owned(), "shop".to_owned())].into(),
            ..Default::default()
        };
        let options = [("tag".to_owned(), "t".to_owned())].into();
        render(template, &source, &options)
    }

    #[test]
    fn every_field_of_dockers_can_be_said() {
        for (template, wanted) in [
            ("x/{{.ID}}/{{ .Name }}", "x/0123456789ab/my-web"),
            (
                "{{.FullID}} {{.ImageID}} {{.ImageFullID}}",
                "0123456789abcdef fedcba987654 sha256:fedcba98765432100",
            ),
            ("{{.ImageName}} {{.Command}} {{.DaemonName}}", "busybox:1.36 sh -c true docker"),
            ("{{.ContainerName}} {{.ContainerEntrypoint}} {{.ContainerArgs}}", "/my-web sh [-c true]"),
            (
                "{{.ContainerLabels.app}} {{index .ContainerLabels \"app\"}} {{.ContainerEnv}}",
                "shop shop [A=1]",
            ),
            ("{{.ContainerLabels.Team}}", "<no value>"),
            ("{{.ContainerCreated}} {{.Config.tag}}", "2024-01-02 03:04:05.5 +0000 UTC t"),
        ] {
            assert_eq!(filled(template).unwrap(), wanted);
        }
        assert_eq!(filled("{{.Hostname}}").unwrap(), hostname());
    }

    #[test]
    fn every_function_of_dockers_can_be_used() {
        for (template, wanted) in [
            ("{{upper .Name}} {{.Name | upper | lower}} {{title .Name}}", "MY-WEB my-web My-Web"),
            ("{{join (split .Name \"-\") \"_\"}}", "my_web"),
            ("{{truncate .FullID 3}}|{{pad .Name 1 2}}|{{json .Name}}", "012| my-web  |\"my-web\""),
            ("{{println .ID}}{{print 1 2}}{{printf \"%s/%05d\" .Name 7}}", "0123456789ab\n1 2my-web/00007"),
            ("{{if eq .Name \"my-web\"}}web{{else}}other{{end}}{{with .LogPath}}{{.}}{{end}}", "web"),
            (
                "{{range $i, $e := .ContainerEnv}}{{$i}}{{$e}}{{end}} {{len .Name}} {{slice .ID 0 2}}",
                "0A=1 6 01",
            ),
            ("{{- /* nothing */ -}} {{json .ContainerLabels}}", "{\"app\":\"shop\"}"),
        ] {
            assert_eq!(filled(template).unwrap(), wanted);
        }
    }

    #[test]
    fn an_argument_with_a_blank_is_one() {
        let args = ["sh", "-c", "echo a"].map(str::to_owned).to_vec();
        let source = LogSource { command: args.join(" "), args, ..LogSource::default() };
        let filled = |template| render(template, &source, &Options::new()).unwrap();
        assert_eq!(filled("{{.ContainerEntrypoint}} {{index .ContainerArgs 1}}"), "sh echo a");
    }

    #[test]
    fn a_template_that_wants_values_is_not_refused_before_there_are_any() {
        for template in ["{{slice .ID 0 6}}", "{{index (split .Name \"-\") 1}}", "{{index .ContainerArgs 0}}"]
        {
            assert_eq!(check(template, &Options::new()), Ok(()), "{template}");
            filled(template).unwrap();
        }
        assert_eq!(filled("{{index (split .Name \"-\") 1}}").unwrap(), "web");
        assert!(filled("{{index (split .Name \"-\") 2}}").unwrap_err().contains("index out of range"));
        for never in ["a{{.Nope}}", "{{.ID", "{{nope .ID}}"] {
            assert!(check(never, &Options::new()).is_err(), "{never}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_gos_words() {
        for (template, wanted) in [
            (
                "a{{.Nope}}",
                "template: log-tag:1:3: executing \"log-tag\" at <.Nope>: can't evaluate field Nope in type *logger.Info",
            ),
            ("{{.ID", "template: log-tag:1: unclosed action"),
            (
                "{{.ContainerCreated.Format \"2006\"}}",
                "template: log-tag:1: at <.ContainerCreated.Format>: Format is not a method but has arguments: times and \
                 other values have no methods here",
            ),
            ("{{nope .ID}}", "template: log-tag:1: function \"nope\" not defined"),
        ] {
            assert_eq!(filled(template).unwrap_err(), wanted);
        }
    }
}
