//! `armorgate generate`, from an image on disk to a profile that its own other commands take.

#[path = "support/images.rs"]
mod images;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use images::{PROGRAM, Store, named, tar};
use serde_json::{Value, json};
use tempfile::TempDir;

const ENTRYPOINT: &str = "#!/bin/sh
set -e
if [ \"$1\" = server ] && [ \"$(id -u)\" = 0 ]; then
    find /data -exec chown server {} +
fi
exec \"$@\"
";

/// A layout with one image: programs, and an entrypoint that runs most of them.
fn image(files: &[(&str, &str)], run: &Value) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let mut all = vec![("usr/local/bin/entrypoint.sh", ENTRYPOINT)];
    let programs = [
        "bin/sh",
        "usr/bin/chown",
        "usr/bin/find",
        "usr/bin/id",
        "usr/bin/passwd",
        "usr/sbin/server",
    ];
    all.extend(programs.map(|name| (name, PROGRAM)));
    all.extend(files);
    let mut store = Store::default();
    let described = store.image(&[tar(&all)?], "amd64", run)?;
    store.write_layout(&folder.path().join("web"), &[named(described, "latest")])?;
    Ok(folder)
}

fn server() -> Value {
    json!({
        "Entrypoint": ["entrypoint.sh"],
        "Cmd": ["server"],
        "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/bin"],
    })
}

fn armorgate(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_armorgate"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("COLUMNS", "100")
        .output()
        .context("cannot start it")
}

/// Standard output, when it ends with this exit code.
fn out(folder: &Path, arguments: &[&str], code: i32) -> Result<String> {
    let output = armorgate(folder, arguments)?;
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    ensure!(
        output.status.code() == Some(code),
        "{arguments:?}: {}\n{out}\n{err}",
        output.status
    );
    Ok(if code == 0 { out } else { out + &err })
}

#[test]
fn a_profile_is_valid_stronger_and_the_same_each_time() -> Result<()> {
    let folder = image(&[], &server())?;
    let folder = folder.path();
    let text = out(
        folder,
        &["generate", "oci:web:latest", "--platform", "linux/amd64"],
        0,
    )?;
    insta::assert_snapshot!("generate profile", text);
    let again = out(
        folder,
        &["generate", "oci:web", "--platform", "linux/amd64"],
        0,
    )?;
    ensure!(text == again, "{again}");
    fs::write(folder.join("profile"), &text)?;
    out(folder, &["lint", "profile"], 0)?;
    let compared = out(folder, &["compare", "profile"], 0)?;
    ensure!(compared.contains(" is stronger than "), "{compared}");
    for (path, permitted) in [
        ("/usr/bin/find", 0),
        ("/usr/sbin/server", 0),
        ("/usr/bin/passwd", 1),
        ("/tmp/sh", 1),
    ] {
        out(
            folder,
            &["explain", "profile", "--path", path, "--perm", "x"],
            permitted,
        )?;
    }
    out(
        folder,
        &[
            "explain",
            "profile",
            "--path",
            "/usr/bin/find",
            "--perm",
            "w",
        ],
        1,
    )?;
    Ok(())
}

