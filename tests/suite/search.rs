//! `search`

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};
use crate::support::registry::Registry;

pub(crate) const TESTS: &[Test] =
    tests![shows_what_is_found, searches_names_where_there_is_no_search, limits];

const FOUND: &str = r#"{"num_results":3,"results":[
    {"name":"team/web","description":"A server of the team that has a long description","star_count":7,"is_official":false},
    {"name":"web","description":"A server","star_count":90,"is_official":true},
    {"name":"old/web","description":"","star_count":0,"is_official":false,"is_automated":true}]}"#;

fn shows_what_is_found() {
    let registry = Registry::start();
    registry.search(FOUND);
    let term = format!("{}/web", registry.host());
    let sandbox = Sandbox::new();
    sandbox.run(["search", &term]).success().stdout(
        "NAME       DESCRIPTION                                     STARS     OFFICIAL\n\
         web        A server                                        90        [OK]\n\
         team/web   A server of the team that has a long descrip…   7         \n\
         old/web                                                    0         \n",
    );
    let request = registry.requests("/v1/search").pop().unwrap();
    assert_eq!(request.path, "/v1/search?q=web&n=25");
    let names = |flags: &[&str]| {
        let mut words = vec!["search", "--format", "{{.Name}}", &term];
        words.extend(flags);
        sandbox.run(words).success().lines().join(" ")
    };
    assert_eq!(names(&["--filter", "is-official=true"]), "web");
    assert_eq!(names(&["-f", "stars=3", "-f", "is-official=false"]), "team/web");
    assert_eq!(names(&["--limit", "2"]), "web team/web");
    sandbox
        .run(["search", "--no-trunc", &term])
        .stdout_contains("A server of the team that has a long description");
    let json = sandbox.run(["search", "--format", "json", "--limit", "1", &term]).json();
    assert_eq!((json["Name"].as_str(), json["StarCount"].as_str()), (Some("team/web"), Some("7")));
}

fn searches_names_where_there_is_no_search() {
    let registry = Registry::start();
    for name in ["team/web", "team/db", "web"] {
        registry.manifest(name, "1", "application/vnd.oci.image.manifest.v1+json", "{}");
    }
    let outcome =
        Sandbox::new().run(["search", "--format", "{{.Name}}", &format!("{}/web", registry.host())]);
    outcome.stdout("team/web\nweb\n").success();
}

fn limits() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["search", "--limit", "101", "x"])
        .code(1)
        .stderr("Error response from daemon: limit 101 is outside the range of [1, 100]\n");
    sandbox.run(["search", "--filter", "a=b", "x"]).code(1).stderr_contains("invalid filter 'a'");
    sandbox.run(["search", "https://x/y"]).code(1).stderr_contains("should not have a scheme");
    sandbox.run(["search", "127.0.0.1:1/x"]).code(1).stderr_contains("refused");
}
