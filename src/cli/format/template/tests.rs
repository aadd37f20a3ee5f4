//! The language, case by case. `cases.json` holds templates with what Docker's client makes of them, over
//! the document below.

use serde_json::{Map, Value, json};

use super::{Shapes, Template};

const SHAPES: Shapes = Shapes {
    maps: &["Labels", "Volumes"],
    lists: &["Cmd", "Args", "Env"],
    free: &["Anything"],
    type_name: None,
};

fn document() -> Value {
    json!({
        "Name": "/x",
        "Args": ["-c", "a b"],
        "State": {"Status": "running", "Running": true, "Pid": 12, "ExitCode": 0, "Health": null},
        "Config": {
            "Labels": {"a": "b", "c.d": "e"}, "Env": ["A=1", "B=2"], "Cmd": null, "Volumes": null, "Image": ""
        },
        "Extra": {"f": 1.5, "l": [1, 2], "big": 123_456_789_012_u64},
    })
}

fn render(template: &str) -> Result<String, String> {
    let parsed = Template::parse(template).map_err(|error| error.to_string())?;
    parsed.render(&document(), &SHAPES).map_err(|error| error.to_string())
}

#[test]
fn agrees_with_docker() {
    let cases: Vec<(String, String, String)> = serde_json::from_str(include_str!("cases.json")).unwrap();
    assert!(cases.len() > 150);
    let mut wrong = Vec::new();
    for (template, output, error) in cases {
        let wanted = if error.is_empty() { Ok(output) } else { Err(error) };
        let found = render(&template);
        if found != wanted {
            wrong.push(format!("{template}\n  wanted {wanted:?}\n  found  {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reads_rows_and_heads() {
    let row = json!({"ID": "abc", "Names": "web"});
    let labels: Map<String, Value> = [("x.y-z".to_owned(), Value::from("1"))].into_iter().collect();
    let shapes = Shapes { type_name: Some("*formatter.ContainerContext"), ..Shapes::default() };
    let template = Template::parse("{{upper .ID}}\t{{.Label \"x.y-z\"}}|{{.Label \"no\"}}").unwrap();
    assert_eq!(template.render_row(&row, &labels, &shapes).unwrap(), "ABC\t1|");
    assert_eq!(template.render_heads(&json!({"ID": "CONTAINER ID"})).unwrap(), "CONTAINER ID\ty z|no");
    let error = Template::parse("{{.Foo}}").unwrap().render_row(&row, &labels, &shapes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type *formatter.ContainerContext"
    );
}

#[test]
fn numbers_lines_and_columns() {
    let error = render("a\nbé {{.Foo}}").unwrap_err();
    assert!(error.starts_with("template: :2:6: executing"), "{error}");
    let error = render("a\n{{end}}").unwrap_err();
    assert_eq!(error, "template: :2: unexpected {{end}}");
}

#[test]
fn stops_endless_templates() {
    // As much of a stack as a program's first thread has: without optimization that of a test is too small.
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    let endless = || render("{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}").unwrap_err();
    let error = thread.spawn(endless).unwrap().join().unwrap();
    assert!(error.contains("exceeded maximum template depth"), "{error}");
}

proptest::proptest! {
    #[test]
    fn survives_anything(text in "(\\{\\{|\\}\\}|-| |if|range|end|else|with|\\.|Name|\\$|x|:=|\"|\\(|\\)|\\||printf|index|1){0,24}") {
        let _ = render(&text);
    }

    #[test]
    fn survives_any_format(text in "[%a-z0-9 .*+#\\[\\]-]{0,16}") {
        let _ = super::print::sprintf(&text, &[json!("a"), json!(7), json!(1.5), json!([1]), json!({"a": null})]);
    }
}

#[test]
fn knows_fields_by_their_names_in_go() {
    let document = json!({"mediaType": "m", "platform": {"os.version": "1"}, "rootfs": {"diff_ids": ["a"]}});
    let render = |text: &str| {
        Template::parse(text).unwrap().render_go_names(&document, &Shapes::default()).map_err(|error| error.0)
    };
    let text = "{{.MediaType}} {{.Platform.OSVersion}} {{index .RootFS.DiffIDs 0}}";
    assert_eq!(render(text).unwrap(), "m 1 a");
    assert!(render("{{.Absent}}").is_err());
    assert!(Template::parse("{{.MediaType}}").unwrap().render(&document, &Shapes::default()).is_err());
}