#[test]
fn a_page_tells_people_and_json_tells_programs() -> Result<()> {
    let folder = image(&[], &server())?;
    let folder = folder.path();
    let arguments = ["generate", "oci:web", "--platform", "linux/amd64", "-o"];
    let page = out(folder, &[&arguments[..], &["human"]].concat(), 0)?;
    insta::assert_snapshot!("generate human", page);
    let facts = out(folder, &[&arguments[..], &["json"]].concat(), 0)?;
    let facts: Value = serde_json::from_str(&facts)?;
    let at = |pointer: &str| {
        facts
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    ensure!(at("/whitelist/outcome/verdict") == "complete", "{facts:#}");
    ensure!(at("/profile/relation") == "stronger", "{facts:#}");
    ensure!(page.contains(at("/profile/name")), "{page}");
    Ok(())
}

#[test]
fn the_stage_before_permits_what_the_default_does() -> Result<()> {
    let folder = image(&[], &server())?;
    let arguments = [
        "generate",
        "oci:web",
        "--platform",
        "linux/amd64",
        "--stage",
        "audit",
    ];
    let facts = out(
        folder.path(),
        &[&arguments[..], &["-o", "json"]].concat(),
        0,
    )?;
    let facts: Value = serde_json::from_str(&facts)?;
    ensure!(
        facts.pointer("/profile/relation") == Some(&json!("equal")),
        "{facts:#}"
    );
    Ok(())
}

#[test]
fn a_pod_s_own_words_and_probes_count() -> Result<()> {
    let folder = image(&[("usr/bin/ping", "#!/bin/sh\npasswd\n")], &server())?;
    let folder = folder.path();
    let probe = "[\"ping\"]";
    let arguments = [
        "generate",
        "oci:web",
        "--platform",
        "linux/amd64",
        "--command",
        "server",
        "--probe",
        probe,
    ];
    let facts = out(folder, &[&arguments[..], &["-o", "json"]].concat(), 0)?;
    let facts: Value = serde_json::from_str(&facts)?;
    let programs = facts
        .pointer("/whitelist/programs")
        .and_then(Value::as_array);
    let names: Vec<&str> = programs
        .context("programs")?
        .iter()
        .filter_map(|program| program.get("name")?.as_str())
        .collect();
    ensure!(
        names == ["/usr/bin/passwd", "/usr/bin/ping", "/usr/sbin/server"],
        "{names:?}"
    );
    let malformed = out(folder, &["generate", "oci:web", "--probe", "ping"], 2)?;
    ensure!(malformed.contains("JSON array"), "{malformed}");
    Ok(())
}

#[test]
fn a_name_that_looks_like_rules_writes_none() -> Result<()> {
    let hostile = "usr/bin/x ux,\n}\nprofile y { file, ";
    let run = json!({ "Entrypoint": [format!("/{hostile}")] });
    let folder = image(&[(hostile, "#!/bin/sh\nid\n")], &run)?;
    let folder = folder.path();
    let text = out(
        folder,
        &["generate", "oci:web", "--platform", "linux/amd64"],
        0,
    )?;
    fs::write(folder.join("profile"), &text)?;
    let compared = out(folder, &["compare", "profile"], 0)?;
    ensure!(compared.lines().count() == 1, "{compared}");
    out(
        folder,
        &["explain", "profile", "--path", "/usr/bin/id", "--perm", "x"],
        0,
    )?;
    out(
        folder,
        &["explain", "profile", "--path", "/usr/bin/x", "--perm", "x"],
        1,
    )?;
    Ok(())
}

#[test]
fn what_cannot_be_done_is_told_apart_from_what_must_not() -> Result<()> {
    let folder = image(&[], &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }))?;
    let folder = folder.path();
    let shell = out(
        folder,
        &["generate", "oci:web", "--platform", "linux/amd64"],
        1,
    )?;
    ensure!(shell.contains("not whitelistable"), "{shell}");
    for (source, expected) in [
        ("oci:elsewhere", "elsewhere"),
        ("oci:web:other", "it has `latest`"),
        // A pod's author chooses names: what is inside is not asked.
        ("127.0.0.1:5000/web", "127.0.0.1"),
        ("UPPER CASE", "UPPER CASE"),
    ] {
        let told = out(folder, &["generate", source], 2)?;
        ensure!(
            told.starts_with("error: ") && told.contains(expected),
            "{source}: {told}"
        );
    }
    Ok(())
}

#[test]
fn slips_are_refused_in_one_line() -> Result<()> {
    let folder = image(&[], &server())?;
    for (arguments, told) in [
        (&["--env", "=x"][..], "--env `=x`"),
        (&["--env", ""], "--env ``"),
        (&["--name", ""], "--name"),
        (&["--name", "--"], "--name"),
        (&["--allow-exec", "usr/bin/passwd"], "an absolute path"),
        (
            &["--allow-exec", "/usr/bin/none"],
            "no program of the image",
        ),
        (&["--allow-exec", ""], "an absolute path"),
        (&["--command", ""], "--command"),
        (&["--command"], "--command"),
        (&["--working-dir", "data"], "--working-dir"),
        (&["--probe", "[]"], "--probe"),
        (&["--hook", "[\"\"]"], "--hook"),
        (&["--baseline", "containerd@new"], "--baseline"),
    ] {
        let base = ["generate", "oci:web", "--platform", "linux/amd64"];
        let text = out(folder.path(), &[&base[..], arguments].concat(), 2)?;
        ensure!(text.contains(told), "{arguments:?}: {text}");
        let ours = text.lines().filter(|line| line.starts_with("error: "));
        ensure!(ours.count() == 1, "{arguments:?}: {text}");
    }
    Ok(())
}

#[test]
fn a_variable_without_a_value_is_one_that_is_not_known() -> Result<()> {
    let folder = image(&[], &server())?;
    let arguments = [
        "generate",
        "oci:web",
        "--platform",
        "linux/amd64",
        "--env",
        "X",
        "--command",
        "$(X)",
    ];
    let text = out(folder.path(), &arguments, 1)?;
    ensure!(text.contains("the pod's variable `X`"), "{text}");
    Ok(())
}

#[test]
fn too_little_memory_for_reading_scripts_is_said_so() -> Result<()> {
    let folder = image(&[], &server())?;
    let output = Command::new("sh")
        .args(["-c", "ulimit -d 262144 && exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_armorgate"))
        .args(["generate", "oci:web", "--platform", "linux/amd64"])
        .current_dir(folder.path())
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{}: {text}", output.status);
    ensure!(text.contains("a stack of 256 MiB"), "{text}");
    Ok(())
}

#[test]
fn a_script_for_which_there_is_no_room_is_told() -> Result<()> {
    // 8 MiB of texts are kept of an image, in the order of its files.
    let script = format!("#!/bin/sh\n{}", "# and more\n".repeat(20_000));
    let names: Vec<String> = (0..60).map(|index| format!("opt/{index}.sh")).collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), script.as_str()))
        .collect();
    let folder = image(&files, &json!({ "Entrypoint": ["/opt/59.sh"] }))?;
    let page = out(folder.path(), &["generate", "oci:web", "-o", "human"], 0)?;
    ensure!(
        page.contains("`/opt/59.sh` is a script that was not read whole: it is too large, or the image holds too many"),
        "{page}"
    );
    Ok(())
}
