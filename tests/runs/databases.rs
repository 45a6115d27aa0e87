//! Databases that make their files at the first start.

use serde_json::json;

use crate::subject::{Entry, Subject};

pub(crate) fn postgres() -> Subject {
    let own = vec![
        Entry::program(
            "usr/local/bin/docker-entrypoint.sh",
            include_str!("files/postgres.sh"),
        ),
        Entry::text(
            "docker-entrypoint-initdb.d/1-schema.sql",
            include_str!("files/schema.sql"),
        ),
        // Of packages that are only unpacked it is no link to `/run`.
        Entry::folder("var/run/postgresql", 998),
        Entry::folder("var/lib/postgresql/data", 0),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"],
            "Env": [
                "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/usr/lib/postgresql/17/bin",
                "PGDATA=/var/lib/postgresql/data",
            ],
        }),
        probe: &[
            "psql",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-tAc",
            "select word from answers",
        ],
        hook: &["gosu", "postgres", "pg_ctl", "-m", "fast", "-W", "stop"],
        // The files are there by then: what makes them is not started again.
        needs: Some("/usr/sbin/gosu"),
        ..Subject::of_packages("postgres", &["base", "gosu", "postgres"], own)
    }
}
