//! Other ways to begin: a shell's text, one static program, a first process that only waits for others, a supervisor.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::{
    machine::build,
    subject::{Entry, SEARCH_PATH, Subject},
    support::from_setup,
};

/// As `busybox` is published: each applet is a name of the one file, and a path of its own to the kernel.
pub(crate) fn busybox() -> Result<Subject> {
    let program = fs::read(from_setup("ARMORGATE_TEST_KERNELS")?.join("busybox"))?;
    let mut own = vec![Entry::program("bin/busybox", program)];
    for name in [
        "bin/httpd",
        "bin/mkdir",
        "bin/sh",
        "bin/sleep",
        "bin/uname",
        "bin/wget",
    ] {
        own.push(Entry::name(name, "bin/busybox"));
    }
    for folder in ["dev", "etc", "proc", "sys", "tmp"] {
        own.push(Entry::folder(folder, 0));
    }
    Ok(Subject {
        packages: &[],
        config: json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }),
        command: ["sh", "-c", include_str!("files/busybox.sh")]
            .map(str::to_owned)
            .into(),
        probe: &["wget", "-qO-", "http://127.0.0.1:8080/"],
        // By path, as in the start: Debian's shell would run its applets by its own, which need not be listed.
        hook: &["sh", "-c", "/bin/mkdir /tmp/draining; /bin/sleep 1"],
        attempt: &["sh", "-c", "exec /bin/uname"],
        unlisted: "/bin/uname",
        needs: Some("/bin/httpd"),
        ..Subject::of_packages("busybox", &[], own)
    })
}

/// From nothing: one static program.
pub(crate) fn scratch() -> Result<Subject> {
    let own = vec![
        Entry::program("server", server()?),
        Entry::name("another", "server"),
        Entry::folder("tmp", 0),
    ];
    Ok(Subject {
        config: json!({ "Entrypoint": ["/server"] }),
        probe: &["/server", "ask"],
        hook: &["/server", "ask"],
        attempt: &["/server", "run", "/another"],
        unlisted: "/another",
        ..Subject::of_packages("scratch", &[], own)
    })
}

/// The static program.
pub(crate) fn server() -> Result<Vec<u8>> {
    let text = [("server.rs", include_str!("../guest/server.rs"))];
    let options = ["-Cstrip=symbols", "-Ctarget-feature=+crt-static"];
    Ok(fs::read(build("server", &text, &options)?)?)
}

/// A first process that hands signals on, and a script that it waits for.
pub(crate) fn tini() -> Subject {
    let own = vec![Entry::program(
        "usr/local/bin/start.sh",
        include_str!("files/start.sh"),
    )];
    Subject {
        config: json!({
            "Entrypoint": ["tini", "--"], "Cmd": ["start.sh"],
            "Env": [SEARCH_PATH, "SITE=/srv/site"],
        }),
        hook: &["sh", "-c", "touch /tmp/draining && sleep 1"],
        needs: Some("/usr/local/bin/start.sh"),
        ..Subject::of_packages("tini", &["base", "busybox", "supervisors"], own)
    }
}

/// A supervisor, a service of which it takes care, and one that only logs.
pub(crate) fn s6() -> Subject {
    let own = vec![
        Entry::program("init", include_str!("files/init.sh")),
        Entry::program("etc/services/web/run", include_str!("files/run.sh")),
        Entry::program("etc/services/web/finish", "#!/bin/sh\nrm -f /tmp/ready\n"),
        Entry::program("etc/services/.s6-svscan/finish", "#!/bin/sh\nexit 0\n"),
    ];
    Subject {
        config: json!({ "Entrypoint": ["/init"], "Env": [SEARCH_PATH] }),
        hook: &["s6-svc", "-wd", "-d", "/etc/services/web"],
        needs: Some("/usr/bin/s6-supervise"),
        ..Subject::of_packages("s6", &["base", "busybox", "supervisors"], own)
    }
}
