//! Lines become versions, once.

use crate::session::Session;

fn line(number: u32) -> String {
    format!(
        "{{\"createdAt\":\"2018-09-2{number}T10:14:31-07:00\",\"by\":\"argo@{number}\",\"message\":\"commit {number}\",\
         \"content\":{{\"schemaVersion\":\"1.0\",\"n\":{number}.50}}}}\n"
    )
}

fn lines(numbers: std::ops::RangeInclusive<u32>) -> String {
    numbers.map(line).collect()
}

#[test]
fn an_import_goes_on_where_it_stopped() {
    let mut session = Session::new();
    session.write("three.ndjson", lines(1..=3));
    session.write("five.ndjson", lines(1..=5));
    session.run("manifest import --tenant acme --file three.ndjson");
    session.run("manifest import --tenant acme --file three.ndjson");
    session.run("manifest import --tenant acme --file five.ndjson -o json");
    session.run_with(
        "manifest import --tenant other --file -",
        &format!("\n{}\n\n{}", line(1), line(2).trim_end()),
    );
    session.run("manifest history --tenant acme -o ndjson");
    session.assert("import");
    let content = session.must("manifest get --tenant acme --version 2");
    assert_eq!(content.text(), "{\"n\":2.5,\"schemaVersion\":\"1.0\"}");
}

#[test]
fn another_history_is_refused_unless_it_is_appended_to() {
    let mut session = Session::new();
    session.write("three.ndjson", lines(1..=3));
    session.write("two.ndjson", lines(1..=2));
    session.write("other.ndjson", line(1) + &line(3));
    session.write("by.ndjson", lines(1..=3).replace("argo@2", "mallory"));
    session.write(
        "time.ndjson",
        lines(1..=3).replace("2018-09-23", "2017-09-23"),
    );
    session.write(
        "bare.ndjson",
        "{\"content\":{\"schemaVersion\":\"1.0\",\"n\":1.5}}\n".to_owned() + &lines(2..=3),
    );
    session.must("manifest import --tenant acme --file three.ndjson");
    for file in ["two", "other", "by", "time"] {
        assert_eq!(
            session
                .run(&format!(
                    "manifest import --tenant acme --file {file}.ndjson"
                ))
                .code,
            7
        );
    }
    session.run("manifest import --tenant acme --file other.ndjson -o json");
    session.run("manifest import --tenant acme --file bare.ndjson");
    session.run("manifest import --tenant acme --file two.ndjson --append");
    session.run("manifest import --tenant acme --file two.ndjson --append");
    session.run("manifest history --tenant acme");
    session.assert("import_refused");
}

#[test]
fn a_bad_line_is_named_and_what_was_before_it_stays() {
    let mut session = Session::new();
    for (name, bad) in [
        ("json", "{\"content\":{\n".to_owned()),
        ("text", "hello\n".to_owned()),
        ("no-content", "{\"by\":\"x\"}\n".to_owned()),
        ("unknown", "{\"content\":{},\"at\":1}\n".to_owned()),
        ("twice", "{\"content\":{},\"content\":{}}\n".to_owned()),
        (
            "time",
            "{\"content\":{},\"createdAt\":\"yesterday\"}\n".to_owned(),
        ),
        ("by", "{\"content\":{},\"by\":\"a\\nb\"}\n".to_owned()),
        ("schema", "{\"content\":{\"n\":3}}\n".to_owned()),
        (
            "number",
            "{\"content\":{\"schemaVersion\":\"1.0\",\"n\":9007199254740993}}\n".to_owned(),
        ),
    ] {
        session.write("bad.ndjson", lines(1..=2) + &bad + &line(4));
        session.say(bad.trim_end());
        assert_eq!(
            session
                .run(&format!(
                    "manifest import --tenant {name} --file bad.ndjson"
                ))
                .code,
            1
        );
        let stats = session
            .must(&format!("stats --tenant {name} -o json"))
            .json();
        assert_eq!(stats["latestVersion"], 2);
    }
    session.write("bad.ndjson", b"\n{\"content\":\"\xff\"}\n");
    session.run("manifest import --tenant utf8 --file bad.ndjson");
    session.run("manifest import --tenant utf8 --file bad.ndjson -o json");
    session.write("driftline.toml", "content-limit = 64");
    session.write("bad.ndjson", format!("{}\n", "x".repeat(70_000)));
    session.run("manifest import --tenant long --file bad.ndjson");
    session.assert("import_bad_lines");
}

#[test]
fn two_imports_at_once_make_one_history() {
    let session = Session::new();
    session.write("nine.ndjson", lines(1..=9));
    let arguments = [
        "manifest",
        "import",
        "--tenant",
        "acme",
        "--file",
        "nine.ndjson",
    ];
    let running: Vec<_> = (0..2)
        .map(|_| session.command(&arguments).spawn().unwrap())
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let history = session
        .must("manifest history --tenant acme -o json")
        .json();
    let items = history["items"].as_array().unwrap();
    assert_eq!(items.len(), 9);
    assert!(
        items
            .iter()
            .all(|item| item["createdBy"] == format!("argo@{}", item["version"]))
    );
}
